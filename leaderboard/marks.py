"""Which entries can have cells, predictions or numbers of another: found in their bytes, without parsing what cannot.

Among a thousand entries next to none shares anything with one, but all must be looked at. A key of a cell or a sha256 of an
array stands in a file as 64 letters between quotes, where the file has no escapes; numbers are equal only where their lists
are. Whoever has none of them is ruled out. Whatever is odd is not: then the entry is read as any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic_core import from_json

from ..benchmark.bounds import LISTS
from .arms import is_shared, label_of
from .cells import RECORDS, named_arrays
from .entry import RESULTS, RUNS, Entry
from .untrusted import JSON_BYTES, Refused, plain_file

LENGTH = 64
"""Letters of a key and of a sha256."""


@dataclass(frozen=True)
class Marks:
    """What an entry is known by: keys of its own cells, the sha256 of all that each predicts; the films of its runs; and
    for each run the numbers of its arms with synthetic films."""

    cells: frozenset[bytes]
    predictions: frozenset[frozenset[bytes]]
    films: frozenset[bytes]
    numbers: frozenset[tuple[float, ...]]


def marks_of(entry: Entry) -> Marks:
    """The marks of an entry."""
    cells, films = set[bytes](), set[bytes]()
    said, numbers = set[frozenset[bytes]](), set[tuple[float, ...]]()
    for run in entry.runs:
        for key, record in run.records.items():
            if not is_shared(label_of(record.cell)):
                cells.add(key.encode())
                said.add(frozenset(sha256.encode() for sha256 in named_arrays(record).values()))
        films.add(run.results.data.digest.encode())
        numbers.add(tuple(row.value for row in run.results.seed_values if not is_shared(row.arm)))
    return Marks(frozenset(cells), frozenset(said), frozenset(films), frozenset(numbers - {()}))


def may_share(marks: Marks, folder: Path) -> bool:
    """Whether the entry in a folder can have cells, predictions or numbers with these marks."""
    try:
        runs = [path for path in sorted((folder / RUNS).iterdir()) if path.is_dir()] if (folder / RUNS).is_dir() else []
        return any(_shares_cells(marks, run / RECORDS) or _shares_numbers(marks, run / RESULTS) for run in runs)
    except (OSError, ValueError, LookupError, TypeError, Refused):
        return True


def _shares_cells(marks: Marks, path: Path) -> bool:
    if not path.exists():
        return path.is_symlink()
    raw = _bytes(path)
    if b"\\" in raw:
        return True
    there = set(_between_quotes(raw))
    return not marks.cells.isdisjoint(there) or any(one <= there for one in marks.predictions)


def _shares_numbers(marks: Marks, path: Path) -> bool:
    if not marks.numbers:
        return False
    raw = _bytes(path)
    if b"\\" not in raw and marks.films.isdisjoint(_between_quotes(raw)):
        return False
    if raw.count(b"{") + raw.count(b"[") > LISTS:  # more than is parsed of an entry
        return True
    rows = from_json(raw)["seed_values"]
    return tuple(row["value"] for row in rows if not is_shared(row["arm"])) in marks.numbers


def _bytes(path: Path) -> bytes:
    return plain_file(path, JSON_BYTES).read_bytes()


def _between_quotes(raw: bytes) -> Iterator[bytes]:
    """Everything of 64 bytes that stands between two quotes which follow each other."""
    letters = np.frombuffer(raw, np.uint8)
    quotes = np.flatnonzero(letters == ord('"'))
    begins = quotes[:-1][np.diff(quotes) == LENGTH + 1] + 1
    return (raw[begin : begin + LENGTH] for begin in begins.tolist())
