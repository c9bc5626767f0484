"""The table of boxes beside a manifest, as the sets come: corners or centres, several readers, films without a box.

Columns have our names, are mapped by the user, or are known by their names (`image_id`, `class_name`, `x_min`, ...).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import InputError, unknown
from ..finding_lists import spellings
from ..findings import NO_FINDING
from ..parts import films_in_words
from ..reading.films import Square
from ..reading.names import one_spelling
from ..reading.tables import Table, is_blank, read_table
from .manifest_columns import column_key

_SLACK = 1.0  # a box may reach this many pixels over the edge (rounding); it is cut there
_NAMED = 5
_WORDS = {
    ours: text.split()
    for ours, text in {
        "id": "id imageid image imagename imagefile filename file path imagepath imageindex patientid dicomid",
        "finding": "finding findinglabel findings class classname label labelname category disease pathology",
        "x": "x xmin x0 x1 left xleft minx bboxx bboxxmin bboxx1",
        "y": "y ymin y0 y1 top ytop miny bboxy bboxymin bboxy1",
        "x_max": "xmax x2 x1 right xright maxx bboxxmax bboxx2",
        "y_max": "ymax y2 y1 bottom ybottom maxy bboxymax bboxy2",
        "x_center": "xcenter xcentre centerx centrex cx xc xmid",
        "y_center": "ycenter ycentre centery centrey cy yc ymid",
        "w": "w width boxwidth bboxwidth bboxw",
        "h": "h height boxheight bboxheight bboxh",
    }.items()
}
"""Our names of columns, and the words for each in small letters without blanks and underscores, the surest first."""
_FORMS = (("x", "y", "x_max", "y_max"), ("x_center", "y_center", "w", "h"), ("x", "y", "w", "h"))
"""Corners first: beside them a width is that of the film."""
_READERS = ("radid", "radiologist", "reader", "readerid", "rater", "raterid", "annotator", "annotatorid")


@dataclass(frozen=True)
class Box:
    """A line of the table of boxes, in pixels of the original film; x, y is the upper left corner."""

    line: int
    finding: str
    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True)
class Boxes:
    """Boxes by id. remarks: what was noticed, a line each."""

    of: Mapping[str, Sequence[Box]]
    remarks: tuple[str, ...]


def read_boxes(
    path: Path, ids: Sequence[str], mapping: Mapping[str, str] | None = None, left_out: frozenset[str] = frozenset()
) -> Boxes:
    """Boxes by id, in pixels of the original films; findings in one spelling, lines of "No finding" without a box.

    mapping: our names of columns to the table's. left_out: ids of films whose boxes are left out with them. InputError
    with the line for a film that is not there, and for what is no box.
    """
    table = read_table(path)
    columns, remarks = _columns(table, ids, mapping or {})
    film_of = _finder(ids, left_out)
    words, said = spellings(table.column(columns["finding"]))
    remarks += said
    boxes: dict[str, list[Box]] = {}
    healthy: list[str] = []
    for row, values in enumerate(table.rows):
        where = f"manifest: line {table.lines[row]} of {path}"
        film = film_of(values[columns["id"]])
        if film is None:
            raise InputError(f"{where}: id '{values[columns['id']]}' is no film of the manifest")
        finding = words[values[columns["finding"]]]
        if film in left_out:
            continue
        if finding == NO_FINDING:
            healthy.append(film)
        else:
            boxes.setdefault(film, []).append(_box(table, row, columns, finding, where))
    remarks += _of_readers(table, columns["id"], boxes, healthy)
    _check_pixels(path, boxes)
    return Boxes(boxes, tuple(f"{path.name}: {text}" for text in remarks))


def _columns(table: Table, ids: Sequence[str], mapping: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Our names of the columns that there are to the table's, and what those that are not ours were taken for."""
    for ours, theirs in mapping.items():
        if ours not in (*_WORDS, "x_min", "y_min"):
            raise unknown("column of boxes", ours, [*_WORDS, "x_min", "y_min"], "for --box-columns")
        if theirs not in table.header:
            raise unknown("column", theirs, table.header, f"given for {ours} of the boxes")
    columns = {ours.replace("_min", ""): theirs for ours, theirs in mapping.items()}
    given = set(columns.values())
    for ours, words in _WORDS.items():
        if ours not in columns:
            found = [name for word in words for name in table.header if column_key(name) == word and name not in given]
            if ours == "id":
                found.sort(key=lambda name: _finder(ids, frozenset())(table.rows[0][name]) is None)
            if found:
                columns[ours] = ours if ours in found else found[0]
    if "x_max" in columns and columns.get("x") == columns["x_max"]:  # x1 alone, or the upper one of x0 and x1
        del columns["x_max"], columns["y_max"]
    asked = {ours.replace("_min", "") for ours in mapping} - {"id", "finding"}
    form = next((form for form in _FORMS if columns.keys() >= set(form) >= asked), None)
    if form is None or not {"id", "finding"} <= columns.keys():
        raise InputError(
            f"manifest: {table.path} needs the columns id,finding,x,y,w,h, or x_min,y_min,x_max,y_max, or "
            f"x_center,y_center,w,h (--box-columns id=NAME,...); it has {', '.join(table.header)}"
        )
    chosen = {ours: columns[ours] for ours in ("id", "finding", *form)}
    guessed = [f"{theirs} for {ours}" for ours, theirs in chosen.items() if ours != theirs and theirs not in given]
    return chosen, [f"columns taken: {', '.join(guessed)}"] if guessed else []


def _finder(ids: Sequence[str], left_out: frozenset[str]) -> Callable[[str], str | None]:
    """From what a table of boxes calls a film to its id: the id itself, a file's name or path, a number as 12.0."""
    known = {one_spelling(one): one for one in (*ids, *left_out)}

    def find(text: str) -> str | None:
        text = one_spelling(text)
        name = text.replace("\\", "/").rpartition("/")[2]
        for one in (text, name, name.rpartition(".")[0], text.removesuffix(".0")):
            if one in known:
                return known[one]
        return None

    return find


def _box(table: Table, row: int, columns: Mapping[str, str], finding: str, where: str) -> Box:
    names = list(columns)[2:]
    try:
        a, b, c, d = (table.number(table.rows[row][columns[name]]) for name in names)
    except ValueError:
        raise InputError(f"{where}: {', '.join(columns[name] for name in names)} must be numbers") from None
    if "x_max" in columns:
        x, y, w, h = a, b, c - a, d - b
    elif "x_center" in columns:
        x, y, w, h = a - c / 2, b - d / 2, c, d
    else:
        x, y, w, h = a, b, c, d
    if not np.isfinite([x, y, w, h]).all() or w <= 0 or h <= 0 or is_blank(finding):
        raise InputError(f"{where}: expected a finding and a box with w, h above 0")
    return Box(table.lines[row], finding, x, y, w, h)


def _of_readers(table: Table, ids: str, boxes: Mapping[str, Sequence[Box]], healthy: Sequence[str]) -> list[str]:
    """What is to be said of several readers, and of lines that say that there is nothing."""
    remarks = []
    column = next((name for name in table.header if column_key(name) in _READERS), None)
    if column is not None:
        pairs = Counter(film for film, _ in {(row[ids], row[column]) for row in table.rows})
        several = sum(count > 1 for count in pairs.values())
        if several:
            remarks.append(
                f"{films_in_words(several)} read by several (column {column}): all boxes kept, so that one lesion may "
                "have several"
            )
    if healthy:
        remarks.append(f"{films_in_words(len(set(healthy)))} with lines of '{NO_FINDING}': no box")
    both = set(healthy) & set(boxes)
    if both:
        remarks.append(f"{films_in_words(len(both))} with boxes and a line of '{NO_FINDING}': the boxes kept")
    return remarks


def _check_pixels(path: Path, boxes: Mapping[str, Sequence[Box]]) -> None:
    every = [box for some in boxes.values() for box in some]
    if every and all(max(box.x + box.w, box.y + box.h) <= 1 for box in every):
        raise InputError(f"manifest: {path}: all boxes lie between 0 and 1: shares of a film; expected pixels of it")


def box_findings(boxes: Boxes, findings: tuple[str, ...], cases: pd.DataFrame) -> tuple[str, ...]:
    """The findings of the set; where the manifest names none, those of the boxes (a film without a box has none)."""
    ids = set(cases["id"])  # films may have been left out by what their files say
    names = sorted({box.finding for one, some in boxes.of.items() if one in ids for box in some})
    if findings:
        for name in names:
            if name not in findings:
                raise unknown("finding", name, findings, "in the table of boxes")
        return findings
    for name in names:
        with_box = {one for one, some in boxes.of.items() if any(box.finding == name for box in some)}
        cases[name] = [int(one in with_box) for one in cases["id"]]
    return tuple(names)


def boxes_said(table: pd.DataFrame, cases: pd.DataFrame, turned: Collection[str] = ()) -> tuple[str, ...]:
    """What to say of boxes of findings that a film does not have by its labels, and of boxes on films that were `turned`
    upright (their ids). table: `id`, `finding`; cases: `id` and a column a finding."""
    lines = []
    for name in sorted(set(table["finding"]) & set(cases.columns)):
        without = set(cases["id"][cases[name] == 0])
        wrong = list(dict.fromkeys(one for one in table["id"][table["finding"] == name] if one in without))
        if wrong:
            lines.append(
                f"{films_in_words(len(wrong))} with a box of {name} and without it by the labels: {_first(wrong)}"
            )
    on = [one for one in dict.fromkeys(table["id"]) if one in set(turned)]
    if on:
        lines.append(
            f"{films_in_words(len(on))} with boxes turned upright as EXIF says: boxes taken in pixels of the upright film "
            f"({_first(on)})"
        )
    return tuple(lines)


def _first(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_NAMED]) + (", ..." if len(ids) > _NAMED else "")


def fitted_boxes(boxes: Boxes, squares: Mapping[str, Square]) -> pd.DataFrame:
    """The table of boxes in pixels of the dataset; a box that leaves its film is an error."""
    rows = []
    for name, square in squares.items():
        for box in boxes.of.get(name, ()):
            inside = square.clipped(box.x, box.y, box.w, box.h, _SLACK)
            if inside is None:
                raise InputError(
                    f"manifest: box outside the image: line {box.line}: {box.finding} of {name} at "
                    f"x {box.x:g} to {box.x + box.w:g}, y {box.y:g} to {box.y + box.h:g}; the film is "
                    f"{square.width} x {square.height} pixels"
                )
            fitted = square.box(*inside)
            rows.append((name, box.finding, *fitted))
    return pd.DataFrame(rows, columns=["id", "finding", "x", "y", "w", "h"])
