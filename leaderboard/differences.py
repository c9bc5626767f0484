"""Differences from REAL: each arm minus REAL over seeds by Welch's test, for columns that are shown and not ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..benchmark.significance.paired_tests import MIN_SEEDS


@dataclass(frozen=True)
class Difference:
    """An arm minus REAL over seeds by Welch's test, not corrected; None where no test may be made."""

    value: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None


def differences(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> list[Difference]:
    """Of each (arm, REAL) the difference with its 95 % interval; without a test below five seeds a side, or without spread.

    Welch 1947, Satterthwaite's degrees of freedom. Raises ValueError for a side without a score.
    """
    from scipy import special

    if not pairs:
        return []
    sides = [np.array([_moments(pair[side]) for pair in pairs]).T for side in (0, 1)]
    (mean, squared, freedom, noise), (real, of_real, free_of_real, noise_of_real) = sides
    value, error, rounding = mean - real, squared + of_real, noise + noise_of_real
    with np.errstate(invalid="ignore", divide="ignore"):
        fourth = np.where(squared > 0, squared**2 / freedom, 0.0)
        fourth += np.where(of_real > 0, of_real**2 / free_of_real, 0.0)
        error = np.where(error > rounding, error, np.nan)
        both = error**2 / fourth
        p = 2 * special.stdtr(both, -np.abs(value) / np.sqrt(error))
        half = special.stdtrit(both, 0.975) * np.sqrt(error)
    few = [min(map(len, pair)) < MIN_SEEDS for pair in pairs]
    return [
        Difference(float(v))
        if lacking or np.isnan(chance)
        else Difference(float(v), float(v - h), float(v + h), float(chance))
        for v, h, chance, lacking in zip(value, half, p, few, strict=True)
    ]


def _moments(scores: Sequence[float]) -> tuple[float, float, float, float]:
    """Mean, squared standard error, degrees of freedom, and what counts as no spread: rounding of the numbers themselves."""
    x = np.asarray(scores, np.float64)
    if not len(x):
        raise ValueError("a score of each side expected")
    error = float(x.var(ddof=1)) / len(x) if len(x) > 1 else np.nan
    return float(x.mean()), error, len(x) - 1.0, float(8 * np.finfo(np.float64).eps * np.abs(x).max()) ** 2
