"""Smaller training sets: whole patients in a drawn order, so that sizes are nested for every seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from .dataset import Dataset
from .splits import drawn

FULL = "full"


def film_count(size: str) -> int | None:
    """The number of real films that a size names (`31`); None for one with another name."""
    return int(size) if size.isdecimal() else None


def halved(count: int, least: int) -> list[int]:
    """`count`, its half, its quarter and so on (rounded), down to `least`: the sizes of a learning curve."""
    found = []
    part = float(count)
    while round(part) >= least:
        found.append(round(part))
        part /= 2
    return found


def first_patients(films: Dataset, rows: np.ndarray, count: int, order: str) -> np.ndarray:
    """Those of `rows` that belong to the first patients in the order of `order` (`splits.drawn`): whole patients, until they
    have `count` films. For a larger count the same and more; in the order of `rows`. InputError for a count that the rows do
    not have."""
    if not 1 <= count <= len(rows):
        raise InputError(f"a size of {count} films: expected 1 to {len(rows)}, the training films of {films.info.name}")
    patients = films.cases["patient"].astype(str).to_numpy()[rows]
    names, first = np.unique(patients, return_inverse=True)
    place = {name: number for number, name in enumerate(drawn(names, order))}
    places = np.array([place[name] for name in names])[first]
    have = np.cumsum(np.bincount(places, minlength=len(names)))
    return rows[places <= int(np.searchsorted(have, count))]


def in_order(sizes: Sequence[tuple[str, int]]) -> tuple[str, ...]:
    """The names of (name, films) from the most films to the fewest, each number of films once."""
    found: dict[int, str] = {}
    for name, films in sizes:
        found.setdefault(films, name)
    return tuple(found[films] for films in sorted(found, reverse=True))
