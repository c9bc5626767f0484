"""Whether the masks of made films lie where those of the training films lie, or organs are exchanged."""

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
"""Correlation of two organs' mean masks: from here on at the same place, up to here at another one."""


def misplaced(films: Dataset, train: Dataset) -> dict[str, str]:
    """Organs whose masks lie where those of another organ of the training films lie, and not at their own place: the organ
    to that other one. Nothing where a side has no masks."""
    if films.masks is None or train.masks is None:
        return {}
    side = min(SIDE, films.resolution, train.resolution)
    ours, theirs = _mean_masks(films, side), _mean_masks(train, side)
    found = {}
    for organ, mean in ours.items():
        like = {other: _correlation(mean, theirs[other]) for other in theirs}
        best = max(like, key=lambda other: like[other], default=organ)
        if best != organ and like[best] >= LIKE and like.get(organ, 0.0) <= UNLIKE:
            found[organ] = best
    return found


def exchanged(found: Mapping[str, str]) -> bool:
    """Whether some of the organs lie at each other's places: what a network that learnt little does not do by chance."""
    for organ in found:
        place, seen = found[organ], {organ}
        while place in found and place not in seen:
            seen.add(place)
            place = found[place]
        if place == organ:
            return True
    return False


def misplaced_words(found: Mapping[str, str]) -> str:
    """What is wrong, in a sentence; empty where nothing is."""
    pairs = ", ".join(f"masks of {organ} lie where {place} is" for organ, place in found.items())
    return f"{pairs} in the training films: masks follow the order of its organs" if pairs else ""


def _mean_masks(films: Dataset, side: int) -> dict[str, np.ndarray]:
    """The mean mask (P,) of every organ that is shown at all, at `side` pixels."""
    assert films.masks is not None
    rows = np.unique(np.linspace(0, len(films) - 1, min(LOOKED_AT, len(films))).round().astype(np.int64))
    flags = resize_masks(np.asarray(taken(films.masks, rows)), side, len(films.organs)).reshape(len(rows), -1)
    means = {organ: (flags >> np.uint8(bit) & 1).mean(axis=0) for bit, organ in enumerate(films.organs)}
    return {organ: mean for organ, mean in means.items() if mean.any()}


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size else 0.0
