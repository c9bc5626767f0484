"""Where the films of a study come from: a dataset, what finished runs left in the store, or a folder of pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..data.findings import LOCALISED, NO_FINDING
from ..data.reading.films import film_size, is_film, read_film
from ..data.remarks import Remark
from ..errors import InputError, StoreError, unknown
from ..progress import Progress
from ..runs.record import CellIdentity, Record
from ..runs.smoke import is_smoke, options_of
from ..runs.store import Level, Store
from .study import REAL, SYNTHETIC

if TYPE_CHECKING:
    from ..data.dataset import Dataset

ALL_FILMS = "All films"
"""The one class of films without findings."""


@dataclass(frozen=True)
class Source:
    """Films by row number. `shows`: bool (N,) by class; `alone`: whether the film shows nothing else.

    `read`: a row's film, uint8 (H, H). `origins`: the real cases whose pixels a film shows (a real film: itself).
    """

    name: str
    kind: str
    made_by: str
    ids: Sequence[str]
    side: int
    shows: Mapping[str, np.ndarray]
    alone: np.ndarray
    origins: Sequence[frozenset[str]]
    read: Callable[[int], np.ndarray]
    digest: str = ""
    noticed: list[Remark] = field(default_factory=list)
    """What `read` noticed about files, filled as films are read."""


def dataset_source(name: str, films: Dataset, *, kind: str = SYNTHETIC, made_by: str) -> Source:
    """A source of a dataset's films. Its classes are its findings (and `No Finding`), by label or by box."""
    findings = list(films.info.findings)
    labels = films.labels().astype(bool) if findings else np.zeros((len(films), 0), dtype=bool)
    shows = {finding: labels[:, column] for column, finding in enumerate(findings)}
    if not findings and films.boxes is not None:
        boxed = films.boxes
        for finding in sorted(set(boxed["finding"].astype(str))):
            shows[finding] = films.cases["id"].isin(set(boxed["id"][boxed["finding"] == finding])).to_numpy()
    count = np.sum(list(shows.values()), axis=0) if shows else np.zeros(len(films), dtype=int)
    classes = shows | {NO_FINDING: count == 0} if shows else {ALL_FILMS: np.ones(len(films), dtype=bool)}
    if kind == REAL or "source_ids" not in films.cases:
        origins = [frozenset({one}) if kind == REAL else frozenset() for one in films.ids]
    else:
        origins = [frozenset(map(str, used)) for used in films.cases["source_ids"]]
    return Source(
        name=name,
        kind=kind,
        made_by=made_by,
        ids=films.ids,
        side=films.resolution,
        shows=classes,
        alone=count <= 1,
        origins=origins,
        read=lambda row: np.asarray(films.images[row]),
        digest=films.digest,
    )


def path_source(name: str, path: Path, classes: Sequence[str]) -> Source:
    """A source of a dataset folder, or of a folder of pictures: one sub-folder a class, or one class and no sub-folder."""
    from ..data.dataset import load_dataset

    if not path.is_dir():
        raise InputError(f"--source {name}={path}: no such folder; expected a dataset folder or a folder of pictures")
    if (path / "dataset.json").is_file():
        films = load_dataset(path)
        return dataset_source(name, films, made_by=f"dataset {films.info.name}")
    folders = {one: path / one for one in classes if (path / one).is_dir()}
    if not folders and len(classes) == 1:
        folders = {classes[0]: path}
    found = [(one, file) for one, folder in folders.items() for file in sorted(folder.iterdir())]
    found = [(one, file) for one, file in found if is_film(file)]
    if not found:
        raise InputError(
            f"--source {name}={path}: no dataset.json and no pictures; expected sub-folders {', '.join(classes)} "
            "with png, jpg, tif or DICOM files"
        )
    shown = np.array([one for one, _ in found])
    noticed: list[Remark] = []
    return Source(
        name=name,
        kind=SYNTHETIC,
        made_by="folder of pictures",
        ids=[file.relative_to(path).as_posix() for _, file in found],
        side=min(_side_of(file) for _, file in found),
        shows={one: shown == one for one in classes},
        alone=np.ones(len(found), dtype=bool),
        origins=[frozenset()] * len(found),
        read=lambda row: _picture(found[row][1], noticed),
        noticed=noticed,
    )


def _side_of(file: Path) -> int:
    height, width = film_size(file)
    if width != height:
        raise InputError(
            f"{file}: expected a square film, found {width} x {height}; crop it (a frame tells the source)"
        )
    return width


def _picture(file: Path, noticed: list[Remark]) -> np.ndarray:
    film = read_film(file)
    noticed += film.remarks
    return np.rint(255 * film.pixels).astype(np.uint8)


def store_sources(
    names: Sequence[str], store: Store, *, data: str | None = None, preset: str | None = None
) -> tuple[list[Source], list[str]]:
    """The films of providers from the store, and the names of the datasets that they were fitted on.

    Of several runs the newest counts; of its sets of films the largest. InputError says which run is missing.
    """
    sources, datasets = [], []
    for name in names:
        films, cell = provider_films(name, store, data=data, preset=preset)
        title = cell.provider.title if cell.provider else name
        made_by = f"{title}, {cell.task.name} {cell.preset}, {cell.size}, fold {cell.fold}, seed {cell.seed}"
        sources.append(dataset_source(name, films, made_by=made_by))
        datasets.append(cell.data.name)
    return sources, datasets


def provider_films(
    name: str, store: Store, *, data: str | None = None, preset: str | None = None
) -> tuple[Dataset, CellIdentity]:
    """The films of a provider from the store, and the cell that they were made for: of several runs the newest counts, of
    its sets of films the largest. InputError says which run is missing."""
    made = [one for one in _records(store) if one.synthetic_key and one.cell.provider]
    fits = [one for one in made if data in (None, one.cell.data.name) and _asked(one.cell.preset, preset)]
    mine = [one for one in fits if one.cell.provider is not None and name in _called(one)]
    if not mine:
        raise _missing(name, made, data, preset)
    chosen = _chosen(mine, store)
    if chosen is None:
        raise InputError(f"the films of provider '{name}' in the store are damaged; `{_command(name, data, preset)}`")
    return store.synthetic(str(chosen.synthetic_key)), chosen.cell


def _asked(preset: str, wanted: str | None) -> bool:
    """Whether films of a preset are meant; those of a smoke run only where they are asked for."""
    return not is_smoke(preset) if wanted is None else preset == wanted


def _records(store: Store) -> list[Record]:
    found = []
    for path in sorted((store.root / Level.RECORDS.value).glob("*/*/record.json")):
        try:
            found.append(store.record(path.parent.name))
        except StoreError:  # damaged or of another version: its films are not offered
            continue
    return found


def _called(record: Record) -> set[str]:
    provider = record.cell.provider
    return {provider.name, provider.spec} if provider else set()


def _chosen(records: Sequence[Record], store: Store) -> Record | None:
    """The newest run's largest set that is whole."""
    newest = max(records, key=lambda one: (one.created, one.key)).cell
    run = [
        one
        for one in records
        if (one.cell.task.name, one.cell.preset, one.cell.data) == (newest.task.name, newest.preset, newest.data)
    ]
    ranked = sorted(run, key=lambda one: (one.downstream.synthetic_films, one.created, one.key), reverse=True)
    return next((one for one in ranked if store.sound(Level.SYNTHETIC, str(one.synthetic_key))), None)


def _command(name: str, data: str | None, preset: str | None) -> str:
    options = [f"--data {data}"] * bool(data) + ([options_of(preset)] if preset else [])
    return " ".join([f"cxrbench run --provider {name}", *options])


def _missing(name: str, made: Sequence[Record], data: str | None, preset: str | None) -> InputError:
    there = sorted({one.cell.provider.name for one in made if one.cell.provider is not None})
    listed = f" (it has {', '.join(there)})" if there else ""
    where = "".join(f" with {key} {value}" for key, value in (("data", data), ("preset", preset)) if value)
    return InputError(
        f"no films of provider '{name}'{where} in the store{listed}; first `{_command(name, data, preset)}`, "
        f"or give --source {name}=FOLDER"
    )


def dataset_name(data: str) -> str:
    """The name by which records call a dataset that is given by name or path."""
    from ..data.catalogue import find_dataset

    return find_dataset(data).info.name if _is_kept(data) else data


def real_source(data: str, side: int, progress: Progress) -> Source:
    """The real films: a dataset by name or path, as it is kept; an embedded one is drawn at `side` pixels."""
    from ..data.catalogue import find_dataset

    films = find_dataset(data, None if _is_kept(data) else side, progress)
    return dataset_source(REAL, films, kind=REAL, made_by=f"dataset {films.info.name}")


def _is_kept(data: str) -> bool:
    """Whether a dataset lies in a folder, at the size it was imported at; an embedded one is drawn at any."""
    from ..data.catalogue import datasets_folder

    return (datasets_folder() / data).is_dir() or Path(data).expanduser().is_dir()


def choose_classes(asked: Sequence[str], real: Source) -> list[str]:
    """The classes of a study: the asked ones (case does not matter), by default the paper's six or all findings."""
    known = list(real.shows)
    if not asked:
        six = [one for one in LOCALISED if one in known]
        return six if len(six) == len(LOCALISED) else [one for one in known if one != NO_FINDING]
    by_name = {one.lower().replace(" ", "_"): one for one in known}
    chosen = []
    for one in asked:
        if one.lower().replace(" ", "_") not in by_name:
            raise unknown(f"class of {real.made_by}", one, known)
        chosen.append(by_name[one.lower().replace(" ", "_")])
    return list(dict.fromkeys(chosen))
