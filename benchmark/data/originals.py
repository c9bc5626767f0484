"""Films as they were kept at import beside smaller ones, for what is cut from them: a memory map, never copied.

A dataset that was imported with `--keep 1024` has `originals.npy` beside its `images.npy`. It is opened, not read; smaller
versions of the dataset point to it; a film of it is read when it is cut.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .film_rows import Films

FILE = "originals.npy"
NONE = -1


@dataclass(frozen=True, eq=False)
class Originals:
    """images: uint8 (M, K, K), as a rule a memory map. rows: int64 (N,), which of them each of N films was made from; -1:
    none, the film is all there is. `known`: sha256 of the file where it is in one."""

    images: Films
    rows: np.ndarray
    known: str = ""

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 3 or self.images.shape[1] != self.images.shape[2]:
            raise InputError(f"originals must be uint8 (N, K, K), found {self.images.dtype} {self.images.shape}")
        if len(self.rows) and int(self.rows.max()) >= len(self.images):
            raise InputError(f"originals: {len(self.images)} films, but a row {int(self.rows.max())} is named")

    @property
    def side(self) -> int:
        """Pixels a side."""
        return int(self.images.shape[1])

    def film(self, place: int) -> np.ndarray | None:
        """The original of a film, uint8 (K, K), read now; None where it has none."""
        row = int(self.rows[place])
        return None if row == NONE else np.asarray(self.images[row])

    def select(self, index: np.ndarray | slice) -> Originals:
        """Those of the films of these places."""
        return replace(self, rows=self.rows[index])

    @property
    def digest(self) -> str:
        """sha256 of what stands for the films: of the file as it is written, and which row is whose where that is not in
        order (a selection that is saved has a file, and a digest, of its own)."""
        file = self.known or _written_digest(self.images)
        return file if self._in_order else hashlib.sha256(f"{file} {self.rows.tolist()}".encode()).hexdigest()

    @property
    def _in_order(self) -> bool:
        return np.array_equal(self.rows, np.arange(len(self.images)))

    def save(self, path: Path) -> str:
        """Write the films in the order of the rows, or point to the file that has them so; its sha256. InputError where a
        film has no original."""
        source = getattr(self.images, "filename", None)
        if self._in_order and self.known and source is not None and Path(source).name == FILE:
            try:
                path.symlink_to(Path(source).resolve())  # a hard link would change the times of the file it is of
            except OSError:
                shutil.copyfile(source, path)
            return self.known
        if (self.rows == NONE).any():
            raise InputError("originals: a film without one cannot be kept with those of others")
        made = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(self.rows), self.side, self.side))
        for place, row in enumerate(self.rows):
            made[place] = self.images[row]
        made.flush()
        from .. import digest

        return digest.of_file(path)


class _Hashing:
    """A file that is hashed instead of written."""

    def __init__(self) -> None:
        self.hasher = hashlib.sha256()

    def write(self, content: Any) -> int:
        """As a file's."""
        self.hasher.update(content)
        return len(content)


def _written_digest(images: Films) -> str:
    """sha256 of the .npy file that these films would be."""
    target = _Hashing()
    header = np.lib.format.header_data_from_array_1_0(np.empty((0, 0, 0), np.uint8)) | {"shape": images.shape}
    np.lib.format.write_array_header_1_0(target, header)
    for film in images:
        target.write(np.ascontiguousarray(film).tobytes())
    return target.hasher.hexdigest()


def opened(path: Path, known: str) -> Originals:
    """Those of a dataset's folder, as a memory map."""
    images = np.load(path, mmap_mode="r", allow_pickle=False)
    return Originals(images, np.arange(len(images)), known)


def all_originals(parts: Sequence[tuple[int, Originals | None]]) -> Originals | None:
    """Those of several datasets put together, each with its number of films: of the parts that have none, none. InputError
    where two have other files."""
    having = [one for _, one in parts if one is not None]
    if not having:
        return None
    if any(one.images is not having[0].images for one in having):
        raise InputError("films with originals of different datasets cannot be put together")
    rows = [np.full(count, NONE) if one is None else one.rows for count, one in parts]
    return replace(having[0], rows=np.concatenate(rows))
