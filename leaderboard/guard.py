"""The checker in a process of its own: whatever an entry does to a parser, the answer is one line.

Damaged files can end a process from inside a native library, or keep it busy; then the entry is refused, and the next one
is checked. The site is built from entries that were read so.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import read_before
from .arrays import ALL_BYTES
from .attempts import Attempt, from_entry
from .entry import Entry, entry_files, entry_folders, load_entry, strays
from .handed_over import for_site, from_line, to_line
from .marks import Index, line_of
from .sealed import require_sealed
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
SECONDS_A_MEBIBYTE = 1.0
"""Of the processor, for predictions that unpack to so much: several checks read them, and metrics look at every pixel."""
LONGEST = SECONDS_A_MEBIBYTE * (ALL_BYTES >> 20)
"""What these can come to."""
READERS, WORTH_A_READER = 2, 8
"""Processes that read entries for the site, each of at least so many."""
COLLECT_AFTER = 16
"""Entries read between two looks for cycles of objects: each look goes over the many objects of one that stay."""
CANNOT = b"cannot be read: "
"""What begins the line of such an entry."""


def check_guarded(
    folder: Path, reviewed: Path | None, time_limit: float, beside: Index | None = None
) -> dict[str, Any]:
    """`Verdict.to_json` of an entry, checked in a process that may take `time_limit` seconds, and more for large predictions
    (`seconds_for`). `beside`: the marks of all entries of its folder; the others are looked through where there are none."""
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "verdict.json"
        words = ["check", str(folder), "" if reviewed is None else str(reviewed), str(answer), str(time_limit)]
        words += [] if beside is None else [str(beside.path)]
        ended = _ended(words, time_limit, time_limit + LONGEST + DRAWING, answer.with_suffix(".limit"))
        if answer.is_file():
            return json.loads(answer.read_text(encoding="utf-8"))
    message = f"the checker's process ended {ended} while reading this entry"
    return verdict_on(ascii(folder.name)[1:-1], "guard", [message])


def seconds_for(entry: Entry) -> float:
    """Seconds of the processor that checking an entry may take beyond those of every entry: by the bytes of its predictions,
    which follow from its cells (`checks.justified`)."""
    total = 0
    for run in entry.runs:
        for home in {home.folder: home for home in run.homes.values()}.values():
            with suppress(Refused):  # `cells` says why
                total += home.unpacked(key for key, one in run.homes.items() if one.folder == home.folder)
    return SECONDS_A_MEBIBYTE * min(total, ALL_BYTES) / 2**20


def load_guarded(root: Path, time_limit: float = TIME_LIMIT) -> tuple[list[Attempt], list[str]]:
    """The attempts of the entries of a folder, by name, that can be read, and a line for each that cannot.

    Every entry is read once, by a process apart: one that ends or stalls it is left out, and another process goes on with
    the next. Where an entry was read before as it is now (`read_before`), that is taken, and no process begun.
    """
    folders = entry_folders(root)
    found = _read_before(root, folders)
    left = [folder for folder in folders if folder not in found]
    readers = max(1, min(READERS, os.cpu_count() or 1, len(left) // WORTH_A_READER))
    if left:
        with ThreadPoolExecutor(readers) as pool:
            parts = pool.map(lambda part: _read_apart(part, time_limit), [left[i::readers] for i in range(readers)])
            found |= {folder: outcome for part in parts for folder, outcome in part}
    attempts, lines = list[Attempt](), list[str]()
    for folder in folders:
        outcome = found[folder]
        if isinstance(outcome, str):
            lines.append(f"{shown(folder.name)}: {outcome}")
        else:
            attempts += outcome
    return attempts, lines


@contextmanager
def marked(folders: Sequence[Path], time_limit: float) -> Iterator[Index]:
    """What the entries in these folders are known by, each looked at once, by a process apart. One that ends or stalls it
    stands there as odd: all others are held against it."""
    with tempfile.TemporaryDirectory() as scratch:
        index = Index(Path(scratch) / "marks.db")
        lines = _lines_apart("marks", folders, time_limit)
        index.write((folder.name, b"" if isinstance(line, str) else line) for folder, line in lines)
        yield index


def _read_before(root: Path, folders: Sequence[Path]) -> dict[Path, list[Attempt] | str]:
    """The entries that were read before as they are now. Their files are listed and their bytes counted together here, of
    no more than an entry may have; nothing of them is parsed. An entry that is refused at that is left to those who say why.
    """
    found: dict[Path, list[Attempt] | str] = {}
    with suppress(OSError):
        shared = read_before.shared_digest(root)
        for folder in folders:
            with suppress(Refused, OSError, ValueError):
                line = read_before.find(read_before.key_of(entry_files(folder), shared))
                if line is not None:
                    found[folder] = from_line(line, folder)
    return found


def _read_apart(waiting: Sequence[Path], time_limit: float) -> list[tuple[Path, list[Attempt] | str]]:
    """What the entries of some folders say, or why they cannot be read."""
    lines = _lines_apart("load", waiting, time_limit)
    return [(folder, line if isinstance(line, str) else _outcome(line, folder)) for folder, line in lines]


def _lines_apart(what: str, folders: Sequence[Path], time_limit: float) -> list[tuple[Path, bytes | str]]:
    """A line of each entry, or how the process ended that read it, by one process after the other."""
    found, waiting = list[tuple[Path, bytes | str]](), list(folders)
    while waiting:
        with tempfile.TemporaryDirectory() as scratch:
            answer = Path(scratch) / "read.jsonl"
            answer.touch()
            ended = _ended([what, str(answer), str(time_limit), *map(str, waiting)], None, time_limit * len(waiting))
            with answer.open("rb") as lines:
                whole = (line for line in lines if line.endswith(b"\n"))  # the last one may be cut off
                read = list(zip(waiting, whole, strict=False))
        found += read
        found += [(one, f"the process that read it ended {ended}") for one in waiting[len(read) : len(read) + 1]]
        waiting = waiting[len(read) + 1 :]
    return found


def _outcome(line: bytes, folder: Path) -> list[Attempt] | str:
    """A line of the process that reads: attempts, or after a mark why the entry cannot be read."""
    if line.startswith(CANNOT):
        return line.removeprefix(CANNOT).decode().rstrip("\n")
    return from_line(line.rstrip(b"\n"), folder)


def _ended(words: list[str], processor: float | None, wall: float, told: Path | None = None) -> str:
    """Run this module with those words, within so many seconds; how it ended. `told`: a file in which it may say how many
    of the processor it was allowed."""
    command = [sys.executable, "-P", "-m", f"{__package__ or ''}.guard", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=wall
        )
    except subprocess.TimeoutExpired:
        return f"after its {wall:.0f} seconds"
    if done.returncode == -getattr(signal, "SIGXCPU", 0):
        processor = float(told.read_text(encoding="ascii")) if told is not None and told.is_file() else processor
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
    if sys.argv[1] in ("load", "marks"):
        answer, folders = Path(sys.argv[2]), list(map(Path, sys.argv[4:]))
        gc.disable()
        (_load if sys.argv[1] == "load" else _mark)(answer, float(sys.argv[3]), folders)
    else:
        folder, reviewed, verdict, time_limit, *beside = sys.argv[2:]
        index = Index(Path(beside[0])) if beside else None
        _check(Path(folder), Path(reviewed) if reviewed else None, Path(verdict), float(time_limit), index)


def _check(folder: Path, reviewed: Path | None, answer: Path, time_limit: float, beside: Index | None) -> None:
    from .checks import Sources, check_entry
    from .checks.subject import films_at_hand

    allow_processor(time_limit)

    def drawn(name: str, resolution: int) -> Dataset | None:
        left = processor_left()
        allow_processor(None)
        films = films_at_hand(name, resolution)
        allow_processor(left)
        return films

    def more(entry: Entry) -> None:
        beyond, left = seconds_for(entry), processor_left()
        if left is not None:
            _replace(answer.with_suffix(".limit"), f"{time_limit + beyond}")
            allow_processor(left + beyond)

    verdict = check_entry(folder, sources=Sources(films=drawn, beside=beside), reviewed=reviewed, begun=more)
    _replace(answer, json.dumps(verdict.to_json()))


def _replace(path: Path, text: str) -> None:
    draft = Path(f"{path}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _load(answer: Path, time_limit: float, folders: list[Path]) -> None:
    shared = read_before.shared_digest(folders[0].parent)
    with answer.open("ab") as lines:
        for number, folder in enumerate(folders, start=1):
            allow_processor(time_limit)
            try:
                line = _line(folder, shared)
            except Refused as error:
                line = CANNOT + " ".join(str(error).split()).encode()
            lines.write(line + b"\n")
            lines.flush()
            if number % COLLECT_AFTER == 0:
                gc.collect()


def _mark(answer: Path, time_limit: float, folders: list[Path]) -> None:
    with answer.open("ab") as lines:
        for folder in folders:
            allow_processor(time_limit)
            lines.write(line_of(folder) + b"\n")
            lines.flush()


def _line(folder: Path, shared: str) -> bytes:
    key = read_before.key_of(entry_files(folder), shared)
    line = read_before.find(key)
    if line is None:
        line = to_line(list(map(for_site, from_entry(require_sealed(load_entry(folder))))), folder).encode()
        read_before.keep(key, line)
    return line


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
