"""Mixed arms: every batch takes half of its examples from the real films and half from the synthetic ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from cxrbench.benchmark.training.loop import Rows
from cxrbench.benchmark.training.recipe import Halves


class Told:
    """Examples that are their own numbers, with a draw of the batch's generator."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def batch(self, rows, rng):
        return {"row": torch.from_numpy(rows), "draw": torch.from_numpy(rng.random(len(rows)))}


def taken(source: Halves, batch: int, steps: int, seed: int = 0) -> list[np.ndarray]:
    """The examples of each batch, as the loop asks for them."""
    rows = Rows(len(source), seed)
    return [source.batch(rows.take(k * batch, batch), np.random.default_rng(k))["row"].numpy() for k in range(steps)]


@pytest.mark.parametrize("first", [1, 5, 30, 55, 59])
@pytest.mark.parametrize("batch", [2, 8, 16])
def test_every_batch_is_half_of_each_kind_however_many_there_are_of_each(first, batch):
    for rows in taken(Halves(Told(60), first), batch, 40):
        assert len(rows) == batch and rows.min() >= 0 and rows.max() < 60
        assert (rows < first).sum() == batch // 2 == (rows >= first).sum()


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_an_odd_batch_has_one_more_of_the_first_kind(batch):
    for rows in taken(Halves(Told(20), 4), batch, 30):
        assert (rows < 4).sum() == batch // 2 + 1 and (rows >= 4).sum() == batch // 2


@pytest.mark.parametrize("first", [5, 12, 30, 40, 53])
def test_every_example_stands_for_as_many_rows_as_the_others_of_its_kind(first):
    """Of all rows in one batch's halves: the first kind's rows among them, and the second's."""
    source = Halves(Told(60), first)
    every = np.arange(len(source))
    both = np.concatenate([every, every])  # the first half asks for the first kind, the second for the others
    rows = source.batch(both, np.random.default_rng(0))["row"].numpy()
    for kind in (np.bincount(rows[rows < first], minlength=first), np.bincount(rows[rows >= first] - first)):
        assert kind.max() - kind.min() <= 1 and kind.min() >= 1
    assert len(set(rows)) == 60


@pytest.mark.parametrize(("first", "batch"), [(12, 8), (30, 8), (48, 6), (6, 5)])
def test_each_kind_comes_evenly_over_many_epochs_and_none_of_the_larger_twice_in_one(first, batch):
    source = Halves(Told(60), first)
    epoch = taken(source, len(source), 300)
    larger = range(first, 60) if first < 30 else range(first)
    assert all(np.bincount(rows, minlength=60)[list(larger)].max() == 1 for rows in epoch)
    counts = np.bincount(np.concatenate(taken(source, batch, 6000)), minlength=60)
    halves = counts[:first], counts[first:]
    assert [part.sum() for part in halves] == [6000 * -(-batch // 2), 6000 * (batch // 2)]
    for part in halves:  # rows without replacement in an epoch: no more spread than by chance
        assert part.var() <= 1.6 * part.mean()
        assert stats.chisquare(part).pvalue > 0.001


def test_the_halves_of_a_batch_are_of_different_rows():
    """So that no real film always comes with the same synthetic one: an epoch's rows are shared out between both kinds."""
    for rows in taken(Halves(Told(60), 30), 30, 20):
        first, others = set(rows[rows < 30]), set(rows[rows >= 30] - 30)
        assert not first & others and first | others == set(range(30))


def test_an_epoch_is_as_long_as_the_larger_kind():
    assert [len(Halves(Told(60), first)) for first in (10, 30, 59)] == [50, 30, 59]


def test_the_source_gets_the_generator_of_the_batch():
    made = Halves(Told(10), 4).batch(np.arange(6), np.random.default_rng(7))
    assert made["draw"].tolist() == np.random.default_rng(7).random(6).tolist()


@pytest.mark.parametrize("first", [0, 10, 11, -1])
def test_two_kinds_are_expected(first):
    with pytest.raises(ValueError, match=f"two kinds of examples expected, found {first} of 10 to be of the first"):
        Halves(Told(10), first)
