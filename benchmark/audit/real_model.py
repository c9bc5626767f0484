"""The REAL model of the store that an audit asks: its task, the model itself, the real films that it never saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..contracts.task import ArmName, Task
from ..data.dataset import Annotation, Dataset
from ..data.sizes import FULL
from ..errors import CxrbenchError, StoreError
from ..registry import find_task
from ..runs.own_store import home_store
from ..runs.record import CellIdentity, Record
from ..runs.store import MODEL, Level
from .sources import Opened, task_of


@dataclass(frozen=True)
class Judge:
    """A trained REAL model, its task, the real films that it is tested on, and those that it was trained on (None: not
    known)."""

    task: Task
    model: Any
    test: Dataset
    train: Dataset | None = None


def newest_real(opened: Opened, suits: Callable[[Annotation], bool], *, own: bool = False) -> Record | None:
    """The REAL model of these real films whose task needs what suits: of the run's task and fold where there is one, at the
    largest size the newest; None where the store has none. `own`: before all others that of the same size and seed as the
    films, which a run itself asks."""
    store = home_store()
    made_for = opened.cell
    wanted = opened.sides.real.info.name if made_for is None else made_for.data.name
    found = []
    for path in sorted((store.root / Level.RECORDS.value).glob("*/*/record.json")):
        try:
            record = store.record(path.parent.name)
            if record.cell.arm != ArmName.REAL.value or record.cell.data.name != wanted or record.cell.placebo:
                continue
            needs = find_task(record.cell.task.name).load().needs
        except (StoreError, CxrbenchError):
            continue
        if suits(needs) and (path.parent / MODEL).is_file():
            found.append(record)
    return max(found, key=lambda one: (*_nearness(one.cell, made_for, own), one.created, one.key), default=None)


def _nearness(cell: CellIdentity, made_for: CellIdentity | None, own: bool) -> tuple[bool, bool, bool, bool]:
    """Whether a cell is of the same task and preset, of the same fold, of the same size, seed and settings where `own` are
    asked for, and of the full size."""
    if made_for is None:
        return False, False, False, cell.size == FULL
    same = (cell.task.name, cell.preset) == (made_for.task.name, made_for.preset)
    mine = (cell.size, cell.seed, cell.task.settings) == (made_for.size, made_for.seed, made_for.task.settings)
    return same, cell.fold == made_for.fold, own and mine, cell.size == FULL


def load_judge(record: Record) -> Judge:
    """The model of a record with its task and films."""
    task, data, slot = task_of(record.cell)
    model = task.load_model(home_store().path(Level.RECORDS, record.key) / MODEL, data)
    return Judge(task, model, task.test_set(data, slot), task.training_set(data, slot))
