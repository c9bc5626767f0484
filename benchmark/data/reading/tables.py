"""Reading one table, whoever wrote it: Excel, pandas, a hospital's export, a text editor.

Text with commas, semicolons, tabs or `|` between fields, in UTF-8, UTF-16 or Windows-1252, also packed by gzip;
.xlsx (openpyxl, extra `excel`), .parquet, and JSON: objects in a list or one a line. What a file is, is decided by its
bytes, not by its name; whatever is not commas in UTF-8 is said in a remark.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import InputError

SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas", "|": "'|'"}
BLANK = frozenset({"", "nan", "none", "null", "nat", "na", "n/a", "<na>", "-", "?"})
"""What programs write where there is no value, in small letters."""

_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_MOST_BYTES, _MOST_ROWS, _MOST_FIELDS = 256 << 20, 5_000_000, 100_000  # of a packed file, of a table, of a row
_SAMPLE = 200  # lines that decide what separates fields
_NAMED = 5  # an error names so many lines, then says how many more
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?")  # what Excel writes and reads as a first line
_ENDS = re.compile(r"^[\s\u00ad\u200b-\u200f\u2060\ufeff]+|[\s\u00ad\u200b-\u200f\u2060\ufeff]+$")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_BINARY = {
    b"\xd0\xcf\x11\xe0": "an old Excel file (.xls); save it as .xlsx or as csv",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}


@dataclass(frozen=True)
class Table:
    """Rows as text by column, every field stripped. lines: where each row is in the file (of an Excel or parquet file:
    its row, the header is 1). remarks: what was noticed, a line each. decimal_comma: numbers may be written so.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]
    lines: tuple[int, ...]
    remarks: tuple[str, ...] = ()
    decimal_comma: bool = False

    def column(self, name: str) -> list[str]:
        """The values of a column, in the order of the rows."""
        return [row[name] for row in self.rows]

    def select(self, rows: Iterable[int]) -> Table:
        """The rows of the given numbers, in the given order."""
        chosen = list(rows)
        return replace(
            self, rows=tuple(self.rows[row] for row in chosen), lines=tuple(self.lines[row] for row in chosen)
        )

    def places(self, rows: Sequence[int]) -> str:
        """Where rows are: "line 2", "lines 2, 5 and 7", of many the first five."""
        lines = [str(self.lines[row]) for row in rows]
        if len(lines) == 1:
            return f"line {lines[0]}"
        if len(lines) > _NAMED:
            return f"lines {', '.join(lines[:_NAMED])} and {len(lines) - _NAMED} more"
        return f"lines {', '.join(lines[:-1])} and {lines[-1]}"

    def number(self, text: str) -> float:
        """A field as a number, where fields are not separated by commas also with a decimal comma. ValueError where
        it is none.
        """
        return float(text.replace(",", ".") if self.decimal_comma and "." not in text else text)


def is_blank(text: str) -> bool:
    """Whether a field holds no value: nothing, or a program's word for nothing (`nan`, `None`, `NULL`, `N/A`, ...)."""
    return text.strip().lower() in BLANK


def read_table(path: Path) -> Table:
    """The rows of a table with a header. InputError, in one line, where it is absent, empty, not regular or no table."""
    data = _bytes(path)
    if data[:4] == b"PK\x03\x04":
        if b"xl/workbook" not in data:
            raise InputError(f"{path} is a zip archive; unpack it, and name the table in it")
        return _of_cells(path, *_excel(path, data))
    if data[:4] == b"PAR1":
        return _of_cells(path, _parquet(path, data), ())
    for magic, what in _BINARY.items():
        if data.startswith(magic):
            raise InputError(f"{path} is {what}; expected a table: csv, .xlsx or .parquet")
    text, remarks = _decoded(path, data)
    if text.lstrip()[:1] in ("{", "["):
        return _of_cells(path, _records(path, text), (*remarks, f"{path.name}: read as JSON, an object a row"))
    return _of_text(path, text, remarks)


def read_text(path: Path) -> tuple[str, tuple[str, ...]]:
    """A text file in any of the encodings, and what was noticed. InputError where it is absent or no text."""
    return _decoded(path, _bytes(path, empty=True))


def _bytes(path: Path, *, empty: bool = False) -> bytes:
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected a file")
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
                data = packed.read(_MOST_BYTES + 1)
            if len(data) > _MOST_BYTES:
                raise InputError(f"{path} unpacks to more than {_MOST_BYTES >> 20} MiB; expected a table of films")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({error})") from None
    if not data and not empty:
        raise InputError(f"{path} is empty (0 bytes)")
    return data


def _decoded(path: Path, data: bytes) -> tuple[str, tuple[str, ...]]:
    """Text and what is to be said of its encoding."""
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    encoding = marked or _unmarked(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in {encoding.upper()} ({error.reason} at byte {error.start})") from None
    if odd := _CONTROL.search(text):
        raise InputError(
            f"{path} is no text (it holds the byte {ord(odd[0])}); expected a table: csv, .xlsx or .parquet"
        )
    if encoding in ("utf-8", "utf-8-sig"):
        return text, ()
    name = "Windows-1252" if encoding == "cp1252" else "Latin-1" if encoding == "latin-1" else encoding.upper()
    return text, (f"{path.name}: read as {name}{'' if marked else _foreign(text)}",)


def _unmarked(data: bytes) -> str:
    """The encoding of text without a mark: UTF-8 where it can be, UTF-16 where every other byte is zero."""
    head = data[:2048]
    for start, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = head[start::2].count(0)
        if zeros > 0.4 * len(head) and head[1 - start :: 2].count(0) == 0:
            return name
    for name in ("utf-8", "cp1252"):
        try:
            data.decode(name)
        except UnicodeDecodeError:
            continue
        return name
    return "latin-1"


def _foreign(text: str) -> str:
    """The first word with a letter beyond ASCII, by which a person sees whether the encoding was guessed well."""
    word = re.search(r"\w*[^\x00-\x7f]\w*", text)
    return f", since it is not UTF-8 (it then has the word '{word[0]}')" if word else ""


# ---------------------------------------------------------------------------------------------------------------- text


def _of_text(path: Path, text: str, remarks: tuple[str, ...]) -> Table:
    given = _SEPARATOR_LINE.match(text)
    first_line = 1
    if given:
        text, first_line = text[given.end() :], 2
    if text.count("\n") > _MOST_ROWS:
        raise InputError(f"{path} has more than {_MOST_ROWS:,} lines; expected a table of films")
    separator = given[1] if given else _separator(text)
    try:
        lines = [(reader_line + first_line - 1, row) for reader_line, row in _fields(text, separator)]
    except csv.Error as error:
        raise InputError(f"{path} is not a regular csv ({error})") from None
    lines = [(number, row) for number, row in lines if row]
    if not lines:
        raise InputError(f"{path} has no rows")
    header, rows = lines[0][1], [(number, row) for number, row in lines[1:] if any(row)]
    if len(rows) < len(lines) - 1:
        remarks = (*remarks, f"{path.name}: {len(lines) - 1 - len(rows)} lines without any value left out")
    header, rows = _trimmed(header, rows)
    if separator not in (",", ""):
        remarks = (*remarks, f"{path.name}: read with {SEPARATORS.get(separator, repr(separator))} between fields")
    for number, row in rows:
        if len(row) != len(header):
            raise InputError(
                f"line {number} of {path} does not have the {len(header)} fields of the header; found {len(row)}"
            )
    return _checked(path, header, rows, remarks, decimal_comma=separator != ",")


def _separator(text: str) -> str:
    """What separates the fields: of what the first line holds, that by which the first lines have the same number of
    fields, and of several the one with the most.
    """
    sample = "".join(text.splitlines(keepends=True)[:_SAMPLE])
    found = []
    for order, separator in enumerate(SEPARATORS):
        try:
            counts = [len(row) for _, row in _fields(sample, separator) if row]
        except csv.Error:  # also a field over several lines that the sample cuts off
            try:
                counts = [len(next(csv.reader(sample.splitlines()[:1], delimiter=separator), []))]
            except csv.Error:  # a field longer than any of a table
                counts = []
        if counts and counts[0] > 1:
            found.append((len(set(counts)) == 1, counts[0], -order, separator))
    return max(found)[-1] if found else ","


def _fields(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    for row in reader:
        if len(row) > _MOST_FIELDS:
            raise csv.Error(f"line {reader.line_num} has {len(row):,} fields; at most {_MOST_FIELDS:,} are read")
        yield reader.line_num, [_bare(field) for field in row]


def _trimmed(header: list[str], rows: list[tuple[int, list[str]]]) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Without empty fields that a trailing separator makes, in the header or in the rows."""
    width = len(header)
    if width and not header[-1]:
        used = max((place for _, row in rows for place, field in enumerate(row, start=1) if field), default=0)
        while width > used and not header[width - 1]:
            width -= 1
        header = header[:width]
    return header, [(line, row[:width] if not any(row[width:]) else row) for line, row in rows]


def _checked(
    path: Path,
    header: Sequence[str],
    rows: Sequence[tuple[int, Sequence[str]]],
    remarks: tuple[str, ...],
    *,
    decimal_comma: bool = False,
) -> Table:
    if not header:
        raise InputError(f"{path} has no header: its first line must name the columns")
    if not rows:
        raise InputError(f"{path} has no rows below its header")
    repeated = [name for name, times in Counter(header).items() if name and times > 1]
    if repeated:
        raise InputError(f"{path} has two columns {repeated[0]!r}")
    unnamed = {place: f"column {place + 1}" for place, name in enumerate(header) if not name}
    if 0 in unnamed and [row[0] for _, row in rows] == [str(number) for number in range(len(rows))]:
        del unnamed[0]  # the row numbers that pandas writes
        header, rows = header[1:], [(line, row[1:]) for line, row in rows]
        unnamed = {place - 1: name for place, name in unnamed.items()}
    names = tuple(unnamed.get(place, name) for place, name in enumerate(header))
    table = tuple(dict(zip(names, row, strict=True)) for _, row in rows)
    return Table(path, names, table, tuple(line for line, _ in rows), remarks, decimal_comma)


# -------------------------------------------------------------------------------------------- Excel, parquet and JSON


def _excel(path: Path, data: bytes) -> tuple[list[list[str]], tuple[str, ...]]:
    """The cells of the first sheet, and which it is where there are several."""
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise InputError(
            f"{path} is an Excel file, which needs openpyxl: pip install 'cxrbench[excel]', or save it as csv"
        ) from None
    try:
        sheets = load_workbook(io.BytesIO(data), read_only=True, data_only=True).worksheets
        sheets[0].reset_dimensions()  # some programs write wrong ones
        rows = [[_text(value) for value in row] for row in sheets[0].iter_rows(values_only=True)]
    except Exception as error:  # a damaged file can raise anything that zip, xml and openpyxl know
        raise InputError(f"{path} cannot be read as an Excel file ({_first_line(error)})") from None
    width = max(map(len, rows), default=0)
    said = f"{path.name}: sheet '{sheets[0].title}' read, the first of {len(sheets)}"
    return [row + [""] * (width - len(row)) for row in rows], (said,) if len(sheets) > 1 else ()


def _parquet(path: Path, data: bytes) -> list[list[str]]:
    import pandas as pd
    import pyarrow.parquet as pq

    try:
        if pq.ParquetFile(io.BytesIO(data)).metadata.num_rows > _MOST_ROWS:
            raise InputError(f"{path} has more than {_MOST_ROWS:,} rows; expected a table of films")
        frame = pd.read_parquet(io.BytesIO(data))
    except InputError:
        raise
    except Exception as error:  # a damaged file can raise anything that Arrow knows
        raise InputError(f"{path} cannot be read as a parquet file ({_first_line(error)})") from None
    if any(name is not None for name in frame.index.names):  # a column that pandas was told to index by
        frame = frame.reset_index()
    rows = [list(frame.columns), *frame.itertuples(index=False, name=None)]
    return [[_text(value) for value in row] for row in rows]


def _records(path: Path, text: str) -> list[list[str]]:
    """The rows of objects in a list, or of an object a line; a column for every name that occurs."""
    lines = [line for line in text.split("\n") if line.strip()]
    try:
        records = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in lines]
        names = list(dict.fromkeys(name for record in records for name, _ in record.items()))
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path} is JSON, but not a list of objects or an object a line ({_first_line(error)})"
        ) from None
    return [names, *([_text(record.get(name)) for name in names] for record in records)]


def _of_cells(path: Path, cells: list[list[str]], remarks: tuple[str, ...]) -> Table:
    rows = [(line, row) for line, row in enumerate(cells, start=1) if any(row)]
    if not rows:
        raise InputError(f"{path} has no rows")
    header, rows = _trimmed(rows[0][1], rows[1:])
    return _checked(path, header, rows, remarks)


def _text(value: Any) -> str:
    """A cell as a csv would hold it."""
    if hasattr(value, "tolist"):  # numpy's numbers and arrays
        value = value.tolist()
    if value is None or (isinstance(value, float) and value != value) or str(value) in ("NaT", "<NA>"):
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (list, tuple, set)):
        return json.dumps([_text(one) for one in value], ensure_ascii=False)
    return _bare(str(value))


def _bare(field: str) -> str:
    """A field without blanks and signs that are not seen (a mark of byte order, a blank of no width) at its ends."""
    return _ENDS.sub("", field)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
