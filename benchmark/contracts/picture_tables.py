"""The tables beside a folder of films: labels in the forms that programs write, and boxes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..data.finding_lists import check_no_finding, split_lists
from ..data.findings import NO_FINDING
from ..data.importers.manifest_boxes import fitted_boxes, read_boxes
from ..data.importers.manifest_columns import FINDING, column_key
from ..data.reading.films import FILM_SUFFIXES, Square
from ..data.reading.names import one_spelling
from ..data.reading.tables import Table, is_blank, read_table
from ..errors import InputError, ProviderError
from .picture_folders import IMAGES
from .picture_sources import Pictures, finding_of

BOXES = "boxes"
_CALLED = ("labels", "metadata", BOXES)
_TABLES = (".csv", ".tsv", ".xlsx", ".parquet", ".jsonl")
_PERHAPS = (".txt", ".json")  # tables where they are called so, and can be read as one
_FILM_COLUMNS = (
    *("id", "file", "filename", "imgsavename", "syntheticfilename", "path", "imagepath", "image", "img", "imageindex"),
    *("imageid", "imagename", "imagefile", "imagefilename", "filepath", "film", "filmpath", "imgpath"),
)
"""What programs call the film, in small letters without blanks and underscores: 🤗 ImageFolder `file_name`, CheXGenBench
`img_savename` and `synthetic_filename`, NIH `Image Index`."""
_LISTS = ("findings", "finding", "labels", "label", "class", "findinglabels", "findinglabel")
_DICTIONARY = "chexpert_labels"
_FLAGS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}


def find_table(folder: Path) -> Path | None:
    """The table of labels of a folder: labels.csv, metadata.csv, or the one table that there is besides boxes, beside the
    films or above them. ProviderError where there are several."""
    tables = [path for path in _tables(folder) if path.stem.lower() != BOXES]
    for name in ("labels", "metadata"):
        named = [path for path in tables if path.stem.lower() == name]
        if named:
            tables = named
            break
    else:
        tables = [path for path in tables if path.suffix.lower() != ".parquet"]  # it may hold the films
    if len(tables) > 1:
        names = ", ".join(path.relative_to(folder).as_posix() for path in tables)
        raise ProviderError(f"{folder}: which of {names} has the labels? Call it labels.csv, and move the others away")
    return tables[0] if tables else None


def find_boxes(folder: Path) -> Path | None:
    """The table of boxes: boxes.csv, or another table of that name. ProviderError where there are several."""
    tables = [path for path in _tables(folder) if path.stem.lower() == BOXES]
    if len(tables) > 1:
        names = ", ".join(path.relative_to(folder).as_posix() for path in tables)
        raise ProviderError(f"{folder}: which of {names} has the boxes? Expected one table")
    return tables[0] if tables else None


def _tables(folder: Path) -> list[Path]:
    """The tables of a folder, and those beside the films in images/ that are called as ours are."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    for room in (folder / name for name in IMAGES if (folder / name).is_dir()):
        files += [path for path in sorted(room.iterdir()) if path.stem.lower() in _CALLED and path.is_file()]
    return [path for path in files if path.suffix.lower() in _TABLES or _is_table(path)]


def _is_table(path: Path) -> bool:
    """Whether a text file called labels, metadata or boxes is a table with a column for the film."""
    if path.suffix.lower() not in _PERHAPS or path.stem.lower() not in _CALLED:
        return False
    try:
        return len(table := read_table(path).header) > 1 and bool(_columns_of(table, _FILM_COLUMNS))
    except InputError:
        return False


def _columns_of(header: Sequence[str], words: Sequence[str]) -> list[str]:
    """The columns that have one of some names, whatever their case, blanks and underscores, in the order of the names."""
    return [name for word in words for name in header if column_key(name) == word]


def read_labels(file: Path, pictures: Pictures, findings: tuple[str, ...]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """A table's labels as uint8 (N, F), exactly one line a film, and what was noticed. None where it has no column of
    labels. ProviderError for a finding that is unknown for a film: unknown is not absent."""
    table = _table(file)
    column = _film_column(table, pictures)
    lists = next(iter(_columns_of(table.header, _LISTS)), None)
    named = {name: finding_of(name.removeprefix(FINDING), findings) for name in table.header if name != lists}
    flags = {finding: name for name, finding in named.items() if finding}
    for name, finding in named.items():
        if finding and flags[finding] != name:
            raise ProviderError(f"{file}: the columns {name} and {flags[finding]} are both of {finding}; expected one")
    remarks: list[str] = list(table.remarks)
    if lists is None and not flags and _DICTIONARY not in table.header:
        return None, (f"{file.name} has no labels (its columns: {', '.join(table.header)})",)
    if lists is not None:
        values, said = _of_lists(table, lists, findings, file)
        remarks += [f"{file.name}: {text}" for text in said]
        if flags:
            remarks.append(f"{file.name}: labels of the column '{lists}', not of {', '.join(flags.values())}")
            _check_agree(values, table, flags, findings, lists)
    elif flags:
        values = _of_flags(table, flags, findings, file)
    else:
        values = _of_dictionaries(table, findings, file)
        remarks.append(f"{file.name}: labels of the column '{_DICTIONARY}'")
    return values[_rows_of_films(table, column, pictures, file)], tuple(remarks)


def read_films_boxes(file: Path, pictures: Pictures, squares: Sequence[Square]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """A table of boxes in pixels of the original films, as boxes of the fitted ones, and what was noticed; a film without a
    line has none."""
    names = {
        **{key: one for key, one in zip(pictures.keys, pictures.ids, strict=True)},
        **{one: one for one in pictures.ids},
    }
    try:
        boxes = read_boxes(file, list(names))
        of = {names[key]: some for key, some in boxes.of.items()}
        return fitted_boxes(
            type(boxes)(of, boxes.remarks), dict(zip(pictures.ids, squares, strict=True))
        ), boxes.remarks
    except InputError as error:
        raise ProviderError(str(error).removeprefix("manifest: ").replace("of the manifest", "of the folder")) from None


def _table(file: Path) -> Table:
    try:
        return read_table(file)
    except InputError as error:
        raise ProviderError(str(error)) from None


def _finder(pictures: Pictures) -> Callable[[str], int | None]:
    """From what a table calls a film to its number: the id, the path in the folder, the file's name."""
    rows = range(len(pictures.ids))
    known = dict(zip(map(one_spelling, pictures.ids), rows, strict=True))
    known |= dict(zip(map(one_spelling, pictures.keys), rows, strict=True))

    def find(text: str) -> int | None:
        path = one_spelling(text.strip().replace("\\", "/"))
        suffix = Path(path).suffix
        stem = path.removesuffix(suffix) if suffix.lower() in FILM_SUFFIXES else path
        parts = stem.split("/")
        return next((known[one] for one in ["/".join(parts[n:]) for n in range(len(parts))] if one in known), None)

    return find


def _film_column(table: Table, pictures: Pictures) -> str:
    there = _columns_of(table.header, _FILM_COLUMNS)
    if not there:
        raise ProviderError(
            f"{table.path}: expected a column 'id' or 'file', found {', '.join(table.header) or 'nothing'}"
        )
    find = _finder(pictures)
    return next((name for name in there if find(table.rows[0][name]) is not None), there[0])


def _rows_of_films(table: Table, column: str, pictures: Pictures, file: Path) -> np.ndarray:
    """The row of the table for each film."""
    find, rows = _finder(pictures), np.full(len(pictures.ids), -1, dtype=np.int64)
    for row, value in enumerate(table.column(column)):
        film = find(value)
        where = f"{file} {table.places([row])}"
        if film is None:
            raise ProviderError(f"{where}: there is no film {value}")
        if rows[film] >= 0:
            raise ProviderError(f"{where}: the second line of film '{pictures.ids[film]}'")
        rows[film] = row
    without = np.flatnonzero(rows < 0)
    if len(without):
        first = pictures.ids[int(without[0])]
        raise ProviderError(f"{file}: no line of {len(without)} of {len(rows)} films, the first is '{first}'")
    return rows


def _of_lists(table: Table, column: str, findings: tuple[str, ...], file: Path) -> tuple[np.ndarray, list[str]]:
    lists, remarks = split_lists(table.column(column))
    values = np.zeros((len(lists), len(findings)), dtype=np.uint8)
    sets = []
    for row, names in enumerate(lists):
        found = set()
        for name in names:
            finding = finding_of(name, findings)
            if finding is None:
                raise ProviderError(
                    f"{file} {table.places([row])}: '{name}' is no finding of the training set ({', '.join(findings)})"
                )
            found.add(finding)
        sets.append(found)
        values[row] = [int(finding in found) for finding in findings]
    try:
        check_no_finding(sets, table.places)
    except InputError as error:
        raise ProviderError(f"{file}: {str(error).removeprefix('manifest: ')}") from None
    return values, remarks


def _of_flags(table: Table, columns: Mapping[str, str], findings: tuple[str, ...], file: Path) -> np.ndarray:
    missing = [finding for finding in findings if finding not in columns]
    if missing:
        raise ProviderError(
            f"{file}: no column {', '.join(missing)}: expected one for every finding, or 'findings'; a finding that nobody "
            "looked for is not absent"
        )
    values = np.zeros((len(table.rows), len(findings)), dtype=np.uint8)
    for place, finding in enumerate(findings):
        for row, text in enumerate(table.column(columns[finding])):
            values[row, place] = _flag(text, finding, file, table, row)
    if NO_FINDING in columns:
        for row, text in enumerate(table.column(columns[NO_FINDING])):
            if _FLAGS.get(text.lower()) == 1 and values[row].any():
                raise ProviderError(
                    f"{file} {table.places([row])}: '{NO_FINDING}' beside findings; a film has some or none"
                )
    return values


def _check_agree(
    values: np.ndarray, table: Table, columns: Mapping[str, str], findings: tuple[str, ...], lists: str
) -> None:
    """ProviderError where a column of names says another thing of a film than a column of 0 and 1."""
    for finding, name in columns.items():
        for row, text in enumerate(table.column(name)):
            named = int(values[row, findings.index(finding)]) if finding in findings else int(not values[row].any())
            if _FLAGS.get(text.lower(), named) != named:
                raise ProviderError(
                    f"{table.path} {table.places([row])}: {finding} is {named} by the column '{lists}' and {text} by "
                    f"'{name}'; leave one of them out"
                )


def _of_dictionaries(table: Table, findings: tuple[str, ...], file: Path) -> np.ndarray:
    """CheXGenBench's column: {'Cardiomegaly': 1.0, 'Edema': nan, ...}."""
    values = np.zeros((len(table.rows), len(findings)), dtype=np.uint8)
    for row, text in enumerate(table.column(_DICTIONARY)):
        pairs = re.findall(r"['\"]([^'\"]+)['\"]\s*:\s*([^,}]+)", text)
        found = {finding_of(name, findings): value.strip() for name, value in pairs}
        for place, finding in enumerate(findings):
            values[row, place] = _flag(found.get(finding, ""), finding, file, table, row)
    return values


def _flag(text: str, finding: str, file: Path, table: Table, row: int) -> int:
    if text.lower() in _FLAGS:
        return _FLAGS[text.lower()]
    where = f"{file} {table.places([row])}"
    if is_blank(text) or text in ("-1", "-1.0"):
        raise ProviderError(
            f"{where}: whether it shows {finding} is not known ('{text}'), which is not the same as no: write 0 or 1, or "
            "leave the labels out"
        )
    raise ProviderError(f"{where}: expected 0 or 1, found '{text}'")
