"""The sizes of every task's curve: nested for every seed, whole patients, drawn anew by each; the rest stays apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest

from cxrbench.benchmark.contracts.task import ArmName, Slot, Task
from cxrbench.benchmark.data.copies import originals
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.data.sizes import FULL, film_count
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.registry import find_task
from cxrbench.benchmark.runs.plan import make_curve_plan
from cxrbench.benchmark.runs.request import curve_arms
from cxrbench.tasks import nih_localisation
from cxrbench.tasks.nih_classification import NihClassification
from cxrbench.tasks.nih_localisation import NihLocalisation
from cxrbench.tasks.patient_shares import rows_of, share_of
from cxrbench.tasks.scr_3fold import ScrThreeFold
from cxrbench.tasks.scr_official import ScrOfficial

from . import test_nih_classification as nih
from . import test_nih_localisation as boxes
from . import test_scr_3fold as folds
from . import test_scr_official as official

SEEDS = range(4)
data = boxes.data  # the films with boxes, a fixture


def two_each(count: int) -> list[str]:
    return [f"p{row // 2:03d}" for row in range(count)]


@dataclass(frozen=True)
class Sizes:
    """A task, films for it of patients with two films each, a fold, and how many films each size of its curve asks for."""

    task: Task
    data: Dataset
    fold: str
    asked: Mapping[str, int]

    def slot(self, size: str, seed: int) -> Slot:
        return Slot(self.fold, size, ArmName.MIXED, seed)

    def films(self, size: str, seed: int) -> Dataset:
        return self.task.learnt_from(self.task.training_set(self.data, self.slot(size, seed)))

    def shown(self, size: str, seed: int) -> set[str]:
        return set(originals(self.films(size, seed)))

    @property
    def smaller(self) -> list[str]:
        return [size for size in self.asked if size != FULL]


def of_official(_: Dataset) -> Sizes:
    films = official.chests([f"c{row:03d}" for row in range(80)], ["train"] * 64 + ["test"] * 16, patients=two_each(80))
    asked = {FULL: 64, "32": 32, "16": 16, "tiny": 11, "8": 8, "4": 4}
    return Sizes(ScrOfficial(official.FAST), films, "official", asked)


def of_folds(_: Dataset) -> Sizes:
    films = folds.chests(
        [f"c{row:03d}" for row in range(120)], [row // 2 % 3 for row in range(120)], patients=two_each(120)
    )
    asked = {FULL: 70, "35": 35, "18": 18, "reduced": 15, "9": 9, "4": 4}
    return Sizes(ScrThreeFold(folds.FAST), films, "1", asked)


def of_labels(_: Dataset) -> Sizes:
    task = NihClassification(replace(nih.FAST, fractions=(0.1,)))
    return Sizes(task, nih.hospital(160, 20), "official", {FULL: 288, "50%": 144, "25%": 72, "12.5%": 36, "10%": 28})


def of_boxes(films: Dataset) -> Sizes:
    task = NihLocalisation(replace(boxes.task_of().settings, fractions=(0.75,)))
    return Sizes(task, films, task.settings.split.value, {FULL: 23, "75%": 18, "50%": 12, "25%": 6})


MAKERS: dict[str, Callable[[Dataset], Sizes]] = {
    "scr_official": of_official,
    "scr_3fold": of_folds,
    "nih_classification": of_labels,
    "nih_localisation": of_boxes,
}


@pytest.fixture(params=MAKERS)
def sizes(request, data, monkeypatch) -> Sizes:
    monkeypatch.setattr(nih_localisation, "LEAST", 6)  # boxes: there are 28
    return MAKERS[request.param](data)


def test_the_curve_has_all_films_and_ever_half_of_them_and_the_sizes_of_the_boards(sizes):
    assert tuple(sizes.task.curve_sizes(sizes.data)) == tuple(sizes.asked)
    counts = [len(sizes.shown(size, 0)) for size in sizes.asked]
    assert counts == sorted(counts, reverse=True) and len(set(counts)) == len(counts)
    assert all(larger <= 2.6 * smaller for larger, smaller in pairwise(counts))  # no gap
    planned = {slot.size for slot in sizes.task.slots(sizes.data)}
    assert planned - {"31"} <= set(sizes.asked)  # 31 is one of the curve's where there are 124 films


@pytest.mark.parametrize("seed", SEEDS)
def test_a_larger_size_has_all_films_of_a_smaller_one_with_the_same_seed(sizes, seed):
    for larger, smaller in pairwise(sizes.asked):
        assert sizes.shown(smaller, seed) < sizes.shown(larger, seed)
        ids = [sizes.films(size, seed).ids for size in (larger, smaller)]
        assert set(ids[1]) < set(ids[0])  # augmented copies too


def test_the_augmented_films_of_a_smaller_size_are_the_same_films():
    sizes = MAKERS["scr_official"](None)
    full, tiny = sizes.films(FULL, 2), sizes.films("tiny", 2)
    places = {name: row for row, name in enumerate(full.ids)}
    assert len(tiny) == 6 * 12
    for row, name in enumerate(tiny.ids):
        assert (tiny.images[row] == full.images[places[name]]).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_size_has_whole_patients_and_at_least_the_films_asked_for(sizes, seed):
    every = sizes.films(FULL, seed)
    of = every.cases.assign(original=originals(every)).groupby("patient")["original"].agg(set)
    for size in sizes.smaller:
        films = sizes.films(size, seed)
        patients = set(films.cases["patient"])
        assert set().union(*of[list(patients)]) == sizes.shown(size, seed)
        most = max(map(len, of))
        if film_count(size) is not None or not size.endswith("%"):
            assert sizes.asked[size] <= len(sizes.shown(size, seed)) < sizes.asked[size] + most
        else:  # a share is of patients
            share = len(patients) / every.cases["patient"].nunique()
            assert share == pytest.approx(float(size[:-1]) / 100, abs=0.06)


def test_every_seed_draws_anew_below_the_full_size_and_all_films_at_it(sizes):
    assert len({frozenset(sizes.shown(FULL, seed)) for seed in SEEDS}) == 1 or sizes.task.name == "nih_classification"
    for size in sizes.smaller:
        drawn = {frozenset(sizes.shown(size, seed)) for seed in range(8)}
        assert len(drawn) >= 6
        assert {frozenset(sizes.shown(size, seed)) for seed in range(8)} == drawn  # and the same again
    everywhere = set.union(*(sizes.shown(sizes.smaller[-1], seed) for seed in range(40)))
    assert len(everywhere) > 0.8 * len(sizes.shown(FULL, 0))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_size_has_a_film_of_a_patient_who_is_tested_or_validates(sizes, seed):
    for size in sizes.asked:
        slot = sizes.slot(size, seed)
        trained = sizes.task.training_set(sizes.data, slot)
        others = [sizes.task.test_set(sizes.data, slot), sizes.task.validation_set(sizes.data, slot)]
        for other in others:
            if other is not None:
                assert not set(trained.cases["patient"]) & set(other.cases["patient"])
                assert not set(originals(trained)) & set(originals(other))


def test_all_sizes_and_seeds_are_tested_on_the_same_films(sizes):
    assert len({tuple(sizes.task.test_set(sizes.data, sizes.slot(*one)).ids) for one in spread(sizes)}) == 1


def spread(sizes: Sizes) -> list[tuple[str, int]]:
    return [(size, seed) for size in sizes.asked for seed in (0, 3)]


@pytest.mark.parametrize("size", ["medium", "", "0", "9999", "0%", "100%", "-5", "3.5"])
def test_a_size_that_is_not_there_is_one_line_before_any_work(sizes, size):
    with pytest.raises(InputError) as error:
        sizes.films(size, 0)
    said = str(error.value)
    assert "\n" not in said and ("size" in said) and (size in said)
    with pytest.raises(InputError, match="size"):
        make_curve_plan(
            task=sizes.task,
            task_plugin=find_task(sizes.task.name),
            data=sizes.data,
            fit_data=sizes.data,
            preset="quick",
            seeds=[0],
            sizes=[size],
            arms=[ArmName.MIXED],
            device="cpu",
        )


def test_the_headline_is_an_arm_with_synthetic_films_at_a_small_size_of_the_board(sizes):
    headline = type(sizes.task).headline
    assert headline is not None and headline.arm is ArmName.MIXED and headline.size != FULL
    assert headline.arm in curve_arms(sizes.task, sizes.data)


def test_the_headlines_are_planned_on_films_as_many_as_the_papers():
    """With the counts of the default datasets, whose films are not drawn for this."""
    jsrt = official.official()
    cases = [
        (ScrOfficial(official.FAST), jsrt),
        (ScrThreeFold(folds.FAST), folds.chests(folds.JSRT_IDS, folds.three_folds(folds.JSRT_IDS))),
        (NihClassification(replace(nih.FAST, fractions=nih.QUICK.fractions)), nih.hospital(400, 20)),
    ]
    for task, films in cases:
        headline = type(task).headline
        planned = [(slot.arm, slot.size) for slot in task.slots(films)]
        assert (headline.arm, headline.size) in planned
        assert headline.size in task.curve_sizes(films)
    assert ScrOfficial(official.FAST).curve_sizes(jsrt) == ("full", "62", "31", "16", "tiny", "8", "4")


# ------------------------------------------------------------------------------------------- shares of patients


def test_shares_of_the_same_seed_validate_with_what_smaller_ones_validate_with():
    films = nih.hospital(200, 5)
    for seed in SEEDS:
        for larger, smaller in pairwise([FULL, "50%", "25%", "10%"]):
            for one, other in zip(rows_of(films, larger, seed), rows_of(films, smaller, seed), strict=True):
                assert set(other) < set(one)
    assert not any(set(rows_of(films, "10%", 0)[part]) == set(rows_of(films, "10%", 1)[part]) for part in (0, 1))


@pytest.mark.parametrize("size", ["10", "ten%", "%", "", "0%", "100%", "101%", "-1%", "nan%", "inf%", "full%"])
def test_what_is_no_share_is_one_line(size):
    with pytest.raises(
        InputError, match=f"no size '{size}'; expected full or a share of the training patients like 10%"
    ):
        share_of(size)


def test_shares_are_read_as_they_are_named():
    assert [share_of(size) for size in (FULL, "10%", "12.5%", "0.5%")] == [1.0, 0.1, 0.125, 0.005]
