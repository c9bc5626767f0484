"""The audit that is part of every run: of the headline's size the films of the first fold and seed, in the spaces of grey
levels, texture and anatomy, which take seconds and no network, how alike they are, and what the run's own REAL model says of
the annotations of some of them. `cxrbench audit` has the other spaces, and copies with known power."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from .. import digest
from ..contracts.task import ArmName
from ..data.dataset import Dataset, pack_masks
from ..errors import CxrbenchError, InputError, StoreError, one_line
from ..fidelity.audit import alike_beside
from ..fidelity.compare import compare
from ..fidelity.repeats import repeats
from ..fidelity.spaces import ANATOMY, GREY, TEXTURE, Space, comparable
from ..files import write_text
from ..plain_files import FILE, read_plain_json, remove_odd
from ..progress import Progress
from ..results.fidelity_rows import SCHEMA, FidelityRow
from ..results.finished import Harvest
from ..runs.job import Cell
from ..runs.store import MODEL, Level
from .faithful import agreement
from .real_model import Judge

FOLDER = "audits"
FORM = 2
"""What is computed here and how: a part of the names of what is kept."""
MOST = 1000
"""Films that are compared at most, evenly spread over the set, with twice as many real ones: a run stays a run."""
ASKED = 200
"""Films of either side that a REAL model is asked about at most."""


@dataclass
class _Real:
    """Real films at one size, and their features, taken once for all sets of films."""

    films: Dataset
    features: dict[tuple[str, tuple[str, ...]], np.ndarray] = field(default_factory=dict)
    repeated: float | None = None

    def of(self, space: Space, organs: tuple[str, ...], progress: Progress) -> np.ndarray:
        """The features of a space, of these organs."""
        place = (space.name, organs if space.needs_masks else ())
        if place not in self.features:
            self.features[place] = space.features(
                _with(self.films, organs) if space.needs_masks else self.films, progress
            )
        return self.features[place]


def lean_rows(harvest: Harvest, progress: Progress) -> list[FidelityRow]:
    """A row for the size that the task's boards rank by (the first one of a run without it), where the store has its films;
    numbers that it has are not computed again."""
    cells = list(_first_cells(harvest))
    real: dict[int, _Real] = {}
    rows = []
    for number, cell in enumerate(cells):
        part = progress.part("", number / len(cells), (number + 1) / len(cells))
        with suppress(InputError, StoreError, OSError):  # films that are gone have no row
            films = harvest.store.synthetic(str(cell.synthetic_key))
            rows.append(_row(harvest, cell, films, real, part))
    return rows


def _first_cells(harvest: Harvest) -> Iterator[Cell]:
    """Of the headline's size the first finished cell with films of the provider, of the task's own number of them."""
    headline = harvest.plan.task.headline
    ranked = [size for size in harvest.sizes if headline is not None and size == headline.size]
    for size in ranked or harvest.sizes[:1]:
        cells = (cell for cell in harvest.plan.cells if cell.slot.size == size and cell.key in harvest.records)
        own = (cell for cell in cells if cell.synthetic_key is not None and cell.identity.synthetic is None)
        there = (cell for cell in own if harvest.store.path(Level.SYNTHETIC, str(cell.synthetic_key)).is_dir())
        if (first := next(there, None)) is not None:
            yield first


def _row(harvest: Harvest, cell: Cell, films: Dataset, real: dict[int, _Real], progress: Progress) -> FidelityRow:
    data = harvest.plan.data
    model = _real_model(harvest, cell) if harvest.plan.task.needs in films.annotations else None
    place = [cell.slot.size, cell.slot.fold, cell.seed, model and model.key]
    key = digest.of_json(["audit", FORM, films.digest, data.digest, *place])
    path = harvest.store.root / FOLDER / f"{key}.json"
    remove_odd(path, FILE)
    with suppress(StoreError):  # not there, or damaged: made again
        return read_plain_json(path, FidelityRow, SCHEMA)
    side = min(films.resolution, data.resolution)
    beside = real.setdefault(side, _Real(_some(data, 2 * MOST).resized(side)))
    row = FidelityRow(
        size=cell.slot.size,
        fold=cell.slot.fold,
        seed=cell.seed,
        films=len(films),
        resolution=side,
        digest=films.digest,
        real=data.digest,
    )
    try:
        row = _compared(row, _some(films, MOST).resized(side), beside, progress)
        if model is not None:
            row = _asked(row, harvest, model, films)
    except CxrbenchError as error:  # too few films
        row = row.model_copy(update={"note": str(error)})
    except Exception as error:  # of arithmetic on odd films: a run ends with its results, whatever they look like
        row = row.model_copy(update={"note": f"{type(error).__name__}: {one_line(error)}"})
    write_text(path, row.model_dump_json(by_alias=True, indent=1) + "\n")
    return row


def _compared(row: FidelityRow, films: Dataset, real: _Real, progress: Progress) -> FidelityRow:
    common = tuple(organ for organ in real.films.organs if organ in films.organs)
    with_masks = films.masks is not None and real.films.masks is not None and bool(common)
    spaces = [GREY, TEXTURE, *([ANATOMY] if with_masks else [])]
    found = []
    for number, space in enumerate(spaces):
        progress.update(number / len(spaces), space.name)
        mine = space.features(_with(films, common) if space.needs_masks else films, Progress())
        theirs, mine = comparable(space, real.of(space, common, Progress()), mine)
        found.append(compare(space.name, space.about, theirs, mine))
    if real.repeated is None:
        real.repeated = repeats(real.films.images)
    again = {"repeats": repeats(films.images), "repeats_real": real.repeated}
    alike = alike_beside(films, real.films, found[0].frechet.films)[0]
    return row.model_copy(update={"spaces": found, "alike": alike, **again})


def _real_model(harvest: Harvest, cell: Cell) -> Cell | None:
    """The finished REAL cell of the same fold, size and seed, where the store has its model."""
    same = (
        one
        for one in harvest.plan.cells
        if one.slot == replace(cell.slot, arm=ArmName.REAL) and not one.identity.placebo and one.key in harvest.records
    )
    return next((one for one in same if (harvest.store.path(Level.RECORDS, one.key) / MODEL).is_file()), None)


def _asked(row: FidelityRow, harvest: Harvest, cell: Cell, films: Dataset) -> FidelityRow:
    """The row with what a REAL model says of the films' annotations, or with the line why it says nothing."""
    task, data = harvest.plan.task, harvest.plan.data
    try:
        model = task.load_model(harvest.store.path(Level.RECORDS, cell.key) / MODEL, data)
        judge = Judge(task, model, _some(task.test_set(data, cell.slot), ASKED))
        return row.model_copy(update={"agreement": agreement(judge, _some(films, ASKED))})
    except Exception as error:  # of a task that is not ours, or a model of another version
        return row.model_copy(update={"note": f"its annotations are not asked about: {one_line(error)}"})


def _some(films: Dataset, most: int) -> Dataset:
    """At most so many films, evenly spread."""
    return films if len(films) <= most else films.select(np.linspace(0, len(films) - 1, most).round().astype(int))


def _with(films: Dataset, organs: tuple[str, ...]) -> Dataset:
    """The films with masks of these organs, in this order."""
    if films.organs == organs:
        return films
    return replace(films, info=films.info.changed(organs=organs), masks=pack_masks(films.organ_masks(organs)))
