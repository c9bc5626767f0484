"""Whether films show the real cases that their `source_ids` name: a film that is clearly a copy of a training film should
name that one, and not another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.dataset import Dataset
from ..data.film_rows import Films, taken
from ..data.gathered import changed
from ..data.near_copies import COPY_DISTANCE, HASH_BITS, SIDE, difference_hash, nearest_distances
from ..data.resize import resize_films

FAR = 2 * COPY_DISTANCE
"""A named film this far from what is shown (root-mean-square grey distance) is another picture."""


@dataclass(frozen=True)
class Named:
    """Of so many `films` how many name sources (`named`), how many are copies of training films, by hash and pixels
    (`copies`), how many of these name no source (`unnamed`) and how many name others alone (`wrong`); and the `first` of
    the last: its id, what it names, what it shows."""

    films: int
    named: int
    copies: int
    unnamed: int
    wrong: int
    first: tuple[str, str, str] | None

    def words(self) -> str:
        """What is wrong, in a sentence; empty where nothing is."""
        if self.first is None:
            return ""
        film, named, shown = self.first
        return (
            f"{self.wrong} of {self.named} films that name a source are copies of another training film (the first: {film} "
            f"names {named} and shows {shown}): source_ids and films are not in the same order"
        )


def named_sources(films: Dataset, train: Dataset) -> Named:
    """What films say of their sources, held against their pixels, both at 32 x 32 pixels as near copies are."""
    sources = [frozenset(map(str, row)) for row in films.cases.get("source_ids", [()] * len(films))]
    known = _names(train)
    side = min(SIDE, films.resolution, train.resolution)
    ours, theirs = (_small(one.images, side) for one in (films, train))
    distances, nearest = nearest_distances(ours, theirs)
    hashes, others = (difference_hash(one.images) for one in (films, train))
    differ = np.array([bin(int(a ^ b)).count("1") for a, b in zip(hashes, others[nearest], strict=True)])
    copies = np.flatnonzero((distances < COPY_DISTANCE) & (differ <= HASH_BITS))
    wrong = []
    for row in copies:
        said = sources[row]
        if not said or said & known[nearest[row]]:
            continue
        rows = np.array([index for index, names in enumerate(known) if names & said], dtype=np.int64)
        if not len(rows) or nearest_distances(taken(ours, np.array([row])), taken(theirs, rows))[0][0] > FAR:
            wrong.append(int(row))
    first = None
    if wrong:
        shown = nearest[wrong[0]]
        first = (films.ids[wrong[0]], _listed(sources[wrong[0]]), train.ids[shown])
    return Named(
        films=len(films),
        named=sum(map(bool, sources)),
        copies=len(copies),
        unnamed=sum(not sources[row] for row in copies),
        wrong=len(wrong),
        first=first,
    )


def _small(images: Films, side: int) -> Films:
    return changed(images, lambda block: resize_films(block, side), (side, side))


def _names(train: Dataset) -> list[frozenset[str]]:
    """Of every training film its id and those of the cases that it shows."""
    shown = train.cases.get("source_ids", [()] * len(train))
    return [frozenset({name, *map(str, row)}) for name, row in zip(train.ids, shown, strict=True)]


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)[:2]) + (" ..." if len(names) > 2 else "")
