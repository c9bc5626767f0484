"""Pix2Pix and Pix2Pix-N: Xing et al., "Adversarial Pulmonary Pathology Translation for Pairwise Chest X-ray Data
Augmentation" (MICCAI 2019).

A sample keeps the box of a real film, pixel for pixel, and the generator paints the rest. It learns that from films with
boxes alone (Pix2Pix), or from healthy films with boxes at random as well (Pix2Pix-N). For a film y with the box mask m:

    x = m y,    composite = m y + (1 - m) G(x),    D judges (x, composite) against (x, y),    L1 between G(x) and y

in [-1, 1], so what lies outside the box is mid-grey in x.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from ..benchmark import digest
from ..benchmark.contracts.provider import Batch
from ..benchmark.data.augmentation import warp
from ..benchmark.data.copies import originals
from ..benchmark.data.dataset import Annotation, Dataset, DatasetInfo
from ..benchmark.errors import InputError
from ..benchmark.progress import Progress
from ..benchmark.training import loop as training
from ..benchmark.training.loop import Rows, seeded
from ..benchmark.training.recipe import Step
from .pix2pix_networks import Pix2PixSettings, make_networks
from .timeline import ShownRecipe, Timeline
from .trained import Trained

SHOWN = 6  # samples in the timeline
TRIES = 20  # variations of a film drawn until one keeps the whole box in sight


class Box(NamedTuple):
    """A rectangle in pixels: x and y of its top left corner from the film's top left corner, width and height."""

    x: float
    y: float
    w: float
    h: float

    def clipped(self, side: int) -> Box:
        """The part of it that is on the film."""
        left, top = max(0.0, self.x), max(0.0, self.y)
        return Box(left, top, min(side, self.x + self.w) - left, min(side, self.y + self.h) - top)

    def within(self, side: int) -> bool:
        """Whether all of it is on the film."""
        return self.x >= 0 and self.y >= 0 and self.x + self.w <= side and self.y + self.h <= side

    def pixels(self) -> tuple[slice, slice]:
        """Rows and columns of the pixels that it touches, by more than a millionth of their side."""
        top, bottom = round(self.y, 6), round(self.y + self.h, 6)
        left, right = round(self.x, 6), round(self.x + self.w, 6)
        return slice(math.floor(top), math.ceil(bottom)), slice(math.floor(left), math.ceil(right))


def box_mask(box: Box, side: int) -> np.ndarray:
    """float32 (side, side): 1 on the pixels that the box touches, 0 elsewhere."""
    mask = np.zeros((side, side), dtype=np.float32)
    mask[box.pixels()] = 1.0
    return mask


def turned(box: Box, side: int, *, angle: float, scale: float, shift_x: float, shift_y: float) -> Box:
    """The upright rectangle around a box that `augmentation.warp` has moved with the same arguments."""
    turn, centre = math.radians(angle), side / 2
    corners = [(x - centre, y - centre) for x in (box.x, box.x + box.w) for y in (box.y, box.y + box.h)]
    xs = [scale * (math.cos(turn) * x + math.sin(turn) * y) + centre + shift_x * side for x, y in corners]
    ys = [scale * (math.cos(turn) * y - math.sin(turn) * x) + centre + shift_y * side for x, y in corners]
    return Box(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))


def vary(film: np.ndarray, box: Box, settings: Pix2PixSettings, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    """A film uint8 (side, side) and its box after a random turn, crop and reflection (section 3, "Dataset").

    Drawn again while the box would leave the film; after 20 draws film and box stay as they are but for the reflection.
    """
    side, scale, room = len(film), settings.enlarge, (settings.enlarge - 1) / 2
    for _ in range(TRIES if settings.angle or room else 0):
        angle, (x, y) = rng.uniform(-settings.angle, settings.angle), rng.uniform(-room, room, size=2)
        moved = turned(box, side, angle=angle, scale=scale, shift_x=x, shift_y=y)
        if moved.within(side):
            film, box = warp(film, None, angle=angle, scale=scale, shift_x=x, shift_y=y)[0], moved
            break
    if rng.random() < settings.mirror:
        film, box = film[:, ::-1], box._replace(x=side - box.x - box.w)
    return np.ascontiguousarray(film), box


@dataclass(frozen=True)
class Boxed:
    """Films uint8 (N, side, side) with their ids, and the boxes (row of the film, finding, box) on them."""

    films: np.ndarray
    ids: Sequence[str]
    boxes: Sequence[tuple[int, str, Box]]

    @classmethod
    def of(cls, train: Dataset) -> Boxed:
        """The films with boxes of a training set; boxes are clipped to the film, those beside it are left out."""
        rows = {case: row for row, case in enumerate(train.ids)}
        found: list[tuple[int, str, Box]] = []
        if train.boxes is not None:
            columns = [train.boxes[name] for name in ("id", "finding", "x", "y", "w", "h")]
            for case, finding, *corners in zip(*columns, strict=True):
                box = Box(*map(float, corners)).clipped(train.resolution)
                if all(part.start < part.stop for part in box.pixels()):
                    found.append((rows[str(case)], str(finding), box))
        used = sorted({row for row, _, _ in found})
        place = {row: index for index, row in enumerate(used)}
        sources = originals(train)
        return cls(
            films=np.array(train.images[np.array(used, dtype=np.int64)]),
            ids=[sources[row] for row in used],
            boxes=[(place[row], finding, box) for row, finding, box in found],
        )


def healthy_rows(train: Dataset) -> np.ndarray:
    """Rows of the films without a finding and without a box."""
    with_box = set() if train.boxes is None else set(map(str, train.boxes["id"]))
    without = ~train.labels().any(axis=1) if train.info.findings else np.ones(len(train), dtype=bool)
    return np.flatnonzero(without & ~np.isin(train.ids, list(with_box)))


class Pairs:
    """Training source: the boxes with their films, then healthy films that get one of those boxes at every step."""

    def __init__(self, boxed: Boxed, healthy: np.ndarray, settings: Pix2PixSettings) -> None:
        self.boxed, self.healthy, self.settings = boxed, healthy, settings

    def __len__(self) -> int:
        return len(self.boxed.boxes) + len(self.healthy)

    def pair(self, row: int, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
        """A varied film uint8 (side, side) and its box."""
        number = row if row < len(self.boxed.boxes) else int(rng.integers(len(self.boxed.boxes)))
        place, _, box = self.boxed.boxes[number]
        if row == number:
            return vary(self.boxed.films[place], box, self.settings, rng)
        film, _ = vary(self.healthy[row - len(self.boxed.boxes)], box, self.settings, rng)
        return film, box

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """Films and box masks, (B, 1, side, side): [-1, 1], and 0 or 1."""
        return tensors([self.pair(int(row), rng) for row in rows])


def tensors(pairs: Sequence[tuple[np.ndarray, Box]]) -> dict[str, Tensor]:
    """Films uint8 (side, side) with their boxes as tensors `films` in [-1, 1] and `masks`, (B, 1, side, side)."""
    films = np.stack([film for film, _ in pairs])[:, None]
    masks = np.stack([box_mask(box, films.shape[-1]) for _, box in pairs])[:, None]
    return {"films": torch.from_numpy(films).float() / 127.5 - 1, "masks": torch.from_numpy(masks)}


def compose(films: Tensor, masks: Tensor, painted: Tensor) -> Tensor:
    """The films inside the box, what the generator painted outside."""
    return masks * films + (1 - masks) * painted


def judged(logits: Tensor, real: bool) -> Tensor:
    """Mean binary cross-entropy of the patches' logits with one answer for all."""
    answer = torch.full_like(logits, float(real), dtype=torch.float32)
    return F.binary_cross_entropy_with_logits(logits.float(), answer)


class Pix2PixRecipe(ShownRecipe):
    """Training on the pairs of a source."""

    def __init__(self, source: Pairs, settings: Pix2PixSettings) -> None:
        self.settings, side = settings, source.boxed.films.shape[-1]
        self.generator, self.discriminator = make_networks(side, settings)
        epochs = settings.epochs + settings.decay_epochs
        self.steps = settings.steps or epochs * math.ceil(len(source) / settings.batch_size)
        self.constant_steps = self.steps * settings.epochs // epochs
        self.timeline = Timeline(settings, steps=self.steps, samples=SHOWN, side=side)
        asked = math.ceil(SHOWN / settings.batch_size) * settings.batch_size
        self.shown = source.batch(np.arange(asked) % len(source.boxed.boxes), np.random.default_rng(0))

    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator, "timeline": self.timeline}

    def optimizers(self) -> Mapping[str, Optimizer]:
        rate, betas = self.settings.learning_rate, self.settings.betas
        self.adam_g = Adam(self.generator.parameters(), lr=rate, betas=betas, fused=True)
        self.adam_d = Adam(self.discriminator.parameters(), lr=rate, betas=betas, fused=True)
        return {"generator": self.adam_g, "discriminator": self.adam_d}

    def batch_size(self, images_seen: int) -> int:
        return self.settings.batch_size

    def rate(self, step: int) -> float:
        """The learning rate: constant, then falling linearly to zero."""
        falling = max(0, step - self.constant_steps) / max(1, self.steps - self.constant_steps)
        return self.settings.learning_rate * (1 - falling)

    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        for optimizer in (self.adam_g, self.adam_d):
            optimizer.param_groups[0]["lr"] = self.rate(at.index)
        films, masks = batch["films"], batch["masks"]
        boxes = masks * films
        painted = self.generator(boxes)
        composite = compose(films, masks, painted)
        on_fake = self.discriminator(torch.cat([boxes, composite.detach()], dim=1))
        on_real = self.discriminator(torch.cat([boxes, films], dim=1))
        d_loss = 0.5 * (judged(on_fake, False) + judged(on_real, True))
        at.update(d_loss, self.adam_d)
        self.discriminator.requires_grad_(False)  # the generator's loss needs no gradient of these weights
        adversarial = judged(self.discriminator(torch.cat([boxes, composite], dim=1)), True)
        self.discriminator.requires_grad_(True)
        distance = self.settings.l1_weight * F.l1_loss(painted.float(), films)
        at.update(adversarial + distance, self.adam_g)
        self.timeline.after(at.index + 1, lambda: self.samples(at.device))
        return {"adversarial": adversarial, "l1": distance, "discriminator": d_loss}

    def begins(self, device: torch.device) -> None:
        self.timeline.after(0, lambda: self.samples(device))

    def samples(self, device: torch.device) -> Tensor:
        """The composites of the timeline's pairs, in batches like the training's."""
        shown = [value.to(device).split(self.settings.batch_size) for value in self.shown.values()]
        made = [compose(films, masks, self.generator(masks * films)) for films, masks in zip(*shown, strict=True)]
        return torch.cat(made)[:SHOWN]


PAPER = Pix2PixSettings()
# Sized for half a minute of one core at 64 x 64 pixels: fewer, larger steps (batches of 8 instead of 1), and no mirroring,
# so that one side of the heart is enough to learn.
QUICK = Pix2PixSettings(
    width=16,
    discriminator_layers=2,
    batch_size=8,
    epochs=1,
    decay_epochs=1,
    steps=700,
    learning_rate=6e-4,
    mirror=0.0,
)
# Under an hour of one GPU at 256 x 256 pixels.
STANDARD = replace(PAPER, width=32, batch_size=8, epochs=50, decay_epochs=50, learning_rate=4e-4)


class Pix2Pix(Trained):
    """Real boxes in generated films."""

    name: ClassVar[str] = "pix2pix"
    produces = frozenset({Annotation.BOXES, Annotation.LABELS})
    sampling_parts = frozenset({"generator"})
    home_task = "nih_localisation"
    presets: ClassVar = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
    reference_seconds: ClassVar = {"quick": 35.0}
    findings: tuple[str, ...]
    films: np.ndarray
    boxes: list[tuple[int, str, Box]]
    generator: nn.Module

    def build(self, films: DatasetInfo) -> Mapping[str, nn.Module]:
        generator, discriminator = make_networks(films.resolution, self.settings)
        return {"discriminator": discriminator, "generator": generator}

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        """Learn to paint films around boxes. InputError when the training set has no boxes, or no healthy films where
        they are asked for."""
        boxed = Boxed.of(train)
        if not boxed.boxes:
            raise InputError(
                f"{self.name} needs films with boxes; dataset {train.info.name} has none (in NIH ChestX-ray14 all "
                "boxed films are in the test list: fitting on them would leak)"
            )
        self.keep(boxed, train)
        source = Pairs(boxed, self._healthy(train, seed), self.settings)
        with seeded(digest.derive_seed(self.name, "networks", seed)):
            recipe = Pix2PixRecipe(source, self.settings)
        self.curves["films"] = training.train(
            recipe,
            source,
            steps=recipe.steps,
            seed=digest.derive_seed(self.name, "steps", seed),
            device=self.device,
            progress=progress,
            checkpoints=self.checkpoints,
            name="films",
        )
        self.generator = recipe.generator
        self.keep_timeline(recipe.timeline, self.curves["films"])

    def keep(self, boxed: Boxed, train: Dataset) -> None:
        """The films and boxes that samples are made from."""
        self.built_for, self.findings = train.info, train.info.findings
        self.films, self.ids, self.boxes = boxed.films, list(boxed.ids), list(boxed.boxes)

    def _healthy(self, train: Dataset, seed: int) -> np.ndarray:
        """The healthy films of the training, uint8 (N, side, side): as many as the settings say, or all there are."""
        rows = healthy_rows(train)
        if self.settings.healthy_films and not len(rows):
            raise InputError(
                f"{self.name} also learns from healthy films; dataset {train.info.name} has no film without findings "
                "and boxes: add some, or use pix2pix"
            )
        rng = np.random.default_rng(digest.derive_seed(self.name, "healthy", seed))
        return np.array(train.images[np.sort(rng.permutation(rows)[: self.settings.healthy_films])])

    def sources(self, n: int, *, seed: int) -> Iterator[tuple[int, np.ndarray, Box]]:
        """What `n` samples keep: number of the box, its film uint8 (side, side) after the variation, and where the box
        then is. Every box is used once before one is used again."""
        rows = Rows(len(self.boxes), digest.derive_seed(self.name, "boxes", seed))
        for index in range(n):
            number = int(rows.take(index, 1)[0])
            rng = np.random.default_rng(digest.derive_seed(self.name, "variation", seed, index))
            place, _, box = self.boxes[number]
            yield number, *vary(self.films[place], box, self.settings, rng)

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        """Films whose box is that of a training film, bit for bit; dropout is the noise of the rest.

        Drawn in batches like the training's (batch statistics), so a film does not depend on how many are asked for.
        """
        size = self.settings.batch_size
        sources = self.sources(math.ceil(n / size) * size, seed=seed)
        for start in range(0, n, size):
            drawn = list(islice(sources, size))
            painted = self._paint([(film, box) for _, film, box in drawn], seed, start)
            yield self._batch(drawn[: n - start], painted[: n - start])

    def _batch(self, drawn: Sequence[tuple[int, np.ndarray, Box]], images: np.ndarray) -> Batch:
        """Painted films (B, 1, side, side) in [0, 1] with the real pixels of their boxes, and all that is known of them."""
        labels = np.zeros((len(drawn), len(self.findings)), dtype=np.uint8)
        boxes, ids = [], []
        for row, (number, film, box) in enumerate(drawn):
            place, finding, _ = self.boxes[number]
            images[row, 0][box.pixels()] = film[box.pixels()] / np.float32(255)
            boxes.append([(finding, *box)])
            ids.append([self.ids[place]])
            if finding in self.findings:
                labels[row, self.findings.index(finding)] = 1
        return Batch(images=images, labels=labels, boxes=boxes, source_ids=ids)

    @torch.no_grad()
    def _paint(self, pairs: Sequence[tuple[np.ndarray, Box]], seed: int, start: int) -> np.ndarray:
        """Whole films (B, 1, side, side) in [0, 1] around the boxes of films."""
        batch = {name: value.to(self.device) for name, value in tensors(pairs).items()}
        self.generator.train()  # dropout stays active: it is the generator's noise
        with seeded(digest.derive_seed(self.name, "dropout", seed, start)):
            painted = self.generator(batch["masks"] * batch["films"])
        return ((painted.float().cpu().numpy() + 1) / 2).astype(np.float32)


class Pix2PixN(Pix2Pix):
    """Pix2Pix that also learns from healthy films with boxes at random: 2,000 of them in the paper."""

    name: ClassVar[str] = "pix2pix_n"
    presets: ClassVar = {
        "quick": replace(QUICK, healthy_films=500),
        "standard": replace(STANDARD, healthy_films=2_000, epochs=12, decay_epochs=12),
        "paper": replace(PAPER, healthy_films=2_000),
    }
