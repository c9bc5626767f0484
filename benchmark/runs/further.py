"""Further real test sets for the models of a run: another hospital, children, another machine.

The store keeps the model of every cell, so a set is scored after the run and without a training. What comes of it lies
beside the records, in `further/` of the store, under a key of its own: the keys of cells and their records stay what they
are, whatever sets they are tested on besides.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import digest
from ..contracts.task import Task
from ..data.catalogue import find_dataset
from ..data.dataset import Annotation, Dataset, pack_masks
from ..data.same_pixels import pixel_keys
from ..errors import CxrbenchError, InputError, one_line
from ..files import new_folder
from ..plain_files import FOLDER as PLACE
from ..plain_files import read_plain_json, remove_odd
from ..progress import Progress
from ..schema import Strict, utc_now
from .job import Cell
from .plan import Plan
from .record import DataIdentity, Value
from .store import MODEL, Level, Store

FOLDER, KEPT, SCORES = "further", "further.json", "scores.parquet"
FORM = 1
"""How films are fitted to a task here: a part of the keys."""


@dataclass(frozen=True)
class Further:
    """A further test set as a task's models are tested on it: films at the resolution of the test, and the structures that
    it has in common with the run's own films."""

    name: str
    films: Dataset
    structures: tuple[str, ...]


class FurtherScore(Strict):
    """The table of one cell on a further set; `scores` is the sha256 of the case scores beside it."""

    key: str
    cell: str
    data: DataIdentity
    films: int
    structures: list[str]
    table: list[Value]
    scores: str
    created: str


def further_set(task: Task, data: Dataset, name: str, progress: Progress | None = None) -> Further:
    """A dataset as a test set of a task whose models are trained on `data`: its films with `split` test, all where it has no
    such column. InputError where nothing is annotated in common, or films are those of the run."""
    films = find_dataset(name, task.settings.resolution, progress)
    tested = _tested(films)
    fitted, structures = _FITTED[task.needs](task, data, tested)
    if not structures:
        raise InputError(
            f"--also-test {name}: nothing in common with {data.info.name}; {task.name} scores "
            f"{', '.join(task.structures(data))}"
        )
    ours = dict(zip(pixel_keys(data.resized(task.settings.resolution).images), data.ids, strict=True))
    for one, key in zip(fitted.ids, pixel_keys(fitted.images), strict=True):
        if key in ours:
            raise InputError(
                f"--also-test {name}: its film {one} has the pixels of {ours[key]} of {data.info.name}: no further set"
            )
    return Further(films.info.name, fitted, structures)


def _tested(films: Dataset) -> Dataset:
    """The films of the split test, or all; as films of the split test."""
    if "split" in films.cases and (films.cases["split"].astype(str) == "test").any():
        return films.select(films.cases["split"].astype(str).to_numpy() == "test")
    return replace(films, cases=films.cases.assign(split="test"), info=films.info.changed(), folder=None)


def _with_masks(task: Task, data: Dataset, films: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    """Masks in the order of the run's films; an organ that the set has not is empty, and not scored."""
    if films.masks is None:
        return films, ()
    try:
        known = set(task.structures(films))
    except InputError:  # none of what this task scores
        return films, ()
    empty = np.zeros((len(films), films.resolution, films.resolution), dtype=bool)
    masks = [films.organ_masks([organ])[:, 0] if organ in films.organs else empty for organ in data.organs]
    info = films.info.changed(organs=data.organs)
    fitted = replace(films, info=info, masks=pack_masks(np.stack(masks, axis=1)), folder=None)
    return fitted, tuple(one for one in task.structures(data) if one in known and _shown(task, data, films, one))


def _shown(task: Task, data: Dataset, films: Dataset, structure: str) -> bool:
    """Whether films have masks of a structure. A task that puts one together from organs says it by `has_masks`; where it
    does not, all organs of the run's films are needed."""
    if structure in data.organs:
        return structure in films.organs
    says = getattr(task, "has_masks", None)
    return bool(says(films, structure)) if says is not None else set(data.organs) <= set(films.organs)


def _with_labels(task: Task, data: Dataset, films: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    """Labels in the order of the run's films; a finding that the set does not know is not scored."""
    names = data.info.findings
    known = {one for one in films.info.findings if one in names and films.cases[one].nunique() == 2}
    columns = {one: films.cases[one] if one in films.info.findings else np.uint8(0) for one in names}
    fitted = replace(films, info=films.info.changed(findings=names), cases=films.cases.assign(**columns), folder=None)
    return fitted, tuple(one for one in task.structures(data) if one in known)


def _with_boxes(task: Task, data: Dataset, films: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    """The films with a box of what the run's films have boxes of."""
    if films.boxes is None:
        return films, ()
    common = [one for one in task.structures(data) if one in set(films.boxes["finding"])]
    boxes = films.boxes[films.boxes["finding"].isin(common)]
    return films.select(films.cases["id"].isin(set(boxes["id"])).to_numpy()), tuple(common)


_FITTED = {Annotation.MASKS: _with_masks, Annotation.LABELS: _with_labels, Annotation.BOXES: _with_boxes}


# ------------------------------------------------------------------------------------------------------- scores


def further_key(cell: str, further: Further) -> str:
    """The key of one cell on one set: of the cell, of the set's content, and of what is scored."""
    return digest.of_json(["further", FORM, cell, further.films.digest, further.structures])


def further_place(store: Store, key: str) -> Path:
    """Where the score of a key lies or would lie."""
    return store.root / FOLDER / key


def kept_score(store: Store, cell: str, further: Further) -> FurtherScore | None:
    """The score of a cell on a set that the store has; None where it has none, or a damaged one."""
    place = further_place(store, further_key(cell, further))
    try:
        remove_odd(place, PLACE)
        found = read_plain_json(place / KEPT, FurtherScore)
        return found if digest.of_file(place / SCORES) == found.scores else None
    except (CxrbenchError, OSError):
        return None


def further_scores(store: Store, found: FurtherScore) -> pd.DataFrame:
    """The case scores of a kept score."""
    return pd.read_parquet(further_place(store, found.key) / SCORES)


def score_further(plan: Plan, store: Store, sets: Sequence[Further], progress: Progress) -> Iterator[str]:
    """Score every model of a plan that the store has on every set, as far as the store has not the score; yields a line for
    each model that could not be."""
    cells = [cell for cell in plan.cells if store.path(Level.RECORDS, cell.key).is_dir()]
    todo = [(cell, one) for cell in cells for one in sets if kept_score(store, cell.key, one) is None]
    for number, (cell, one) in enumerate(todo):
        progress.update(number / len(todo), f"{one.name}: {cell.arm} {cell.slot.size} seed {cell.seed}")
        try:
            _score(plan, store, cell, one)
        except CxrbenchError as error:
            yield f"{one.name}, {cell.arm} {cell.slot.size} seed {cell.seed}: {error}"
        except Exception as error:  # of a task that is not ours
            yield f"{one.name}, {cell.arm} {cell.slot.size} seed {cell.seed}: {type(error).__name__}: {one_line(error)}"


def _score(plan: Plan, store: Store, cell: Cell, further: Further) -> None:
    task, key = plan.task, further_key(cell.key, further)
    path = store.path(Level.RECORDS, cell.key) / MODEL
    if not path.is_file():
        raise InputError("the store has not its model")
    model = task.load_model(path, plan.data)
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(task.settings.threads)
    scores = task.score(task.predict(model, further.films, device=plan.device), further.films)
    scores = scores[scores["structure"].isin(further.structures)].reset_index(drop=True)
    info = further.films.info
    shutil.rmtree(further_place(store, key), ignore_errors=True)  # a damaged one
    with new_folder(further_place(store, key)) as draft:
        scores.to_parquet(draft / SCORES, index=False)
        found = FurtherScore(
            key=key,
            cell=cell.key,
            data=DataIdentity(
                name=further.name, digest=further.films.digest, provenance=info.provenance, version=info.version
            ),
            films=len(further.films),
            structures=list(further.structures),
            table=[Value.model_validate(row) for row in task.summarise(scores).to_dict("records")],
            scores=digest.of_file(draft / SCORES),
            created=utc_now(),
        )
        (draft / KEPT).write_text(found.model_dump_json(indent=1), encoding="utf-8")
