"""The store of a home as commands and runs open it. What stands in place of one of its folders or files and is none (a pipe
would be read for ever) is one line, or a damaged entry, which is made again. A step of a run reads what is there then.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, StoreError, require_utf8
from ..home import home
from ..plain_files import FILE, FOLDER, NOTHING, kind_of, odd_of, remove_odd
from .job import Step, Synthesise
from .record import Failure, Fit, Record, Sampled
from .store import Level, Store

if TYPE_CHECKING:
    import pandas as pd

    from ..contracts.task import Predictions
    from ..data.dataset import Dataset

BESIDE = ("checkpoints", "moments", "progress", "failures", "described", "further", "audits", "curves")
"""Folders of a store that hold no entries of its levels."""


def home_store() -> OwnStore:
    """The store of the home. InputError where something else stands in place of one of its folders."""
    root = home() / "store"
    hold_folders(root)
    return OwnStore(root)


def hold_folders(root: Path) -> None:
    """InputError where something else stands in place of a folder of a store, which is told before any work."""
    require_utf8(root)
    levels = [root / level.value for level in Level]
    try:
        for folder in chain((root.parent, root), levels, (root / name for name in BESIDE), _below(levels)):
            if (kind := kind_of(folder)) not in (FOLDER, NOTHING):
                move = "move it away, or set CXRBENCH_HOME elsewhere"
                raise InputError(f"{folder}: expected a folder, found {kind}; {move}")
    except OSError as error:
        raise InputError(f"cannot read {error.filename or root}: {error.strerror or error}") from error


def _below(levels: Iterable[Path]) -> Iterator[Path]:
    """What should be the folders by the first two digits of keys, and is none that is known without asking for each."""
    for level in levels:
        with suppress(FileNotFoundError), os.scandir(level) as inside:
            yield from [Path(one.path) for one in inside if len(one.name) == 2 and not one.is_dir()]


class OwnStore(Store):
    """A store whose entries are looked at before they are opened."""

    def sound(self, level: Level, key: str, *, skip: frozenset[str] = frozenset()) -> bool:
        """As `Store.sound`; an entry with what is no file is damaged too."""
        try:
            remove_odd(self.path(level, key), FOLDER)
            return super().sound(level, key, skip=skip)
        except PermissionError as error:
            raise StoreError(f"cannot read {error.filename}: {error.strerror}") from None

    def record(self, key: str) -> Record:
        """As `Store.record`."""
        self._hold(Level.RECORDS, key)
        return super().record(key)

    def fit(self, key: str) -> Fit:
        """As `Store.fit`."""
        self._hold(Level.FITS, key)
        return super().fit(key)

    def sampled(self, key: str) -> Sampled:
        """As `Store.sampled`."""
        self._hold(Level.SYNTHETIC, key)
        return super().sampled(key)

    def scores(self, key: str) -> pd.DataFrame:
        """As `Store.scores`."""
        self._hold(Level.RECORDS, key)
        return super().scores(key)

    def predictions(self, key: str) -> Predictions:
        """As `Store.predictions`."""
        self._hold(Level.RECORDS, key)
        return super().predictions(key)

    def synthetic(self, key: str) -> Dataset:
        """As `Store.synthetic`."""
        self._hold(Level.SYNTHETIC, key)
        return super().synthetic(key)

    def failure(self, key: str) -> Failure | None:
        """As `Store.failure`."""
        return super().failure(key) if kind_of(self._failure_path(key)) == FILE else None

    def make_way(self, step: Step) -> None:
        """Remove what a step would stumble over: entries that it may read, what its trainings have kept, its own files."""
        cell = step.cell
        records = (cell.key, cell.teacher_key, cell.start_key, *cell.part_keys.values())
        of_level = ((Level.RECORDS, records), (Level.FITS, (cell.fit_key,)), (Level.SYNTHETIC, (cell.synthetic_key,)))
        keys = (step.key, str(cell.fit_key)) if isinstance(step, Synthesise) else (step.key,)
        folders = [self.path(level, key) for level, names in of_level for key in names if key]
        folders += [self.checkpoints(key) for key in keys] + [self.moments(str(cell.whole_key))]
        for folder in folders:
            remove_odd(folder, FOLDER)
        for key in keys:
            remove_odd(self.progress(key), FILE)
            remove_odd(self._failure_path(key), FILE)

    def _hold(self, level: Level, key: str) -> None:
        if (odd := odd_of(self.path(level, key), FOLDER)) is not None:
            raise StoreError(f"{odd}: expected a file or folder of the store, found {kind_of(odd)}; run it again")
