"""One reader for all tables: separators, encodings, Excel, parquet; what is no table is one line."""

from __future__ import annotations

import gzip
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrbench.benchmark.data.reading.tables import is_blank, read_table, read_text
from cxrbench.benchmark.errors import InputError

ROWS = [{"path": "a.png", "patient": "Müller"}, {"path": "b, c.png", "patient": "2"}]


def _written(path: Path, separator: str = ",", encoding: str = "utf-8", end: str = "\n") -> Path:
    """ROWS as a csv; the comma within a path is quoted where it must be."""
    lines = [list(ROWS[0]), *(list(row.values()) for row in ROWS)]
    text = end.join(
        separator.join(f'"{field}"' if separator in field else field for field in line) for line in [*lines, []]
    )
    path.write_bytes(text.encode(encoding))
    return path


def _error(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_table(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("separator", "said"), [(",", ""), (";", "semicolons"), ("\t", "tabs"), ("|", "'|'")])
def test_fields_are_separated_by_what_the_first_line_has(tmp_path, separator, said, end):
    table = read_table(_written(tmp_path / "t.csv", separator, end=end))
    assert [dict(row) for row in table.rows] == ROWS
    assert table.lines == (2, 3)
    assert (said in " ".join(table.remarks)) and bool(table.remarks) == bool(said)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", "read as UTF-16"),
        ("utf-16-le", "read as UTF-16-LE"),
        ("utf-16-be", "read as UTF-16-BE"),
        ("utf-32", "read as UTF-32"),
        ("cp1252", "read as Windows-1252, since it is not UTF-8 (it then has the word 'Müller')"),
    ],
)
def test_text_is_read_in_the_encoding_that_it_has(tmp_path, encoding, said):
    table = read_table(_written(tmp_path / "t.csv", encoding=encoding))
    assert [dict(row) for row in table.rows] == ROWS
    assert said in " ".join(table.remarks) and bool(table.remarks) == bool(said)


def test_bytes_that_windows_does_not_know_are_latin_1(tmp_path):
    (tmp_path / "t.csv").write_bytes("path\n\x81é\n".encode("latin-1"))
    assert "read as Latin-1" in read_table(tmp_path / "t.csv").remarks[0]


def test_a_list_within_a_field_does_not_decide_what_separates_fields(tmp_path):
    (tmp_path / "t.csv").write_text("path,findings\na.png,Mass|Edema;Nodule\nb.png,Mass|Edema;Nodule\n")
    assert read_table(tmp_path / "t.csv").header == ("path", "findings")
    (tmp_path / "t.csv").write_text("path;a,b\na.png;1,5\nb.png;2,5\n")
    table = read_table(tmp_path / "t.csv")
    assert table.header == ("path", "a,b")
    assert table.number(table.rows[0]["a,b"]) == 1.5


def test_a_decimal_comma_is_none_where_commas_separate(tmp_path):
    (tmp_path / "t.csv").write_text('a,b\n"1,5",2\n')
    with pytest.raises(ValueError, match="could not convert"):
        read_table(tmp_path / "t.csv").number("1,5")


def test_what_excel_and_pandas_add_is_no_data(tmp_path):
    (tmp_path / "t.csv").write_text("sep=;\nid;path;\n1;a.png;\n\n;;\n2;b.png;\n")
    table = read_table(tmp_path / "t.csv")
    assert table.header == ("id", "path")
    assert table.lines == (3, 6)
    assert "1 lines without any value left out" in table.remarks[0]
    (tmp_path / "t.csv").write_text(",path\n0,a.png\n1,b.png\n")
    assert read_table(tmp_path / "t.csv").header == ("path",)
    (tmp_path / "t.csv").write_text(",path\n7,a.png\n9,b.png\n")
    assert read_table(tmp_path / "t.csv").header == ("column 1", "path")


def test_a_packed_csv_is_read(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(_written(tmp_path / "t.csv").read_bytes()))
    assert [dict(row) for row in read_table(tmp_path / "t.csv.gz").rows] == ROWS


def test_a_parquet_file_is_a_table_whatever_its_name(tmp_path):
    frame = pd.DataFrame(
        {"id": [1, 2], "patient": [123.0, np.nan], "findings": [["Mass", "Edema"], []], "flag": [True, False]}
    )
    frame.to_parquet(tmp_path / "t.csv")
    table = read_table(tmp_path / "t.csv")
    assert [dict(row) for row in table.rows] == [
        {"id": "1", "patient": "123.0", "findings": '["Mass", "Edema"]', "flag": "1"},
        {"id": "2", "patient": "", "findings": "[]", "flag": "0"},
    ]


def test_the_index_of_a_parquet_file_is_a_column_where_it_has_a_name(tmp_path):
    frame = pd.DataFrame({"path": ["a.png", "b.png"], "patient": ["1", "2"]})
    frame.set_index("patient").to_parquet(tmp_path / "t.parquet")
    assert [dict(row) for row in read_table(tmp_path / "t.parquet").rows] == [
        {"patient": "1", "path": "a.png"},
        {"patient": "2", "path": "b.png"},
    ]
    frame.to_parquet(tmp_path / "u.parquet")
    assert list(read_table(tmp_path / "u.parquet").rows[0]) == ["path", "patient"]


def test_an_excel_file_is_a_table(tmp_path):
    pytest.importorskip("openpyxl")
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        pd.DataFrame({"path": ["a.png", "NA"], "patient": [123, None]}).to_excel(book, sheet_name="films", index=False)
        pd.DataFrame({"other": [1]}).to_excel(book, sheet_name="notes")
    table = read_table(tmp_path / "t.xlsx")
    assert [dict(row) for row in table.rows] == [{"path": "a.png", "patient": "123"}, {"path": "NA", "patient": ""}]
    assert table.remarks == ("t.xlsx: sheet 'films' read, the first of 2",)
    damaged = (tmp_path / "t.xlsx").read_bytes()
    (tmp_path / "t.xlsx").write_bytes(damaged[: len(damaged) // 2] + b"xl/workbook")
    assert "cannot be read as an Excel file" in _error(tmp_path / "t.xlsx")


def test_an_excel_file_without_openpyxl_is_one_line_that_names_it(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as book:
        book.writestr("xl/workbook.xml", "")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert "needs openpyxl: pip install 'cxrbench[excel]'" in _error(tmp_path / "t.xlsx")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty (0 bytes)"),
        (b"path\n", "has no rows below its header"),
        (b"\n\n", "has no rows"),
        (b"path,path\n1,2\n", "has two columns 'path'"),
        (b"path,id\n1\n", "line 2 of {path} does not have the 2 fields of the header; found 1"),
        (b"path,id\n\n1,2\n1,2,3\n", "line 4 of {path} does not have the 2 fields"),
        (b'path,id\n"1,2\n', "is not a regular csv"),
        (b"\xd0\xcf\x11\xe0abc", "is an old Excel file (.xls); save it as .xlsx or as csv"),
        (b"\x89PNG\r\n\x1a\n", "is a picture; expected a table"),
        (b"PK\x03\x04abc", "is a zip archive; unpack it"),
        (b"PAR1abc", "cannot be read as a parquet file"),
        (b"\x1f\x8babc", "cannot be read"),
        (b"\xff\xfea", "is not text in UTF-16"),
        (b"a,b\n\x00\x01,2\n", "is no text"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path, data, said):
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    assert said.format(path=path) in _error(path)


def test_what_is_not_there_is_one_line(tmp_path):
    assert "does not exist" in _error(tmp_path / "t.csv")
    assert "is a folder" in _error(tmp_path)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_table_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "t.csv"
    path.write_bytes(data)
    try:
        table = read_table(path)
    except InputError as error:
        assert str(path) in str(error)
    else:
        assert all(set(row) == set(table.header) for row in table.rows) and len(table.rows) == len(table.lines)


@pytest.mark.parametrize("kind", ["parquet", "xlsx", "csv.gz"])
def test_damaged_files_are_refused_or_read(tmp_path, kind):
    frame, path = pd.DataFrame({"path": list("abc"), "patient": [1, 2, 3]}), tmp_path / f"t.{kind}"
    {"parquet": frame.to_parquet, "xlsx": frame.to_excel, "csv.gz": frame.to_csv}[kind](path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for trial in range(60):
        data = bytearray(whole)
        if trial % 2:
            del data[int(rng.integers(len(data))) :]
        else:
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        try:
            read_table(path)
        except InputError as error:
            assert "\n" not in str(error)


def test_text_is_read_as_tables_are(tmp_path):
    (tmp_path / "trained_on.txt").write_bytes("ä1\r\nb2\r\n".encode("utf-16"))
    text, remarks = read_text(tmp_path / "trained_on.txt")
    assert text.split() == ["ä1", "b2"] and remarks
    (tmp_path / "trained_on.txt").write_bytes(b"")
    assert read_text(tmp_path / "trained_on.txt") == ("", ())


@pytest.mark.parametrize("word", ["", " ", "nan", "NaN", "None", "NULL", "N/A", "<NA>", "-", "?"])
def test_words_for_nothing_are_nothing(word):
    assert is_blank(word) and not is_blank(f"{word}x")
