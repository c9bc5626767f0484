"""Pix2PixHD against the counts of its release and against hand computations of its losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cxrbench.baselines.pix2pixhd import (
    ClassPairs,
    GlobalGenerator,
    MultiscaleDiscriminator,
    Pairs,
    PatchDiscriminator,
    Pix2PixHD,
    Pix2PixHDRecipe,
    Pix2PixHDSettings,
    VGGLoss,
    feature_matching,
    initialise,
    lsgan_loss,
    one_hot,
)
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.training.loop import make_fabric
from cxrbench.benchmark.training.recipe import Step

TINY = Pix2PixHDSettings(ngf=4, n_downsample=1, n_blocks=1, ndf=4, n_layers=1, batch_size=2, steps=4)


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def generator_weights(inputs: int, outputs: int, width: int, downs: int, blocks: int) -> int:
    """Weights and biases by hand, layer by layer."""
    total = inputs * width * 49 + width
    for _ in range(downs):
        total += 2 * (width * 2 * width * 9) + 2 * width + width  # a convolution down, a transposed one up
        width *= 2
    total += blocks * 2 * (width * width * 9 + width)
    return total + (width >> downs) * outputs * 49 + outputs


@pytest.mark.parametrize(("inputs", "outputs", "expected"), [(36, 3, 182_546_755), (6, 1, 182_446_401)])
def test_global_generator_has_the_weights_of_the_release(inputs, outputs, expected):
    with torch.device("meta"):
        assert count(GlobalGenerator(inputs, outputs, Pix2PixHDSettings())) == expected
    assert generator_weights(inputs, outputs, 64, 4, 9) == expected


def test_two_scale_discriminator_has_5_5_million_weights():
    def patch(inputs: int) -> int:
        pairs = ((inputs, 64), (64, 128), (128, 256), (256, 512), (512, 1))
        return sum(before * after * 16 + after for before, after in pairs)

    with torch.device("meta"):
        assert count(MultiscaleDiscriminator(7, Pix2PixHDSettings())) == 2 * patch(7) == 5_537_666


def test_generator_keeps_the_size_and_stays_in_the_range_of_tanh():
    film = GlobalGenerator(3, 1, TINY)(torch.randn(2, 3, 16, 16) * 50)
    assert film.shape == (2, 1, 16, 16)
    assert float(film.detach().abs().max()) <= 1


def test_patch_scores_have_the_side_that_padding_two_gives():
    features = PatchDiscriminator(2, Pix2PixHDSettings(ndf=4))(torch.randn(1, 2, 64, 64))
    assert [feature.shape[-1] for feature in features] == [33, 17, 9, 10, 11]


def test_second_scale_sees_the_mean_over_three_by_three_without_the_padding():
    settings = Pix2PixHDSettings(ndf=4, n_layers=1)
    networks = MultiscaleDiscriminator(1, settings)
    networks.scales[1].load_state_dict(networks.scales[0].state_dict())
    x = torch.randn(1, 1, 16, 16)
    half = torch.empty(1, 1, 8, 8)
    for row in range(8):
        for column in range(8):
            top, left = max(0, 2 * row - 1), max(0, 2 * column - 1)
            half[0, 0, row, column] = x[0, 0, top : 2 * row + 2, left : 2 * column + 2].mean()
    torch.testing.assert_close(networks(x)[1][-1], networks.scales[0](half)[-1])


def test_lsgan_loss_is_the_squared_distance_summed_over_scales():
    features = [[torch.tensor([9.0]), torch.tensor([1.0, 3.0])], [torch.tensor([9.0]), torch.tensor([2.0])]]
    assert float(lsgan_loss(features, 1.0)) == pytest.approx((0 + 4) / 2 + 1)
    assert float(lsgan_loss(features, 0.0)) == pytest.approx((1 + 9) / 2 + 4)


def test_feature_matching_weighs_ten_times_four_over_layers_plus_one_over_scales():
    fake = [[torch.tensor([1.0, 3.0]), torch.tensor([7.0])], [torch.tensor([2.0]), torch.tensor([7.0])]]
    real = [[torch.tensor([0.0, 0.0]), torch.tensor([0.0])], [torch.tensor([5.0]), torch.tensor([0.0])]]
    expected = 10 * 4 / (3 + 1) / 2 * (2 + 3)  # the scores, last of each list, take no part
    assert float(feature_matching(fake, real, Pix2PixHDSettings())) == pytest.approx(expected)


def test_convolutions_start_from_a_normal_of_deviation_0_02():
    generator = GlobalGenerator(3, 1, Pix2PixHDSettings(ngf=16))
    initialise(generator)
    for layer in generator.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.weight.numel() > 5000:
            assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=0.1)


def test_one_hot_puts_each_class_in_its_own_channel():
    labels = one_hot(torch.tensor([[[0, 2]]], dtype=torch.uint8), 3)
    torch.testing.assert_close(labels, torch.tensor([[[[1.0, 0]], [[0, 0]], [[0, 1]]]]))


def test_class_pairs_give_one_channel_per_class():
    targets = np.array([[[0, 1]]], dtype=np.uint8)
    batch = ClassPairs(targets, targets, 3).batch(np.array([0]), np.random.default_rng(0))
    torch.testing.assert_close(batch["images"], torch.tensor([[[[1.0, -1]], [[-1, 1]], [[-1, -1]]]]))


def test_rate_is_constant_for_half_of_the_epochs_and_falls_linearly_to_zero():
    recipe = Pix2PixHDRecipe(10, 2, Pix2PixHDSettings(ngf=2, n_blocks=0, ndf=2))
    assert recipe.steps == 200 * 10
    assert [recipe.rate(step) for step in (0, 1000, 1500, 1999)] == pytest.approx([2e-4, 2e-4, 1e-4, 2e-7])


def test_steps_replace_the_epochs_where_they_are_given():
    recipe = Pix2PixHDRecipe(1000, 2, TINY)
    assert (recipe.steps, recipe.constant_steps) == (4, 2)


def test_discriminator_sees_the_film_made_before_the_generator_changed():
    torch.manual_seed(0)
    recipe = Pix2PixHDRecipe(2, 2, TINY)
    recipe.optimizers()
    batch = {"codes": torch.randint(0, 2, (2, 16, 16)).to(torch.uint8), "images": torch.randn(2, 1, 16, 16).tanh()}
    with torch.no_grad():
        labels = one_hot(batch["codes"], 2)
        fake = recipe.discriminator(torch.cat([labels, recipe.generator(labels)], 1))
        real = recipe.discriminator(torch.cat([labels, batch["images"]], 1))
        expected = 0.5 * (lsgan_loss(real, 1.0) + lsgan_loss(fake, 0.0))
        adversarial = lsgan_loss(fake, 1.0)
    before = [weight.detach().clone() for weight in recipe.discriminator.parameters()]
    losses = recipe.step(batch, Step(0, 4, make_fabric("cpu", float32=True)))
    torch.testing.assert_close(losses["discriminator"].detach(), expected)
    torch.testing.assert_close(losses["adversarial"].detach(), adversarial)
    after = list(recipe.discriminator.parameters())
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_vgg_loss_sums_five_weighted_levels_of_local_weights(tmp_path):
    from torchvision.models import vgg19

    torch.manual_seed(0)
    network = vgg19(weights=None)
    torch.save({k: v for k, v in network.state_dict().items() if k.startswith("features")}, tmp_path / "vgg19.pth")
    x, y = torch.randn(1, 1, 32, 32), torch.randn(1, 1, 32, 32)
    a, b, expected = x.repeat(1, 3, 1, 1), y.repeat(1, 3, 1, 1), 0.0
    weights = iter((1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0))
    with torch.no_grad():
        convolutions = 0
        for layer in network.features[:30]:
            a, b = layer(a), layer(b)
            convolutions += isinstance(layer, nn.Conv2d)
            # the first convolution of each of the five blocks of 2, 2, 4, 4 and 4
            if isinstance(layer, nn.ReLU) and convolutions in (1, 3, 5, 9, 13):
                expected += next(weights) * float((a - b).abs().mean())
    assert float(VGGLoss(tmp_path / "vgg19.pth")(x, y)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("content", [None, b"not weights", "other"])
def test_wrong_vgg_file_is_one_clear_line(tmp_path, content):
    path = tmp_path / "vgg19.pth"
    if content == "other":
        torch.save({"layer.weight": torch.zeros(2)}, path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="VGG19 weights") as error:
        Pix2PixHDRecipe(1, 2, Pix2PixHDSettings(ngf=2, n_blocks=0, ndf=2, vgg_weights=path))
    assert "\n" not in str(error.value)


def test_side_that_cannot_be_halved_is_refused():
    pairs = Pairs(np.zeros((2, 10, 10), np.uint8), np.zeros((2, 10, 10), np.uint8))
    with pytest.raises(InputError, match="multiple of 4, found 10"):
        settings = Pix2PixHDSettings(ngf=2, n_downsample=2, n_blocks=0, ndf=2, steps=1)
        Pix2PixHD.fit(pairs, 2, settings, seed=0, device="cpu", progress=Progress())


def test_fit_learns_light_and_dark():
    rng = np.random.default_rng(0)
    codes = np.kron(rng.integers(0, 2, (16, 4, 4)), np.ones((4, 4))).astype(np.uint8)
    pairs = Pairs(codes, np.where(codes == 1, 200, 60).astype(np.uint8))
    settings = Pix2PixHDSettings(
        ngf=8, n_downsample=1, n_blocks=1, ndf=8, n_layers=1, batch_size=4, steps=60, learning_rate=2e-3
    )
    model, history, _ = Pix2PixHD.fit(pairs, 2, settings, seed=0, device="cpu", progress=Progress())
    films = model.translate(codes[:4])[:, 0]
    assert films[codes[:4] == 1].mean() - films[codes[:4] == 0].mean() > 0.5  # of 140 / 127.5
    assert {"adversarial", "features", "discriminator"} < set(history.rows[-1])
