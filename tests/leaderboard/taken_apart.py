"""A packed entry taken apart and put together again: what somebody does who knows the format."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxrbench.leaderboard.arrays import ScoresWriter
from cxrbench.leaderboard.cells import PREDICTIONS, RECORDS, SCORES

Arrays = dict[str, bytes]
"""The .npy files of a cell by the names of its arrays."""


def run_folder(entry: Path) -> Path:
    """The folder of an entry's first run."""
    return min((entry / "runs").iterdir())


def records(folder: Path) -> list[dict[str, Any]]:
    """The records of a folder of cells."""
    return [json.loads(line) for line in (folder / RECORDS).read_text(encoding="utf-8").splitlines()]


def write_records(folder: Path, found: list[dict[str, Any]]) -> None:
    """Write records, whatever they are."""
    (folder / RECORDS).write_text(
        "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in found), encoding="utf-8"
    )


def arm_of(record: Any) -> str:
    """The arm of a record by its name in tables."""
    cell = record["cell"]
    return f"{'placebo_' if cell['placebo'] else ''}{cell['arm']}"


def first(folder: Path, arm: str = "synthetic", number: int = 0) -> int:
    """The line of a cell of an arm (by its name in tables)."""
    return [row for row, record in enumerate(records(folder)) if arm_of(record) == arm][number]


def change_record(folder: Path, change: Callable[[Any], None], arm: str = "synthetic") -> None:
    """Change the record of the first cell of an arm."""
    found = records(folder)
    change(found[first(folder, arm)])
    write_records(folder, found)


def npy(array: np.ndarray, **options: Any) -> bytes:
    """An array as a .npy file."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), **options)
    return buffer.getvalue()


def members(folder: Path) -> dict[str, bytes]:
    """The members of `predictions.npz` by name."""
    with zipfile.ZipFile(folder / PREDICTIONS) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(folder: Path, content: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
    """Write `predictions.npz` with members of any name."""
    with zipfile.ZipFile(folder / PREDICTIONS, "w", method) as archive:
        for name, raw in content.items():
            archive.writestr(name, raw)


def arrays(folder: Path) -> list[Arrays]:
    """The arrays of every cell, in the order of the records."""
    there = members(folder)
    return [
        {name.partition("/")[2]: there[f"{digest}.npy"] for name, digest in record["files"].items() if name != SCORES}
        for record in records(folder)
    ]


def write_arrays(folder: Path, found: list[Arrays], method: int = zipfile.ZIP_DEFLATED) -> None:
    """Write the arrays of every cell and name them in the records."""
    whole = records(folder)
    for record, mine in zip(whole, found, strict=True):
        kept = {SCORES: record["files"][SCORES]} if SCORES in record["files"] else {}
        record["files"] = {f"{PREDICTIONS}/{name}": sha256(raw).hexdigest() for name, raw in mine.items()} | kept
    write_members(folder, {f"{sha256(raw).hexdigest()}.npy": raw for mine in found for raw in mine.values()}, method)
    write_records(folder, whole)


def change_arrays(folder: Path, change: Callable[[dict[str, Any]], None], arm: str = "synthetic") -> None:
    """Change the arrays of the first cell of an arm."""
    found = arrays(folder)
    row = first(folder, arm)
    mine = {name: np.load(io.BytesIO(raw), allow_pickle=False) for name, raw in found[row].items()}
    change(mine)
    found[row] = {name: npy(array) for name, array in mine.items()}
    write_arrays(folder, found)


def scores(folder: Path) -> dict[str, pd.DataFrame]:
    """The case scores of every cell by key."""
    frame = pd.read_parquet(folder / SCORES)
    return {str(key): part.drop(columns="key") for key, part in frame.groupby("key", sort=False)}


def write_scores(folder: Path, found: Mapping[str, pd.DataFrame]) -> None:
    """Write case scores and name them in the records that they are of."""
    with ScoresWriter(folder / SCORES) as writer:
        digests = {key: writer.add(key, frame) for key, frame in found.items()}
    whole = records(folder)
    for record in whole:
        if record["key"] in digests:
            record["files"][SCORES] = digests[record["key"]]
    write_records(folder, whole)


def change_scores(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame], arm: str = "synthetic") -> None:
    """Change the case scores of the first cell of an arm."""
    found, key = scores(folder), records(folder)[first(folder, arm)]["key"]
    write_scores(folder, found | {key: change(found[key])})


def without_scores(folder: Path) -> None:
    """Take the case scores away, as in an entry on films that anyone can draw."""
    (folder / SCORES).unlink()
    whole = records(folder)
    for record in whole:
        del record["files"][SCORES]
    write_records(folder, whole)


def as_schema_1(entry: Path) -> None:
    """Write an entry, and what lies in `shared` beside it, in the form of schema 1: a folder a cell."""
    for folder in (entry / "runs").iterdir():
        _apart(folder, entry / "records")
        (entry / "results").mkdir(exist_ok=True)
        (folder / "results.json").rename(entry / "results" / f"{folder.name}.json")
        _remove(folder)
    (entry / "runs").rmdir()
    for folder in [path for path in (entry.parent / "shared").glob("*") if (path / RECORDS).is_file()]:
        _apart(folder, entry.parent / "shared")
        _remove(folder)
    text = (entry / "submission.toml").read_text(encoding="utf-8")
    (entry / "submission.toml").write_text(text.replace("schema = 2", "schema = 1"), encoding="utf-8")
    seal_as_schema_1(entry)


def seal_as_schema_1(entry: Path) -> None:
    """Write `digests.json` of an entry of schema 1."""
    sealed = [path for part in ("results", "records") for path in sorted((entry / part).rglob("*")) if path.is_file()]
    files = {path.relative_to(entry).as_posix(): sha256(path.read_bytes()).hexdigest() for path in sealed}
    (entry / "digests.json").write_text(json.dumps({"schema": 1, "files": files}, indent=1), encoding="utf-8")


def _apart(folder: Path, target: Path) -> None:
    said = scores(folder) if (folder / SCORES).is_file() else {}
    for record, mine in zip(records(folder), arrays(folder), strict=True):
        cell = target / record["key"]
        cell.mkdir(parents=True)
        with zipfile.ZipFile(cell / "predictions.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, raw in mine.items():
                archive.writestr(f"{name}.npy", raw)
        if record["key"] in said:
            said[record["key"]].to_parquet(cell / "scores.parquet", index=False)
        record["files"] = {path.name: sha256(path.read_bytes()).hexdigest() for path in sorted(cell.iterdir())}
        (cell / "record.json").write_text(json.dumps(record, separators=(",", ":")) + "\n", encoding="utf-8")


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
