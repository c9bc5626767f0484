"""Sizes of a training set: whole patients in an order drawn for every seed, so that a larger size has all of a smaller."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.sizes import film_count, first_patients, halved, in_order
from cxrbench.benchmark.data.splits import drawn
from cxrbench.benchmark.errors import InputError


def films(visits: list[int]) -> Dataset:
    """So many films of each patient, ids in the order of films."""
    patients = [f"p{number:02d}" for number, count in enumerate(visits) for _ in range(count)]
    cases = pd.DataFrame({"id": [f"f{row:03d}" for row in range(len(patients))], "patient": patients})
    return Dataset(DatasetInfo(name="visits", resolution=1), np.zeros((len(patients), 1, 1), np.uint8), cases)


VISITS = films([3, 1, 4, 1, 5, 2, 1, 3, 2, 6])  # 28 films
ROWS = np.arange(len(VISITS))


def chosen(count: int, seed: int, rows: np.ndarray = ROWS) -> list[int]:
    return first_patients(VISITS, rows, count, f"size/{seed}").tolist()


def patients(rows: list[int]) -> pd.Series:
    return VISITS.cases["patient"].iloc[rows]


@pytest.mark.parametrize("seed", range(5))
def test_every_size_has_whole_patients_and_no_more_of_them_than_it_needs(seed):
    order = drawn(VISITS.cases["patient"], f"size/{seed}")
    films_of = VISITS.cases["patient"].value_counts()
    for count in range(1, len(VISITS) + 1):
        rows = chosen(count, seed)
        found = patients(rows)
        assert found.value_counts().to_dict() == films_of[found.unique()].to_dict()
        assert set(found) == set(order[: found.nunique()])  # the first of the order
        last = films_of[order[found.nunique() - 1]]
        assert len(rows) - last < count <= len(rows)


@pytest.mark.parametrize("seed", range(5))
def test_a_larger_size_has_all_of_a_smaller_one_in_the_order_of_the_films(seed):
    before: set[int] = set()
    for count in range(1, len(VISITS) + 1):
        rows = chosen(count, seed)
        assert before <= set(rows) and rows == sorted(rows)
        before = set(rows)
    assert before == set(ROWS.tolist())


def test_another_seed_is_another_draw_of_which_every_patient_has_a_share():
    single = films([1] * 12)
    draws = [first_patients(single, np.arange(12), 4, f"size/{seed}").tolist() for seed in range(300)]
    assert len({tuple(draw) for draw in draws}) > 200
    counts = np.bincount(np.concatenate(draws), minlength=12)
    assert counts.sum() == 1200 and counts.min() > 60 and counts.max() < 140  # about 100 each, deviation 8


def test_a_size_depends_on_names_and_not_on_the_order_of_the_films():
    shuffled = VISITS.select(np.random.default_rng(0).permutation(len(VISITS)))
    for count in (1, 5, 13):
        there = first_patients(shuffled, np.arange(len(VISITS)), count, "size/0")
        assert {shuffled.ids[row] for row in there} == {VISITS.ids[row] for row in chosen(count, 0)}


def test_only_the_given_rows_are_taken():
    rows = np.array([27, 3, 4, 0, 1, 2, 20])  # in this order
    found = first_patients(VISITS, rows, 4, "size/0")
    assert 4 <= len(found) < 7 and [row for row in rows if row in found] == found.tolist()
    assert first_patients(VISITS, rows, 7, "size/0").tolist() == rows.tolist()


@pytest.mark.parametrize("count", [0, -1, 29])
def test_a_size_that_the_films_do_not_have_is_one_line(count):
    with pytest.raises(InputError) as error:
        chosen(count, 0)
    assert str(error.value) == f"a size of {count} films: expected 1 to 28, the training films of visits"


def test_a_number_is_a_size_and_other_names_are_not():
    assert [film_count(size) for size in ("31", "0", "007", "tiny", "full", "-4", "3.5", "", "10%")] == [
        *(31, 0, 7),
        *[None] * 6,
    ]


def test_a_curve_halves_all_films_down_to_the_least():
    assert halved(124, 4) == [124, 62, 31, 16, 8, 4]  # 15.5 and 7.75 and 3.875, rounded
    assert halved(10, 4) == [10, 5] and halved(4, 4) == [4] and halved(3, 4) == []
    for count in range(1, 300):
        sizes = halved(count, 4)
        assert all(larger > smaller >= 4 for larger, smaller in pairwise(sizes))


def test_sizes_of_equal_films_are_one_by_the_first_name():
    assert in_order([("full", 62), ("31", 31), ("tiny", 31), ("62", 62), ("8", 8), ("16", 16)]) == (
        *("full", "31", "16", "8"),
    )
    assert in_order([]) == ()
