"""The films of an audit and the real ones beside them: a folder of pictures or arrays, a dataset, a provider's films
from the store, a finished run; both brought to the smaller of their sizes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..contracts.picture_sources import find_pictures
from ..contracts.pictures import read_pictures
from ..contracts.task import ArmName, Slot, Task
from ..data.catalogue import dataset_folder, find_dataset, is_drawn, list_datasets
from ..data.copies import originals
from ..data.dataset import Dataset, load_dataset
from ..errors import InputError, ProviderError, unknown
from ..fidelity.audit import Sides
from ..progress import Progress
from ..reader_study.sources import provider_films
from ..registry import PROVIDERS, find_provider, find_task, plugins
from ..results.folder import RESULTS, load_run
from ..runs.own_store import home_store
from ..runs.smoke import preset_of
from ..settings import restore
from .run_films import run_films

if TYPE_CHECKING:
    from ..runs.record import CellIdentity

Maker = Callable[[str, str], Path]
"""Has films of a provider made on a dataset; their folder."""
DRAWN = 64
"""Pixels at which an embedded dataset is drawn where nothing else says it."""
ARRAYS = (".npz", ".npy")


@dataclass(frozen=True)
class Opened:
    """Both sides, where the films come from in words, the cell that they were made for (films of the store), what was
    noticed."""

    sides: Sides
    made_by: str
    cell: CellIdentity | None
    noticed: tuple[str, ...]


def is_provider(text: str) -> bool:
    """Whether a text names a provider, and neither a folder, a file nor a dataset."""
    if Path(text).expanduser().exists() or _is_dataset(text):
        return False
    return text in plugins(PROVIDERS) or ":" in text


def open_sides(
    text: str,
    against: str | None,
    resolution: int | None,
    progress: Progress,
    make: Maker | None = None,
) -> Opened:
    """The films that a text names, and the real films: `against`, by default those that a provider of the store was
    fitted on. `make` puts the films of a provider, fitted on a dataset, into the store where it has none.
    InputError, in one line, for what is none or where nothing says what is real."""
    path = Path(text).expanduser()
    cell: CellIdentity | None = None
    films: Dataset | None = None
    if path.is_dir() and (path / RESULTS).is_file():
        found = run_films(load_run(path), home_store())
        films, cell = found.films, found.record.cell
        made_by = f"run {path.name}, {found.words}"
    elif path.is_dir() and (path / "dataset.json").is_file():
        films, made_by = load_dataset(path), f"dataset {path.name}"
    elif path.exists():
        made_by = f"{'folder' if path.is_dir() else 'file'} {path.name}"
    elif _is_dataset(text):
        films = find_dataset(text, (resolution or DRAWN) if is_drawn(text) else None, progress)
        made_by = f"dataset {text}"
    elif is_provider(text):
        films, cell = _of_provider(text, against, make)
        made_by = f"provider {text}" + (f", {cell.task.name} {cell.preset}" if cell else ", quick")
    else:
        known = [*plugins(PROVIDERS), *(entry.name for entry in list_datasets())]
        raise unknown("films", text, known, "or a folder, an .npz file or the folder of a run")
    against = against or (None if cell is None else cell.data.name)
    if against is None:
        raise InputError(f"{text}: say with --against which real films they are like: a dataset or its folder")
    own = films.resolution if films is not None else resolution or _side_of(path)
    real = find_dataset(against, (resolution or own) if is_drawn(against) else None, progress)
    side = min(own, real.resolution, resolution or own)
    real = real.resized(side)
    films = _pictures(path, real, progress) if films is None else films.resized(side)
    noticed = tuple(films.info.remarks)
    if own != side:
        noticed += (f"films of {own} pixels are compared at {side}, as the real ones",)
    return Opened(_sides(films, real, cell), made_by, cell, noticed)


def _of_provider(text: str, against: str | None, make: Maker | None) -> tuple[Dataset, CellIdentity | None]:
    """Films of the store and what they were made for, else films made now; these have no record that says it."""
    name, store = find_provider(text).name, home_store()
    try:
        return provider_films(name, store, data=against)
    except InputError:
        if make is None or against is None:
            raise
    return load_dataset(make(text, against)), None


def _is_dataset(text: str) -> bool:
    if is_drawn(text):
        return True
    try:
        return (dataset_folder(text) / "dataset.json").is_file()
    except InputError:
        return False


def _sides(films: Dataset, real: Dataset, cell: CellIdentity | None) -> Sides:
    """The real films that were learnt from and those of other patients that were not: of a run those of its own
    task, else by the column `split`."""
    ids, patients = np.array(real.ids), real.cases["patient"].astype(str).to_numpy()
    if cell is not None and cell.data.name == real.info.name:
        learnt, tested = (np.isin(ids, list(names)) for names in learnt_and_tested(cell))
    elif "split" in real.cases:
        learnt, tested = (real.cases["split"].astype(str).to_numpy() == part for part in ("train", "test"))
    else:
        return Sides(films, real)
    training = np.flatnonzero(learnt)
    held_out = np.flatnonzero(tested & ~np.isin(patients, patients[training]))
    if not len(training) or not len(held_out):
        return Sides(films, real)
    return Sides(films, real, real.select(training), real.select(held_out))


def task_of(cell: CellIdentity) -> tuple[Task, Dataset, Slot]:
    """The task of a cell, its films and its slot. InputError where its films are not there any more."""
    cls: type[Task] = find_task(cell.task.name).load()
    task = cls(restore(cls.presets[preset_of(cell.preset)], cell.task.settings))
    data = find_dataset(cell.data.name, task.settings.resolution)
    return task, data, Slot(cell.fold, cell.size, ArmName(cell.arm), cell.seed)


def learnt_and_tested(cell: CellIdentity) -> tuple[frozenset[str], frozenset[str]]:
    """Ids of the real films that the provider of a cell was fitted on, and of those that its arm is tested on."""
    task, data, slot = task_of(cell)
    return frozenset(originals(task.training_set(data, slot))), frozenset(task.test_set(data, slot).ids)


def _arrays_apart(path: Path, into: str) -> Path:
    """A folder with a file of arrays alone."""
    folder = Path(into) / path.stem
    folder.mkdir()
    (folder / path.name).symlink_to(path.resolve())
    return folder


def _side_of(path: Path) -> int:
    """The longer side of the first film of a folder or of a file of arrays."""
    with tempfile.TemporaryDirectory() as empty:
        folder = _folder(path, empty)
        try:
            return max(find_pictures(folder, ()).read(0).pixels.shape)
        except ProviderError as error:
            raise InputError(str(error).replace(str(folder), str(path))) from None


def _pictures(path: Path, real: Dataset, progress: Progress) -> Dataset:
    with tempfile.TemporaryDirectory() as empty:
        folder = _folder(path, empty)
        try:
            return read_pictures(folder, real, progress)
        except ProviderError as error:
            raise InputError(str(error).replace(str(folder), str(path))) from None


def _folder(path: Path, empty: str) -> Path:
    if path.is_dir():
        return path
    if path.suffix.lower() not in ARRAYS:
        raise InputError(f"{path}: expected a folder of films, a dataset folder, a finished run or an .npz file")
    return _arrays_apart(path, empty)
