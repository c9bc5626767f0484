"""Readers' answers: the csv files that the page exports, checked against the key.

Spreadsheet programs may have opened and saved them: a byte order mark, semicolons or tabs instead of commas are read too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ..errors import InputError
from .study import NONE_OF_THESE, REAL, SYNTHETIC, Item, Study

Named = TypeVar("Named", bound=Any)
COLUMNS = ("study", "item", "answer")


@dataclass(frozen=True)
class Reader:
    """What one reader said: answer (real, synthetic) and finding by item. Items without an answer are absent."""

    name: str
    answers: Mapping[str, str]
    findings: Mapping[str, str]


def read_answers(files: Sequence[Path], study: Study, key: Mapping[str, Item]) -> list[Reader]:
    """One reader a file, in the given order. InputError in one line: file, line, what was expected, what was found."""
    once(files)
    return named_apart([_reader(file, study, key) for file in files], files)


def once(files: Sequence[Path]) -> None:
    """InputError where there is no file, or one is given twice."""
    if not files:
        raise InputError("no answers; give the csv files that the readers exported")
    given: set[Path] = set()
    for file in files:
        if file.resolve() in given:
            raise InputError(f"{file} is given twice; give one file a reader")
        given.add(file.resolve())


def named_apart(readers: Sequence[Named], files: Sequence[Path]) -> list[Named]:
    """Readers (dataclasses with a name) who chose the same code are told apart by their files' names."""
    codes = [reader.name for reader in readers]
    if len(set(codes)) == len(codes):
        return list(readers)
    stems = [file.stem for file in files]
    names = stems if len(set(stems)) == len(stems) else [str(file) for file in files]
    return [
        replace(reader, name=name) if codes.count(reader.name) > 1 else reader
        for reader, name in zip(readers, names, strict=True)
    ]


def _reader(file: Path, study: Study, key: Mapping[str, Item]) -> Reader:
    answers: dict[str, str] = {}
    findings: dict[str, str] = {}
    lines: dict[str, int] = {}
    names: list[str] = []
    for line, row in read_rows(file, COLUMNS):
        where, item = f"{file} line {line}", row["item"]
        if row["study"] != study.id:
            raise InputError(f"{where}: an answer to study {row['study'] or '(none)'}, expected {study.id}")
        if item not in key:
            raise InputError(f"{where}: film '{item}' is not in study {study.id}; export the answers again")
        if item in lines:
            raise InputError(f"{where}: film {item} was answered in line {lines[item]} already; keep one of the two")
        lines[item] = line
        _keep(row["answer"].lower(), (REAL, SYNTHETIC), answers, item, where)
        if study.asks_finding:
            _keep(row.get("finding", ""), (*study.classes, NONE_OF_THESE), findings, item, where)
        if (name := row.get("reader", "")) and name not in names:
            names.append(name)
    if len(names) > 1:
        raise InputError(f"{file}: answers of {len(names)} readers ({', '.join(names[:3])}); expected a file a reader")
    if not answers:
        raise InputError(f"{file}: no answers; export them from the page")
    return Reader(names[0] if names else file.stem, answers, findings)


def _keep(value: str, allowed: Iterable[str], kept: dict[str, str], item: str, where: str) -> None:
    if value and value not in allowed:
        raise InputError(f"{where}: '{value}' is not an answer; expected {' or '.join(allowed)}")
    if value:
        kept[item] = value


def read_rows(file: Path, expected: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """(line, values by column) of a file with those columns, without blank lines."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file}: {error.strerror or error}; expected the csv that a reader exported") from None
    except UnicodeDecodeError:
        raise InputError(f"{file}: not a text in UTF-8; expected the csv that a reader exported") from None
    head = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
        if missing := [name for name in expected if name not in columns]:
            raise InputError(f"{file}: no column {missing[0]}; expected {', '.join(expected)} as the page exports them")
        rows = []
        for values in reader:
            if any(value.strip() for value in values):
                padded = [*values, *[""] * (len(columns) - len(values))]
                rows.append((reader.line_num, {c: v.strip() for c, v in zip(columns, padded, strict=False)}))
    except csv.Error as error:
        raise InputError(f"{file} line {reader.line_num}: not a csv ({error})") from None
    return rows
