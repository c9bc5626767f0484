"""The folder of a run that was written before from the same: results, tables, figures and page, kept in the home.

It lies under the digest of all that it follows from: the plan, what the store holds of it, the curve, the words of the
command, the code and its libraries. With another of these it has another digest: nothing can be stale. Whole runs alone are
kept; what is damaged is not taken. The home may be deleted at any time.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from .. import digest
from ..errors import CxrbenchError, InputError
from ..files import new_folder, write_bytes
from ..home import home
from ..plain_files import read_plain
from ..results.folder import FILMS, REPORT, RESULTS, load_run
from ..runs.store import Level, Store
from ..settings import plain

if TYPE_CHECKING:
    from ..results.curve import FoundCurve
    from ..results.rows import Results
    from ..runs.plan import Plan

SEAL = "seal.json"
"""The sha256 of every other file by its name."""
MOST = 12
"""Runs that are kept: those that were asked for last."""
LIBRARIES = ("matplotlib", "pillow", "jinja2", "pyarrow", "pydantic")
"""What draws and writes, beside the numeric packages."""
OPTIONAL = ("pycocotools", "torchmetrics")
"""What numbers besides come from, where it is installed."""


def key_of(plan: Plan, store: Store, command: Sequence[str], curve: FoundCurve | None) -> str | None:
    """The digest of what the folder of a run follows from; None where a cell has no result."""
    kept = dict(_kept(plan, store))
    if not all(kept.get(f"{Level.RECORDS}/{cell.key}") for cell in plan.cells):
        return None
    return digest.of_json(
        [
            [cell.model_dump(mode="json") for cell in plan.cells],
            kept,
            [films.info.model_dump(mode="json") for films in (plan.data, plan.fit_data)],
            [plan.provider.model_dump(mode="json"), plain(plan.task.settings), list(plan.from_scratch)],
            [plan.preset, list(plan.seeds), plan.device],
            None if curve is None else [curve.source, curve.curve.model_dump(mode="json")],
            list(command),
            digest.of_folder(digest.PACKAGE / "benchmark"),
            digest.of_packages() | {name: metadata.version(name) for name in LIBRARIES} | _optional(),
        ]
    )


def _optional() -> dict[str, str]:
    """Versions of the optional packages that are installed."""
    found = {}
    for name in OPTIONAL:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _kept(plan: Plan, store: Store) -> Iterator[tuple[str, str | None]]:
    """The digest of each entry of the store that the cells of a plan may be shown with; None where it is not there."""
    for cell in plan.cells:
        places = (Level.RECORDS, cell.key), (Level.FITS, cell.fit_key), (Level.SYNTHETIC, cell.synthetic_key)
        for level, key in places:
            if key is not None:
                path = store.path(level, key) / "entry.json"
                yield f"{level}/{key}", digest.of_file(path) if path.is_file() else None


def _place(key: str) -> Path:
    return home() / "reports" / key


def find(key: str | None) -> Results | None:
    """The results of the kept folder; None where there is none, or it is not as it was written."""
    if key is None or not (place := _place(key)).is_dir():
        return None
    try:
        said = json.loads(read_plain(place / SEAL))
        if said != _sealed(place):
            raise ValueError(place)
        os.utime(place)
        return load_run(place)
    except (OSError, ValueError, CxrbenchError):
        shutil.rmtree(place, ignore_errors=True)
        return None


def write(folder: Path, results: Results, plan: Plan, store: Store, key: str | None) -> Path:
    """Write a run's folder, and keep it where all its cells are done. The path of its report."""
    from .write import write_run

    if key is None:
        return write_run(folder, results, plan, store)
    try:
        with new_folder(_place(key)) as draft:
            write_run(draft, results, plan, store)
            (draft / SEAL).write_text(json.dumps(_sealed(draft)), encoding="utf-8")
    except InputError:  # the home takes nothing more: the folder that was asked for may
        return write_run(folder, results, plan, store)
    _forget_old()
    return copy(str(key), folder)


def copy(key: str, folder: Path) -> Path:
    """Write the kept folder again, its results last. The path of its report."""
    place = _place(key)
    names = [name for name in _names(place) if name != RESULTS]
    for name in (*names, RESULTS):
        write_bytes(folder / name, (place / name).read_bytes())
    for path in (folder / FILMS).glob("*.png"):  # of an earlier report
        if f"{FILMS}/{path.name}" not in names:
            path.unlink(missing_ok=True)
    return folder / REPORT


def _names(place: Path) -> list[str]:
    found = (path.relative_to(place).as_posix() for path in sorted(place.rglob("*")) if path.is_file())
    return [name for name in found if name != SEAL]


def _sealed(place: Path) -> dict[str, str]:
    return {name: digest.of_file(place / name) for name in _names(place)}


def _forget_old() -> None:
    """Take away the runs that were not asked for in longest."""
    with suppress(OSError):
        kept = sorted(_place("").glob("[0-9a-f]*"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in kept[MOST:]:
            shutil.rmtree(path, ignore_errors=True)
