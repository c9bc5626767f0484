"""Near copies: synthetic films that lie nearer to real ones than real films lie to each other.

Copies are found by a hash first, then by pixels: films whose 64-bit difference hashes nearly agree are compared. The
threshold of nearness is the first percentile of the distances between films that are known to be different, so that the
share expected by chance is about one percent; the excess is tested by a one-sided binomial test (memorisation).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .dataset import Dataset
from .resize import resize_films

SIDE = 32  # films are compared at 32 x 32 pixels
PERCENTILE = 1.0
PAIRS_KEPT = 5
DIFFERENT_FILMS = 2000
HASH_SIDE = 9
HASH_BITS = 6
COPY_DISTANCE = 0.02


@dataclass(frozen=True)
class NearCopies:
    """How many synthetic films are near copies of the reference films, how many are copies (hash and pixels agree), and
    the nearest pairs (id of the synthetic film, id of the reference film, distance)."""

    films: int
    flagged: int
    threshold: float
    p: float
    copies: int
    nearest: list[tuple[str, str, float]]

    def to_json(self) -> dict[str, Any]:
        """Plain values for a record."""
        return asdict(self) | {"nearest": [list(pair) for pair in self.nearest]}


def difference_hash(images: np.ndarray) -> np.ndarray:
    """64-bit hashes, uint64 (N,), of uint8 films (N, H, W): whether each of 8 x 8 fields is darker than its right one."""
    small = resize_films(images, HASH_SIDE).astype(np.int16)[:, :8, :]
    bits = (small[:, :, :-1] < small[:, :, 1:])[:, :, :8].reshape(len(images), 64)
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def count_copies(queries: np.ndarray, references: np.ndarray) -> int:
    """How many query films are copies of a reference film: hashes within 6 of 64 bits, and then pixels within 0.02."""
    hashes, others = difference_hash(queries), difference_hash(references)
    ours, theirs = _vectors(queries), _vectors(references)
    ones = np.array([bin(value).count("1") for value in range(256)], dtype=np.uint8)
    copies = 0
    for row, value in enumerate(hashes):
        apart = ones[(others ^ value).view(np.uint8).reshape(len(others), 8)].sum(axis=1)
        near = np.flatnonzero(apart <= HASH_BITS)
        if len(near):
            squares = ((theirs[near] - ours[row]) ** 2).sum(axis=1, dtype=np.float64)
            copies += bool((_distance(squares, ours.shape[1]) < COPY_DISTANCE).any())
    return copies


def _vectors(images: np.ndarray) -> np.ndarray:
    """Films as float32 (N, P <= 1,024) of the whole numbers -128 to 127: every sum of products of two of them is a whole
    number up to 2**24, which float32 holds exactly, so that no order of a sum and no processor changes a distance."""
    films = resize_films(images, SIDE) if images.shape[1] > SIDE else images
    return films.reshape(len(films), -1).astype(np.float32) - np.float32(128)


def _distance(squares: np.ndarray, pixels: int) -> np.ndarray:
    """Root-mean-square grey distance, 0 to 1, from sums of squares in grey levels."""
    return np.sqrt(squares / pixels) / 255


def nearest_distances(queries: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Root-mean-square grey distance (0 to 1) of each query film to its nearest reference film, and that film's row.

    Films are uint8 (N, H, W) of the same size.
    """
    a, b = _vectors(queries), _vectors(references)
    lengths = (b * b).sum(1, dtype=np.float64)
    rows, squares = np.empty(len(a), dtype=np.int64), np.empty(len(a))
    for start in range(0, len(a), 256):
        part = a[start : start + 256]
        products = (part @ b.T).astype(np.float64)
        apart = (part * part).sum(1, dtype=np.float64)[:, None] + lengths[None] - 2 * products
        nearest = apart.argmin(1)
        rows[start : start + 256] = nearest
        squares[start : start + 256] = apart[np.arange(len(part)), nearest]
    return _distance(squares, a.shape[1]), rows


def near_copies(films: Dataset, references: Dataset, different: Dataset) -> NearCopies:
    """Synthetic films nearer to a reference film than the first percentile of the distances from `different` to it.

    `different` are real films of other patients than `references`; of many, evenly spread ones are enough for a percentile.
    """
    from scipy import stats

    rows = np.linspace(0, len(different) - 1, min(DIFFERENT_FILMS, len(different))).round().astype(int)
    threshold = float(np.percentile(nearest_distances(different.images[rows], references.images)[0], PERCENTILE))
    distances, nearest = nearest_distances(films.images, references.images)
    flagged = int(((distances < threshold) | (distances == 0)).sum())
    p = float(stats.binomtest(flagged, len(films), PERCENTILE / 100, alternative="greater").pvalue)
    ours, theirs = films.ids, references.ids
    first = np.argsort(distances, kind="stable")[:PAIRS_KEPT]
    pairs = [(ours[row], theirs[nearest[row]], float(distances[row])) for row in first]
    copies = count_copies(films.images, references.images)
    return NearCopies(len(films), flagged, threshold, p, copies, pairs)
