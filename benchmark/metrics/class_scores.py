"""What the metrics of classification take: truths and scores of films and classes, checked and in one form."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InputError

Labels = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
ROUNDING = 1e-12
"""What equal AUCs and placements (all in [0, 1]) may differ by after averaging."""


def labels_of(truth: npt.ArrayLike, dimensions: int) -> Labels:
    given = np.asarray(truth)
    if given.ndim != dimensions:
        expected = "(N,)" if dimensions == 1 else "(N, classes)"
        raise InputError(f"labels {expected} expected, got shape {given.shape}")
    labels = given == 1
    if given.dtype != np.bool_ and not np.array_equal(given, labels):
        wrong = given[given != labels].flat[0]
        raise InputError(f"labels 0 or 1 expected, found {wrong}: uncertain and missing labels have to be decided")
    return labels


def checked(score: npt.ArrayLike, shape: tuple[int, ...]) -> Floats:
    values = np.asarray(score, np.float64)
    if values.shape != shape:
        raise InputError(f"scores {shape} expected, one for each label, got {values.shape}")
    if np.isnan(values).any():
        raise InputError(f"{np.count_nonzero(np.isnan(values))} of {values.size} scores are NaN: the model is broken")
    return values


def one_class(truth: npt.ArrayLike, score: npt.ArrayLike) -> tuple[Labels, Floats]:
    labels = labels_of(truth, 1)
    return labels, checked(score, labels.shape)


def classes_of(truth: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Labels, Floats]:
    labels = labels_of(truth, 2)
    return labels, checked(scores, labels.shape)


def seeds_of(labels: Labels, scores: npt.ArrayLike) -> Floats:
    """The scores of a model (S, N, C), from those or from (N, C)."""
    values = np.asarray(scores, np.float64)
    values = values[None] if values.ndim == 2 else values
    return checked(values, (max(1, len(values)) if values.ndim else 1, *labels.shape))


def divided(truth: npt.ArrayLike, score: npt.ArrayLike) -> tuple[Floats, Floats]:
    """The scores of the positives and of the negatives, each in the order of the cases."""
    labels, values = one_class(truth, score)
    return values[labels], values[~labels]
