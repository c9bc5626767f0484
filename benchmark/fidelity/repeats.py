"""Films of a set that show the same picture again: a generator that collapsed, or copies what it has made."""

from __future__ import annotations

import numpy as np

from ..data.film_rows import Films
from ..data.gathered import changed
from ..data.near_copies import COPY_DISTANCE, SIDE
from ..data.resize import resize_films
from ..metrics.neighbours import nearest


def repeats(films: Films) -> float:
    """Share of films, uint8 (N, H, W), that have another one of the set within a root-mean-square distance of 0.02 at 32
    x 32 pixels (grey levels 0 to 1)."""
    side = min(SIDE, films.shape[1])
    small = np.asarray(changed(films, lambda block: resize_films(block, side), (side, side)))
    flat = small.reshape(len(films), -1) / (255.0 * side)
    if len(flat) < 2:
        return 0.0
    return float((nearest(flat, flat, itself=True)[0] < COPY_DISTANCE).mean())
