"""Ranking and calibration of one finding's scores: AUC, ROC, average precision, DeLong, bootstrap over patients.

Scores are any numbers that rise with the finding's probability: logits are as good as probabilities (and better
stored: a float32 sigmoid saturates and makes ties). Only `calibration` needs probabilities. Truth is bool or 0/1.

A class that has one label value in the test set has no AUC. It is NaN in arrays and None in results, never 0.5,
and it is left out of a macro mean.

Sources: Hanley and McNeil 1982 (AUC as a rank statistic), DeLong et al. 1988 in the O(n log n) form of Sun and Xu
2014, Efron and Tibshirani 1993 (percentile interval), Guo et al. 2017 (expected calibration error).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ..errors import InputError

Labels = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

MIN_PATIENTS = 6
"""Fewer patients than this are resampled into too few different sets for an interval."""

_NORMAL_95 = 1.959963984540054  # the 97.5th percentile of the normal distribution
_ROUNDING = 1e-12  # what equal AUCs and placements (all in [0, 1]) may differ by after averaging
_CHUNK = 32  # resamples at once: their weights of a few thousand patients fit the cache


# ------------------------------------------------------------------------------------------------------ ranking


def auc(truth: npt.ArrayLike, score: npt.ArrayLike) -> float:
    """Area under the ROC curve: the share of (positive, negative) pairs in the right order, ties half.

    `truth` (N,) and `score` (N,). NaN where truth has one value. Raises InputError for NaN scores.
    """
    positive, negative = _split(truth, score)
    if not len(positive) or not len(negative):
        return math.nan
    negative.sort()
    positive.sort()  # sorted keys are found faster
    twice_below = np.searchsorted(negative, positive).sum() + np.searchsorted(negative, positive, "right").sum()
    return float(twice_below / (2 * len(positive) * len(negative)))


def auc_columns(truth: npt.ArrayLike, scores: npt.ArrayLike) -> Floats:
    """`auc` of every class: truth (N, C) and scores (N, C) to (C,), NaN for a class with one label value."""
    labels, values = _table(truth, scores)
    return np.array([auc(labels[:, c], values[:, c]) for c in range(labels.shape[1])], np.float64)


def roc_curve(truth: npt.ArrayLike, score: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """The ROC curve: false positive rates, true positive rates, and thresholds (positive: score >= threshold).

    From (0, 0) at threshold inf to (1, 1) at the least score. Points on a straight line between their neighbours
    are left out, so the area under the polygon is `auc` exactly. Raises InputError where truth has one value.
    """
    labels, values = _row(truth, score)
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
    labels, values = _row(truth, score)
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
    labels, values = _row(truth, probability)
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
    positive, negative = _split(truth, score)
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
    labels = _labels(truth, 1)
    positives = int(np.count_nonzero(labels))
    negatives = len(labels) - positives
    if not positives or not negatives:
        return DeLongTest(None, None, None, None, None, None, None, "one label value: no AUC")
    (up_ours, down_ours), (up_theirs, down_theirs) = (_mean_placements(labels, s) for s in (ours, theirs))
    of_positives, of_negatives = up_ours - up_theirs, down_ours - down_theirs
    means = float(up_ours.mean()), float(up_theirs.mean())
    if max(np.abs(of_positives).max(), np.abs(of_negatives).max()) <= _ROUNDING:
        return DeLongTest(*means, 0.0, None, None, None, 1.0, "identical ranking")
    difference = float(of_positives.mean())
    if min(positives, negatives) < 2:
        note = f"{positives} with and {negatives} without the finding: two of each needed, no test"
        return DeLongTest(*means, difference, None, None, None, None, note)
    error = math.sqrt(of_positives.var(ddof=1) / positives + of_negatives.var(ddof=1) / negatives)
    if error <= _ROUNDING:
        return DeLongTest(*means, difference, None, None, None, None, "no variance, no test")
    z, half = difference / error, _NORMAL_95 * error
    return DeLongTest(*means, difference, difference - half, difference + half, z, math.erfc(abs(z) / math.sqrt(2)))


def _mean_placements(labels: Labels, score: npt.ArrayLike) -> tuple[Floats, Floats]:
    seeds = np.atleast_2d(np.asarray(score, np.float64))
    if seeds.ndim != 2 or not len(seeds):
        raise InputError(f"scores (N,), or (seeds, N) with one seed at least, expected, got shape {seeds.shape}")
    each = [placements(labels, seed) for seed in seeds]
    return np.mean([up for up, _ in each], axis=0), np.mean([down for _, down in each], axis=0)


# --------------------------------------------------------------------------------------- bootstrap over patients


@dataclass(frozen=True)
class BootstrapEstimate:
    """An AUC or a difference of two with its 95 % percentile interval. None is what must not be printed."""

    value: float | None
    low: float | None
    high: float | None
    p: float | None = None
    """Of a difference: twice the smaller share of resamples on either side of 0, at least 1 / (resamples + 1)."""
    left_out: int = 0
    """Resamples in which the class, or in a macro mean a class that is otherwise there, had one label value."""
    note: str = ""


@dataclass(frozen=True)
class BootstrapAUC:
    """AUCs of models (M) and classes (C) on the same resamples (R) of patients: differences are paired."""

    auc: Floats
    """(M, C): on the test set itself, mean over seeds, NaN for a class with one label value."""
    draws: Floats
    """(M, R, C): on the resamples, mean over seeds, NaN where a resample has one label value."""
    patients: int

    def of_class(self, model: int, column: int) -> BootstrapEstimate:
        """The AUC of one class."""
        return self._estimate(self.auc[model, column], self.draws[model, :, column], [column])

    def macro(self, model: int) -> BootstrapEstimate:
        """The mean AUC of the classes that there are."""
        return self._estimate(_mean(self.auc[model]), _mean(self.draws[model]))

    def macro_difference(self, ours: int, theirs: int) -> BootstrapEstimate:
        """Macro AUC of model `ours` minus that of `theirs`."""
        value, draws = self._difference(ours, theirs)
        return self._estimate(_mean(value), _mean(draws), test=True)

    def _difference(self, ours: int, theirs: int) -> tuple[Floats, Floats]:
        value, draws = self.auc[ours] - self.auc[theirs], self.draws[ours] - self.draws[theirs]
        return np.where(np.abs(value) <= _ROUNDING, 0.0, value), np.where(np.abs(draws) <= _ROUNDING, 0.0, draws)

    def _estimate(
        self, value: Any, draws: Floats, columns: list[int] | None = None, *, test: bool = False
    ) -> BootstrapEstimate:
        if np.isnan(value):
            return BootstrapEstimate(None, None, None, note="one label value: no AUC")
        there = ~np.isnan(self.auc[0])
        lost = np.isnan(self.draws[0][:, columns if columns is not None else there]).any(axis=1)
        left_out, kept = int(np.count_nonzero(lost)), draws[~np.isnan(draws)]
        if self.patients < MIN_PATIENTS or not len(kept):
            few = f"fewer than {MIN_PATIENTS} patients ({self.patients})"
            note = f"{few if self.patients < MIN_PATIENTS else 'one label value in every resample'}: no interval"
            return BootstrapEstimate(float(value), None, None, None, left_out, note)
        low, high = np.quantile(kept, [0.025, 0.975])
        p = None
        if test:
            smaller = min(np.mean(kept <= 0), np.mean(kept >= 0))
            p = float(np.clip(2 * smaller, 1 / (len(kept) + 1), 1.0))
        return BootstrapEstimate(float(value), float(low), float(high), p, left_out)


def bootstrap_auc(
    truth: npt.ArrayLike,
    scores: Sequence[npt.ArrayLike],
    patients: npt.ArrayLike,
    *,
    resamples: int = 2000,
    seed: int = 0,
    threads: int | None = None,
) -> BootstrapAUC:
    """Resample patients with all their films, and score every model on the same resamples.

    `truth` (N, C), `scores` one array (N, C) or (S, N, C) a model, for S seeds of it, `patients` (N,) the patient of
    each film. Films of one patient are alike, so that resampling films would give intervals too narrow. Deterministic
    by `seed`, whatever the number of `threads` (None: one a CPU).
    """
    labels = _labels(truth, 2)
    names, patient = np.unique(np.asarray(patients), return_inverse=True)
    if patient.shape != (len(labels),) or resamples < 1 or not len(scores):
        found = f"{len(labels)} films, patients {np.shape(patients)}, {len(scores)} models, {resamples} resamples"
        raise InputError(f"a patient for each film, one model and one resample at least expected, got {found}")
    models = [_seeds(labels, score) for score in scores]
    classes = range(labels.shape[1])
    forms = [[[_pairs(labels[:, c], s[:, c], patient, len(names)) for c in classes] for s in model] for model in models]
    films = np.bincount(patient, minlength=len(names)).astype(np.float64)
    found_in = np.array([np.bincount(patient, labels[:, c], len(names)) for c in classes]).reshape(-1, len(names))

    def draw(start: int) -> Floats:  # (M, C, resamples of this chunk)
        weights = patient_weights(len(names), min(_CHUNK, resamples - start), seed, start // _CHUNK)
        positives = found_in @ weights
        pairs = positives * (films @ weights - positives)
        in_order = np.array([np.mean([[f.in_order(weights) for f in s] for s in model], axis=0) for model in forms])
        return np.divide(in_order, pairs, out=np.full(in_order.shape, np.nan), where=pairs > 0)

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        draws = np.concatenate(list(pool.map(draw, range(0, resamples, _CHUNK))), axis=2)
    point = np.array([np.mean([auc_columns(labels, s) for s in model], axis=0) for model in models])
    return BootstrapAUC(point, np.ascontiguousarray(draws.transpose(0, 2, 1)), len(names))


def patient_weights(patients: int, resamples: int, seed: int, chunk: int) -> Floats:
    """How often each patient is in each resample of a chunk: (patients, resamples), whole numbers.

    Every chunk has a generator of its own, so that the order in which threads take them changes nothing.
    """
    drawn = np.random.default_rng([seed, chunk]).integers(0, patients, (resamples, patients))
    drawn += patients * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=resamples * patients).reshape(resamples, patients)
    return np.ascontiguousarray(counts.T, dtype=np.float64)


class _Pairs(NamedTuple):
    """The pairs of one class in the right order, as a bilinear form of patient weights.

    Row k of `positives` counts, by patient, the positives with the k-th lowest score of a positive. Row k of
    `negatives` counts the negatives between the positives' scores k - 1 and k; a negative equal to score k is half in
    row k and half in row k + 1. So the weight below row k's positives, ties half, is a cumulative sum.
    """

    positives: sparse.csr_array
    negatives: sparse.csr_array

    def in_order(self, weights: Floats) -> Floats:
        """Weighted number of pairs in the right order: (patients, resamples) to (resamples,). Exact: halves."""
        below = np.cumsum(self.negatives @ weights, axis=0)
        return np.einsum("kr,kr->r", self.positives @ weights, below)


def _pairs(labels: Labels, score: Floats, patient: npt.NDArray[np.intp], patients: int) -> _Pairs:
    ranks, rank = np.unique(score[labels], return_inverse=True)
    negative, owner = score[~labels], patient[~labels]
    rows = np.concatenate([np.searchsorted(ranks, negative), np.searchsorted(ranks, negative, "right")])
    shape = (len(ranks) + 1, patients)  # the last row: negatives above every positive
    positives = sparse.csr_array((np.ones(len(rank)), (rank, patient[labels])), shape)
    negatives = sparse.csr_array((np.full(len(rows), 0.5), (rows, np.tile(owner, 2))), shape)
    return _Pairs(positives[:-1], negatives[:-1])


def _mean(values: Floats) -> Floats:
    """Mean over the last axis of what is not NaN; NaN where nothing is."""
    there = ~np.isnan(values)
    count = there.sum(axis=-1)
    total = np.where(there, values, 0.0).sum(axis=-1)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


# -------------------------------------------------------------------------------------------------------- input


def _labels(truth: npt.ArrayLike, dimensions: int) -> Labels:
    given = np.asarray(truth)
    if given.ndim != dimensions:
        expected = "(N,)" if dimensions == 1 else "(N, classes)"
        raise InputError(f"labels {expected} expected, got shape {given.shape}")
    labels = given == 1
    if given.dtype != np.bool_ and not np.array_equal(given, labels):
        wrong = given[given != labels].flat[0]
        raise InputError(f"labels 0 or 1 expected, found {wrong}: uncertain and missing labels have to be decided")
    return labels


def _checked(score: npt.ArrayLike, shape: tuple[int, ...]) -> Floats:
    values = np.asarray(score, np.float64)
    if values.shape != shape:
        raise InputError(f"scores {shape} expected, one for each label, got {values.shape}")
    if np.isnan(values).any():
        raise InputError(f"{np.count_nonzero(np.isnan(values))} of {values.size} scores are NaN: the model is broken")
    return values


def _row(truth: npt.ArrayLike, score: npt.ArrayLike) -> tuple[Labels, Floats]:
    labels = _labels(truth, 1)
    return labels, _checked(score, labels.shape)


def _table(truth: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Labels, Floats]:
    labels = _labels(truth, 2)
    return labels, _checked(scores, labels.shape)


def _seeds(labels: Labels, scores: npt.ArrayLike) -> Floats:
    """The scores of a model (S, N, C), from those or from (N, C)."""
    values = np.asarray(scores, np.float64)
    values = values[None] if values.ndim == 2 else values
    return _checked(values, (max(1, len(values)) if values.ndim else 1, *labels.shape))


def _split(truth: npt.ArrayLike, score: npt.ArrayLike) -> tuple[Floats, Floats]:
    """The scores of the positives and of the negatives, each in the order of the cases."""
    labels, values = _row(truth, score)
    return values[labels], values[~labels]
