"""Two questions, never mixed: are two fixed models different, and is a generator better?

**Fixed models, same test cases** (`paired_comparison`, over folds or resplits `nadeau_bengio`, over a table
`holm`): the answer is about these two trained models. Training them again with another seed may turn it
round.

**Generators** (`welch_over_seeds`): what is compared are independent refits of
provider and downstream model, at least five a side. Only this ranks a generator, and every result says in
`claim` what may be said.

Where a p-value would mean nothing (too few pairs, no variance, values that are not finite) it is None and a
note says why. Sources: Efron 1987 (BCa), Holm 1979, Nadeau and Bengio 2003, Welch 1947.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy  # loads its parts when they are asked for

from ..errors import InputError

Values = npt.NDArray[np.float64]

MIN_PAIRS = 6
"""Five pairs cannot reach p < 0.05 with a two-tailed Wilcoxon test (2 / 2**5 = 0.0625)."""
MIN_FOLDS = 3
"""Folds or resplits that a corrected t-test needs: two would leave one degree of freedom."""
MIN_SEEDS = 5
"""Refits a side below which nothing is said about a generator."""

_LEVEL = 0.05
_RESAMPLES = 5_000
_CHUNK = 1_000_000


# ------------------------------------------------------------------------------- two fixed models, paired


@dataclass(frozen=True)
class PairedTest:
    """The comparison of two models on the same cases. None is what must not be printed; `note` says why."""

    n: int
    difference: float | None
    """Mean of a - b."""
    low: float | None
    high: float | None
    """95 % BCa bootstrap interval of the mean difference, cases resampled."""
    t_p: float | None
    """Two-tailed paired t-test."""
    wilcoxon_p: float | None
    """Two-tailed Wilcoxon signed-rank test, pairs without a difference left out."""
    note: str = ""


@dataclass(frozen=True)
class ResampledTest:
    """A t-test over folds or resplits, corrected for their overlap. None as in `PairedTest`."""

    n: int
    difference: float | None
    low: float | None
    high: float | None
    t: float | None
    p: float | None
    note: str = ""


def paired_comparison(a: npt.ArrayLike, b: npt.ArrayLike, *, seed: int = 0, resamples: int = _RESAMPLES) -> PairedTest:
    """Compare two models by their scores on the same cases, in the same order: (n,) and (n,).

    Deterministic: the bootstrap draws from `seed`. Raises InputError where the lengths differ.
    """
    x, y = _vector(a, "a"), _vector(b, "b")
    if len(x) != len(y):
        raise InputError(f"paired scores of the same cases expected, got {len(x)} and {len(y)}")
    n = len(x)
    if n == 0:
        return PairedTest(0, None, None, None, None, None, "no pairs")
    lost = n - int(np.count_nonzero(np.isfinite(x) & np.isfinite(y)))
    if lost:
        return PairedTest(n, None, None, None, None, None, f"{lost} of {n} pairs not finite: no test")
    differences = x - y
    differences[np.abs(differences) <= _rounding(x, y)] = 0.0
    mean = float(differences.mean())
    if not differences.any():
        return PairedTest(n, 0.0, None, None, None, None, "identical: no test")
    if n < MIN_PAIRS:
        return PairedTest(n, mean, None, None, None, None, f"fewer than {MIN_PAIRS} pairs ({n}): no test")
    if np.ptp(differences) <= 2 * _rounding(x, y):
        return PairedTest(n, mean, None, None, None, None, "every pair differs by the same: no variance, no test")
    low, high = bca_interval(differences, seed=seed, resamples=resamples)
    unequal = int(np.count_nonzero(differences))
    if unequal < MIN_PAIRS:
        note = f"fewer than {MIN_PAIRS} of {n} pairs differ ({unequal}): no test"
        return PairedTest(n, mean, low, high, None, None, note)
    t_p = float(scipy.stats.ttest_1samp(differences, 0.0).pvalue)
    return PairedTest(n, mean, low, high, t_p, float(scipy.stats.wilcoxon(differences).pvalue))


def bca_interval(
    values: npt.ArrayLike, *, seed: int = 0, resamples: int = _RESAMPLES, confidence: float = 0.95
) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap interval of the mean of `values` (n,): n >= 2, not all equal.

    Efron 1987, with the acceleration of a mean in closed form. The same draws in the same order as
    scipy.stats.bootstrap, which needs n x n memory for the acceleration.
    """
    x = _vector(values, "values")
    if len(x) < 2 or not np.isfinite(x).all() or np.ptp(x) == 0:
        raise InputError("a bootstrap interval needs two or more finite values that are not all equal")
    means = np.sort(_bootstrap_means(x, np.random.default_rng(seed), resamples))
    mean = x.mean()
    # the share of resampled means below the mean; ties count half
    below = (np.searchsorted(means, mean, "left") + np.searchsorted(means, mean, "right")) / (2 * resamples)
    bias = scipy.stats.norm.ppf(np.clip(below, 0.5 / resamples, 1 - 0.5 / resamples))
    deviation = x - mean
    acceleration = (deviation**3).sum() / (6 * (deviation**2).sum() ** 1.5)
    tails = bias + scipy.stats.norm.ppf(np.array([1 - confidence, 1 + confidence]) / 2)
    levels = scipy.stats.norm.cdf(bias + tails / (1 - acceleration * tails))
    low, high = np.quantile(means, levels)
    return float(low), float(high)


def _bootstrap_means(x: Values, rng: np.random.Generator, resamples: int) -> Values:
    rows = max(1, _CHUNK // len(x))
    parts = [
        x[rng.integers(0, len(x), (min(rows, resamples - start), len(x)))].mean(axis=1)
        for start in range(0, resamples, rows)
    ]
    return np.concatenate(parts)


def nadeau_bengio(differences: npt.ArrayLike, n_train: int, n_test: int) -> ResampledTest:
    """Corrected resampled t-test over J folds: t = mean / (s sqrt(1 / J + n_test / n_train)), J - 1 df.

    `differences` (J,): score of a minus score of b on each. Their training sets overlap, so that the plain
    t-test finds a difference where there is none about five times too often (Nadeau and Bengio 2003, section
    3).
    """
    if n_train < 1 or n_test < 1:
        raise InputError(f"positive numbers of training and test cases expected, got {n_train} and {n_test}")
    d = _vector(differences, "differences")
    n = len(d)
    if n == 0:
        return ResampledTest(0, None, None, None, None, None, "no folds")
    lost = n - int(np.count_nonzero(np.isfinite(d)))
    if lost:
        return ResampledTest(n, None, None, None, None, None, f"{lost} of {n} folds not finite: no test")
    mean = float(d.mean())
    if not d.any():
        return ResampledTest(n, 0.0, None, None, None, None, "identical: no test")
    if n < MIN_FOLDS:
        return ResampledTest(n, mean, None, None, None, None, f"fewer than {MIN_FOLDS} folds ({n}): no test")
    if np.ptp(d) <= 2 * _rounding(d):
        note = "every fold differs by the same: no variance, no test"
        return ResampledTest(n, mean, None, None, None, None, note)
    error = float(d.std(ddof=1)) * math.sqrt(1 / n + n_test / n_train)
    t = mean / error
    half = float(scipy.stats.t.ppf(0.975, n - 1)) * error
    return ResampledTest(n, mean, mean - half, mean + half, t, float(2 * scipy.stats.t.sf(abs(t), n - 1)))


def holm(pvalues: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values, in the order given: they hold for the whole table at once (Holm 1979).

    None stays None and does not count. Raises InputError for anything that is not a probability.
    """
    wrong = [p for p in pvalues if p is not None and not 0 <= p <= 1]
    if wrong:
        raise InputError(f"p-values in [0, 1] or None expected, got {wrong[0]}")
    adjusted = holm_values(np.array([math.nan if p is None else p for p in pvalues], dtype=np.float64))
    return [None if math.isnan(p) else p for p in adjusted.tolist()]


def holm_values(p: Values) -> Values:
    """`holm` of an array (n,); NaN is no comparison and stays NaN."""
    order = np.argsort(p, kind="stable")  # NaN last
    count = int(np.count_nonzero(~np.isnan(p)))
    adjusted = np.full(len(p), np.nan)
    scaled = np.minimum(p[order[:count]] * np.arange(count, 0, -1), 1.0)
    adjusted[order[:count]] = np.maximum.accumulate(scaled)
    return adjusted


def stars(p: float | None) -> str:
    """The marks of the tables: "**" for p < 0.01, "*" for p < 0.05, "" otherwise or without a p-value."""
    if p is None or not p < 0.05:
        return ""
    return "**" if p < 0.01 else "*"


# --------------------------------------------------------------------------------- generators, over seeds


@dataclass(frozen=True)
class SeedTest:
    """The comparison of two generators over independent refits. None is what must not be printed."""

    n_a: int
    n_b: int
    difference: float | None
    """Mean of a minus mean of b."""
    low: float | None
    high: float | None
    """95 % interval of the difference, by the same test."""
    p: float | None
    claim: str
    """The sentence that may be said."""


def welch_over_seeds(a: npt.ArrayLike, b: npt.ArrayLike, *, names: tuple[str, str] = ("a", "b")) -> SeedTest:
    """Welch's two-tailed t-test on the primary metric of each refit: (n_a,) and (n_b,), not paired."""
    x, y = _vector(a, names[0]), _vector(b, names[1])
    refused = _refusal(x, y, names)
    if refused:
        return refused
    test = scipy.stats.ttest_ind(x, y, equal_var=False)
    interval = test.confidence_interval(0.95)
    return _seed_test(x, y, float(interval.low), float(interval.high), float(test.pvalue), names)


def _refusal(x: Values, y: Values, names: tuple[str, str]) -> SeedTest | None:
    """The result where no test may be made, with the reason as its claim."""
    fewest, n_a, n_b = min(len(x), len(y)), len(x), len(y)
    finite = bool(np.isfinite(x).all() and np.isfinite(y).all())
    difference = float(x.mean() - y.mean()) if fewest and finite else None
    if fewest == 0:
        claim = f"no seeds: nothing to compare (use --seeds {MIN_SEEDS})"
    elif fewest < MIN_SEEDS:
        found = f"{n_a} and {n_b} seeds" if n_a != n_b else "one seed" if n_a == 1 else f"{n_a} seeds"
        models = "two trained models" if n_a == n_b == 1 else "trained models"
        claim = f"{found}: these compare {models}, not the generator (use --seeds {MIN_SEEDS})"
    elif not finite:
        lost = [int(np.count_nonzero(~np.isfinite(v))) for v in (x, y)]
        claim = f"scores not finite ({names[0]}: {lost[0]}, {names[1]}: {lost[1]}): no claim"
    elif max(np.ptp(x), np.ptp(y)) <= _rounding(x, y):
        claim = "every seed gave the same score: no variance, no claim"
    else:
        return None
    return SeedTest(n_a, n_b, difference, None, None, None, claim)


def _seed_test(x: Values, y: Values, low: float, high: float, p: float, names: tuple[str, str]) -> SeedTest:
    difference = float(x.mean() - y.mean())
    said = "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"
    numbers = f"difference {difference:+.4g}, 95 % interval {low:+.4g} to {high:+.4g}, {said}"
    seeds = f"{len(x)} seeds each" if len(x) == len(y) else f"{len(x)} and {len(y)} seeds"
    if p <= _LEVEL:
        direction = "higher" if difference > 0 else "lower"
        claim = f"{names[0]} scores {direction} than {names[1]} over {seeds} ({numbers})"
    else:
        claim = f"no difference can be told between {names[0]} and {names[1]} over {seeds} ({numbers})"
    return SeedTest(len(x), len(y), difference, low, high, p, claim)


# ------------------------------------------------------------------------------------------------ numbers


def _vector(values: npt.ArrayLike, name: str) -> Values:
    x = np.array(values, np.float64)
    if x.ndim != 1:
        raise InputError(f"scores {name}: a row of numbers (n,) expected, got shape {x.shape}")
    return x


def _rounding(*arrays: Values) -> float:
    """What two equal scores may differ by after a few operations in float64."""
    return 8 * float(np.finfo(np.float64).eps) * max(float(np.abs(x).max()) for x in arrays)


# ---------------------------------------------------------------------------- hits, shares, readers, class AUCs


@dataclass(frozen=True)
class McNemarTest:
    """Paired hits of two detectors (or readers) on the same cases, counted."""

    both: int
    ours_only: int
    theirs_only: int
    neither: int
    p: float | None
    """Exact, two-tailed. None without any case."""
    note: str = ""


def mcnemar_exact(ours: npt.ArrayLike, theirs: npt.ArrayLike) -> McNemarTest:
    """McNemar's exact test: do two models hit equally often? Paired hits, bool or 0/1, (n,) and (n,).

    Only the cases that one of them alone hits tell: under the null a fair coin for each (McNemar 1947, in the exact
    binomial form). p = 1 where there is none.
    """
    a, b = _hits(ours, "ours"), _hits(theirs, "theirs")
    if len(a) != len(b):
        raise InputError(f"paired hits of the same cases expected, got {len(a)} and {len(b)}")
    ours_only, theirs_only = int(np.count_nonzero(a & ~b)), int(np.count_nonzero(b & ~a))
    both, neither = int(np.count_nonzero(a & b)), int(np.count_nonzero(~a & ~b))
    if not len(a):
        return McNemarTest(0, 0, 0, 0, None, "no cases: no test")
    discordant = ours_only + theirs_only
    if not discordant:
        return McNemarTest(both, 0, 0, neither, 1.0, "no discordant pair")
    p = min(1.0, 2 * float(scipy.stats.binom.cdf(min(ours_only, theirs_only), discordant, 0.5)))
    return McNemarTest(both, ours_only, theirs_only, neither, p)


@dataclass(frozen=True)
class ClassTest:
    """The papers' test over classes. It never ranks: see `paired_t_over_classes`."""

    n: int
    """Classes compared."""
    difference: float | None
    t: float | None
    p: float | None
    note: str = ""
    protocol: str = "paper protocol"


def paired_t_over_classes(ours: npt.ArrayLike, theirs: npt.ArrayLike) -> ClassTest:
    """Two-tailed paired t-test over the AUCs (or CLs) of classes: (C,) and (C,) in the same order (Liu et al., SDFN).

    Shown as "paper protocol", never used to rank: a training seed moves all classes of a model together, which the
    test takes for evidence (at p < 0.01 it finds a difference between equal models in up to 44 % of cases). A class
    that is NaN in either (absent from the test set) is left out, and the note says so.
    """
    x, y = _vector(ours, "ours"), _vector(theirs, "theirs")
    if len(x) != len(y):
        raise InputError(f"scores of the same classes expected, got {len(x)} and {len(y)}")
    there = np.isfinite(x) & np.isfinite(y)
    lost = len(x) - int(np.count_nonzero(there))
    notes = [f"{lost} of {len(x)} classes left out"] if lost else []
    test = paired_comparison(x[there], y[there], resamples=1)  # its checks; its interval is not used
    if test.t_p is None or test.difference is None:
        return ClassTest(test.n, test.difference, None, None, "; ".join([*notes, test.note]))
    t = float(scipy.stats.ttest_rel(x[there], y[there]).statistic)
    return ClassTest(test.n, test.difference, t, test.t_p, "; ".join(notes))


def _hits(values: npt.ArrayLike, name: str) -> npt.NDArray[np.bool_]:
    given = np.asarray(values)
    hits = given == 1
    if given.ndim != 1 or not np.array_equal(given, hits):
        raise InputError(f"hits {name}: a row of true and false (n,) expected, got {given.dtype} {given.shape}")
    return hits
