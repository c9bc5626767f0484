"""Worth: how many real films would have done what an arm with synthetic films did.

The placebo curve P(n) is the score of copies of n real films (`gain` says what a placebo is). The worth of an arm that had
n real films is the n_eq with P(n_eq) = its score, in doublings w = log2(n_eq / n): 0 nothing, +1 as good as
twice the real films, negative harm.

**Curve.** Means over seeds at sizes in a geometric grid, made monotone by isotonic regression (weighted by the seeds of
each size), straight lines in log2 n between them. No extrapolation: outside the grid stands "more than 124".

**Interval.** A size x is in the 95 % interval where the paired t-test over seeds does not tell the arm's score from
P(x): Fieller's interval (1954), the inversion of the test by which a gain is told. Seeds that arm and curve share are
paired, so that their luck cancels; the others count too, each with its share of the mean that it is in. The degrees of
freedom are those of the fewest seeds that the comparison at x hangs on, less one. Of the intervals that were simulated
(`leaderboard/worth_simulation.py`) it is the one that covers 95 % at 5, 8 and 10 seeds; a bootstrap over seeds covers
83 to 92 %, widened by t 92 to 96 %. It needs no draws, so that every provider of a board is treated alike.

**Not identified.** No number is given where the interval

- covers every size of the curve, or
- is open at one end, and over the doubling of the curve next to that end the score does not rise by more than its
  noise (one-sided paired t-test over seeds, 5 %): there the curve is flat, and more films of the grid would not close it.
  An arm that is told from P at that end is "more than" or "less than" it all the same.

Without an interval (one seed) the second is asked of the doubling on either side of the answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy  # loads its parts when they are asked for

from ..errors import InputError
from .paired_tests import MIN_SEEDS

Values = npt.NDArray[np.float64]
Side = Literal["", "above", "below"]

_LEVEL = 0.05
_STEPS = 64
"""Points of the search in each step of the curve; the ends are interpolated between them."""
_NEXT_TO = 1.0
"""Doublings over which a curve must rise to be called rising there."""


@dataclass(frozen=True)
class Curve:
    """A placebo curve: what copies of ever more real films score. Columns are seeds; those of an arm are the same."""

    sizes: Values
    """(K,) real films, ascending, positive; K >= 2."""
    scores: Values
    """(K, S), NaN where a seed was not trained."""
    higher_is_better: bool = True
    _lines: dict[int, tuple[_Line | None, list[float]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def line(self, least: int) -> tuple[_Line | None, list[float]]:
        """The line through sizes of at least `least` seeds, and the sizes left out; made once for all arms."""
        if least not in self._lines:
            self._lines[least] = _Line.of(self, 1.0 if self.higher_is_better else -1.0, least)
        return self._lines[least]

    def __post_init__(self) -> None:
        sizes, scores = np.asarray(self.sizes, np.float64), np.asarray(self.scores, np.float64)
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "scores", scores)
        if sizes.ndim != 1 or scores.ndim != 2 or len(sizes) != len(scores) or len(sizes) < 2:
            raise InputError(f"a curve of sizes (K,), scores (K, S) and K >= 2 expected: {sizes.shape}, {scores.shape}")
        if not np.isfinite(sizes).all() or sizes[0] <= 0 or (np.diff(sizes) <= 0).any():
            raise InputError("sizes of a curve: positive numbers in ascending order expected")
        if np.isinf(scores).any():
            raise InputError("scores of a curve: finite numbers, or NaN for missing, expected")


@dataclass(frozen=True)
class Worth:
    """What an arm is worth in real films.

    Where it is not identified, `films` and `doublings` are None and `note` says why; the interval says what is known.
    """

    films: float | None = None
    """Real films; None where not identified, and where the answer lies outside the curve (`censored`)."""
    doublings: float | None = None
    """log2(films / n)."""
    low_films: float | None = None
    high_films: float | None = None
    """95 % interval; None without one."""
    low_doublings: float | None = None
    high_doublings: float | None = None
    censored: Side = ""
    """The answer lies "above" the largest size of the curve or "below" the smallest."""
    low_censored: bool = False
    high_censored: bool = False
    """The end lies beyond the number given for it, which is then the first or last size of the curve."""
    identified: bool = False
    seeds: int = 0
    """Of the arm."""
    smallest: float = math.nan
    largest: float = math.nan
    """Sizes between which the curve says something."""
    note: str = ""


def aligned(
    arm: Mapping[int, float], curve: Mapping[float, Mapping[int, float]], *, higher_is_better: bool = True
) -> tuple[Values, Curve]:
    """Scores by seed, and by size and seed, as an arm (S,) and a curve (K, S) with the same columns; NaN is missing."""
    sizes = sorted(curve)
    seeds = sorted(set(arm).union(*curve.values()))
    scores = [[curve[size].get(seed, math.nan) for seed in seeds] for size in sizes]
    table = np.array(scores, np.float64).reshape(len(sizes), len(seeds))
    mine = np.array([arm.get(seed, math.nan) for seed in seeds], np.float64)
    return mine, Curve(np.array(sizes, np.float64), table, higher_is_better)


def worth(arm: npt.ArrayLike, n: float, curve: Curve) -> Worth:
    """The worth of an arm that had `n` real films: its scores (S,), in the columns of `curve`, NaN for missing.

    Raises InputError where the columns do not fit or a number is infinite.
    """
    y = np.asarray(arm, np.float64)
    if y.shape != (curve.scores.shape[1],) or np.isinf(y).any():
        raise InputError(f"an arm's scores ({curve.scores.shape[1]},), one a seed of the curve, expected: {y.shape}")
    if not (math.isfinite(n) and n > 0):
        raise InputError(f"a positive number of real films expected, got {n}")
    sign = 1.0 if curve.higher_is_better else -1.0
    mine = _Mean.of(sign * y)
    line, dropped = curve.line(min(mine.count, 2))
    seeds = mine.count
    if not seeds or line is None:
        why = "the arm has no seed" if not seeds else "fewer than two sizes of the curve have a seed"
        ends = float(curve.sizes[0]), float(curve.sizes[-1])
        return Worth(seeds=seeds, smallest=ends[0], largest=ends[1], note=f"not identified: {why}")
    place, side = line.inverse(mine.value)
    interval = _interval(mine, line, place, side)
    flat = _why_not(line, place, side, interval)
    notes = [flat] if flat else []
    if seeds < MIN_SEEDS:
        notes.append("one seed: no interval" if seeds == 1 else f"{seeds} seeds, {MIN_SEEDS} needed to claim anything")
    elif interval is None:
        notes.append("no spread over seeds: no interval")
    if interval is not None and not (np.isfinite(y) & np.isfinite(curve.scores).any(axis=0)).any():
        notes.append("no seed is shared with the curve: not paired, a wider interval")
    if dropped:
        notes.append(f"sizes of the curve with one seed left out: {', '.join(in_films(size) for size in dropped)}")
    return _result(n, line, place, side, interval, seeds, notes, identified=not flat)


@dataclass(frozen=True)
class _Interval:
    """Ends in log2 films, and whether each lies beyond the curve's own."""

    low: float
    high: float
    low_open: bool
    high_open: bool


def _result(
    n: float,
    line: _Line,
    place: float,
    side: Side,
    interval: _Interval | None,
    seeds: int,
    notes: list[str],
    *,
    identified: bool,
) -> Worth:
    inside = identified and not side
    ends = (interval.low, interval.high) if interval else (None, None)
    films = [None if end is None else float(2**end) for end in ends]
    doublings = [None if end is None else end - math.log2(n) for end in ends]
    return Worth(
        films=float(2**place) if inside else None,
        doublings=place - math.log2(n) if inside else None,
        low_films=films[0],
        high_films=films[1],
        low_doublings=doublings[0],
        high_doublings=doublings[1],
        censored=side if identified else "",
        low_censored=interval is not None and interval.low_open,
        high_censored=interval is not None and interval.high_open,
        identified=identified,
        seeds=seeds,
        smallest=float(2 ** line.x[0]),
        largest=float(2 ** line.x[-1]),
        note="; ".join(notes),
    )


# --------------------------------------------------------------------------------------------- means and lines


@dataclass(frozen=True)
class _Mean:
    """A mean over seeds and what each seed adds to its error: shares (S,), so that the sum of squares of the shares of a
    difference of means is its squared standard error, paired where seeds are shared and unpaired where not."""

    value: float
    shares: Values
    count: int

    @classmethod
    def of(cls, scores: Values) -> _Mean:
        there = np.isfinite(scores)
        count = int(np.count_nonzero(there))
        if not count:
            return cls(math.nan, np.zeros(len(scores)), 0)
        value = float(scores[there].mean())
        # with all seeds shared, the sum of squares is s**2 / count, as in the paired t-test
        scale = math.sqrt(count / (count - 1)) / count if count > 1 else 0.0
        return cls(value, np.where(there, scores - value, 0.0) * scale, count)


@dataclass(frozen=True)
class _Line:
    """The curve, higher is better: log2 sizes x (K,), means and shares of single sizes, and those made monotone."""

    x: Values
    raw: Values
    raw_shares: Values
    fitted: Values
    shares: Values
    counts: npt.NDArray[np.int64]
    """Seeds of each size; of a block that the regression pooled, its fewest."""
    rounding: float

    @classmethod
    def of(cls, curve: Curve, sign: float, least: int) -> tuple[_Line | None, list[float]]:
        """The line through sizes of at least `least` seeds, and the sizes left out for having fewer but some."""
        means = [_Mean.of(sign * row) for row in curve.scores]
        kept = [i for i, mean in enumerate(means) if mean.count >= max(least, 1)]
        if len(kept) < 2 and least > 1:  # a curve of single seeds: no interval, but a point
            return cls.of(curve, sign, 1)
        dropped = [float(curve.sizes[i]) for i, mean in enumerate(means) if mean.count and i not in kept]
        if len(kept) < 2:
            return None, dropped
        raw = np.array([means[i].value for i in kept])
        shares = np.array([means[i].shares for i in kept])
        counts = np.array([means[i].count for i in kept])
        found = scipy.optimize.isotonic_regression(raw, weights=counts.astype(np.float64))
        pooled, fewest = np.empty_like(shares), np.empty_like(counts)
        for first, end in zip(found.blocks[:-1], found.blocks[1:], strict=True):
            pooled[first:end] = np.average(shares[first:end], axis=0, weights=counts[first:end])
            fewest[first:end] = counts[first:end].min()
        rounding = 8 * float(np.finfo(np.float64).eps) * float(np.abs(raw).max())
        x = np.log2(curve.sizes[kept])
        return cls(x, raw, shares, np.asarray(found.x, np.float64), pooled, fewest, rounding), dropped

    def inverse(self, y: float) -> tuple[float, Side]:
        """log2 of the size that scores `y`: the middle of a level stretch. Outside, the grid's end and the side."""
        if y > self.fitted[-1] + self.rounding:
            return float(self.x[-1]), "above"
        if y < self.fitted[0] - self.rounding:
            return float(self.x[0]), "below"
        y = float(np.clip(y, self.fitted[0], self.fitted[-1]))
        first, last = np.searchsorted(self.fitted, y, "left"), np.searchsorted(self.fitted, y, "right") - 1
        if first <= last:
            return float(self.x[first] + self.x[last]) / 2, ""
        share = (y - self.fitted[last]) / (self.fitted[first] - self.fitted[last])
        return float(self.x[last] + share * (self.x[first] - self.x[last])), ""

    def between(self, values: Values, at: Values) -> Values:
        """`values` of the sizes, (K,) or (K, S), on straight lines at log2 sizes `at` (G,)."""
        k = np.clip(np.searchsorted(self.x, at, "right") - 1, 0, len(self.x) - 2)
        share = (at - self.x[k]) / (self.x[k + 1] - self.x[k])
        share = share.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray((1 - share) * values[k] + share * values[k + 1])

    def seeds(self, at: Values) -> npt.NDArray[np.int64]:
        """The fewest seeds that the line hangs on at each of `at`."""
        k = np.clip(np.searchsorted(self.x, at, "right") - 1, 0, len(self.x) - 2)
        return np.minimum(self.counts[k], self.counts[k + 1])

    @cached_property
    def grid(self) -> tuple[Values, Values, Values, npt.NDArray[np.int64]]:
        """Points of the search (G,), and there: shares (G, S), monotone means, and seeds (G,)."""
        steps = [np.linspace(a, b, _STEPS, endpoint=False) for a, b in zip(self.x[:-1], self.x[1:], strict=True)]
        at = np.unique(np.concatenate([*steps, self.x[-1:]]))
        return at, self.between(self.shares, at), self.between(self.fitted, at), self.seeds(at)

    def grid_with(self, place: float) -> tuple[Values, Values, Values, npt.NDArray[np.int64], int]:
        """`grid` with one point more, and which one that is."""
        at, shares, fitted, seeds = self.grid
        here = int(np.searchsorted(at, place))
        if here < len(at) and at[here] == place:
            return at, shares, fitted, seeds, here
        one = np.array([place])
        return (
            np.insert(at, here, place),
            np.insert(shares, here, self.between(self.shares, one)[0], axis=0),
            np.insert(fitted, here, self.between(self.fitted, one)[0]),
            np.insert(seeds, here, self.seeds(one)[0]),
            here,
        )

    def rises(self, low: float, high: float) -> bool:
        """Whether the score rises from `low` to `high` by more than its noise; with single seeds, whether it rises."""
        ends = np.array([low, high])
        rise = float(np.diff(self.between(self.raw, ends))[0])
        spread = math.sqrt(float((np.diff(self.between(self.raw_shares, ends), axis=0) ** 2).sum()))
        freedom = int(self.seeds(ends).min()) - 1
        if freedom < 1 or spread <= self.rounding:
            return rise > self.rounding
        return bool(scipy.stats.t.sf(rise / spread, freedom) <= _LEVEL)


# --------------------------------------------------------------------------------------------- interval


def _interval(arm: _Mean, line: _Line, place: float, side: Side) -> _Interval | None:
    """The sizes that the paired t-test does not tell from the arm; None where there is no spread to test by."""
    if arm.count < 2 or line.counts.min() < 2:
        return None
    if not (np.abs(line.shares).max() > line.rounding or np.abs(arm.shares).max() > line.rounding):
        return None
    at, shares, fitted, seeds, here = line.grid_with(place)
    error = np.sqrt(((arm.shares - shares) ** 2).sum(axis=1))
    freedom, which = np.unique(np.minimum(seeds, arm.count) - 1, return_inverse=True)
    quantiles = np.array([_quantile(_LEVEL, count) for count in freedom.tolist()])[which]
    beyond = np.abs(arm.value - fitted) - quantiles * error - line.rounding
    if beyond[here] > 0:  # told from the curve's end, and so, as the curve rises, from all of it
        return _Interval(place, place, side == "below", side == "above")
    told = np.flatnonzero(beyond > 0)
    first = int(told[told < here].max(initial=-1)) + 1
    last = int(told[told > here].min(initial=len(at))) - 1
    low, high = _crossing(at, beyond, first, first - 1), _crossing(at, beyond, last, last + 1)
    return _Interval(low, high, first == 0, last == len(at) - 1)


@cache
def _quantile(level: float, freedom: int) -> float:
    """The two-sided `level` of t."""
    return float(scipy.stats.t.isf(level / 2, freedom))


def _crossing(at: Values, beyond: Values, inner: int, outer: int) -> float:
    """Where `beyond` is zero between a point inside the interval and the next one outside; the grid's end without one."""
    if not 0 <= outer < len(at):
        return float(at[inner])
    share = beyond[inner] / (beyond[inner] - beyond[outer])
    return float(at[inner] + share * (at[outer] - at[inner]))


def _why_not(line: _Line, place: float, side: Side, interval: _Interval | None) -> str:
    """Why the worth is not identified, in words; empty where it is. The rule stands above, in the module's docstring."""
    smallest, largest = float(line.x[0]), float(line.x[-1])
    if interval is None:
        below, above = max(place - _NEXT_TO, smallest), min(place + _NEXT_TO, largest)
        return (_flat(line, below, place) if below < place else "") or (
            _flat(line, place, above) if place < above else ""
        )
    if interval.low == interval.high and side:
        return ""  # told from the curve's end
    if interval.low_open and interval.high_open:
        return "not identified: the interval covers every size of the curve"
    if interval.high_open:
        return _flat(line, max(smallest, largest - _NEXT_TO), largest)
    if interval.low_open:
        return _flat(line, smallest, min(largest, smallest + _NEXT_TO))
    return ""


def _flat(line: _Line, low: float, high: float) -> str:
    if line.rises(low, high):
        return ""
    span = f"from {in_films(2**low)} to {in_films(2**high)} real films"
    return f"not identified: {span} the curve is flat within its noise"


def in_films(count: float) -> str:
    """Films in words: whole from 10 on, one digit more below."""
    return f"{count:.0f}" if count >= 9.95 else f"{count:.1f}".removesuffix(".0")
