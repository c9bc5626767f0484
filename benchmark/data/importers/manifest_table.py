"""The csv of a manifest: columns found or mapped, path templates filled in, every row checked before a
film is opened.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import InputError, unknown
from .. import splits

NO_FINDING = "no finding"
_FINDING, _MASK = "finding_", "mask_"
_FIELD = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class ManifestOptions:
    """How a csv is to be read. Defaults suit a csv that already has the columns id, path, patient, split,
    mask, ...
    """

    root: Path | None = None
    """Folder that paths are relative to; the csv's own by default."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Our name of a column to the csv's: {"id": "stem"}."""
    path: str | None = None
    """Template of the film's path, such as "images/{stem}.png"."""
    masks: Sequence[str] = ()
    """Templates: one "masks/{stem}.png", or one an organ: "heart=masks/heart/{stem}.png"."""
    mask_values: str = "labels"
    """What a mask shared by all organs holds: "labels" (one value an organ) or "bits" (one bit an organ)."""
    organs: Mapping[str, int] = field(default_factory=dict)
    """Organ to its label value, or to its bit flag (1, 2, 4, ...)."""
    ignored: Sequence[int] = ()
    """Values or bit flags of a shared mask that are known and not wanted."""
    boxes: Path | None = None
    """A csv id,finding,x,y,w,h in pixels of the original film."""
    split: str | None = None
    """"patients:0.5": half of the patients, drawn by seed, train."""
    fold: str | None = None
    """"patients:3": three folds of patients, drawn by seed."""
    seed: int = 0
    white: float | None = None
    """The stored value that is white (default 255, or 65535 for 16 bit files)."""
    pixel_mm: float | None = None
    """Side of a pixel of the original files in mm, where the files do not say it."""
    keep: Sequence[str] = ()
    """Further columns to take over as they are."""
    allow_shared_patients: bool = False


@dataclass(frozen=True)
class Row:
    """One film of the manifest. `masks`: organ to file; the key "" is the one file that all organs share."""

    id: str
    film: Path
    masks: Mapping[str, Path]
    values: Mapping[str, object]


@dataclass(frozen=True)
class Manifest:
    """A checked manifest: rows, organs in bit order, findings in order of `cases` columns."""

    rows: tuple[Row, ...]
    organs: tuple[str, ...]
    findings: tuple[str, ...]


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a csv with a header, as text. InputError where it is absent, empty or not regular."""
    if not path.is_file():
        raise InputError(f"manifest: {path} does not exist")
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle, strict=True)
            header = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = header
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"manifest: {path} is not a csv in UTF-8 ({error})") from None
    if not rows:
        raise InputError(f"manifest: {path} has no rows")
    repeated = [name for name in header if header.count(name) > 1]
    if repeated:
        raise InputError(f"manifest: {path} has two columns {repeated[0]!r}")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise InputError(f"manifest: line {number} of {path} does not have the {len(header)} fields of the header")
    return [{name: value.strip() for name, value in row.items()} for row in rows]


def read_manifest(path: Path, options: ManifestOptions) -> Manifest:
    """The rows of a manifest, all that can be checked without opening a film checked."""
    table = _Table(path, read_table(path), options)
    ids = table.ids()
    patients = table.column("patient") if table.has("patient") else ids
    organs = table.organs()
    values: dict[str, list[object]] = {"id": list(ids), "patient": list(patients)}
    for name, parts in (("split", table.split(patients)), ("fold", table.folds(patients))):
        if parts is not None:
            if not options.allow_shared_patients:
                _check_patients(name, patients, parts)
            values[name] = parts
    findings = table.findings()
    for name, flags in findings.items():
        if name in values or name in options.keep:
            raise InputError(f"manifest: a finding cannot be called {name!r}: it is the name of another column")
        values[name] = list(flags)
    for name in options.keep:
        values[name] = list(table.column(name))
    films, masks = table.films(), table.masks(organs)
    rows = tuple(
        Row(ids[row], films[row], masks[row], {name: column[row] for name, column in values.items()})
        for row in range(len(ids))
    )
    missing = [file for row in rows for file in (row.film, *row.masks.values()) if not file.is_file()]
    if missing:
        count = f"{len(missing)} files are" if len(missing) > 1 else "a file is"
        raise InputError(f"manifest: {count} missing: {missing[0]}{' (the first)' if len(missing) > 1 else ''}")
    return Manifest(rows, organs, tuple(findings))


class _Table:
    """The text of a manifest with its column mapping."""

    def __init__(self, path: Path, rows: list[dict[str, str]], options: ManifestOptions) -> None:
        self.path, self.rows, self.options = path, rows, options
        self.header = list(rows[0])
        self.root = options.root or path.parent
        for ours, theirs in options.columns.items():
            if theirs not in self.header:
                raise unknown("column", theirs, self.header, f"given for {ours}")

    def has(self, name: str) -> bool:
        return self.options.columns.get(name, name) in self.header

    def column(self, name: str) -> list[str]:
        theirs = self.options.columns.get(name, name)
        if theirs not in self.header:
            near = difflib.get_close_matches(name, self.header, n=3, cutoff=0.5)
            guess = f" Did you mean {' or '.join(near)} (--columns {name}={near[0]})?" if near else ""
            raise InputError(f"manifest: {self.path} has no column '{name}'.{guess} It has: {', '.join(self.header)}")
        return [row[theirs] for row in self.rows]

    def filled(self, template: str) -> list[Path]:
        """A path template with the columns of every row."""
        for name in _FIELD.findall(template):
            if not self.has(name):
                raise unknown("column", name, self.header, f"in the template {template}")
        columns = self.options.columns

        def path(row: dict[str, str]) -> Path:
            return self.root / _FIELD.sub(lambda match: row[columns.get(match[1], match[1])], template)

        return [path(row) for row in self.rows]

    def films(self) -> list[Path]:
        if self.options.path:
            return self.filled(self.options.path)
        return self._paths("path")

    def _paths(self, name: str) -> list[Path]:
        values = self.column(name)
        for number, value in enumerate(values, start=2):
            if not value:
                what = "missing mask" if name.startswith("mask") else "missing path"
                raise InputError(f"manifest: {what}: line {number} of {self.path} has nothing in column '{name}'")
        return [self.root / value for value in values]

    def ids(self) -> list[str]:
        ids = self.column("id") if self.has("id") else [path.stem for path in self.films()]
        seen: dict[str, int] = {}
        for number, name in enumerate(ids, start=2):
            if not name:
                raise InputError(f"manifest: line {number} of {self.path} has no id")
            if name in seen:
                raise InputError(f"manifest: duplicate id '{name}' in lines {seen[name]} and {number} of {self.path}")
            seen[name] = number
        return ids

    def organs(self) -> tuple[str, ...]:
        """Organs in bit order: those given, else those that have a mask of their own."""
        own = [name for name, _ in self._own_masks()]
        shared = self._shared_mask()
        if own and shared:
            raise InputError("manifest: give one mask for all organs or one an organ, not both")
        if shared and not self.options.organs:
            raise InputError(
                "manifest: a mask shared by several organs needs their values: --organs left_lung=1,right_lung=2"
            )
        if self.options.organs and not shared:
            what = "each organ has a mask of its own" if own else "there is none: name it by --mask masks/{id}.png"
            raise InputError(f"manifest: --organs gives the values of a mask shared by all organs, but {what}")
        return tuple(self.options.organs) if shared else tuple(own)

    def _own_masks(self) -> list[tuple[str, str | None]]:
        """Organ and template (None: the column mask_<organ>)."""
        given = [template.split("=", 1) for template in self.options.masks if "=" in template]
        if given:
            return [(organ, template) for organ, template in given]
        named = [name for name in (*self.options.columns, *self.header) if name.startswith(_MASK)]
        return [(name.removeprefix(_MASK), None) for name in dict.fromkeys(named)] if not self._shared_mask() else []

    def _shared_mask(self) -> bool:
        return any("=" not in template for template in self.options.masks) or (
            not self.options.masks and self.has("mask")
        )

    def masks(self, organs: Sequence[str]) -> list[dict[str, Path]]:
        if not organs:
            return [{} for _ in self.rows]
        if self._shared_mask():
            if len(self.options.masks) > 1:
                raise InputError("manifest: only one mask file can be shared by all organs")
            files = self.filled(self.options.masks[0]) if self.options.masks else self._paths("mask")
            return [{"": file} for file in files]
        columns = [
            (organ, self.filled(template) if template else self._paths(_MASK + organ))
            for organ, template in self._own_masks()
        ]
        return [{organ: files[row] for organ, files in columns} for row in range(len(self.rows))]

    def findings(self) -> dict[str, list[int]]:
        """Finding to 0/1 a row, from `finding_<Name>` columns or from a column of names with '|' between."""
        named = [name for name in (*self.options.columns, *self.header) if name.startswith(_FINDING)]
        if named:
            return {name.removeprefix(_FINDING): self._flags(name) for name in dict.fromkeys(named)}
        if not self.has("findings"):
            return {}
        sets = [{one.strip() for one in value.split("|")} - {""} for value in self.column("findings")]
        names = sorted({name for one in sets for name in one if name.lower() != NO_FINDING})
        return {name: [int(name in one) for one in sets] for name in names}

    def _flags(self, name: str) -> list[int]:
        flags = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}
        values = self.column(name)
        for number, value in enumerate(values, start=2):
            if value not in flags:
                raise InputError(f"manifest: line {number}: column '{name}' must be 0 or 1, found {value!r}")
        return [flags[value] for value in values]

    def split(self, patients: Sequence[str]) -> list[object] | None:
        if self.options.split:
            share = _drawn("split", self.options.split)
            return list(splits.patient_split(patients, share, self.options.seed))
        return list(self.column("split")) if "split" in self.options.columns or self.has("split") else None

    def folds(self, patients: Sequence[str]) -> list[object] | None:
        if self.options.fold:
            count = _drawn("fold", self.options.fold)
            if count != int(count):
                raise InputError(f"manifest: the number of folds must be whole, found {count}")
            return list(splits.patient_folds(patients, int(count), self.options.seed))
        if not ("fold" in self.options.columns or self.has("fold")):
            return None
        values = self.column("fold")
        wrong = [value for value in values if not value.isdecimal()]
        if wrong:
            raise InputError(f"manifest: column 'fold' must hold whole numbers from 0, found {wrong[0]!r}")
        return [int(value) for value in values]


def _drawn(option: str, text: str) -> float:
    """The number of "patients:0.5"."""
    unit, _, number = text.partition(":")
    try:
        if unit == "patients":
            return float(number)
    except ValueError:
        pass
    raise InputError(
        f"manifest: --{option} must look like patients:{'0.5' if option == 'split' else '3'}, found {text!r}"
    )


def _check_patients(column: str, patients: Sequence[str], parts: Sequence[object]) -> None:
    """Refuse a patient in two parts: a test film of a person seen in training is a leak."""
    part_of: dict[str, object] = {}
    shared = sorted(
        {patient for patient, part in zip(patients, parts, strict=True) if part_of.setdefault(patient, part) != part}
    )
    if shared:
        raise InputError(
            f"manifest: {len(shared)} patients are in more than one {column}, the first: {shared[0]}; "
            f"correct the "
            f"column, draw one by --{column} patients:{'0.5' if column == 'split' else '3'}, "
            "or say --allow-shared-patients"
        )
