"""Who works on a store: any number of runs at a time, or one who removes entries. A lock of the file system (flock), which
ends with the process that holds it, however that ends."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ..errors import InputError
from ..plain_files import FILE as PLAIN
from ..plain_files import NOTHING, kind_of
from .own_store import hold_folders

FILE = ".lock"
STALE = 600.0
"""Where the file system knows no locks: a step that wrote its progress within so many seconds is at work."""


@contextmanager
def working(root: Path) -> Iterator[None]:
    """Within the block nobody removes entries of the store; waits for one who does."""
    handle = None
    with suppress(OSError):  # one that cannot be written, or knows no locks
        handle = _opened(root)
        _lock(handle, wait=True, shared=True)
    try:
        yield
    finally:
        if handle is not None:
            handle.close()


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Within the block no run works on the store; InputError where one does."""
    busy = f"a run works on {root}: wait until it has ended, or stop it (Ctrl-C; it goes on later)"
    try:
        handle = _opened(root)
    except OSError as error:
        raise InputError(f"cannot write {root}: {error.strerror or error}") from error
    with handle:
        try:
            _lock(handle, wait=False, shared=False)
        except BlockingIOError:
            raise InputError(busy) from None
        except OSError:
            if any(time.time() - path.stat().st_mtime < STALE for path in (root / "progress").glob("*.json")):
                raise InputError(busy) from None
        yield


def _opened(root: Path) -> IO[bytes]:
    hold_folders(root)
    if (kind := kind_of(root / FILE)) not in (PLAIN, NOTHING):
        raise InputError(f"{root / FILE}: expected a file, found {kind}; remove it")
    root.mkdir(parents=True, exist_ok=True)
    return (root / FILE).open("ab")


def _lock(handle: IO[bytes], *, wait: bool, shared: bool) -> None:
    try:
        import fcntl
    except ImportError:  # a system without it
        raise OSError(f"no locks on {os.name}") from None
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    fcntl.flock(handle, kind if wait else kind | fcntl.LOCK_NB)
