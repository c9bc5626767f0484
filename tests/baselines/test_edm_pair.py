"""Diffusion of film and masks: its Gaussian beginning against dense algebra, its maps, and the provider on small films."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from cxrbench.baselines import edm
from cxrbench.baselines.diffusion_base import FilmBase
from cxrbench.baselines.diffusion_training import EDM, DiffusionRecipe
from cxrbench.baselines.diffusion_unet import FilmUNet, UNetSettings
from cxrbench.baselines.edm_pair import EDMPair, EDMPairSettings
from cxrbench.baselines.signed_maps import half_widths, least_areas, organs_of, signed_maps
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.training.loop import seeded, train
from cxrbench.benchmark.training.recipe import RowNumbers

from ..organs import with_organs
from ..stopped import stopped_after
from .test_dcgan_pair import SIDE, chests

UNET = UNetSettings(channels=(8, 16), res_blocks=1, attention=(False, False), norm_groups=4, fold=2)
TINY = EDMPairSettings(
    unet=UNET, steps=6, batch_size=8, learning_rate=3e-3, warm_up=16, components=4, timeline=2, compared_steps=(2, 4)
)


def films_of(count: int = 12, channels: int = 2, side: int = 4) -> torch.Tensor:
    """Films that differ along three directions and by a little noise."""
    with seeded(0):
        axes = torch.randn(3, channels, side, side)
        return torch.einsum("nk,kchw->nchw", torch.randn(count, 3), axes) + 0.1 * torch.randn(
            count, channels, side, side
        )


def test_without_components_the_base_is_the_preconditioning_of_the_paper():
    base, noisy, sigma = FilmBase(2, 4), torch.randn(3, 2, 4, 4), torch.tensor([0.1, 1.0, 30.0])

    def network(scaled, noise):
        return scaled * 2 + noise.view(-1, 1, 1, 1)

    assert torch.allclose(base.denoised(network, noisy, sigma), edm.denoised(network, noisy, sigma), atol=1e-6)
    with seeded(1):
        ours = base.loss(network, noisy, sigma)
    with seeded(1):
        theirs = edm.loss(network, noisy, sigma)
    assert torch.allclose(ours, theirs, rtol=1e-5)


def test_standard_values_have_no_mean_and_the_spread_of_the_paper_in_every_channel():
    films = films_of() * torch.tensor([1.0, 20.0]).view(1, 2, 1, 1) + 5
    base = FilmBase(2, 4)
    base.learn(films)
    values = base(films)
    assert torch.allclose(values.mean(0), torch.zeros(2, 4, 4), atol=1e-4)
    assert values.square().mean(dim=(0, 2, 3)).sqrt().tolist() == pytest.approx([0.5, 0.5], rel=1e-4)
    assert torch.allclose(base.back(values), films, atol=1e-4)


def test_the_guess_and_what_it_leaves_are_those_of_the_whole_covariance():
    base = FilmBase(2, 4, components=3)
    base.learn(films_of())
    axes = base.axes.double()
    assert torch.allclose(axes @ axes.T, torch.eye(3, dtype=torch.float64), atol=1e-5)
    rest = base.rest.double()
    covariance = axes.T @ torch.diag(base.variances.double() - rest) @ axes + rest * torch.eye(32)
    values = base(films_of()).flatten(1).double()
    assert torch.trace(covariance).item() == pytest.approx((values.square().sum() / len(values)).item(), rel=1e-5)
    noisy = torch.randn(2, 2, 4, 4)
    for sigma in (0.05, 0.7, 10.0):
        filter_of = covariance @ torch.linalg.inv(covariance + sigma**2 * torch.eye(32))
        guess = base.guess(noisy, torch.full((2,), sigma)).flatten(1).double()
        assert torch.allclose(guess, noisy.flatten(1).double() @ filter_of.T, atol=1e-5)
        left = torch.trace(covariance - filter_of @ covariance) / 32
        assert base.left(torch.tensor([sigma])).item() == pytest.approx(left.sqrt().item(), rel=1e-4)


def test_a_sampling_begins_as_wide_as_the_films_are_under_the_first_noise():
    base, films = FilmBase(2, 4, components=3), films_of(400)
    base.learn(films)
    with seeded(0):
        start = torch.randn(4000, 2, 4, 4)
    begun = 2.0 * base.begin(start, 2.0).flatten(1)
    along = (begun @ base.axes.T).square().mean(0)
    assert torch.allclose(along, base.variances + 4.0, rtol=0.06)
    across = begun - begun @ base.axes.T @ base.axes
    assert across.square().sum(1).mean().item() == pytest.approx(29 * 4.0, rel=0.03)
    assert torch.equal(FilmBase(2, 4).begin(start, 80.0), start)


def test_more_components_than_half_the_films_are_left_out():
    base = FilmBase(2, 4, components=9)
    base.learn(films_of(8))
    assert (base.axes[4:] == 0).all() and (base.variances[4:] == base.rest).all() and base.axes[3].any()
    noisy = torch.randn(1, 2, 4, 4)
    smaller = FilmBase(2, 4, components=4)
    smaller.learn(films_of(8))
    sigma = torch.tensor([0.3])
    assert torch.allclose(base.guess(noisy, sigma), smaller.guess(noisy, sigma), atol=1e-5)
    assert torch.allclose(base.left(sigma), smaller.left(sigma), rtol=1e-5)


def test_a_network_that_adds_nothing_draws_the_gaussian_of_the_films():
    films, noise = films_of(400), edm.Noise(sigma_max=3.0, sigma_min=0.02, sampler_steps=8)
    base = FilmBase(2, 4, components=3)
    base.learn(films)
    with seeded(2):
        start = torch.randn(4000, 2, 4, 4)
    made = EDM(base, noise).draw(lambda scaled, noise, **known: torch.zeros_like(scaled), start, {})
    wanted, found = torch.cov(films.flatten(1).T), torch.cov(made.flatten(1).T)
    assert (found - wanted).norm() < 0.1 * wanted.norm()


def test_the_map_of_an_organ_is_its_distance_in_half_widths():
    masks = np.zeros((2, 2, 9, 9), dtype=bool)
    masks[:, 0, 2:7, 1:8] = True  # 5 high: half width 3 pixels to the outside
    masks[0, 1, 4, 1:8] = True  # one pixel high; not in the second film
    widths = half_widths(masks)
    assert widths == (3.0, 1.0)
    maps = signed_maps(masks, widths)
    assert maps[0, 0, :, 4].tolist() == pytest.approx(
        np.clip(np.array([-1.5, -0.5, 0.5, 1.5, 2.5, 1.5, 0.5, -0.5, -1.5]) / 3, -1, 1)
    )
    assert maps[0, 1, 2:7, 4].tolist() == [-1, -0.5, 0.5, -0.5, -1]
    assert (maps[1, 1] == -1).all()
    assert np.array_equal(organs_of(maps, (1, 1), (0, 0))[0], masks)
    assert least_areas(masks) == (35, 0)


def test_stray_pieces_of_an_organ_are_left_out():
    maps = np.full((1, 2, 8, 8), -1.0)
    maps[0, :, 1:4, 1:4] = maps[0, :, 6, 6] = maps[0, :, 1, 6:8] = 1.0
    masks, _ = organs_of(maps, (1, 2), (0, 0))
    assert masks[0, 0].sum() == 9 and masks[0, 1].sum() == 11 and not masks[0, 1, 6, 6]


def test_an_organ_that_is_drawn_too_small_gets_its_least_area_where_its_map_is_highest():
    maps = np.full((2, 1, 6, 6), -1.0)
    maps[0, 0, 2, 1:5] = [-0.4, -0.1, -0.2, -0.3]
    maps[1, 0, 2, 1:5] = 0.5
    masks, small = organs_of(maps, (1,), (3,))
    assert masks[0, 0, 2].tolist() == [False, False, True, True, True, False] and masks[0].sum() == 3
    assert masks[1].sum() == 4 and small.tolist() == [[True], [False]]


def test_a_folded_network_keeps_the_place_of_every_pixel():
    network = FilmUNet(UNET, 3, 16, beside=3)
    made = network(torch.randn(2, 3, 16, 16), torch.zeros(2), beside=torch.randn(2, 3, 16, 16))
    assert made.shape == (2, 3, 16, 16)
    network.unet = Through()
    films = torch.randn(2, 3, 16, 16)
    assert torch.equal(network(films, torch.zeros(2)), films)


class Through(torch.nn.Module):
    """Gives back what it gets."""

    def forward(self, films, noise, class_labels=None):
        return films


def recipe() -> DiffusionRecipe:
    with seeded(0):
        films = torch.randn(12, 2, 16, 16)
        base = FilmBase(2, 16, 2)
        base.learn(films)
        return DiffusionRecipe(FilmUNet(UNET, 2, 16, beside=2), EDM(base, edm.Noise()), films, TINY)


def test_a_training_that_was_stopped_goes_on_to_the_same_weights_and_timeline(tmp_path):
    whole, resumed = recipe(), recipe()
    train(whole, RowNumbers(12), steps=6, seed=0)
    stopped_after(3, recipe(), RowNumbers(12), tmp_path, steps=6)
    train(resumed, RowNumbers(12), steps=6, seed=0, checkpoints=tmp_path)
    for name, network in whole.networks().items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, resumed.networks()[name].state_dict()[key]), (name, key)
    assert torch.equal(whole.timeline.films, resumed.timeline.films) and whole.timeline.films.any()


def test_the_rate_rises_over_its_films_and_falls_along_a_cosine():
    made = recipe()
    made.settings = replace(TINY, steps=100, warm_up=80, decay=True, learning_rate=1.0)
    assert [made.rate(index) for index in (0, 4)] == pytest.approx([0.1, 0.5 * (1 + np.cos(0.04 * np.pi)) / 2])
    assert made.rate(50) == pytest.approx(0.5) and made.rate(99) < 0.001


def test_the_weight_of_a_channel_is_in_the_loss():
    films = torch.zeros(4, 2, 16, 16)

    class Ones:
        def loss(self, network, films, known):
            return network(films, torch.zeros(len(films))) * 0 + 1

    made = DiffusionRecipe(FilmUNet(UNET, 2, 16), Ones(), films, replace(TINY, timeline=0), weights=[1.0, 3.0])
    history = train(made, RowNumbers(4), steps=1, seed=0)
    assert history.rows[-1]["denoising"] == pytest.approx(2.0)


@cache
def fitted() -> EDMPair:
    provider = EDMPair(replace(TINY, steps=60, components=8, noise=edm.Noise(sigma_max=5.0, sampler_steps=8)))
    provider.fit(chests(), seed=0, progress=Progress())
    return provider


def sampled(provider: EDMPair, n: int = 20, seed: int = 0) -> Dataset:
    return collect("edm_pair", provider, chests(), n, seed=seed, progress=Progress())


def test_a_short_training_makes_films_whose_organs_are_where_the_film_shows_them():
    films = sampled(fitted())
    assert films.organs == ("left_lung", "right_lung", "heart") and len(films) == 20
    masks = films.organ_masks()
    assert masks.any(axis=(2, 3)).mean() > 0.95
    lungs = masks[:, :2].any(axis=1)
    assert films.images[lungs].mean() + 30 < films.images[~lungs & ~masks[:, 2]].mean()
    assert films.images[masks[:, 2] & ~lungs].mean() > films.images[lungs].mean() + 60


def test_the_seed_decides_the_films_and_a_loaded_provider_draws_the_same(tmp_path):
    films = sampled(fitted())
    assert films.digest == sampled(fitted()).digest != sampled(fitted(), seed=1).digest
    assert np.array_equal(sampled(fitted(), 5).images, films.images[:5])
    fitted().save(tmp_path)
    loaded = EDMPair.load(tmp_path, fitted().settings)
    assert sampled(loaded).digest == films.digest
    assert loaded.parameter_count() == fitted().parameter_count() > 0


def test_steps_of_the_sampler_are_a_setting_and_their_worth_is_in_the_report():
    facts = {name: value for name, value in fitted().facts().items() if name.startswith("energy")}
    assert list(facts) == ["energy_distance_at_2_steps", "energy_distance_at_4_steps"]
    assert facts["energy_distance_at_2_steps"] > facts["energy_distance_at_4_steps"]
    shown = fitted().timeline()
    assert set(shown) == {"pairs", "the same films by steps of the sampler"}
    steps, pictures = shown["the same films by steps of the sampler"]
    assert steps == [2, 4] and pictures.shape == (2, 4, SIDE, SIDE)
    few = EDMPair(replace(fitted().settings, noise=edm.Noise(sampler_steps=2)))
    few.take(fitted().networks())
    few.built_for, few.parts, few.least = fitted().built_for, fitted().parts, fitted().least
    assert not np.array_equal(sampled(few).images, sampled(fitted()).images)


def test_films_without_masks_and_sides_that_cannot_be_halved_are_refused():
    with pytest.raises(InputError, match="learns from organ masks; dataset chests has none"):
        EDMPair(TINY).fit(with_organs(chests(), []), seed=0, progress=Progress())
    settings = replace(TINY, unet=replace(UNET, channels=(8, 8, 8, 8, 8), attention=(False,) * 5, fold=4))
    with pytest.raises(InputError, match="a multiple of 64, found 32"):
        EDMPair(settings).fit(chests(), seed=0, progress=Progress())
