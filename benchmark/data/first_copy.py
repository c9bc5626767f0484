"""Which film is a copy of which: the first pair, to be named where copies are refused."""

from __future__ import annotations

import numpy as np

from .film_rows import Films, taken
from .near_copies import HASH_BITS, count_copies, difference_hash


def first_copy(queries: Films, references: Films) -> tuple[int, int] | None:
    """The rows of the first query film that is a copy (`near_copies.count_copies`) and of the film it is one of; None where
    none is. Films are uint8 (N, H, W)."""
    hashes, others = difference_hash(queries), difference_hash(references)
    bits = np.array([bin(value).count("1") for value in range(256)], dtype=np.uint8)
    for row, value in enumerate(hashes):
        apart = bits[(others ^ value).view(np.uint8).reshape(len(others), 8)].sum(axis=1)
        film = taken(queries, np.array([row]))
        for other in np.flatnonzero(apart <= HASH_BITS):
            if count_copies(film, taken(references, np.array([other]))):
                return row, int(other)
    return None
