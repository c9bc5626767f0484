"""The cells of a run as an entry keeps them, in one folder:

    records.jsonl      a `Record` a line
    predictions.npz    what their models said about the test films: all their arrays (`arrays.ArrayWriter`)
    scores.parquet     their case scores, a row group a cell; absent where anyone can draw the films

`files` of such a record names what is there of its cell: `predictions.npz/<array>` with the sha256 of the array as a .npy
file (version 1.0), which is what its member is called, and `scores.parquet` with the sha256 of its rows
(`arrays.digest_of_scores`). Any cell is read without the others.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..benchmark.contracts.task import Predictions
from ..benchmark.errors import InputError
from ..benchmark.runs.record import SCHEMA, Record
from .arrays import (
    ALL_BYTES,
    ArrayWriter,
    ScoresWriter,
    array_digests,
    digest_of_scores,
    read_predictions,
    read_scores,
    score_keys,
)
from .untrusted import Refused, read_models, shown

RECORDS, PREDICTIONS, SCORES = "records.jsonl", "predictions.npz", "scores.parquet"
CELL_FILES = (RECORDS, PREDICTIONS, SCORES)
KEY = re.compile(r"[0-9a-f]{64}")


class Cell(NamedTuple):
    """One cell with all that is kept of it; `scores` None where they follow from films that anyone can draw."""

    record: Record
    predictions: Predictions
    scores: pd.DataFrame | None


@dataclass(frozen=True)
class Cells:
    """The cells of a folder: their records by key, in the order of the file. The rest is read when it is asked for."""

    folder: Path
    records: Mapping[str, Record] = field(default_factory=dict)

    def predictions(self, key: str) -> Predictions:
        """What a cell's model said; Refused where it is not what the record names."""
        return read_predictions(self.folder / PREDICTIONS, named_arrays(self.records[key]))

    def has_scores(self, key: str) -> bool:
        """Whether the case scores of a cell are kept."""
        return SCORES in self.records[key].files

    def scores(self, key: str) -> pd.DataFrame:
        """The case scores of a cell; Refused where they are not what the record names."""
        if not self.has_scores(key):
            raise Refused(f"{SCORES} is missing: the record {key[:8]} names no case scores")
        found = read_scores(self.folder / SCORES, key)
        if digest_of_scores(found) != self.records[key].files[SCORES]:
            raise Refused(f"{SCORES} does not hold the scores that its record names (sha256)")
        return found

    def cell(self, key: str) -> Cell:
        """All of a cell."""
        return Cell(self.records[key], self.predictions(key), self.scores(key) if self.has_scores(key) else None)

    def unpacked(self, keys: Iterable[str]) -> int:
        """The bytes of the predictions of some cells, each array as often as a cell names it, as the archive says: nothing
        is unpacked. Refused where the archive cannot be read."""
        there = array_digests(self.folder / PREDICTIONS)
        return sum(there.get(sha256, 0) for key in keys for sha256 in named_arrays(self.records[key]).values())

    def strangers(self) -> Iterator[str]:
        """A sentence for what the files hold and no record names. No cell is read; Refused where a file cannot be."""
        named = [sha256 for record in self.records.values() for sha256 in named_arrays(record).values()]
        there = array_digests(self.folder / PREDICTIONS)
        if more := there.keys() - set(named):
            yield f"{PREDICTIONS} holds {len(more)} arrays that no record names"
        if self.unpacked(self.records) > ALL_BYTES:
            yield f"{PREDICTIONS}: at most {ALL_BYTES >> 20:,} MiB are read of all its cells when they are unpacked"
        scored, path = sorted(key for key in self.records if self.has_scores(key)), self.folder / SCORES
        if (scored or path.exists()) and sorted(score_keys(path)) != scored:
            yield f"{SCORES} does not hold the case scores of those cells that name them, each once"


def named_arrays(record: Record) -> dict[str, str]:
    """The sha256 of a cell's arrays by name, as its record has them; Refused where `files` names anything else."""
    found = {}
    for name, sha256 in record.files.items():
        file, _, array = name.partition("/")
        if not KEY.fullmatch(sha256) or (name != SCORES and not (file == PREDICTIONS and array)):
            expected = f"{PREDICTIONS}/ARRAY and {SCORES}, each with a sha256"
            raise Refused(f"the record {record.key[:8]} names {shown(name)}; expected {expected}")
        if name != SCORES:
            found[array] = sha256
    return found


def read_cells(folder: Path) -> Cells:
    """The cells of a folder, none where it has no records. Refused for records that are not as they should be."""
    path = folder / RECORDS
    if not (path.exists() or path.is_symlink()):
        return Cells(folder)
    found = read_models(path, Record, SCHEMA)
    records = {record.key: record for record in found}
    if odd := [key for key in records if not KEY.fullmatch(key)]:
        raise Refused(f"{folder.name}/{RECORDS}: {shown(odd[0])} is no key of a cell")
    if len(records) < len(found):
        raise Refused(f"{folder.name}/{RECORDS}: a cell is there twice")
    for record in found:
        named_arrays(record)
    return Cells(folder, records)


def write_cells(folder: Path, cells: Iterable[Cell]) -> None:
    """Write cells in their order into a folder that has none; no file for no cells. The same cells make the same bytes."""
    lines = []
    with ArrayWriter(folder / PREDICTIONS) as arrays, ScoresWriter(folder / SCORES) as scores:
        for record, said, scored in cells:
            files = {f"{PREDICTIONS}/{name}": sha256 for name, sha256 in arrays.add(said).items()}
            if scored is not None:
                files[SCORES] = scores.add(record.key, scored)
            lines.append(record.model_copy(update={"files": files}).model_dump_json(by_alias=True) + "\n")
    if lines:
        (folder / RECORDS).write_text("".join(lines), encoding="utf-8")
    else:
        (folder / PREDICTIONS).unlink()


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A draft folder of the same name that takes the place of `folder`, whether that is there or not, when the block ends
    without an error. A disk that cannot be written is an InputError."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name[:32]}.", dir=folder.parent) as scratch:
            draft = Path(scratch) / folder.name
            draft.mkdir()
            yield draft
            before = Path(scratch) / ".before"
            try:
                if folder.exists():
                    folder.rename(before)
                draft.rename(folder)
            finally:  # also where it is interrupted between the two: one of them stays
                if before.exists() and not folder.exists():
                    before.rename(folder)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error
