"""Films with painted label maps, and which of the synthetic ones are held out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..benchmark.data.copies import sources
from ..benchmark.data.dataset import Dataset
from ..benchmark.data.film_rows import Films, joined, taken
from ..benchmark.data.gathered import changed
from ..benchmark.errors import InputError

LUNGS = ("left_lung", "right_lung")
REAL_HELD_OUT = 0.10  # share of the real training films that only early stopping sees
SYNTHETIC_HELD_OUT = 0.25  # the paper's 2,500 of 10,000


def paint(films: Dataset, structures: Sequence[str]) -> np.ndarray:
    """One label a pixel, uint8 (N, H, W): 0 background, i + 1 for `structures[i]`.

    Organs overlap, labels cannot: lungs are painted first, then the heart and the others over them, in order. A
    structure that the films have no mask of is not painted (see `Examples.taught`).
    """
    if films.masks is None:
        raise InputError(f"dataset {films.info.name} has no masks")
    known = sorted((one for one in structures if one in films.organs), key=lambda name: name not in LUNGS)
    codes = [(np.uint8(1 << films.organs.index(name)), structures.index(name) + 1) for name in known]

    def painted(masks: np.ndarray) -> np.ndarray:
        labels = np.zeros(masks.shape, dtype=np.uint8)
        for bit, code in codes:
            labels[(masks & bit) != 0] = code
        return labels

    return changed(films.masks, painted, films.masks.shape[1:])


@dataclass(frozen=True)
class Examples:
    """Films with their painted labels, uint8 (N, H, W) each.

    `taught`: bool (N, classes), the classes that a film's masks can teach. In a film without heart masks, a pixel of
    label 0 may be heart: nothing is learnt about the heart there. None where every film teaches every class.
    """

    images: Films
    labels: Films
    taught: np.ndarray | None = None
    first: int = 0
    """Where not 0, the first so many are real films and the others synthetic ones, and every batch takes half of each."""

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: np.ndarray) -> Examples:
        taught = None if self.taught is None else self.taught[rows]
        return Examples(taken(self.images, rows), taken(self.labels, rows), taught)

    def __add__(self, other: Examples) -> Examples:
        taught = None
        if self.taught is not None or other.taught is not None:
            classes = next(one.taught.shape[1] for one in (self, other) if one.taught is not None)
            taught = np.concatenate(
                [np.ones((len(one), classes), bool) if one.taught is None else one.taught for one in (self, other)]
            )
        return Examples(joined([self.images, other.images]), joined([self.labels, other.labels]), taught)


def hold_out_last(films: Dataset, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers (for training, held out) of synthetic films: the last `share` of them, at least one.

    Films that say which real films they show are held out together with all that show the same ones, so that no copy of a
    held-out film is trained on. InputError where that leaves none to train on.
    """
    count = len(films)
    wanted = min(max(1, round(share * count)), max(1, count - 1))
    alike: dict[object, list[int]] = {}
    for row, shown in enumerate(sources(films)):
        alike.setdefault(frozenset(shown) or row, []).append(row)
    held: set[int] = set()
    for rows in sorted(alike.values(), key=lambda rows: rows[-1], reverse=True):
        if len(held) < wanted and len(held) + len(rows) < count:
            held.update(rows)
    if not held:
        raise InputError(
            f"at least 2 synthetic films that show different real ones are needed to hold one out, found {count} "
            f"of {len(alike)}"
        )
    out = np.isin(np.arange(count), list(held))
    return np.flatnonzero(~out), np.flatnonzero(out)


def not_showing(films: Dataset, held: Iterable[str]) -> np.ndarray:
    """Row numbers of the synthetic films that show none of some real films, by what they say."""
    out = set(held)
    return np.array([row for row, names in enumerate(sources(films)) if out.isdisjoint(names)], dtype=np.int64)
