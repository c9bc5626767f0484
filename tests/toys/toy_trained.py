"""Providers with a training whose operations can be counted by hand: one convolution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from toy_providers import Toy

from cxrbench.benchmark.contracts.provider import Batch
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.errors import ProviderError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.training import loop as training
from cxrbench.benchmark.training.recipe import Recipe, Step

SIDE = 32
CHANNELS = 4
DRAWN = 16


@dataclass(frozen=True)
class Settings:
    """`grey` is added to the films."""

    steps: int = 1000
    batch_size: int = 2
    grey: float = 0.05


class Films:
    """Films uint8 (N, H, W) as a source."""

    def __init__(self, films: np.ndarray) -> None:
        self.films = films

    def __len__(self) -> int:
        return len(self.films)

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        return {"films": torch.from_numpy(self.films[rows, None].astype(np.float32) / 255)}


class OneConvolution(Recipe):
    """A 3 x 3 convolution to four channels, whose output is made small."""

    def __init__(self, batch: int) -> None:
        self.network, self.batch = nn.Conv2d(1, CHANNELS, 3, padding=1), batch

    def networks(self) -> Mapping[str, nn.Module]:
        return {"convolution": self.network}

    def optimizers(self) -> Mapping[str, Optimizer]:
        self.sgd = SGD(self.network.parameters(), lr=0.01)
        return {"sgd": self.sgd}

    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        loss = self.network(batch["films"]).square().mean()
        at.update(loss, self.sgd)
        return {"size": loss}

    def batch_size(self, images_seen: int) -> int:
        return self.batch


class OwnGradient(OneConvolution):
    """A linear map of whole films to eight numbers; its own gradient is in the loss, as gradient penalties have it."""

    def __init__(self, batch: int) -> None:
        super().__init__(batch)
        self.map = nn.Linear(SIDE * SIDE, 8)

    def networks(self) -> Mapping[str, nn.Module]:
        return {"map": self.map}

    def optimizers(self) -> Mapping[str, Optimizer]:
        self.sgd = SGD(self.map.parameters(), lr=0.01)
        return {"sgd": self.sgd}

    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        films = batch["films"].flatten(1).requires_grad_(True)
        (gradient,) = torch.autograd.grad(self.map(films).sum(), films, create_graph=True)
        loss = gradient.square().mean()
        at.update(loss, self.sgd)
        return {"slope": loss}


class Trained(Toy):
    """Films of the training set; what sampling costs is the convolution of 16 of them at a time."""

    presets = {"quick": Settings()}
    recipe = OneConvolution

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        print("fitting")  # a measurement's answer must not be spoilt by it
        super().fit(train, seed=seed, progress=progress)
        with training.seeded(seed):
            made = self.recipe(self.settings.batch_size)
        source = Films(np.asarray(train.images))
        self.curves["films"] = training.train(made, source, steps=self.settings.steps, seed=seed, progress=progress)
        self.network = made.network

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        side = self.train.resolution
        for _ in range(-(-n // DRAWN)):
            with torch.no_grad():
                self.network(torch.zeros(DRAWN, 1, side, side))
        yield from super().sample(n, seed=seed)

    @classmethod
    def shorter(cls, settings: Settings, steps: int, *, side: int | None = None) -> Settings:
        return replace(settings, steps=min(steps, settings.steps))

    @classmethod
    def with_batch(cls, settings: Settings, size: int) -> Settings:
        return replace(settings, batch_size=size)


class Picky(Trained):
    """Accepts no film of so short a training, and no batch of one film."""

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        if self.settings.batch_size == 1:
            raise ValueError("expected more than one film a batch")
        super().fit(train, seed=seed, progress=progress)

    def sample(self, n: int, *, seed: int) -> Iterator[Any]:
        raise ProviderError("no film had two lungs")


class Sampled(OneConvolution):
    """Shows the network's first map of a grey film after every fifth step and the last."""

    def samples_after(self, done: int) -> np.ndarray | None:
        if done % 5 and done != 12:
            return None
        with torch.no_grad():
            maps = self.network(torch.full((1, 1, SIDE, SIDE), 0.5))[0, :2]
        return ((maps * 1000) % 256).round().clamp(0, 255).to(torch.uint8).numpy()


class Shows(Trained):
    """Two trainings with samples along them, of 12 steps; the mean of the second's weights is the grey of its films."""

    presets = {"quick": Settings(steps=12)}

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        Toy.fit(self, train, seed=seed, progress=progress)
        self.built_for = train.info
        for name in ("first", "second"):
            with training.seeded(seed):
                made = Sampled(self.settings.batch_size)
            source, steps = Films(np.asarray(train.images)), self.settings.steps
            self.curves[name] = training.train(made, source, steps=steps, seed=seed, progress=progress, name=name)
        self.network = made.network

    def build(self, films: DatasetInfo) -> Mapping[str, nn.Module]:
        return {"network": nn.Conv2d(1, CHANNELS, 3, padding=1)}
