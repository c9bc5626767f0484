"""Who is on a film: one name a person, however a table writes it, so that no one is in train and in test.

`123`, `123.0` and `00123` are one person where they stand in one column, and so are `P01` and `p01`; what was taken
for one is said. A film without a person is refused.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Sequence

from ..errors import InputError
from .reading.tables import is_blank

IS_ONE = "taken for one person each"
"""In the remark about several spellings of a person."""

_WHOLE = re.compile(r"([+-]?\d+)(?:[.,]0*)?")
_AS_TEXT = re.compile(r"=\"(.*)\"|'(?=\d)(.*)")  # how spreadsheets keep a number as text
_GROUPED = re.compile(r"\d{1,3}(?:([.,])\d{3})(?:\1\d{3})*")
_ROUNDED = re.compile(r"\d(?:[.,]\d+)?[eE]\+\d+")
_NAMED = 3  # so many persons with several spellings are named
_WORDS = ("patient", "subject", "participant", "person", "anonpatient", "deidpatient", "empipatient")
_ENDS = ("", "id", "ids", "no", "nr", "number", "num", "name", "key", "code", "identifier")
_NEAR = {word + end for word in _WORDS for end in _ENDS} | {"idpatient", "pid", "mrn", "empi", "empianonid"}
_IN_PATHS = re.compile(r"(?i)(?:patient|subject|person|participant|pat|sub)[-_ ]?\d+")


def near_names(header: Sequence[str]) -> list[str]:
    """The columns that may hold the patient under another name (`Patient ID`, `patientId`, `subject_id`), else misspelt
    (`pateint`)."""
    keys = {name: re.sub(r"[\W_]+", "", name).lower() for name in header}
    return [name for name, key in keys.items() if key in _NEAR] or [
        name
        for name, key in keys.items()
        if "patient" not in key and difflib.get_close_matches(key, ("patient", "patientid"), cutoff=0.8)
    ]


def names_in_paths(paths: Sequence[str]) -> bool:
    """Whether every path names a patient, as `patient00001/study1/view1.jpg`, and some of them the same one."""
    found = [_IN_PATHS.search(path) for path in paths]
    return all(found) and len({match[0] for match in found if match}) < len(paths)


def one_name_each(values: Sequence[str], places: Callable[[Sequence[int]], str]) -> tuple[list[str], list[str]]:
    """The column of patients with one name a person, and what was noticed.

    places: where rows are, for errors. InputError where a film has no patient, or a number that a spreadsheet rounded
    (`1.23E+05`). A number written as 123.0 is 123; of several other spellings the plainest is kept.
    """
    blank = [row for row, value in enumerate(values) if is_blank(value)]
    if blank:
        raise InputError(
            f"manifest: no patient in {places(blank)}: fill the column in, or leave the films out; where every film "
            "is of another person say --patient-from id"
        )
    rounded = [row for row, value in enumerate(values) if _ROUNDED.fullmatch(value)]
    if rounded:
        raise InputError(
            f"manifest: {places(rounded)}: patient '{values[rounded[0]]}' is a number that a spreadsheet rounded, so "
            "that it may be several persons; export the column as text"
        )
    grouped = any(_GROUPED.fullmatch(value) and not value.endswith("000") for value in values)  # 1,000 beside 1,001
    whole = [value if grouped and _GROUPED.fullmatch(value) else _without_point(value) for value in values]
    spelt: dict[str, list[str]] = {}
    for value in whole:
        seen = spelt.setdefault(_key(value), [])
        if value not in seen:
            seen.append(value)
    kept = {key: min(seen, key=lambda one: (len(one), one)) for key, seen in spelt.items()}
    names = [kept[_key(value)] for value in whole]
    return names, _remarks(values, whole, names)


def _without_point(value: str) -> str:
    """A whole number without the `.0` that a column of floats gives it, or a spreadsheet's signs that it is text."""
    if text := _AS_TEXT.fullmatch(value):
        value = (text[1] if text[1] is not None else text[2]).strip()
    match = _WHOLE.fullmatch(value)
    return match[1] if match else value


def _key(value: str) -> str:
    """What two spellings of one person have in common."""
    if value.lstrip("+-").isdecimal():
        return str(int(value))
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())


def _remarks(values: Sequence[str], whole: Sequence[str], names: Sequence[str]) -> list[str]:
    remarks = []
    floats = sum(value != one for value, one in zip(values, whole, strict=True))
    if floats:
        remarks.append(f"patients: {floats} numbers written as 123.0 or as text of a spreadsheet read as whole ones")
    forms: dict[str, list[str]] = {}
    for value, name in zip(values, names, strict=True):
        seen = forms.setdefault(name, [])
        if value not in seen:
            seen.append(value)
    several = {name: seen for name, seen in forms.items() if len(seen) > 1}
    if several:
        listed = "; ".join(" and ".join(seen) for seen in list(several.values())[:_NAMED])
        more = f"; and {len(several) - _NAMED} more" if len(several) > _NAMED else ""
        remarks.append(f"patients: {listed}{more}: {IS_ONE}")
    return remarks
