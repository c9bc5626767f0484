"""AUCs with intervals and tests by resampling patients with all their films (Efron and Tibshirani 1993)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ..errors import InputError
from .class_scores import ROUNDING, Floats, Labels, labels_of, seeds_of
from .classification import auc_columns

MIN_PATIENTS = 6
"""Fewer patients than this are resampled into too few different sets for an interval."""
_CHUNK = 32  # resamples at once: their weights of a few thousand patients fit the cache


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
        return np.where(np.abs(value) <= ROUNDING, 0.0, value), np.where(np.abs(draws) <= ROUNDING, 0.0, draws)

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
    labels = labels_of(truth, 2)
    names, patient = np.unique(np.asarray(patients), return_inverse=True)
    if patient.shape != (len(labels),) or resamples < 1 or not len(scores):
        found = f"{len(labels)} films, patients {np.shape(patients)}, {len(scores)} models, {resamples} resamples"
        raise InputError(f"a patient for each film, one model and one resample at least expected, got {found}")
    models = [seeds_of(labels, score) for score in scores]
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
