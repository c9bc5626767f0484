"""Copies of real films among synthetic ones: nothing that shows a held-out film is trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.contracts.task import Arm, ArmName, Slot
from cxrbench.benchmark.data.copies import copies, sources
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.splits import hold_out_patients
from cxrbench.benchmark.errors import InputError
from cxrbench.tasks.examples import REAL_HELD_OUT, SYNTHETIC_HELD_OUT, hold_out_last, not_showing
from cxrbench.tasks.scr_official import ScrOfficial

from .test_scr_official import FAST, few

SHARE = SYNTHETIC_HELD_OUT  # a quarter


def showing(shown: Sequence[Sequence[str]]) -> Dataset:
    """Films that say what they show."""
    ids = [f"s{row}" for row in range(len(shown))]
    cases = pd.DataFrame({"id": ids, "patient": ids, "source_ids": [list(names) for names in shown]})
    return Dataset(DatasetInfo(name="shown", resolution=1), np.zeros((len(ids), 1, 1), np.uint8), cases)


def held(shown: Sequence[Sequence[str]], share: float = SHARE) -> list[int]:
    rows, out = hold_out_last(showing(shown), share)
    assert sorted([*rows, *out]) == list(range(len(shown))) and len(rows) and len(out)
    assert rows.tolist() == sorted(rows) and out.tolist() == sorted(out)
    return out.tolist()


def test_films_without_sources_are_the_last_share_as_ever():
    for count in (2, 3, 4, 10, 41, 200):
        wanted = min(max(1, round(SHARE * count)), count - 1)
        assert held([()] * count) == list(range(count - wanted, count))
        without = showing([()] * count)
        del without.cases["source_ids"]
        assert hold_out_last(without, SHARE)[1].tolist() == list(range(count - wanted, count))


def test_films_of_sources_of_their_own_are_the_last_share_too():
    assert held([(f"a{row}",) for row in range(12)]) == [9, 10, 11]


def test_all_copies_of_a_held_out_film_are_held_out_with_it():
    assert held(["a", "b", "c", "a", "b", "c", "a", "b"]) == [1, 4, 7]  # the last is of b: all three, enough
    assert held(["a", "b", "c", "d", "e", "c", "f", "g"]) == [6, 7]
    assert held(["a", "b", "c", "d", "e", "f", "a", "g"]) == [0, 6, 7]


def test_films_of_the_same_two_real_ones_are_held_out_together():
    """Mixtures of a and b, whichever is named first, are copies of one another; one of a and c is another film."""
    assert held([["x"], ["a", "b"], ["y"], ["a"], ["a", "c"], ["z"], ["w"], ["b", "a"]]) == [1, 7]


def test_mixtures_that_are_all_tied_by_chains_of_real_films_can_still_be_held_out():
    ring = [[f"r{row}", f"r{(row + 1) % 40}"] for row in range(40)]
    assert held(ring) == list(range(30, 40))


def test_films_that_show_nothing_stand_alone_among_copies():
    assert held([(), "a", (), "a", (), "a", (), ()]) == [6, 7]
    assert held(["b", "a", (), "a", (), "a", (), "a"]) == [1, 3, 5, 7]


def test_some_films_are_always_left_to_train_on():
    """Three are asked for; with both copies of b and those of a there would be none."""
    assert held("aabb", share=0.9) == [2, 3]
    assert held("aaaba") == [0, 1, 2, 4]  # asked for one, all of a go with it


@pytest.mark.parametrize("shown", ["a", "aaaa", [["a", "b"], ["b", "a"]], [()]])
def test_films_of_one_source_cannot_be_held_out(shown):
    with pytest.raises(
        InputError, match="at least 2 synthetic films that show different real ones are needed"
    ) as error:
        hold_out_last(showing(shown), SHARE)
    assert "\n" not in str(error.value) and f"found {len(shown)}" in str(error.value)


def test_nothing_of_a_held_out_film_is_trained_on_in_copies_as_a_placebo_has_them():
    real = ScrOfficial(FAST).training_set(few(), Slot("official", "tiny", ArmName.REAL))
    for seed in range(20):
        films = copies(real, 60, seed=seed)
        rows, out = hold_out_last(films, SHARE)
        shown = [name for (name,) in sources(films)]
        assert not {shown[row] for row in rows} & {shown[row] for row in out}
        assert 15 <= len(out) < 15 + max(shown.count(name) for name in shown)  # no more than one film's copies too many


def test_films_that_show_none_of_the_held_out_ones_are_left():
    films = showing(["a", (), ["a", "b"], "b", "c", ["c", "d"]])
    assert not_showing(films, {"b"}).tolist() == [0, 1, 4, 5]
    assert not_showing(films, {"a", "d"}).tolist() == [1, 3, 4]
    assert not_showing(films, []).tolist() == list(range(6)) == not_showing(films, {"z"}).tolist()
    assert not_showing(showing(["a", "a"]), {"a"}).tolist() == []
    assert not_showing(films, iter(["a", "b"])).tolist() == [1, 4, 5]  # read once


# ------------------------------------------------------------------------------------------- in the arms of a task


def marked(films: Dataset) -> Dataset:
    """Every pixel of a film says which original it shows: 1, 2, ... in the order of the ids."""
    places = {name: place for place, name in enumerate(sorted({shown for (shown,) in sources(films)}), start=1)}
    grey = np.array([places[shown] for (shown,) in sources(films)], np.uint8)
    return Dataset(
        films.info, np.broadcast_to(grey[:, None, None], films.images.shape).copy(), films.cases, films.masks
    )


def originals_in(images: np.ndarray) -> set[int]:
    return set(images[:, 0, 0].tolist())


@pytest.fixture(scope="module")
def real() -> Dataset:
    return marked(ScrOfficial(FAST).training_set(few(), Slot("official", "full", ArmName.REAL)))


@pytest.mark.parametrize("seed", range(3))
def test_a_mixed_arm_trains_on_no_copy_of_the_real_films_that_it_holds_out(real, seed):
    task, made = ScrOfficial(FAST), copies(real, 50, seed=seed)
    training, out = task.examples(Arm(ArmName.MIXED, real=real, synthetic=made), seed=seed)
    hidden = originals_in(out.images)
    assert hidden and not hidden & originals_in(training.images)
    assert hidden | originals_in(training.images) == set(range(1, 15))
    alone = task.examples(Arm(ArmName.REAL, real=real), seed=seed)
    assert np.array_equal(alone[1].images, out.images)  # what REAL holds out
    assert np.array_equal(alone[0].images, training.images[: training.first])
    left = [name for (name,) in sources(made) if name not in {real_id(one) for one in hidden}]
    assert len(training) - training.first == len(left) < 50


def real_id(place: int) -> str:
    return f"case-{place - 1:02d}"


@pytest.mark.parametrize("seed", range(3))
def test_a_synthetic_arm_of_copies_trains_on_no_copy_of_a_film_that_it_holds_out(real, seed):
    task, made = ScrOfficial(FAST), copies(real, 50, seed=seed)
    training, out = task.examples(Arm(ArmName.SYNTHETIC, synthetic=made), seed=seed)
    assert not originals_in(training.images) & originals_in(out.images)
    assert len(training) + len(out) == 50 and len(out) >= 12


def test_a_mixed_arm_whose_films_all_show_held_out_ones_is_one_line(real):
    _, out = hold_out_patients(real, REAL_HELD_OUT, seed=0)
    made = copies(real.select(out), 20, seed=0)
    with pytest.raises(InputError, match="every synthetic film shows a held-out real film: none is left to train on"):
        ScrOfficial(FAST).examples(Arm(ArmName.MIXED, real=real, synthetic=made), seed=0)
