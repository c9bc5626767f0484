"""The LSGAN against the counts of its paper and hand computations, the provider on small films, and what it shares with
the paper's other generators: preparation, length of training, sampling, keeping."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cxrbench.baselines.kumar_films import SHOWN, Schedule, prepare, restore
from cxrbench.baselines.lsgan import (
    LSGAN,
    LSGAN224,
    Discriminator,
    LSGANRecipe,
    LSGANSettings,
    d_loss,
    draw_latents,
    g_loss,
    make_generator,
)
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.training.loop import make_fabric, seeded, train
from cxrbench.benchmark.training.recipe import RowNumbers, Step

SIDE = 32
TINY = LSGANSettings(
    side=SIDE,
    equalise=False,
    generator_maps=(32, 16, 8),
    discriminator_maps=(8, 16, 32),
    latent=8,
    batch_size=8,
    least_steps=6,
    most_steps=6,
    learning_rate=2e-3,
    timeline=3,
)


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def chests(films: int = 24, side: int = SIDE) -> Dataset:
    """Films of two dark lungs at random places."""
    rng = np.random.default_rng(0)
    images = 110 + rng.normal(0, 3, (films, side, side))
    for film in images:
        top, left = rng.integers(2, 8, 2)
        film[top : top + 18, left + 14 : left + 21] = 50
        film[top : top + 16, left : left + 8] = 40
    ids = [f"case{index}" for index in range(films)]
    cases = pd.DataFrame({"id": ids, "patient": ids})
    return Dataset(DatasetInfo(name="chests", resolution=side), images.astype(np.uint8), cases)


@pytest.mark.parametrize("settings", [LSGAN.presets["paper"], LSGAN224.presets["paper"]])
def test_the_paper_networks_have_the_exact_parameter_counts(settings):
    assert count(make_generator(settings)) == 3_606_976
    assert count(Discriminator(settings.discriminator_maps)) == 2_795_904


@pytest.mark.parametrize(("provider", "latents", "sides"), [(LSGAN, 1, [4, 8, 16, 32, 64, 128]),
                                                            (LSGAN224, 4, [7, 14, 28, 56, 112, 224])])  # fmt: skip
def test_the_generator_doubles_from_one_latent_to_128_and_from_16_latents_to_224(provider, latents, sides):
    settings = provider.presets["paper"]
    films = draw_latents(settings, 1)
    assert films.shape == (1, 100, latents, latents)
    found = []
    for layer in make_generator(settings):
        films = layer(films)
        if isinstance(layer, nn.ConvTranspose2d):
            found.append(films.shape[-1])
    assert found == sides
    assert Discriminator(settings.discriminator_maps)(films).shape == (1, 1, latents, latents)


def test_losses_are_those_of_the_paper():
    on_real, on_fake = torch.tensor([1.0, 3.0]), torch.tensor([0.0, -1.0])
    assert d_loss(on_real, on_fake) == 0.5 * (0 + 4) / 2 + 0.5 * (1) / 2
    assert g_loss(on_fake) == 0.5 * (1 + 4) / 2
    assert d_loss(torch.ones(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)) == 0


def recipe(settings: LSGANSettings = TINY) -> LSGANRecipe:
    with seeded(0):
        made = LSGANRecipe(chests().images, settings)
    made.optimizers()
    return made


@pytest.mark.parametrize("updates", [1, 3])
def test_a_step_updates_the_discriminator_once_and_the_generator_as_often_as_set(updates):
    trained = recipe(replace(TINY, generator_steps=updates))
    trained.step({"rows": torch.arange(8)}, Step(0, 6, make_fabric("cpu", float32=True)))
    steps = {name: {int(state["step"]) for state in adam.state.values()}
             for name, adam in (("g", trained.adam_g), ("d", trained.adam_d))}  # fmt: skip
    assert steps == {"g": {updates}, "d": {1}}
    assert all(weight.requires_grad for weight in trained.discriminator.parameters())
    assert LSGAN.presets["paper"].generator_steps == 3


def test_the_discriminator_learns_from_films_scaled_to_minus_one_and_one_and_fresh_ones_of_the_generator():
    trained, by_hand = recipe(replace(TINY, generator_steps=1)), recipe()
    with seeded(3):
        trained.step({"rows": torch.arange(8)}, Step(0, 6, make_fabric("cpu", float32=True)))
    with seeded(3):
        fake = by_hand.generator(torch.randn(8, 8, 1, 1)).detach()
    real = torch.from_numpy(chests().images[:8])[:, None].float() / 127.5 - 1
    loss = 0.5 * (by_hand.discriminator(real) - 1).square().mean() + 0.5 * by_hand.discriminator(fake).square().mean()
    expected = torch.autograd.grad(loss, list(by_hand.discriminator.parameters()))
    for weight, gradient in zip(trained.discriminator.parameters(), expected, strict=True):
        assert torch.allclose(weight.grad, gradient, atol=1e-6)


def test_latents_are_normal_or_uniform():
    rng = torch.Generator().manual_seed(0)
    assert draw_latents(TINY, 500, rng).abs().max() > 2
    uniform = draw_latents(replace(TINY, noise="uniform"), 500, rng)
    assert uniform.abs().max() <= 1 and abs(float(uniform.var()) - 1 / 3) < 0.02


@pytest.mark.parametrize("change", [{"side": 30}, {"side": 24}, {"generator_maps": (8, 8, 8, 8)}])
def test_levels_that_do_not_make_the_side_are_an_input_error(change):
    with pytest.raises(InputError, match=r"levels makes films of .* pixels, found side="):
        LSGAN(replace(TINY, **change)).fit(chests(), seed=0, progress=Progress())


@cache
def fitted() -> LSGAN:
    settings = replace(TINY, least_steps=120, most_steps=120, generator_steps=1, average=0.9)
    provider = LSGAN(settings)
    provider.fit(chests(), seed=0, progress=Progress())
    return provider


def sampled(provider: LSGAN, n: int = 20, seed: int = 0) -> Dataset:
    return collect("lsgan", provider, chests(), n, seed=seed, progress=Progress())


def test_a_short_training_makes_films_with_dark_lungs():
    made, real = sampled(fitted(), 64).images.mean(0), chests().images.mean(0)
    assert np.corrcoef(made.ravel(), real.ravel())[0, 1] > 0.8


def test_the_seed_decides_the_films_and_a_loaded_provider_draws_the_same(tmp_path):
    films = sampled(fitted())
    assert films.digest == sampled(fitted()).digest
    assert films.digest != sampled(fitted(), seed=1).digest
    fitted().save(tmp_path)
    loaded = LSGAN.load(tmp_path, fitted().settings)
    assert sampled(loaded).digest == films.digest
    assert loaded.parameter_count() == fitted().parameter_count() == count(make_generator(TINY))
    assert loaded.histories() == fitted().histories()


def test_the_first_films_do_not_depend_on_how_many_are_asked_for():
    np.testing.assert_array_equal(sampled(fitted(), 70).images[:20], sampled(fitted(), 20).images)


def test_two_fits_of_one_seed_are_the_same_and_of_two_seeds_are_not():
    def fit(seed: int) -> str:
        provider = LSGAN(TINY)
        provider.fit(chests(), seed=seed, progress=Progress())
        return sampled(provider).digest

    assert fit(0) == fit(0) != fit(1)


def test_the_timeline_shows_the_same_samples_at_even_moments_and_changes_nothing():
    shown = LSGAN(TINY)
    shown.fit(chests(), seed=0, progress=Progress())
    steps, films = shown.timeline()
    assert list(steps) == [2, 4, 6] and films.shape == (3, SHOWN, SIDE, SIDE) and films.dtype == np.uint8
    hidden = LSGAN(replace(TINY, timeline=0))
    hidden.fit(chests(), seed=0, progress=Progress())
    assert hidden.timeline() is None
    assert sampled(hidden).digest == sampled(shown).digest
    # the last moment are the films of the finished training
    draw = shown.draw(torch.Generator().manual_seed(0))[0][:SHOWN].detach().numpy()
    assert np.abs(films[-1] / 255 - draw).max() < 0.01


def test_checkpoints_keep_the_running_mean(tmp_path):
    settings = replace(TINY, average=0.9)
    whole = recipe(settings)
    train(whole, RowNumbers(24), steps=6, seed=0)
    assert any(name.startswith("module.") for name in whole.networks()["average"].state_dict())
    assert not torch.equal(whole.average.module[0].weight, whole.generator[0].weight)
    assert whole.sampler() is whole.average.module and recipe().sampler() is not recipe().average.module


def test_films_of_another_resolution_are_resized_for_the_network_and_back():
    provider, films = LSGAN(TINY), chests(side=48)
    provider.fit(films, seed=0, progress=Progress())
    made = collect("lsgan", provider, films, 5, seed=0, progress=Progress())
    assert made.images.shape == (5, 48, 48) and not made.annotations


def test_equalised_films_have_even_greys_after_resizing():
    films = np.tile(np.linspace(100, 140, 64).astype(np.uint8), (3, 64, 1))
    plain, even = prepare(films, 32, equalise=False), prepare(films, 32, equalise=True)
    assert plain.shape == even.shape == (3, 32, 32)
    assert plain.min() >= 100 and plain.max() <= 140
    assert even.min() == 0 and even.max() == 255 and abs(float(np.median(even)) - 127) < 10
    assert not np.shares_memory(prepare(films, 64, equalise=False), films)
    assert {name: preset.equalise for name, preset in LSGAN.presets.items()} == {
        "quick": False,
        "standard": False,
        "paper": True,
    }


def test_restored_films_have_the_area_mean():
    film = np.zeros((1, 4, 4), dtype=np.float32)
    film[0, :2, :2] = [[0.0, 1.0], [1.0, 0.0]]
    np.testing.assert_allclose(restore(film, 2)[0, 0], [[0.5, 0], [0, 0]])
    assert restore(film * 3, 4).max() == 1 and restore(film, 4).shape == (1, 1, 4, 4)


def test_the_length_is_in_epochs_between_a_floor_and_a_cap():
    schedule = Schedule(batch_size=10, epochs=2.0, least_steps=5, most_steps=50)
    assert [schedule.steps(films) for films in (3, 31, 1000)] == [5, 7, 50]
    assert replace(schedule, most_steps=0).steps(1000) == 200
    assert LSGAN.presets["paper"].steps(86_524) == 6_760  # five epochs of batches of 64
