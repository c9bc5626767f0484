"""What a study is, as it lies on the disk: the page for the readers, and `key/`, which no reader may see.

`key/study.json` says what was shown and how it was drawn; `key/key.csv` says what every film is.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from .. import digest
from ..errors import InputError, StoreError
from ..plain_files import read_plain_json
from ..schema import Model, Strict

Line = TypeVar("Line")
SCHEMA = 1
PAGE = "study.html"
KEY = "key"
README = "README.txt"
REAL, SYNTHETIC = "real", "synthetic"
NONE_OF_THESE = "none of these"
"""The answer of a reader who sees none of the study's classes."""

README_TEXT = """This folder says which films of the study are real. Do not hand it to the readers, and do not put it beside
the page that they open: give them study.html alone. Keep this folder; `cxrbench reader-study score` needs it.
"""


class StudySource(Strict):
    """Where films of a study come from. `digest` is that of the dataset (empty for a folder of pictures); `remarks`: what
    was noticed about its files."""

    name: str
    kind: str
    made_by: str
    resolution: int
    films: int
    digest: str = ""
    remarks: list[str] = Field(default_factory=list)


class Study(Strict):
    """What was shown and how it was drawn. `side`: pixels of a shown film; `repeats`: films with a source shown before."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    id: str
    created: str
    cxrbench: str
    seed: int
    per_class: int
    classes: list[str]
    sources: list[StudySource]
    films: int
    counts: dict[str, dict[str, int]]
    """Films by source and class."""
    side: int
    crop: float
    only: bool
    asks_finding: bool
    repeats: int
    files: dict[str, str]
    """sha256 of the page and of the key."""


@dataclass(frozen=True)
class Item:
    """A line of the key: the name that readers see, and what the film is."""

    item: str
    source: str
    kind: str
    shown_class: str
    film: str
    pixels: str
    """sha256 of the pixels as shown."""


def sha256(content: bytes) -> str:
    """sha256 (64 hex digits) of bytes."""
    return hashlib.sha256(content).hexdigest()


def study_id(items: Iterable[str], classes: Sequence[str], settings: Mapping[str, Any]) -> str:
    """The name of a study: the same films asked about in the same way give the same one. Begins with a letter, so that
    a spreadsheet does not take it for a number."""
    return "s" + digest.of_json([SCHEMA, sorted(items), list(classes), dict(settings)])[:12]


def write_folder(folder: Path, study: Strict, key: bytes) -> None:
    """Make `key/`: the key, what the study is, and the line that says to keep both."""
    folder.mkdir(mode=0o700)
    (folder / "key.csv").write_bytes(key)
    (folder / "study.json").write_text(study.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
    (folder / README).write_text(README_TEXT, encoding="utf-8")


def rows_bytes(kind: type[Any], items: Sequence[Any]) -> bytes:
    """`key.csv`: a line a film, by item; `kind` is the dataclass of a line."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [field.name for field in fields(kind)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(item) for item in sorted(items, key=lambda item: item.item))
    return text.getvalue().encode()


def kind_of(folder: Path) -> str:
    """What a study of a folder asks: `real` (or synthetic?) or `preference`; InputError where there is none."""
    place = folder / KEY / "study.json"
    try:
        said = json.loads(place.read_bytes())
    except OSError:
        raise InputError(
            f"{folder}: no {KEY}/study.json here; expected the folder that `reader-study build` wrote"
        ) from None
    except ValueError:
        raise InputError(f"{place}: not readable; build the study again with the same seed") from None
    return str(said.get("kind", REAL)) if isinstance(said, dict) else REAL


def read_key(folder: Path) -> tuple[Study, dict[str, Item]]:
    """The study of a folder that `build` wrote and its key by item; InputError where either is missing or changed."""
    return read_folder(folder, Study, Item)


def read_folder(folder: Path, model: type[Model], kind: type[Line]) -> tuple[Model, dict[str, Line]]:
    """The same for the study and the lines of any kind."""
    place = folder / KEY
    if not (place / "study.json").is_file():
        raise InputError(f"{folder}: no {KEY}/study.json here; expected the folder that `reader-study build` wrote")
    try:
        study: Any = read_plain_json(place / "study.json", model, SCHEMA)
        content = (place / "key.csv").read_bytes()
    except StoreError as error:
        raise InputError(str(error)) from None
    except OSError as error:
        raise InputError(f"{place / 'key.csv'}: {error.strerror}; build the study again with the same seed") from None
    if sha256(content) != study.files["key.csv"]:
        raise InputError(f"{place / 'key.csv'} was changed after the study was built; restore it or build again")
    rows = csv.DictReader(io.StringIO(content.decode(), newline=""))
    return study, {row["item"]: kind(**row) for row in rows}
