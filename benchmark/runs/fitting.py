"""One fit for a person who looks at samples along its trainings: prepared, and its samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..contracts.label_by import LabelBy
from ..errors import InputError, unknown
from ..progress import Progress
from ..training.by_eye import picture_name, strip
from . import along
from .chosen import moments_of, named, parse_keep
from .job import Cell, Fitting
from .plan import Plan
from .request import Prepared, Request, prepare
from .schedule import Schedule, work_of
from .store import Level, Store


@dataclass(frozen=True)
class PreparedFit:
    """A fit that is ready to start, as a run of one step, and the cell that it is of."""

    prepared: Prepared
    cell: Cell

    @property
    def kept(self) -> Mapping[str, int]:
        """The steps that a person chose."""
        provider = self.cell.identity.provider
        return {} if provider is None else provider.kept


def prepare_fit(
    request: Request, *, size: str | None, fold: str | None, seed: int, progress: Progress | None = None
) -> PreparedFit:
    """The fit of a size, fold (by default the first ones) and seed of a run. With `request.keep` that of the chosen steps,
    which must have been shown. InputError in one line."""
    whole = prepare(replace(request, seeds=seed + 1, keep=()), progress)
    cell = _cell(whole.plan, size, fold, seed)
    if cell.label_by is LabelBy.PER_CLASS:
        raise InputError("--label-by per_class: it fits a generator for every finding; one fit alone is kept by eye")
    if not request.keep:
        return _one_step(whole, cell)
    moments = moments_of(whole.store, str(cell.whole_key))
    asked = parse_keep(request.keep)
    if wrong := [key for key in asked if "/" in key]:
        raise InputError(f"--keep {wrong[0]}={asked[wrong[0]]}: a fit is of one size; name it with --size")
    if not moments:
        raise InputError("--keep: no samples along this fit were shown yet; first the same command without --keep")
    kept = named(asked, list(moments))
    for name, step in kept.items():
        if not step or step not in moments[name]:
            there = ", ".join(str(one) for one in moments[name] if one)
            raise InputError(f"--keep {name}={step}: samples of {name} were shown after the steps {there}")
    texts = tuple(f"{name}={step}" for name, step in kept.items())
    chosen = prepare(replace(request, seeds=seed + 1, keep=texts), progress, made_now=True)
    return _one_step(chosen, _cell(chosen.plan, cell.slot.size, cell.slot.fold, seed))


def _cell(plan: Plan, size: str | None, fold: str | None, seed: int) -> Cell:
    cells = [cell for cell in plan.cells if cell.fit_key and cell.seed == seed]
    for what, asked in (("size", size), ("fold", fold)):
        there = list(dict.fromkeys(getattr(cell.slot, what) for cell in cells))
        if asked is not None and asked not in there:
            raise unknown(what, asked, there)
        cells = [cell for cell in cells if getattr(cell.slot, what) == (asked or there[0])]
    return cells[0]


def _one_step(prepared: Prepared, cell: Cell) -> PreparedFit:
    label = f"fit {prepared.plan.provider.name} {cell.slot.size}"
    step = Fitting(work=work_of(prepared.plan, prepared.store), cell=cell, label=label)
    done = frozenset({step.key} if prepared.store.sound(Level.FITS, step.key) else ())
    one = replace(prepared, schedule=Schedule(((step,),), {step.key: None}), done=done, jobs=1)
    return PreparedFit(one, cell)


def samples_of(store: Store, cell: Cell) -> dict[str, list[tuple[int, np.ndarray]]]:
    """(step, samples side by side, uint8 (H, W)) along the trainings of a cell's whole fit, by training."""
    from PIL import Image

    folder, key = store.moments(str(cell.whole_key)), str(cell.whole_key)
    beside = along.read(store.path(Level.FITS, key) / along.FILE)
    found: dict[str, list[tuple[int, np.ndarray]]] = {}
    for name, steps in moments_of(store, key).items():
        paths = [folder / picture_name(name, step) for step in steps]
        if all(path.is_file() for path in paths):
            found[name] = [(step, np.asarray(Image.open(path))) for step, path in zip(steps, paths, strict=True)]
        else:
            found[name] = [(step, strip(films)) for step, films in _beside(beside, name)]
    return found


def _beside(kept: Mapping[str, tuple[np.ndarray, np.ndarray]], name: str) -> Sequence[tuple[int, np.ndarray]]:
    steps, films = kept[name] if name in kept else kept[""]
    return [(int(step), pictures) for step, pictures in zip(steps, films, strict=True)]
