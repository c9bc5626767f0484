"""What is held against the films of a run at its end: whether they show the cases that their sources name, and whether their
masks lie where the organs do. No record has it and no number changes by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ..contracts.named_sources import named_sources
from ..contracts.placed_organs import misplaced, misplaced_words
from ..data.dataset import Dataset
from ..errors import CxrbenchError
from ..progress import Progress
from ..runs.job import Cell
from .finished import Harvest
from .rows import CheckRow

SOURCES, PLACES = "named sources", "places of organs"
AS_NAMED, IN_PLACE = "as the films show", "as in the training films"


def film_checks(harvest: Harvest, progress: Progress) -> list[CheckRow]:
    """A row for every set of films and check, of the checks that found something in any of them. Films that the store has no
    more are not checked."""
    cells = {str(cell.synthetic_key): cell for cell in _with_films(harvest)}
    rows: list[CheckRow] = []
    for number, cell in enumerate(cells.values()):
        progress.update(number / len(cells), f"films of {cell.slot.size} seed {cell.seed}")
        with suppress(CxrbenchError, OSError):
            films = harvest.store.synthetic(str(cell.synthetic_key))
            rows += _rows(cell, films, harvest.plan.task.training_set(harvest.plan.data, cell.slot))
    odd = {row.name for row in rows if row.alarm}
    return [row for row in rows if row.name in odd]


def _with_films(harvest: Harvest) -> Iterator[Cell]:
    for cell in harvest.plan.cells:
        if cell.key in harvest.records and cell.synthetic_key is not None and not cell.identity.placebo:
            yield cell


def _rows(cell: Cell, films: Dataset, train: Dataset) -> Iterator[CheckRow]:
    named = any(len(row) for row in films.cases.get("source_ids", ()))
    found = {
        SOURCES: (named_sources(films, train).words() if named else "", AS_NAMED),
        PLACES: (misplaced_words(misplaced(films, train)), IN_PLACE),
    }
    for name, (wrong, right) in found.items():
        yield CheckRow(
            size=cell.slot.size,
            fold=cell.slot.fold,
            seed=cell.seed,
            name=name,
            sentence=wrong or right,
            alarm=bool(wrong),
        )
