"""A program with all that it starts, ended when it has taken so much time of a core, of the clock or of memory.

Time of a core and not of the clock is what a busy machine can compare. Linux alone: both are read from `/proc`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

POLL = 0.5
GRACE = 5.0
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit status (None: it was ended), seconds of a core of all its processes, the most bytes that
    these held together, and what it was ended for."""

    status: int | None
    core_seconds: float
    most_bytes: int
    limit: str = ""


def _stats() -> dict[int, tuple[int, float, int]]:
    """Of every process: its parent, seconds of a core with those of children that ended, resident bytes."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError, ValueError, IndexError):
                words = (folder / "stat").read_text().rpartition(")")[2].split()
                found[int(folder.name)] = (int(words[1]), sum(map(int, words[11:15])) / TICK, int(words[21]) * PAGE)
    return found


def tree_of(root: int) -> dict[int, tuple[float, int]]:
    """(seconds of a core, resident bytes) of a process and all below it."""
    stats = _stats()
    below: dict[int, list[int]] = {}
    for number, (parent, _, _) in stats.items():
        below.setdefault(parent, []).append(number)
    waiting, found = [root], {}
    while waiting:
        number = waiting.pop()
        if number in stats:
            found[number] = stats[number][1:]
            waiting += below.get(number, [])
    return found


def limited(words: Sequence[str], *, core_seconds: float, clock_seconds: float, most_bytes: int) -> Ended:
    """Run a program within limits."""
    program = subprocess.Popen(words)
    end, most, taken = time.monotonic() + clock_seconds, 0, 0.0
    while True:
        with suppress(subprocess.TimeoutExpired):
            program.wait(POLL)
            return Ended(program.returncode, taken, most)
        tree = tree_of(program.pid)
        held = sum(one for _, one in tree.values())
        taken, most = max(taken, sum(one for one, _ in tree.values())), max(most, held)
        over = {
            f"{core_seconds:g} s of a core": taken > core_seconds,
            f"{clock_seconds:g} s of the clock": time.monotonic() > end,
            f"{most_bytes / 1e9:g} GB": held > most_bytes,
        }
        if any(over.values()):
            _end(program, list(tree))
            return Ended(None, taken, most, next(what for what, passed in over.items() if passed))


def _end(program: subprocess.Popen[bytes], numbers: Sequence[int]) -> None:
    for number in numbers:
        with suppress(OSError):
            os.kill(number, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        program.wait(GRACE)
    for number in [program.pid, *numbers]:
        with suppress(OSError):
            os.kill(number, signal.SIGKILL)
    program.wait()
