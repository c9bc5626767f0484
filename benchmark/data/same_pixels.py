"""Films with exactly the same pixels: one picture under two names, which is no second film.

Where one of them trains and the other tests, or they stand under two patients, a score is better than the model is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from .dataset import Dataset
from .film_rows import Films, blocks_of, taken


def pixel_keys(images: Films) -> list[bytes]:
    """A digest of each film's pixels, images uint8 (N, H, W); equal where every pixel is."""
    films = (film for block in blocks_of(images) for film in block)
    return [hashlib.blake2b(film.tobytes(), digest_size=16).digest() for film in films]


def copies_learnt(data: Dataset, train: Dataset, test: Dataset) -> dict[str, object]:
    """For a record: how many films of `test` have the pixels of a film that `train` was made of; empty where none has.

    data: the films of both at the resolution of `test`; those that `train` shows are known by id and `source_ids`.
    """
    shown = set(train.ids) | {str(source) for row in train.cases.get("source_ids", ()) for source in row}
    ids = data.ids
    rows = [row for row, name in enumerate(ids) if name in shown]
    learnt = {key: ids[row] for key, row in zip(pixel_keys(_rows(data.images, rows)), rows, strict=True)}
    keys = pixel_keys(test.images)
    copies = [(name, learnt[key]) for name, key in zip(test.ids, keys, strict=True) if key in learnt]
    return {"copies": len(copies), "films": len(test), "first": list(copies[0])} if copies else {}


def _rows(images: Films, rows: Sequence[int]) -> Films:
    return images if len(rows) == len(images) else taken(images, np.asarray(rows, dtype=np.int64))


def same_pixels(images: Films, cases: pd.DataFrame) -> tuple[str, ...]:
    """What is to be said of films with the same pixels when a set is imported: a line each for those in train and in
    test, in several folds, under several patients, and the number of them all.
    """
    groups: dict[bytes, list[int]] = {}
    for row, key in enumerate(pixel_keys(images)):
        groups.setdefault(key, []).append(row)
    same = [rows for rows in groups.values() if len(rows) > 1]
    if not same:
        return ()
    ids = list(cases["id"])
    lines = []
    if "split" in cases and (pairs := _tested_copies(same, list(cases["split"]))):
        films = "1 test film is a pixel copy" if len(pairs) == 1 else f"{len(pairs)} test films are pixel copies"
        lines.append(f"{films} of a training film ({_first(pairs, ids)}): a leak")
    for column, what in (("fold", "in several folds"), ("patient", "under several patients")):
        if column in cases:
            values = list(cases[column])
            apart = [rows for rows in same if len({values[row] for row in rows}) > 1]
            if apart:
                count = sum(map(len, apart))
                lines.append(
                    f"{count} films {what} have the same pixels ({_first([(r[1], r[0]) for r in apart], ids)})"
                )
    extra = sum(len(rows) - 1 for rows in same)
    lines.append(
        f"{extra} of {len(ids)} films {'repeats' if extra == 1 else 'repeat'} the pixels of an earlier one "
        f"({_first([(rows[1], rows[0]) for rows in same], ids)})"
    )
    return tuple(lines)


def _tested_copies(same: Sequence[Sequence[int]], parts: Sequence[object]) -> list[tuple[int, int]]:
    """Test films with the pixels of a training film: (row of the test film, of the first such training film)."""
    pairs = []
    for rows in same:
        train = [row for row in rows if parts[row] == "train"]
        if train:
            pairs += [(row, train[0]) for row in rows if parts[row] == "test"]
    return sorted(pairs)


def _first(pairs: Sequence[tuple[int, int]], ids: Sequence[object]) -> str:
    one, other = pairs[0]
    return f"{'' if len(pairs) == 1 else 'the first: '}{ids[one]} is {ids[other]}"
