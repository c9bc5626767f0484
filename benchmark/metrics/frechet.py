"""The Fréchet distance between two sets of feature vectors, its floor between halves of the real ones, and its limit.

Dowson and Landau, "The Fréchet distance between multivariate normal distributions" (1982), as Heusel et al. (2017) take it
of network features; the limit of infinitely many films is Chong and Forsyth's (2020). All in float64. A distance is of a
feature space and of a number of films, both of which are said wherever it stands: its bias falls as one over that number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError

LEAST = 20
"""Films on each side: of fewer a covariance says nothing."""
GROUPS = 20
"""Groups of which one at a time is left out, for the interval of the ratio."""
PER_DIMENSION = 4
"""So many films a dimension, and the distance is straight enough in one over their number to be extrapolated."""
NOTHING = 1e-12
"""A distance below this is nothing: of films that are all the same."""
WIDEST = 50.0  # of a logarithm
Z_95 = 1.959963984540054


def frechet_distance(real: np.ndarray, other: np.ndarray) -> float:
    """Squared Fréchet distance of normal distributions with the means and covariances of two sets of features, (N, D) and
    (M, D); 0 or more. InputError for fewer than two vectors, for other dimensions, or for values that are not finite.

    tr (C1 C2)^(1/2) is the sum of the roots of the eigenvalues of L^T C2 L with C1 = L L^T, or, where there are no more
    vectors than dimensions, the nuclear norm of the product of the centred vectors, which is the same number.
    """
    a, b = _features(real), _features(other)
    if a.shape[1] != b.shape[1]:
        raise InputError(
            f"Fréchet distance: features of {a.shape[1]} and of {b.shape[1]} dimensions, expected the same"
        )
    apart = a.mean(axis=0) - b.mean(axis=0)
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    spread = (a**2).sum() / (len(a) - 1) + (b**2).sum() / (len(b) - 1)
    return float(max(0.0, apart @ apart + spread - 2 * _shared(a, b)))


def _features(values: np.ndarray) -> np.ndarray:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 2 or len(found) < 2 or not np.isfinite(found).all():
        raise InputError(
            f"features of shape {found.shape}: expected finite numbers, two vectors or more, (films, dimensions)"
        )
    return found


def _shared(a: np.ndarray, b: np.ndarray) -> float:
    """tr (C1 C2)^(1/2) of centred vectors (N, D) and (M, D)."""
    dimensions = a.shape[1]
    if min(len(a), len(b)) <= dimensions:
        scale = np.sqrt((len(a) - 1) * (len(b) - 1))
        return float(np.linalg.svd(a @ b.T, compute_uv=False).sum() / scale)
    first, second = a.T @ a / (len(a) - 1), b.T @ b / (len(b) - 1)
    try:
        root = np.linalg.cholesky(first)
    except np.linalg.LinAlgError:  # a direction without spread
        values, vectors = np.linalg.eigh(first)
        root = vectors * np.sqrt(values.clip(min=0))
    return float(np.sqrt(np.linalg.eigvalsh(root.T @ second @ root).clip(min=0)).sum())


@dataclass(frozen=True)
class Frechet:
    """Fréchet distance of `films` synthetic films to as many real ones, the floor (real against as many other real ones),
    and their ratio with a 95 % interval. `limit`: the distance extrapolated to infinitely many films; None where there are
    too few for the dimensions."""

    films: int
    distance: float
    floor: float
    ratio: float
    low: float
    high: float
    limit: float | None


def compared_count(synthetic: int, real: int) -> int:
    """How many films of each side are compared: as many as there are synthetic ones, and twice as many real ones."""
    return min(synthetic, real // 2)


def same_count(real: int, synthetic: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of n real films, of n others and of n synthetic ones, drawn once for all numbers of an audit. InputError says how
    many films are enough."""
    n = compared_count(synthetic, real)
    if n < LEAST:
        raise InputError(
            f"too few films: {synthetic} synthetic and {real} real; expected at least {LEAST} synthetic "
            f"and {2 * LEAST} real ones (the same number on both sides, and real ones again for the floor)"
        )
    draw = np.random.default_rng(seed)
    rows = draw.permutation(real)[: 2 * n]
    return rows[:n], rows[n:], draw.permutation(synthetic)[:n]


def frechet_to_floor(real: np.ndarray, synthetic: np.ndarray, *, seed: int = 0) -> Frechet:
    """Features (M, D) of real and (N, D) of synthetic films. The same number n of films on both sides, always: the real ones
    are halved, and the distance is the mean of the synthetic films' to each half; the floor is that between the halves.

    The interval is a jackknife's over 20 groups of films, on the logarithm of the ratio (a bootstrap would draw films twice,
    which moves the distance itself). InputError says how many films are enough.
    """
    first, second, chosen = same_count(len(real), len(synthetic), seed=seed)
    n = len(chosen)
    parts = (_features(real)[first], _features(real)[second], _features(synthetic)[chosen])
    distance, floor = _three(*parts)
    groups = np.arange(n) % min(GROUPS, n)
    logs = []
    for group in range(groups.max() + 1):
        one, other = _three(*(part[groups != group] for part in parts))
        logs.append(np.log(max(one, NOTHING)) - np.log(max(other, NOTHING)))
    count = len(logs)
    error = float(np.sqrt((count - 1) / count * np.square(np.array(logs) - np.mean(logs)).sum()))
    ratio = max(distance, NOTHING) / max(floor, NOTHING)
    wide = np.exp(min(Z_95 * error, WIDEST))
    limit = frechet_limit(real, synthetic, seed=seed)
    return Frechet(n, distance, floor, float(ratio), float(ratio / wide), float(ratio * wide), limit)


def _three(first: np.ndarray, second: np.ndarray, films: np.ndarray) -> tuple[float, float]:
    """Mean distance of the films to two halves of real ones, and that of these halves."""
    both = (frechet_distance(first, films) + frechet_distance(second, films)) / 2
    return both, frechet_distance(first, second)


def frechet_limit(real: np.ndarray, synthetic: np.ndarray, *, seed: int = 0, points: int = 8) -> float | None:
    """The distance of infinitely many films: a line through the distances of n/2 to n films of both sides over 1/n, at 0
    (Chong and Forsyth 2020, with the same number on both sides). None for fewer than 4 films a dimension. It may be
    slightly below 0, where the distance is nothing."""
    n = min(len(real), len(synthetic))
    if n < max(LEAST, PER_DIMENSION * np.shape(real)[1]):
        return None
    draw = np.random.default_rng(seed)
    a, b = _features(real), _features(synthetic)
    counts = np.linspace(n / 2, n, points).round().astype(int)
    found = [
        frechet_distance(a[draw.permutation(len(a))[:count]], b[draw.permutation(len(b))[:count]]) for count in counts
    ]
    return float(np.polyfit(1 / counts, found, 1)[1])
