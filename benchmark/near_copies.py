"""Near copies: synthetic films that lie nearer to real ones than real films lie to each other.

The threshold is the first percentile of the distances between films that are known to be different, so that the share
expected by chance is about one percent; the excess is tested by a one-sided binomial test (metrics.md, memorisation).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .resampling import resize_films

SIDE = 32  # films are compared at 32 x 32 pixels
PERCENTILE = 1.0
PAIRS_KEPT = 5


@dataclass(frozen=True)
class NearCopies:
    """How many synthetic films are near copies of the reference films, and the nearest pairs (row numbers, distance)."""

    films: int
    flagged: int
    threshold: float
    p: float
    nearest: list[tuple[int, int, float]]

    def to_json(self) -> dict[str, Any]:
        """Plain values for a record."""
        return asdict(self) | {"nearest": [list(pair) for pair in self.nearest]}


def _vectors(images: np.ndarray) -> np.ndarray:
    films = resize_films(images, SIDE) if images.shape[1] > SIDE else images
    return films.reshape(len(films), -1).astype(np.float32) / np.float32(255)


def nearest_distances(queries: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Root-mean-square grey distance (0 to 1) of each query film to its nearest reference film, and that film's row.

    Films are uint8 (N, H, W) of the same size.
    """
    a, b = _vectors(queries), _vectors(references)
    lengths = (b * b).sum(1)
    rows, distances = np.empty(len(a), dtype=np.int64), np.empty(len(a))
    for start in range(0, len(a), 256):
        part = a[start : start + 256]
        squared = (part * part).sum(1)[:, None] + lengths[None] - 2 * part @ b.T
        nearest = squared.argmin(1)
        rows[start : start + 256] = nearest
        exact = ((part.astype(np.float64) - b[nearest].astype(np.float64)) ** 2).mean(1)
        distances[start : start + 256] = np.sqrt(exact)
    return distances, rows


def near_copies(synthetic: np.ndarray, references: np.ndarray, different: np.ndarray) -> NearCopies:
    """Synthetic films nearer to a reference film than the first percentile of the distances from `different` to it.

    `different` are real films of other patients than `references`.
    """
    from scipy import stats

    threshold = float(np.percentile(nearest_distances(different, references)[0], PERCENTILE))
    distances, rows = nearest_distances(synthetic, references)
    flagged = int((distances < threshold).sum())
    p = float(stats.binomtest(flagged, len(synthetic), PERCENTILE / 100, alternative="greater").pvalue)
    order = np.argsort(distances)[:PAIRS_KEPT]
    pairs = [(int(row), int(rows[row]), float(distances[row])) for row in order]
    return NearCopies(len(synthetic), flagged, threshold, p, pairs)
