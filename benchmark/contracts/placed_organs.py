"""Whether the masks of made films lie where those of the training films lie, or are exchanged, inverted or elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data.dataset import Dataset
from ..data.film_rows import taken
from ..data.resize import resize_masks

SIDE = 32
LOOKED_AT = 200
"""Films of either side whose masks are looked at, evenly spread."""
LIKE, UNLIKE = 0.7, 0.3
"""Correlation of two mean masks: from here on at the same place, up to here at another one."""
INVERTED, ELSEWHERE = "/inverted", "/elsewhere"
"""Places that are no organ's."""


def misplaced(films: Dataset, train: Dataset) -> dict[str, str]:
    """Organs whose masks do not lie at their own place: the organ to that of the training films at whose place they lie, to
    `INVERTED` or to `ELSEWHERE`. An organ whose place differs from film to film (half of the training films do not tell that
    of the others) is not asked about, nor is one without a mask. Nothing where a side has no masks."""
    if films.masks is None or train.masks is None:
        return {}
    side = min(SIDE, films.resolution, train.resolution)
    ours, theirs = _mean_masks(films, side), _mean_masks(train, side)
    halves = [_mean_masks(train, side, half) for half in (slice(None, None, 2), slice(1, None, 2))]
    steady = [one for one in theirs if all(one in half for half in halves)]
    steady = [one for one in steady if _correlation(halves[0][one], halves[1][one]) >= LIKE]
    found = {}
    for organ, mean in ours.items():
        like = {other: _correlation(mean, theirs[other]) for other in steady}
        if organ not in like or like[organ] > UNLIKE:
            continue
        best = max(like, key=lambda other: like[other])
        found[organ] = best if like[best] >= LIKE else INVERTED if like[organ] <= -LIKE else ELSEWHERE
    return found


def untrue(found: Mapping[str, str]) -> bool:
    """Whether masks are inverted, or some organs lie at each other's places: what a network that learnt little does not do
    by chance."""
    for organ in found:
        place, seen = found[organ], {organ}
        while place in found and place not in seen:
            seen.add(place)
            place = found[place]
        if place in (organ, INVERTED):
            return True
    return False


def misplaced_words(found: Mapping[str, str]) -> str:
    """What is wrong, in a sentence; empty where nothing is."""
    parts = [_words(organ, place) for organ, place in found.items()]
    return f"{', '.join(parts)} in the training films: masks follow the order of its organs" if parts else ""


def _words(organ: str, place: str) -> str:
    if place == INVERTED:
        return f"masks of {organ} cover all but what is {organ}"
    return (
        f"masks of {organ} do not lie where it is" if place == ELSEWHERE else f"masks of {organ} lie where {place} is"
    )


def _mean_masks(films: Dataset, side: int, part: slice = slice(None)) -> dict[str, np.ndarray]:
    """The mean mask (P,) of every organ that is shown at all, at `side` pixels; of a part of the films looked at."""
    assert films.masks is not None
    rows = np.unique(np.linspace(0, len(films) - 1, min(LOOKED_AT, len(films))).round().astype(np.int64))[part]
    if not len(rows):
        return {}
    flags = resize_masks(np.asarray(taken(films.masks, rows)), side, len(films.organs)).reshape(len(rows), -1)
    means = {organ: (flags >> np.uint8(bit) & 1).mean(axis=0) for bit, organ in enumerate(films.organs)}
    return {organ: mean for organ, mean in means.items() if mean.any()}


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size else 0.0
