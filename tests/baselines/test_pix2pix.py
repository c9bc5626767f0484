"""Pix2Pix against the counts of its release, hand computations of its losses, and the promise that boxes stay real."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cxrbench.baselines.pix2pix import (
    Box,
    Boxed,
    Pairs,
    Pix2Pix,
    Pix2PixN,
    Pix2PixRecipe,
    box_mask,
    compose,
    healthy_rows,
    judged,
    tensors,
    turned,
    vary,
)
from cxrbench.baselines.pix2pix_networks import PatchDiscriminator, Pix2PixSettings, UNet, levels
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.data.augmentation import warp
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.training.loop import make_fabric, seeded, train
from cxrbench.benchmark.training.recipe import Step

from ..stopped import stopped_after

SIDE = 32
STILL = Pix2PixSettings(enlarge=1.0, angle=0.0, mirror=0.0)
TINY = Pix2PixSettings(
    width=4, discriminator_layers=1, batch_size=4, epochs=1, decay_epochs=1, steps=6, learning_rate=2e-3, timeline=3
)
FINDINGS = ("Cardiomegaly", "Effusion")


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def films(n: int = 12, boxed: int = 8, healthy: int = 3) -> Dataset:
    """Films of noise; the first `boxed` with one box, the first with a second one; the last `healthy` with nothing."""
    rng = np.random.default_rng(0)
    ids = [f"film{index}" for index in range(n)]
    rows = [
        (ids[index], FINDINGS[index % 2], *rng.uniform(0, SIDE / 2, 2), *rng.uniform(2, SIDE / 2, 2))
        for index in range(boxed)
    ]
    rows.append((ids[0], FINDINGS[1], 3.0, 4.0, 5.0, 6.0))
    labels = np.zeros((n, 2), dtype=np.uint8)
    for case, finding, *_ in rows:
        labels[ids.index(case), FINDINGS.index(finding)] = 1
    labels[boxed : n - healthy, 0] = 1  # a finding without a box
    cases = pd.DataFrame({"id": ids, "patient": ids, **dict(zip(FINDINGS, labels.T, strict=True))})
    return Dataset(
        info=DatasetInfo(name="noisy", resolution=SIDE, findings=FINDINGS),
        images=rng.integers(0, 256, (n, SIDE, SIDE), dtype=np.uint8),
        cases=cases,
        boxes=pd.DataFrame(rows[: boxed and len(rows)], columns=["id", "finding", "x", "y", "w", "h"]),
    )


def without_boxes() -> Dataset:
    return replace(films(), boxes=None)


# ---------------------------------------------------------------------------------------------------- the networks


def test_networks_have_the_weights_of_the_release_for_one_channel():
    with torch.device("meta"):
        generator, discriminator = UNet(256, Pix2PixSettings()), PatchDiscriminator(Pix2PixSettings())
        assert count(generator) == 54_407_873
        assert count(discriminator) == 2_764_609
        films = torch.zeros(2, 1, 256, 256)
        assert generator(films).shape == films.shape
        assert discriminator(films.expand(-1, 2, -1, -1)).shape == (2, 1, 30, 30)


def test_three_blocks_of_512_maps_above_the_innermost_have_dropout():
    with torch.device("meta"):
        blocks = UNet(256, Pix2PixSettings()).up
    noisy = [any(isinstance(layer, nn.Dropout) for layer in block.modules()) for block in blocks]
    assert noisy == [False, True, True, True, False, False, False]
    assert [block[1].out_channels for block in blocks] == [512, 512, 512, 512, 256, 128, 64]


def test_a_patch_score_sees_70_pixels_and_no_more():
    network = PatchDiscriminator(replace(Pix2PixSettings(), width=2))
    plain = nn.Sequential(*(layer for layer in network if not isinstance(layer, nn.BatchNorm2d)))
    pair = torch.randn(1, 2, 256, 256, requires_grad=True)
    plain(pair)[0, 0, 15, 15].backward()
    seen = pair.grad.abs().sum(dim=(0, 1)).nonzero()
    assert (seen.max(dim=0).values - seen.min(dim=0).values + 1).tolist() == [70, 70]


@pytest.mark.parametrize(("side", "expected"), [(256, 8), (512, 8), (64, 6), (48, 4), (4, 2)])
def test_films_are_halved_as_often_as_their_side_allows(side, expected):
    assert levels(side, 8) == expected


@pytest.mark.parametrize("side", [62, 33])
def test_films_that_cannot_be_halved_twice_are_an_input_error(side):
    with pytest.raises(InputError, match=f"a multiple of 4, found {side}"):
        UNet(side, TINY)


# --------------------------------------------------------------------------------------------------- boxes and films


@given(st.floats(-10, 40), st.floats(-10, 40), st.floats(0.5, 30), st.floats(0.5, 30), st.integers(0, 2**32 - 1))
def test_variation_keeps_a_box_on_the_film_and_its_pixels_those_of_the_film(x, y, w, h, seed):
    box = Box(x, y, w, h).clipped(SIDE)
    if not all(part.start < part.stop for part in box.pixels()):
        return
    film = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    rows, columns = vary(film, box, Pix2PixSettings(), np.random.default_rng(seed))[1].pixels()
    assert 0 <= rows.start < rows.stop <= SIDE and 0 <= columns.start < columns.stop <= SIDE
    still, same = vary(film, box, STILL, np.random.default_rng(seed))
    assert np.array_equal(still, film) and same == box


def test_a_box_moves_with_what_is_in_it():
    film = np.zeros((SIDE, SIDE), dtype=np.uint8)
    box = Box(6, 9, 7, 5)
    film[box.pixels()] = 255
    for move in (
        {"angle": 0.0, "scale": 1.2, "shift_x": 0.05, "shift_y": -0.08},
        {"angle": 90.0, "scale": 1.0, "shift_x": 0.0, "shift_y": 0.0},
        {"angle": -20.0, "scale": 1.1, "shift_x": 0.02, "shift_y": 0.03},
    ):
        rows, columns = np.nonzero(warp(film, None, **move)[0] >= 128)
        moved = turned(box, SIDE, **move)
        assert (moved.x, moved.y) == pytest.approx((columns.min(), rows.min()), abs=1.0)
        assert moved.x + moved.w == pytest.approx(columns.max() + 1, abs=1.0)
        assert moved.y + moved.h == pytest.approx(rows.max() + 1, abs=1.0)


def test_a_mirrored_box_is_where_the_mirrored_film_has_it():
    film = np.zeros((SIDE, SIDE), dtype=np.uint8)
    film[9:14, 6:13] = 255
    mirrored, box = vary(film, Box(6, 9, 7, 5), replace(STILL, mirror=1.0), np.random.default_rng(0))
    assert box == Box(SIDE - 13, 9, 7, 5)
    np.testing.assert_array_equal(box_mask(box, SIDE), mirrored / 255)


def test_a_mask_covers_every_pixel_that_the_box_touches():
    mask = box_mask(Box(1.9, 3.0, 2.2, 1.5), 8)
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 4, 1, 4)
    assert mask.sum() == 2 * 4


def test_boxes_are_clipped_to_the_film_and_those_beside_it_left_out():
    boxes = pd.DataFrame(
        [("film1", "Effusion", -3.0, 4.0, 10.0, 40.0), ("film2", "Effusion", 33.0, 0.0, 4.0, 4.0)],
        columns=["id", "finding", "x", "y", "w", "h"],
    )
    boxed = Boxed.of(replace(films(), boxes=boxes))
    assert boxed.ids == ["film1"] and boxed.boxes == [(0, "Effusion", Box(0, 4, 7, 28))]
    np.testing.assert_array_equal(boxed.films, films().images[1:2])


def test_healthy_films_have_neither_findings_nor_boxes():
    assert healthy_rows(films()).tolist() == [9, 10, 11]
    boxes = films().boxes.assign(id=lambda table: table["id"].replace("film0", "film10"))
    assert healthy_rows(replace(films(), boxes=boxes)).tolist() == [9, 11]


def test_a_healthy_film_gets_one_of_the_training_boxes_at_every_step():
    boxed = Boxed.of(films())
    source = Pairs(boxed, films().images[9:], STILL)
    assert len(source) == 9 + 3
    known = {box for _, _, box in boxed.boxes}
    drawn = [source.pair(10, np.random.default_rng(seed)) for seed in range(40)]
    assert all(np.array_equal(film, films().images[10]) for film, _ in drawn)
    assert {box for _, box in drawn} <= known and len({box for _, box in drawn}) > 5


# -------------------------------------------------------------------------------------------------------- the losses


def test_input_and_composite_are_the_film_inside_the_box_and_the_painted_one_outside():
    film = np.full((4, 4), 255, dtype=np.uint8)
    batch = tensors([(film, Box(1, 1, 2, 1))])
    painted = torch.full((1, 1, 4, 4), -0.5)
    composite = compose(batch["films"], batch["masks"], painted)[0, 0]
    assert composite[1].tolist() == [-0.5, 1, 1, -0.5] and composite[[0, 2, 3]].eq(-0.5).all()


def test_patches_are_judged_by_the_binary_cross_entropy_of_their_logits():
    logits = torch.tensor([0.0, np.log(3.0)])
    assert float(judged(logits, True)) == pytest.approx((np.log(2) + np.log(4 / 3)) / 2, abs=1e-6)
    assert float(judged(logits, False)) == pytest.approx((np.log(2) + np.log(4)) / 2, abs=1e-6)


class Recorded(nn.Module):
    """A network that answers with its only weight everywhere, and remembers what it saw."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value, self.seen = nn.Parameter(torch.tensor(value)), list[Tensor]()

    def forward(self, given: Tensor) -> Tensor:
        self.seen.append(given.detach().clone())
        return self.value * torch.ones_like(given[:, :1])


def test_a_step_descends_the_losses_of_the_paper():
    boxed = Boxed.of(films())
    recipe = Pix2PixRecipe(Pairs(boxed, films().images[:0], STILL), replace(TINY, timeline=0))
    recipe.generator, recipe.discriminator = Recorded(0.25), Recorded(0.5)
    fabric, _ = make_fabric("cpu", float32=True), recipe.optimizers()
    batch = Pairs(boxed, films().images[:0], STILL).batch(np.array([0, 3]), np.random.default_rng(0))
    losses = {name: loss.detach() for name, loss in recipe.step(batch, Step(0, 6, fabric)).items()}
    y, m = batch["films"], batch["masks"]
    assert float(losses["discriminator"]) == pytest.approx(
        0.5 * float(F.softplus(torch.tensor(0.5)) + F.softplus(torch.tensor(-0.5)))
    )
    assert float(losses["l1"]) == pytest.approx(100 * float((y - 0.25).abs().mean()), rel=1e-6)  # the box included
    on_fake, on_real, again = recipe.discriminator.seen
    assert torch.equal(recipe.generator.seen[0], m * y)
    assert torch.equal(on_real, torch.cat([m * y, y], dim=1))
    assert torch.equal(on_fake, torch.cat([m * y, m * y + (1 - m) * 0.25], dim=1))
    assert torch.equal(on_fake, again)
    # the discriminator learns first, and the generator hears the new one
    assert float(losses["adversarial"]) == pytest.approx(float(F.softplus(-recipe.discriminator.value.detach())))
    assert float(recipe.discriminator.value.detach()) != 0.5 and float(recipe.generator.value.detach()) != 0.25


def test_the_learning_rate_is_constant_for_half_the_steps_and_ends_near_zero():
    recipe = Pix2PixRecipe(Pairs(Boxed.of(films()), films().images[:0], TINY), replace(TINY, steps=10))
    assert [round(recipe.rate(step) / 2e-3, 6) for step in range(10)] == [1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]


def test_the_paper_trains_200_epochs_of_573_boxes_or_of_2_573_films():
    for provider, healthy in ((Pix2Pix, 0), (Pix2PixN, 2_000)):
        preset = provider.presets["paper"]
        assert preset.healthy_films == healthy
        boxed = Boxed(np.zeros((1, 4, 4), dtype=np.uint8), ["a"], [(0, "Effusion", Box(0, 0, 2, 2))] * 573)
        narrow = replace(preset, width=1)
        recipe = Pix2PixRecipe(Pairs(boxed, np.zeros((healthy, 4, 4), dtype=np.uint8), narrow), narrow)
        assert (recipe.steps, recipe.constant_steps) == (200 * (573 + healthy), 100 * (573 + healthy))


def test_a_training_that_was_stopped_goes_on_to_the_same_weights_and_timeline(tmp_path):
    source = Pairs(Boxed.of(films()), films().images[9:], TINY)

    def recipe() -> Pix2PixRecipe:
        with seeded(0):
            return Pix2PixRecipe(source, TINY)

    whole = recipe()
    train(whole, source, steps=6, seed=0)
    stopped_after(3, recipe(), source, tmp_path, steps=6)
    resumed = recipe()
    train(resumed, source, steps=6, seed=0, checkpoints=tmp_path)
    for name, network in whole.networks().items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, resumed.networks()[name].state_dict()[key]), (name, key)
    assert whole.timeline.films.any(dim=(1, 2, 3)).all()


# ------------------------------------------------------------------------------------------------------ the provider


@cache
def fitted(kind: type[Pix2Pix] = Pix2Pix) -> Pix2Pix:
    provider = kind(replace(TINY, healthy_films=2 if kind is Pix2PixN else 0))
    provider.fit(films(), seed=0, progress=Progress())
    return provider


def sampled(provider: Pix2Pix, n: int = 20, seed: int = 0) -> Dataset:
    return collect("pix2pix", provider, films(), n, seed=seed, progress=Progress())


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-4, 30), st.floats(-4, 30), st.floats(1, 40), st.floats(1, 40)), min_size=1, max_size=6
    ),
    st.integers(0, 2**16),
    st.booleans(),
)
def test_the_box_of_a_sample_is_the_real_films_bit_for_bit(corners, seed, varied):
    rng = np.random.default_rng(seed)
    real = films()
    real = replace(real, images=rng.integers(0, 256, real.images.shape, dtype=np.uint8))
    rows = [(f"film{index}", "Effusion", *box) for index, box in enumerate(corners)]
    real = replace(real, boxes=pd.DataFrame(rows, columns=["id", "finding", "x", "y", "w", "h"]))
    provider = Pix2Pix(TINY if varied else replace(TINY, enlarge=1.0, angle=0.0, mirror=0.0))
    provider.generator = fitted().generator
    provider.keep(Boxed.of(real), real)
    if not provider.boxes:
        return
    made = collect("pix2pix", provider, real, 9, seed=seed, progress=Progress())
    for row, (number, film, box) in enumerate(provider.sources(9, seed=seed)):
        place, finding, original = provider.boxes[number]
        assert tuple(made.boxes.iloc[row][["id", "finding"]]) == (made.ids[row], finding)
        assert tuple(made.boxes.iloc[row][["x", "y", "w", "h"]]) == tuple(box)
        assert made.cases["source_ids"][row] == [provider.ids[place]]
        np.testing.assert_array_equal(made.images[row][box.pixels()], film[box.pixels()])
        if not varied:
            source = real.images[real.ids.index(provider.ids[place])]
            assert box == original
            np.testing.assert_array_equal(made.images[row][box.pixels()], source[box.pixels()])


def test_outside_the_box_a_sample_is_generated():
    provider, real = fitted(), films()
    made = sampled(provider)
    for row, (number, film, box) in enumerate(provider.sources(20, seed=0)):
        outside = box_mask(box, SIDE) == 0
        assert (made.images[row][outside] == film[outside]).mean() < 0.1
        assert made.cases["source_ids"][row][0] in real.ids and number < 9


def test_labels_name_the_finding_of_the_box_alone():
    made = sampled(fitted())
    assert (made.labels().sum(axis=1) == 1).all()
    assert [FINDINGS[row.argmax()] for row in made.labels()] == made.boxes["finding"].tolist()


def test_every_box_is_used_once_before_one_is_used_again():
    numbers = [number for number, _, _ in fitted().sources(18, seed=3)]
    assert sorted(numbers[:9]) == sorted(numbers[9:]) == list(range(9)) and numbers[:9] != numbers[9:]


def test_dropout_is_the_noise_of_a_sample():
    provider = fitted()
    pairs = [(film, box) for _, film, box in provider.sources(4, seed=0)]
    first = provider._paint(pairs, 0, 0)
    assert np.array_equal(first, provider._paint(pairs, 0, 0))
    assert (first != provider._paint(pairs, 1, 0)).mean() > 0.5


@pytest.mark.parametrize("kind", [Pix2Pix, Pix2PixN])
def test_the_seed_decides_the_films_and_a_loaded_provider_draws_the_same(kind, tmp_path):
    made = sampled(fitted(kind))
    assert made.digest == sampled(fitted(kind)).digest != sampled(fitted(kind), seed=1).digest
    fitted(kind).save(tmp_path)
    loaded = kind.load(tmp_path, fitted(kind).settings)
    assert sampled(loaded).digest == made.digest
    assert loaded.parameter_count() == fitted(kind).parameter_count() > 0
    assert loaded.histories().keys() == {"films"}


def test_a_film_does_not_depend_on_how_many_are_asked_for():
    np.testing.assert_array_equal(sampled(fitted(), 6).images, sampled(fitted(), 11).images[:6])


def test_healthy_films_change_what_pix2pix_n_learns():
    with_healthy = fitted(Pix2PixN).generator.state_dict()
    assert any(not torch.equal(value, with_healthy[key]) for key, value in fitted().generator.state_dict().items())
    assert len(fitted(Pix2PixN)._healthy(films(), 0)) == 2


def test_a_short_training_paints_films_like_those_it_saw():
    bright = films()
    halves = np.zeros_like(bright.images)
    halves[:, :, SIDE // 2 :] = 200
    provider = Pix2Pix(replace(TINY, steps=120, mirror=0.0))
    provider.fit(replace(bright, images=halves), seed=0, progress=Progress())
    made = sampled(provider).images
    assert made[:, :, SIDE // 2 + 4 :].mean() > made[:, :, : SIDE // 2 - 4].mean() + 80


@pytest.mark.parametrize("kind", [Pix2Pix, Pix2PixN])
def test_a_training_set_without_boxes_is_an_input_error_that_names_the_leak(kind):
    expected = f"{kind.name} needs films with boxes; dataset noisy has none .*in the test list: .* would leak"
    for dataset in (without_boxes(), replace(films(), boxes=films().boxes[:0])):
        with pytest.raises(InputError, match=expected):
            kind(TINY).fit(dataset, seed=0, progress=Progress())


def test_pix2pix_n_without_healthy_films_is_an_input_error():
    with pytest.raises(InputError, match="pix2pix_n also learns from healthy films; dataset noisy has no film"):
        Pix2PixN(replace(TINY, healthy_films=5)).fit(films(healthy=0), seed=0, progress=Progress())


def test_the_timeline_shows_the_same_boxes_at_every_moment():
    steps, shown = fitted().timeline()
    assert steps == [2, 4, 6] and shown.shape == (3, 6, SIDE, SIDE) and shown.dtype == np.uint8
    batch = Pairs(Boxed.of(films()), films().images[:0], TINY).batch(np.arange(8), np.random.default_rng(0))
    inside = (batch["masks"][:6, 0] > 0).numpy()
    assert (shown[0] == shown[2])[inside].all() and (shown[0] != shown[2])[~inside].any()
