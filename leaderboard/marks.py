"""Which entries can have cells, predictions or numbers of another: found in their bytes, without parsing what cannot.

Among a thousand entries next to none shares anything with one, but all must be looked at. A key of a cell or a sha256 of an
array stands in a file as 64 letters between quotes, where the file has no escapes; numbers are equal only where their lists
are. Whoever has none of them is ruled out. Whatever is odd is not: then the entry is read as any other.

One entry is held against the bytes of the others. Where all of a folder are checked, the bytes of each are looked at once
and its marks kept in an `Index`, which every check asks: the work grows with the number of entries, not with its square.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
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
FEW = 8
"""Entries with a mark that can be told from one that all have."""


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
        return any(
            _shares_cells(marks, run / RECORDS) or _shares_numbers(marks, run / RESULTS) for run in _runs(folder)
        )
    except (OSError, ValueError, LookupError, TypeError, Refused):
        return True


def _runs(folder: Path) -> list[Path]:
    return [path for path in sorted((folder / RUNS).iterdir()) if path.is_dir()] if (folder / RUNS).is_dir() else []


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
    return _values(raw) in marks.numbers


def _values(raw: bytes) -> tuple[float, ...]:
    """The numbers of the arms with synthetic films in a results.json."""
    return tuple(row["value"] for row in from_json(raw)["seed_values"] if not is_shared(row["arm"]))


def _bytes(path: Path) -> bytes:
    return plain_file(path, JSON_BYTES).read_bytes()


def _between_quotes(raw: bytes) -> Iterator[bytes]:
    """Everything of 64 bytes that stands between two quotes which follow each other."""
    letters = np.frombuffer(raw, np.uint8)
    quotes = np.flatnonzero(letters == ord('"'))
    begins = quotes[:-1][np.diff(quotes) == LENGTH + 1] + 1
    return (raw[begin : begin + LENGTH] for begin in begins.tolist())


# ------------------------------------------------------------------------------------------------ all entries of a folder


def line_of(folder: Path) -> bytes:
    """The marks in the files of an entry, as a line for an `Index`: none where its files are odd."""
    try:
        found = set[str]()
        for run in _runs(folder):
            found |= _marks_in(run)
    except (OSError, ValueError, LookupError, TypeError, Refused):
        return b"null"
    return json.dumps(sorted(found), separators=(",", ":")).encode()


def _marks_in(run: Path) -> set[str]:
    """The marks in the files of a run. ValueError where they can be written in another way."""
    found = set[str]()
    records, results = run / RECORDS, run / RESULTS
    if records.exists() or records.is_symlink():
        raw = _bytes(records)
        if b"\\" in raw:
            raise ValueError("with escapes")
        found |= {_short(letters) for letters in _between_quotes(raw)}
    raw = _bytes(results)
    if raw.count(b"{") + raw.count(b"[") > LISTS:
        raise ValueError("more than is parsed")
    found.add(_of_numbers(_values(raw)))
    return found


def _short(letters: bytes) -> str:
    return hashlib.blake2b(letters, digest_size=12).hexdigest()


def _of_numbers(values: tuple[float, ...]) -> str:
    return _short(np.array(values, dtype=np.float64).tobytes())


class Index:
    """The marks of all entries of a folder, in a file that one process writes and others ask."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, lines: Iterable[tuple[str, bytes]]) -> None:
        """Keep the entries by name, each with its line (`line_of`); any other line stands for an odd one."""
        with self._open as kept:
            kept.execute("CREATE TABLE entries (name TEXT PRIMARY KEY, odd INTEGER) WITHOUT ROWID")
            kept.execute("CREATE TABLE marks (mark BLOB, name TEXT, PRIMARY KEY (mark, name)) WITHOUT ROWID")
            for name, line in lines:
                marks = _read_line(line)
                kept.execute("INSERT INTO entries VALUES (?, ?)", (name, marks is None))
                kept.executemany("INSERT INTO marks VALUES (?, ?)", ((bytes.fromhex(one), name) for one in marks or ()))

    def may_share(self, marks: Marks) -> set[str]:
        """The names of the entries that can have cells, predictions or numbers with these marks, odd ones among them."""
        found = {str(name) for (name,) in self._open.execute("SELECT name FROM entries WHERE odd")}
        for one in (*map(_short, marks.cells), *map(_of_numbers, marks.numbers)):
            found |= self._with(one)
        for several in marks.predictions:
            found |= self._with_all([_short(one) for one in several])
        return found

    def _with_all(self, marks: list[str]) -> set[str]:
        """The entries that have all of these marks: asked by one that few have, where there is one."""
        few = ((one, self._with(one, FEW)) for one in marks)
        rare = next(((one, names) for one, names in few if len(names) < FEW), None)
        if rare is None:
            return set.intersection(*map(self._with, marks)) if marks else set()
        mark, names = rare
        for one in marks:
            names = {name for name in names if one == mark or self._has(name, one)}
        return names

    def _with(self, mark: str, most: int = -1) -> set[str]:
        asked = self._open.execute("SELECT name FROM marks WHERE mark = ? LIMIT ?", (bytes.fromhex(mark), most))
        return {str(name) for (name,) in asked}

    def _has(self, name: str, mark: str) -> bool:
        asked = "SELECT 1 FROM marks WHERE mark = ? AND name = ?"
        return self._open.execute(asked, (bytes.fromhex(mark), name)).fetchone() is not None

    @cached_property
    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path)


def _read_line(line: bytes) -> list[str] | None:
    try:
        found = json.loads(line)
        return [str(one) for one in found if len(bytes.fromhex(one)) == 12] if isinstance(found, list) else None
    except (ValueError, TypeError):
        return None
