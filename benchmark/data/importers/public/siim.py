"""SIIM-ACR pneumothorax segmentation 2019 (Zawacki et al., Kaggle): 12,047 films with labels, 2,669 with a pneumothorax.

`stage_2_train.csv` (or `train-rle.csv` of stage 1: 10,675 films) with ImageId and EncodedPixels, several rows for several
regions, and the DICOM files anywhere below. EncodedPixels is -1, or pairs (gap, length) over a mask of 1,024 x 1,024 read
column by column: a run begins `gap` pixels after the end of the run before. No official split with labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ....errors import InputError
from .files import films_below, folders, table_of
from .listing import Count, Listing, PublicFilm, PublicOptions

STAGES = {"stage_2_train.csv": 12_047, "train-rle.csv": 10_675}
"""Films with labels of either table."""
SIDE = 1024
FINDING, ORGAN = "Pneumothorax", "pneumothorax"
_NONE = ("-1", "-1.0")


def read(source: Path, options: PublicOptions) -> Listing:
    """The films of the table; their masks are those of the pneumothorax, empty where there is none."""
    table = table_of("siim", source, tuple(STAGES), ("ImageId", "EncodedPixels"))
    files = films_below("siim", [one for one in folders(source) if one == source or "test" not in one.name.lower()])
    runs: dict[str, list[np.ndarray]] = {}
    for row, values in enumerate(table.rows):
        found = runs.setdefault(values["ImageId"], [])
        if values["EncodedPixels"] not in _NONE:
            found.append(_runs(values["EncodedPixels"], f"siim: {table.places([row])} of {table.path}"))
    films = [
        PublicFilm(
            id=film,
            path=files.get(film, source / f"{film}.dcm"),
            patient=film,
            labels={FINDING: str(int(bool(found)))},
            masks=partial(rle_mask, found),
        )
        for film, found in runs.items()
    ]
    name = table.path.name.removesuffix(".gz")
    return Listing(
        films=films,
        labels=(FINDING,),
        counts=[Count(f"films in {name}", len(films), (STAGES[name],))],
        provenance="SIIM-ACR pneumothorax segmentation (2019), https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation",
        organs=(ORGAN,),
        remarks=("the set does not say who is on a film: every film counts as a person of its own",),
    )


def _runs(text: str, where: str) -> np.ndarray:
    """Pairs (gap, length), int64 (R, 2)."""
    try:
        numbers = np.array([int(word) for word in text.split()], dtype=np.int64)
    except (ValueError, OverflowError):
        raise InputError(f"{where}: EncodedPixels must be -1 or whole numbers, found '{text[:40]}'") from None
    if not len(numbers) or len(numbers) % 2 or (numbers < 0).any() or numbers.sum() > SIDE * SIDE:
        raise InputError(
            f"{where}: EncodedPixels must be pairs of a gap and a length that end within {SIDE} x {SIDE} pixels"
        )
    return numbers.reshape(-1, 2)


def rle_mask(regions: Sequence[np.ndarray], side: int = SIDE) -> np.ndarray:
    """The union of regions of runs (gap, length), int64 (R, 2), as uint8 (side, side) of 0 and 1."""
    flat = np.zeros(side * side, dtype=np.uint8)
    for runs in regions:
        ends = np.cumsum(runs.sum(axis=1))
        for end, length in zip(ends, runs[:, 1], strict=True):
            flat[end - length : end] = 1
    return flat.reshape(side, side).T
