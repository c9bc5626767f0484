"""The columns of a manifest: which is which, films and masks as files, films that are left out, and what no one uses.

A column has one of our names or is mapped by the user. Others are not guessed but named: one that may be meant is
proposed, and one that changes who is in train and in test is asked for.
"""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ...errors import InputError, unknown
from ..findings import NO_FINDING, known_finding
from ..organs import KNOWN_ORGANS, organ_name
from ..parts import films_in_words
from ..reading.names import existing
from ..reading.tables import Table, is_blank
from ..reading.views import FRONTAL, view_of
from .manifest_options import FIELD, ManifestOptions

FINDING, MASK = "finding_", "mask_"
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_LISTED = 12  # so many unused columns are named


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEAR: Mapping[str, frozenset[str]] = {
    "path": _words(
        "filepath filename file image imagepath imagefile imagefilename imagename imageindex imageid img imgpath film "
        "filmpath dicompath dicom"
    ),
    "split": _words("split subset partition set phase datasplit traintest trainortest usage"),
    "fold": _words("fold folds kfold cvfold foldid"),
    "findings": _words(
        "findings finding findinglabels findinglabel label labels pathology pathologies diagnosis diagnoses disease "
        "diseases class classname"
    ),
    "mask": _words("mask masks segmentation seg lungmask"),
}
"""Words for a column of ours, in small letters without blanks and underscores."""
_MASK_FILE = _words("maskpath maskfile maskfilename maskname maskimage maskimg maskpng maskdir maskurl")
_VIEWS = _words("frontallateral viewposition view views projection vp position")
_LATERAL_IN_PATH = re.compile(r"(?i)(?<![a-z])lateral(?![a-z])")
_OF_FILE = ("stem", "name")
"""In a template the film's file without and with its ending, where no column is called so."""


def column_key(name: str) -> str:
    """Letters and digits of a column's name in small letters."""
    return re.sub(r"[\W_]+", "", name).lower()


class Columns:
    """A table read with the user's mapping. `remarks`: what was noticed so far. `views`: "frontal" or "any" where `--only`
    leaves that to what the films' own headers say.
    """

    def __init__(self, table: Table, options: ManifestOptions) -> None:
        self.table, self.options = table, options
        self.header = list(table.header)
        self.root = options.root or table.path.parent
        self.used: set[str] = set()
        self.remarks: list[str] = list(table.remarks)
        self.views: str | None = None
        for ours, theirs in options.columns.items():
            if theirs not in self.header:
                raise unknown("column", theirs, self.header, f"given for {ours}")

    # ------------------------------------------------------------------------------------------------------- columns

    def name(self, ours: str) -> str:
        """The table's name of a column of ours."""
        return self.options.columns.get(ours, ours)

    def has(self, ours: str) -> bool:
        """Whether the table has a column of ours, by its name or by the mapping."""
        return self.name(ours) in self.header

    def column(self, ours: str) -> list[str]:
        """The values of a column of ours. InputError where there is none, with those that may be meant."""
        theirs = self.name(ours)
        if theirs not in self.header:
            near = self.near(ours) or difflib.get_close_matches(ours, self.header, n=3, cutoff=0.5)
            guess = f" Did you mean {' or '.join(near)} (--columns {ours}={near[0]})?" if near else ""
            if not near and any(Path(name).suffix.lower() in (".png", ".jpg", ".jpeg", ".dcm") for name in self.header):
                guess = " Its first line must name the columns."
            path = self.table.path
            raise InputError(f"manifest: {path} has no column '{ours}'.{guess} It has: {', '.join(self.header)}")
        self.used.add(theirs)
        return self.table.column(theirs)

    def near(self, ours: str) -> list[str]:
        """Columns that have another word for one of ours and that the user has mapped to nothing."""
        words, mapped = _NEAR.get(ours, frozenset()) | {column_key(ours)}, set(self.options.columns.values())
        return [name for name in self.header if column_key(name) in words and name != ours and name not in mapped]

    def filled(self, template: str, *, of_films: bool = False) -> list[str]:
        """A template with the columns of every row; but in that `of_films` `{stem}` and `{name}` are the film's file without
        and with its ending, where no column is called so."""
        names = FIELD.findall(template)
        of_file = [] if of_films else [name for name in names if name in _OF_FILE and not self.has(name)]
        for name in names:
            if name not in of_file and not self.has(name):
                raise unknown("column", name, self.header, f"in the template {template}")
            self.used.add(self.name(name))
        rows: Sequence[Mapping[str, str]] = self.table.rows
        if of_file:
            films = [Path(text) for text in self.film_texts()]
            named = [{"stem": film_id(film), "name": film.name} for film in films]
            rows = [{**of_film, **row} for of_film, row in zip(named, rows, strict=True)]
        return [self._filled(template, row) for row in rows]

    def _filled(self, template: str, row: Mapping[str, str]) -> str:
        return FIELD.sub(lambda match: row[self.name(match[1])], template)

    def taken_from(self, text: str, option: str, ids: Sequence[str] = ()) -> list[str]:
        """The values that "COLUMN" or "COLUMN:REGEX" names; `path` is the film's path, `id` its id. Of a regex its
        groups, joined by `_`, or all that it matches. InputError where a film has no match.
        """
        name, colon, pattern = (text, "", "") if text in self.header else text.partition(":")
        values = list(ids) if name == "id" and ids else self.film_texts() if name == "path" else self.column(name)
        if not colon:
            return values
        matches = [_compiled(pattern, option).search(value) for value in values]
        missing = [row for row, match in enumerate(matches) if match is None]
        if missing:
            raise InputError(
                f"manifest: {option} '{text}' finds nothing in {films_in_words(len(missing))}, the first in "
                f"{self.table.places(missing[:1])}: '{values[missing[0]]}'"
            )
        return [
            "_".join(group or "" for group in match.groups()) if match.groups() else match[0]
            for match in matches
            if match
        ]

    # --------------------------------------------------------------------------------------------------------- files

    def film_texts(self) -> list[str]:
        """The path of every film as the table says it, with `/` between folders."""
        texts = self.filled(self.options.path, of_films=True) if self.options.path else self._texts("path")
        return [text.replace("\\", "/") for text in texts]

    def films(self) -> list[Path]:
        """The file of every film."""
        texts = self.filled(self.options.path, of_films=True) if self.options.path else self._texts("path")
        return self._files(texts, "films")

    def _texts(self, ours: str) -> list[str]:
        values = self.column(ours)
        for row, value in enumerate(values):
            if is_blank(value):
                what = "missing mask" if ours.startswith("mask") else "missing path"
                where = f"{self.table.places([row])} of {self.table.path}"
                raise InputError(f"manifest: {what}: {where} has nothing in column '{self.name(ours)}'")
        return values

    def _files(self, texts: Sequence[str], what: str) -> list[Path]:
        """Paths below the root; Windows' backslashes are folders where no file has them in its name."""
        files, turned = [], 0
        for text in texts:
            file = self.root / text
            if os.sep == "/" and "\\" in text and not file.is_file():
                file, turned = self.root / text.replace("\\", "/"), turned + 1
            if os.sep == "/" and _DRIVE.match(text):
                raise InputError(
                    f"manifest: '{text}' is a path of a Windows drive, which is not here; give paths below a folder, "
                    "and the folder by --root"
                )
            files.append(existing(file))
        if turned:
            self.remarks.append(f"{what}: {turned} paths with backslashes read as folders")
        return files

    # --------------------------------------------------------------------------------------------------------- masks

    def organs(self) -> tuple[str, ...]:
        """Organs in bit order: those given, else those that have a mask of their own."""
        own = [name for name, _ in self._own_masks()]
        shared = self._shared_mask() is not None
        if own and shared:
            raise InputError("manifest: give one mask for all organs or one an organ, not both")
        if shared and not self.options.organs:
            column = self._shared_mask()
            which = f"column '{column}' is taken for the mask: " if column and column != "mask" else ""
            raise InputError(
                f"manifest: {which}a mask shared by several organs needs their values: "
                "--masks labels:left_lung=1,right_lung=2 (or bits:..., colours:left_lung=#ff0000,...), or "
                "--organs left_lung=1,right_lung=2"
            )
        if self.options.organs and not shared and not (own and set(own) <= set(self.options.organs)):
            lacks = next((organ for organ in own if organ not in self.options.organs), None)
            what = f"it gives none of {lacks}" if own else "there is none: name it by --mask masks/{id}.png"
            raise InputError(f"manifest: --organs gives the values of organs in masks, but {what}")
        organs = tuple(self.options.organs) if shared else tuple(own)
        self.remarks += [said for organ in organs if (said := unusual(organ))]
        return organs

    def _own_masks(self) -> list[tuple[str, str | None]]:
        """Organ and template (None: the column mask_<organ>)."""
        given = [template.split("=", 1) for template in self.options.masks if "=" in template]
        if given:
            return [(organ, template) for organ, template in given]
        if self._shared_mask() is not None:
            return []
        named = [name for name in (*self.options.columns, *self.header) if name.startswith(MASK)]
        return [(name.removeprefix(MASK), None) for name in dict.fromkeys(named) if name != MASK]

    def _shared_mask(self) -> str | None:
        """The template or column of one mask for all organs: `mask`, or a word for the file of it (`mask_path`)."""
        templates = [template for template in self.options.masks if "=" not in template]
        if templates or self.options.masks:
            return templates[0] if templates else None
        if self.has("mask"):
            return "mask"
        mapped = {*self.options.columns, *self.options.columns.values()}
        return next((name for name in self.header if column_key(name) in _MASK_FILE and name not in mapped), None)

    def masks(self, organs: Sequence[str]) -> list[dict[str, Path]]:
        """Organ to file a row; the key "" is the one file of all organs."""
        if not organs:
            return [{} for _ in self.table.rows]
        shared = self._shared_mask()
        if shared is not None:
            if len(self.options.masks) > 1:
                raise InputError("manifest: only one mask file can be shared by all organs")
            if not self.options.masks and shared != "mask":
                self.remarks.append(f"column '{shared}' taken for the mask of all organs")
            texts = self.filled(shared) if self.options.masks else self._texts(shared)
            return [{"": file} for file in self._files(texts, "masks")]
        columns = []
        for organ, template in self._own_masks():
            if template is None and unusual(organ):
                self.remarks.append(f"column '{self.name(MASK + organ)}' taken for the masks of an organ '{organ}'")
            texts = self.filled(template) if template else self._texts(MASK + organ)
            columns.append((organ, self._files(texts, f"masks of {organ}")))
        return [{organ: files[row] for organ, files in columns} for row in range(len(self.table.rows))]

    # ------------------------------------------------------------------------------------------------ films left out

    def leave_out(self) -> list[int]:
        """Keep the films of `--only`; the rows left out, said. InputError where none is left or a value never occurs."""
        kept = set(range(len(self.table.rows)))
        for condition in self.options.only:
            holds = self._condition(condition)
            fits = {row for row in kept if holds[row]}
            if not fits:
                raise InputError(f"manifest: no film fits --only '{condition}'")
            if len(fits) < len(kept):
                by_view = condition.partition("=")[0].strip().lower() == "view" and self._view_column() is not None
                views = f": {self._views(sorted(kept - fits))}" if by_view else ""
                self.remarks.append(f"{films_in_words(len(kept) - len(fits))} left out by --only '{condition}'{views}")
            kept = fits
        return [row for row in range(len(self.table.rows)) if row not in kept]

    def _condition(self, text: str) -> list[bool]:
        """Whether "COLUMN=VALUE|OTHER" or "COLUMN:REGEX" is true of each row."""
        match = re.match(r"([^=:]+)([=:])(.+)", text)
        if match is None:
            raise InputError(f"manifest: --only must look like COLUMN=VALUE or COLUMN:REGEX, found '{text}'")
        name, sign, rest = match[1].strip(), match[2], match[3].strip()
        if name.lower() == "view" and sign == "=" and rest.lower() in ("frontal", "any"):
            return self._of_view(rest.lower())
        values = self.film_texts() if name == "path" else self.column(name)
        if sign == ":":
            pattern = _compiled(rest, "--only")
            return [pattern.search(value) is not None for value in values]
        wanted = {value.strip().lower(): value.strip() for value in rest.split("|")}
        there = {value.lower(): value for value in values}
        for key, value in wanted.items():
            if key not in there:
                raise unknown("value", value, there.values(), f"of column '{name}' for --only")
        return [value.lower() in wanted for value in values]

    def _of_view(self, view: str) -> list[bool]:
        """Whether each row is frontal by a column of views, where there is one; headers are for the films' reader."""
        self.views = view
        name = self._view_column()
        if view == "any" or name is None:
            return [True] * len(self.table.rows)
        return [view_of(value) in FRONTAL for value in self.column(name)]

    def _view_column(self) -> str | None:
        return next((one for one in self.header if column_key(one) in _VIEWS), None)

    def _views(self, rows: Iterable[int]) -> str:
        """The views of some rows by the column of them, the commonest first, each with its number."""
        values = self.table.column(str(self._view_column()))
        found = Counter(values[row] or "nothing" for row in rows).most_common()
        return ", ".join(f"{value} {count}" for value, count in found[:_LISTED]) + (", ..." if found[_LISTED:] else "")

    def keep_rows(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone."""
        self.table = self.table.select(rows)

    # -------------------------------------------------------------------------------------------------------- unused

    def unused(self) -> list[str]:
        """What no one has asked for: columns that may be meant for one of ours, laterals, and the names of the rest."""
        lines = [
            f"column '{name}' is not used; is it {ours} (--columns {ours}={name})?"
            for ours in ("split", "fold", "findings", "mask")
            if not self.has(ours) and not (ours == "split" and self.options.split)
            for name in self.near(ours)
            if name not in self.used
        ]
        asked = {line.split("'")[1] for line in lines}
        rest = [name for name in self.header if name not in self.used | asked]
        findings = [name for name in rest if known_finding(name) not in (None, NO_FINDING)]
        if findings:
            first = findings[0]
            lines.append(f"columns of findings not used: {_listed(findings)} (--columns finding_{first}={first})")
        if others := [name for name in rest if name not in findings]:
            lines.append(f"columns not used: {_listed(others)}")
        return [*self._laterals(), *lines]

    def _laterals(self) -> list[str]:
        """What to say of films that are not frontal by a column of views, else by their paths."""
        name = self._view_column()
        values = [] if name is None else self.table.column(name)
        views = [view_of(value) for value in values]
        other = [row for row, view in enumerate(views) if view not in FRONTAL and not is_blank(values[row])]
        if other and any(views):
            frontal = sorted({value for value, view in zip(values, views, strict=True) if view in FRONTAL})
            way = f" (--only '{name}={'|'.join(frontal)}' leaves them out)" if frontal else ""
            if all(views[row] == "LATERAL" for row in other):
                return [f"{films_in_words(len(other))} taken from the side by column '{name}'{way}"]
            return [f"{films_in_words(len(other))} of other views by column '{name}', {self._views(other)}{way}"]
        count = sum(_LATERAL_IN_PATH.search(text) is not None for text in self.film_texts())
        return [f"{films_in_words(count)} with 'lateral' in the path (--only 'path:frontal')"] if count else []


def film_id(path: Path) -> str:
    """The name of a film's file without its ending; the last number of a UID is no ending."""
    return path.name if path.suffix[1:].isdigit() else path.stem


def checked_ids(ids: Sequence[str], places: Callable[[Sequence[int]], str], path: Path) -> list[str]:
    """Ids, each there and there once. InputError with the lines."""
    blank = [row for row, name in enumerate(ids) if not name]
    if blank:
        raise InputError(f"manifest: {places(blank)} of {path} has no id")
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    if repeated:
        rows = [row for row, name in enumerate(ids) if name == repeated[0]]
        raise InputError(
            f"manifest: duplicate id '{repeated[0]}' in {places(rows)} of {path}; where folders tell films apart say "
            "--id-from path, or --id-from 'path:REGEX'"
        )
    return list(ids)


def unusual(organ: str) -> str:
    """What to say of an organ whose name is none of the usual ones; nothing of those."""
    if organ_name(organ) in KNOWN_ORGANS:
        return ""
    near = difflib.get_close_matches(organ.lower(), KNOWN_ORGANS, n=1)
    return f"unusual organ '{organ}'{f' (did you mean {near[0]}?)' if near else ''}"


def _compiled(pattern: str, option: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InputError(f"manifest: {option}: '{pattern}' is no regular expression ({error})") from None


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
