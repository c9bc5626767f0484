"""Controls: generators whose usefulness is known beforehand. They calibrate the scale, and show how to write one.

`copy_train` gives the training films back (the memorisation alarm must go off, and the utility be that of real
films); `classical` turns, shifts, scales and bends them; `degraded` gives a chosen share of them wrong masks; `noise`
is the floor. A benchmark that cannot rank these ranks nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from ..benchmark.augmentation import elastic_field, warp
from ..benchmark.dataset import Annotation, Dataset
from ..benchmark.errors import InputError
from ..benchmark.progress import Progress
from ..benchmark.provider import Batch, Provider

BATCH = 64


def originals(films: Dataset) -> list[str]:
    """Of every film the id of the real case whose pixels it shows: its original's, if it is an augmented copy."""
    if "source_ids" not in films.cases:
        return films.ids
    pairs = zip(films.ids, films.cases["source_ids"], strict=True)
    return [str(sources[0]) if len(sources) else name for name, sources in pairs]


def draw(films: Dataset, n: int, rng: np.random.Generator) -> np.ndarray:
    """`n` row numbers, in rounds that take one copy of every original each: all the variety n films can have."""
    copies: dict[str, list[int]] = {}
    for row, original in enumerate(originals(films)):
        copies.setdefault(original, []).append(row)
    rounds: list[int] = []
    while len(rounds) < n:
        this = [int(rng.choice(rows)) for rows in copies.values()]
        rounds += [this[index] for index in rng.permutation(len(this))]
    return np.array(rounds[:n])


def batches(images: np.ndarray, flags: np.ndarray, organs: int, sources: list[list[str]] | None) -> Iterator[Batch]:
    """uint8 films (N, H, W) and bit flags (N, H, W) as batches of at most 64."""
    bits = (1 << np.arange(organs)).astype(np.uint8)
    for start in range(0, len(images), BATCH):
        part = slice(start, start + BATCH)
        yield Batch(
            images=images[part, None].astype(np.float32) / 255,
            masks=(flags[part, None] & bits[None, :, None, None]) != 0,
            source_ids=None if sources is None else sources[part],
        )


class CopyTrain(Provider):
    """The training films and their masks, drawn again."""

    produces = frozenset({Annotation.MASKS})
    reference_seconds: ClassVar = {"quick": 1.0}

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        self.films = train
        self.masks()

    def masks(self) -> np.ndarray:
        """Bit flags of the training films; InputError when they have none."""
        if self.films.masks is None:
            raise InputError(f"{type(self).__name__}: the training set {self.films.info.name} has no masks")
        return self.films.masks

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        rng = np.random.default_rng(seed)
        rows = draw(self.films, n, rng)
        images, flags = self.change(self.films.images[rows], self.masks()[rows], rows, rng)
        shown = originals(self.films)
        yield from batches(images, flags, len(self.films.organs), [[shown[row]] for row in rows])

    def change(
        self, images: np.ndarray, flags: np.ndarray, rows: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """What a control does to the drawn films and masks: here nothing."""
        return images, flags


@dataclass(frozen=True)
class ClassicalSettings:
    """Largest changes, drawn evenly up to them: degrees, shares of a film's side, factors."""

    angle: float = 8.0
    shift: float = 0.06
    scale: float = 0.08
    bend: float = 0.015
    """Root mean square of the elastic displacement."""
    bend_width: float = 0.1
    """How far a bend reaches: standard deviation of the smoothing."""
    contrast: float = 0.15
    """Grey levels are multiplied by 1 - contrast to 1 + contrast about their mean."""


class Classical(CopyTrain):
    """Training films, affinely and elastically changed together with their masks: the augmentation everyone has."""

    presets: ClassVar[Mapping[str, ClassicalSettings]] = {
        name: ClassicalSettings() for name in ("quick", "standard", "paper")
    }

    def change(
        self, images: np.ndarray, flags: np.ndarray, rows: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        s: ClassicalSettings = self.settings
        films, masks = np.empty_like(images), np.empty_like(flags)
        side = images.shape[-1]
        for index, (image, mask) in enumerate(zip(images, flags, strict=True)):
            shift_x, shift_y = rng.uniform(-s.shift, s.shift, size=2)
            film, masks[index] = warp(
                image,
                mask,
                angle=rng.uniform(-s.angle, s.angle),
                shift_x=shift_x,
                shift_y=shift_y,
                scale=1 + rng.uniform(-s.scale, s.scale),
                displacement=elastic_field(side, amplitude=s.bend * side, smoothness=s.bend_width * side, rng=rng),
            )
            factor = 1 + rng.uniform(-s.contrast, s.contrast)
            films[index] = np.clip((film - film.mean()) * factor + film.mean(), 0, 255)
        return films, masks


@dataclass(frozen=True)
class DegradedSettings:
    """`wrong`: the share of films with a wrong mask, 0 (as copy_train) to 1."""

    wrong: float = 0.5


class Degraded(CopyTrain):
    """Training films, a share of them with a wrong mask: another patient's, upside down, at half its size.

    Wrong masks that differed from each other in every way would cancel out; these all pull the same way.
    """

    presets: ClassVar[Mapping[str, DegradedSettings]] = {
        name: DegradedSettings() for name in ("quick", "standard", "paper")
    }

    def __init__(self, settings: DegradedSettings | None = None, *, device: str = "cpu") -> None:
        super().__init__(settings, device=device)
        if not 0 <= self.settings.wrong <= 1:
            raise InputError(f"degraded: 'wrong' is a share from 0 to 1, found {self.settings.wrong}")

    def change(
        self, images: np.ndarray, flags: np.ndarray, rows: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        flags = flags.copy()
        patients = self.films.cases["patient"].astype(str).to_numpy()
        for index in rng.permutation(len(rows))[: round(self.settings.wrong * len(rows))]:
            others = np.flatnonzero(patients != patients[rows[index]])
            if not len(others):
                raise InputError("degraded: a wrong mask is another patient's, and there is only one patient")
            half = self.masks()[rng.choice(others)][::-2, ::2]
            margin = (flags.shape[-1] - len(half)) // 2
            flags[index] = 0
            flags[index, margin : margin + len(half), margin : margin + len(half)] = half
        return images, flags


class Noise(Provider):
    """Blurred noise, with a blob for every organ that has nothing to do with it: what a useless generator gives."""

    produces = frozenset({Annotation.MASKS})
    reference_seconds: ClassVar = {"quick": 1.0}

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        self.side, self.organs = train.resolution, len(train.organs)

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        rng = np.random.default_rng(seed)
        for start in range(0, n, BATCH):
            images = np.stack([self.film(rng) for _ in range(min(BATCH, n - start))])
            flags = np.stack([self.blobs(rng) for _ in images])
            yield from batches(images, flags, self.organs, None)

    def film(self, rng: np.random.Generator) -> np.ndarray:
        """uint8 (H, W): Gaussian noise, blurred, about mid-grey."""
        noise = cv2.GaussianBlur(rng.normal(size=(self.side, self.side)), (0, 0), self.side * rng.uniform(0.01, 0.1))
        return np.clip(128 + 48 * noise / noise.std(), 0, 255).astype(np.uint8)

    def blobs(self, rng: np.random.Generator) -> np.ndarray:
        """uint8 bit flags (H, W): an ellipse of any place, size and direction for every organ."""
        flags = np.zeros((self.side, self.side), dtype=np.uint8)
        for organ in range(self.organs):
            blob = np.zeros_like(flags)
            centre, axes = rng.integers(0, self.side, size=2), rng.uniform(0.05, 0.25, size=2) * self.side
            cv2.ellipse(blob, centre.tolist(), np.rint(axes).astype(int).tolist(), rng.uniform(0, 180), 0, 360, 1, -1)
            flags |= blob << np.uint8(organ)
        return flags
