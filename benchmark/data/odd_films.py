"""Generated films that no one means to make: the same film again and again, black ones, masks that are empty in every film.

They are counted, said and kept in the record; no number changes by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from .dataset import Dataset
from .film_rows import Films, taken
from .gathered import changed
from .resize import resize_films

ODD_FILMS = "odd_films"
"""Under this name a record has them."""

SIDE = 32  # films are compared at 32 x 32 pixels
ALIKE = 1.5  # films whose grey levels differ by less, root mean square, are one film (noise of compression)
COMPARED = 2000
"""So many films, evenly spread, are held against each other: a collapsed generator shows in fewer."""


def odd_films(films: Dataset) -> dict[str, Any]:
    """What is odd about generated films, for a record: `{"odd_films": {...}}`, or nothing where nothing is.

    films: how many there are. alike: how many of the `compared` are copies of one another, of how many `different` films.
    flat: films of one grey level, and how many of them are `black`. empty: organs whose masks are empty in every film.
    """
    found: dict[str, Any] = {}
    rows = np.unique(np.linspace(0, len(films) - 1, min(COMPARED, len(films))).round().astype(int))
    groups = [count for count in Counter(_first_alike(taken(films.images, rows))).values() if count > 1]
    if groups:
        found |= {"compared": len(rows), "alike": sum(groups), "different": len(groups)}
    lowest, highest = _ends(films.images)
    flat = lowest == highest
    if flat.any():
        found |= {"flat": int(flat.sum()), "black": int((flat & (highest == 0)).sum())}
    if films.masks is not None:
        union = _union(films.masks)
        empty = [organ for bit, organ in enumerate(films.organs) if not union >> bit & 1]
        found |= {"empty": empty} if empty else {}
    return {ODD_FILMS: {"films": len(films), **found}} if found else {}


def odd_words(found: Mapping[str, Any]) -> list[str]:
    """`odd_films` in words, a sentence each; of a record that anyone may have written, what is not as it should be is 0."""
    count = {name: value for name, value in found.items() if isinstance(value, int)}
    films, compared = count.get("films", 0), count.get("compared", 0)
    lines = []
    if count.get("alike"):
        of = "" if compared == films else " that were compared"
        several = "" if count.get("different", 1) == 1 else f" (copies of {count['different']} films)"
        lines.append(f"{count['alike']} of {compared} films{of} are copies of one another{several}")
    if count.get("flat"):
        black = f", {count['black']} of them black" if count.get("black") else ""
        lines.append(f"{count['flat']} of {films} films of one grey level all over{black}")
    empty = found.get("empty")
    if isinstance(empty, list) and empty:
        lines.append(f"masks of {', '.join(map(str, empty))} are empty in every film")
    return lines


def _first_alike(images: Films) -> list[int]:
    """For each film the number of the first that it is a copy of, which is its own where there is none."""
    small = changed(images, lambda films: resize_films(films, SIDE), (SIDE, SIDE)) if images.shape[1] > SIDE else images
    vectors = small.reshape(len(small), -1).astype(np.float32) - np.float32(128)  # whole numbers: sums are exact
    lengths = (vectors * vectors).sum(1, dtype=np.float64)
    limit = ALIKE**2 * vectors.shape[1]
    first: list[int] = []
    for row, vector in enumerate(vectors):
        squares = lengths[: row + 1] + lengths[row] - 2 * (vectors[: row + 1] @ vector).astype(np.float64)
        first.append(first[near] if (near := int(np.argmax(squares < limit))) < row else row)
    return first


def _ends(images: Films) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest grey level of every film."""
    ends = [(int(film.min()), int(film.max())) for film in images]
    table = np.array(ends, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _union(masks: Films) -> int:
    return int(np.bitwise_or.reduce([np.bitwise_or.reduce(film, axis=None) for film in masks])) if len(masks) else 0
