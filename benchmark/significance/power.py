"""Power: which gain over placebo some seeds can tell, from the spread of gains that is there.

A gain is told by the paired t-test over seeds (`gain`). With S seeds and differences of standard deviation s it finds a true
gain g with the probability of the noncentral t distribution of S - 1 degrees of freedom, noncentrality g sqrt(S) / s, both
tails. The sign flips that must agree with it cost a little: of normal differences with a gain that t alone finds in 80 %,
both find 74 % (5 seeds), 77 % (8) and 79 % (12).

On a board all comparisons are one family under Holm, whose first step asks for `LEVEL` over their number: what that finds is
the least that the board finds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy  # loads its parts when they are asked for

from ..errors import InputError

LEVEL, POWER = 0.05, 0.8
MOST = 1000
"""Seeds up to which `seeds_needed` looks."""


def typical_spread(differences: Sequence[Sequence[float]]) -> float | None:
    """The standard deviation over seeds that a difference typically has; None where none has two seeds.

    The median over all rows of their variances, each over the median that its degrees of freedom lead to where the true
    variance is 1: a row that is far noisier than the others does not move it, and few seeds do not bias it.
    """
    rows = [np.asarray(row, np.float64) for row in differences]
    found = [
        float(row.var(ddof=1)) * (len(row) - 1) / float(scipy.stats.chi2.median(len(row) - 1))
        for row in rows
        if len(row) > 1
    ]
    return float(np.sqrt(np.median(found))) if found else None


def power(gain: float, spread: float, seeds: int, *, level: float = LEVEL) -> float:
    """How often a true gain is told, whatever its sign; `spread`: the deviation of a difference over seeds."""
    _check(spread, seeds, level)
    freedom, shift = seeds - 1, abs(gain) * np.sqrt(seeds) / spread
    edge = float(scipy.stats.t.isf(level / 2, freedom))
    wrong_side = scipy.special.nctdtr(freedom, shift, -edge)  # NaN where it is next to nothing
    return float(1 - scipy.special.nctdtr(freedom, shift, edge) + np.nan_to_num(wrong_side))


def least_gain(spread: float, seeds: int, *, level: float = LEVEL, wanted: float = POWER) -> float:
    """The smallest true gain that is told in a share `wanted` of all repetitions."""
    _check(spread, seeds, level)
    if not level < wanted < 1:
        raise InputError(f"a power above the level {level:g} and below 1 expected, got {wanted:g}")
    high = 1.0
    while power(high, 1.0, seeds, level=level) < wanted:
        high *= 2
    return spread * float(scipy.optimize.brentq(lambda gain: power(gain, 1.0, seeds, level=level) - wanted, 0.0, high))


def seeds_needed(gain: float, spread: float, *, level: float = LEVEL, wanted: float = POWER) -> int | None:
    """The fewest seeds that tell a true gain in a share `wanted` of all repetitions; None beyond `MOST`."""
    low, high = 1, 2
    while high <= MOST and power(gain, spread, high, level=level) < wanted:
        low, high = high, 2 * high
    if high > MOST and power(gain, spread, MOST, level=level) < wanted:
        return None
    high = min(high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        if power(gain, spread, middle, level=level) < wanted:
            low = middle
        else:
            high = middle
    return high


def _check(spread: float, seeds: int, level: float) -> None:
    if seeds < 2 or not spread > 0 or not 0 < level < 1:
        raise InputError(
            f"two seeds at least, a positive spread and a level between 0 and 1 expected: {seeds}, {spread:g}, {level:g}"
        )
