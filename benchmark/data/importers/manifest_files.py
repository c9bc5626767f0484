"""The files that a manifest names: whether they are there, before anything is drawn or opened."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ...errors import InputError


def missing_files(
    films: Sequence[Path],
    masks: Sequence[Mapping[str, Path]],
    root: Path,
    places: Callable[[Sequence[int]], str],
) -> InputError | None:
    """The error for films, else for masks, that are not there, with what may be wrong with the first; None where all are.
    places: where rows are in the table."""
    missing = [film for film in films if not film.is_file()]
    if missing:
        count = f"{len(missing)} files are" if len(missing) > 1 else "a file is"
        first = f"{missing[0]}{' (the first)' if len(missing) > 1 else ''}"
        return InputError(f"manifest: {count} missing: {first}{_hint(missing[0], root)}")
    absent = {row: [file for file in of_film.values() if not file.is_file()] for row, of_film in enumerate(masks)}
    rows = [row for row, files in absent.items() if files]
    if not rows:
        return None
    first_mask = absent[rows[0]][0]
    return InputError(
        f"manifest: masks of {len(rows)} of {len(films)} films are missing, the first {first_mask}"
        f"{_hint(first_mask, root)}; put them there, or leave the lines of these films ({places(rows)}) out of the table"
    )


def _hint(first: Path, root: Path) -> str:
    """What may be wrong with the path of a file that is not there."""
    if first.parent.is_dir():
        near = sorted(path.name for path in first.parent.glob(f"{_escaped(first.stem)}.*"))
        return f"; there is {near[0]}" if near else ""
    if first.is_relative_to(root) and (root.parent / first.relative_to(root)).is_file():
        return f"; it is below {root.parent}: --root {root.parent}"
    return ""


def _escaped(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)
