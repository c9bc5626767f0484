"""What the generators of Kumar and Triana Martinez, "Generating Synthetic Chest X-Rays with generative modeling", share:
how films are prepared (section 4), how long a training is, and how a fitted decoder is sampled.

Their networks work on films of a fixed side, 128 or 224 pixels. Training films are resized to it, and samples are
resized back to the resolution of the training set. The paper equalises the histogram of every training film; samples
are then equalised films too, whose greys are not those of the films that a downstream model is tested on. So `equalise`
is on in the preset `paper` and off in `quick` and `standard`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ..benchmark import digest
from ..benchmark.contracts.provider import Batch
from ..benchmark.data.dataset import Dataset
from ..benchmark.data.film_rows import Films, blocks_of
from ..benchmark.data.resize import resample, resize_films
from ..benchmark.progress import Progress
from ..benchmark.training import loop as training
from ..benchmark.training.loop import seeded
from ..benchmark.training.recipe import RowNumbers, Step
from .timeline import NO_TIMELINE, Moments, ShownRecipe, Timeline
from .trained import Trained

SAMPLING_BATCH = 64  # films are always drawn by this many, so that the first ones do not depend on the asked number
SHOWN = 6  # films of the timeline


@dataclass(frozen=True)
class Schedule(Moments):
    """How the films are prepared and how long the training is: `epochs`, but at least `least_steps` and, unless it is
    0, at most `most_steps` batches."""

    side: int = 128
    equalise: bool = True
    batch_size: int = 64
    epochs: float = 1.0
    least_steps: int = 1
    most_steps: int = 0

    def steps(self, films: int) -> int:
        """Batches of a training on that many films."""
        steps = max(self.least_steps, math.ceil(self.epochs * films / self.batch_size))
        return min(steps, self.most_steps) if self.most_steps else steps

    def shorter(self, steps: int, side: int | None = None) -> Self:
        """At most that many steps, without a timeline."""
        return replace(self, most_steps=min(steps, self.most_steps or steps), **NO_TIMELINE)

    def with_batch(self, size: int) -> Self:
        """Batches of that many films."""
        return replace(self, batch_size=size)


def equalise_histograms(films: np.ndarray) -> np.ndarray:
    """Every film of uint8 (N, H, W) with its grey levels spread evenly over 0 to 255."""
    equalised = np.empty_like(films)
    for index, film in enumerate(films):
        equalised[index] = cv2.equalizeHist(np.ascontiguousarray(film))
    return equalised


def prepare(films: Films, side: int, *, equalise: bool) -> np.ndarray:
    """Films uint8 (N, H, H) at a network's side, uint8 (N, side, side); always a copy in memory. Films are square, so
    the paper's centre crop has nothing to cut."""
    if films.shape[1] == side:
        resized = np.array(films)
    else:
        resized = np.concatenate([resize_films(block, side) for block in blocks_of(films)])
    return equalise_histograms(resized) if equalise else resized


def restore(films: np.ndarray, resolution: int) -> np.ndarray:
    """Generated films (B, side, side) as images of a Batch: float32 (B, 1, resolution, resolution) in [0, 1]."""
    if films.shape[1] != resolution:
        whole = np.rint(np.clip(films, 0, 1) * 65535).astype(np.uint16)
        films = np.stack([resample(film, resolution) for film in whole]) / 65535
    return np.clip(films[:, None], 0, 1).astype(np.float32)


@contextmanager
def evaluating(networks: Iterable[nn.Module]) -> Iterator[None]:
    """The networks in evaluation mode, without gradients, and back in their own mode after it."""
    modes = [(network, network.training) for network in networks]
    for network, _ in modes:
        network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for network, was_training in modes:
            network.train(was_training)


class KumarRecipe(ShownRecipe):
    """A training on uint8 films (N, side, side) that ends in networks to draw films from."""

    def __init__(self, films: np.ndarray, schedule: Schedule) -> None:
        self.films, self.schedule = torch.from_numpy(films), schedule
        steps, side = schedule.steps(len(films)), films.shape[-1]
        self.timeline = Timeline(schedule, steps=steps, samples=SHOWN, side=side)

    @abstractmethod
    def drawn_from(self) -> Mapping[str, nn.Module]:
        """The networks that films are drawn from, by their names in `KumarProvider.build`."""

    @abstractmethod
    def samples(self, rng: torch.Generator) -> Tensor:
        """SAMPLING_BATCH films of `drawn_from` as they are now, (B, side, side) in [0, 1]."""

    def batch_size(self, images_seen: int) -> int:
        return self.schedule.batch_size

    def real(self, rows: Tensor, device: torch.device) -> Tensor:
        """Real films float32 (B, 1, side, side) in [0, 1]."""
        self.films = self.films.to(device)
        return self.films[rows][:, None].float() / 255

    def begins(self, device: torch.device) -> None:
        self.timeline.after(0, self._shown)

    def show(self, at: Step) -> None:
        """Keep samples for the timeline where the step is one of its moments."""
        self.timeline.after(at.index + 1, self._shown)

    def _shown(self) -> Tensor:
        with evaluating(self.drawn_from().values()):
            return self.samples(torch.Generator().manual_seed(0))[:SHOWN, None] * 2 - 1


class KumarProvider(Trained):
    """A generator whose family supplies the recipe, the networks and the draw; `name` is what the seeds of its trainings
    and samples are derived from."""

    home_task = "nih_classification"
    resolution: int

    @abstractmethod
    def recipe(self, films: np.ndarray, train: Dataset) -> KumarRecipe:
        """The training on prepared films, uint8 (N, side, side), of the training set."""

    @abstractmethod
    def draw(self, rng: torch.Generator) -> tuple[Tensor, np.ndarray | None]:
        """The next SAMPLING_BATCH films, (B, side, side) in [0, 1], and their labels uint8 (B, F) if it makes any."""

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        schedule: Schedule = self.settings
        self.built_for, self.resolution = train.info, train.resolution
        films = prepare(train.images, schedule.side, equalise=schedule.equalise)
        with seeded(digest.derive_seed(self.name, "networks", seed)):
            recipe = self.recipe(films, train)
        self.curves["films"] = training.train(
            recipe,
            RowNumbers(len(films)),
            steps=schedule.steps(len(films)),
            seed=digest.derive_seed(self.name, "steps", seed),
            device=self.device,
            progress=progress,
            checkpoints=self.checkpoints,
            name="films",
        )
        self.take({name: network.eval() for name, network in recipe.drawn_from().items()})
        self.keep_timeline(recipe.timeline, self.curves["films"])

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        """Exactly `n` films, the first ones of the seed's endless row of films."""
        rng = torch.Generator().manual_seed(digest.derive_seed(self.name, "sample", seed))
        left = n
        while left > 0:
            with torch.no_grad():
                films, labels = self.draw(rng)
            images = restore(films[:left].float().cpu().numpy(), self.resolution)
            yield Batch(images=images, labels=None if labels is None else labels[:left])
            left -= len(images)
