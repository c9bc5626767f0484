"""The files of a public set: tables by their official names, films where an archive may have been unpacked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ....errors import InputError
from ...reading.films import is_film
from ...reading.tables import Table, read_table
from ..manifest_columns import film_id

SHOWN = 6
"""Names of a folder in an error."""


def folders(source: Path) -> Iterator[Path]:
    """The folder of a download and those in it: sets come with a folder of their own, or without."""
    yield source
    yield from sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith("."))


def find_file(source: Path, names: Sequence[str]) -> Path | None:
    """The first file of these names, packed by gzip or not, in the folder or in one right below it; None where none is."""
    for name in names:
        for folder in folders(source):
            for path in (folder / name, folder / f"{name}.gz"):
                if path.is_file():
                    return path
    return None


def table_of(which: str, source: Path, names: Sequence[str], needed: Sequence[str]) -> Table:
    """The table of one of these names with at least the columns `needed`. InputError names the set and what is missing."""
    path = find_file(source, names)
    if path is None:
        raise InputError(
            f"{which}: no {' or '.join(names)} in {source} or right below it; it comes with the films; {what_is_in(source)}"
        )
    return checked_table(which, path, needed)


def checked_table(which: str, path: Path, needed: Sequence[str]) -> Table:
    """A table with at least the columns `needed`; InputError names those that are missing."""
    table = read_table(path)
    missing = [name for name in needed if name not in table.header]
    if missing:
        raise InputError(
            f"{which}: {path} has no column '{missing[0]}': not the official table; it has {', '.join(table.header)}"
        )
    return table


def folder_of(which: str, source: Path, names: Sequence[str]) -> Path:
    """The folder of one of these names, in the download or right below it."""
    found = optional_folder(source, names)
    if found is None:
        raise InputError(f"{which}: no folder {' or '.join(names)} in {source} or right below it; {what_is_in(source)}")
    return found


def what_is_in(source: Path) -> str:
    """What a folder holds that is not the expected download, and which command reads it, in words."""
    names = sorted(path.name for path in source.iterdir())
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    found = f"found {', '.join(names[:SHOWN])}{more}" if names else "the folder is empty"
    tables = [name for name in names if name.endswith((".csv", ".csv.gz"))]
    return f"{found}: `cxrbench data import manifest` reads a table of your own" if tables else found


def optional_folder(source: Path, names: Sequence[str]) -> Path | None:
    """As `folder_of`, None where there is none."""
    below = (folder / name for name in names for folder in folders(source))
    return next((path for path in below if path.is_dir()), None)


def films_below(which: str, roots: Sequence[Path]) -> dict[str, Path]:
    """The films below folders by their names without an ending; of a folder that holds another of them those right in it
    alone. InputError where one is there twice.
    """
    found: dict[str, Path] = {}
    for root in roots:
        outer = any(other != root and other.is_relative_to(root) for other in roots)
        for path in sorted(root.glob("*") if outer else root.rglob("*")):
            if is_film(path):
                first = found.setdefault(film_id(path), path)
                if first != path:
                    raise InputError(f"{which}: {film_id(path)} is there twice: {first} and {path}; remove one")
    return found


class Finder:
    """Finds films that may lie below one of several roots, by one of several relative paths."""

    def __init__(self, roots: Iterable[Path]) -> None:
        self.roots = list(dict.fromkeys(roots))
        self._last = (0, 0)

    def find(self, *relative: str) -> Path:
        """The first that is there, tried first where the last one was; where none is, the first that might be."""
        places = [(root, one) for root in range(len(self.roots)) for one in range(len(relative))]
        if self._last in places:
            places.insert(0, self._last)
        for root, one in places:
            path = self.roots[root] / relative[one]
            if path.is_file():
                self._last = (root, one)
                return path
        return self.roots[0] / relative[0]
