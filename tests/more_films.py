"""A control that knows more than it may: other real training films. What it is worth is known beforehand.

`cxrbench run --provider tests/more_films.py:MoreFilms --set more=31 --set data=kermany_lungs`: with n real films and so many
more the worth must be about n + more. It is no entry: it is not fitted on the training set that it is given alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cxrbench import Annotation, Batch, Dataset, Provider
from cxrbench.benchmark.data.catalogue import find_dataset
from cxrbench.benchmark.data.copies import originals
from cxrbench.benchmark.data.splits import drawn
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress

BATCH = 64


@dataclass(frozen=True)
class Settings:
    """`data`: the dataset that the training films are of; `more`: how many other training films are given."""

    data: str = "phantom"
    more: int = 31


class MoreFilms(Provider):
    """Real training films that the arm has not, each as often as the others."""

    produces = frozenset({Annotation.MASKS})
    presets = {name: Settings() for name in ("quick", "standard", "paper")}
    reference_seconds = {"quick": 1.0}

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        films = find_dataset(self.settings.data, train.resolution)
        known = set(originals(train))
        patients = dict(zip(films.ids, films.cases["patient"].astype(str), strict=True))
        taken = {patients[case] for case in known}
        splits = films.cases["split"].astype(str).to_numpy()
        rows = [row for row, case in enumerate(films.ids) if splits[row] == "train" and patients[case] not in taken]
        if len(rows) < self.settings.more:
            raise InputError(f"more_films: {self.settings.more} more films asked for, {len(rows)} are left")
        order = {case: place for place, case in enumerate(drawn([films.ids[row] for row in rows], f"more/{seed}"))}
        self.films = films.select(sorted(rows, key=lambda row: order[films.ids[row]])[: self.settings.more])

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        rows = np.resize(np.arange(len(self.films)), n)
        bits = (1 << np.arange(len(self.films.organs))).astype(np.uint8)[None, :, None, None]
        for part in np.split(rows, range(BATCH, n, BATCH)):
            yield Batch(
                images=self.films.images[part, None].astype(np.float32) / 255,
                masks=(self.films.masks[part, None] & bits) != 0,
                source_ids=[[self.films.ids[row]] for row in part],
            )

    def trained_on(self) -> list[str]:
        return self.films.ids
