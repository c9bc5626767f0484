"""The handful of films that a smoke run looks at: of every part of a set enough for whatever a task does with one.

How long a smoke run takes would else follow from the films that are looked at (by a network that finds lungs, to validate,
to test, for near copies) and hardly from the steps. Networks, pixels and batches stay those of the preset.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .. import digest
from ..data.catalogue import find_dataset
from ..data.dataset import Annotation, Dataset
from ..errors import InputError
from ..home import home

EACH = 12
"""Films of each part at the least: of a value of `split` and of `fold`."""
SHOWN = 2
"""Films with a finding, and without, in each part; films with an organ; films of each group."""
HEALTHY = 4
"""Films without any finding or box."""
BOXES = 10
"""Boxes of a finding where a task needs boxes: of so many some train, some choose the checkpoint and some test."""
PARTS = ("split", "fold")
IDLE = ("val", "none")
"""Values of `split` that no task looks at."""
LOOKED_AT = 256
"""Films whose masks are read for organs."""
FOLDER = "few_films"


@dataclass(frozen=True)
class Need:
    """So many of something, and how many of it each film has: int64 (N,)."""

    least: int
    shown: np.ndarray


def said(films: int, of: int) -> str:
    """What must be said of a run on a handful of films."""
    return (
        f"a smoke run looks at {films} of the {of:,} films, some of each part, and at the first fold, without placebos: "
        "networks, pixels and batches are the preset's; the memory and time that all films would take are not seen"
    )


def few_films(data: Dataset, rows: np.ndarray) -> Dataset:
    """The films of these rows as a dataset folder of its own under `home()`, made once and kept."""
    if len(rows) == len(data):
        return data
    key = digest.of_json([data.digest, data.info.name, rows.tolist()])
    folder = home() / FOLDER / f"{data.resolution}-{key[:24]}"
    if folder.is_dir():
        try:
            return find_dataset(folder)
        except InputError:  # damaged: made again
            shutil.rmtree(folder, ignore_errors=True)
    return data.select(rows).save(folder)


def few_rows(data: Dataset, needs: Annotation, groups: Sequence[str] = ()) -> np.ndarray:
    """Rows of a handful of films, in their order: int64. Of every part `EACH` films or all; in every part each finding and
    each organ; boxes of each finding, enough to divide where they are what a task `needs`; of every value of the columns
    `groups` some. As few patients as can be have several."""
    order = _order(data)
    wanted = list(_wanted(data, needs, groups, order))
    shown = np.stack([need.shown for need in wanted], axis=1)
    lack = np.minimum([need.least for need in wanted], shown.sum(axis=0))
    free = np.ones(len(data), dtype=bool)
    while (lack > 0).any():
        supply = (shown * free[:, None]).sum(axis=0)
        rarest = min(np.flatnonzero(lack > 0), key=lambda place: supply[place])
        suits = order[free[order] & (shown[order, rarest] > 0)]
        helps = np.minimum(shown[suits], lack).sum(axis=1)
        row = suits[np.argmax(helps)]
        free[row] = False
        lack = np.maximum(lack - shown[row], 0)
    return np.flatnonzero(~free)


def _order(data: Dataset) -> np.ndarray:
    """Rows by a draw of their ids; a patient's second film comes after all first ones."""
    hashes = [hashlib.sha256(f"few films/{name}".encode()).hexdigest() for name in data.ids]
    drawn = np.array(sorted(range(len(data)), key=hashes.__getitem__), dtype=np.int64)
    number = data.cases["patient"].astype(str).iloc[drawn].to_frame("patient").groupby("patient").cumcount()
    return drawn[np.argsort(number.to_numpy(), kind="stable")]


def _wanted(data: Dataset, needs: Annotation, groups: Sequence[str], order: np.ndarray) -> Iterator[Need]:
    yield Need(EACH, np.ones(len(data), dtype=np.int64))
    parts = list(_values(data, PARTS)) or [np.ones(len(data), dtype=np.int64)]
    shown = _findings(data)
    for part in parts:
        yield Need(EACH, part)
        for column in shown.T:
            yield Need(SHOWN, part * column)
            yield Need(SHOWN, part * (1 - column))
        for column in _organs(data, order).T:
            yield Need(SHOWN, part * column)
    for group in _values(data, groups):
        yield Need(SHOWN, group)
    boxed = np.zeros(len(data), dtype=np.int64)
    if data.boxes is not None:
        row_of = {name: row for row, name in enumerate(data.ids)}
        for _, boxes in data.boxes.groupby("finding"):
            rows = [row_of[name] for name in boxes["id"].astype(str)]
            count = np.bincount(rows, minlength=len(data)).astype(np.int64)
            boxed += count
            yield Need(BOXES if needs is Annotation.BOXES else SHOWN, count)
    if shown.shape[1] or data.boxes is not None:
        healthy = (~shown.any(axis=1) & (boxed == 0)).astype(np.int64)
        for part in parts:
            yield Need(HEALTHY, part * healthy)


def _values(data: Dataset, columns: Sequence[str]) -> Iterator[np.ndarray]:
    """Whether films have a value of a column, for each of its values."""
    for column in columns:
        if column in data.cases:
            found = data.cases[column].astype(str).to_numpy()
            for value in sorted(set(found) - set(IDLE)):
                yield (found == value).astype(np.int64)


def _findings(data: Dataset) -> np.ndarray:
    return data.labels().astype(np.int64)


def _organs(data: Dataset, order: np.ndarray) -> np.ndarray:
    """Whether films show an organ: int64 (N, O), of some films alone."""
    found = np.zeros((len(data), len(data.organs)), dtype=np.int64)
    if data.masks is not None:
        rows = np.sort(order[:LOOKED_AT])
        found[rows] = data.organ_masks(rows=rows).any(axis=(2, 3))
    return found
