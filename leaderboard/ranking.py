"""The rank rule on gains over placebo, paired by seed.

Every entry is compared with copying and with every other entry over the seeds that both have: the paired t-test of the
differences. All these comparisons of a board are one family under Holm (1979) at 5 %. The rank of an entry is 1 + the
number of entries that are told to be better, and its range ends at the number that are not told to be worse: a simultaneous
confidence set for the rank (Mogstad, Romano, Shaikh and Wilhelm 2024). Equal ranks are ties.

Two safeguards, against what few seeds lead to; `worth_simulation.py` measures what they do.

- **No luckily small spread.** The spread of a comparison counts as no smaller than half the lower quartile of the board's,
  comparisons with copying and of pairs each among their own. With five seeds a tiny spread is mostly chance, and where the
  noise is skewed it comes with a wrong mean. With eight seeds this costs no power. (Half the median would, where half of a
  board is noisy.)
- **The sign-flip permutation agrees**, as `gain.paired_over_seeds` asks of one comparison: p <= 5 % on its own, or at its
  floor, every seed on one side. Holm cannot be put on the permutation itself, because five seeds reach no p below 0.0625.

A pair with fewer than five shared seeds, or without any spread over them, is never told apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from ..benchmark.errors import InputError
from ..benchmark.significance.gain import MOST_EXACT, agreed, sign_flip_p
from ..benchmark.significance.paired_tests import MIN_SEEDS, holm_values

Values = npt.NDArray[np.float64]

LEVEL = 0.05
QUIET = 0.5
"""A comparison's spread counts as no smaller than this share of the lower quartile of those of its kind."""


@dataclass(frozen=True)
class Rank:
    """Where an entry stands: `first` to `last` is the range of its rank, `first` the rank that is shown.

    `p_holm` is its comparison with copying within the board's family; `told` says what may be claimed of it: 1 more than
    copying, -1 less, 0 it cannot be told.
    """

    first: int
    last: int
    p_holm: float | None
    told: int


@dataclass(frozen=True)
class Comparison:
    """Every entry against every other and against copying, in the order given. `apart[i, j]`: i and j are told apart."""

    ranks: list[Rank]
    apart: npt.NDArray[np.bool_]


def compare_paired(
    gains: npt.ArrayLike | Sequence[Mapping[int, float]], *, higher_is_better: bool = True, level: float = LEVEL
) -> Comparison:
    """The ranks of entries by the rule above, in the order given.

    `gains`: score minus that of the placebo at each seed, (P, S) with NaN where a seed is missing, or per entry by seed.
    A thousand entries of five seeds take a second. Raises InputError for infinite gains or another shape.
    """
    x = _table(gains)
    n, sign = len(x), 1.0 if higher_is_better else -1.0
    if not n:
        return Comparison([], np.zeros((0, 0), np.bool_))
    rows = np.vstack([np.zeros(x.shape[1]), x])  # copying has no gain: row 0
    first, second = np.triu_indices(n + 1, 1)
    mean, spread, count = _moments(rows)
    kinds = (slice(None, n), slice(n, None))  # with copying; of pairs
    adjusted = holm_values(np.concatenate([_paired_t(mean[kind], spread[kind], count[kind]) for kind in kinds]))
    doubtful = np.flatnonzero(adjusted <= level)
    adjusted[doubtful] = _with_permutation(adjusted[doubtful], rows[second[doubtful]] - rows[first[doubtful]])
    told = adjusted <= level
    to_copying, pairs = told[:n], told[n:]
    up = mean[n:] * sign > 0  # the second of a pair is the better one
    ahead = (np.where(up, second[n:], first[n:]) - 1)[pairs]
    behind = (np.where(up, first[n:], second[n:]) - 1)[pairs]
    better, worse = np.bincount(behind, minlength=n), np.bincount(ahead, minlength=n)
    apart = np.zeros((n, n), np.bool_)
    apart[ahead, behind] = apart[behind, ahead] = True
    ranks = [
        Rank(
            first=1 + int(better[i]),
            last=n - int(worse[i]),
            p_holm=None if np.isnan(adjusted[i]) else float(adjusted[i]),
            told=int(np.sign(mean[i] * sign)) if to_copying[i] else 0,
        )
        for i in range(n)
    ]
    return Comparison(ranks, apart)


def _table(gains: npt.ArrayLike | Sequence[Mapping[int, float]]) -> Values:
    """Gains as (P, S), NaN for missing."""
    if isinstance(gains, Sequence) and any(isinstance(one, Mapping) for one in gains):
        by_seed = cast("Sequence[Mapping[int, float]]", gains)
        seeds = sorted(set().union(*by_seed))
        x = np.array([[one.get(seed, np.nan) for seed in seeds] for one in by_seed], np.float64)
    else:
        x = np.asarray(gains, np.float64)
    if not len(x):
        x = np.zeros((0, 0))
    if x.ndim != 2 or np.isinf(x).any():
        raise InputError(f"finite gains (P, S), or by seed for each entry, expected: shape {x.shape}")
    return x


def _moments(rows: Values) -> tuple[Values, Values, Values]:
    """Mean, standard deviation and number of the differences of all pairs of rows, the later minus the earlier one.

    In the order of numpy.triu_indices; a deviation is NaN where it is no more than rounding.
    """
    parts = [
        _differences(rows[i + 1 :] - rows[i], np.abs(rows[i + 1 :]), np.abs(rows[i])) for i in range(len(rows) - 1)
    ]
    mean, spread, count = (np.concatenate(found) for found in zip(*parts, strict=True))
    return mean, spread, count


def _differences(d: Values, a: Values, b: Values) -> tuple[Values, Values, Values]:
    there = ~np.isnan(d)
    count = there.sum(axis=1).astype(np.float64)
    rounding = 8 * np.finfo(np.float64).eps * np.where(there, np.maximum(a, b), 0.0).max(axis=1, initial=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(there, d, 0.0).sum(axis=1) / count
        squares = np.where(there, (d - mean[:, None]) ** 2, 0.0).sum(axis=1)
        spread = np.sqrt(squares / (count - 1))
    return mean, np.where(spread > rounding, spread, np.nan), count


def _paired_t(mean: Values, spread: Values, count: Values) -> Values:
    """Two-tailed p of each comparison of one kind; NaN where none may be made."""
    from scipy import special

    usable = (count >= MIN_SEEDS) & ~np.isnan(spread)
    p = np.full(len(mean), np.nan)
    if usable.any():
        least = QUIET * float(np.quantile(spread[usable], 0.25))
        error = np.maximum(spread[usable], least) / np.sqrt(count[usable])
        p[usable] = 2 * special.stdtr(count[usable] - 1, -np.abs(mean[usable]) / error)
    return p


def _with_permutation(adjusted: Values, differences: Values) -> Values:
    """Adjusted p (C,) of what t tells from differences (C, S), raised to that of the permutation where it disagrees.

    Beyond `MOST_EXACT` seeds the two agree, and t stays.
    """
    there = ~np.isnan(differences)
    count = there.sum(axis=1)
    one_way = (np.where(there, differences, 1.0) > 0).all(axis=1) | (np.where(there, differences, -1.0) < 0).all(axis=1)
    found = adjusted.copy()
    for seeds in np.unique(count[~one_way]):
        if seeds <= MOST_EXACT:
            which = np.flatnonzero((count == seeds) & ~one_way)
            flips = sign_flip_p(differences[which][there[which]].reshape(-1, seeds))
            found[which] = agreed(adjusted[which], flips, int(seeds))
    return found
