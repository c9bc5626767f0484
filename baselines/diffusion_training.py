"""What the diffusion providers share: the training of a denoiser with a running mean of its weights, how films are drawn
by it, and what steps of the sampler are worth.

What is drawn, and by which mathematics, is a `Process`: diffusion (`edm`) or flow matching (`flow`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from ..benchmark.training.recipe import Step
from . import edm
from .diffusion_base import FilmBase
from .kumar_films import evaluating
from .timeline import NO_TIMELINE, BesideRecipe, Moments, Timeline, as_shown, shown_side

SAMPLING_BATCH = 16  # films are always drawn by this many, so that the first ones do not depend on the asked number
SHOWN = 4  # films of the timeline
BY_STEPS = "the same films by steps of the sampler"
COMPARED = 16  # films that a number of sampler steps is judged by

Network = Callable[..., Tensor]


class Process(Protocol):
    """How films become noise, and noise films."""

    def loss(self, network: Network, films: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        """Loss of training films (B, C, H, W) by pixel, not averaged; random numbers are torch's own."""

    def draw(self, network: Network, start: Tensor, known: Mapping[str, Tensor], steps: int | None = None) -> Tensor:
        """Films (B, C, H, W) from `start`, of N(0, 1), in so many steps (None: those of the settings)."""


@dataclass(frozen=True)
class EDM:
    """Diffusion of Karras et al. (2022) on standard values of films."""

    base: FilmBase
    noise: edm.Noise

    def loss(self, network: Network, films: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        sigma = edm.draw_sigma(len(films), self.noise, films.device)
        return self.base.loss(network, self.base(films), sigma, **known)

    def draw(self, network: Network, start: Tensor, known: Mapping[str, Tensor], steps: int | None = None) -> Tensor:
        def denoise(noisy: Tensor, sigma: Tensor) -> Tensor:
            return self.base.denoised(network, noisy, sigma, **known)

        sigmas = edm.levels(self.noise, steps)
        return self.base.back(edm.heun(denoise, self.base.begin(start, float(sigmas[0])), sigmas))


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Moments):
    """How long a denoiser is trained, and how its weights are averaged."""

    steps: int = 100_000
    batch_size: int = 32
    learning_rate: float = 2e-4
    warm_up: int = 10_000
    """Films until the rate is reached, from 0."""
    decay: bool = False
    """Whether the rate falls along half a cosine to the end."""
    average_films: float = 500_000.0
    """Half-life in films of the running mean of weights that films are drawn from."""
    average_ramp: float = 0.05
    """That half-life is at most this share of the films seen."""
    compared_steps: tuple[int, ...] = (4, 8, 18)
    """Numbers of sampler steps whose films are compared in the report."""

    def shorter(self, steps: int, side: int | None = None) -> Self:
        """At most that many steps, without pictures."""
        return replace(self, steps=min(steps, self.steps), compared_steps=(), **NO_TIMELINE)

    def with_batch(self, size: int) -> Self:
        """Batches of that many films."""
        return replace(self, batch_size=size)


class DiffusionRecipe(BesideRecipe):
    """Training of `denoiser` by a process on films float32 (N, C, H, W) in about [-1, 1], or uint8 as they are kept.

    `weights` (C,): of the channels in the loss. `known`: what the network is told of rows of the training films.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        process: Process,
        films: Tensor,
        settings: TrainingSettings,
        *,
        weights: Sequence[float] = (),
        known: Callable[[Tensor], Mapping[str, Tensor]] | None = None,
    ) -> None:
        self.denoiser, self.process, self.films, self.settings = denoiser, process, films, settings
        self.average = copy.deepcopy(denoiser)
        self.weights = torch.tensor(list(weights) or [1.0] * films.shape[1]).view(1, -1, 1, 1)
        self.known = known
        side = films.shape[-1]
        self.start = torch.randn(SHOWN, *films.shape[1:])
        samples = SHOWN * films.shape[1]
        self.timeline = Timeline(settings, steps=settings.steps, samples=samples, side=shown_side(side))

    def networks(self) -> Mapping[str, nn.Module]:
        return {"denoiser": self.denoiser, "average": self.average}

    def optimizers(self) -> Mapping[str, Optimizer]:
        self.adam = Adam(self.denoiser.parameters(), lr=self.settings.learning_rate, fused=True)
        return {"adam": self.adam}

    def batch_size(self, images_seen: int) -> int:
        return self.settings.batch_size

    def rate(self, index: int) -> float:
        """The learning rate of step `index`: rising over `warm_up` films, then constant or falling."""
        s = self.settings
        rising = min(1.0, (index + 1) * s.batch_size / max(1, s.warm_up))
        falling = (1 + np.cos(np.pi * index / s.steps)) / 2 if s.decay else 1.0
        return float(s.learning_rate * rising * falling)

    def begins(self, device: torch.device) -> None:
        self.timeline.after(0, self._shown)

    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        self.films = self.films.to(at.device)
        self.adam.param_groups[0]["lr"] = self.rate(at.index)
        rows = batch["rows"]
        known = {} if self.known is None else self.known(rows)
        loss = (
            self.process.loss(self.denoiser, as_values(self.films[rows]), known) * self.weights.to(at.device)
        ).mean()
        at.update(loss, self.adam)
        s = self.settings
        seen = (at.index + 1) * s.batch_size
        decay = edm.average_decay(s.batch_size, seen, s.average_films, s.average_ramp)
        edm.average_into(self.average, self.denoiser, decay)
        self.timeline.after(at.index + 1, self._shown)
        return {"denoising": loss}

    def _shown(self) -> Tensor:
        device = next(self.average.parameters()).device
        known = {} if self.known is None else self.known(torch.arange(SHOWN, device=device))
        with evaluating([self.average]):
            films = self.process.draw(self.average, self.start.to(device), known)
        return as_shown(films, shown_side(films.shape[-1]))


def as_values(films: Tensor) -> Tensor:
    """Films uint8 as float32 in [-1, 1]; others as they are."""
    return films.float() / 127.5 - 1 if films.dtype == torch.uint8 else films


def energy_distance(a: Tensor, b: Tensor) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| of rows (N, D) and (M, D), with distances per root of D; pairs of a row with
    itself are left out, so that it is about 0 for draws of one distribution (Székely and Rizzo 2013)."""
    a, b = a.flatten(1).float(), b.flatten(1).float()

    def within(rows: Tensor) -> Tensor:
        return torch.cdist(rows, rows).sum() / (len(rows) * (len(rows) - 1))

    return float(2 * torch.cdist(a, b).mean() - within(a) - within(b)) / a.shape[1] ** 0.5


Drawn = tuple[dict[str, float], tuple[Sequence[int], np.ndarray] | None]


def by_steps(draw: Callable[[int], Tensor], real: Tensor, steps: Sequence[int], *, channels: int = 1) -> Drawn:
    """What numbers of sampler steps are worth: for each the energy distance of what `draw` makes in so many, always of the
    same noise, from real films (N, C, H, W), by its first `channels`; and the first of them as a timeline."""
    distances, pictures = {}, []
    for count in steps:
        films = draw(count)[:, :channels].clamp(-1, 1)
        name = f"energy_distance_at_{count}_step{'s' if count > 1 else ''}"
        distances[name] = round(energy_distance(films.cpu(), real[:, :channels].cpu()), 4)
        shown = as_shown(films[:SHOWN], shown_side(films.shape[-1]))[:, 0]
        pictures.append(((shown + 1) * 127.5).round().to(torch.uint8).cpu().numpy())
    return distances, (list(steps), np.stack(pictures)) if pictures else None
