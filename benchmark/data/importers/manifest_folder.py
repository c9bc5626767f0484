"""A folder of films and masks in place of a table: `films/` and `masks/ORGAN/`, files of the same names, or the names that
`--path` and `--mask` describe.

It is made a table of paths, so that all that may be said of a table (people, splits, values of masks) may be said of it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from ...errors import InputError
from ..parts import films_in_words
from ..reading.films import is_film
from ..reading.tables import Table
from .manifest_options import FIELD, ManifestOptions

FILMS, MASKS = ("films", "images"), ("masks", "mask")
_TABLES = (".csv", ".tsv", ".xlsx", ".parquet", ".jsonl")


def table_in(folder: Path) -> Path | None:
    """The first table that lies in a folder: it says more of its films than their names do."""
    found = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in _TABLES and not path.name.startswith(".")
    )
    return found[0] if found else None


def table_of_folder(folder: Path, options: ManifestOptions | None = None) -> Table:
    """A line a film: `path`, and `mask_ORGAN` for each folder in masks/, or `mask` for files right in it. Where `--path`
    says how films are called, a column for each of its fields in place of `path`. InputError for a folder with a table,
    without films, or with films that lack a mask."""
    options = options or ManifestOptions()
    if (table := table_in(folder)) is not None:
        raise InputError(f"manifest: {folder} is a folder; name the table in it: {table}")
    if options.path:
        room, films, columns = _called(folder, options.path)
    else:
        room = next((folder / name for name in FILMS if (folder / name).is_dir()), folder)
        films = sorted(path for path in (room.rglob("*") if room != folder else room.iterdir()) if is_film(path))
        columns = {"path": [path.relative_to(folder).as_posix() for path in films]}
    if not films:
        raise InputError(_no_films(folder, options))
    places = {} if options.masks else _places(folder)
    for name, place in places.items():
        columns[name] = [path.relative_to(folder).as_posix() for path in _of_films(films, room, place)]
    rows = tuple(dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    said = [f"read as a folder: {films_in_words(len(films))} of {room.name}/"]
    if not places and not options.masks and (others := _with_films(folder, room)):
        named = ", ".join(f"{path.name}/" for path in others)
        said.append(
            f"no masks: {named} not read (masks lie in masks/ORGAN/ under the films' names, or are named: --mask "
            f"'left_lung={others[0].name}/{{stem}}_left.png')"
        )
    return Table(folder / "films", tuple(columns), rows, tuple(range(1, len(films) + 1)), tuple(said))


def _called(folder: Path, template: str) -> tuple[Path, list[Path], dict[str, list[str]]]:
    """The folder below which a template's films lie, those films, and what each field of the template is in their names."""
    fields, pattern = list[str](), ""
    for number, piece in enumerate(FIELD.split(template)):
        if number % 2 == 0:
            pattern += re.escape(piece)
        elif piece in fields:
            pattern += rf"(?:\{fields.index(piece) + 1})"
        else:
            fields.append(piece)
            pattern += "([^/]+)"
    still = template.partition("{")[0].rpartition("/")[0]
    room = folder / still
    names = {path: path.relative_to(folder).as_posix() for path in sorted(room.rglob("*")) if is_film(path)}
    found = {path: match for path, name in names.items() if (match := re.fullmatch(pattern, name))}
    return room, list(found), {name: [one[place] for one in found.values()] for place, name in enumerate(fields, 1)}


def _with_films(folder: Path, *besides: Path) -> list[Path]:
    """The folders in a folder that have pictures, but for some."""
    inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and path not in besides]
    return [path for path in inside if any(map(is_film, path.iterdir()))]


def _no_films(folder: Path, options: ManifestOptions) -> str:
    if options.path:
        return f"manifest: no film in {folder} is called as --path '{options.path}' says{_unlike(folder, options.path)}"
    said = (
        f"manifest: {folder} is a folder, without films in films/; expected them there (masks in masks/ORGAN/, files of "
        "the same names), or a table with a column path, one line a film: path, mask_lungs, patient, split"
    )
    called = described(folder)
    return f"{said}; or say how they are called: {shlex.join(called)}" if called else said


def _unlike(folder: Path, template: str) -> str:
    """What may be wrong with a template that no film fits: braces without a partner, and how pictures are called."""
    there = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if is_film(path))
    count = f"{len(there)} picture{'s' if len(there) > 1 else ''}"
    found = f"found e.g. {there[0]} ({count})" if there else "found no picture there"
    bare = any(brace in FIELD.sub("", template) for brace in "{}")
    return f"; {'a { or } of it has no partner; ' if bare else ''}{found}"


def import_command(folder: Path) -> str:
    """The command that makes a dataset of a folder that is none: of the table in it, of films/ and masks/, or of the names
    that its files have. Empty for a folder without any of these."""
    words = ["cxrbench", "data", "import", "manifest"]
    if (table := table_in(folder)) is not None:
        return shlex.join([*words, str(table), "--split", "patients:0.5"])
    known = any((folder / name).is_dir() for name in FILMS) or any(map(is_film, folder.iterdir()))
    called = [] if known else described(folder)
    if not known and not called:
        return ""
    return shlex.join([*words, str(folder), *called, "--split", "patients:0.5", "--patient-from", "id"])


def described(folder: Path) -> list[str]:
    """`--path`, and `--mask` of an organ to be named, for the folders of pictures in a folder: the films are those whose
    names the others' begin with, else the last."""
    first = {place: next(filter(is_film, sorted(place.iterdir()))) for place in _with_films(folder)}
    if not first:
        return []
    room, masks = max(
        (
            (room, [other for other in first if other != room and _of_film(first[other], film)])
            for room, film in first.items()
        ),
        key=lambda found: len(found[1]),
    )
    if not masks:
        room = list(first)[-1]
    stem = first[room].stem
    said = ["--path", f"{room.name}/{{stem}}{first[room].suffix}"]
    for place in masks:
        said += ["--mask", f"ORGAN={place.name}/{first[place].name.replace(stem, '{stem}', 1)}"]
    return said


def _of_film(mask: Path, film: Path) -> bool:
    return mask.stem != film.stem and mask.stem.startswith(film.stem)


def _places(folder: Path) -> dict[str, Path]:
    """The folders of masks by the columns that they are: one an organ, or one for all of them."""
    root = next((folder / name for name in MASKS if (folder / name).is_dir()), None)
    if root is None:
        return {}
    organs = {f"mask_{path.name}": path for path in sorted(root.iterdir()) if path.is_dir() and any(path.iterdir())}
    if not organs:
        return {"mask": root} if any(map(is_film, root.iterdir())) else {}
    if loose := next((path for path in sorted(root.iterdir()) if is_film(path)), None):
        raise InputError(f"manifest: {loose} lies beside folders of organs: expected a folder an organ, or none")
    return organs


def _of_films(films: Sequence[Path], room: Path, place: Path) -> list[Path]:
    """The mask of each film: the file of its name, whatever the ending, in the same folders."""
    known = {path.relative_to(place).with_suffix(""): path for path in sorted(place.rglob("*")) if is_film(path)}
    found = [known.get(film.relative_to(room).with_suffix("")) for film in films]
    without = [film for film, mask in zip(films, found, strict=True) if mask is None]
    if without:
        raise InputError(
            f"manifest: masks of {len(without)} of {len(films)} films are missing in {place}, the first of "
            f"{without[0].name}: put them there under the films' names, or move these films away"
        )
    return [mask for mask in found if mask is not None]
