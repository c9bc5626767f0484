"""Gain over placebo: does an arm with synthetic films do better than the same training with copies of its real films?

A placebo is the arm's own training with the synthetic films replaced by copies of the real training films: as many steps,
the same order, schedule and seed. Arm and placebo are compared **paired by seed**: a seed fixes the drawn real films, the
held-out films, first weights and the order of draws of both, so that its luck cancels in the difference.

**What decides** (`GainTest.p`). The paired t-test and the sign-flip permutation test must agree: p is the larger of the
two. The permutation cannot go below 2 / 2**S (0.0625 with five seeds), so where it stands there, which is where every seed
says the same direction, t alone decides. Simulated with differences of mean 0 (40,000 each, S = 5, 6, 8, 10; told at 5 %):

    differences                          t                          both
    normal                        4.8  5.0  5.1  4.9         3.9  2.6  4.3  4.5
    Student's t, three degrees    3.8  3.7  3.6  4.1         3.2  2.0  3.1  3.8
    one failed seed in ten        1.9  1.7  1.5  1.6         1.6  0.9  1.1  1.2
    skewed: gamma of shape 4      6.7  6.5  6.4  6.2         5.5  3.6  5.5  5.7
    skewed: exponential          11.6 11.2 10.7  9.9         9.7  6.5  9.6  9.3

Where arm and placebo train alike, however oddly, their difference is symmetric, and both tests are safe. Against strong
skew of the difference itself neither is, the permutation as little as t: a mean that hangs on rare seeds is not seen in
few of them. So failed seeds are named, and the median stands beside the mean.

Sources: Student 1908; Fisher 1935 (sign flips); Phipson and Smyth 2010 (a permutation p is never 0); Rousseeuw and Croux
1993 (the median absolute deviation as a spread).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import scipy  # loads its parts when they are asked for

from ..errors import InputError
from .paired_tests import MIN_SEEDS

Values = npt.NDArray[np.float64]

MOST_EXACT = 16
"""Seeds up to which all sign flips are counted (2**15 that differ); beyond, `DRAWS` are drawn."""
DRAWS = 100_000
FAILED_BY = 0.05
"""What a failed seed is below the median by, at least, where the caller says nothing: five points of a Dice or an AUC."""

_LEVEL = 0.05
_SPREADS = 6.0
_CHUNK = 4_000_000


class Verdict(StrEnum):
    """What may be said of an arm against copying."""

    MORE = "adds more than copying does"
    NOTHING = "adds nothing that copying does not"
    NOT_TOLD = "not told from copying"
    HARMS = "harms"

    @classmethod
    def of(cls, told: int, low: float | None = None, high: float | None = None, margin: float | None = None) -> Verdict:
        """From what is told: 1 better, -1 worse, 0 neither. NOTHING only where the interval lies within ± `margin`."""
        if told:
            return cls.MORE if told > 0 else cls.HARMS
        if margin is not None and low is not None and high is not None and -margin <= low <= high <= margin:
            return cls.NOTHING
        return cls.NOT_TOLD


@dataclass(frozen=True)
class GainTest:
    """An arm against its placebo over seeds. None is what must not be printed; `claim` says why."""

    seeds: int
    difference: float | None
    """Mean of arm minus placebo, in units of the score: below 0 is better where lower is better."""
    low: float | None
    high: float | None
    """95 % interval of the mean, by t."""
    p: float | None
    """What decides: the module's docstring."""
    t_p: float | None
    """Paired t-test, two-tailed."""
    permutation_p: float | None
    """Sign-flip permutation test of the mean, two-tailed; not below 2 / 2**seeds."""
    median: float | None
    """Median difference, which a failed seed does not move."""
    failed: tuple[int, ...]
    placebo_failed: tuple[int, ...]
    """Seeds at which a training found nothing (`failed_seeds`). They count in the mean."""
    verdict: Verdict | None
    claim: str
    """The sentence that may be said."""


def paired_over_seeds(
    arm: npt.ArrayLike,
    placebo: npt.ArrayLike,
    *,
    seeds: Sequence[int] | None = None,
    higher_is_better: bool = True,
    margin: float | None = None,
    failed_by: float = FAILED_BY,
) -> GainTest:
    """Compare the primary metric of an arm with that of its placebo: (S,) and (S,), the same seeds in the same order.

    `seeds`: their names, 0 to S - 1 without. `margin`: a gain, in units of the score, that is as good as none; without it
    "adds nothing" is said of identical scores alone. Raises InputError where the lengths differ.
    """
    x, y = np.array(arm, np.float64), np.array(placebo, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise InputError(f"scores (S,) of an arm and of its placebo expected, got shapes {x.shape} and {y.shape}")
    names = list(range(len(x))) if seeds is None else list(seeds)
    if len(names) != len(x):
        raise InputError(f"{len(x)} scores, but {len(names)} seeds are named")
    mine, theirs = (_named(v, names, higher_is_better, failed_by) for v in (x, y))
    d, rounding = x - y, _rounding(x, y)
    refused = _refusal(x, y, rounding)
    finite = len(d) > 0 and bool(np.isfinite(d).all())
    same = finite and len(d) >= MIN_SEEDS and bool((np.abs(d) <= rounding).all())
    none = GainTest(
        seeds=len(d),
        difference=float(d.mean()) if finite else None,
        low=None,
        high=None,
        p=None,
        t_p=None,
        permutation_p=None,
        median=float(np.median(d)) if finite else None,
        failed=mine,
        placebo_failed=theirs,
        verdict=Verdict.NOTHING if same else None,
        claim=refused + _of_failed(mine, theirs),
    )
    return none if refused else _tested(none, d, higher_is_better, margin)


def _tested(none: GainTest, d: Values, higher_is_better: bool, margin: float | None) -> GainTest:
    """`none` with the tests of the differences `d` (S,)."""
    test = scipy.stats.ttest_1samp(d, 0.0)
    interval = test.confidence_interval(0.95)
    low, high, t_p, mean = float(interval.low), float(interval.high), float(test.pvalue), float(d.mean())
    flips = sign_flip_p(d[None])
    p = float(agreed(np.array([t_p]), flips, len(d))[0])
    better = mean > 0 if higher_is_better else mean < 0
    verdict = Verdict.of((1 if better else -1) if p <= _LEVEL else 0, low, high, margin)
    said = "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"
    claim = f"{verdict} (mean {mean:+.4g} over {len(d)} seeds, 95 % interval {low:+.4g} to {high:+.4g}, {said})"
    return replace(
        none,
        low=low,
        high=high,
        p=p,
        t_p=t_p,
        permutation_p=float(flips[0]),
        verdict=verdict,
        claim=claim + _of_failed(none.failed, none.placebo_failed),
    )


def failed_seeds(
    scores: npt.ArrayLike, *, higher_is_better: bool = True, by: float = FAILED_BY
) -> npt.NDArray[np.bool_]:
    """Which of the scores (S,) are of a training that may have found nothing: worse than the median by more than six spreads
    (1.4826 times the median absolute deviation) and by more than `by`, in units of the score. None of fewer than three.
    """
    x = np.asarray(scores, np.float64)
    there = np.isfinite(x)
    failed = np.zeros(len(x), np.bool_)
    if np.count_nonzero(there) < 3:
        return failed
    worse = (np.median(x[there]) - x[there]) * (1.0 if higher_is_better else -1.0)
    failed[there] = worse > max(_SPREADS * 1.4826 * float(np.median(np.abs(worse))), by)
    return failed


def sign_flip_p(differences: Values) -> Values:
    """Two-tailed p (C,) of the mean of each row of differences (C, S): the share of sign flips with a mean as far from 0.

    Exact up to `MOST_EXACT` seeds; beyond, from `DRAWS` flips of one seeded draw, the observed one counted among them.
    """
    d = np.asarray(differences, np.float64)
    n = d.shape[1]
    if n <= MOST_EXACT:  # a flip and its opposite have one distance: the first sign stays
        signs = np.array([(1.0, *rest) for rest in itertools.product((1.0, -1.0), repeat=max(n - 1, 0))])
    else:
        signs = np.random.default_rng(0).choice(np.array([1.0, -1.0]), (DRAWS, n))
        signs[0] = 1.0
    found = np.empty(len(d))
    rows = max(1, _CHUNK // len(signs))
    for start in range(0, len(d), rows):
        part = d[start : start + rows]
        slack = 1e-12 * np.abs(part).sum(axis=1)
        far = np.abs(part.sum(axis=1)) - slack
        found[start : start + rows] = (np.abs(part @ signs[:, :n].T) >= far[:, None]).mean(axis=1)
    return found


def agreed(t_p: Values, flips: Values, seeds: int) -> Values:
    """The p that decides, (C,): the larger of both tests; that of t where the permutation stands at its floor."""
    at_floor = flips <= (1 + 1e-9) * 2.0 ** (1 - seeds) if seeds <= MOST_EXACT else flips <= 1 / DRAWS
    return np.where(at_floor, t_p, np.maximum(t_p, flips))


def _refusal(x: Values, y: Values, rounding: float) -> str:
    """Why no test may be made; empty where one may."""
    n, d = len(x), x - y
    if not n:
        return f"no seeds: nothing to compare (use --seeds {MIN_SEEDS})"
    if n < MIN_SEEDS:
        found, models = ("one seed", "two trained models") if n == 1 else (f"{n} seeds", "trained models")
        return f"{found}: these compare {models}, not the generator (use --seeds {MIN_SEEDS})"
    if not np.isfinite(d).all():
        lost = [int(np.count_nonzero(~np.isfinite(v))) for v in (x, y)]
        return f"scores not finite (arm: {lost[0]}, placebo: {lost[1]}): no claim"
    if (np.abs(d) <= rounding).all():
        return f"{Verdict.NOTHING} (identical scores at every seed)"
    if np.ptp(d) <= 2 * rounding:
        return "every seed differs by the same: no variance, no claim"
    return ""


def _named(scores: Values, names: Sequence[int], higher_is_better: bool, by: float) -> tuple[int, ...]:
    """The failed seeds by name."""
    failed = failed_seeds(scores, higher_is_better=higher_is_better, by=by)
    return tuple(name for name, lost in zip(names, failed.tolist(), strict=True) if lost)


def _of_failed(arm: tuple[int, ...], placebo: tuple[int, ...]) -> str:
    """`; failed: seed 3 of the arm`; empty without."""
    found = [
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))} of the {name}"
        for name, seeds in (("arm", arm), ("placebo", placebo))
        if seeds
    ]
    return f"; failed: {' and '.join(found)}" if found else ""


def _rounding(x: Values, y: Values) -> float:
    """What two equal scores may differ by after a few operations in float64."""
    sizes = np.abs(np.concatenate([x, y]))
    return 8 * float(np.finfo(np.float64).eps) * float(sizes.max(initial=0.0))
