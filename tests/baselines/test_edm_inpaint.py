"""RePaint by hand and on a Gaussian whose answer is known; boxes that stay real to the bit in films that are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from cxrbench.baselines import edm
from cxrbench.baselines.diffusion_base import FilmBase
from cxrbench.baselines.diffusion_training import EDM
from cxrbench.baselines.edm_inpaint import (
    QUICK,
    Draw,
    EDMInpaint,
    EDMInpaintSettings,
    RePaint,
    box_maps,
    drawn_part,
    patches,
)
from cxrbench.baselines.pix2pix import Box, box_mask
from cxrbench.baselines.repaint import Run, repaint, runs
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.settings import override
from cxrbench.benchmark.training.loop import seeded, train

from ..stopped import stopped_after
from .test_edm_pair import UNET
from .test_pix2pix import FINDINGS, SIDE, films, without_boxes

TINY = EDMInpaintSettings(
    noise=edm.Noise(sampler_steps=4, sigma_min=0.02, sigma_max=5.0),
    unet=UNET,
    steps=6,
    batch_size=4,
    learning_rate=3e-3,
    warm_up=16,
    components=3,
    timeline=2,
    compared_steps=(2, 4),
    jump=1,
    resamplings=2,
    healthy_films=3,
)
BOX = Box(1, 2, 2, 1)

# ------------------------------------------------------------------------------------------------------- the way down


def test_the_way_down_goes_back_at_every_jumpth_level_from_the_last_one_with_noise():
    assert runs(8, 2, 2) == [Run(0, 3), Run(1, 3), Run(3, 5), Run(3, 5), Run(5, 7), Run(5, 7), Run(7, 8)]
    assert runs(5, 2, 3) == [*[Run(0, 2)] * 3, *[Run(2, 4)] * 3, Run(4, 5)]
    assert runs(3, 1, 1) == [Run(0, 1), Run(1, 2), Run(2, 3)]
    assert runs(4, 4, 9) == [Run(0, 4)] and runs(1, 1, 9) == [Run(0, 1)]


def test_the_papers_way_takes_every_step_ten_times_but_the_first_and_the_last():
    taken = np.zeros(250, dtype=int)
    for first, last in runs(250, 10, 10):
        taken[first:last] += 1
    assert taken.tolist() == [1] * 9 + [10] * 240 + [1]


@pytest.mark.parametrize(("jump", "times"), [(0, 2), (2, 0)])
def test_a_jump_of_nothing_is_an_input_error(jump, times):
    with pytest.raises(InputError, match=f"expected 1 or more of each, found {jump} and {times}"):
        runs(8, jump, times)


# -------------------------------------------------------------------------------------------------------- algorithm 1


def test_steps_and_the_way_back_are_those_of_algorithm_1_by_hand():
    """Levels 2, 1, 0; the step from 2 to 1 is taken twice; all noise is 1; a denoiser that says 0, so x falls as sigma."""
    seen: list[tuple[float, float, float]] = []

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        seen.append((float(sigma[0]), *x.flatten().tolist()))
        return torch.zeros_like(x)

    known, drawn = torch.full((1, 1, 1, 2), 10.0), torch.tensor([[[[False, True]]]])
    sigmas, ones = torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64), torch.ones(1, 1, 1, 2)
    made = repaint(denoise, ones, sigmas, runs(2, 1, 2), known, drawn, lambda: ones)
    root = 3**0.5  # of 2^2 - 1^2
    wanted = [
        (2.0, 10 + 2.0, 2.0),  # the known pixel under the noise of level 2, the other one pure noise
        (1.0, 6.0, 1.0),  # Heun's second look
        (2.0, 11 + root, 1 + root),  # known again at level 1, then both back to level 2
        (1.0, (11 + root) / 2, (1 + root) / 2),
        (1.0, 11.0, (1 + root) / 2),
    ]
    assert [value for one in seen for value in one] == pytest.approx([value for one in wanted for value in one])
    assert made.flatten().tolist() == [10.0, 0.0]


RHO = 0.95


def filled(jump: int, times: int, count: int = 4000) -> Tensor:
    """The second of two values of correlation RHO, drawn where the first is 1, by the denoiser that such a pair has."""
    covariance = torch.tensor([[1.0, RHO], [RHO, 1.0]])

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        filter_of = covariance @ torch.linalg.inv(covariance + sigma[0] ** 2 * torch.eye(2))
        return (x.flatten(1) @ filter_of.T).view_as(x)

    rng = torch.Generator().manual_seed(0)
    sigmas = edm.levels(edm.Noise(sampler_steps=24, sigma_max=10.0, sigma_min=0.02))

    def noise() -> Tensor:
        return torch.randn(count, 1, 1, 2, generator=rng)

    drawn = torch.tensor([[[[False, True]]]]).expand(count, 1, 1, 2)
    return repaint(denoise, noise(), sigmas, runs(24, jump, times), torch.ones(count, 1, 1, 2), drawn, noise)[..., 1]


def test_resampling_brings_what_is_drawn_to_what_is_known():
    once, often = filled(2, 1), filled(2, 10)
    assert often.mean().item() == pytest.approx(RHO, abs=0.05)  # the conditional mean
    assert often.std().item() == pytest.approx((1 - RHO**2) ** 0.5, abs=0.06)  # and spread
    assert abs(once.mean().item() - RHO) > 3 * abs(often.mean().item() - RHO)
    assert once.std().item() > often.std().item() + 0.05


# ---------------------------------------------------------------------------------------------- what is known and told


def test_maps_are_one_where_a_finding_has_a_box_and_the_rest_is_drawn():
    maps = box_maps([[(1, BOX)], [(0, BOX), (0, Box(0, 0, 1, 1))], []], 2, 4)
    assert maps.shape == (3, 2, 4, 4) and maps.sum(dim=(2, 3)).tolist() == [[0, 2], [3, 0], [0, 0]]
    assert maps[0, 1].nonzero().tolist() == [[2, 1], [2, 2]]
    outside = drawn_part(maps, Draw.OUTSIDE)
    assert outside.shape == (3, 1, 4, 4) and outside.sum(dim=(1, 2, 3)).tolist() == [14, 13, 16]
    assert not outside[0, 0, 2, 1:3].any()
    assert torch.equal(drawn_part(maps, Draw.INSIDE), ~outside)


def test_what_is_in_boxes_is_compared_at_one_size():
    film = torch.zeros(1, 1, 40, 40)
    film[0, 0, 4:36, 8:40] = torch.arange(32.0)
    (patch,) = patches(film, [Box(8, 4, 32, 32)])
    assert patch.shape == (1, 16, 16) and patch[0, 3].tolist() == [0.5 + 2 * place for place in range(16)]


def test_the_network_is_told_the_boxes_and_their_pixels_weigh_as_the_settings_say():
    told: list[Mapping[str, Tensor]] = []

    def network(scaled: Tensor, noise: Tensor, **known: Tensor) -> Tensor:
        told.append(known)
        return torch.zeros_like(scaled)

    boxes, clean = box_maps([[(1, BOX)]], 2, 4), torch.randn(1, 1, 4, 4)
    losses = []
    for weight in (1.0, 3.0):
        with seeded(0):
            process = RePaint(EDM(FilmBase(1, 4), edm.Noise()), 1, 1, weight)
            losses.append(process.loss(network, clean, {"boxes": boxes, "films": clean, "drawn": boxes[:, :1] > 0}))
    ratio = (losses[1] / losses[0])[0, 0]
    assert torch.allclose(ratio, 1 + 2 * torch.from_numpy(box_mask(BOX, 4)))
    assert all(set(one) == {"beside"} and torch.equal(one["beside"], boxes) for one in told)


# ------------------------------------------------------------------------------------------------------- the provider


@cache
def fitted(draw: Draw = Draw.OUTSIDE) -> EDMInpaint:
    provider = EDMInpaint(replace(TINY, draw=draw))
    provider.fit(films(), seed=0, progress=Progress())
    return provider


@cache
def sampled(draw: Draw = Draw.OUTSIDE, n: int = 20, seed: int = 0) -> Dataset:
    return collect("edm_inpaint", fitted(draw), films(), n, seed=seed, progress=Progress())


@pytest.mark.parametrize("draw", Draw)
def test_what_is_not_drawn_is_the_real_films_bit_for_bit_and_the_rest_is_not(draw):
    provider, real, made = fitted(draw), films(), sampled(draw)
    for row, (film, number) in enumerate(provider.sources(20, seed=0)):
        place, finding, box = provider.boxes[number]
        source = real.images[real.ids.index(provider.ids[film])]
        inside = box_mask(box, SIDE) == 1
        kept = inside if draw is Draw.OUTSIDE else ~inside
        np.testing.assert_array_equal(made.images[row][kept], source[kept])
        assert (made.images[row][~kept] == source[~kept]).mean() < (0.5 if (~kept).sum() < 40 else 0.1)
        assert made.cases["source_ids"][row] == [provider.ids[film]]
        assert tuple(made.boxes.iloc[row][["id", "finding"]]) == (made.ids[row], FINDINGS[finding])
        assert tuple(made.boxes.iloc[row][["x", "y", "w", "h"]]) == tuple(box)
        assert made.labels()[row].tolist() == [int(finding == other) for other in range(2)]
        if draw is Draw.OUTSIDE:
            assert film == place
        else:
            assert real.ids.index(provider.ids[film]) >= 9  # a healthy one


def test_boxes_are_those_of_the_training_films():
    table, provider = films().boxes, fitted()
    real = {(row.id, row.finding, row.x, row.y, row.w, row.h) for row in table.itertuples()}
    kept = {(provider.ids[place], FINDINGS[finding], *box) for place, finding, box in provider.boxes}
    assert len(kept) == len(real) == 9
    assert sorted(one[:2] for one in kept) == sorted(one[:2] for one in real)


@pytest.mark.parametrize("draw", Draw)
def test_every_box_and_every_healthy_film_is_used_once_before_one_is_used_again(draw):
    found = list(fitted(draw).sources(18, seed=3))
    boxes = [number for _, number in found]
    assert sorted(boxes[:9]) == sorted(boxes[9:]) == list(range(9)) and boxes[:9] != boxes[9:]
    if draw is Draw.INSIDE:
        assert sorted(film for film, _ in found) == sorted([0, 1, 2] * 6)


def test_the_drawn_part_differs_between_seeds_and_within_one():
    provider = fitted()
    pairs = [(provider.boxes[0][0], 0)] * 2
    given = provider.given(pairs)
    first, other = (provider.draw(provider.start(2, rng), given, rng=rng) for rng in map(of_seed, (0, 1)))
    drawn = given["drawn"][:1]
    for one, two in ((first[:1], other[:1]), (first[:1], first[1:])):
        assert (one[drawn] - two[drawn]).abs().min() > 0
        assert (one[~drawn] - two[~drawn]).abs().max() < 1e-6
    rng = of_seed(0)
    assert torch.equal(first, provider.draw(provider.start(2, rng), given, rng=rng))


def of_seed(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("draw", Draw)
def test_the_seed_decides_the_films_and_a_loaded_provider_draws_the_same(draw, tmp_path):
    made, provider = sampled(draw), fitted(draw)
    again = collect("edm_inpaint", provider, films(), 20, seed=0, progress=Progress())
    assert made.digest == again.digest != sampled(draw, seed=1).digest
    provider.save(tmp_path)
    loaded = EDMInpaint.load(tmp_path, provider.settings)
    assert collect("edm_inpaint", loaded, films(), 20, seed=0, progress=Progress()).digest == made.digest
    assert loaded.parameter_count() == provider.parameter_count() > 0
    assert loaded.histories().keys() == {"films"} and loaded.facts() == provider.facts()


def test_a_film_does_not_depend_on_how_many_are_asked_for():
    assert np.array_equal(sampled(n=5).images, sampled().images[:5])
    assert np.array_equal(sampled(n=17).images, sampled().images[:17])


class Caught(Exception):
    """Carries what a fit would train."""


def test_a_training_that_was_stopped_goes_on_to_the_same_weights_and_timeline(tmp_path, monkeypatch):
    def learn(self, recipe, source, *, seed, progress):
        raise Caught(recipe, source)

    monkeypatch.setattr(EDMInpaint, "learn", learn)

    def parts():
        with pytest.raises(Caught) as caught:
            EDMInpaint(TINY).fit(films(), seed=0, progress=Progress())
        return caught.value.args

    (whole, source), (resumed, _) = parts(), parts()
    train(whole, source, steps=6, seed=0)
    stopped_after(3, parts()[0], source, tmp_path, steps=6)
    train(resumed, source, steps=6, seed=0, checkpoints=tmp_path)
    for name, network in whole.networks().items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, resumed.networks()[name].state_dict()[key]), (name, key)
    assert torch.equal(whole.timeline.films, resumed.timeline.films) and whole.timeline.films.any()


def test_half_of_every_batch_is_healthy_and_without_healthy_films_none_is():
    more = EDMInpaint(replace(TINY, healthy_films=0))
    more.fit(films(healthy=0), seed=0, progress=Progress())
    assert sampled().images.shape == (20, SIDE, SIDE) and next(more.sample(1, seed=0)).images.shape == (
        1,
        1,
        SIDE,
        SIDE,
    )
    different = fitted().denoiser.state_dict()
    assert any(not torch.equal(value, different[key]) for key, value in more.denoiser.state_dict().items())


@pytest.mark.parametrize("draw", Draw)
def test_steps_are_compared_and_shown(draw):
    provider = fitted(draw)
    assert list(provider.facts()) == ["energy_distance_at_2_steps", "energy_distance_at_4_steps"]
    shown = provider.timeline()
    assert set(shown) == {"films", "the same films by steps of the sampler"}
    assert shown["films"][1].shape == (2, 4, SIDE, SIDE)


def test_a_short_training_draws_films_like_those_it_saw_around_the_box():
    rng = np.random.default_rng(1)
    images = rng.normal(30, 4, (12, SIDE, SIDE)) + rng.normal(0, 6, (12, 1, 1))
    images[:, :, SIDE // 2 :] += 150
    provider = EDMInpaint(replace(TINY, steps=60, components=0, compared_steps=(), noise=edm.Noise(sampler_steps=8)))
    provider.fit(replace(films(), images=images.astype(np.uint8)), seed=0, progress=Progress())
    made = collect("edm_inpaint", provider, films(), 16, seed=0, progress=Progress())
    for row, (_, number) in enumerate(provider.sources(16, seed=0)):
        outside = box_mask(provider.boxes[number][2], SIDE) == 0
        light, dark = outside.copy(), outside.copy()
        light[:, : SIDE // 2], dark[:, SIDE // 2 :] = False, False
        assert made.images[row][light].mean() > made.images[row][dark].mean() + 80


def test_what_is_drawn_is_a_setting_and_by_default_all_but_the_box_is():
    assert EDMInpaintSettings().draw is Draw.OUTSIDE and all(
        preset.draw is Draw.OUTSIDE for preset in EDMInpaint.presets.values()
    )
    assert override(QUICK, [("draw", "inside")], "edm_inpaint").draw is Draw.INSIDE


@pytest.mark.parametrize(
    ("dataset", "settings", "message"),
    [
        (without_boxes(), TINY, "dataset noisy has none .*in the test list: .* would leak"),
        (films(healthy=0), TINY, "draw=outside and healthy_films=3 needs healthy films; dataset noisy has 0"),
        (films(), replace(TINY, draw=Draw.INSIDE, healthy_films=0), "draw=inside and healthy_films=0 .* noisy has 3"),
        (films(), replace(TINY, jump=0), "expected 1 or more of each, found 0 and 2"),
        (films(), replace(TINY, unet=replace(UNET, fold=3)), "needs a side that is a multiple of 6, found 32"),
    ],
)
def test_what_cannot_be_learnt_from_is_an_input_error(dataset, settings, message):
    with pytest.raises(InputError, match=message):
        EDMInpaint(settings).fit(dataset, seed=0, progress=Progress())


def test_boxes_of_a_finding_without_labels_are_an_input_error():
    unknown = replace(films(), boxes=films().boxes.assign(finding="Nodule"))
    with pytest.raises(InputError, match="boxes of Nodule, which films are not labelled with"):
        EDMInpaint(TINY).fit(unknown, seed=0, progress=Progress())
