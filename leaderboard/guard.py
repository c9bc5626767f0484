"""The checker in a process of its own: whatever an entry does to a parser, the answer is one line.

Damaged files can end a process from inside a native library, or keep it busy; then the entry is refused, and the next one
is checked. The site is built from entries that were read so.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .entry import Entry, entry_folders, load_entry, strays
from .untrusted import Refused, shown

if TYPE_CHECKING:
    from ..benchmark.data.dataset import Dataset

resource: ModuleType | None
try:
    import resource
except ImportError:  # not on Windows
    resource = None

MEMORY = 6 << 30
TIME_LIMIT = 120.0
"""Seconds of the processor that reading an entry may take."""
DRAWING = 900.0
"""Seconds that drawing the films of a protocol may take beside that: they are ours, and the same for every entry."""


def check_guarded(folder: Path, reviewed: Path | None, time_limit: float) -> dict[str, Any]:
    """`Verdict.to_json` of an entry, checked in a process that may take `time_limit` seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "verdict.json"
        words = ["check", str(folder), "" if reviewed is None else str(reviewed), str(answer), str(time_limit)]
        ended = _ended(words, time_limit, time_limit + DRAWING)
        if answer.is_file():
            return json.loads(answer.read_text(encoding="utf-8"))
    message = f"the checker's process ended {ended} while reading this entry"
    return verdict_on(ascii(folder.name)[1:-1], "guard", [message])


def load_guarded(root: Path, time_limit: float = TIME_LIMIT) -> tuple[list[Entry], list[str]]:
    """The entries of a folder by name that can be read, and a line for each that cannot. Every entry is read in another
    process first: what would end or stall that one is not read here."""
    waiting, entries, lines = entry_folders(root), list[Entry](), list[str]()
    while waiting:
        with tempfile.TemporaryDirectory() as scratch:
            answer = Path(scratch) / "read.txt"
            answer.touch()
            ended = _ended(["load", str(answer), str(time_limit), *map(str, waiting)], None, time_limit * len(waiting))
            read = answer.read_text(encoding="utf-8").count("\n")
        for folder in waiting[:read]:
            try:
                entries.append(load_entry(folder))
            except Refused as error:
                lines.append(f"{shown(folder.name)}: {error}")
        lines += [f"{shown(one.name)}: the process that read it ended {ended}" for one in waiting[read : read + 1]]
        waiting = waiting[read + 1 :]
    return entries, lines


def _ended(words: list[str], processor: float | None, wall: float) -> str:
    """Run this module with those words, within so many seconds; how it ended."""
    command = [sys.executable, "-P", "-m", f"{__package__ or ''}.guard", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=wall
        )
    except subprocess.TimeoutExpired:
        return f"after its {wall:.0f} seconds"
    if done.returncode == -getattr(signal, "SIGXCPU", 0):
        limit = "" if processor is None else f" {processor:.0f}"
        return f"after its{limit} seconds of the processor (--time-limit gives it more)"
    if done.returncode in (-signal.SIGABRT, -getattr(signal, "SIGKILL", 0)):
        return f"with status {done.returncode}, as one does that needs more than {MEMORY >> 30} GiB of memory,"
    return f"with status {done.returncode}"


def check_rest(root: Path) -> dict[str, Any]:
    """A verdict on what lies in the folder of entries beside them."""
    return verdict_on(root.name, "format", strays(root))


def verdict_on(name: str, check: str, problems: Sequence[str]) -> dict[str, Any]:
    """A verdict of what is no entry, as `Verdict.to_json`: refused where there are problems."""
    findings = [{"level": "error", "check": check, "where": "", "message": words} for words in problems]
    status = "refused" if findings else "passed"
    return {"name": name, "status": status, "passed": not findings, "digest": None, "findings": findings}


def main() -> None:
    """What the process does: check one entry and write the verdict, or read entries and write a line for each."""
    _limit_memory()
    if sys.argv[1] == "load":
        _load(Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
    else:
        folder, reviewed, answer, time_limit = sys.argv[2:]
        _check(Path(folder), Path(reviewed) if reviewed else None, Path(answer), float(time_limit))


def _check(folder: Path, reviewed: Path | None, answer: Path, time_limit: float) -> None:
    from .checks import Sources, check_entry
    from .checks.subject import films_at_hand

    allow_processor(time_limit)

    def drawn(name: str, resolution: int) -> Dataset | None:
        left = processor_left()
        allow_processor(None)
        films = films_at_hand(name, resolution)
        allow_processor(left)
        return films

    verdict = check_entry(folder, sources=Sources(films=drawn), reviewed=reviewed)
    draft = Path(f"{answer}.draft")
    draft.write_text(json.dumps(verdict.to_json()), encoding="utf-8")
    draft.replace(answer)


def _load(answer: Path, time_limit: float, folders: list[str]) -> None:
    with answer.open("a", encoding="utf-8") as lines:
        for folder in folders:
            allow_processor(time_limit)
            with suppress(Refused):  # the process that asked says why
                load_entry(Path(folder))
            lines.write(f"{Path(folder).name!a}\n")
            lines.flush()


def allow_processor(seconds: float | None) -> None:
    """End this process when it has taken so many seconds of the processor from now on; None: whenever it likes."""
    if resource is not None:
        used, hard = time.process_time(), resource.getrlimit(resource.RLIMIT_CPU)[1]
        wanted = resource.RLIM_INFINITY if seconds is None else int(used + seconds) + 1
        within = [limit for limit in (wanted, hard) if limit != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_CPU, (min(within, default=resource.RLIM_INFINITY), hard))


def processor_left() -> float | None:
    """The seconds of the processor that this process may still take; None where there is no limit."""
    if resource is None:
        return None
    soft = resource.getrlimit(resource.RLIMIT_CPU)[0]
    return None if soft == resource.RLIM_INFINITY else max(0.0, soft - time.process_time() - 1)


def _limit_memory() -> None:
    if resource is not None:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY if hard < 0 else min(MEMORY, hard), hard))


if __name__ == "__main__":
    main()
