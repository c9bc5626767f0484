"""Films of findings by diffusion: Karras et al. (NeurIPS 2022) with the findings told to the network, several of a film at
once, and classifier-free guidance (Ho and Salimans 2022).

The network gets the findings as 0 and 1 and one value more that says that they are not told: so it is for a share of the
training films, and guidance draws D + (w - 1) (D - D0), with D0 of findings that are not told; w of 1 is no guidance. Its
mathematics is `edm`, its network `diffusion_unet`. At `quick` it begins where a Gaussian of the training films ends, whose
mean moves with the findings (`linear`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..benchmark import digest
from ..benchmark.contracts.provider import Batch, Timelines
from ..benchmark.data.dataset import Annotation, Dataset, DatasetInfo
from ..benchmark.data.film_rows import taken
from ..benchmark.errors import InputError
from ..benchmark.progress import Progress
from ..benchmark.training import loop as training
from ..benchmark.training.loop import seeded
from ..benchmark.training.recipe import RowNumbers
from . import edm
from .diffusion_base import FilmBase
from .diffusion_training import (
    BY_STEPS,
    COMPARED,
    EDM,
    SAMPLING_BATCH,
    DiffusionRecipe,
    Network,
    TrainingSettings,
    as_values,
    by_steps,
)
from .diffusion_unet import FilmUNet, UNetSettings, check_side
from .timeline import Along
from .trained import Trained

LEARN_FROM = 2000  # films that are enough for their mean, their spread and their axes
RIDGE = 10.0  # films without the finding that stand against those with it, in its mean change


@dataclass(frozen=True, kw_only=True)
class EDMLabelsSettings(TrainingSettings):
    """Defaults are the paper's where it says so: noise, sampler and running mean."""

    noise: edm.Noise = field(default_factory=edm.Noise)
    unet: UNetSettings = field(default_factory=UNetSettings)
    components: int = 0
    """Principal axes of the training films that the network begins with; 0 is the paper's, none."""
    linear: bool = False
    """Whether the mean film moves with the findings before the network adds to it. Axes need it: a sampling begins along
    them as the films are, whatever their findings."""
    untold: float = 0.1
    """Share of training films whose findings are not told."""
    guidance: float = 1.0
    """w of classifier-free guidance; 1 is none, others ask the network twice as often."""


@dataclass(frozen=True)
class Told:
    """Diffusion of films whose findings are told. effects (F, H, W): what each adds to the mean film; None: nothing."""

    diffusion: EDM
    effects: Tensor | None
    untold: float
    guidance: float

    def loss(self, network: Network, films: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        labels = known["labels"]
        silent = torch.rand(len(labels), device=labels.device) < self.untold
        return self.diffusion.loss(network, films - self.shift(labels), {"labels": told(labels, silent)})

    def draw(self, network: Network, start: Tensor, known: Mapping[str, Tensor], steps: int | None = None) -> Tensor:
        labels = known["labels"]
        made = self.diffusion.draw(guided(network, self.guidance), start, {"labels": told(labels)}, steps)
        return made + self.shift(labels)

    def shift(self, labels: Tensor) -> Tensor:
        """What the findings (B, F) add to the mean film: (B, 1, H, W)."""
        if self.effects is None:
            return torch.zeros(1, device=labels.device)
        return torch.einsum("bf,fhw->bhw", labels.float(), self.effects.to(labels.device))[:, None]


def told(labels: Tensor, silent: Tensor | None = None) -> Tensor:
    """What the network is told of findings (B, F): float32 (B, F + 1), the last 1 and the others 0 where `silent` (B,)."""
    hidden = torch.zeros(len(labels), 1, device=labels.device) if silent is None else silent.float()[:, None]
    return torch.cat([labels.float() * (1 - hidden), hidden], 1)


def guided(network: Network, weight: float) -> Network:
    """A network with classifier-free guidance of `weight`; 1 leaves it as it is."""
    if weight == 1.0:
        return network

    def asked_twice(scaled: Tensor, noise: Tensor, *, labels: Tensor, **known: Tensor) -> Tensor:
        silent = torch.zeros_like(labels)
        silent[:, -1] = 1
        without = network(scaled, noise, labels=silent, **known)
        return without + weight * (network(scaled, noise, labels=labels, **known) - without)

    return asked_twice


def mean_effects(films: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What each finding adds to the mean film: least squares of films (N, H, W) on labels (N, F), with RIDGE films of no
    effect to each finding; (F, H, W)."""
    centred = labels - labels.mean(axis=0)
    normal = centred.T @ centred + RIDGE * np.eye(labels.shape[1])
    flat = (films - films.mean(axis=0)).reshape(len(films), -1)
    return np.linalg.solve(normal, centred.T @ flat).reshape(-1, *films.shape[1:]).astype(np.float32)


PAPER = EDMLabelsSettings()
# A U-Net of 25 million parameters, meant for one GPU and an hour at 256 pixels (not measured).
STANDARD = EDMLabelsSettings(
    unet=UNetSettings(channels=(64, 128, 256, 256), res_blocks=2, attention=(False, False, False, True), fold=4),
    steps=24_000,
    learning_rate=4e-4,
    decay=True,
    average_films=100_000.0,
    guidance=2.0,
)
# As `edm_pair` at quick.
QUICK = EDMLabelsSettings(
    noise=edm.Noise(sampler_steps=8, sigma_min=0.02, sigma_max=5.0),
    unet=UNetSettings(channels=(16, 32, 48), res_blocks=1, attention=(False, False, False), norm_groups=8, fold=2),
    components=96,
    linear=True,
    steps=400,
    batch_size=8,
    learning_rate=2e-3,
    warm_up=400,
    decay=True,
    timeline=4,
    compared_steps=(2, 4, 8),
)


class EDMLabels(Trained):
    """Films of several findings at once, by diffusion."""

    name = "edm_labels"
    produces = frozenset({Annotation.LABELS})
    home_task = "nih_classification"
    presets: ClassVar[Mapping[str, EDMLabelsSettings]] = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
    not_saved: ClassVar = Trained.not_saved | {"along"}
    steps_compared: dict[str, float]
    labels: np.ndarray
    effects: np.ndarray
    denoiser: nn.Module
    base: FilmBase

    def __init__(self, settings: Any = None, *, device: str = "cpu") -> None:
        super().__init__(settings, device=device)
        self.steps_compared = {}
        self.along: Along = None

    def build(self, films: DatasetInfo) -> Mapping[str, nn.Module]:
        s: EDMLabelsSettings = self.settings
        side, base = films.resolution, FilmBase(1, films.resolution, s.components)
        network = FilmUNet(s.unet, 1, side, beside=1 if s.components else 0, labels=len(films.findings) + 1)
        return {"denoiser": network, "base": base}

    def process(self) -> Told:
        """How films are drawn, and learnt."""
        s: EDMLabelsSettings = self.settings
        effects = torch.from_numpy(self.effects).to(self.device) if s.linear else None
        return Told(EDM(self.base, s.noise), effects, s.untold, s.guidance)

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        """Learn films and findings. InputError for films without findings, or of a side that the network does not halve."""
        if not train.info.findings:
            raise InputError(f"edm_labels learns from findings; dataset {train.info.name} has none: give it labels")
        s: EDMLabelsSettings = self.settings
        check_side(s.unet, train.resolution)
        if s.components and not s.linear:
            raise InputError("edm_labels: components need linear=true, or films begin without their findings")
        self.built_for, self.labels = train.info, np.array(train.labels())
        few = np.unique(np.linspace(0, len(train) - 1, min(len(train), LEARN_FROM)).astype(np.int64))
        values = as_values(torch.from_numpy(np.array(taken(train.images, few)))).numpy()
        count, side = len(train.info.findings), train.resolution
        self.effects = mean_effects(values, self.labels[few]) if s.linear else np.zeros((count, side, side), np.float32)
        with seeded(digest.derive_seed(self.name, "networks", seed)):
            built: Any = self.build(train.info)
            self.base = built["base"].to(self.device)
            process = self.process()
            shown = torch.from_numpy(self.labels).to(self.device)
            self.base.learn(torch.from_numpy(values)[:, None].to(self.device) - process.shift(shown[few]))
            films = torch.from_numpy(np.array(train.images))[:, None]
            recipe = DiffusionRecipe(built["denoiser"], process, films, s, known=lambda rows: {"labels": shown[rows]})
        self.curves["films"] = training.train(
            recipe,
            RowNumbers(len(films)),
            steps=s.steps,
            seed=digest.derive_seed(self.name, "steps", seed),
            device=self.device,
            progress=progress,
            checkpoints=self.checkpoints,
            name="films",
        )
        self.denoiser, self.base = recipe.average.eval(), self.base.eval()
        self.keep_timeline(recipe.timeline, self.curves["films"])
        rng = torch.Generator().manual_seed(digest.derive_seed(self.name, "compared", seed))
        start, rows = self._start(COMPARED, rng), torch.randint(len(shown), (COMPARED,), generator=rng)
        real = torch.from_numpy(values)[:, None]
        self.steps_compared, self.along = by_steps(
            lambda steps: self.draw(start, self.labels[rows.numpy()], steps), real, s.compared_steps
        )

    def _start(self, count: int, rng: torch.Generator) -> Tensor:
        return torch.randn((count, *self.base.mean.shape), generator=rng).to(self.device)

    @torch.no_grad()
    def draw(self, start: Tensor, labels: np.ndarray, steps: int | None = None) -> Tensor:
        """Films (B, 1, H, W) in about [-1, 1] of findings (B, F), from noise of N(0, 1)."""
        known = {"labels": torch.from_numpy(labels).to(self.device)}
        return self.process().draw(self.denoiser, start, known, steps)

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        """Exactly `n` films, the first ones of the seed's endless row of films, each with the findings of a training film
        drawn at random."""
        rng, left = torch.Generator().manual_seed(digest.derive_seed(self.name, "sample", seed)), n
        while left > 0:
            rows = torch.randint(len(self.labels), (SAMPLING_BATCH,), generator=rng).numpy()
            films = self.draw(self._start(SAMPLING_BATCH, rng), self.labels[rows])[:left].float().cpu().numpy()
            yield Batch(images=np.clip((films + 1) / 2, 0, 1).astype(np.float32), labels=self.labels[rows][:left])
            left -= len(films)

    def timeline(self) -> Timelines:
        found = {"films": self.moments, BY_STEPS: self.along}
        return {name: samples for name, samples in found.items() if samples is not None}

    def facts(self) -> Mapping[str, float | int | str]:
        return self.steps_compared
