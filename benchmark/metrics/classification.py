"""Ranking and calibration of one finding's scores: AUC, ROC, average precision, calibration, DeLong.

Scores are any numbers that rise with the finding's probability: logits are as good as probabilities (and better
stored: a float32 sigmoid saturates and makes ties). Only `calibration` needs probabilities. Truth is bool or 0/1.

A class that has one label value in the test set has no AUC. It is NaN in arrays and None in results, never 0.5,
and it is left out of a macro mean.

Sources: Hanley and McNeil 1982 (AUC as a rank statistic), DeLong et al. 1988 in the O(n log n) form of Sun and Xu
2014, Guo et al. 2017 (expected calibration error).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .class_scores import ROUNDING, Floats, Labels, classes_of, divided, labels_of, one_class

Whole = npt.NDArray[np.int64]

_NORMAL_95 = 1.959963984540054  # the 97.5th percentile of the normal distribution


# ------------------------------------------------------------------------------------------------------ ranking


def auc(truth: npt.ArrayLike, score: npt.ArrayLike) -> float:
    """Area under the ROC curve: the share of (positive, negative) pairs in the right order, ties half.

    `truth` (N,) and `score` (N,). NaN where truth has one value. Raises InputError for NaN scores.
    """
    positive, negative = divided(truth, score)
    if not len(positive) or not len(negative):
        return math.nan
    negative.sort()
    positive.sort()  # sorted keys are found faster
    twice_below = np.searchsorted(negative, positive).sum() + np.searchsorted(negative, positive, "right").sum()
    return float(twice_below / (2 * len(positive) * len(negative)))


def auc_columns(truth: npt.ArrayLike, scores: npt.ArrayLike) -> Floats:
    """`auc` of every class: truth (N, C) and scores (N, C) to (C,), NaN for a class with one label value."""
    labels, values = classes_of(truth, scores)
    return np.array([auc(labels[:, c], values[:, c]) for c in range(labels.shape[1])], np.float64)


def roc_curve(truth: npt.ArrayLike, score: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """The ROC curve: false positive rates, true positive rates, and thresholds (positive: score >= threshold).

    From (0, 0) at threshold inf to (1, 1) at the least score. Points on a straight line between their neighbours
    are left out, so the area under the polygon is `auc` exactly. Raises InputError where truth has one value.
    """
    labels, values = one_class(truth, score)
    if not labels.any() or labels.all():
        raise InputError("a ROC curve needs cases with the finding and cases without: leave this class out")
    true, false, thresholds = _cumulative(labels, values)
    true, false = np.append(0, true), np.append(0, false)
    up, across = np.diff(true), np.diff(false)
    bends = up[:-1] * across[1:] != up[1:] * across[:-1]  # slopes in whole numbers: exact
    kept = np.concatenate([[True], bends, [True]])
    return false[kept] / false[-1], true[kept] / true[-1], np.append(np.inf, thresholds)[kept]


def average_precision(truth: npt.ArrayLike, score: npt.ArrayLike) -> float:
    """Average precision: the sum of precision x gain in recall over the distinct thresholds, no interpolation.

    NaN where truth has one value. By chance it is the prevalence, not 0.5.
    """
    labels, values = one_class(truth, score)
    if not labels.any() or labels.all():
        return math.nan
    true, false, _ = _cumulative(labels, values)
    return float((np.diff(true, prepend=0) / true[-1] * (true / (true + false))).sum())


def _cumulative(labels: Labels, values: Floats) -> tuple[Whole, Whole, Floats]:
    """True and false positives at each distinct score as the threshold, and these scores, highest first."""
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    true = np.cumsum(labels[order], dtype=np.int64)[last]
    return true, last + 1 - true, ranked[last]


# -------------------------------------------------------------------------------------------------- calibration


@dataclass(frozen=True)
class Calibration:
    """Reliability of probabilities in bins of equal width: the bin [k / bins, (k + 1) / bins), the last one closed."""

    count: Whole
    """Cases in each bin (bins,)."""
    predicted: Floats
    """Mean probability in each bin (bins,), NaN in an empty one."""
    observed: Floats
    """Share of cases with the finding in each bin (bins,), NaN in an empty one."""
    expected_error: float
    """Mean over cases of |observed - predicted| of their bin."""
    brier: float
    """Mean squared difference of probability and truth."""


def calibration(truth: npt.ArrayLike, probability: npt.ArrayLike, bins: int = 10) -> Calibration:
    """Reliability bins, expected calibration error and Brier score: truth (N,), probability (N,) in [0, 1]."""
    labels, values = one_class(truth, probability)
    if bins < 1 or not len(values):
        raise InputError(f"calibration needs one bin and one case at least, got {bins} and {len(values)}")
    if values.min() < 0 or values.max() > 1:
        found = f"{values.min():.4g} to {values.max():.4g}"
        raise InputError(f"calibration needs probabilities in [0, 1], found {found}: apply the sigmoid to logits")
    place = np.searchsorted(np.arange(1, bins) / bins, values, "right")
    count = np.bincount(place, minlength=bins).astype(np.int64)
    cases = np.where(count > 0, count, np.nan)
    predicted = np.bincount(place, values, bins) / cases
    observed = np.bincount(place, labels, bins) / cases
    error = float(np.nansum(count * np.abs(observed - predicted)) / len(values))
    return Calibration(count, predicted, observed, error, float(((values - labels) ** 2).mean()))


# ------------------------------------------------------------------------------------------------------- DeLong


@dataclass(frozen=True)
class DeLongTest:
    """The AUCs of two models on the same cases of one class. None is what must not be printed; `note` says why."""

    auc_ours: float | None
    auc_theirs: float | None
    difference: float | None
    """Ours minus theirs."""
    low: float | None
    high: float | None
    """95 % interval of the difference."""
    z: float | None
    p: float | None
    """Two-tailed."""
    note: str = ""


def placements(truth: npt.ArrayLike, score: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Of each positive the share of negatives below it, of each negative the share of positives above it; ties half.

    In the order of the cases: (positives,) and (negatives,). The mean of either is the AUC. O(n log n) as in Sun and
    Xu 2014. Raises InputError where truth has one value.
    """
    positive, negative = divided(truth, score)
    if not len(positive) or not len(negative):
        raise InputError("placements need cases with the finding and cases without: leave this class out")
    return _share_below(np.sort(negative), positive), 1 - _share_below(np.sort(positive), negative)


def _share_below(ranked: Floats, values: Floats) -> Floats:
    return (np.searchsorted(ranked, values) + np.searchsorted(ranked, values, "right")) / (2 * len(ranked))


def delong(truth: npt.ArrayLike, ours: npt.ArrayLike, theirs: npt.ArrayLike) -> DeLongTest:
    """DeLong's test of two AUCs on the same cases: truth (N,), ours and theirs (N,) or (S, N) for S seeds of a model.

    What is compared over seeds is the mean AUC. The AUC is the mean of placements, so the mean AUC is the mean of the
    seeds' mean placements and its variance over test cases is exact. The variance over trainings is not in it: the
    result is about these trained models.
    """
    labels = labels_of(truth, 1)
    positives = int(np.count_nonzero(labels))
    negatives = len(labels) - positives
    if not positives or not negatives:
        return DeLongTest(None, None, None, None, None, None, None, "one label value: no AUC")
    (up_ours, down_ours), (up_theirs, down_theirs) = (_mean_placements(labels, s) for s in (ours, theirs))
    of_positives, of_negatives = up_ours - up_theirs, down_ours - down_theirs
    means = float(up_ours.mean()), float(up_theirs.mean())
    if max(np.abs(of_positives).max(), np.abs(of_negatives).max()) <= ROUNDING:
        return DeLongTest(*means, 0.0, None, None, None, 1.0, "identical ranking")
    difference = float(of_positives.mean())
    if min(positives, negatives) < 2:
        note = f"{positives} with and {negatives} without the finding: two of each needed, no test"
        return DeLongTest(*means, difference, None, None, None, None, note)
    error = math.sqrt(of_positives.var(ddof=1) / positives + of_negatives.var(ddof=1) / negatives)
    if error <= ROUNDING:
        return DeLongTest(*means, difference, None, None, None, None, "no variance, no test")
    z, half = difference / error, _NORMAL_95 * error
    return DeLongTest(*means, difference, difference - half, difference + half, z, math.erfc(abs(z) / math.sqrt(2)))


def _mean_placements(labels: Labels, score: npt.ArrayLike) -> tuple[Floats, Floats]:
    seeds = np.atleast_2d(np.asarray(score, np.float64))
    if seeds.ndim != 2 or not len(seeds):
        raise InputError(f"scores (N,), or (seeds, N) with one seed at least, expected, got shape {seeds.shape}")
    each = [placements(labels, seed) for seed in seeds]
    return np.mean([up for up, _ in each], axis=0), np.mean([down for _, down in each], axis=0)
