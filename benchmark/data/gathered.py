"""Arrays that come block by block: in memory while they are small, in a file that nobody sees when they grow."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from typing import IO

import numpy as np

from ..errors import InputError
from ..home import home
from . import film_rows
from .film_rows import Films, blocks_of

FOLDER = "scratch"
"""Below `home()`; its files have no names and end with the process that made them, however it ends."""


class Gathered:
    """N items of one shape and type, N not known before: `add` them in blocks, then take the `array`.

    The first `film_rows.HELD` bytes are in memory; what has more is written to the disk as it comes, and the array is then a
    read-only memory map. InputError where the disk does not take it.
    """

    def __init__(self, shape: tuple[int, ...], dtype: type[np.generic] = np.uint8) -> None:
        """shape: of an item, (H, W) for films."""
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.count = 0
        self._blocks: list[np.ndarray] = []
        self._file: IO[bytes] | None = None

    def add(self, block: np.ndarray) -> None:
        """Items (B, *shape) of the type; they are not copied while they are in memory."""
        if block.shape[1:] != self.shape or block.dtype != self.dtype:
            raise ValueError(f"expected {self.dtype} (B, {self.shape}), found {block.dtype} {block.shape}")
        self.count += len(block)
        self._blocks.append(block)
        if self._file is not None or self.nbytes > film_rows.HELD:
            self._write()

    @property
    def nbytes(self) -> int:
        """Bytes of all that was added."""
        return self.count * int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def _write(self) -> None:
        folder = home() / FOLDER
        try:
            if self._file is None:
                folder.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # `array` closes it
            for block in self._blocks:
                self._file.write(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)
            self._file.flush()
        except OSError as error:
            raise InputError(
                f"cannot write {self.nbytes >> 20} MB of films to {folder}: {error.strerror or error}; free space or set "
                "CXRBENCH_HOME to a larger disk"
            ) from error
        self._blocks = []

    def array(self) -> np.ndarray:
        """All that was added, (N, *shape)."""
        if self._file is not None:
            with self._file as file:
                return np.memmap(file, dtype=self.dtype, mode="r", shape=(self.count, *self.shape))
        if len(self._blocks) == 1:
            return self._blocks[0]
        return np.concatenate([np.empty((0, *self.shape), self.dtype), *self._blocks])


def gathered(blocks: Iterable[np.ndarray], shape: tuple[int, ...], dtype: type[np.generic] = np.uint8) -> np.ndarray:
    """The blocks as one array: see `Gathered`."""
    found = Gathered(shape, dtype)
    for block in blocks:
        found.add(block)
    return found.array()


def changed(films: Films, change: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """What a function makes of every block of films, uint8 (B, H, W) to uint8 (B, *shape), as one array."""
    return gathered(map(change, blocks_of(films)), shape)
