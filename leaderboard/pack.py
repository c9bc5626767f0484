"""From a finished run to an entry: the run's results, and of every cell what another can compute its numbers from.

Weights and whole training curves stay at home; a few synthetic films come along as pictures where that is asked for.
Predictions are packed again without loss, but for detections that no score sees; case scores are left out where the films
can be drawn by anyone, because they follow from the predictions to the last digit.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..benchmark import digest
from ..benchmark.contracts.task import ArmName
from ..benchmark.errors import InputError, StoreError
from ..benchmark.files import new_folder, write_text
from ..benchmark.results.folder import load_run
from ..benchmark.results.rows import Results, Status
from ..benchmark.runs.record import Curve, Record
from ..benchmark.runs.store import Store
from .arrays import write_predictions, write_scores
from .checks.subject import Protocol, Sources, films_at_hand, find_protocol, slot_of
from .entry import (
    DIGESTS,
    KEY,
    MAX_SAMPLES,
    NAME,
    PREDICTIONS,
    RECORD,
    SAMPLES,
    SCHEMA,
    SCORES,
    SHARED,
    SUBMISSION,
    load_entry,
    run_file,
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
    is replaced. `share`: its REAL cells go to `root/shared`, where other entries find them. `samples`: so many synthetic
    films of each size become pictures of the entry.

    InputError where the folder is no finished run, or the store no longer has its cells.
    """
    results, folder = load_run(run), _folder(name, root)
    if not 0 <= samples <= (most := MAX_SAMPLES // len(results.sizes)):
        raise InputError(f"expected 0 to {most} samples of each of {len(results.sizes)} sizes, found {samples}")
    cells = _records(results, store)
    pictures = _pictures(cells, store, samples)
    if not (folder / SUBMISSION).is_file():
        new_entry(name, root)
    keep_scores = films_at_hand(results.data.name, results.data.resolution) is None or not results.data.phantom
    protocol = find_protocol(results, Sources())
    for record in cells:
        real = record.cell.arm == ArmName.REAL
        shared, own = root / SHARED / record.key, folder / "records" / record.key
        if real and (share or shared.is_dir()):
            _keep_cell(record, store, shared, protocol, keep_scores)
            shutil.rmtree(own, ignore_errors=True)
        else:
            _keep_cell(record, store, own, protocol, keep_scores)
    for file, picture in pictures.items():
        (folder / SAMPLES).mkdir(exist_ok=True)
        picture.save(folder / SAMPLES / file, optimize=True)
    results = results.model_copy(update={"command": _without_places(results.command)})
    text = json.dumps(results.model_dump(mode="json", by_alias=True), separators=(",", ":"), allow_nan=False)
    write_text(folder / "results" / run_file(results), text + "\n")
    _forget(folder)
    seal(folder)
    return folder


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


def _keep_cell(record: Record, store: Store, target: Path, protocol: Protocol | None, keep_scores: bool) -> None:
    if target.is_dir():
        return
    said = store.predictions(record.key)
    if protocol is not None and protocol.films is not None:
        said = thinned(said, protocol.task, protocol.task.test_set(protocol.films, slot_of(record)))
    with new_folder(target) as draft:
        write_predictions(said, draft / PREDICTIONS)
        if keep_scores:
            write_scores(store.scores(record.key), draft / SCORES)
        curves = {name: _thinned(curve) for name, curve in record.downstream.curves.items()}
        kept = record.model_copy(
            update={
                "downstream": record.downstream.model_copy(update={"curves": curves}),
                "files": {path.name: digest.of_file(path) for path in sorted(draft.iterdir())},
            }
        )
        (draft / RECORD).write_text(kept.model_dump_json(by_alias=True) + "\n", encoding="utf-8")


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


def _forget(folder: Path) -> None:
    """Remove cells that no run of the entry has any more: those of a run that was replaced."""
    used = {key for run in load_entry(folder).runs for key in run.folders}
    for path in (folder / "records").glob("*"):
        if KEY.fullmatch(path.name) and path.name not in used:
            shutil.rmtree(path)


def seal(folder: Path) -> None:
    """Write `digests.json`: the sha256 of every file below `results/` and `records/`."""
    files = {
        path.relative_to(folder).as_posix(): digest.of_file(path)
        for part in ("results", "records")
        for path in sorted((folder / part).rglob("*"))
        if path.is_file()
    }
    write_text(folder / DIGESTS, json.dumps({"schema": SCHEMA, "files": files}, indent=1) + "\n")
