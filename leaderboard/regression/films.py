"""A few dozen drawn films that carry every protocol: what a training is fingerprinted on (`fingerprint`).

Not phantoms: ellipses and rectangles, made in milliseconds by whole numbers and quadratic forms alone, so that every
machine draws the same bytes and a better phantom moves no fingerprint. They have masks, findings and boxes, patients
with two films each, the columns `split` and `fold`, healthy films, and two films at least of every finding alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from ...benchmark.data.dataset import Dataset, DatasetInfo, pack_masks
from ...benchmark.data.findings import BOXED, FINDINGS

FILMS = 64
NAME = "fingerprint films"


class _Ellipse(NamedTuple):
    """Centre and half axes as shares of the side, and how much darker (or brighter) it is than the body."""

    x: float
    y: float
    across: float
    down: float
    grey: int


ORGANS = {
    "left_lung": _Ellipse(0.70, 0.45, 0.17, 0.30, -90),
    "right_lung": _Ellipse(0.30, 0.45, 0.17, 0.30, -90),
    "heart": _Ellipse(0.56, 0.62, 0.15, 0.14, 60),
}


def fingerprint_films(side: int = 64) -> Dataset:
    """64 films of `side` pixels with masks of three organs, the 14 findings, and a box for each finding that has some."""
    images = np.zeros((FILMS, side, side), dtype=np.uint8)
    masks = np.zeros((FILMS, len(ORGANS), side, side), dtype=bool)
    boxes: list[tuple[str, str, float, float, float, float]] = []
    labels = np.zeros((FILMS, len(FINDINGS)), dtype=np.uint8)
    for row in range(FILMS):
        rng = np.random.default_rng([2021, row])
        film = np.full((side, side), 150, dtype=np.int64)
        for place, organ in enumerate(ORGANS.values()):
            masks[row, place] = _inside(organ, rng.integers(-20, 21, 4) / 1000, side)
            film[masks[row, place]] += organ.grey
        for column in _shown(row):
            x, y, w, h = (int(share) * side // 100 for share in (*rng.integers(10, 55, 2), *rng.integers(12, 35, 2)))
            labels[row, column] = 1
            film[y : y + h, x : x + w] += 15 + 5 * column
            if FINDINGS[column] in BOXED:
                boxes.append((_case(row), FINDINGS[column], float(x), float(y), float(w), float(h)))
        images[row] = np.clip(film + rng.integers(-12, 13, film.shape), 0, 255)
    patients = np.arange(FILMS) // 2
    cases = pd.DataFrame(
        {
            "id": [_case(row) for row in range(FILMS)],
            "patient": [f"patient{patient:02d}" for patient in patients],
            "split": np.where(patients % 3 == 2, "test", "train"),
            "fold": [str(patient % 3) for patient in patients],
            "source_ids": [[_case(row)] for row in range(FILMS)],
        }
    )
    cases[list(FINDINGS)] = labels
    info = DatasetInfo(
        name=NAME, resolution=side, organs=tuple(ORGANS), findings=FINDINGS, provenance="drawn for fingerprints"
    )
    table = pd.DataFrame(boxes, columns=["id", "finding", "x", "y", "w", "h"])
    return Dataset(info=info, images=images, cases=cases, masks=pack_masks(masks), boxes=table)


def _case(row: int) -> str:
    return f"film{row:02d}"


def _shown(row: int) -> list[int]:
    """The findings of a film by number: none of every fourth, else one, and every seventh film has another one too."""
    if row % 4 == 0:
        return []
    turn = row - row // 4 - 1  # the how many-th film with a finding
    first = turn % len(FINDINGS)
    return [first, (first + 5) % len(FINDINGS)] if row % 7 == 6 else [first]


def _inside(organ: _Ellipse, shift: np.ndarray, side: int) -> np.ndarray:
    """bool (side, side): the pixels of an ellipse whose centre and axes are a little off."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    centre_x, centre_y = organ.x + float(shift[0]), organ.y + float(shift[1])
    across, down = organ.across + float(shift[2]), organ.down + float(shift[3])
    return ((x - centre_x) / across) ** 2 + ((y - centre_y) / down) ** 2 <= 1
