"""PGGAN against the counts of its release and against hand computations of its equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from cxrbench.baselines.pggan import PGGAN, PGGANRecipe, gradient_penalty, growth, pyramid, total_steps
from cxrbench.baselines.pggan_networks import (
    Discriminator,
    EqualisedConv2d,
    EqualisedLinear,
    Generator,
    PGGANSettings,
    downsample,
    minibatch_stddev,
    pixel_norm,
    upsample,
)
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.training.loop import make_fabric, seeded, train
from cxrbench.benchmark.training.recipe import RowNumbers, Step

from ..stopped import stopped_after

TINY = PGGANSettings(
    fmap_base=32,
    fmap_max=8,
    stabilise_kimg=0.016,
    fade_kimg=0.016,
    batch_sizes=((4, 4),),
    minibatch_repeats=1,
    ema=0.9,
)


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    ("resolution", "channels", "generator", "discriminator"),
    [
        (1024, 1, 580_825, 582_001),
        (1024, 2, 581_330, 582_497),
        (512, 1, 573_864, 575_009),
        (64, 1, 398_277, 399_233),
    ],
)
def test_parameter_counts_with_64_maps_are_exact(resolution, channels, generator, discriminator):
    settings = PGGANSettings()
    assert count(Generator(resolution, channels, settings)) == generator
    assert count(Discriminator(resolution, channels, settings)) == discriminator


def test_512_maps_give_the_reference_network_of_the_release():
    settings = PGGANSettings(fmap_max=512)
    assert count(Generator(1024, 3, settings)) == 23_079_115
    assert count(Discriminator(1024, 3, settings)) == 23_087_249


def test_feature_maps_halve_from_512_pixels_on():
    assert [PGGANSettings().channels(level + 1) for level in range(9)] == [64] * 7 + [32, 16]


def test_resolution_that_is_no_power_of_two_is_refused():
    with pytest.raises(InputError, match="found 96"):
        Generator(96, 1, PGGANSettings())


def test_pixel_norm_divides_by_the_root_mean_square_over_channels():
    x = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    root_mean_square = math.sqrt((9 + 16) / 2)
    expected = torch.tensor([3.0, 4.0]) / root_mean_square
    torch.testing.assert_close(pixel_norm(x).flatten(), expected)


def test_equalised_layers_scale_weights_by_gain_over_root_fan_in_and_leave_the_bias():
    conv = EqualisedConv2d(2, 1, 3)
    conv.weight.data.fill_(1.0)
    conv.bias.data.fill_(0.5)
    centre = conv(torch.ones(1, 2, 3, 3))[0, 0, 1, 1]
    assert float(centre.detach()) == pytest.approx(18 * math.sqrt(2) / math.sqrt(18) + 0.5)
    dense = EqualisedLinear(4, 1, gain=1.0)
    dense.weight.data.fill_(1.0)
    dense.bias.data.fill_(-1.0)
    assert float(dense(torch.ones(1, 4)).detach()) == pytest.approx(4 / 2 - 1)


def test_gains_are_those_of_the_release():
    generator, critic = Generator(8, 1, PGGANSettings()), Discriminator(8, 1, PGGANSettings())
    assert generator.first.scale == pytest.approx(math.sqrt(2) / 4 / math.sqrt(64))
    assert generator.first.conv.scale == pytest.approx(math.sqrt(2) / math.sqrt(64 * 9))
    assert generator.to_film[0].scale == pytest.approx(1 / math.sqrt(64))
    assert critic.from_film[0].scale == pytest.approx(math.sqrt(2))
    assert critic.last.dense0.scale == pytest.approx(math.sqrt(2) / math.sqrt(64 * 16))
    assert critic.last.dense1.scale == pytest.approx(1 / math.sqrt(64))


def test_minibatch_stddev_of_a_hand_made_batch():
    # Group of two films, one pixel, two channels: values 1 and 3 (biased deviation 1), 0 and 4 (deviation 2).
    x = torch.tensor([[1.0, 0.0], [3.0, 4.0]]).view(2, 2, 1, 1)
    y = minibatch_stddev(x, group_size=4)
    assert y.shape == (2, 3, 1, 1)
    torch.testing.assert_close(y[:, :2], x)
    torch.testing.assert_close(y[:, 2].flatten(), torch.full((2,), 1.5))


def test_minibatch_stddev_groups_every_second_film_of_eight():
    # The release's reshape to (group, groups, ...) puts films 0, 2, 4, 6 in one group and 1, 3, 5, 7 in the other.
    x = torch.tensor([0.0, 5, 2, 5, 0, 5, 2, 5]).view(8, 1, 1, 1)
    deviation = minibatch_stddev(x, group_size=4)[:, 1].flatten()
    torch.testing.assert_close(deviation, torch.tensor([1.0, 0] * 4), atol=2e-4, rtol=0)


def test_gradient_penalty_of_a_linear_critic_is_its_norm_minus_one_squared():
    w = torch.tensor([[1.0, 2.0], [2.0, 4.0]]).view(1, 1, 2, 2)  # norm 5

    def critic(films):
        return (films * w).sum(dim=(1, 2, 3))

    real, fake = torch.randn(3, 1, 2, 2), torch.randn(3, 1, 2, 2)
    assert float(gradient_penalty(critic, real, fake)) == pytest.approx((5 - 1) ** 2)
    assert float(gradient_penalty(critic, real, fake, scale=2.0)) == pytest.approx((2.5 - 1) ** 2)


@pytest.mark.parametrize("level", [1, 2])
def test_alpha_zero_is_the_level_below_and_alpha_one_the_new_level(level):
    generator, critic = Generator(16, 1, TINY), Discriminator(16, 1, TINY)
    z = torch.randn(4, generator.latent)
    below = generator(z, level - 1)
    torch.testing.assert_close(generator(z, level, 0.0), upsample(below))
    torch.testing.assert_close(generator(z, level, 1 - 1e-7), generator(z, level), atol=1e-5, rtol=0)
    films = torch.randn(4, 1, 4 << level, 4 << level)
    torch.testing.assert_close(critic(films, level, 0.0), critic(downsample(films), level - 1))
    torch.testing.assert_close(critic(films, level, 1 - 1e-7), critic(films, level), atol=1e-5, rtol=0)


def test_real_films_fade_with_the_same_alpha():
    films = np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8), dtype=np.uint8)
    recipe, rows = PGGANRecipe(films, TINY), torch.arange(4)
    sharp = torch.from_numpy(films).float() / 127.5 - 1
    device = torch.device("cpu")
    torch.testing.assert_close(recipe._real(rows, 1, 1.0, device), sharp)
    torch.testing.assert_close(recipe._real(rows, 1, 0.0, device), upsample(downsample(sharp)))
    half = (sharp + upsample(downsample(sharp))) / 2
    torch.testing.assert_close(recipe._real(rows, 1, 0.5, device), half)


def test_pyramid_is_the_mean_of_boxes_rounded_to_grey_levels():
    film = np.kron(np.arange(16, dtype=np.uint8).reshape(4, 4), np.array([[0, 0], [0, 6]], dtype=np.uint8))
    levels = pyramid(film[None, None])
    assert [tuple(level.shape) for level in levels] == [(1, 1, 4, 4), (1, 1, 8, 8)]
    expected = torch.round(torch.arange(16).float() * 6 / 4).to(torch.uint8)
    assert torch.equal(levels[0].flatten(), expected)


def test_paper_schedule_ends_after_10200_kimg_with_the_minibatches_of_one_gpu():
    settings = PGGANSettings()
    phases = growth(1024, settings)
    assert len(phases) == 1 + 2 * 8
    kimg = (phases[-1].first_film + phases[-1].steps * phases[-1].batch_size) / 1000
    assert kimg == pytest.approx(10_200, abs=1)
    stable = [phase for phase in phases if not phase.fading]
    assert [phase.batch_size for phase in stable] == [128, 128, 128, 64, 32, 16, 8, 4, 4]
    assert [phase.learning_rate for phase in stable] == [1e-3] * 8 + [1.5e-3]
    for side, end in ((64, 5_400), (512, 9_000)):
        last = growth(side, settings)[-1]
        assert (last.first_film + last.steps * last.batch_size) / 1000 == pytest.approx(end, abs=1)


def test_alpha_grows_linearly_over_a_fade_and_stays_one_while_stabilising():
    settings = PGGANSettings(
        stabilise_kimg=0.08, fade_kimg=0.16, batch_sizes=((4, 8),), minibatch_repeats=4, fmap_max=4
    )
    recipe = PGGANRecipe(np.zeros((8, 1, 8, 8), dtype=np.uint8), settings)
    assert total_steps(recipe.phases) == 10 + 20 + 10
    at = [recipe.at(step) for step in range(40)]
    assert [phase.level for phase, _ in at] == [0] * 10 + [1] * 30
    assert [alpha for _, alpha in at[:10]] == [1.0] * 10
    assert [alpha for _, alpha in at[10:30]] == pytest.approx(np.repeat([0, 0.2, 0.4, 0.6, 0.8], 4))
    assert [alpha for _, alpha in at[30:]] == [1.0] * 10


def test_optimisers_forget_their_moments_and_change_rate_when_a_fade_starts():
    settings = PGGANSettings(
        fmap_base=32,
        fmap_max=4,
        stabilise_kimg=0.008,
        fade_kimg=0.008,
        batch_sizes=((4, 4),),
        learning_rates=((4, 1e-3), (8, 2e-3)),
    )
    recipe = PGGANRecipe(np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8), dtype=np.uint8), settings)
    recipe.optimizers()
    fabric = make_fabric("cpu", float32=True)
    taken = []
    for index in range(recipe.steps):
        recipe.step({"rows": torch.arange(4)}, Step(index, recipe.steps, fabric))
        taken.append(int(recipe.adam_g.state[recipe.generator.first.weight]["step"]))
    assert taken == [1, 2] * 3
    assert recipe.adam_d.param_groups[0]["lr"] == 2e-3


def test_growth_goes_on_from_a_checkpoint_to_the_same_weights(tmp_path):
    films = np.random.default_rng(0).integers(0, 256, (8, 1, 8, 8), dtype=np.uint8)

    def fresh() -> PGGANRecipe:
        with seeded(0):
            return PGGANRecipe(films, TINY)

    whole, resumed = fresh(), fresh()
    train(whole, RowNumbers(8), steps=12, seed=0)
    stopped_after(6, fresh(), RowNumbers(8), tmp_path, steps=12)  # in the fade, where some layers have no moments yet
    train(resumed, RowNumbers(8), steps=12, seed=0, checkpoints=tmp_path)
    for one, two in zip(whole.sampler().parameters(), resumed.sampler().parameters(), strict=True):
        assert torch.equal(one, two)


def test_critic_loss_has_drift_and_weighted_penalty():
    films = np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8), dtype=np.uint8)
    recipe = PGGANRecipe(films, TINY)
    for weight in recipe.discriminator.parameters():
        weight.data.zero_()
    recipe.discriminator.last.dense1.bias.data.fill_(3.0)  # a critic that says 3 whatever it sees
    losses = recipe._critic_losses(torch.zeros(4, 1, 8, 8), 1, 1.0)
    assert losses["wasserstein"].item() == pytest.approx(0.0)
    assert losses["penalty"].item() == pytest.approx(10.0)  # its gradient is 0, so (0 - 1)^2 x 10
    assert losses["drift"].item() == pytest.approx(0.001 * 9)


def fit(seed: int) -> PGGAN:
    films = np.random.default_rng(0).integers(0, 256, (8, 2, 8, 8), dtype=np.uint8)
    return PGGAN.fit(films, TINY, seed=seed, device="cpu", progress=Progress())[0]


def test_fit_is_the_same_for_a_seed():
    first, again, other = fit(0), fit(0), fit(1)

    def sample(model: PGGAN) -> np.ndarray:
        return model.sample(3, torch.Generator().manual_seed(5))

    films = sample(first)
    assert films.shape == (3, 2, 8, 8)
    assert films.dtype == np.float32
    np.testing.assert_array_equal(films, sample(again))
    assert np.abs(films - sample(other)).max() > 1e-3


def test_samples_come_from_the_running_mean_of_the_generators_weights():
    films = np.random.default_rng(0).integers(0, 256, (8, 1, 4, 4), dtype=np.uint8)
    recipe = PGGANRecipe(films, TINY)
    recipe.optimizers()
    fabric, expected = make_fabric("cpu", float32=True), None
    for index in range(recipe.steps):
        weight = recipe.generator.first.weight.detach().clone()
        recipe.step({"rows": torch.arange(4)}, Step(index, recipe.steps, fabric))
        expected = weight if expected is None else 0.9 * expected + 0.1 * weight
    torch.testing.assert_close(recipe.sampler().first.weight.detach(), expected)


def test_growth_learns_the_mean_of_flat_films():
    settings = PGGANSettings(
        fmap_base=32,
        fmap_max=8,
        stabilise_kimg=0.6,
        fade_kimg=0.3,
        batch_sizes=((4, 8),),
        learning_rates=((4, 5e-3),),
        ema=0.9,
    )
    films = np.full((16, 1, 8, 8), 64, dtype=np.uint8)
    model, history, _ = PGGAN.fit(films, settings, seed=0, device="cpu", progress=Progress())
    mean = (model.sample(64, torch.Generator().manual_seed(0)).mean() + 1) * 127.5
    assert mean == pytest.approx(64, abs=12)
    assert {"generator", "wasserstein", "penalty", "drift"} < set(history.rows[-1])
