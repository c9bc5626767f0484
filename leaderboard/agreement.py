"""Does one board predict another? The rank correlation of gains and of worths over the providers that both have.

Two boards of one task and preset, of phantoms and of real films. The order of providers by their mean gain (and by their
worth: beyond the curve counts as last or first, not identified is left out) on one is held against that on the other:
Spearman's rho and Kendall's tau-b.

The interval is a bootstrap of providers and seeds together: providers are drawn with replacement, and on each board seeds
are drawn with replacement, the same for all providers, because a seed's luck is theirs together. p is that of a permutation
of the providers: is there any order in common? With few providers the interval is wide, and is printed so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy  # loads its parts when they are asked for

from ..benchmark.errors import InputError
from ..benchmark.report.words import with_minus
from ..benchmark.significance.worth import Worth
from .gains import Scores
from .standings import Board

Values = npt.NDArray[np.float64]

LEAST = 4
"""Providers below which nothing is said of an order."""
DRAWS = 10_000
MANY, FEWEST_DRAWS = 100, 1_000
"""Providers above which fewer samples are drawn for the interval, which is narrow then, and the fewest."""
AT_ONCE = 1 << 21
"""Numbers that the bootstrap draws together: many providers take no more memory than few."""
EXACT = 8
"""Providers up to which all orders are counted."""


@dataclass(frozen=True)
class Agreement:
    """How far two boards agree on the order of the providers that both have; None where there are too few of them."""

    providers: tuple[str, ...]
    first: tuple[float, ...]
    """Their mean gains on the first board, or their worths in doublings (infinite beyond the curve)."""
    second: tuple[float, ...]
    spearman: float | None = None
    low: float | None = None
    high: float | None = None
    """95 % interval of Spearman's rho."""
    kendall: float | None = None
    p: float | None = None
    note: str = ""

    @property
    def sentence(self) -> str:
        """What may be said, in words."""
        if self.spearman is None:
            return self.note
        interval = (
            "" if self.low is None or self.high is None else f" (95 % interval {self.low:.2f} to {self.high:.2f})"
        )
        said = f"Spearman's rho {self.spearman:.2f}{interval} over {len(self.providers)} providers and controls"
        return with_minus(f"{said}, p {'< 0.0001' if (self.p or 0) < 1e-4 else f'= {self.p:.2g}'}")


def of_gains(first: Mapping[str, Scores], second: Mapping[str, Scores], *, seed: int = 0) -> Agreement:
    """The agreement of gains by provider and seed on two boards. Deterministic: draws are from `seed`."""
    names = tuple(name for name in first if name in second)
    columns = [np.array([float(np.mean(list(board[name].values()))) for name in names]) for board in (first, second)]
    found = _agreement(names, columns[0], columns[1])
    if found.spearman is None:
        return found
    low, high = _interval([_table(board, names) for board in (first, second)], np.random.default_rng(seed))
    return Agreement(**{**vars(found), "low": low, "high": high})


def of_worths(first: Mapping[str, Worth], second: Mapping[str, Worth]) -> Agreement:
    """The agreement of worths, of the providers whose worth is identified on both boards; without an interval."""
    known = [
        {name: value for name, one in board.items() if (value := _doublings(one)) is not None}
        for board in (first, second)
    ]
    names = tuple(name for name in known[0] if name in known[1])
    columns = [np.array([board[name] for name in names]) for board in known]
    return _agreement(names, columns[0], columns[1])


def of_boards(first: Board, second: Board) -> tuple[Agreement, Agreement]:
    """(of gains, of worths) of the headline arms of two boards. InputError where they are not of one task and preset."""
    for what in ("task", "version", "preset"):
        ours, theirs = getattr(first.key, what), getattr(second.key, what)
        if ours != theirs:
            raise InputError(f"boards of {what} {ours} and {what} {theirs} say nothing of each other")
    sides = [
        {one.attempt.title: one.headline for one in board.all if one.headline.gain.by_seed} for board in (first, second)
    ]
    gains = of_gains(*({name: arm.gain.by_seed for name, arm in side.items()} for side in sides))
    worths = of_worths(*({name: arm.worth for name, arm in side.items() if arm.worth is not None} for side in sides))
    return gains, worths


def _doublings(found: Worth) -> float | None:
    """Where a worth stands in an order; None where it is not identified."""
    if not found.identified:
        return None
    if found.censored:
        return math.inf if found.censored == "above" else -math.inf
    return found.doublings


def _agreement(names: tuple[str, ...], first: Values, second: Values) -> Agreement:
    ours, theirs = tuple(first.tolist()), tuple(second.tolist())
    if len(names) < LEAST:
        count = {0: "no provider is", 1: "one provider is"}.get(len(names), f"{len(names)} providers are")
        return Agreement(names, ours, theirs, note=f"{count} on both boards, {LEAST} needed to speak of an order")
    ranks = scipy.stats.rankdata(first), scipy.stats.rankdata(second)
    if any(np.ptp(one) == 0 for one in ranks):
        return Agreement(names, ours, theirs, note="all providers are equal on one of the boards: there is no order")
    rho = float(np.corrcoef(*ranks)[0, 1])
    return Agreement(
        names, ours, theirs, rho, kendall=float(scipy.stats.kendalltau(first, second).statistic), p=_permuted(*ranks)
    )


def _permuted(first: Values, second: Values) -> float:
    """Two-tailed p of Spearman's rho under permutations of the providers: exact up to eight of them, else of `DRAWS` drawn
    ones, the one that is there among them (Phipson and Smyth 2010)."""
    count = len(first)
    if count <= EXACT:
        orders: Iterable[Any] = map(np.array, itertools.permutations(range(count)))
    else:
        rng = np.random.default_rng(0)
        orders = itertools.chain([np.arange(count)], (rng.permutation(count) for _ in range(DRAWS)))
    a, b = first - first.mean(), second - second.mean()
    products = np.array([abs(a[order] @ b) for order in orders])
    return float((products >= abs(a @ b) * (1 - 1e-12)).mean())


def _table(board: Mapping[str, Scores], names: Sequence[str]) -> Values:
    """Gains (providers, seeds), NaN where a provider has no such seed."""
    seeds = sorted(set().union(*(board[name].keys() for name in names)))
    return np.array([[board[name].get(seed, np.nan) for seed in seeds] for name in names], np.float64)


def _interval(tables: Sequence[Values], rng: np.random.Generator) -> tuple[float, float]:
    """Percentiles of Spearman's rho over draws of providers and, on each board, of seeds; draws without an order do not
    count."""
    count = len(tables[0])
    draws = max(FEWEST_DRAWS, min(DRAWS, DRAWS * MANY // count))
    rows = rng.integers(0, count, (draws, count))
    drawn = [rng.integers(0, table.shape[1], (draws, table.shape[1])) for table in tables]
    at_once = max(1, AT_ONCE // max(1, count * max(table.shape[1] for table in tables)))
    parts = [slice(start, start + at_once) for start in range(0, draws, at_once)]
    rhos = [
        _rhos([_ranks(*each, rows[part]) for each in zip(tables, [one[part] for one in drawn], strict=True)])
        for part in parts
    ]
    low, high = np.quantile(np.concatenate(rhos), [0.025, 0.975])
    return float(low), float(high)


def _ranks(table: Values, seeds: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> Values:
    """Ranks of drawn providers by their means over drawn seeds, minus the mean rank, a row a draw."""
    drawn = table[rows[:, :, None], seeds[:, None, :]]
    there = np.isfinite(drawn)
    with np.errstate(invalid="ignore"):
        means = np.where(there, drawn, 0.0).sum(axis=2) / there.sum(axis=2)  # NaN: none of the drawn seeds
    ranked = scipy.stats.rankdata(means, axis=1, nan_policy="propagate")
    centred: Values = ranked - ranked.mean(axis=1, keepdims=True)
    return centred


def _rhos(ranks: Sequence[Values]) -> Values:
    """Spearman's rho of each draw that has an order on both boards."""
    spread = np.sqrt((ranks[0] ** 2).sum(axis=1) * (ranks[1] ** 2).sum(axis=1))
    usable = spread > 0  # False for NaN
    rhos: Values = (ranks[0] * ranks[1]).sum(axis=1)[usable] / spread[usable]
    return rhos
