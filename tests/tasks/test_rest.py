"""The real training films outside of a size, on every task: never of a patient that trains, stops or tests."""

from __future__ import annotations

import pytest

from cxrbench.benchmark.data.copies import originals
from cxrbench.benchmark.data.sizes import FULL
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.runs.rest import rest_of, sizes_with_rest

from . import test_nested_sizes as nested

data, sizes = nested.data, nested.sizes  # fixtures


def patients(films) -> set[str]:
    return set() if films is None else set(films.cases["patient"].astype(str))


@pytest.mark.parametrize("seed", range(3))
def test_what_is_left_of_a_size_is_what_all_films_have_besides(sizes, seed):
    smallest = [size for size in sizes.asked if size != FULL][-1]
    slot, whole = sizes.slot(smallest, seed), sizes.task.training_set(sizes.data, sizes.slot(FULL, seed))
    rest = rest_of(sizes.task, sizes.data, slot)
    own, held = sizes.task.training_set(sizes.data, slot), sizes.task.validation_set(sizes.data, slot)
    test = sizes.task.test_set(sizes.data, slot)
    assert len(rest) and patients(rest).isdisjoint(patients(own) | patients(held))
    assert set(originals(rest)).isdisjoint(test.ids)
    assert patients(rest) | patients(own) == patients(whole)
    assert patients(rest) == patients(whole) - patients(own) and rest.annotations == whole.annotations
    assert set(rest.ids) < set(whole.ids)  # as the protocol prepares them, augmentation too


def test_all_films_leave_none(sizes):
    assert not len(rest_of(sizes.task, sizes.data, sizes.slot(FULL, 0)))


def test_a_size_that_leaves_none_is_not_run_and_said_and_alone_is_one_line(sizes):
    slots = sizes.task.slots(sizes.data)
    planned, said = sizes_with_rest("retrieval", sizes.task, sizes.data, slots)
    assert {slot.size for slot in planned} == {slot.size for slot in slots} - {FULL}
    assert said.endswith("no generator, never ranked; size full leaves none and is not run")
    some, without = sizes_with_rest("retrieval", sizes.task, sizes.data, planned)
    assert some == planned and without.endswith("no generator, never ranked")
    full = [slot for slot in slots if slot.size == FULL]
    with pytest.raises(InputError, match=r"size full of .* leaves none: name a smaller size \(") as error:
        sizes_with_rest("retrieval", sizes.task, sizes.data, full)
    assert "\n" not in str(error.value)
