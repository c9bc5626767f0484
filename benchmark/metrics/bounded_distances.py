"""Squared distances of many films in single precision with proven bounds, and in double precision where these leave a doubt.

Whether a distance is below a radius is for nearly all pairs the same with 24 bits as with 53. So a block of distances is
one product of matrices in float32, with bounds from below and from above by the error analysis of a dot product (Higham,
Accuracy and Stability of Numerical Algorithms, 2002, section 3.1), and a pair whose bounds lie on both sides of a radius
is computed again in float64 as the sum of its squared differences. Of films that are shown twice this is exact: their
distance is 0, and as far apart as a film and another are the film and a copy of the other.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..errors import InputError

BLOCK = 1024  # rows and columns of a block of distances, at most
AT_ONCE = 2**22  # numbers of the differences of pairs
UNIT = 2.0**-24  # half the distance of 1 to the next float32
TINY = np.float32(1e-30)  # below this (of the largest squared length, which is 1) two float32 are the same


class Distances:
    """Squared Euclidean distances of vectors a (N, D) and b (M, D), float64. Blocks of bounds have the unit of the largest
    squared length from the middle of a. InputError where a number is not finite."""

    def __init__(self, a: np.ndarray, b: np.ndarray) -> None:
        self.a, self.b = a, b
        middle = a.mean(axis=0)
        squares = [_squares(side, middle) for side in (a, b)]
        largest = max(float(one.max()) for one in squares)
        if not np.isfinite(largest):
            raise InputError("features that are not finite numbers, or too large to be squared")
        self.unit = largest or 1.0
        error = 2 * (a.shape[1] + 16) * UNIT
        parts = [one / self.unit for one in squares]
        self._slack = [(2 * error * part).astype(np.float32) + TINY for part in parts]
        scale = 1 / np.sqrt(self.unit)
        self._left, self._right = (np.empty((len(side), a.shape[1] + 2), dtype=np.float32) for side in (a, b))
        for side, sheet, factor in ((a, self._left, scale), (b, self._right, -2 * scale)):
            for rows in blocks(len(side)):
                np.multiply(side[rows] - middle, factor, out=sheet[rows, :-2], casting="same_kind")
        self._left[:, -2], self._left[:, -1] = (1 - error) * parts[0], 1
        self._right[:, -2], self._right[:, -1] = 1, (1 - error) * parts[1]

    def at_least(self, rows: slice, columns: slice) -> np.ndarray:
        """Bounds from below of the distances of these rows of a and b, float32, in `unit`."""
        low = self._left[rows] @ self._right[columns].T
        return np.maximum(low, 0, out=low)

    def at_most(self, low: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
        """Bounds from above of the same distances, of those from below."""
        high = low + self._slack[0][rows, None]
        high += self._slack[1][None, columns]
        return high

    def slack(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """How far the bounds of these pairs are apart, float32."""
        return self._slack[0][rows] + self._slack[1][columns]

    def exact(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The distances of pairs of rows of a and b, float64 (P,), in the features' own unit."""
        found = np.empty(len(rows))
        step = max(1, AT_ONCE // self.a.shape[1])
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            apart = self.a[rows[part]] - self.b[columns[part]]
            found[part] = np.einsum("ij,ij->i", apart, apart)
        return found

    def below(
        self, bounds: tuple[np.ndarray, np.ndarray], limits: np.ndarray, rows: slice, columns: slice
    ) -> np.ndarray:
        """Which distances of a block with these bounds are below limits (R, 1) or (1, C), float64, strictly: bool (R, C)."""
        low, high = bounds
        rounded = (limits / self.unit).astype(np.float32)
        above = np.where(limits > 0, np.maximum(rounded * np.float32(1 + 4 * UNIT), TINY), np.float32(0))
        found = high < rounded * np.float32(1 - 4 * UNIT)
        i, j = _places((low < above) != found)
        if len(i):
            found[i, j] = self.exact(i + rows.start, j + columns.start) < np.broadcast_to(limits, low.shape)[i, j]
        return found


def _squares(side: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Squared lengths of vectors from a middle."""
    found = np.empty(len(side))
    for rows in blocks(len(side)):
        apart = side[rows] - middle
        found[rows] = np.einsum("ij,ij->i", apart, apart)
    return found


def _places(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of what is true: `np.nonzero`, which takes far longer where there is little."""
    flat = np.flatnonzero(mask)
    return np.divmod(flat, mask.shape[1])


def blocks(count: int) -> Iterator[slice]:
    """Rows 0 to `count` in blocks of about the same number."""
    edges = np.linspace(0, count, -(-count // BLOCK) + 1).astype(int).tolist()
    yield from map(slice, edges, edges[1:])


def radii(a: np.ndarray, k: int) -> np.ndarray:
    """Squared distance of each vector of a (N, D), float64, to its k-th neighbour among the others, float64 (N,)."""
    whole = np.ascontiguousarray(a).view(np.dtype((np.void, a.shape[1] * a.itemsize)))[:, 0]
    _, first, copies = np.unique(whole, return_index=True, return_inverse=True)
    turns = np.argsort(copies, kind="stable")
    turn = np.empty(len(a), dtype=int)  # the how many-th copy of its vector a row is
    turn[turns] = np.arange(len(a)) - np.searchsorted(copies[turns], copies[turns])
    kept = np.random.default_rng(0).permutation(np.flatnonzero(turn <= k))  # more copies change nothing
    found = np.empty(len(a))
    found[kept] = _radii(Distances(a[kept], a[kept]), k)
    return found[first[copies]]


def _radii(apart: Distances, k: int) -> np.ndarray:
    """The radii of vectors in an order by chance: those near enough in the first block that is looked at leave few."""
    count = len(apart.a)
    limit = np.full(count, np.inf, dtype=np.float32)
    pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    parts = list(blocks(count))
    for rows in parts:
        low = apart.at_least(rows, rows)
        high = apart.at_most(low, rows, rows)
        for one in (low, high):
            np.fill_diagonal(one, np.nan)  # no neighbour of itself: NaN is last, and below nothing
        if len(low) > k:
            limit[rows] = np.partition(high, k - 1, axis=1)[:, k - 1]
        i, j = _places(low <= limit[rows, None])
        pairs.append((i + rows.start, j + rows.start, low[i, j]))
    for number, rows in enumerate(parts):
        for columns in parts[number + 1 :]:
            low = apart.at_least(rows, columns)
            i, j = _places(low <= limit[rows, None])
            pairs.append((i + rows.start, j + columns.start, low[i, j]))
            i, j = _places(low <= limit[None, columns])
            pairs.append((j + columns.start, i + rows.start, low[i, j]))
    i, j, near = (np.concatenate(one) for one in zip(*pairs, strict=True))
    far = near + apart.slack(i, j)
    surely = far < _smallest(i, near, count, k)[i]  # among those nearer than the k-th
    doubt = (near <= _smallest(i, far, count, k)[i]) & ~surely
    nearer = np.bincount(i[surely], minlength=count)
    i, j = i[doubt], j[doubt]
    return _smallest(i, apart.exact(i, j), count, k - nearer)


def _smallest(rows: np.ndarray, values: np.ndarray, count: int, k: int | np.ndarray) -> np.ndarray:
    """The k-th smallest value of each of `count` rows, of values (P,) of rows (P,)."""
    order = np.lexsort((values, rows))
    return values[order][np.searchsorted(rows[order], np.arange(count)) + k - 1]
