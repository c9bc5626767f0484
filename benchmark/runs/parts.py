"""Models that a cell's own is put together from (`Task.parts`): taken from the store where they are there."""

from __future__ import annotations

from collections.abc import Iterable

from ..contracts.task import Model, Task
from ..data.dataset import Dataset
from .job import Cell
from .record import Curve
from .store import MODEL, Level, Store


def parts_of(cell: Cell, store: Store, task: Task, data: Dataset) -> dict[str, Model]:
    """The trained models by name, as far as they are there."""
    there = {name: key for name, key in cell.part_keys.items() if store.sound(Level.RECORDS, key)}
    return {
        name: part.load_model(store.path(Level.RECORDS, there[name]) / MODEL, data)
        for name, part in task.parts().items()
        if name in there
    }


def curves_of(cell: Cell, store: Store, names: Iterable[str]) -> dict[str, Curve]:
    """The training curves of those of these names, as a training of the whole would have them."""
    curves: dict[str, Curve] = {}
    for name in names:
        curves.update(store.record(cell.part_keys[name]).downstream.curves)
    return curves
