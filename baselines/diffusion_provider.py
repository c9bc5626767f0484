"""What the providers that draw films by diffusion share: settings, the training of their denoiser, what the report gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..benchmark import digest
from ..benchmark.contracts.provider import Timelines
from ..benchmark.progress import Progress
from ..benchmark.training import loop as training
from ..benchmark.training.recipe import Source
from . import edm
from .diffusion_base import FilmBase
from .diffusion_training import BY_STEPS, DiffusionRecipe, TrainingSettings
from .diffusion_unet import UNetSettings
from .timeline import Along
from .trained import Trained


@dataclass(frozen=True, kw_only=True)
class DenoiserSettings(TrainingSettings):
    """A network, what it begins with, and its training."""

    unet: UNetSettings = field(default_factory=UNetSettings)
    components: int = 0
    """Principal axes of what is learnt that the network begins with; 0 is the paper's, none."""


@dataclass(frozen=True, kw_only=True)
class EDMSettings(DenoiserSettings):
    """Diffusion of Karras et al. (2022)."""

    noise: edm.Noise = field(default_factory=edm.Noise)


class DiffusionProvider(Trained):
    """A provider whose films a denoiser draws, in a number of sampler steps that is a setting."""

    not_saved: ClassVar = Trained.not_saved | {"along"}
    drawn: ClassVar[str] = "films"
    """What its training and its pictures are called."""
    steps_compared: dict[str, float]
    denoiser: nn.Module
    base: FilmBase

    def __init__(self, settings: Any = None, *, device: str = "cpu") -> None:
        super().__init__(settings, device=device)
        self.steps_compared = {}
        self.along: Along = None

    def learn(self, recipe: DiffusionRecipe, source: Source, *, seed: int, progress: Progress) -> None:
        """Train a denoiser; films are drawn by the running mean of its weights."""
        self.curves[self.drawn] = training.train(
            recipe,
            source,
            steps=self.settings.steps,
            seed=digest.derive_seed(self.name, "steps", seed),
            device=self.device,
            progress=progress,
            checkpoints=self.checkpoints,
            name=self.drawn,
        )
        self.denoiser, self.base = recipe.average.eval(), self.base.eval()
        self.keep_timeline(recipe.timeline, self.curves[self.drawn])

    def start(self, count: int, rng: torch.Generator) -> Tensor:
        """Noise of N(0, 1) for so many films, on the provider's device."""
        return torch.randn((count, *self.base.mean.shape), generator=rng).to(self.device)

    def timeline(self) -> Timelines:
        found = {self.drawn: self.moments, BY_STEPS: self.along}
        return {name: samples for name, samples in found.items() if samples is not None}

    def facts(self) -> Mapping[str, float | int | str]:
        return self.steps_compared
