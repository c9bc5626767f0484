"""What stands where a file or a folder is expected: a pipe, which would be waited for without end when it is opened, a
socket, a device, a link that leads nowhere."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

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
    if (kind := kind_of(path)) not in (FILE, NOTHING):
        raise OSError(errno.EINVAL, f"expected a file, found {kind}", str(path))
    return path.read_bytes()


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
