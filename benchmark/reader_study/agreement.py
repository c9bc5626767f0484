"""Hits, shares and agreement of readers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from ..errors import InputError


def clopper_pearson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact binomial interval of a share k / n (Clopper and Pearson 1934). Of nothing it is all of [0, 1]."""
    if not 0 <= k <= n:
        raise InputError(f"k of n with 0 <= k <= n expected, got {k} of {n}")
    if not n:
        return 0.0, 1.0
    interval = stats.binomtest(k, n).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def cohen_kappa(a: npt.ArrayLike, b: npt.ArrayLike) -> float | None:
    """Agreement of two raters beyond chance (Cohen 1960): their answers (n,) and (n,), of any kind.

    None without a case, and where both give one and the same answer throughout: chance alone agrees then.
    """
    x, y = np.asarray(a), np.asarray(b)
    if x.ndim != 1 or x.shape != y.shape:
        raise InputError(f"answers of two raters to the same cases (n,) expected, got {x.shape} and {y.shape}")
    answers, place = np.unique(np.concatenate([x, y]), return_inverse=True)
    if len(answers) < 2:
        return None
    shares = np.stack([np.bincount(rater, minlength=len(answers)) for rater in np.split(place, 2)]) / len(x)
    chance = float(shares.prod(axis=0).sum())
    return (float(np.mean(place[: len(x)] == place[len(x) :])) - chance) / (1 - chance)


def fleiss_kappa(counts: npt.ArrayLike) -> float | None:
    """Agreement of m raters beyond chance (Fleiss 1971): how many gave each answer to each case, (cases, answers).

    None without a case, and where all answers to all cases are the same. Raises InputError where the number of raters
    is below two or not the same for every case.
    """
    table = np.asarray(counts, np.float64)
    if table.ndim != 2 or (table < 0).any() or (table != np.rint(table)).any():
        raise InputError(f"counts (cases, answers) of whole numbers >= 0 expected, got shape {table.shape}")
    if not table.size:
        return None
    raters = table[0].sum()
    if raters < 2 or (table.sum(axis=1) != raters).any():
        found = sorted({int(n) for n in table.sum(axis=1)})
        raise InputError(f"the same two or more raters for every case expected, found {found} answers a case")
    shares = table.sum(axis=0) / table.sum()
    if shares.max() == 1:
        return None
    chance = float((shares**2).sum())
    agreement = float(((table * (table - 1)).sum(axis=1) / (raters * (raters - 1))).mean())
    return (agreement - chance) / (1 - chance)
