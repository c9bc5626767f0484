"""Which film is a copy of which, to be named where copies are refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .film_rows import Films, taken
from .near_copies import HASH_BITS, count_copies, difference_hash

_NAMED = 8


def copy_pairs(queries: Films, references: Films) -> list[tuple[int, int]]:
    """The rows of every query film that is a copy (`near_copies.count_copies`), and of the first film that it is one of.
    Films are uint8 (N, H, W)."""
    hashes, others = difference_hash(queries), difference_hash(references)
    bits = np.array([bin(value).count("1") for value in range(256)], dtype=np.uint8)
    pairs = []
    for row, value in enumerate(hashes):
        apart = bits[(others ^ value).view(np.uint8).reshape(len(others), 8)].sum(axis=1)
        film = taken(queries, np.array([row]))
        near = map(int, np.flatnonzero(apart <= HASH_BITS))
        first = next((other for other in near if count_copies(film, taken(references, np.array([other])))), None)
        pairs += [] if first is None else [(row, first)]
    return pairs


def pairs_in_words(pairs: Sequence[tuple[int, int]], ids: Sequence[str], others: Sequence[str]) -> str:
    """`a is b, c is d and 9 more`: the ids of the films of pairs, the first few by name."""
    named = ", ".join(f"{ids[row]} is {others[other]}" for row, other in pairs[:_NAMED])
    return f"{named} and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else named
