"""Sets of films that need not fit into memory: rows of memory maps, read where they are used.

A selection of few films is an array of its own. One of many (more than `HELD` bytes) is a `FilmRows`: the arrays that the
films lie in and the numbers of their rows. What goes through a whole set does so in `blocks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

HELD = 256 << 20
"""Bytes of films that one set may hold in memory: a selection of more stays where it lies, more that are made go to disk."""
BLOCK = 32 << 20
"""Bytes of films that are read at once where a whole set is gone through."""
MOST_ROWS = 1024
"""Films of a block at most, however small they are."""


class FilmRows(NDArrayOperatorsMixin):
    """N films or masks, uint8 (N, H, W), in chosen rows of one or several arrays: read when asked for, never written.

    Indexing along films gives new arrays: `films[rows]`, `films[10:20]`, `films[rows, top:bottom]`; `films[3]` is a film,
    read-only. `len`, `shape` and `dtype` read nothing, and one film after another is read where a loop goes through them.
    `np.asarray(films)` reads all into memory, and so do arithmetic and methods of arrays (`films / 255`, `films.mean()`).
    """

    def __init__(self, arrays: Sequence[np.ndarray], rows: np.ndarray) -> None:
        """arrays: (N_i, H, W) of one type and film size. rows: int64 (N,), counted through all arrays, from 0."""
        self.arrays = tuple(_closed(array) for array in arrays)
        self.rows = rows
        self.dtype = self.arrays[0].dtype
        self.shape: tuple[int, ...] = (len(rows), *self.arrays[0].shape[1:])
        self._starts = np.cumsum([0, *(len(array) for array in self.arrays)])

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: int(np.prod(self.shape, dtype=np.int64)))
    nbytes = property(lambda self: self.size * self.dtype.itemsize)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self._film(int(row)) for row in self.rows)

    def __getitem__(self, key: Any) -> Any:
        first, others = (key[0], key[1:]) if isinstance(key, tuple) and key else (key, ())
        plain = all(one is None or one is Ellipsis or isinstance(one, (int, np.integer, slice)) for one in others)
        if not plain or first is None or first is Ellipsis or isinstance(first, (bool, np.bool_, tuple)):
            return np.asarray(self)[key]
        rows = self.rows[first]
        if not isinstance(rows, np.ndarray):
            film = self._film(int(rows))
            return film[others] if others else film
        if rows.ndim != 1:
            return np.asarray(self)[key]
        films = self._read(rows)
        return films[(slice(None), *others)] if others else films

    def _film(self, row: int) -> np.ndarray:
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self.arrays[part][row - self._starts[part]]

    def _read(self, rows: np.ndarray) -> np.ndarray:
        if len(self.arrays) == 1:
            return self.arrays[0][rows]
        films = np.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        parts = np.searchsorted(self._starts, rows, side="right") - 1
        for part in np.unique(parts):
            own = parts == part
            films[own] = self.arrays[part][rows[own] - self._starts[part]]
        return films

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("films that lie apart cannot be one array without a copy")
        films = self._read(self.rows)
        return films if dtype is None else films.astype(dtype, copy=False)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        given = [np.asarray(one) if isinstance(one, FilmRows) else one for one in inputs]
        return getattr(ufunc, method)(*given, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(np.ndarray, name):
            raise AttributeError(f"{type(self).__name__} has no attribute '{name}'")
        return getattr(np.asarray(self), name)

    def __repr__(self) -> str:
        return f"FilmRows({self.dtype} {self.shape})"


Films = np.ndarray | FilmRows
"""uint8 (N, H, W), in memory, as a memory map, or as rows of these."""


def _closed(array: np.ndarray) -> np.ndarray:
    """A read-only view of an array; of a memory map a plain one, which indexing is quicker on."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def bytes_of(films: Films, count: int | None = None) -> int:
    """Bytes of `count` of the films (of all)."""
    side = int(np.prod(films.shape[1:], dtype=np.int64))
    return (len(films) if count is None else count) * side * int(films.dtype.itemsize)


def taken(films: Films, rows: np.ndarray) -> Films:
    """The films of row numbers, int64 (M,), repeated where a row is: an array of their own where that is small."""
    if bytes_of(films, len(rows)) <= HELD:
        return films[rows]
    numbers = np.arange(len(films))[rows]  # from the end where they are negative; IndexError as of an array
    if isinstance(films, FilmRows):
        return FilmRows(films.arrays, films.rows[numbers])
    return FilmRows([films], numbers)


def joined(parts: Sequence[Films]) -> Films:
    """All films of several sets of one size, in order: an array where they are few together."""
    if sum(bytes_of(part) for part in parts) <= HELD:
        return np.concatenate([np.asarray(part) for part in parts])
    arrays: list[np.ndarray] = []
    rows: list[np.ndarray] = []
    start = 0
    for part in parts:
        one = part if isinstance(part, FilmRows) else FilmRows([part], np.arange(len(part)))
        rows.append(one.rows + start)
        arrays += one.arrays
        start += sum(len(array) for array in one.arrays)
    return FilmRows(arrays, np.concatenate(rows))


def blocks(count: int, each: int, *, multiple: int = 1) -> Iterator[slice]:
    """The rows of a set of `count` films of `each` bytes, block by block; of so many that a batch of `multiple` films is
    never divided. One block where they are few."""
    rows = max(1, min(MOST_ROWS, BLOCK // max(1, each)) // multiple) * multiple
    for start in range(0, count, rows):
        yield slice(start, min(start + rows, count))


def blocks_of(films: Films, *, multiple: int = 1) -> Iterator[np.ndarray]:
    """The films block by block, as arrays: see `blocks`."""
    for rows in blocks(len(films), bytes_of(films, 1), multiple=multiple):
        yield np.asarray(films[rows])
