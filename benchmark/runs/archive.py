"""Entries of a store as one archive, for another machine: a zip without compression, whose first member says what is in it.

An archive is not trusted: it is taken whole or not at all. Names are those of entries, without links, absolute or parent
paths; kinds of files that could hold a pickle are refused, arrays of objects too; every file is held against the sha256 of
its entry, every record against the key that follows from what it says.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pydantic import Field, ValidationError

from .. import digest
from ..errors import CxrbenchError, InputError
from ..schema import Strict
from .kept import Kept, Kind
from .plan import key_of
from .safe_files import SAFE, hold_safe
from .store import Level, Store

HEAD, ENTRY = "cxrbench-store.json", "entry.json"
SCHEMA = 1
MOST_TEXT = 16 << 20  # bytes of a member that is read into memory
BLOCK = 1 << 20
_NAME = re.compile(
    r"(records|synthetic|fits)/([0-9a-f]{64})/((?:[A-Za-z0-9_][A-Za-z0-9_.@+=-]{0,127}/){0,6}[A-Za-z0-9_][\w.@+=-]{0,127})"
)


class Head(Strict):
    """The first member of an archive."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    entries: dict[str, str]
    """The digest of every entry by `level/key`."""


@dataclass
class Packed:
    """What an export took, and what it left out and why, a line each."""

    taken: list[Kept] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass
class Taken:
    """What an import found: new entries, those that were here, and those that are here with other content, which stays."""

    new: list[str] = field(default_factory=list)
    here: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)


def pack(store: Store, entries: Iterable[Kept], out: Path) -> Packed:
    """Write entries to an archive, whole or not at all. Damaged ones, and fits with files that no import takes, stay out;
    InputError where nothing is left, or the archive cannot be written."""
    packed, digests = Packed(), {}
    for entry in entries:
        name = f"{entry.kind.value}/{entry.key}"
        if not store.sound(Level(entry.kind.value), entry.key):
            packed.left_out.append(f"{name}: damaged")
            continue
        files = json.loads((entry.path / ENTRY).read_bytes())
        bad = next(
            (file for file in files["files"] if not _NAME.fullmatch(f"{name}/{file}") or Path(file).suffix not in SAFE),
            None,
        )
        if bad is not None:
            packed.left_out.append(f"{name}: {bad} is of no kind that is imported; the fit is made again there")
            continue
        digests[name] = files["digest"]
        packed.taken.append(entry)
    if not packed.taken:
        raise InputError("; ".join(packed.left_out[:3]) or "nothing to export")
    with _written(out) as handle, zipfile.ZipFile(handle, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_member(HEAD), Head(entries=digests).model_dump_json(by_alias=True))
        for entry in packed.taken:
            for path in sorted(path for path in entry.path.rglob("*") if path.is_file()):
                name = f"{entry.kind.value}/{entry.key}/{path.relative_to(entry.path).as_posix()}"
                with path.open("rb") as source, archive.open(_member(name), "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target, BLOCK)
    return packed


def take(store: Store, path: Path) -> Taken:
    """Put the entries of an archive into a store: all of them, or InputError and none. What is here already stays."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _take(store, path, archive)
    except CxrbenchError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except OSError as error:
        raise InputError(f"cannot write below {store.root}, or read {path}: {error.strerror or error}") from error
    except Exception as error:  # zipfile raises many kinds on bytes that are no zip
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not an archive of `cxrbench store export`, or damaged ({reason})") from None


def _take(store: Store, path: Path, archive: zipfile.ZipFile) -> Taken:
    members = _members(path, archive)
    head = _head(path, archive)
    if sorted(head.entries) != sorted(members):
        raise InputError(f"{path}: {HEAD} names other entries than the archive holds")
    taken = Taken()
    store.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".import-", dir=store.root) as scratch:
        drafts = Store(Path(scratch))
        for name, infos in members.items():
            _unpack(path, archive, name, infos, head.entries[name], Path(scratch) / name)
            _check(path, name, Path(scratch) / name)
        for name in members:
            level, key = _level_key(name)
            target = store.path(level, key)
            if target.is_dir() and store.sound(level, key):
                same = json.loads((target / ENTRY).read_bytes())["digest"] == head.entries[name]
                (taken.here if same else taken.other).append(name)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            (drafts.root / name).chmod(0o755)
            (drafts.root / name).rename(target)
            taken.new.append(name)
    return taken


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, list[zipfile.ZipInfo]]:
    """The members of every entry. InputError for one that is no plain file of an entry, or packed so that it grows."""
    found: dict[str, list[zipfile.ZipInfo]] = {}
    seen: set[str] = set()
    for info in archive.infolist():
        kind = info.external_attr >> 28
        if info.filename.lower() in seen:
            raise InputError(f"{path}: {info.filename[:200]!r} is there twice")
        seen.add(info.filename.lower())
        if info.flag_bits & 1 or info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise InputError(f"{path}: {info.filename[:200]!r} is compressed or encrypted; expected a plain archive")
        if info.filename == HEAD:
            continue
        named = _NAME.fullmatch(info.filename)
        if named is None or kind not in (0, 8) or ".." in info.filename:  # 8: a plain file
            raise InputError(
                f"{path}: {info.filename[:200]!r} is no file of an entry (a link, a folder, or another path)"
            )
        found.setdefault(f"{named[1]}/{named[2]}", []).append(info)
    if sum(info.file_size for info in archive.infolist()) > path.stat().st_size:
        raise InputError(f"{path}: its members overlap")
    return found


def _head(path: Path, archive: zipfile.ZipFile) -> Head:
    try:
        head = Head.model_validate_json(_text(path, archive, archive.getinfo(HEAD)))
    except (KeyError, ValidationError):
        raise InputError(
            f"{path}: no {HEAD} that this version reads; expected a file of `cxrbench store export`"
        ) from None
    if head.schema_version != SCHEMA:
        raise InputError(f"{path}: schema {head.schema_version}, expected {SCHEMA}; use the same version of cxrbench")
    return head


def _text(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.file_size > MOST_TEXT:
        raise InputError(f"{path}: {info.filename} has {info.file_size:,} bytes, expected at most {MOST_TEXT:,}")
    return archive.read(info)


def _unpack(
    path: Path, archive: zipfile.ZipFile, name: str, infos: Sequence[zipfile.ZipInfo], expected: str, draft: Path
) -> None:
    """Write the files of an entry, each held against its sha256."""
    inside = {info.filename.removeprefix(f"{name}/"): info for info in infos}
    try:
        raw = _text(path, archive, inside.pop(ENTRY))
        entry = json.loads(raw)
        files = {str(file): str(sha) for file, sha in entry["files"].items()}
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{path}: {name} has no readable {ENTRY}") from None
    if entry.get("digest") != expected or digest.of_json(files) != expected or files.keys() != inside.keys():
        raise InputError(f"{path}: {name} does not hold the files that its {ENTRY} says")
    for file, info in inside.items():
        if Path(file).suffix not in SAFE:
            raise InputError(f"{path}: {name}/{file}: expected {', '.join(SAFE)}; other kinds may run code when opened")
        target = draft / file
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as source, target.open("wb") as handle:
            if _copied(source, handle) != files[file]:
                raise InputError(f"{path}: {name}/{file} is not the file that its {ENTRY} says (sha256 differs)")
        hold_safe(target, f"{path}: {name}/{file}")
    draft.mkdir(parents=True, exist_ok=True)
    (draft / ENTRY).write_bytes(raw)


def _copied(source: IO[bytes], target: IO[bytes]) -> str:
    """Copy in blocks; the sha256 of what was copied."""
    hasher = hashlib.sha256()
    while block := source.read(BLOCK):
        hasher.update(block)
        target.write(block)
    return hasher.hexdigest()


def _check(path: Path, name: str, draft: Path) -> None:
    """An entry is what its level holds, and a record lies under the key of what it says. StoreError or InputError if not."""
    from ..data.dataset import verify_dataset
    from ..schema import read_json
    from .record import SCHEMA as RECORD_SCHEMA
    from .record import Fit, Record, Sampled
    from .store import FIT, SAMPLED

    level, key = _level_key(name)
    try:
        if level is Level.FITS:
            read_json(draft / FIT, Fit)
        elif level is Level.SYNTHETIC:
            read_json(draft / SAMPLED, Sampled)
            verify_dataset(draft / "dataset")
        else:
            record = read_json(draft / "record.json", Record, RECORD_SCHEMA)
            if record.key != key or key_of(record.cell) != key:
                raise InputError("the record is of another cell than its key says")
            wrong = [file for file, sha in record.files.items() if not _is_file(draft, file, sha)]
            if wrong:
                raise InputError(f"{wrong[0]} is not the file that the record says")
    except CxrbenchError as error:
        raise InputError(f"{path}: {name}: {str(error).replace(f'{draft}/', '')}") from None


def _is_file(draft: Path, file: str, sha: str) -> bool:
    path = draft / Path(file).name
    return path.name == file and path.is_file() and digest.of_file(path) == sha


def _level_key(name: str) -> tuple[Level, str]:
    level, _, key = name.partition("/")
    return Level(level), key


def _member(name: str) -> zipfile.ZipInfo:
    """A plain file with no time and no owner, so that the same entries give the same archive."""
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o100644 << 16
    return info


@contextmanager
def _written(out: Path) -> Iterator[IO[bytes]]:
    """A file that is there when the block ended, whole or not at all. InputError where it cannot be written."""
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as handle:
            yield handle
        draft.replace(out)
    except OSError as error:
        raise InputError(
            f"cannot write {out}: {error.strerror or error}; free space or choose another place"
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def exportable(entries: Iterable[Kept], *, films: bool, fits: bool) -> list[Kept]:
    """Records, and where they are asked for their films and fits."""
    kinds = {Kind.RECORDS} | ({Kind.SYNTHETIC} if films else set()) | ({Kind.FITS} if fits else set())
    return [entry for entry in entries if entry.kind in kinds]
