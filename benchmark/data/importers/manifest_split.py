"""`--split`: which films train. Drawn by patient, or those of the patients whom a trained generator has seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ...errors import InputError
from ...plain_files import read_plain
from .. import splits
from ..parts import films_in_words
from ..reading.films import FILM_SUFFIXES

LISTED = "trained_on"


def split_asked(text: str | None) -> float | Path | None:
    """What `--split` asks for: the share of patients that trains, a list of films, nothing. InputError for other words."""
    if text is None:
        return None
    kind, _, rest = text.partition(":")
    if kind == LISTED and rest:
        return Path(rest)
    try:
        if kind == "patients":
            return float(rest)
    except ValueError:
        pass
    raise InputError(f"manifest: --split must look like patients:0.5 or {LISTED}:FILE, found {text!r}")


def split_of(
    asked: float | Path, ids: Sequence[str], patients: Sequence[str], seed: int
) -> tuple[list[object], list[str]]:
    """`train` or `test` for every film, the same for all films of a patient, and what is to be said of it.

    A share draws so many of the patients for training; a list takes those of whom it names a film, an id (or a file of that
    name) a line, and tests the others. InputError for a list without a known id, and for one that leaves nobody to test.
    """
    if isinstance(asked, Path):
        return _listed(asked, ids, patients)
    return list(splits.patient_split(patients, asked, seed)), []


def _listed(file: Path, ids: Sequence[str], patients: Sequence[str]) -> tuple[list[object], list[str]]:
    option, named = f"manifest: --split {LISTED}:{file}", _lines(file)
    known = {_bare(one): one for one in reversed(ids)} | {one: one for one in ids}
    patient_of = dict(zip(ids, patients, strict=True))
    found = [known.get(one) or known.get(_bare(one)) for one in named]
    unknown = [one for one, its_id in zip(named, found, strict=True) if its_id is None]
    if len(unknown) == len(named):
        what = repr(named[0]) if named else "an empty file"
        raise InputError(f"{option}: expected the ids of films, one a line, such as {ids[0]}; found {what}")
    seen = {patient_of[one] for one in found if one is not None}
    parts: list[object] = ["train" if patient in seen else "test" for patient in patients]
    if "test" not in parts:
        raise InputError(
            f"{option}: names a film of every patient ({len(seen)}), so that nobody is left to test: such a generator "
            "cannot be measured on these films"
        )
    train = parts.count("train")
    said = [
        f"split: {len(seen)} patients of whom {file.name} names a film train ({films_in_words(train)}), the other "
        f"{len(set(patients)) - len(seen)} test ({films_in_words(len(parts) - train)})"
    ]
    if unknown:
        said.append(f"{file.name}: {len(unknown)} of {len(named)} lines are no film here, the first: {unknown[0]}")
    return parts, said


def _lines(file: Path) -> list[str]:
    """What stands in a text file, a line each, once. InputError for what is none."""
    try:
        text = read_plain(file).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no text in UTF-8"
        raise InputError(f"manifest: --split {LISTED}: {file} cannot be read ({why})") from None
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def _bare(name: str) -> str:
    """A film's name without quotes, folders, ending and case."""
    path = PurePosixPath(name.strip("'\"").replace("\\", "/"))
    return (path.stem if path.suffix.lower() in FILM_SUFFIXES else path.name).casefold()
