"""Files of an entry that come from elsewhere: kinds that hold numbers, tables, pictures or text, and no code."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import InputError

_MOST_ARRAYS = 16 << 30
_MOST_HEADER = 100_000_000  # bytes of the header of a safetensors file, its own limit


def hold_safe(path: Path, name: str) -> None:
    """InputError, which begins with `name`, where a file is not what its ending says, or holds an array of objects: these
    are pickles, which run code when they are opened."""
    try:
        with path.open("rb") as handle:
            SAFE[path.suffix](handle)
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # the readers raise many kinds on bytes of another
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(f"{name}: not a plain {path.suffix} file ({reason})") from None


def _npy(handle: IO[bytes]) -> None:
    version = np.lib.format.read_magic(handle)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read:
        raise ValueError(f"npy format {version}, expected 1.0 or 2.0")
    _, _, dtype = read[version](handle)
    if dtype.hasobject:
        raise ValueError("an array of objects")


def _npz(handle: IO[bytes]) -> None:
    with zipfile.ZipFile(handle) as inside:
        if sum(info.file_size for info in inside.infolist()) > _MOST_ARRAYS:
            raise ValueError(f"more than {_MOST_ARRAYS >> 30} GB when it is opened")
        for info in inside.infolist():
            if not info.filename.endswith(".npy") or "/" in info.filename or "\\" in info.filename:
                raise ValueError(f"{info.filename!r} is no array")
            with inside.open(info) as member:
                _npy(io.BytesIO(member.read(70_000)))


def _safetensors(handle: IO[bytes]) -> None:
    length = int.from_bytes(handle.read(8), "little")
    if length > _MOST_HEADER or not handle.read(length).lstrip().startswith(b"{"):
        handle.seek(0)
        _text(handle)  # the model of a task that keeps no tensors


def _parquet(handle: IO[bytes]) -> None:
    import pyarrow.parquet as parquet

    parquet.ParquetFile(handle)  # reads the footer


def _json(handle: IO[bytes]) -> None:
    json.load(handle)


def _text(handle: IO[bytes]) -> None:
    while block := handle.read(1 << 20):
        if b"\x00" in block or block.startswith(b"\x80"):
            raise ValueError("no text")


def _png(handle: IO[bytes]) -> None:
    if handle.read(8) != b"\x89PNG\r\n\x1a\n":
        raise ValueError("no png")


SAFE: dict[str, Callable[[IO[bytes]], None]] = {
    ".json": _json,
    ".npy": _npy,
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".parquet": _parquet,
    ".png": _png,
    ".csv": _text,
    ".txt": _text,
    ".toml": _text,
}
"""What is held against each kind of file that is taken."""
