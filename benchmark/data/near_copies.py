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
from .film_rows import Films, taken
from .gathered import changed
from .resize import resize_films

SIDE = 32  # films are compared at 32 x 32 pixels
PERCENTILE = 1.0
PAIRS_KEPT = 5
DIFFERENT_FILMS = 2000
HASH_SIDE = 9
HASH_BITS = 6
COPY_DISTANCE = 0.02
QUERIES, REFERENCES = 256, 16_384  # films of a block whose distances are taken at once


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


def difference_hash(images: Films) -> np.ndarray:
    """64-bit hashes, uint64 (N,), of uint8 films (N, H, W): whether each of 8 x 8 fields is darker than its right one."""
    small = changed(images, lambda films: resize_films(films, HASH_SIDE), (HASH_SIDE, HASH_SIDE))
    small = small.astype(np.int16)[:, :8, :]
    bits = (small[:, :, :-1] < small[:, :, 1:])[:, :, :8].reshape(len(images), 64)
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def count_copies(queries: Films, references: Films) -> int:
    """How many query films are copies of a reference film: hashes within 6 of 64 bits, and then pixels within 0.02."""
    return _copies(difference_hash(queries), difference_hash(references), _small(queries), _small(references))


def _copies(hashes: np.ndarray, others: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> int:
    """The same of hashes uint64 (N,) and (M,), and of films uint8 (N, P) and (M, P)."""
    ones = np.array([bin(value).count("1") for value in range(256)], dtype=np.uint8)
    copies = 0
    for row, value in enumerate(hashes):
        apart = ones[(others ^ value).view(np.uint8).reshape(len(others), 8)].sum(axis=1)
        near = np.flatnonzero(apart <= HASH_BITS)
        if len(near):
            squares = ((_vectors(theirs[near]) - _vectors(ours[row])) ** 2).sum(axis=1, dtype=np.float64)
            copies += bool((_distance(squares, ours.shape[1]) < COPY_DISTANCE).any())
    return copies


def _small(images: Films) -> np.ndarray:
    """Films as they are compared: uint8 (N, P <= 1,024)."""
    if images.shape[1] <= SIDE:
        return np.asarray(images).reshape(len(images), -1)
    return changed(images, lambda block: resize_films(block, SIDE), (SIDE, SIDE)).reshape(len(images), -1)


def _vectors(small: np.ndarray) -> np.ndarray:
    """Small films as float32 of the whole numbers -128 to 127: every sum of products of two of them is a whole number up to
    2**24, which float32 holds exactly, so that no order of a sum and no processor changes a distance."""
    return small.astype(np.float32) - np.float32(128)


def _distance(squares: np.ndarray, pixels: int) -> np.ndarray:
    """Root-mean-square grey distance, 0 to 1, from sums of squares in grey levels."""
    return np.sqrt(squares / pixels) / 255


def nearest_distances(queries: Films, references: Films) -> tuple[np.ndarray, np.ndarray]:
    """Root-mean-square grey distance (0 to 1) of each query film to its nearest reference film, and that film's row.

    Films are uint8 (N, H, W) of the same size.
    """
    return _nearest(_small(queries), _small(references))


def _nearest(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same of films uint8 (N, P) and (M, P), block by block: of equally near ones the first."""
    rows, squares = np.zeros(len(ours), dtype=np.int64), np.full(len(ours), np.inf)
    for first in range(0, len(theirs), REFERENCES):
        b = _vectors(theirs[first : first + REFERENCES])
        lengths = (b * b).sum(1, dtype=np.float64)
        for start in range(0, len(ours), QUERIES):
            a, block = _vectors(ours[start : start + QUERIES]), slice(start, start + QUERIES)
            products = (a @ b.T).astype(np.float64)
            apart = (a * a).sum(1, dtype=np.float64)[:, None] + lengths[None] - 2 * products
            nearest = apart.argmin(1)
            found = apart[np.arange(len(a)), nearest]
            nearer = found < squares[block]
            rows[block][nearer] = first + nearest[nearer]
            squares[block][nearer] = found[nearer]
    return _distance(squares, ours.shape[1]), rows


def near_copies(films: Dataset, references: Dataset, different: Dataset) -> NearCopies:
    """Synthetic films nearer to a reference film than the first percentile of the distances from `different` to it.

    `different` are real films of other patients than `references`; of many, evenly spread ones are enough for a percentile.
    """
    from scipy import stats

    rows = np.linspace(0, len(different) - 1, min(DIFFERENT_FILMS, len(different))).round().astype(int)
    small, real = _small(films.images), _small(references.images)
    threshold = float(np.percentile(_nearest(_small(taken(different.images, rows)), real)[0], PERCENTILE))
    distances, nearest = _nearest(small, real)
    flagged = int(((distances < threshold) | (distances == 0)).sum())
    p = float(stats.binomtest(flagged, len(films), PERCENTILE / 100, alternative="greater").pvalue)
    ours, theirs = films.ids, references.ids
    first = np.argsort(distances, kind="stable")[:PAIRS_KEPT]
    pairs = [(ours[row], theirs[nearest[row]], float(distances[row])) for row in first]
    copies = _copies(difference_hash(films.images), difference_hash(references.images), small, real)
    return NearCopies(len(films), flagged, threshold, p, copies, pairs)
