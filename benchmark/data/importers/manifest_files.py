"""The files that a manifest names: whether they are there, before anything is drawn or opened."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from ...errors import InputError
from ..reading.films import is_film


def missing_files(
    films: Sequence[Path],
    masks: Sequence[Mapping[str, Path]],
    root: Path,
    places: Callable[[Sequence[int]], str],
) -> InputError | None:
    """The error for films, else for masks, that are not there, with what may be wrong with the first; None where all are.
    places: where rows are in the table."""
    missing = [film for film in films if not film.is_file()]
    named = {*films, *(file for of_film in masks for file in of_film.values())}
    if missing:
        count = f"{len(missing)} files are" if len(missing) > 1 else "a file is"
        first = f"{missing[0]}{' (the first)' if len(missing) > 1 else ''}"
        return InputError(f"manifest: {count} missing: {first}{_hint(missing[0], root, named)}")
    absent = {row: [file for file in of_film.values() if not file.is_file()] for row, of_film in enumerate(masks)}
    rows = [row for row, files in absent.items() if files]
    if not rows:
        return None
    first_mask, film = absent[rows[0]][0], films[rows[0]]
    return InputError(
        f"manifest: masks of {len(rows)} of {len(films)} films are missing, the first {first_mask}"
        f"{_hint(first_mask, root, named, film)}; put them there, or leave the lines of these films ({places(rows)}) out of "
        "the table"
    )


def absent(path: Path) -> InputError:
    """The error for a table or folder that does not exist, with the nearest that does."""
    try:
        there = [one.name for one in path.parent.iterdir()]
    except OSError:
        there = []
    near = difflib.get_close_matches(path.name, there, n=1)
    return InputError(f"{path} does not exist{f'; did you mean {path.with_name(near[0])}?' if near else ''}")


def _hint(first: Path, root: Path, named: Collection[Path], film: Path | None = None) -> str:
    """What may be wrong with the path of a file that is not there: `named` are those of the table; `film`, of a mask, is its
    film."""
    if first.parent.is_dir():
        near = sorted(path.name for path in first.parent.glob(f"{_escaped(first.stem)}.*")) or _alike(
            first, named, film
        )
        return f"; there is {near[0]}" if near else ""
    if first.is_relative_to(root) and (root.parent / first.relative_to(root)).is_file():
        return f"; it is below {root.parent}: --root {root.parent}"
    return ""


def _alike(first: Path, named: Collection[Path], film: Path | None) -> list[str]:
    """The pictures of no row in the folder of a file that may be it: of a like name with the same numbers; of a mask that is
    to lie beside its film, the only one there."""
    others = {path.stem: path.name for path in sorted(first.parent.iterdir()) if path not in named and is_film(path)}
    numbers = re.findall(r"\d+", first.stem)
    stems = [stem for stem in others if re.findall(r"\d+", stem) == numbers]
    near = [others[stem] for stem in difflib.get_close_matches(first.stem, stems, n=1)]
    alone = film is not None and film.parent == first.parent and len(others) == 1
    return near or (list(others.values()) if alone else [])


def _escaped(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)
