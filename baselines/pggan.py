"""PGGAN: progressive growing of GANs (Karras et al., ICLR 2018), as Ciano et al. (2021) use it for dots, label maps
and pairs of film and label map: 64 feature maps instead of 512, no mirroring (it would swap left and right).

Layer shapes and parameter counts follow the authors' TensorFlow release: one network that holds every level, the bias of
the first dense layer per channel. A `level` is the number of doublings above 4 x 4 pixels; level 8 is 1024 x 1024.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..benchmark.progress import Progress
from ..benchmark.training.history import History
from ..benchmark.training.loop import seeded, train
from ..benchmark.training.recipe import RowNumbers, Step
from .pggan_networks import FIRST_SIDE, Generator, PGGANSettings, downsample, make_networks, top_level, upsample
from .timeline import Along, BesideRecipe, Timeline, as_shown, shown_side

SHOWN = 6  # films of one channel, or 3 of two, kept along the training


@dataclass(frozen=True)
class Phase:
    """One phase of the growth: a level that fades in or stabilises, from step `first_step` and film `first_film` on."""

    level: int
    fading: bool
    batch_size: int
    learning_rate: float
    steps: int
    first_step: int
    first_film: int


def growth(resolution: int, settings: PGGANSettings) -> list[Phase]:
    """The phases in order: level 0 stabilises; then every level fades in and stabilises."""
    phases: list[Phase] = []
    step = film = 0
    top = top_level(resolution)
    for level, fading in [(0, False)] + [(level, fading) for level in range(1, top + 1) for fading in (True, False)]:
        kimg = settings.fade_kimg if fading else settings.stabilise_kimg
        if level == top and not fading and settings.final_kimg is not None:
            kimg = settings.final_kimg
        side = FIRST_SIDE << level
        batch = int(_at_side(settings.batch_sizes, side))
        steps = math.ceil(kimg * 1000 / batch)
        phases.append(Phase(level, fading, batch, _at_side(settings.learning_rates, side), steps, step, film))
        step, film = step + steps, film + steps * batch
    return [phase for phase in phases if phase.steps]


def _at_side(values: Sequence[tuple[int, float]], side: int) -> float:
    return max(pair for pair in values if pair[0] <= side)[1]


def total_steps(phases: Sequence[Phase]) -> int:
    """Steps of a whole growth."""
    return phases[-1].first_step + phases[-1].steps


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, scale: float = 1.0) -> Tensor:
    """Mean of (||gradient of the critic|| / scale - 1)^2 at random points between real and fake films (Gulrajani 2017)."""
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    between = torch.lerp(real, fake, share).requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) / scale - 1).square().mean()


def pyramid(films: np.ndarray) -> list[Tensor]:
    """uint8 films (N, C, side, side) at every level, 4 x 4 first: box means rounded to grey levels, as the release
    stores its training set."""
    levels = [torch.from_numpy(np.ascontiguousarray(films))]
    while levels[0].shape[-1] > FIRST_SIDE:
        half = [downsample(part.float()).round().to(torch.uint8) for part in levels[0].split(64)]
        levels.insert(0, torch.cat(half))
    return levels


class PGGANRecipe(BesideRecipe):
    """WGAN-GP training of a growing pair of networks on uint8 films (N, C, side, side), 0 to 255."""

    float32 = True

    def __init__(self, films: np.ndarray, settings: PGGANSettings) -> None:
        resolution, channels = films.shape[-1], films.shape[1]
        self.settings = settings
        self.pyramid = pyramid(films)
        self.generator, self.discriminator = make_networks(resolution, channels, settings)
        self.average = AveragedModel(self.generator, multi_avg_fn=get_ema_multi_avg_fn(settings.ema))
        self.phases = growth(resolution, settings)
        self.steps = total_steps(self.phases)
        count = SHOWN // channels
        self.latents = torch.randn(count, self.generator.latent, generator=torch.Generator().manual_seed(0))
        self.timeline = Timeline(settings, steps=self.steps, samples=count * channels, side=shown_side(resolution))

    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator, "average": self.average}

    def optimizers(self) -> Mapping[str, Optimizer]:
        betas = self.settings.betas
        self.adam_g = Adam(self.generator.parameters(), lr=self.phases[0].learning_rate, betas=betas, fused=True)
        self.adam_d = Adam(self.discriminator.parameters(), lr=self.phases[0].learning_rate, betas=betas, fused=True)
        return {"generator": self.adam_g, "discriminator": self.adam_d}

    def batch_size(self, images_seen: int) -> int:
        return self.phases[bisect_right([phase.first_film for phase in self.phases], images_seen) - 1].batch_size

    def at(self, step: int) -> tuple[Phase, float]:
        """The phase and alpha of a step: alpha grows from 0 to 1 over a fade, every `minibatch_repeats` steps."""
        phase = self.phases[bisect_right([phase.first_step for phase in self.phases], step) - 1]
        done = (step - phase.first_step) // self.settings.minibatch_repeats * self.settings.minibatch_repeats
        return phase, done / phase.steps if phase.fading else 1.0

    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        phase, alpha = self.at(at.index)
        if at.index == phase.first_step:
            self._enter(phase)
        real = self._real(batch["rows"], phase.level, alpha, at.device)
        d_losses = self._critic_losses(real, phase.level, alpha)
        at.update(torch.stack(list(d_losses.values())).sum(), self.adam_d)
        self.average.update_parameters(self.generator)
        self.discriminator.requires_grad_(False)
        g_loss = -self.discriminator(self._fake(len(real), phase.level, alpha), phase.level, alpha).mean()
        self.discriminator.requires_grad_(True)
        at.update(g_loss, self.adam_g)
        self.timeline.after(at.index + 1, lambda: self._shown(phase.level, alpha))
        return {"generator": g_loss, **d_losses}

    def begins(self, device: torch.device) -> None:
        self.timeline.after(0, lambda: self._shown(self.phases[0].level, 1.0))

    def _shown(self, level: int, alpha: float) -> Tensor:
        """Films of the averaged generator at the level of the training, the same latents every time."""
        sampler = self.sampler()
        latents = self.latents.to(next(sampler.parameters()).device)
        return as_shown(sampler(latents, level, alpha), self.timeline.films.shape[-1])

    def _enter(self, phase: Phase) -> None:
        """A fade starts or ends: the optimisers forget their moments."""
        for optimizer in (self.adam_g, self.adam_d):
            optimizer.state.clear()
            for group in optimizer.param_groups:
                group["lr"] = phase.learning_rate

    def _real(self, rows: Tensor, level: int, alpha: float, device: torch.device) -> Tensor:
        """Real films of a level in [-1, 1], cross-faded with the level below like the generated ones."""
        if self.pyramid[level].device != device:
            self.pyramid[level] = self.pyramid[level].to(device)
        films = self.pyramid[level][rows].float() / 127.5 - 1
        return torch.lerp(upsample(downsample(films)), films, alpha) if alpha < 1.0 else films

    def _fake(self, count: int, level: int, alpha: float) -> Tensor:
        device = next(self.generator.parameters()).device
        return self.generator(torch.randn(count, self.generator.latent, device=device), level, alpha)

    def _critic_losses(self, real: Tensor, level: int, alpha: float) -> dict[str, Tensor]:
        """Wasserstein estimate, gradient penalty and drift, weighted.

        The release shows every level to the critic at full resolution, so its gradient norm is the one of the level
        divided by the factor between their sides.
        """

        def critic(films: Tensor) -> Tensor:
            return self.discriminator(films, level, alpha)

        with torch.no_grad():
            fake = self._fake(len(real), level, alpha)
        real_score, fake_score = critic(real), critic(fake)
        penalty = gradient_penalty(critic, real, fake, scale=2.0 ** (self.generator.top - level))
        return {
            "wasserstein": fake_score.mean() - real_score.mean(),
            "penalty": self.settings.gradient_penalty * penalty,
            "drift": self.settings.drift * real_score.square().mean(),
        }

    def sampler(self) -> Generator:
        """The averaged generator, the one to sample from."""
        average = self.average.module
        assert isinstance(average, Generator)
        return average


class PGGAN:
    """A fitted generator of films (channels, side, side), used where it is. `grown`: the level and alpha that it is sampled
    at, where its training was ended before it was grown; its films are then enlarged to the whole side."""

    def __init__(self, generator: Generator, grown: tuple[int, float] | None = None) -> None:
        self.generator, self.grown = generator.eval(), grown

    @classmethod
    def fit(
        cls,
        films: np.ndarray,
        settings: PGGANSettings,
        *,
        seed: int,
        device: str,
        progress: Progress,
        checkpoints: Path | None = None,
        name: str = "",
    ) -> tuple[PGGAN, History, Along]:
        """Learn uint8 films (N, channels, side, side); the fitted generator, its training curve, and its samples along the
        training."""
        with seeded(seed):
            recipe = PGGANRecipe(films, settings)
        rows = RowNumbers(len(films))
        history = train(
            recipe,
            rows,
            steps=recipe.steps,
            seed=seed,
            device=device,
            progress=progress,
            checkpoints=checkpoints,
            name=name,
        )
        phase, alpha = recipe.at(history.steps - 1)
        grown = (phase.level, alpha) if history.steps < recipe.steps else None
        return cls(recipe.sampler(), grown), history, recipe.timeline.until(history.steps)

    @torch.no_grad()
    def sample(self, count: int, rng: torch.Generator) -> np.ndarray:
        """Films float32 (count, channels, side, side) in [-1, 1] from a CPU generator of random numbers."""
        latents = torch.randn(count, self.generator.latent, generator=rng).to(next(self.generator.parameters()).device)
        level, alpha = self.grown or (self.generator.top, 1.0)
        films = self.generator(latents, level, alpha)
        for _ in range(level, self.generator.top):
            films = upsample(films)
        return films.clamp(-1, 1).float().cpu().numpy()
