"""Flow matching against hand computations, a known flow and half circles in the plane; the provider on small films."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from cxrbench.baselines import flow
from cxrbench.baselines.diffusion_base import FilmBase
from cxrbench.baselines.diffusion_training import energy_distance
from cxrbench.baselines.flow import Flow
from cxrbench.baselines.flow_maps import FlowMaps, FlowMapsSettings, FlowSettings
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.training.loop import seeded

from .test_edm import Plane, two_moons
from .test_edm_pair import UNET, films_of
from .test_multi_stage import FILMS, SIDE, chests


def test_a_path_is_straight_and_its_velocity_the_difference_of_its_ends():
    start, end = torch.tensor([[1.0, 0.0], [2.0, 2.0]]), torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    x, velocity = flow.between(start, end, torch.tensor([0.25, 1.0]))
    assert x.tolist() == [[1.5, 1.0], [0.0, 2.0]] and velocity.tolist() == [[2.0, 4.0], [-2.0, 0.0]]


def test_one_step_of_the_midpoint_method_by_hand():
    made = flow.follow(lambda x, t: x * (1 + t[:, None]), torch.tensor([[2.0]]), 1)
    assert made.item() == pytest.approx(2 + (2 + 0.5 * 2) * 1.5)
    with pytest.raises(InputError, match="at least one step, found 0"):
        flow.follow(lambda x, t: x, torch.tensor([[2.0]]), 0)


def test_the_loss_is_the_squared_error_of_the_velocity_by_hand():
    base, films = FilmBase(1, 4), torch.randn(3, 1, 4, 4)
    with seeded(5):
        made = Flow(base).loss(lambda x, t, **known: torch.zeros_like(x), films, {})
    with seeded(5):
        torch.rand(3)
        noise = torch.randn(3, 1, 4, 4)
    assert torch.allclose(made, (2 * films - noise).square())


def test_the_gaussian_velocity_is_that_of_the_whole_covariance():
    base = FilmBase(2, 4, components=3)
    base.learn(films_of())
    rest = base.rest.double()
    axes = base.axes.double()
    covariance = 4 * (axes.T @ torch.diag(base.variances.double() - rest) @ axes + rest * torch.eye(32))
    x, eye = torch.randn(1, 2, 4, 4), torch.eye(32, dtype=torch.float64)
    for t in (0.0, 0.3, 0.9, 1.0):
        under = t**2 * covariance + (1 - t) ** 2 * eye  # of x_t; beside the velocity: t covariance - (1 - t)
        slope = (t * covariance - (1 - t) * eye) @ torch.linalg.inv(under)
        guess, left = Flow(base).gaussian(x, torch.tensor([t]))
        assert torch.allclose(guess.flatten().double(), slope @ x.flatten().double(), atol=1e-4, rtol=1e-4)
        kept = covariance + eye - slope @ (t * covariance - (1 - t) * eye)
        assert left.item() == pytest.approx(math.sqrt(torch.trace(kept).item() / 32), rel=1e-3)


def test_a_network_that_adds_nothing_draws_the_gaussian_of_the_films():
    films = films_of(400)
    base = FilmBase(2, 4, components=3)
    base.learn(films)
    with seeded(2):
        start = torch.randn(4000, 2, 4, 4)
    made = Flow(base, 24).draw(lambda x, t, **known: torch.zeros_like(x), start, {})
    wanted, found = torch.cov(films.flatten(1).T), torch.cov(made.flatten(1).T)
    assert (found - wanted).norm() < 0.1 * wanted.norm()


@pytest.fixture(scope="module")
def learnt() -> nn.Module:
    with seeded(0):
        network = Plane()
        adam = torch.optim.Adam(network.parameters(), 3e-3)
        for step in range(1500):
            adam.param_groups[0]["lr"] = 3e-3 * (1 - step / 1500)
            time, films = torch.rand(512), 2 * two_moons(512)
            x, wanted = flow.between(torch.randn(512, 2), films, time)
            loss = (network(x, time) - wanted).square().mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
    return network.eval()


def distance(network: nn.Module, *, sign: float = 1.0, backwards: bool = False, steps: int = 16) -> float:
    """Of 1500 drawn points from two half circles; `sign` of the velocity, `backwards`: with the time from 1 to 0."""
    with seeded(1), torch.no_grad():
        made = flow.follow(lambda x, t: sign * network(x, 1 - t if backwards else t), torch.randn(1500, 2), steps) / 2
        return energy_distance(made, two_moons(1500))


BOUND = 0.006


def test_two_half_circles_are_learnt_and_a_wrong_sign_or_time_fail_the_same_bound(learnt):
    assert distance(learnt) < BOUND
    assert distance(learnt, sign=-1.0) > 3 * BOUND
    assert distance(learnt, backwards=True) > 3 * BOUND
    assert distance(learnt, steps=1) > 2 * distance(learnt)


TINY = FlowMapsSettings(
    labels=FlowSettings(
        unet=UNET,
        steps=60,
        batch_size=8,
        learning_rate=3e-3,
        warm_up=16,
        components=8,
        sampler_steps=4,
        timeline=2,
        compared_steps=(1, 4),
    ),
    films=FILMS,
)


@cache
def fitted() -> FlowMaps:
    provider = FlowMaps(TINY)
    provider.fit(chests(), seed=0, progress=Progress())
    return provider


def sampled(provider: FlowMaps, n: int = 20, seed: int = 0) -> Dataset:
    return collect("flow_maps", provider, chests(), n, seed=seed, progress=Progress())


def test_a_short_training_draws_every_organ_about_as_large_as_it_is():
    films, train = sampled(fitted()), chests()
    found, wanted = films.organ_masks().mean(axis=(0, 2, 3)), train.organ_masks().mean(axis=(0, 2, 3))
    assert films.organ_masks().any(axis=(2, 3)).all()
    assert (np.abs(found - wanted) < 0.35 * wanted).all()


def test_the_seed_decides_the_films_and_a_loaded_provider_draws_the_same(tmp_path):
    films = sampled(fitted())
    assert films.digest == sampled(fitted()).digest != sampled(fitted(), seed=1).digest
    assert np.array_equal(sampled(fitted(), 5).images, films.images[:5])
    fitted().save(tmp_path)
    loaded = FlowMaps.load(tmp_path, fitted().settings)
    assert sampled(loaded).digest == films.digest
    assert loaded.parameter_count() == fitted().parameter_count() > 0


def test_steps_of_the_sampler_are_compared_and_shown():
    facts = fitted().facts()
    assert list(facts) == ["energy_distance_at_1_step", "energy_distance_at_4_steps"]
    assert {"labels", "films", "the same films by steps of the sampler"} == set(fitted().timeline())
    assert set(fitted().histories()) == {"labels", "films"}


def test_a_fit_is_cut_short_in_both_parts():
    cut = FlowMaps.shorter(TINY, 2)
    assert cut.labels.steps == cut.films.steps == 2 and cut.labels.compared_steps == ()
    assert FlowMaps.with_batch(TINY, 3).labels.batch_size == FlowMaps.with_batch(TINY, 3).films.batch_size == 3


def test_a_side_that_cannot_be_shrunk_is_refused():
    settings = replace(TINY, labels=replace(TINY.labels, shrink=3))
    with pytest.raises(InputError, match=rf"a side of {SIDE} cannot be shrunk by labels.shrink=3"):
        FlowMaps(settings).fit(chests(), seed=0, progress=Progress())
