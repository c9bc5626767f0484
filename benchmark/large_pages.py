"""Memory of this process in large pages, so that forking it is cheap.

A fork copies an entry for every page that a process has written, and its child gives each of them back: for the 400 MB of a
process with torch loaded these are 100,000 pages of 4 KiB, or 200 of 2 MiB. What the memory holds stays the same. Linux from
6.1 gathers pages on demand (madvise(2), MADV_COLLAPSE); elsewhere nothing happens.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MADV_COLLAPSE = 25  # linux/mman.h
LARGE = 2 << 20
MANY = 12
"""Gathering takes as long as some twenty forks win by it, and a short run has fewer."""
_PRIVATE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0\s*(?:\[heap\])?", re.ASCII)
"""A line of /proc/self/maps that is memory of no file, written by this process alone."""


class Pages:
    """Of a process that forks: gathered once it has forked `MANY` children since it has `changed`."""

    def __init__(self) -> None:
        self.forks = 0

    def changed(self) -> None:
        """It has loaded more."""
        self.forks = 0

    def before_fork(self) -> None:
        """It forks another child."""
        self.forks += 1
        if self.forks == MANY:
            gather()


def gather() -> int:
    """Put written memory into large pages where the system does so; the bytes of the areas where it did."""
    with suppress(OSError, AttributeError):
        advise = ctypes.CDLL(None).madvise
        advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        return sum(end - start for start, end in _areas() if advise(start, end - start, MADV_COLLAPSE) == 0)
    return 0


def _areas() -> Iterator[tuple[int, int]]:
    """Whole large pages of this process's own memory: (first byte, byte after the last)."""
    for line in Path("/proc/self/maps").read_text(encoding="ascii", errors="replace").splitlines():
        if found := _PRIVATE.fullmatch(line):
            start, end = int(found[1], 16), int(found[2], 16)
            start, end = -(-start // LARGE) * LARGE, end // LARGE * LARGE
            if start < end:
                yield start, end
