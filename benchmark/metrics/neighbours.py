"""What nearest neighbours say of synthetic films: are they like real ones, do they cover these, are they copies?

Precision and recall: Kynkäänniemi et al. (NeurIPS 2019). Density and coverage: Naeem et al. (ICML 2020). Authenticity:
Alaa et al. (ICML 2022). C_T: Meehan et al. (AISTATS 2020), with one cell. The first argument is always the real side:
precision and density are means over the synthetic films, recall and coverage over the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .bounded_distances import Distances, blocks, radii

K = 5
BLOCK = 1024  # rows whose distances are taken at once


@dataclass(frozen=True)
class Neighbours:
    """Precision, recall and coverage are 0 to 1, density 0 or more (about 1 for films like the real ones). The values of
    each film, whose means they are: precision and density of synthetic films (N,), recall and coverage of real ones (M,)."""

    precision: np.ndarray
    recall: np.ndarray
    density: np.ndarray
    coverage: np.ndarray

    def means(self) -> dict[str, float]:
        """The four numbers by their names."""
        return {name: float(values.mean()) for name, values in vars(self).items()}


def neighbours(real: np.ndarray, synthetic: np.ndarray, k: int = K) -> Neighbours:
    """Of features (M, D) of real and (N, D) of synthetic films. A film lies in the ball of another that is nearer than that
    one's k-th neighbour of its own side, strictly. InputError for k films or fewer on a side, and for features that are not
    finite."""
    a, b = np.asarray(real, dtype=np.float64), np.asarray(synthetic, dtype=np.float64)
    if min(len(a), len(b)) <= k:
        raise InputError(f"{len(a)} real and {len(b)} synthetic films: expected more than k = {k} on each side")
    apart = Distances(a, b)
    radii_a, radii_b = radii(a, k), radii(b, k)
    precise, dense = np.zeros(len(b), dtype=bool), np.zeros(len(b))
    recalled, covered = np.zeros(len(a), dtype=bool), np.zeros(len(a), dtype=bool)
    for rows in blocks(len(a)):
        for columns in blocks(len(b)):
            low = apart.at_least(rows, columns)
            bounds = low, apart.at_most(low, rows, columns)
            inside = apart.below(bounds, radii_a[rows, None], rows, columns)
            dense[columns] += inside.sum(axis=0)
            precise[columns] |= inside.any(axis=0)
            covered[rows] |= inside.any(axis=1)
            recalled[rows] |= apart.below(bounds, radii_b[None, columns], rows, columns).any(axis=1)
    return Neighbours(precise.astype(float), recalled.astype(float), dense / k, covered.astype(float))


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (N, M) of features (N, D) and (M, D), 0 or more."""
    found = a @ b.T
    found *= -2
    found += (a * a).sum(axis=1)[:, None]
    found += (b * b).sum(axis=1)[None]
    return np.maximum(found, 0, out=found)


def nearest(a: np.ndarray, b: np.ndarray, *, itself: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each vector of a (N, D) to its nearest of b (M, D), and that one's row. `itself`: a and b are the same
    set, and no vector is its own neighbour."""
    distances, rows = np.empty(len(a)), np.empty(len(a), dtype=np.int64)
    for start in range(0, len(a), BLOCK):
        block = slice(start, start + BLOCK)
        apart = squared_distances(a[block], b)
        if itself:
            apart[np.arange(len(apart)), start + np.arange(len(apart))] = np.inf
        rows[block] = apart.argmin(axis=1)
        distances[block] = np.sqrt(apart[np.arange(len(apart)), rows[block]])
    return distances, rows


def authentic(training: np.ndarray, synthetic: np.ndarray) -> np.ndarray:
    """Which synthetic films (N, D) are authentic, bool (N,): farther from their nearest training film (M, D) than that one
    is from its nearest other training film. Its mean is AuthPct; about a half of films that were not learnt from these."""
    a, b = np.asarray(training, dtype=np.float64), np.asarray(synthetic, dtype=np.float64)
    distances, rows = nearest(b, a)
    return distances > nearest(a, a, itself=True)[0][rows]


def copying_score(held_out: np.ndarray, synthetic: np.ndarray) -> float:
    """C_T with one cell: the z-score of Mann and Whitney's U of the distances to the nearest training film, of held-out
    films (M,) and of synthetic ones (N,). Well below 0 (-3): synthetic films lie nearer to the training films than films
    that were never learnt from do. InputError where a side is empty."""
    from scipy import stats

    if not len(held_out) or not len(synthetic):
        raise InputError("C_T: expected distances of held-out and of synthetic films")
    n, m = len(synthetic), len(held_out)
    ranks = stats.rankdata(np.concatenate([synthetic, held_out]))
    u = ranks[:n].sum() - n * (n + 1) / 2  # pairs in which the synthetic film is the farther one
    _, ties = np.unique(ranks, return_counts=True)
    total = n + m
    variance = n * m / 12 * (total + 1 - (ties**3 - ties).sum() / (total * (total - 1)))
    return float((u - n * m / 2) / np.sqrt(variance)) if variance > 0 else 0.0


def resampled(values: np.ndarray, *, seed: int = 0, draws: int = 1000) -> tuple[float, float]:
    """95 % percentile interval of the mean of the values (N,) of independent films or pairs, by bootstrap."""
    rows = np.random.default_rng(seed).integers(0, len(values), (draws, len(values)))
    low, high = np.percentile(np.asarray(values, dtype=np.float64)[rows].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)
