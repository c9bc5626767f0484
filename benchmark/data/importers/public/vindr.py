"""VinDr-CXR (Nguyen et al., Scientific Data 2022, PhysioNet 1.0.0): 15,000 films train, 3,000 test.

`train/` and `test/` with DICOM files (or png of them), `annotations/image_labels_*.csv` with a column a finding and, for the
training films, a row for each of three readers; `annotations/annotations_*.csv` with boxes. The challenge's `train.csv` of
boxes alone is read too. The set does not say who is on a film.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ....errors import InputError, unknown
from ...findings import NO_FINDING, word_key
from ...parts import films_in_words
from ...reading.tables import Table, is_blank
from .files import checked_table, films_below, find_file, folder_of, folders, optional_folder, table_of
from .listing import Count, Listing, PublicBox, PublicFilm, PublicOptions

FILMS = {"train": 15_000, "test": 3_000}
RULES = ("majority", "any", "all")
_NOT_LABELS = ("image_id", "rad_id")
_CORNERS = ("x_min", "y_min", "x_max", "y_max")

_Rows = defaultdict[str, list[tuple[Table, int]]]


@dataclass(frozen=True)
class _Part:
    """votes: film to its readers' labels, "1" or "0" by finding. boxes: film to the rows of a table."""

    name: str
    votes: Mapping[str, Sequence[Mapping[str, str]]]
    findings: Sequence[str]
    boxes: _Rows


def read(source: Path, options: PublicOptions) -> Listing:
    """The films of both parts; a finding of several readers by the rule, and the boxes of the findings that are there."""
    if options.readers not in RULES:
        raise unknown("--readers", options.readers, RULES)
    challenge = find_file(source, ("train.csv",))
    if challenge and not _label_table(source, "train"):
        parts, official = [_of_challenge(challenge)], {"train": FILMS["train"]}
    else:
        there = [part for part in FILMS if not options.allow_partial or _label_table(source, part)]
        parts, official = [_of_part(source, part) for part in there], FILMS
    if not parts:
        raise InputError(f"vindr: no annotations/image_labels_train.csv in {source}; it comes with the films")
    labels, remarks = _common(parts)
    films = [film for part in parts for film in _films(source, part, labels, options, split=len(official) > 1)]
    found = {part.name: len(part.votes) for part in parts}
    differ = sum(
        any(len({row[one] for row in rows}) > 1 for one in labels) for part in parts for rows in part.votes.values()
    )
    return Listing(
        films=films,
        labels=labels,
        counts=[Count(f"films of the {name} set", found.get(name, 0), (count,)) for name, count in official.items()],
        provenance=f"VinDr-CXR (Nguyen et al. 2022), readers by {options.readers}; https://physionet.org/content/vindr-cxr",
        with_boxes=True,
        remarks=[*remarks, *_said(differ, options.readers)],
    )


def _films(
    source: Path, part: _Part, labels: Sequence[str], options: PublicOptions, *, split: bool
) -> Iterator[PublicFilm]:
    folder = folder_of("vindr", source, (part.name,))
    files, sizes = films_below("vindr", [folder]), _sizes(source, part.name)
    for film, rows in part.votes.items():
        found = {name: _agreed([row[name] == "1" for row in rows], options.readers) for name in labels}
        drawn = part.boxes.get(film, ())
        yield PublicFilm(
            id=film,
            path=files.get(film, folder / f"{film}.dicom"),
            patient=film,
            labels={name: str(int(there)) for name, there in found.items()},
            split=part.name if split else None,
            boxes=[_box(table, row, sizes.get(film)) for table, row in drawn if found.get(_class(table, row))],
        )


def _common(parts: Sequence[_Part]) -> tuple[list[str], list[str]]:
    """The findings that the tables of all parts have, "No finding" first, and what to say of the others: of a film whose
    table does not have a finding it is not known."""
    everything = list(dict.fromkeys(name for part in parts for name in part.findings))
    common = [name for name in everything if all(name in part.findings for part in parts)]
    rest = [name for name in everything if name not in common]
    said = [f"findings not read, for they are not in the tables of all parts: {', '.join(rest)}"] if rest else []
    return sorted(common, key=lambda name: word_key(name) != word_key(NO_FINDING)), said


def _said(differ: int, rule: str) -> list[str]:
    remarks = ["the set does not say who is on a film: every film counts as a person of its own"]
    if differ:
        remarks.append(
            f"{films_in_words(differ)} on which readers differ: a finding is there by {rule} (--readers {'|'.join(RULES)}); "
            "of its boxes those of all readers are kept, so that one lesion may have several"
        )
    return remarks


def _agreed(votes: Sequence[bool], rule: str) -> bool:
    """Whether a finding is there; majority is more than half."""
    return any(votes) if rule == "any" else all(votes) if rule == "all" else 2 * sum(votes) > len(votes)


def _label_table(source: Path, part: str) -> Path | None:
    places = [*folders(source), *folders(optional_folder(source, ("annotations",)) or source)]
    return next((path for folder in places if (path := folder / f"image_labels_{part}.csv").is_file()), None)


def _of_part(source: Path, part: str) -> _Part:
    """Labels and boxes of the official tables of a part."""
    path = _label_table(source, part)
    if path is None:
        raise InputError(f"vindr: no annotations/image_labels_{part}.csv in {source}; it comes with the films")
    table = checked_table("vindr", path, ("image_id",))
    names = [name for name in table.header if name.lower() not in _NOT_LABELS]
    if not names:
        raise InputError(f"vindr: {path} has no column of a finding: not the official table")
    votes: defaultdict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row, values in enumerate(table.rows):
        whole = {name: values[name].removesuffix(".0") for name in names}
        strange = next((name for name in names if whole[name] not in ("0", "1")), None)
        if strange is not None:
            where = f"{table.places([row])} of {path}"
            raise InputError(f"vindr: {where}: column '{strange}' must be 0 or 1, found '{values[strange]}'")
        votes[values["image_id"]].append(whole)
    needed = ("image_id", "class_name", *_CORNERS)
    drawn = table_of("vindr", path.parent, (f"annotations_{part}.csv",), needed)
    return _Part(part, votes, names, _boxes(drawn, votes, names))


def _of_challenge(path: Path) -> _Part:
    """Labels from the boxes: a reader who draws one of a finding, or writes "No finding", has seen the film."""
    table = checked_table("vindr", path, ("image_id", "class_name", "rad_id", *_CORNERS))
    names = sorted(set(table.column("class_name")))
    said: dict[tuple[str, str], set[str]] = {}
    for values in table.rows:
        said.setdefault((values["image_id"], values["rad_id"]), set()).add(values["class_name"])
    votes: defaultdict[str, list[Mapping[str, str]]] = defaultdict(list)
    for (film, _), classes in said.items():
        votes[film].append({name: str(int(name in classes)) for name in names})
    return _Part("train", votes, names, _boxes(table, votes, names))


def _boxes(table: Table, votes: Container[str], names: Sequence[str]) -> _Rows:
    """Film to the rows of its boxes; InputError for a film or a finding without labels."""
    found: _Rows = defaultdict(list)
    for row, values in enumerate(table.rows):
        if word_key(values["class_name"]) == word_key(NO_FINDING) or is_blank(values["x_min"]):
            continue
        where = f"{table.places([row])} of {table.path}"
        if values["image_id"] not in votes:
            raise InputError(f"vindr: {where}: {values['image_id']} has no labels")
        if values["class_name"] not in names:
            raise InputError(f"vindr: {where}: '{values['class_name']}' is none of the findings {', '.join(names)}")
        found[values["image_id"]].append((table, row))
    return found


def _class(table: Table, row: int) -> str:
    return table.rows[row]["class_name"]


def _box(table: Table, row: int, size: tuple[int, int] | None) -> PublicBox:
    try:
        left, top, right, bottom = (float(table.rows[row][name]) for name in _CORNERS)
    except ValueError:
        raise InputError(f"vindr: {table.places([row])} of {table.path}: a corner is no number") from None
    return PublicBox(_class(table, row), left, top, right - left, bottom - top, size)


def _sizes(source: Path, part: str) -> dict[str, tuple[int, int]]:
    """The original height and width of films, where a table beside pictures of another size says it (`train_meta.csv`)."""
    path = find_file(source, (f"{part}_meta.csv",))
    if path is None:
        return {}
    table = checked_table("vindr", path, ("image_id", "dim0", "dim1"))
    return {row["image_id"]: (int(float(row["dim0"])), int(float(row["dim1"]))) for row in table.rows}
