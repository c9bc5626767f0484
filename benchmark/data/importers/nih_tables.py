"""The tables of NIH ChestX-ray14 (Wang et al., CVPR 2017): labels, official lists and boxes, checked line by line.

Labels are there as published in 2017 (ages such as `058Y`, an empty last column) and as revised in 2020 (plain
ages). The header of the box list has fewer names than columns, and one class goes by another name there.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import InputError
from .. import splits
from ..findings import BOXED, FINDINGS, NO_FINDING

LABELS = tuple(f"Data_Entry_2017{version}.csv{packed}" for version in ("_v2020", "") for packed in ("", ".gz"))
"""Names of the table of labels, the preferred one first."""
TRAIN_LIST, TEST_LIST, BOX_LIST = "train_val_list.txt", "test_list.txt", "BBox_List_2017.csv"
BOX_SIDE = 1024
"""Boxes are in pixels of films of this side."""
WHERE = "get it from the NIH Clinical Center, https://nihcc.app.box.com/v/ChestXray-NIHCC"

_FILM = re.compile(r"(\d{8}_\d{3})\.png")
_AGE = re.compile(r"(\d{1,4})([YMD]?)")
_UNITS = {"": 1, "Y": 1, "M": 12, "D": 365}  # units of an age in a year
_COLUMNS = {
    "film": ("image index",),
    "labels": ("finding labels",),
    "followup": ("follow-up #",),
    "patient": ("patient id",),
    "age": ("patient age",),
    "sex": ("patient gender", "patient sex"),
    "view": ("view position",),
}
_OTHER_NAMES = {"Infiltrate": "Infiltration"}
_SLACK = 1.0  # a box may reach this many pixels over the edge (rounding); it is cut there


@dataclass(frozen=True)
class Tables:
    """cases: one row for each film of the whole set, in the order of the ids, with the columns of a Dataset.
    boxes: in pixels of the official films (1024), or None where there is no box list. labels: the file they
    are from.
    """

    cases: pd.DataFrame
    boxes: pd.DataFrame | None
    labels: str


def read_tables(source: Path, official: splits.OfficialLists = splits.NIH_LISTS) -> Tables:
    """The tables in the folder of a download, held against the official counts and digests.

    InputError, one line that names file, line and id, for whatever is missing or not as published.
    """
    path = next((source / name for name in LABELS if (source / name).is_file()), None)
    if path is None:
        raise InputError(f"nih: no {LABELS[0]} or {LABELS[2]} (or .gz) in {source}; {WHERE}")
    lines = {name: _lines(source / name) for name in (TRAIN_LIST, TEST_LIST) if (source / name).is_file()}
    for name, found in lines.items():
        splits.check_not_random(name, len(found))
    for name in (TRAIN_LIST, TEST_LIST):
        if name not in lines:
            raise InputError(f"nih: no {name} in {source}; {WHERE}")
    cases = _read_labels(path, official)
    known = set(cases["id"])
    train, test = (_list_ids(name, lines[name], known, path.name) for name in (TRAIN_LIST, TEST_LIST))
    splits.check_nih_lists(train, test, official, (TRAIN_LIST, TEST_LIST))
    cases.insert(2, "split", np.where(cases["id"].isin(set(test)), "test", "train"))
    box_list = source / BOX_LIST
    boxes = _read_boxes(box_list, known, official.boxes) if box_list.is_file() else None
    return Tables(cases, boxes, path.name.removesuffix(".gz").removesuffix(".csv"))


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except (UnicodeDecodeError, EOFError, zlib.error, OSError) as error:
        raise InputError(f"nih: {path} cannot be read ({error}): damaged download?") from None


def _lines(path: Path) -> list[tuple[int, str]]:
    """Line numbers and lines that are not blank."""
    numbered = enumerate(_text(path).splitlines(), start=1)
    return [(number, line.strip()) for number, line in numbered if line.strip()]


def _rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Where a row is ("line 2 of file.csv") and its fields; rows without any text are left out."""
    reader = csv.reader(_text(path).splitlines(), strict=True)
    try:
        for row in reader:
            if any(field.strip() for field in row):
                yield f"nih: line {reader.line_num} of {path.name}", [field.strip() for field in row]
    except csv.Error as error:
        raise InputError(f"nih: line {reader.line_num} of {path.name} is not csv ({error})") from None


def _film(where: str, text: str) -> str:
    match = _FILM.fullmatch(text)
    if match is None:
        raise InputError(f"{where}: expected the name of a film such as 00000001_000.png, found '{text}'")
    return match.group(1)


def _list_ids(name: str, lines: Sequence[tuple[int, str]], known: set[str], labels: str) -> list[str]:
    """The ids of a list; every one known and there once."""
    ids: dict[str, int] = {}
    for number, line in lines:
        where = f"nih: line {number} of {name}"
        film = _film(where, line)
        if film in ids:
            raise InputError(f"{where} repeats {film} of line {ids[film]}")
        if film not in known:
            raise InputError(f"{where}: unknown id {film}: {labels} has no such film")
        ids[film] = number
    return list(ids)


def _read_labels(path: Path, official: splits.OfficialLists) -> pd.DataFrame:
    rows = _rows(path)
    header = [name.lower() for name in next(rows, ("", []))[1]]
    columns = {}
    for ours, names in _COLUMNS.items():
        column = next((header.index(name) for name in names if name in header), None)
        if column is None:
            raise InputError(f"nih: {path.name} has no column '{names[0]}'; expected the header of the NIH download")
        columns[ours] = column
    cases: dict[str, dict[str, object]] = {}
    lines: dict[str, str] = {}
    for where, row in rows:
        if len(row) <= max(columns.values()):
            raise InputError(f"{where} has {len(row)} fields, expected {len(header)}")
        case = _case(where, {ours: row[column] for ours, column in columns.items()})
        name = str(case["id"])
        if name in cases:
            raise InputError(f"{where}: duplicate row: {name} is on {lines[name].partition(' of ')[0][5:]} already")
        cases[name], lines[name] = case, where
    if len(cases) != official.films:
        raise InputError(
            f"nih: {path.name} has {len(cases):,} films, expected {official.films:,}; the whole table is needed, "
            "also for a part of the films"
        )
    if splits.ids_digest(list(cases)) != official.films_digest:
        raise InputError(f"nih: {path.name} has {len(cases):,} films, but not the official ones (sha256 differs)")
    table = pd.DataFrame([cases[name] for name in sorted(cases)])
    return table.astype(dict.fromkeys(FINDINGS, np.uint8))


def _case(where: str, row: Mapping[str, str]) -> dict[str, object]:
    """One film as a row of `cases`, but for its split."""
    name = _film(where, row["film"])
    patient = splits.nih_patient(name)
    if not row["patient"].isdecimal() or int(row["patient"]) != int(patient):
        raise InputError(f"{where}: {name} cannot be of patient '{row['patient']}': its name says {int(patient)}")
    age = _AGE.fullmatch(row["age"])
    if age is None:
        raise InputError(f"{where}: {name}: expected an age such as 58 or 058Y, found '{row['age']}'")
    if not row["followup"].isdecimal():
        raise InputError(f"{where}: {name}: expected a follow-up number, found '{row['followup']}'")
    for what, allowed in (("view", ("PA", "AP")), ("sex", ("M", "F"))):
        if row[what] not in allowed:
            raise InputError(f"{where}: {name}: expected {what} {' or '.join(allowed)}, found '{row[what]}'")
    present = _present(f"{where}: {name}", row["labels"])
    return {
        "id": name,
        "patient": patient,
        "view": row["view"],
        "age": int(age.group(1)) // _UNITS[age.group(2)],
        "sex": row["sex"],
        "followup": int(row["followup"]),
        **{finding: int(finding in present) for finding in FINDINGS},
    }


def _present(where: str, text: str) -> set[str]:
    """The findings of a film: names with | between, or "No Finding" alone."""
    names = text.split("|")
    for name in names:
        if name not in FINDINGS and name != NO_FINDING:
            raise InputError(f"{where}: label '{name}' is none of the 14 findings or '{NO_FINDING}'")
    if NO_FINDING in names and len(names) > 1:
        raise InputError(f"{where}: '{NO_FINDING}' beside other findings: '{text}'")
    return set(names)


def _read_boxes(path: Path, known: set[str], expected: int) -> pd.DataFrame:
    """The boxes `id, finding, x, y, w, h`: the first six fields of a row, whatever the header calls them."""
    rows = _rows(path)
    header = next(rows, ("", []))[1]
    if [name.lower() for name in header[:2]] != ["image index", "finding label"]:
        raise InputError(f"nih: {path.name} does not begin with the header of the NIH download")
    boxes: list[tuple[str, str, float, float, float, float]] = []
    pairs: set[tuple[str, str]] = set()
    for where, row in rows:
        if len(row) < 6:
            raise InputError(f"{where} has {len(row)} fields, expected film, finding, x, y, w, h")
        name, finding = _film(where, row[0]), _OTHER_NAMES.get(row[1], row[1])
        if name not in known:
            raise InputError(f"{where}: unknown id {name}: the table of labels has no such film")
        if finding not in BOXED:
            raise InputError(f"{where}: {name}: '{row[1]}' is none of the 8 findings with boxes")
        if (name, finding) in pairs:
            raise InputError(f"{where}: duplicate row: a second box of {finding} in {name}")
        pairs.add((name, finding))
        boxes.append((name, finding, *_corners(f"{where}: {name}", row[2:6])))
    if len(boxes) != expected:
        raise InputError(f"nih: {path.name} has {len(boxes):,} boxes, expected {expected:,}: not the official list")
    table = pd.DataFrame(boxes, columns=["id", "finding", "x", "y", "w", "h"])
    return table.sort_values(["id", "finding"], ignore_index=True)


def _corners(where: str, fields: Sequence[str]) -> tuple[float, float, float, float]:
    """x, y, w, h of a box, cut at the edges of the film."""
    try:
        x, y, w, h = (float(field) for field in fields)
    except ValueError:
        raise InputError(f"{where}: x, y, w, h must be numbers, found {', '.join(fields)}") from None
    inside = min(x, y) >= -_SLACK and max(x + w, y + h) <= BOX_SIDE + _SLACK
    if not (np.isfinite([x, y, w, h]).all() and min(w, h) > 0 and inside):
        raise InputError(f"{where}: box {', '.join(fields)} is not inside {BOX_SIDE} x {BOX_SIDE} pixels")
    left, top = max(x, 0.0), max(y, 0.0)
    return left, top, min(x + w, BOX_SIDE) - left, min(y + h, BOX_SIDE) - top
