"""Which numbers of the films foretell their use? The rank correlation of each with the gain and with the worth, over the
entries of a board.

Spearman's rho and Kendall's tau-b, turned so that above 0 means: films that the number calls better are of more use. The
intervals are 95 % percentiles of a bootstrap of the entries alone: seeds and films are left as they are. An entry that
reproduces another is not counted beside it. Controls make an order by themselves (noise is bad by every number), so all is
said again without them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy  # loads its parts when they are asked for

from ..benchmark.significance.worth import Worth
from .fidelity import NUMBERS, Found, Number
from .standings import Board, Standing

Values = npt.NDArray[np.float64]

LEAST = 8
"""Entries below which there is no correlation: of seven without any order, rho is above 0.75 or below -0.75 in one of
twenty."""
DRAWS, FEWEST_DRAWS, MANY = 2_000, 200, 100
"""Draws of the bootstrap, and of more entries than `MANY`."""
USES = ("gain", "worth")


@dataclass(frozen=True)
class Correlation:
    """Rank correlations over `entries`, with 95 % intervals; None where there are too few entries, or no order."""

    entries: int
    spearman: float | None = None
    spearman_low: float | None = None
    spearman_high: float | None = None
    kendall: float | None = None
    kendall_low: float | None = None
    kendall_high: float | None = None
    note: str = ""
    """Why there is no number."""


@dataclass(frozen=True)
class Foretold:
    """One number of the films against the uses, by name of the use; `films`: of how many films it is, of each entry."""

    number: Number
    films: tuple[int, ...]
    uses: dict[str, Correlation]


def foretold(board: Board, *, controls: bool = True) -> list[Foretold]:
    """Every number of the films at the size that ranks that an entry of the board has, against gain and worth of the
    headline's arm; `controls`: whether controls count."""
    twins = {one.attempt.entrant.name for one in board.all}
    counted = [
        one for one in board.all if one.attempt.entrant.reproduces not in twins and (controls or not one.control)
    ]
    uses = {name: [_use(name, one, board) for one in counted] for name in USES}
    rows = []
    for number in NUMBERS:
        values = [number.value(one.attempt, board.size) for one in counted]
        if not any(values):
            continue
        there = tuple(one.films for one in values if one is not None and one.films is not None)
        rows.append(Foretold(number, there, {name: _against(number, values, use) for name, use in uses.items()}))
    return rows


def to_plain(rows: Sequence[Foretold]) -> list[list[Any]]:
    """Rows as JSON has them."""
    return [[row.number.name, row.films, {name: astuple(found) for name, found in row.uses.items()}] for row in rows]


def from_plain(said: Sequence[Sequence[Any]]) -> list[Foretold]:
    """Rows of what `to_plain` gave."""
    numbers = {one.name: one for one in NUMBERS}
    return [
        Foretold(numbers[name], tuple(films), {use: Correlation(*found) for use, found in uses.items()})
        for name, films, uses in said
    ]


def _against(number: Number, values: Sequence[Found | None], uses: Sequence[float | None]) -> Correlation:
    pairs = [
        (number.better * one.value, use)
        for one, use in zip(values, uses, strict=True)
        if one is not None and use is not None and math.isfinite(one.value)
    ]
    return correlation([pair[0] for pair in pairs], [pair[1] for pair in pairs])


def _use(name: str, one: Standing, board: Board) -> float | None:
    """Gain, turned so that higher is better, or the worth in doublings: infinite beyond the curve, None where unknown."""
    if name == "worth":
        return _doublings(one.headline.worth)
    value = one.headline.gain.value
    if value is None or not math.isfinite(value):
        return None
    return value if board.protocol.primary.higher_is_better else -value


def _doublings(worth: Worth | None) -> float | None:
    if worth is None or not worth.identified:
        return None
    return {"above": math.inf, "below": -math.inf}.get(worth.censored, worth.doublings)


def correlation(first: Sequence[float], second: Sequence[float], *, seed: int = 0) -> Correlation:
    """Rank correlations of pairs of values (infinite ones are last or first), deterministic: draws are from `seed`."""
    count = len(first)
    if count < LEAST:
        entries = {0: "no entry has", 1: "1 entry has"}.get(count, f"{count} entries have")
        return Correlation(count, note=f"{entries} both; {LEAST} needed")
    a, b = (scipy.stats.rankdata(np.asarray(one, dtype=np.float64)) for one in (first, second))
    if min(np.ptp(a), np.ptp(b)) == 0:
        return Correlation(count, note="all are equal: no order")
    draws = DRAWS if count <= MANY else FEWEST_DRAWS
    rows = np.random.default_rng(seed).integers(0, count, (draws, count))
    spearman, kendall = _interval(_rhos(a[rows], b[rows])), _interval(_taus(a, b, rows))
    rho = float(_rhos(a[None], b[None])[0])
    tau = float(scipy.stats.kendalltau(a, b).statistic)
    return Correlation(count, rho, *spearman, tau, *kendall)


def _rhos(a: Values, b: Values) -> Values:
    """Spearman's rho of each row (draws, entries); NaN without an order."""
    a, b = (scipy.stats.rankdata(one, axis=1) for one in (a, b))
    a, b = (one - one.mean(axis=1, keepdims=True) for one in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Values = (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return found


def _taus(a: Values, b: Values, rows: npt.NDArray[np.int64]) -> Values:
    """Kendall's tau-b of each draw: pairs of entries weighted by how often both were drawn."""
    signs = [np.sign(one[:, None] - one[None]) for one in (a, b)]
    times = np.zeros((len(rows), len(a)))
    np.add.at(times, (np.arange(len(rows))[:, None], rows), 1.0)

    def over(pairs: Values) -> Values:
        found: Values = ((times @ pairs) * times).sum(axis=1)
        return found

    with np.errstate(invalid="ignore", divide="ignore"):
        found: Values = over(signs[0] * signs[1]) / np.sqrt(over(np.abs(signs[0])) * over(np.abs(signs[1])))
    return found


def _interval(values: Values) -> tuple[float, float]:
    """95 % percentiles of draws that have an order."""
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)
