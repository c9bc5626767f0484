"""Which real films a film shows, and copies of films: what stands for synthetic films in a placebo."""

from __future__ import annotations

import pandas as pd

from ..draws import Draw
from .dataset import Dataset
from .film_rows import taken


def sources(films: Dataset) -> list[tuple[str, ...]]:
    """Of every film the ids of the real cases that its pixels show, as its column `source_ids` says; () where it says
    nothing."""
    if "source_ids" not in films.cases:
        return [()] * len(films)
    return [() if row is None else tuple(map(str, row)) for row in films.cases["source_ids"]]


def originals(films: Dataset) -> list[str]:
    """Of every real film the id of the case whose pixels it shows: its original's, if it is an augmented copy."""
    return [shown[0] if shown else name for name, shown in zip(films.ids, sources(films), strict=True)]


def copies(films: Dataset, count: int, *, seed: int) -> Dataset:
    """`count` films drawn from `films` with replacement, each film as likely as any other, with all their annotations.

    Ids are `copy<number>-<id>`; `patient` is the original's, `source_ids` the original. The same draws everywhere.
    """
    rows = Draw(seed).integers(0, len(films), count)
    ids, shown = films.ids, originals(films)
    cases = films.cases.iloc[rows].reset_index(drop=True)
    cases["id"] = names = [f"copy{number:05d}-{ids[row]}" for number, row in enumerate(rows)]
    cases["source_ids"] = [[shown[row]] for row in rows]
    boxes = None
    if films.boxes is not None:
        drawn = pd.DataFrame({"id": [ids[row] for row in rows], "copy": names})
        boxes = drawn.merge(films.boxes.astype({"id": str}), on="id").drop(columns="id").rename(columns={"copy": "id"})
        boxes = boxes[list(films.boxes.columns)]
    return Dataset(
        info=films.info.changed(name=f"{films.info.name}, {count} copies"),
        images=taken(films.images, rows),
        cases=cases,
        masks=None if films.masks is None else taken(films.masks, rows),
        boxes=boxes,
        originals=None if films.originals is None else films.originals.select(rows),
    )
