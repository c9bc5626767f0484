"""What the checks look at: an entry, the protocols it names and the films they test on, read once for all checks.

A task comes from the installed ones by name, films from those that anyone can draw (phantoms) or that are imported here;
nothing that an entry says is taken for a path or a class.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...benchmark.contracts.task import ArmName, Predictions, Slot, Task
from ...benchmark.data.catalogue import EMBEDDED, datasets_folder, find_dataset
from ...benchmark.data.copies import copies, originals
from ...benchmark.data.dataset import Dataset
from ...benchmark.errors import InputError
from ...benchmark.registry import TASKS, plugins
from ...benchmark.results.rows import Results
from ...benchmark.runs.job import Cell
from ...benchmark.runs.record import Record
from ...benchmark.settings import keyed, override
from ..arms import label_of
from ..cells import Cells
from ..entry import Entry, EntryRun
from ..films import downloaded
from ..marks import Index
from ..untrusted import Refused

_DRAWN = re.compile(r"phantom_nih-(\d{1,5})")
MOST_DRAWN = 10_000
"""A phantom with more films than this is not drawn for a check."""
KEPT_BYTES = 256 << 20
"""Predictions above this are read again when a check asks for them again."""


def installed_task(name: str) -> type[Task] | None:
    """The class of an installed task; None for a name that is not installed."""
    plugin = plugins(TASKS).get(name)
    return None if plugin is None else plugin.load()


@lru_cache(maxsize=8)
def films_at_hand(name: str, resolution: int) -> Dataset | None:
    """An embedded dataset, one that is imported here or one among the downloads that CXRBENCH_REAL_DATA names, at a
    resolution; None where it is not at hand."""
    sized = _DRAWN.fullmatch(name)
    drawn = name in EMBEDDED or (sized is not None and int(sized[1]) <= MOST_DRAWN)
    imported = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name) and (datasets_folder() / name).is_dir()
    try:
        if drawn or imported:
            return find_dataset(name, resolution)
        films = downloaded(name)
        return None if films is None or resolution > films.resolution else films.resized(resolution)
    except InputError:  # too small a copy, or another dataset of this name: then case scores are what there is
        return None


@dataclass(frozen=True)
class Sources:
    """Where protocols and films come from, and what the entries beside are known by."""

    task: Callable[[str], type[Task] | None] = installed_task
    films: Callable[[str, int], Dataset | None] = films_at_hand
    beside: Index | None = None
    """The marks of all entries of the folder, where somebody has taken them."""


@dataclass(frozen=True)
class Protocol:
    """The protocol of a run: the task at the preset's settings, its films at the resolution of the test and of fitting
    (both None where they are not at hand)."""

    task: Task
    films: Dataset | None
    fit_films: Dataset | None


def task_of(cls: type[Task], results: Results) -> Task:
    """The task at the preset of a run (which it must have), with what the films decide as a run on them has it: on a phantom
    what follows from that, on other films what the run says, since that depends on what is imported where."""
    task = cls(cls.presets[results.preset])
    if results.data.phantom:
        return task.settled(phantom=True)
    said = [(name, value) for name in cls.decided if isinstance(value := _nested(results.task.settings, name), str)]
    return cls(override(task.settings, said, cls.name))


def _nested(settings: Any, name: str) -> Any:
    for part in name.split("."):
        settings = settings.get(part) if isinstance(settings, dict) else None
    return settings


def find_protocol(results: Results, sources: Sources) -> Protocol | None:
    """The protocol of a run; None where the task is not installed, of another version, or has other settings."""
    cls = sources.task(results.task.name)
    if cls is None or cls.version != results.task.version or results.preset not in cls.presets:
        return None
    task = task_of(cls, results)
    if keyed(task.settings) != results.task.settings:
        return None
    films = sources.films(results.data.name, task.settings.resolution)
    fit_films = sources.films(results.data.name, task.settings.fit_resolution)
    whole = films is not None and fit_films is not None
    return Protocol(task, films if whole else None, fit_films if whole else None)


@dataclass(frozen=True)
class TrainingFilms:
    """What a fold, size and seed trains on: the ids of its real films, copies by augmentation too; of those that a model
    learns from the films without pixels; and how many different real films these show."""

    ids: list[str]
    learnt: Dataset
    different: int


@dataclass
class Subject:
    """An entry with all that the checks read of it."""

    entry: Entry
    sources: Sources = field(default_factory=Sources)
    _protocols: dict[Path, Protocol | None] = field(default_factory=dict)
    _predictions: dict[str, Predictions] = field(default_factory=dict)
    _scores: dict[str, pd.DataFrame] = field(default_factory=dict)
    _tests: dict[tuple[Path, str, str], Dataset] = field(default_factory=dict)
    _training: dict[tuple[Path, str, str, int], TrainingFilms] = field(default_factory=dict)

    def cells(self, run: EntryRun) -> Iterator[tuple[str, Record, Cells]]:
        """Key, record and home of every cell of a run that is there."""
        for key, record in run.records.items():
            yield key, record, run.homes[key]

    def protocol(self, run: EntryRun) -> Protocol | None:
        """The protocol of a run, as `find_protocol`."""
        if run.path not in self._protocols:
            self._protocols[run.path] = find_protocol(run.results, self.sources)
        return self._protocols[run.path]

    def predictions(self, key: str, home: Cells) -> Predictions:
        """What a cell's model said; Refused where the file is not as it should be."""
        if key not in self._predictions:
            self._predictions[key] = home.predictions(key)
            kept = {one: sum(array.nbytes for array in said.arrays.values()) for one, said in self._predictions.items()}
            while sum(kept.values()) > KEPT_BYTES and len(kept) > 1:
                kept.pop(oldest := next(iter(kept)))
                del self._predictions[oldest]
        return self._predictions[key]

    def test_films(self, run: EntryRun, protocol: Protocol, slot: Slot) -> Dataset | None:
        """The test films of a slot, where the films are at hand."""
        if protocol.films is None:
            return None
        place = (run.path, slot.fold, slot.size)
        if place not in self._tests:
            self._tests[place] = protocol.task.test_set(protocol.films, slot)
        return self._tests[place]

    def training(self, run: EntryRun, protocol: Protocol, slot: Slot) -> TrainingFilms:
        """The real training films of a slot; the films are at hand."""
        place = (run.path, slot.fold, slot.size, slot.seed)
        if place not in self._training:
            assert protocol.fit_films is not None
            films = protocol.task.training_set(protocol.fit_films, slot)
            learnt = _without_pixels(protocol.task.learnt_from(films))
            self._training[place] = TrainingFilms(films.ids, learnt, len(set(originals(learnt))))
        return self._training[place]

    def training_ids(self, run: EntryRun, protocol: Protocol, record: Record) -> list[str] | None:
        """The ids of all films that a cell was trained on: real ones, and a placebo's copies, which are drawn again.

        None for synthetic films, which no one else has."""
        slot, placebo = slot_of(record), record.cell.placebo
        real = self.training(run, protocol, slot).ids if slot.arm.uses_real else []
        if slot.arm in (ArmName.REAL, ArmName.FINETUNE):  # the second starts from a model, and sees real films alone
            return real
        if not placebo:
            return None
        assert protocol.films is not None
        cell = Cell(key=record.key, identity=record.cell)
        count, seed = cell.synthetic_count(protocol.task, protocol.films), cell.draw("placebo")
        return [*real, *copies(self.training(run, protocol, slot).learnt, count, seed=seed).ids]

    def scores(self, run: EntryRun, key: str) -> pd.DataFrame:
        """The case scores of a cell: from its predictions where the films are at hand, else those that the entry has."""
        if key not in self._scores:
            self._scores[key] = self._find_scores(run, key)
        return self._scores[key]

    def _find_scores(self, run: EntryRun, key: str) -> pd.DataFrame:
        record, home, protocol = run.records[key], run.homes[key], self.protocol(run)
        test = None if protocol is None else self.test_films(run, protocol, slot_of(record))
        if protocol is None or test is None:
            return home.scores(key)
        said = self.predictions(key, home)
        try:
            return protocol.task.score(said, test)
        except Exception as error:  # arrays of other names, shapes or types than the task's make it raise anything
            words = str(error) if isinstance(error, InputError) else type(error).__name__
            raise Refused(f"its predictions cannot be scored: {words}") from None


def _without_pixels(films: Dataset) -> Dataset:
    """The same cases, with films of one pixel."""
    info = films.info.model_copy(update={"resolution": 1})
    return replace(films, info=info, images=np.zeros((len(films), 1, 1), np.uint8), masks=None, boxes=None, folder=None)


def slot_of(record: Record) -> Slot:
    """The place of a record in its task's plan."""
    return Slot(record.cell.fold, record.cell.size, ArmName(record.cell.arm), record.cell.seed)


def place(record: Record) -> str:
    """A cell for a message: its arm, size, fold and seed."""
    cell = record.cell
    return f"{label_of(cell)} {cell.size} fold {cell.fold} seed {cell.seed} ({record.key[:8]})"
