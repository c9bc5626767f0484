"""A disk that takes nothing more: full, over a quota, read-only, at a limit of file sizes. What is said then, and whether a
folder still takes something. Files and folders are written whole or not at all (`files`), so what was kept stays sound.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .errors import CxrbenchError, InputError
from .home import home

_FREE = "free space (`cxrbench store prune --dry-run` says how much the store can give)"
ADVICE = {
    errno.ENOSPC: _FREE,
    errno.EDQUOT: f"your quota is used up: {_FREE}",
    errno.EROFS: "the disk is read-only",
    errno.EFBIG: "a file may not be that large here: raise `ulimit -f`",
}
"""What is wrong with a disk, whatever was asked for, by error number."""
_RIGHTS = {errno.EACCES: "no right to write there", errno.EPERM: "no right to write there"}
_WORDS = re.compile("|".join(map(os.strerror, ADVICE)))
"""The same by writers in other languages (safetensors, Arrow) and programs, in words alone."""
_SHORT = re.compile(r"^\d+ requested and \d+ written$|PytorchStreamWriter failed writing|No usable temporary directory")
"""By writers that say neither: numpy's tofile, torch, tempfile."""
ROOM = 16 << 20
"""So many bytes a folder must still take for work to go on."""


def trouble(error: BaseException) -> str:
    """The line for an error that a disk has caused, itself or as the cause of another; empty for any other error."""
    text = str(error).splitlines()[0] if str(error) else ""
    for cause in _causes(error):
        number = cause.errno if isinstance(cause, OSError) else None
        why = os.strerror(number) if number in ADVICE else "".join(_WORDS.findall(str(cause))[:1])
        known = {os.strerror(one): words for one, words in ADVICE.items()}
        if not why and number in _RIGHTS and text.startswith("cannot write"):
            why, known = os.strerror(number or 0), {os.strerror(one): words for one, words in _RIGHTS.items()}
        if not why and (short := _SHORT.search(str(cause))):
            why = short[0]
        if why:
            if not isinstance(error, CxrbenchError):
                place = getattr(cause, "filename", None) or "a file"
                text = f"cannot write {place}: {why}"
            return f"{text} ({known.get(why, _FREE)}; CXRBENCH_HOME is {home()}, TMPDIR {temporary()})"
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what caused it or was being handled, and so on."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def temporary() -> str:
    """The folder for temporary files; in words where there is none."""
    try:
        return tempfile.gettempdir()
    except OSError:
        return "is none that can be written"


def reserve(path: Path) -> None:
    """Take the space of a file that is written as a memory map: a full disk would end the process then. InputError where
    the disk has not as much."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        with path.open("r+b") as handle:
            os.posix_fallocate(handle.fileno(), 0, path.stat().st_size)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another place"
        ) from error


def takes_more(folder: Path, size: int = ROOM) -> bool:
    """Whether a folder takes another file of so many bytes, which is tried."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as handle:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle.fileno(), 0, size)
            else:
                handle.write(bytes(size))
                handle.flush()
    except OSError:
        return False
    return True


def free(folder: Path) -> int:
    """Bytes that the disk of a folder has left, which need not be there yet."""
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    return shutil.disk_usage(there).free
