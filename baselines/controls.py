"""Controls: generators whose usefulness is known beforehand. They calibrate the scale, and show how to write one.

`copy_train` gives the training films back (the memorisation alarm must go off, and the utility be that of real
films); `classical` turns, shifts, scales and bends them; `degraded` annotates a chosen share of them wrongly; `noise`
is the floor. A benchmark that cannot rank these ranks nothing. Each makes the masks, labels and boxes that the training
films have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ..benchmark import exact
from ..benchmark.contracts.provider import Batch, Provider
from ..benchmark.data.augmentation import between, elastic_field, warp
from ..benchmark.data.copies import originals
from ..benchmark.data.dataset import Annotation, Dataset
from ..benchmark.draws import Draw
from ..benchmark.errors import InputError
from ..benchmark.progress import Progress

BATCH = 64
OUTLINE = 5  # points on a side of a box whose places after a warp make the warped box
KEPT = 0.25  # a warped box with less than this share of its area on the film has left it

Box = tuple[str, float, float, float, float]
"""Finding, x, y, w, h in pixels."""


@dataclass(frozen=True)
class Films:
    """Annotated films: uint8 (N, H, W), bit flags uint8 (N, H, W), labels uint8 (N, F), boxes of every film. What the
    training films are not annotated with is None."""

    images: np.ndarray
    flags: np.ndarray | None
    labels: np.ndarray | None
    boxes: list[list[Box]] | None

    def batch(self, organs: int, sources: list[list[str]] | None) -> Batch:
        """The films as a provider hands them over."""
        bits = (1 << np.arange(organs)).astype(np.uint8)[None, :, None, None]
        return Batch(
            images=self.images[:, None].astype(np.float32) / 255,
            masks=None if self.flags is None else (self.flags[:, None] & bits) != 0,
            labels=self.labels,
            boxes=self.boxes,
            source_ids=sources,
        )


def boxes_of(films: Dataset) -> list[list[Box]] | None:
    """The boxes of every film, in the order of the films; None where the set has no table of boxes."""
    if films.boxes is None:
        return None
    per_film: dict[str, list[Box]] = {name: [] for name in films.ids}
    for name, finding, *box in films.boxes[["id", "finding", "x", "y", "w", "h"]].itertuples(index=False, name=None):
        x, y, w, h = map(float, box)
        per_film[str(name)].append((str(finding), x, y, w, h))
    return list(per_film.values())


def usable(films: Dataset) -> np.ndarray:
    """Rows that a control draws from: the films with boxes where any has one, since a detector is taught with those
    (a training set of boxes may hold healthy films as well); else all."""
    boxes = boxes_of(films)
    boxed = [row for row, some in enumerate(boxes) if some] if boxes is not None else []
    return np.array(boxed or range(len(films)), dtype=np.int64)


def draw(films: Dataset, n: int, rng: Draw) -> np.ndarray:
    """`n` row numbers, in rounds that take one copy of every original each: all the variety n films can have, and every
    finding as often as in the training set. Where films have boxes, of those alone (see `usable`)."""
    shown = originals(films)
    copies: dict[str, list[int]] = {}
    for row in usable(films).tolist():
        copies.setdefault(shown[row], []).append(row)
    rounds: list[int] = []
    while len(rounds) < n:
        this = [rng.choice(rows) for rows in copies.values()]
        rounds += [this[index] for index in rng.order(len(this))]
    return np.array(rounds[:n])


def one_of(rows: np.ndarray, rng: Draw) -> int:
    """One of some row numbers."""
    return int(rows[rng.integer(0, len(rows))])


def refuse_bare(control: Provider, train: Dataset) -> None:
    """InputError for a training set without annotations."""
    if not train.annotations:
        raise InputError(f"{type(control).__name__}: the training set {train.info.name} has no masks, labels or boxes")


class CopyTrain(Provider):
    """The training films and their annotations, drawn again."""

    name = "copy_train"
    produces = frozenset({Annotation.MASKS, Annotation.LABELS, Annotation.BOXES})
    reference_seconds: ClassVar = {"quick": 1.0}

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        refuse_bare(self, train)
        self.films = train

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        rng = Draw(seed)
        rows = draw(self.films, n, rng)
        shown = originals(self.films)
        for part, films in zip(np.split(rows, range(BATCH, n, BATCH)), self.changed(rows, rng), strict=True):
            yield films.batch(len(self.films.organs), [[shown[row]] for row in part])

    def changed(self, rows: np.ndarray, rng: Draw) -> Iterator[Films]:
        """What a control makes of the drawn films, 64 by 64: here nothing else."""
        films, boxes = self.films, boxes_of(self.films)
        labels = films.labels() if films.info.findings else None
        for part in np.split(rows, range(BATCH, len(rows), BATCH)):
            yield Films(
                images=films.images[part],
                flags=None if films.masks is None else films.masks[part],
                labels=None if labels is None else labels[part],
                boxes=None if boxes is None else [boxes[row] for row in part],
            )


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


@dataclass(frozen=True)
class Change:
    """The arguments of one `augmentation.warp`."""

    angle: float
    shift_x: float
    shift_y: float
    scale: float
    displacement: np.ndarray

    def box(self, box: Box) -> Box | None:
        """Where `warp` takes a box: the smallest one around its warped outline, cut at the edge of the film; None where
        less than a quarter of that is on the film.

        `warp` looks from an output pixel p to its source q = M(p - c - shift) + c + d(p). The outline goes the other
        way, p = M^-1(q - c - d(p)) + c + shift, by iteration: d changes much less than p does.
        """
        finding, left, top, w, h = box
        side = self.displacement.shape[-1]
        centre = (side - 1) / 2
        steps = np.arange(OUTLINE) / (OUTLINE - 1)
        x, y = np.tile(steps, OUTLINE), np.repeat(steps, OUTLINE)
        from_x, from_y = left + w * x - 0.5 - centre, top + h * y - 0.5 - centre  # a pixel's centre is at 0.5
        turn = self.angle * (np.pi / 180.0)
        cos, sin = exact.cos(turn) * self.scale, exact.sin(turn) * self.scale
        bend_x, bend_y = np.zeros_like(from_x), np.zeros_like(from_y)
        for _ in range(8):
            u, v = from_x - bend_x, from_y - bend_y
            x = cos * u + sin * v + centre + self.shift_x * side
            y = -sin * u + cos * v + centre + self.shift_y * side
            bend_x, bend_y = (between(plane, x, y) for plane in self.displacement)
        whole = np.array([x.min(), y.min(), x.max(), y.max()]) + 0.5
        x0, y0, x1, y1 = np.clip(whole, 0, side).tolist()
        if (x1 - x0) * (y1 - y0) < KEPT * (whole[2] - whole[0]) * (whole[3] - whole[1]):
            return None
        return finding, x0, y0, x1 - x0, y1 - y0


class Classical(CopyTrain):
    """Training films, affinely and elastically changed together with masks and boxes: the augmentation everyone has."""

    name = "classical"
    presets: ClassVar[Mapping[str, ClassicalSettings]] = {
        name: ClassicalSettings() for name in ("quick", "standard", "paper")
    }

    def changed(self, rows: np.ndarray, rng: Draw) -> Iterator[Films]:
        """The drawn films, each under a change of its own."""
        for drawn in super().changed(rows, rng):
            images = np.empty_like(drawn.images)
            flags = None if drawn.flags is None else np.empty_like(drawn.flags)
            boxes = None if drawn.boxes is None else list(drawn.boxes)
            for index, image in enumerate(drawn.images):
                change = self.change(image.shape[-1], rng)
                film, mask = warp(image, None if drawn.flags is None else drawn.flags[index], **vars(change))
                factor = 1 + rng.uniform(-self.settings.contrast, self.settings.contrast)
                images[index] = np.clip((film - film.mean()) * factor + film.mean(), 0, 255)
                if flags is not None:
                    flags[index] = mask
                if boxes is not None:
                    boxes[index] = [moved for moved in map(change.box, boxes[index]) if moved is not None]
            yield replace(drawn, images=images, flags=flags, boxes=boxes)

    def change(self, side: int, rng: Draw) -> Change:
        """A change within the settings."""
        s: ClassicalSettings = self.settings
        shift_x, shift_y = rng.uniform(-s.shift, s.shift), rng.uniform(-s.shift, s.shift)
        return Change(
            angle=rng.uniform(-s.angle, s.angle),
            shift_x=shift_x,
            shift_y=shift_y,
            scale=1 + rng.uniform(-s.scale, s.scale),
            displacement=elastic_field(side, amplitude=s.bend * side, smoothness=s.bend_width * side, rng=rng),
        )


@dataclass(frozen=True)
class DegradedSettings:
    """`wrong`: the share of films with wrong annotations, 0 (as copy_train) to 1."""

    wrong: float = 0.5


def wrong_box(box: Box, side: int) -> Box:
    """A box at half its size in the corner of the film that is farthest from it."""
    finding, x, y, w, h = box
    x = 0.0 if x + w / 2 >= side / 2 else side - w / 2
    y = 0.0 if y + h / 2 >= side / 2 else side - h / 2
    return finding, x, y, w / 2, h / 2


class Degraded(CopyTrain):
    """Training films, a share of them annotated wrongly.

    A wrong mask is another patient's, upside down, at half its size. Wrong labels are those of another patient who has
    no finding in common with the film: a healthy film gets findings (labels that are the same for all films stay, where
    there are masks or boxes besides). A wrong box lies in the farthest corner, at half its size. Wrong annotations that
    differed from each other in every way would cancel out; these all pull the same way.
    """

    name = "degraded"
    presets: ClassVar[Mapping[str, DegradedSettings]] = {
        name: DegradedSettings() for name in ("quick", "standard", "paper")
    }

    def __init__(self, settings: DegradedSettings | None = None, *, device: str = "cpu") -> None:
        super().__init__(settings, device=device)
        if not 0 <= self.settings.wrong <= 1:
            raise InputError(f"degraded: 'wrong' is a share from 0 to 1, found {self.settings.wrong}")

    def changed(self, rows: np.ndarray, rng: Draw) -> Iterator[Films]:
        """The drawn films, a share of them with wrong annotations."""
        films = self.films
        wrong = rng.order(len(rows))[: round(self.settings.wrong * len(rows))].tolist()
        chosen = set(wrong)
        others = Others(films)
        masks_of = {i: one_of(others.any(rows[i]), rng) for i in wrong} if films.masks is not None else {}
        relabelled = films.info.findings and (others.labels_differ or films.annotations == {Annotation.LABELS})
        labels_of = {i: one_of(others.unlike(rows[i]), rng) for i in wrong} if relabelled else {}
        for number, drawn in enumerate(super().changed(rows, rng)):
            for place in chosen.intersection(range(number * BATCH, number * BATCH + BATCH)):
                index = place % BATCH
                if drawn.flags is not None and films.masks is not None:
                    drawn.flags[index] = upside_down(films.masks[masks_of[place]])
                if drawn.labels is not None and labels_of:
                    drawn.labels[index] = others.labels[labels_of[place]]
                if drawn.boxes is not None:
                    drawn.boxes[index] = [wrong_box(box, films.resolution) for box in drawn.boxes[index]]
            yield drawn


def upside_down(flags: np.ndarray) -> np.ndarray:
    """Bit flags (H, W), turned over from top to bottom and at half their size in the middle."""
    half = flags[::-2, ::2]
    margin = (flags.shape[-1] - len(half)) // 2
    turned = np.zeros_like(flags)
    turned[margin : margin + len(half), margin : margin + len(half)] = half
    return turned


class Others:
    """The films of other patients."""

    def __init__(self, films: Dataset) -> None:
        _, self.patients = np.unique(films.cases["patient"].astype(str), return_inverse=True)
        self.labels = films.labels() if films.info.findings else np.zeros((len(films), 0), dtype=np.uint8)
        self.labels_differ = bool((self.labels != self.labels[:1]).any())
        self._unlike: dict[bytes, np.ndarray] = {}

    def any(self, row: int) -> np.ndarray:
        """All their rows; InputError where there are none."""
        others = np.flatnonzero(self.patients != self.patients[row])
        if not len(others):
            raise InputError("degraded: a wrong annotation is another patient's, and there is only one patient")
        return others

    def unlike(self, row: int) -> np.ndarray:
        """Rows of those without a finding in common (and with any, if the film has none); where all have one in common,
        of those with other labels. InputError where the labels of all are the same."""
        own = self.labels[row]
        if own.tobytes() not in self._unlike:
            differs, shares = (self.labels != own).any(axis=1), (self.labels & own).any(axis=1)
            apart = differs & ~shares
            self._unlike[own.tobytes()] = np.flatnonzero(apart if apart.any() else differs)
        candidates = self._unlike[own.tobytes()]
        others = candidates[self.patients[candidates] != self.patients[row]]
        if not len(others):
            self.any(row)
            raise InputError(
                "degraded: wrong labels are another patient's, and all other patients have the same labels"
            )
        return others


class Noise(Provider):
    """Blurred noise with annotations that have nothing to do with it: what a useless generator gives.

    A mask is a blob for every organ. Labels and boxes are those of a training film drawn at random (of one with boxes
    where any has some), so that each finding is as frequent, and each box where and as large, as in the training set.
    """

    name = "noise"
    produces = frozenset({Annotation.MASKS, Annotation.LABELS, Annotation.BOXES})
    reference_seconds: ClassVar = {"quick": 1.0}

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        refuse_bare(self, train)
        rows, boxes = usable(train), boxes_of(train)
        self.side, self.organs, self.masked = train.resolution, len(train.organs), train.masks is not None
        self.rows = len(rows)
        self.labels = train.labels()[rows] if train.info.findings else None
        self.boxes = None if boxes is None else [boxes[row] for row in rows]

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        rng, picks = Draw(seed), Draw(seed, 1)
        for start in range(0, n, BATCH):
            images = np.stack([self.film(rng) for _ in range(min(BATCH, n - start))])
            flags = np.stack([self.blobs(rng) for _ in images]) if self.masked else None
            rows = picks.integers(0, self.rows, len(images))
            labels = None if self.labels is None else self.labels[rows]
            boxes = None if self.boxes is None else [self.boxes[row] for row in rows]
            yield Films(images, flags, labels, boxes).batch(self.organs, None)

    def film(self, rng: Draw) -> np.ndarray:
        """uint8 (H, W): Gaussian noise, blurred, about mid-grey."""
        noise = exact.smooth(rng.noise(self.side, self.side), self.side * rng.uniform(0.01, 0.1))
        flat = noise.reshape(-1) - exact.total(noise.reshape(-1)) / noise.size
        spread = np.sqrt(exact.total(flat * flat) / noise.size)
        return np.clip(128 + 48 * noise / spread, 0, 255).astype(np.uint8)

    def blobs(self, rng: Draw) -> np.ndarray:
        """uint8 bit flags (H, W): an ellipse of any place, size and direction for every organ."""
        flags = np.zeros((self.side, self.side), dtype=np.uint8)
        x, y = np.arange(float(self.side))[None, :], np.arange(float(self.side))[:, None]
        for organ in range(self.organs):
            across, down = x - rng.integer(0, self.side), y - rng.integer(0, self.side)
            long, short = (rng.uniform(0.05, 0.25) * self.side + 0.5 for _ in range(2))
            turn = rng.uniform(0.0, np.pi)
            along = (exact.cos(turn) * across + exact.sin(turn) * down) / long
            aside = (exact.cos(turn) * down - exact.sin(turn) * across) / short
            flags |= (along * along + aside * aside <= 1.0).astype(np.uint8) << np.uint8(organ)
        return flags
