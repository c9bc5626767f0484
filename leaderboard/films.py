"""Films that are at hand, and whether they are those that numbers are of: the same, other in their pixels alone, or others.

Predictions are scored against ids, masks, labels and boxes: the truth, which has a digest of its own. Where that is the
same, every number can be computed again, whatever became of the pixels.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ..benchmark import digest
from ..benchmark.data.catalogue import is_drawn
from ..benchmark.data.dataset import Dataset
from ..benchmark.data.phantom.versions import version_of
from ..benchmark.errors import InputError
from ..benchmark.results.rows import DataInfo
from ..benchmark.runs.record import DataIdentity

REAL_DATA = "CXRBENCH_REAL_DATA"
"""The variable of the environment that names a folder with real films, each set as it was downloaded in a folder of its
name."""
IMPORTERS = {"kermany_lungs": "kermany:import_kermany"}
"""Who reads a download, by the name of its dataset: a function of the folder, at its usual resolution."""


def downloaded(name: str) -> Dataset | None:
    """The films of a dataset from the folder of downloads; None where it does not have them, or they are not whole."""
    place = os.environ.get(REAL_DATA)
    if not place or name not in IMPORTERS or not (Path(place) / name).is_dir():
        return None
    module, _, function = IMPORTERS[name].partition(":")
    read = getattr(importlib.import_module(f"..benchmark.data.importers.{module}", __package__), function)
    try:
        found: Dataset = read(Path(place) / name)
    except InputError:
        return None
    return found


class Change(StrEnum):
    """What is not the same."""

    PIXELS = "pixels"
    TRUTH = "truth"


@dataclass(frozen=True)
class FilmsMoved:
    """What moved, and one line about it: what, and whether another processor explains it."""

    change: Change
    words: str


def films_moved(said: DataIdentity | DataInfo, films: Dataset, fit_films: Dataset) -> FilmsMoved | None:
    """How the films at hand (at the resolutions of testing and of fitting) differ from those that numbers are of; None where
    they do not."""
    found = digest.of_json([films.digest, fit_films.digest])
    if found == said.digest:
        return None
    drawn = is_drawn(said.name)
    digests = f"{said.digest[:12]}, here {found[:12]}"
    if said.truth == films.truth:
        why = (
            f"no processor explains it, version {films.info.version} is the same everywhere"
            if drawn
            else "another processor or another version of a decoder explains it"
        )
        words = f"the pixels alone differ ({digests}), ids, masks, labels and boxes are the same; {why}"
        return FilmsMoved(Change.PIXELS, f"films of {said.name}: {words}")
    version = version_said(said)
    if drawn and version and version < int(films.info.version):
        return FilmsMoved(Change.TRUTH, f"films of {said.name}: {older(version)}, here is version {films.info.version}")
    words = f"other ids, masks, labels or boxes than this cxrbench has ({digests}); no processor explains that"
    return FilmsMoved(Change.TRUTH, f"films of {said.name}: {words}")


def version_said(said: DataIdentity | DataInfo) -> int | None:
    """The version of an embedded phantom that numbers are of (1 where they name none); None for other films."""
    if not is_drawn(said.name):
        return None
    return version_of(said.name, said.digest) or (int(said.version) if said.version.isdecimal() else 1)


def older(version: int) -> str:
    """An earlier version of a phantom in words."""
    return "version 1, which other processors drew with other grey levels" if version == 1 else f"version {version}"
