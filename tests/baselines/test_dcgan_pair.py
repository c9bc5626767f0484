"""The DCGAN of pairs against the counts of its paper, hand computations, and the provider on small films."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cxrbench.baselines.dcgan_networks import (
    DCGANPairSettings,
    Discriminator,
    Down,
    Generator,
    Up,
    fit_maps,
    same_padding,
)
from cxrbench.baselines.dcgan_pair import SAMPLING_BATCH, DCGANPair, DCGANRecipe, Hashes, cross_entropy, find_lungs
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo, pack_masks
from cxrbench.benchmark.errors import InputError, ProviderError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.training.loop import make_fabric, seeded, train
from cxrbench.benchmark.training.recipe import RowNumbers, Step

from ..organs import with_organs
from ..stopped import stopped_after

PAPER = DCGANPair.presets["paper"]
TINY = DCGANPairSettings(
    generator_maps=(16, 8, 8),
    discriminator_maps=(8, 8, 16),
    latent=8,
    steps=6,
    batch_size=8,
    learning_rate=2e-3,
    timeline=3,
)
SIDE = 32


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def chests(films: int = 24, organs: tuple[str, ...] = ("left_lung", "right_lung", "heart")) -> Dataset:
    """Films of two dark lungs, the patient's left one on the right, and a light heart at random places."""
    rng = np.random.default_rng(0)
    masks = np.zeros((films, 3, SIDE, SIDE), dtype=bool)
    for film in masks:
        top, left = rng.integers(2, 8, 2)
        film[0, top : top + 18, left + 14 : left + 21] = True
        film[1, top : top + 16, left : left + 8] = True
        film[2, top + 8 : top + 16, left + 9 : left + 13] = True
    images = 110 - 60 * masks[:, 0] - 70 * masks[:, 1] + 90 * masks[:, 2] + rng.normal(0, 3, (films, SIDE, SIDE))
    if organs == ("lungs",):
        masks = masks[:, :2].any(axis=1, keepdims=True)
    ids = [f"case{index}" for index in range(films)]
    cases = pd.DataFrame({"id": ids, "patient": ids})
    info = DatasetInfo(name="chests", resolution=SIDE, organs=organs)
    return Dataset(info=info, images=images.astype(np.uint8), masks=pack_masks(masks), cases=cases)


def test_the_paper_networks_have_the_exact_parameter_counts():
    assert count(Generator(128, PAPER)) == 8_209_538
    assert count(Discriminator(128, PAPER)) == 11_086_594


def test_the_paper_networks_double_from_4_to_128_and_back():
    generator = Generator(128, PAPER).blocks
    sides, films = [], torch.zeros(2, 512, 4, 4)
    for layer in generator:
        films = layer(films)
        if isinstance(layer, nn.ConvTranspose2d):
            sides.append((films.shape[1], films.shape[-1]))
    assert sides == [(256, 8), (128, 16), (128, 32), (128, 64), (2, 128)]
    sides = []
    for layer in Discriminator(128, PAPER).blocks:
        films = layer(films)
        if isinstance(layer, nn.Conv2d):
            sides.append((films.shape[1], films.shape[-1]))
    assert sides == [(128, 64), (128, 32), (256, 16), (512, 8), (512, 4)]


def test_every_convolution_of_the_discriminator_is_normalised_and_the_last_of_the_generator_is_not():
    critic = list(Discriminator(128, PAPER).blocks)
    assert [isinstance(layer, nn.BatchNorm2d) for layer in critic[1::3]] == [True] * 5
    assert isinstance(Generator(128, PAPER).blocks[-2], Up) and isinstance(Generator(128, PAPER).blocks[-1], nn.Tanh)
    norms = [layer for layer in critic if isinstance(layer, nn.BatchNorm2d)]
    assert all(norm.eps == 1e-5 and norm.affine and norm.running_mean is None for norm in norms)


def test_other_resolutions_drop_or_repeat_the_levels_next_to_the_films():
    assert fit_maps(PAPER.generator_maps, 4) == (512, 256, 128, 128)
    assert fit_maps(PAPER.generator_maps, 6) == (512, 256, 128, 128, 128, 128)
    pairs = Generator(64, PAPER)(torch.zeros(2, 400))
    assert pairs.shape == (2, 2, 64, 64)
    critic = Discriminator(64, PAPER)
    assert [layer.out_channels for layer in critic.blocks if isinstance(layer, nn.Conv2d)] == [128, 256, 512, 512]
    assert critic(pairs).shape == (2, 2)


@pytest.mark.parametrize("resolution", [4, 48, 100])
def test_a_resolution_that_is_no_power_of_two_is_refused(resolution):
    with pytest.raises(InputError, match=rf"8, 16, 32, ... pixels a side, found {resolution}"):
        Generator(resolution, PAPER)


@pytest.mark.parametrize(("kernel", "padding"), [(5, (1, 2)), (3, (0, 1))])
def test_padding_is_that_of_tensorflow(kernel, padding):
    assert same_padding(kernel) == padding


def test_a_strided_convolution_begins_one_pixel_before_the_film():
    layer = Down(1, 1, 5)
    nn.init.zeros_(layer.bias)
    film, kernel = np.random.default_rng(0).normal(size=(8, 8)), layer.weight.detach().numpy()[0, 0]
    padded = np.zeros((11, 11))
    padded[1:9, 1:9] = film
    expected = [[(padded[2 * y : 2 * y + 5, 2 * x : 2 * x + 5] * kernel).sum() for x in range(4)] for y in range(4)]
    made = layer(torch.from_numpy(film).float()[None, None])[0, 0].detach().numpy()
    np.testing.assert_allclose(made, expected, atol=1e-5)


@pytest.mark.parametrize("kernel", [3, 5])
def test_the_transposed_convolution_is_the_exact_adjoint(kernel):
    down, up = Down(3, 4, kernel).double(), Up(4, 3, kernel).double()
    for layer in (down, up):
        nn.init.zeros_(layer.bias)
    with torch.no_grad():
        up.weight.copy_(down.weight)
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 16, 16, generator=rng, dtype=torch.float64)
    y = torch.randn(2, 4, 8, 8, generator=rng, dtype=torch.float64)
    assert torch.allclose((down(x) * y).sum(), (x * up(y)).sum(), rtol=1e-12)


def test_weights_start_with_a_standard_deviation_of_0_05_and_biases_at_zero():
    with seeded(0):
        networks = (Generator(128, PAPER), Discriminator(128, PAPER))
    for network in networks:
        for layer in network.modules():
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                assert layer.weight.detach().std().item() == pytest.approx(0.05, rel=0.03)
                assert layer.weight.detach().mean().item() == pytest.approx(0, abs=2e-3)
                assert not layer.bias.any()


def test_the_loss_is_the_sigmoid_cross_entropy_of_the_difference_of_the_logits():
    logits = torch.tensor([[0.3, -1.0], [2.0, 0.5]])
    difference = logits[:, 1] - logits[:, 0]
    assert torch.allclose(cross_entropy(logits, 1), F.softplus(-difference).mean())
    assert torch.allclose(cross_entropy(logits, 0), F.softplus(difference).mean())


@pytest.mark.parametrize("saturating", [False, True])
def test_both_networks_change_from_one_forward_pass_at_the_weights_before(saturating):
    settings = replace(TINY, saturating=saturating, timeline=0)
    films = np.random.default_rng(0).integers(0, 256, (8, 2, SIDE, SIDE), dtype=np.uint8)
    recipe, by_hand = (seeded_recipe(films, settings) for _ in range(2))
    recipe.optimizers()
    rows = torch.arange(8)
    with seeded(3):
        recipe.step({"rows": rows}, Step(0, 6, make_fabric("cpu", float32=True)))
    with seeded(3):
        fake = by_hand.generator(torch.rand(8, 8) * 2 - 1)
    on_fake = by_hand.discriminator(fake)
    on_real = by_hand.discriminator(torch.from_numpy(films).float() / 127.5 - 1)
    d_loss = cross_entropy(on_real, 1) + cross_entropy(on_fake, 0)
    g_loss = -cross_entropy(on_fake, 0) if saturating else cross_entropy(on_fake, 1)
    d_weights, g_weights = list(by_hand.discriminator.parameters()), list(by_hand.generator.parameters())
    expected_d = torch.autograd.grad(d_loss, d_weights, retain_graph=True)
    expected_g = torch.autograd.grad(g_loss, g_weights)
    for network, expected in ((recipe.discriminator, expected_d), (recipe.generator, expected_g)):
        for weight, gradient in zip(network.parameters(), expected, strict=True):
            assert torch.allclose(weight.grad, gradient, atol=1e-6)
    changed = [not torch.equal(a, b) for a, b in zip(recipe.generator.parameters(), g_weights, strict=True)]
    assert sum(changed) > len(changed) // 2


def seeded_recipe(films: np.ndarray, settings: DCGANPairSettings) -> DCGANRecipe:
    with seeded(0):
        return DCGANRecipe(films, settings)


def test_a_training_that_was_stopped_goes_on_to_the_same_weights_and_timeline(tmp_path):
    films = np.random.default_rng(0).integers(0, 256, (12, 2, SIDE, SIDE), dtype=np.uint8)
    settings = replace(TINY, average=0.9)
    whole = seeded_recipe(films, settings)
    train(whole, RowNumbers(12), steps=6, seed=0)
    stopped_after(3, seeded_recipe(films, settings), RowNumbers(12), tmp_path, steps=6)
    resumed = seeded_recipe(films, settings)
    train(resumed, RowNumbers(12), steps=6, seed=0, checkpoints=tmp_path)
    for name, network in whole.networks().items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, resumed.networks()[name].state_dict()[key]), (name, key)
    assert whole.timeline.films.any(dim=(1, 2, 3)).all()


@cache
def fitted() -> DCGANPair:
    provider = DCGANPair(replace(TINY, steps=300, average=0.9))
    provider.fit(chests(), seed=0, progress=Progress())
    return provider


def sampled(provider: DCGANPair, n: int = 20, seed: int = 0) -> Dataset:
    return collect("dcgan_pair", provider, chests(), n, seed=seed, progress=Progress())


def test_a_short_training_makes_films_whose_lungs_are_dark_and_where_the_patient_has_them():
    films = sampled(fitted())
    assert films.organs == ("left_lung", "right_lung") and len(films) == 20
    left, right = np.moveaxis(films.organ_masks(), 1, 0)
    assert films.images[left | right].mean() + 20 < films.images[~(left | right)].mean()
    columns = np.arange(SIDE)
    for one, other in zip(left, right, strict=True):
        assert (one.sum(0) * columns).sum() / one.sum() > (other.sum(0) * columns).sum() / other.sum()


def test_the_seed_decides_the_films_and_a_loaded_provider_draws_the_same(tmp_path):
    films = sampled(fitted())
    assert films.digest == sampled(fitted()).digest
    assert films.digest != sampled(fitted(), seed=1).digest
    fitted().save(tmp_path)
    loaded = DCGANPair.load(tmp_path, fitted().settings)
    assert sampled(loaded).digest == films.digest
    assert loaded.parameter_count() == fitted().parameter_count() > 0


def test_lungs_that_are_one_organ_stay_one():
    provider = DCGANPair(replace(TINY, steps=300, average=0.9))
    films = chests(organs=("lungs",))
    provider.fit(films, seed=0, progress=Progress())
    made = collect("dcgan_pair", provider, films, 8, seed=0, progress=Progress())
    assert made.organs == ("lungs",)
    np.testing.assert_array_equal(made.organ_masks()[:, 0], sampled(fitted(), 8).organ_masks().any(axis=1))


def test_the_place_of_the_lungs_is_learnt_from_the_films():
    assert find_lungs(chests()) == (("left_lung", "right_lung"), [1, 0])
    swapped = with_organs(chests(), ["heart", "right_lung", "left_lung"])
    assert find_lungs(swapped) == (("right_lung", "left_lung"), [0, 1])
    assert find_lungs(chests(organs=("lungs",))) == (("lungs",), [])


def test_a_training_set_without_lungs_is_an_input_error():
    with pytest.raises(InputError, match="one or two organs with 'lung' in their names in dataset chests, found none"):
        DCGANPair(TINY).fit(with_organs(chests(), ["heart"]), seed=0, progress=Progress())


class Drawn(DCGANPair):
    """Draws the films and masks that a test gives it, 128 at a time."""

    def __init__(self, pairs: list[np.ndarray]) -> None:
        super().__init__(TINY)
        self.side, self.lungs, self.places = SIDE, ("left_lung", "right_lung"), [1, 0]
        self.pairs, self.batches = pairs, 0

    def draw(self, rng: torch.Generator) -> np.ndarray:
        self.batches += 1
        first = SAMPLING_BATCH * (self.batches - 1)
        return np.stack([self.pairs[(first + row) % len(self.pairs)] for row in range(SAMPLING_BATCH)])


def pair(seed: int, lungs: bool = True) -> np.ndarray:
    """A film of its own, and a mask of two lungs or of none, float32 in [-1, 1]."""
    coarse = np.random.default_rng(seed).uniform(-1, 1, (8, 8)).repeat(SIDE // 8, 0).repeat(SIDE // 8, 1)
    mask = np.full((SIDE, SIDE), -1.0)
    if lungs:
        mask[4:20, 4:12] = mask[4:20, 18:28] = 1.0
    return np.stack([coarse, mask]).astype(np.float32)


def test_a_film_without_two_lungs_is_drawn_again():
    provider = Drawn([pair(index, lungs=index % 2 == 0) for index in range(2 * SAMPLING_BATCH)])
    films = sampled(provider, 10)
    assert films.organ_masks().any(axis=(2, 3)).all()
    facts = provider.facts()
    assert facts == {
        "films_drawn": 19,
        "share_without_two_lungs": round(9 / 19, 4),
        "share_near_duplicates": 0.0,
        "near_duplicates_kept": 0,
    }


def test_near_duplicates_are_refused_until_ten_films_were_drawn_per_asked_one_then_kept():
    different = [pair(index) for index in range(3)]
    faint = [film + np.float32(1e-3) * np.array([1, 0], np.float32)[:, None, None] for film in different]
    provider = Drawn([np.clip(film, -1, 1) for film in different + faint])
    films = sampled(provider, 20)
    assert len(films) == 20
    assert provider.facts() == {
        "films_drawn": 200,
        "share_without_two_lungs": 0.0,
        "share_near_duplicates": 197 / 200,
        "near_duplicates_kept": 17,
    }
    assert provider.batches == 2


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_masks_that_are_all_empty_or_full_end_in_one_clear_error(value):
    film = pair(0)
    film[1] = value
    reason = "no lung" if value < 0 else "no background"
    with pytest.raises(ProviderError, match=rf"only 0 of 128 films .* expected 4 \({reason}: 128\): train longer"):
        sampled(Drawn([film]), 4)


def test_near_duplicates_are_those_within_four_bits():
    hashes = Hashes(distance=4)
    film = ((pair(0)[0] + 1) * 127.5).astype(np.uint8)
    assert hashes.is_new(film) and not hashes.is_new(film)
    assert not hashes.is_new(np.clip(film.astype(int) + 3, 0, 255).astype(np.uint8))
    assert hashes.is_new(((pair(1)[0] + 1) * 127.5).astype(np.uint8))
    assert len(hashes.bits) == 2
    first = hashes.bits[0].copy()
    for flipped, near in ((4, True), (5, False)):
        hashes.bits = first[None] ^ (np.arange(64) < flipped)
        assert hashes.is_new(film) is not near


@pytest.mark.parametrize(("moments", "expected"), [(3, [2, 4, 6]), (4, [2, 4, 6]), (6, [1, 2, 3, 4, 5, 6]), (5, None)])
def test_the_timeline_shows_the_same_samples_at_even_moments_up_to_the_end(moments, expected):
    provider = DCGANPair(replace(TINY, timeline=moments))
    provider.fit(chests(), seed=0, progress=Progress())
    steps, films = provider.timeline()
    assert steps == (expected or [2, 4, 6])
    assert films.shape == (len(steps), 6, SIDE, SIDE) and films.dtype == np.uint8
    assert all((one != other).any() for one, other in pairwise(films))


def test_a_timeline_of_no_moments_is_none():
    provider = DCGANPair(replace(TINY, timeline=0, steps=2))
    provider.fit(chests(), seed=0, progress=Progress())
    assert provider.timeline() is None
