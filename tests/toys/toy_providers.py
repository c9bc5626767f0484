"""Providers for tests: one that keeps the contract and many that break it, each in one way."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from cxrbench.benchmark.contracts.provider import Batch, Provider
from cxrbench.benchmark.data.copies import copies, sources
from cxrbench.benchmark.data.dataset import Annotation, Dataset
from cxrbench.benchmark.progress import Progress

DRAWN = count()  # goes on from sampling to sampling, as a global generator does


@dataclass(frozen=True)
class Settings:
    """`grey` is added to the films."""

    grey: float = 0.05


class Toy(Provider):
    """Training films, a little brighter."""

    produces = frozenset({Annotation.MASKS})
    presets = {name: Settings() for name in ("quick", "standard", "paper")}
    reference_seconds = {"quick": 1.0}

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        self.train = train

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        rows = np.random.default_rng(seed).integers(0, len(self.train), n)
        films = self.train.select(np.unique(rows))
        where = np.searchsorted(np.unique(rows), rows)
        images = films.images[where, None].astype(np.float32) / np.float32(255)
        yield self.change(Batch(np.clip(images + np.float32(self.settings.grey), 0, 1), films.organ_masks()[where]))

    def change(self, batch: Batch) -> Batch:
        return batch


@dataclass(frozen=True)
class CopySettings:
    """`draw`: the seed of the copies."""

    draw: int = 0


class Copies(Toy):
    """What a placebo has in place of synthetic films, when `draw` is the seed of its draw."""

    presets = {name: CopySettings() for name in ("quick", "standard", "paper")}

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        films = copies(self.train, n, seed=self.settings.draw)
        images = films.images[:, None].astype(np.float32) / np.float32(255)
        yield Batch(images, films.organ_masks(), source_ids=[list(shown) for shown in sources(films)])


class Tells(Toy):
    """Makes the lungs alone, and says how its training and its sampling went."""

    def change(self, batch: Batch) -> Batch:
        self.made = len(batch.images)
        return Batch(batch.images, batch.masks[:, :2], organs=("left_lung", "right_lung"))

    def facts(self) -> dict[str, float | int | str]:
        return {"films_drawn": self.made, "mood": "fine"}

    def timeline(self) -> tuple[list[int], np.ndarray]:
        return [10, 20], np.stack([self.train.images[:2], self.train.images[2:4]])


class TellsNonsense(Tells):
    """Says a figure that is no number."""

    def facts(self) -> dict[str, float | int | str]:
        return {"share": float("nan")}


class ShowsNonsense(Tells):
    """Shows pictures for other steps than it has."""

    def timeline(self) -> tuple[list[int], np.ndarray]:
        return [10], super().timeline()[1]


class TooFew(Toy):
    """Returns one film less."""

    def change(self, batch: Batch) -> Batch:
        return Batch(batch.images[1:], batch.masks[1:])


class WrongShape(Toy):
    """Leaves out an organ."""

    def change(self, batch: Batch) -> Batch:
        return Batch(batch.images, batch.masks[:, 1:])


class WrongRange(Toy):
    """Returns films in [0, 255]."""

    def change(self, batch: Batch) -> Batch:
        return Batch(batch.images * np.float32(255), batch.masks)


class NotANumber(Toy):
    """Returns films with NaN."""

    def change(self, batch: Batch) -> Batch:
        return Batch(np.full_like(batch.images, np.nan), batch.masks)


class WrongType(Toy):
    """Returns films in float64."""

    def change(self, batch: Batch) -> Batch:
        return Batch(batch.images.astype(np.float64), batch.masks)


class NoBatch(Toy):
    """Returns something else."""

    def change(self, batch: Batch) -> Batch:
        return batch.images


class Raises(Toy):
    """Raises in fit."""

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        raise RuntimeError("no luck today")


class Hangs(Toy):
    """Never ends."""

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        time.sleep(3600)


class Exits(Toy):
    """Ends the process."""

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        os._exit(7)


class Leaks(Toy):
    """Says that it shows a test film."""

    def change(self, batch: Batch) -> Batch:
        return Batch(batch.images, batch.masks, source_ids=[["PHLN002"]] * len(batch.images))


class Unseeded(Toy):
    """Draws from something global: every batch is darker than the last."""

    def change(self, batch: Batch) -> Batch:
        return Batch(batch.images / np.float32(2 + next(DRAWN)), batch.masks)


class Constant(Toy):
    """Ignores the seed."""

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        yield from super().sample(n, seed=0)


class Bare(Toy):
    """Training films, a little brighter, without annotations."""

    produces = frozenset()

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        rows = np.random.default_rng(seed).integers(0, len(self.train), n)
        images = self.train.images[rows, None].astype(np.float32) / np.float32(255)
        yield Batch(np.clip(images + np.float32(self.settings.grey), 0, 1))


class KnowsTest(Bare):
    """Has learnt from a test film elsewhere."""

    def trained_on(self) -> list[str]:
        return ["elsewhere", "e05"]
