"""From a finished run to an entry: the run's results, and of every cell what another can compute its numbers from.

Weights and whole training curves stay at home; a few synthetic films come along as pictures where that is asked for.
Predictions are packed again without loss, but for detections that no score sees; case scores are left out where the films
can be drawn by anyone, because they follow from the predictions to the last digit.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..benchmark import digest
from ..benchmark.errors import InputError, StoreError
from ..benchmark.files import new_folder, write_text
from ..benchmark.results.assemble import environment_rows
from ..benchmark.results.folder import load_run
from ..benchmark.results.rows import Results, Status
from ..benchmark.runs.record import Curve, Record
from ..benchmark.runs.smoke import is_smoke
from ..benchmark.runs.store import Store
from .arms import is_shared, label_of
from .cells import Cell, replaced, write_cells
from .checks.subject import Sources, films_at_hand, find_protocol, slot_of
from .entry import (
    DIGESTS,
    MAX_SAMPLES,
    NAME,
    RESULTS,
    RUNS,
    SAMPLES,
    SCHEMA,
    SHARED,
    SUBMISSION,
    entry_files,
    entry_folders,
    load_entry,
    read_shared,
    read_submission,
    run_name,
    shared_cells,
    shared_places,
)
from .example import example_files
from .thinning import thinned

if TYPE_CHECKING:
    from PIL import Image

CURVE_ROWS = 24
"""A curve keeps this many rows, evenly spread, the first and the last among them."""

SAMPLE_SIDE, SAMPLE_COLOURS = 128, 64
"""Sample pictures have at least so many pixels a side, at most twice as many, and so many colours."""


def new_entry(name: str, root: Path) -> Path:
    """Write a filled example to `root/<name>`. InputError for a name that is not allowed or is taken."""
    folder = _folder(name, root)
    if folder.exists():
        raise InputError(f"{folder} is there already; choose another name, or change its submission.toml")
    with new_folder(folder) as draft:
        for file, text in example_files(name).items():
            (draft / file).write_text(text, encoding="utf-8")
    return folder


def _folder(name: str, root: Path) -> Path:
    if not NAME.fullmatch(name) or name == SHARED:
        raise InputError(f"'{name}' cannot be an entry's name: small letters, digits, '_' and '-', at most 48")
    return root / name


def pack(run: Path, name: str, root: Path, store: Store, *, share: bool = False, samples: int = 0) -> Path:
    """Put a finished run into the entry `root/<name>`, which is made when it is not there; a packed run of the same board
    is replaced. `share`: its cells without a provider (REAL, placebos) go to `root/shared`, where other entries find them.
    `samples`: so many synthetic films of each size become pictures of the entry.

    InputError where the folder is no finished run, or the store no longer has its cells.
    """
    results, folder = load_run(run), _folder(name, root)
    if is_smoke(results.preset):
        raise InputError(
            f"{run} is a smoke run, whose trainings were cut to a handful of steps: no result for an entry"
        )
    if results.provider.kept:
        raise InputError(f"{run}: its fits were ended by a person's eye; an entry's are what its code makes of a seed")
    if not 0 <= samples <= (most := MAX_SAMPLES // len(results.sizes)):
        raise InputError(f"expected 0 to {most} samples of each of {len(results.sizes)} sizes, found {samples}")
    records = _records(results, store)
    pictures = _pictures(records, store, samples)
    if (folder / SUBMISSION).is_file():
        entry_files(folder)
        read_submission(folder / SUBMISSION)  # an entry of an older schema is not mixed with this one
    else:
        new_entry(name, root)
    common = _share(results, records, root, store, share=share)
    home = shared_cells(root, results)
    kept = [home.records[record.key] if record.key in common else record for record in records]
    results = _of_cells(results, kept).model_copy(update={"command": _without_places(results.command)})
    own = [record for record in records if record.key not in common]
    write_run(folder / RUNS / run_name(results), results, _kept(results, own, store))
    for file, picture in pictures.items():
        (folder / SAMPLES).mkdir(exist_ok=True)
        picture.save(folder / SAMPLES / file, optimize=True)
    forget_unused(root)
    seal(folder)
    return folder


def write_run(folder: Path, results: Results, cells: Iterable[Cell]) -> None:
    """Write the folder of a run, in place of one that is there; `cells` in the order of the results."""
    with replaced(folder) as draft:
        (draft / RESULTS).write_text(results_text(results), encoding="utf-8")
        write_cells(draft, cells)


def results_text(results: Results) -> str:
    """The text of an entry's `results.json`."""
    text = json.dumps(results.model_dump(mode="json", by_alias=True), separators=(",", ":"), allow_nan=False)
    return text + "\n"


def _share(results: Results, records: Sequence[Record], root: Path, store: Store, *, share: bool) -> set[str]:
    """The keys of a run's cells without a provider that lie in `root/shared`: those that were there, with the same numbers
    (another processor has others); with `share`, those that were not there, too."""
    home = shared_cells(root, results)
    without = [record for record in records if is_shared(label_of(record.cell))]
    new = [record for record in without if record.key not in home.records] if share else []
    if new:
        write_shared(home.folder, [*map(home.cell, home.records), *_kept(results, new, store)])
    same = {record.key for record in without if _same_numbers(record, home.records.get(record.key))}
    return same | {record.key for record in new}


def _of_cells(results: Results, records: Iterable[Record]) -> Results:
    """Results that tell times and places of the cells that an entry will have: a shared one was trained elsewhere, or
    at another time, to the same numbers."""
    found = {record.key: record for record in records}
    rows = [
        row.model_copy(update={"seconds": found[row.key].downstream.seconds}) if row.key in found else row
        for row in results.cells
    ]
    return results.model_copy(update={"cells": rows, "environments": environment_rows(found.values())})


def _same_numbers(record: Record, other: Record | None) -> bool:
    return other is not None and record.table == other.table


def write_shared(folder: Path, cells: Iterable[Cell]) -> None:
    """Write a folder of shared cells, in place of one that is there; they are ordered by their keys."""
    with replaced(folder) as draft:
        write_cells(draft, sorted(cells, key=lambda cell: cell.record.key))


def _without_places(command: Sequence[str]) -> list[str]:
    """A command without what it says of its writer's machine: `--out` and the folders of absolute paths."""
    words = [word for before, word in zip(["", *command], command, strict=False) if "--out" not in (before, word)]
    return [Path(word).name if Path(word).is_absolute() else word for word in words if not word.startswith("--out=")]


def _records(results: Results, store: Store) -> list[Record]:
    try:
        found = [store.record(cell.key) for cell in results.cells if cell.status is Status.DONE]
    except StoreError as error:
        raise InputError(f"{error}; run it again, then pack") from None
    if not found:
        raise InputError("no cell of this run is finished; there is nothing to pack")
    return found


def _kept(results: Results, records: Iterable[Record], store: Store) -> Iterator[Cell]:
    """What an entry keeps of cells: thinned curves, predictions that scores see, case scores where films may not be had."""
    keep_scores = films_at_hand(results.data.name, results.data.resolution) is None or not results.data.phantom
    protocol = find_protocol(results, Sources())
    for record in records:
        said = store.predictions(record.key)
        if protocol is not None and protocol.films is not None:
            said = thinned(said, protocol.task, protocol.task.test_set(protocol.films, slot_of(record)))
        curves = {name: _thinned(curve) for name, curve in record.downstream.curves.items()}
        downstream = record.downstream.model_copy(update={"curves": curves})
        kept = record.model_copy(update={"downstream": downstream})
        yield Cell(kept, said, store.scores(record.key) if keep_scores else None)


def _thinned(curve: Curve) -> Curve:
    rows: Sequence[Mapping[str, float]] = curve.rows
    if len(rows) <= CURVE_ROWS:
        return curve
    chosen = sorted({round(index * (len(rows) - 1) / (CURVE_ROWS - 1)) for index in range(CURVE_ROWS)})
    kept = [{name: float(f"{value:.6g}") for name, value in rows[index].items()} for index in chosen]
    return curve.model_copy(update={"rows": kept})


def _pictures(cells: Sequence[Record], store: Store, count: int) -> dict[str, Image.Image]:
    """The first synthetic films of each size, of the first seed, by the names of their files."""
    from PIL import Image

    from ..benchmark.data.contact_sheet import film_picture

    first: dict[str, str] = {}
    for record in sorted(cells, key=lambda record: (record.cell.seed, record.cell.fold)):
        if record.synthetic_key is not None:
            first.setdefault(record.cell.size, record.synthetic_key)
    found = {}
    for size, key in first.items() if count else ():
        try:
            films = store.synthetic(key)
        except InputError as error:
            raise InputError(f"no films for samples: {error}; run it again, or pack without --samples") from None
        for row in range(min(count, len(films))):
            side = max(SAMPLE_SIDE, min(films.resolution, 2 * SAMPLE_SIDE))
            picture = film_picture(films, row, side, words=False)
            few = picture.quantize(SAMPLE_COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
            found[f"{re.sub('[^a-z0-9_-]', '', size.lower())}-{row + 1}.png"] = few
    return found


def forget_unused(root: Path) -> None:
    """Take shared cells away that no entry uses any more; none while an entry or a shared cell cannot be read."""
    boards = sorted((root / SHARED).iterdir()) if (root / SHARED).is_dir() else []
    try:
        entries = [load_entry(folder) for folder in entry_folders(root)]
        homes = [read_shared(folder) for folder in boards]
    except InputError:
        return
    used = {place for entry in entries for place in shared_places(entry)}
    for home in homes:
        wanted = [key for key in home.records if (home.folder.name, key) in used]
        if not wanted:
            shutil.rmtree(home.folder)
        elif len(wanted) < len(home.records):
            write_shared(home.folder, map(home.cell, wanted))


def seal(folder: Path) -> None:
    """Write `digests.json`: the sha256 of every file below `runs/`."""
    files = {
        path.relative_to(folder).as_posix(): digest.of_file(path)
        for path in sorted((folder / RUNS).rglob("*"))
        if path.is_file()
    }
    write_text(folder / DIGESTS, json.dumps({"schema": SCHEMA, "files": files}, indent=1) + "\n")
