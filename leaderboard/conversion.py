"""Entries of schema 1 in the form of schema 2: the same contents in fewer files. Nothing is run or computed again.

Schema 1 had `results/<run>.json`, a folder `records/<key>/` for every cell (`record.json`, `predictions.npz` with an array a
member, perhaps `scores.parquet`), and such folders below `shared/`. This module alone reads it, and trusts it as little as
the checker trusts an entry: what was changed after packing is not converted.
"""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field

from ..benchmark import digest
from ..benchmark.contracts.task import Predictions
from ..benchmark.errors import InputError
from ..benchmark.files import write_text
from ..benchmark.results.rows import SCHEMA as RESULTS_SCHEMA
from ..benchmark.results.rows import Results
from ..benchmark.runs.record import SCHEMA as RECORD_SCHEMA
from ..benchmark.runs.record import Record
from ..benchmark.schema import Strict
from .arrays import (
    EXPANDED_BYTES,
    MAX_ARRAYS,
    SCORES_BYTES,
    archive_of,
    check_columns,
    checked_predictions,
    one_line,
    parse_array,
    read_group,
    unpacked,
)
from .cells import KEY, Cell, replaced
from .entry import (
    DIGESTS,
    REVIEWED,
    RUNS,
    SHARED,
    SUBMISSION,
    Sha256,
    board_name,
    entry_folders,
    load_entry,
    read_shared,
    run_name,
)
from .pack import seal, write_run, write_shared
from .untrusted import Refused, files_below, plain_file, read_model, read_text, read_toml, shown

MAX_FILES = 20_000
RECORD, PREDICTIONS, SCORES = "record.json", "predictions.npz", "scores.parquet"
_SCHEMA = re.compile(r"^schema\s*=\s*1\b", re.MULTILINE)


class Digests(Strict):
    """`digests.json` of schema 1."""

    schema_version: Literal[1] = Field(alias="schema")
    files: dict[str, Sha256]


@dataclass(frozen=True)
class Converted:
    """What became of an entry or of shared cells, in one line."""

    name: str
    words: str
    failed: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.words}"


def convert(root: Path) -> Iterator[Converted]:
    """Convert all entries and shared cells of a folder; one of schema 2 is left as it is. A review of an entry is carried
    over where it was of exactly these files."""
    yield from _convert_shared(root / SHARED)
    for folder in entry_folders(root):
        try:
            yield Converted(shown(folder.name), _convert_entry(folder, root / REVIEWED))
        except (Refused, InputError) as error:
            yield Converted(shown(folder.name), f"cannot be converted: {error}", failed=True)


# ---------------------------------------------------------------------------------------------------------------- entries


def _convert_entry(folder: Path, reviewed: Path) -> str:
    """Convert an entry and say so; Refused, and nothing is changed, where it is not as it was packed."""
    files = files_below(folder, MAX_FILES)
    sealed = [name for name in files if name.startswith(("results/", "records/"))]
    if SUBMISSION not in files:
        raise Refused(f"{SUBMISSION} is missing")
    if not sealed and read_toml(files[SUBMISSION]).get("schema") != 1:
        return "is of schema 2 already"
    if any(name.startswith(f"{RUNS}/") for name in files):
        raise Refused(f"it has files of both schemas; take {RUNS}/ or results/ and records/ away")
    _check_digests(files, sealed)
    before = digest.of_json([[name, digest.of_file(path)] for name, path in files.items()])
    reviews = read_toml(reviewed) if reviewed.is_file() else {}
    with replaced(folder) as draft:
        for name in files.keys() - {*sealed, DIGESTS}:
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(files[name], draft / name)
        text = _SCHEMA.sub("schema = 2", read_text(files[SUBMISSION]), count=1)
        (draft / SUBMISSION).write_text(text, encoding="utf-8")
        _write_runs(files, draft)
        if sealed:
            seal(draft)
        entry = load_entry(draft)
        words = (
            f"{len(files)} files, {_size(files):,} bytes, became {len(entry.files)} files, {_size(entry.files):,} bytes"
        )
        after = entry.digest
    return words + _carry_over(folder.name, before, after, reviews.get(folder.name), reviewed)


def _check_digests(files: Mapping[str, Path], sealed: Iterable[str]) -> None:
    """Refused where a sealed file is not the one that `digests.json` names."""
    said = read_model(files[DIGESTS], Digests, 1).files if DIGESTS in files else {}
    for name in sorted({*sealed, *said}):
        if name not in files or name not in said or digest.of_file(files[name]) != said[name]:
            raise Refused(f"{shown(name)} is not as it was packed (sha256 is not that of {DIGESTS})")


def _write_runs(files: Mapping[str, Path], draft: Path) -> None:
    there = {path.parent.name: path.parent for name, path in files.items() if name.startswith("records/")}
    for name, path in files.items():
        if name.startswith("results/"):
            results = read_model(path, Results, RESULTS_SCHEMA)
            folders = [there.pop(cell.key) for cell in results.cells if cell.key in there]
            write_run(draft / RUNS / run_name(results), results, map(read_cell, folders))
    if there:
        raise Refused(f"records/{shown(min(there))} belongs to no run of results/")


def _size(files: Mapping[str, Path]) -> int:
    return sum(path.stat().st_size for path in files.values())


def _carry_over(name: str, before: str, after: str, said: object, reviewed: Path) -> str:
    """Enter the new digest for the old one into the list of reviews, where it has `said` of the entry, and say so; nothing
    where there is no such review."""
    if not isinstance(said, dict) or said.get("digest") != before:
        return ""
    write_text(reviewed, read_text(reviewed).replace(before, after))
    return f"; its review in {REVIEWED} now names {after[:8]} for {before[:8]}"


# ----------------------------------------------------------------------------------------------------------- shared cells


def _convert_shared(folder: Path) -> Iterator[Converted]:
    boards: dict[str, list[Cell]] = defaultdict(list)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if KEY.fullmatch(path.name):
            try:
                cell = read_cell(path)
            except Refused as error:
                yield Converted(f"{SHARED}/{path.name}", f"cannot be converted: {error}", failed=True)
                continue
            said = cell.record.cell
            boards[board_name(said.task.name, said.data.name, said.preset)].append(cell)
    for name, cells in boards.items():
        try:
            home = read_shared(folder / name)
            kept = [home.cell(key) for key in home.records.keys() - {cell.record.key for cell in cells}]
            write_shared(home.folder, [*kept, *cells])
        except Refused as error:
            yield Converted(f"{SHARED}/{name}", f"cannot be converted: {error}", failed=True)
            continue
        for cell in cells:
            shutil.rmtree(folder / cell.record.key)
        yield Converted(f"{SHARED}/{name}", f"{len(cells)} cells that entries share")


# ------------------------------------------------------------------------------------------------------------------ cells


def read_cell(folder: Path) -> Cell:
    """A cell of schema 1, held against the name of its folder and the sha256 of its files."""
    files = files_below(folder)
    record = read_model(folder / RECORD, Record, RECORD_SCHEMA)
    if record.key != folder.name:
        raise Refused(f"{shown(folder.name)}: its record has the key {shown(record.key)}")
    found = {name: digest.of_file(path) for name, path in files.items() if name != RECORD}
    if found != record.files or PREDICTIONS not in found or not found.keys() <= {PREDICTIONS, SCORES}:
        raise Refused(f"{folder.name[:8]}: the files beside its record are not those that it names (sha256)")
    scores = _read_scores(folder / SCORES) if SCORES in found else None
    return Cell(record, _read_predictions(folder / PREDICTIONS), scores)


def _read_predictions(path: Path) -> Predictions:
    name = f"{path.parent.name[:8]}/{path.name}"
    arrays = {}
    with one_line(name), archive_of(path) as archive, path.open("rb") as handle:
        infos = archive.infolist()
        if len(infos) > MAX_ARRAYS or sum(info.file_size for info in infos) > EXPANDED_BYTES:
            raise Refused(f"{name}: at most {MAX_ARRAYS} arrays of {EXPANDED_BYTES >> 20} MiB in all are read")
        for info in infos:
            one = info.filename.removesuffix(".npy")
            arrays[one] = parse_array(unpacked(handle, info), f"{name}: {shown(info.filename)}")
        return checked_predictions(arrays, name)


def _read_scores(path: Path) -> pd.DataFrame:
    import pyarrow.parquet as pq

    name = f"{path.parent.name[:8]}/{path.name}"
    with one_line(name), pq.ParquetFile(plain_file(path, SCORES_BYTES)) as source:
        check_columns(source.schema_arrow, name)
        if source.num_row_groups != 1:
            raise Refused(f"{name}: expected one row group")
        return read_group(source, 0, name)
