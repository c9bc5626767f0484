"""What lies in a store: its entries and what stands beside them, how large and how old, and what needs what.

Fits and films are named by the records of the cells that used them, records by the `results.json` of runs and of entries.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from ..errors import InputError, StoreError
from ..plain_files import kind_of, read_plain
from .record import Record
from .store import Level, Store

RESULTS = "results.json"


class Kind(StrEnum):
    """What an entry is. The first three are the levels of the store; the others can be made again, or were left behind."""

    RECORDS = Level.RECORDS.value
    SYNTHETIC = Level.SYNTHETIC.value
    FITS = Level.FITS.value
    CHECKPOINTS = "checkpoints"
    MOMENTS = "moments"
    FURTHER = "further"
    AUDITS = "audits"
    FAILURES = "failures"
    DESCRIBED = "described"
    PROGRESS = "progress"
    DRAFTS = "drafts"


ABOUT = {
    Kind.MOMENTS: "samples along a fit, to end it by eye",
    Kind.FURTHER: "a model's scores on a further test set",
    Kind.AUDITS: "the fidelity of a run's films",
}


@dataclass
class Kept:
    """One entry. `made`: when it was last written (seconds since 1970). `needs`: keys of the fit and the films of a record;
    `used_by`: the records that name this entry; `runs`: the runs and entries whose cells it belongs to; `over`: whether
    the fit or the downstream training of a checkpoint has ended."""

    kind: Kind
    key: str
    path: Path
    size: int
    made: float
    about: str = ""
    group: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    used_by: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    over: bool = False

    @property
    def reachable(self) -> bool:
        """Whether something may still ask for it: a record names it, or it goes on (a checkpoint) or counts by itself."""
        if self.kind in (Kind.DRAFTS, Kind.PROGRESS):
            return False
        if self.kind is Kind.CHECKPOINTS:
            return not self.over
        return self.kind not in (Kind.FITS, Kind.SYNTHETIC) or bool(self.used_by)

    def to_json(self, now: float) -> dict[str, Any]:
        """As the commands print it."""
        return {
            "kind": self.kind.value,
            "key": self.key,
            "bytes": self.size,
            "age_seconds": round(max(0.0, now - self.made)),
            "about": self.about,
            "needs": list(self.needs),
            "used_by": self.used_by,
            "runs": self.runs,
            "reachable": self.reachable,
            "path": str(self.path),
        }


def contents(store: Store, runs: Iterable[Path] = ()) -> list[Kept]:
    """Everything in a store, by kind and key, with the names of what below `runs` it belongs to."""
    found = [entry for level in Level for entry in _entries(store, Kind(level.value))]
    found += [entry for kind in list(Kind)[3:] for entry in _beside(store, kind)]
    by_key = {(entry.kind, entry.key): entry for entry in found}
    named = cells_named(runs)
    for record in [entry for entry in found if entry.kind is Kind.RECORDS]:
        record.runs = named.get(record.key, [])
        for kind, key in zip((Kind.FITS, Kind.SYNTHETIC), record.needs, strict=False):
            if (needed := by_key.get((kind, key))) is not None:
                needed.used_by.append(record.key)
                needed.runs = sorted({*needed.runs, *record.runs})
                needed.group, needed.about = record.group, needed.about or f"of {record.about}"
    for entry in found:
        ended = any((kind, entry.key) in by_key for kind in (Kind.FITS, Kind.RECORDS))
        entry.over = entry.kind is Kind.CHECKPOINTS and ended
    return sorted(found, key=lambda entry: (list(Kind).index(entry.kind), entry.group, entry.key))


def cells_named(folders: Iterable[Path]) -> dict[str, list[str]]:
    """The runs and entries below folders that name a cell, by its key; a `results.json` that cannot be read names none."""
    named: dict[str, list[str]] = {}
    for folder in folders:
        if not folder.exists():
            continue
        for path in sorted([folder] if folder.is_file() else folder.rglob(RESULTS)):
            for key in keys_of_run(path):
                named.setdefault(key, []).append(str(path.parent))
    return named


def keys_of_run(path: Path) -> list[str]:
    """The keys of the finished cells of a `results.json`; none where it cannot be read."""
    try:
        cells = json.loads(read_plain(path))["cells"]
        return [str(cell["key"]) for cell in cells if cell.get("status") == "done"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def chosen(entries: Iterable[Kept], asked: str) -> list[Kept]:
    """The entries that a user names: the folder of a run (its cells, their fits and films), or the beginning of a key.
    InputError where there is none."""
    entries, path = list(entries), Path(asked)
    results = path if path.is_file() else path / RESULTS
    if results.is_file():
        keys = set(keys_of_run(results))
        records = [entry for entry in entries if entry.kind is Kind.RECORDS and entry.key in keys]
        if not records:
            raise InputError(f"{asked}: none of its {len(keys)} finished cells is in the store; run it again")
        needed = {key for record in records for key in record.needs}
        return records + [
            entry for entry in entries if entry.kind in (Kind.FITS, Kind.SYNTHETIC) and entry.key in needed
        ]
    if not re.fullmatch(r"[0-9a-f]{6,64}", asked):
        raise InputError(
            f"{asked}: expected the folder of a run, or six or more digits of a key (`cxrbench store list`)"
        )
    found = [entry for entry in entries if entry.key.startswith(asked)]
    if not found:
        raise InputError(f"no entry of the store begins with {asked}; `cxrbench store list --entries` shows all")
    return found


def size_of(path: Path) -> int:
    """Bytes on the disk of a file, or of all files below a folder; what vanishes meanwhile counts nothing."""
    try:
        if not path.is_dir() or path.is_symlink():
            return path.lstat().st_size
        with os.scandir(path) as inside:
            return sum(size_of(Path(entry.path)) for entry in inside)
    except OSError:
        return 0


def _entries(store: Store, kind: Kind) -> Iterator[Kept]:
    for path in sorted((store.root / kind.value).glob("??/*")):
        if path.name.startswith("."):
            yield _kept(Kind.DRAFTS, path.name, path, f"half an entry of {kind.value}")
        elif not path.is_dir():
            yield _kept(Kind.DRAFTS, path.name, path, f"{kind_of(path)} in place of an entry of {kind.value}")
        elif kind is Kind.RECORDS:
            yield _record(store, path)
        else:
            yield _kept(kind, path.name, path)


def _beside(store: Store, kind: Kind) -> Iterator[Kept]:
    if kind is Kind.DRAFTS:
        for path in sorted(store.root.glob(".*")):
            if path.is_dir():
                yield _kept(kind, path.name, path, "half an import, or what a removal left")
        return
    for path in sorted((store.root / kind.value).glob("*")):
        if path.name.startswith("."):
            yield _kept(Kind.DRAFTS, path.name, path, f"half a file of {kind.value}")
        elif path.is_file():
            yield _kept(kind, path.stem, path, ABOUT.get(kind, ""))
        else:
            yield _kept(kind, path.name, path, ABOUT.get(kind, "a training that can go on"))


def _kept(kind: Kind, key: str, path: Path, about: str = "") -> Kept:
    try:
        made = path.lstat().st_mtime
    except OSError:
        made = 0.0
    return Kept(kind, key, path, size_of(path), made, about)


def _record(store: Store, path: Path) -> Kept:
    entry = _kept(Kind.RECORDS, path.name, path)
    try:
        record = store.record(path.name)
    except StoreError as error:
        entry.about = f"cannot be read: {error}"
        return entry
    entry.about, entry.group = about(record), group(record)
    entry.needs = tuple(key for key in (record.fit_key, record.synthetic_key) if key)
    return entry


def group(record: Record) -> tuple[str, ...]:
    """What a record is of: task, generator, films, preset."""
    cell = record.cell
    provider = "REAL" if cell.provider is None else cell.provider.title
    return (f"{cell.task.name} v{cell.task.version}", provider, cell.data.name, cell.preset)


def about(record: Record) -> str:
    """A record in a line."""
    cell = record.cell
    return f"{' · '.join(group(record))} · {cell.size} {cell.arm} fold {cell.fold} seed {cell.seed}"
