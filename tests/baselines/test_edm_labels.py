"""Diffusion of films whose findings are told: what the network is told, guidance, the linear beginning, small films."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from cxrbench.baselines import edm
from cxrbench.baselines.diffusion_base import FilmBase
from cxrbench.baselines.diffusion_training import EDM
from cxrbench.baselines.edm_labels import RIDGE, EDMLabels, EDMLabelsSettings, Told, guided, mean_effects, told
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.training.loop import seeded

from .test_edm_pair import UNET

SIDE, FINDINGS = 16, ("Left", "Right")
TINY = EDMLabelsSettings(
    noise=edm.Noise(sampler_steps=4, sigma_min=0.02, sigma_max=5.0),
    unet=UNET,
    steps=150,
    batch_size=16,
    learning_rate=4e-3,
    warm_up=32,
    decay=True,
    components=4,
    linear=True,
    timeline=2,
    compared_steps=(2, 4),
)

PLAIN = replace(TINY, linear=False, components=0, noise=edm.Noise(sampler_steps=8), steps=250)


def halves(count: int = 48) -> Dataset:
    """Films whose left or right half is light where they have that finding; a few of them both."""
    rng = np.random.default_rng(0)
    labels = (rng.random((count, 2)) < 0.5).astype(np.uint8)
    images = (
        np.full((count, SIDE, SIDE), 60.0) + rng.normal(0, 6, (count, 1, 1)) + rng.normal(0, 3, (count, SIDE, SIDE))
    )
    images[:, :, : SIDE // 2] += 110 * labels[:, :1, None]
    images[:, :, SIDE // 2 :] += 110 * labels[:, 1:, None]
    ids = [f"case{index}" for index in range(count)]
    cases = pd.DataFrame({"id": ids, "patient": ids, "Left": labels[:, 0], "Right": labels[:, 1]})
    return Dataset(DatasetInfo(name="halves", resolution=SIDE, findings=FINDINGS), images.astype(np.uint8), cases)


def test_findings_that_are_not_told_are_another_thing_than_no_findings():
    labels = torch.tensor([[1, 0], [1, 1], [0, 0]])
    assert told(labels).tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert told(labels, torch.tensor([False, True, True])).tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]


def test_guidance_goes_on_from_what_is_drawn_without_findings():
    def network(scaled, noise, *, labels, **known):
        return scaled * 0 + labels[:, 0].view(-1, 1, 1, 1) * 3 + labels[:, -1].view(-1, 1, 1, 1)

    scaled, labels = torch.zeros(1, 1, 2, 2), told(torch.tensor([[1, 0]]))
    assert guided(network, 1.0) is network
    assert guided(network, 2.5)(scaled, None, labels=labels).flatten().tolist() == [1 + 2.5 * (3 - 1)] * 4
    assert guided(network, 0.0)(scaled, None, labels=labels).flatten().tolist() == [1.0] * 4


def test_a_share_of_the_training_films_is_learnt_without_their_findings():
    heard: list[torch.Tensor] = []

    def network(scaled, noise, *, labels):
        heard.append(labels)
        return torch.zeros_like(scaled)

    process = Told(EDM(FilmBase(1, 4), edm.Noise()), None, 0.25, 1.0)
    with seeded(0):
        process.loss(network, torch.zeros(4000, 1, 4, 4), {"labels": torch.ones(4000, 2)})
    silent = heard[0][:, -1] == 1
    assert silent.float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert (heard[0][silent, :2] == 0).all() and (heard[0][~silent, :2] == 1).all()


def test_what_a_finding_adds_to_the_mean_film_is_least_squares_with_a_ridge():
    labels = np.array([[0.0], [0.0], [1.0], [1.0]])
    films = np.array([0.0, 2.0, 4.0, 6.0])[:, None, None] * np.ones((1, 2, 2))
    # sum of centred products 4 * 0.5 * 2 = 4; of squares 1, and the ridge
    assert mean_effects(films, labels).ravel() == pytest.approx([4.0 / (1.0 + RIDGE)] * 4)


def test_findings_move_the_mean_film_and_a_zero_network_draws_it():
    effects = torch.stack([torch.full((4, 4), 0.5), torch.full((4, 4), -1.0)])
    process = Told(EDM(FilmBase(1, 4), edm.Noise()), effects, 0.1, 1.0)
    labels, start = torch.tensor([[1, 0], [1, 1]]), torch.zeros(2, 1, 4, 4)
    made = process.draw(lambda scaled, noise, **known: torch.zeros_like(scaled), start, {"labels": labels})
    assert made[0].flatten().tolist() == pytest.approx([0.5] * 16)
    assert made[1].flatten().tolist() == pytest.approx([-0.5] * 16)


@cache
def fitted(linear: bool = True) -> EDMLabels:
    provider = EDMLabels(TINY if linear else PLAIN)
    provider.fit(halves(), seed=0, progress=Progress())
    return provider


def sampled(provider: EDMLabels, n: int = 40, seed: int = 0) -> Dataset:
    return collect("edm_labels", provider, halves(), n, seed=seed, progress=Progress())


@pytest.mark.parametrize("linear", [True, False])
def test_films_show_the_findings_that_they_are_labelled_with_several_at_once(linear):
    films = sampled(fitted(linear))
    labels = films.labels()
    assert {tuple(row) for row in labels.tolist()} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    for column, half in ((0, films.images[:, :, : SIDE // 2]), (1, films.images[:, :, SIDE // 2 :])):
        light = half.mean(axis=(1, 2))
        assert light[labels[:, column] == 1].mean() > light[labels[:, column] == 0].mean() + 40


def test_the_seed_decides_the_films_and_a_loaded_provider_draws_the_same(tmp_path):
    films = sampled(fitted())
    assert films.digest == sampled(fitted()).digest != sampled(fitted(), seed=1).digest
    assert np.array_equal(sampled(fitted(), 5).images, films.images[:5])
    fitted().save(tmp_path)
    loaded = EDMLabels.load(tmp_path, fitted().settings)
    assert sampled(loaded).digest == films.digest
    assert loaded.parameter_count() == fitted().parameter_count() > 0


def test_guidance_and_steps_are_settings_and_steps_are_compared(tmp_path):
    fitted().save(tmp_path)
    other = EDMLabels.load(tmp_path, replace(fitted().settings, guidance=3.0))
    assert not np.array_equal(sampled(other, 4).images, sampled(fitted(), 4).images)
    assert list(fitted().facts()) == ["energy_distance_at_2_steps", "energy_distance_at_4_steps"]
    assert set(fitted().timeline()) == {"films", "the same films by steps of the sampler"}


def test_films_without_findings_are_refused():
    films = halves()
    with pytest.raises(InputError, match="learns from findings; dataset halves has none"):
        EDMLabels(TINY).fit(replace(films, info=films.info.changed(findings=())), seed=0, progress=Progress())
    with pytest.raises(InputError, match="components need linear=true"):
        EDMLabels(replace(TINY, linear=False)).fit(films, seed=0, progress=Progress())
