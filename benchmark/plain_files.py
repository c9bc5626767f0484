"""What stands where a file or a folder is expected: a pipe, which would be waited for without end when it is opened, a
socket, a device, a link that leads nowhere."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from .errors import StoreError
from .schema import Model, read_json

FILE, FOLDER, NOTHING = "a file", "a folder", ""
_KINDS = ((stat.S_ISREG, FILE), (stat.S_ISDIR, FOLDER), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))


def kind_of(path: Path) -> str:
    """What a path leads to, in words; empty where nothing is there, or nobody may look."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return "a link that leads nowhere" if path.is_symlink() else NOTHING
    return next((words for asked, words in _KINDS if asked(mode)), "a device")


def read_plain(path: Path) -> bytes:
    """The bytes of a file. OSError for all else: FileNotFoundError where nothing is there."""
    with open_plain(path) as handle:
        return handle.read()


def open_plain(path: Path) -> BinaryIO:
    """A file, open for its bytes. OSError for all else."""
    if (kind := kind_of(path)) not in (FILE, NOTHING):
        raise OSError(errno.EINVAL, f"expected a file, found {kind}", str(path))
    return path.open("rb")


def read_plain_json(path: Path, model: type[Model], schema: int | None = None) -> Model:
    """As `schema.read_json`; StoreError for what is no file as well."""
    require_plain(path)
    return read_json(path, model, schema)


def require_plain(path: Path) -> None:
    """StoreError where something is there that is no file."""
    if (kind := kind_of(path)) not in (FILE, NOTHING):
        raise StoreError(f"{path}: expected a file, found {kind}; remove it")


def odd_below(folder: Path) -> Path | None:
    """A path below a folder that leads neither to a file nor to a folder; None where there is none."""
    with os.scandir(folder) as inside:
        for entry in inside:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                if (odd := odd_below(path)) is not None:
                    return odd
            elif not entry.is_file(follow_symlinks=False) and kind_of(path) not in (FILE, FOLDER):
                return path
    return None


def odd_of(path: Path, expected: str) -> Path | None:
    """What is odd of a path where `expected` (FILE or FOLDER) or nothing should be: itself, or what is no file below it."""
    if (kind := kind_of(path)) not in (expected, NOTHING):
        return path
    if kind != FOLDER:
        return None
    try:
        return odd_below(path)
    except OSError:  # gone meanwhile, or not to be read: who reads it says so
        return None


def remove_odd(path: Path, expected: str) -> None:
    """Remove what is odd (`odd_of`), with all of a folder that holds it, so that it can be made again."""
    if odd_of(path, expected) is None:
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
