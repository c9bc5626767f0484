"""What films say against their provider: sources they do not show, copies without a source, organs that are exchanged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.contracts.conformance import Finding, check_provider
from cxrbench.benchmark.contracts.named_sources import named_sources
from cxrbench.benchmark.contracts.placed_organs import ELSEWHERE, INVERTED, misplaced, misplaced_words, untrue
from cxrbench.benchmark.contracts.provider import Batch, Provider
from cxrbench.benchmark.data.dataset import Annotation, Dataset, DatasetInfo
from cxrbench.benchmark.errors import StoreError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.registry import Plugin
from cxrbench.benchmark.results.film_checks import AS_NAMED, SOURCES, film_checks

SIDE, COUNT = 64, 16
PLACES = {"left_lung": (36, 8), "right_lung": (4, 8), "heart": (24, 40)}


def films(*, order: Sequence[int] = range(COUNT), named: Sequence[Sequence[str]] | None = None) -> Dataset:
    """Training films, all different, whose organs are squares of 20 pixels; in another order with other names."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, 8, 8)).repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)
    ids = [f"t{index:02d}" for index in range(COUNT)]
    masks = np.zeros((COUNT, SIDE, SIDE), np.uint8)
    for bit, (x, y) in enumerate(PLACES.values()):
        masks[:, y : y + 20, x : x + 20] |= 1 << bit
    cases = pd.DataFrame({"id": ids, "patient": ids})
    cases["source_ids"] = [[name] for name in ids] if named is None else [list(row) for row in named]
    info = DatasetInfo(name="films", resolution=SIDE, organs=tuple(PLACES))
    return Dataset(info, images[list(order)], cases, masks=masks)


def test_sources_in_another_order_are_found_and_in_the_right_one_not():
    train = films()
    right = named_sources(films(), train)
    assert (right.films, right.named, right.copies, right.unnamed, right.wrong) == (16, 16, 16, 0, 0)
    assert right.words() == ""
    back = named_sources(films(order=range(COUNT)[::-1]), train)
    assert (back.copies, back.wrong) == (16, 16)
    assert back.first == ("t00", "t00", "t15") and "names t00 and shows t15" in back.words()
    two = [1, 0, *range(2, COUNT)]
    assert named_sources(films(order=two), train).wrong == 2


def test_a_film_that_names_several_or_a_changed_one_is_as_it_says():
    train = films()
    both = [[f"t{index:02d}", "t00"] for index in range(COUNT)]
    assert named_sources(films(named=both), train).wrong == 0
    mirrored = films(order=range(COUNT)[::-1])
    mirrored.images[:] = 255 - mirrored.images
    found = named_sources(mirrored, train)
    assert (found.copies, found.wrong) == (0, 0)


def test_copies_without_a_source_are_counted_and_a_stranger_named_is_wrong():
    train = films()
    assert named_sources(films(named=[[]] * COUNT), train).unnamed == 16
    found = named_sources(films(named=[["elsewhere"], *[[]] * (COUNT - 1)]), train)
    assert (found.unnamed, found.wrong, found.first) == (15, 1, ("t00", "elsewhere", "t00"))


def test_the_same_film_under_two_names_may_be_named_by_either():
    train = films()
    train.images[1] = train.images[0]
    made = films(named=[["t01"], ["t00"], *[[f"t{index:02d}"] for index in range(2, COUNT)]])
    made.images[1] = made.images[0]
    assert named_sources(made, train).wrong == 0


def with_masks(order: Sequence[int]) -> Dataset:
    """Films whose masks have their organs in another order; -1 is an empty mask."""
    made = films()
    bits = [made.masks >> np.uint8(one) & np.uint8(1) if one >= 0 else np.zeros_like(made.masks) for one in order]
    made.masks[:] = sum(plane << np.uint8(bit) for bit, plane in enumerate(bits))
    return made


@pytest.mark.parametrize(
    ("order", "found", "each_other"),
    [
        ((0, 1, 2), {}, False),
        ((1, 0, 2), {"left_lung": "right_lung", "right_lung": "left_lung"}, True),
        ((2, 0, 1), {"left_lung": "heart", "right_lung": "left_lung", "heart": "right_lung"}, True),
        ((2, 2, 2), {"left_lung": "heart", "right_lung": "heart"}, False),
        ((-1, -1, -1), {}, False),
        ((-1, 2, -1), {"right_lung": "heart"}, False),
    ],
)
def test_organs_at_the_place_of_others_are_named(order, found, each_other):
    assert misplaced(with_masks(order), films()) == found
    assert untrue(found) is each_other


def test_masks_of_noise_everywhere_or_at_a_place_of_no_organ_are_elsewhere_and_no_exchange():
    made = films()
    nowhere = dict.fromkeys(PLACES, ELSEWHERE)
    made.masks[:] = np.random.default_rng(1).integers(0, 8, made.masks.shape, dtype=np.uint8)
    assert misplaced(made, films()) == nowhere and not untrue(nowhere)
    made.masks[:] = 7
    assert misplaced(made, films()) == nowhere
    made.masks[:] = 0
    made.masks[:, :3, :3] = 1
    assert misplaced(made, films()) == {"left_lung": ELSEWHERE}


def test_inverted_masks_are_named_as_such():
    made = films()
    made.masks[:] = 7 - made.masks
    found = misplaced(made, films())
    assert found == dict.fromkeys(PLACES, INVERTED) and untrue(found)
    assert "masks of heart cover all but what is heart" in misplaced_words(found)


def test_an_organ_that_lies_anywhere_in_the_training_films_is_not_asked_about():
    train, made = films(), films()
    for dataset, seed in ((train, 0), (made, 1)):
        heart = np.random.default_rng(seed).integers(0, SIDE - 4, (COUNT, 2))
        dataset.masks[:] &= 3
        for row, (x, y) in enumerate(heart):
            dataset.masks[row, y : y + 4, x : x + 4] |= 4
    assert misplaced(made, train) == {}


class Honest(Provider):
    """Training films with their masks, named."""

    produces = frozenset({Annotation.MASKS})

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        self.train = train

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        rows = np.random.default_rng(seed).permutation(len(self.train))[:n]
        images = self.train.images[rows, None].astype(np.float32) / 255
        sources = [[self.train.ids[row]] for row in rows]
        yield self.change({"images": images, "masks": self.train.organ_masks(rows=rows), "source_ids": sources})

    def change(self, parts: dict[str, Any]) -> Batch:
        return Batch(**parts)


class Empty(Honest):
    def change(self, parts: dict[str, Any]) -> Batch:
        return Batch(**parts | {"masks": np.zeros_like(parts["masks"])})


class Exchanged(Honest):
    def change(self, parts: dict[str, Any]) -> Batch:
        return Batch(**parts | {"masks": parts["masks"][:, ::-1].copy()})


class Unnamed(Honest):
    def change(self, parts: dict[str, Any]) -> Batch:
        return Batch(**parts | {"source_ids": None})


class Shuffled(Honest):
    def change(self, parts: dict[str, Any]) -> Batch:
        return Batch(**parts | {"source_ids": parts["source_ids"][::-1]})


def found_by_check(cls: type[Provider]) -> list[Finding]:
    """What the suite says besides what is well."""
    plugin = Plugin(cls.__name__, cls.__name__, __name__, cls.__name__)
    findings = check_provider(plugin, None, films(), device="cpu", progress=Progress())
    assert len(findings) == 11
    return [one for one in findings if not one.holds or one.odd]


def test_check_says_what_a_run_would_and_refuses_what_is_untrue():
    assert found_by_check(Honest) == []
    for cls, holds, words in (
        (Empty, True, "masks of left_lung, right_lung, heart are empty in every film"),
        (Unnamed, True, "12 of 12 films are copies of training films (hash and pixels) and name no source"),
        (Exchanged, False, "masks of left_lung lie where heart is, masks of heart lie where left_lung is"),
        (Shuffled, False, "12 of 12 films that name a source are copies of another training film"),
    ):
        (found,) = found_by_check(cls)
        assert found.holds is holds and words in found.seen


def harvest(*sets: Dataset | None) -> Any:
    """A finished run with so many sets of films, of which the store has lost those that are None."""

    def cell(seed: int) -> Any:
        slot = SimpleNamespace(size="full", fold="", seed=seed)
        identity = SimpleNamespace(placebo=False)
        return SimpleNamespace(key=f"k{seed}", synthetic_key=str(seed), slot=slot, seed=seed, identity=identity)

    def synthetic(key: str) -> Dataset:
        if (found := sets[int(key)]) is None:
            raise StoreError("gone")
        return found

    cells = [cell(seed) for seed in range(len(sets))]
    plan = SimpleNamespace(
        cells=[*cells, *cells], data=films(), task=SimpleNamespace(training_set=lambda data, slot: data)
    )
    return SimpleNamespace(
        plan=plan, records={one.key: one for one in cells}, store=SimpleNamespace(synthetic=synthetic)
    )


def test_a_run_has_a_line_for_each_set_of_films_of_what_is_wrong_in_any():
    assert film_checks(harvest(films(), None), Progress()) == []
    rows = film_checks(harvest(films(), films(order=range(COUNT)[::-1]), None), Progress())
    assert [(row.seed, row.name, row.alarm) for row in rows] == [(0, SOURCES, False), (1, SOURCES, True)]
    assert rows[0].sentence == AS_NAMED and "names t00 and shows t15" in rows[1].sentence
