"""PGGAN: progressive growing of GANs (Karras et al., ICLR 2018), as Ciano et al. (2021) use it for dots, label maps
and pairs of film and label map: 64 feature maps instead of 512, no mirroring (it would swap left and right).

Layer shapes and parameter counts follow the authors' TensorFlow release: one network that holds every level, the bias of
the first dense layer per channel. A `level` is the number of doublings above 4 x 4 pixels; level 8 is 1024 x 1024.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..benchmark.errors import InputError
from ..benchmark.progress import Progress
from ..benchmark.training import History, Recipe, Step, seeded, train

FIRST_SIDE = 4


@dataclass(frozen=True)
class PGGANSettings:
    """Defaults are the paper's: 64 feature maps, 600,000 films a phase, the release's rates and minibatches.

    `batch_sizes` and `learning_rates` are (side in pixels, value) pairs; a side that is not named takes the value of the
    next smaller one.
    """

    fmap_base: int = 8192
    fmap_max: int = 64
    stabilise_kimg: float = 600.0
    fade_kimg: float = 600.0
    final_kimg: float | None = None
    """Thousand films of the last stabilising phase, where it is not `stabilise_kimg`."""
    batch_sizes: tuple[tuple[int, int], ...] = ((4, 128), (32, 64), (64, 32), (128, 16), (256, 8), (512, 4))
    minibatch_repeats: int = 4
    """Steps between two changes of alpha."""
    learning_rates: tuple[tuple[int, float], ...] = ((4, 1e-3), (1024, 1.5e-3))
    betas: tuple[float, float] = (0.0, 0.99)
    gradient_penalty: float = 10.0
    drift: float = 0.001
    ema: float = 0.999
    group_size: int = 4

    def channels(self, stage: int) -> int:
        """nf(stage) of the paper's release: feature maps after `stage` doublings from 2 x 2; nf(0) is the latent size."""
        return min(self.fmap_base >> stage, self.fmap_max)


def top_level(resolution: int) -> int:
    """The level of a power-of-two resolution; InputError for any other."""
    level = resolution.bit_length() - 3
    if level < 0 or resolution != FIRST_SIDE << level:
        raise InputError(
            f"PGGAN draws films of 4, 8, 16, ... pixels a side, found {resolution}: resize the dataset to a power of two"
        )
    return level


class EqualisedConv2d(nn.Module):
    """Convolution with weights N(0, 1) that are multiplied by gain / sqrt(fan in) at run time (section 4.1)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, gain: float = math.sqrt(2)) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / math.sqrt(inputs * kernel * kernel)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.weight.shape[-1] // 2)


class EqualisedLinear(nn.Module):
    """Dense layer with weights N(0, 1) that are multiplied by gain / sqrt(fan in) at run time (section 4.1)."""

    def __init__(self, inputs: int, outputs: int, gain: float = math.sqrt(2)) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias)


def pixel_norm(x: Tensor) -> Tensor:
    """Every pixel's feature vector (dimension 1) divided by its root mean square (section 4.2)."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


def leaky(x: Tensor) -> Tensor:
    """The activation of both networks."""
    return F.leaky_relu(x, 0.2)


def upsample(x: Tensor) -> Tensor:
    """Twice the side, nearest neighbour."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def downsample(x: Tensor) -> Tensor:
    """Half the side, mean of 2 x 2 boxes."""
    return F.avg_pool2d(x, 2)


def minibatch_stddev(x: Tensor, group_size: int) -> Tensor:
    """x with one more map: the standard deviation over a group of films, averaged over channels and pixels (section 3)."""
    count, channels, height, width = x.shape
    group = max(size for size in range(1, group_size + 1) if count % size == 0)
    groups = x.view(group, count // group, channels, height, width)
    deviation = torch.sqrt(groups.var(dim=0, correction=0) + 1e-8).mean(dim=(1, 2, 3))
    extra = deviation.view(1, -1, 1, 1).expand(group, -1, height, width).reshape(count, 1, height, width)
    return torch.cat([x, extra], dim=1)


class FirstBlock(nn.Module):
    """Latent to features at 4 x 4: dense layer (gain sqrt(2) / 4, a bias per channel), then a convolution."""

    def __init__(self, latent: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels * FIRST_SIDE**2, latent))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.scale = math.sqrt(2) / 4 / math.sqrt(latent)
        self.conv = EqualisedConv2d(channels, channels, 3)

    def forward(self, z: Tensor) -> Tensor:
        x = F.linear(z, self.weight * self.scale).view(len(z), -1, FIRST_SIDE, FIRST_SIDE)
        x = pixel_norm(leaky(x + self.bias.view(1, -1, 1, 1)))
        return pixel_norm(leaky(self.conv(x)))


class GrowBlock(nn.Module):
    """Twice the side, two convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = EqualisedConv2d(inputs, outputs, 3)
        self.conv1 = EqualisedConv2d(outputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = pixel_norm(leaky(self.conv0(upsample(x))))
        return pixel_norm(leaky(self.conv1(x)))


class Generator(nn.Module):
    """Latents (N, nf(0)) to films (N, channels, side, side) around [-1, 1] (linear output)."""

    def __init__(self, resolution: int, channels: int, settings: PGGANSettings) -> None:
        super().__init__()
        self.top, self.latent, nf = top_level(resolution), settings.channels(0), settings.channels
        self.first = FirstBlock(nf(0), nf(1))
        self.blocks = nn.ModuleList(GrowBlock(nf(level), nf(level + 1)) for level in range(1, self.top + 1))
        self.to_film = nn.ModuleList(
            EqualisedConv2d(nf(level + 1), channels, 1, gain=1.0) for level in range(self.top + 1)
        )

    def forward(self, z: Tensor, level: int | None = None, alpha: float = 1.0) -> Tensor:
        """Films of a level; with alpha below 1, cross-faded with those of the level below."""
        level = self.top if level is None else level
        x = before = self.first(pixel_norm(z))
        for block in self.blocks[:level]:
            before, x = x, block(x)
        films = self.to_film[level](x)
        if alpha < 1.0:
            films = torch.lerp(upsample(self.to_film[level - 1](before)), films, alpha)
        return films


class ShrinkBlock(nn.Module):
    """Two convolutions, half the side."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = EqualisedConv2d(inputs, inputs, 3)
        self.conv1 = EqualisedConv2d(inputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        return downsample(leaky(self.conv1(leaky(self.conv0(x)))))


class LastBlock(nn.Module):
    """Features at 4 x 4 to a score: minibatch standard deviation, convolution, two dense layers."""

    def __init__(self, inputs: int, hidden: int, group_size: int) -> None:
        super().__init__()
        self.group_size = group_size
        self.conv = EqualisedConv2d(inputs + 1, inputs, 3)
        self.dense0 = EqualisedLinear(inputs * FIRST_SIDE**2, hidden)
        self.dense1 = EqualisedLinear(hidden, 1, gain=1.0)

    def forward(self, x: Tensor) -> Tensor:
        x = leaky(self.conv(minibatch_stddev(x, self.group_size)))
        return self.dense1(leaky(self.dense0(x.flatten(1)))).squeeze(1)


class Discriminator(nn.Module):
    """Films (N, channels, side, side) of a level to scores (N,): the generator mirrored, without normalisation."""

    def __init__(self, resolution: int, channels: int, settings: PGGANSettings) -> None:
        super().__init__()
        self.top, nf = top_level(resolution), settings.channels
        self.from_film = nn.ModuleList(EqualisedConv2d(channels, nf(level + 1), 1) for level in range(self.top + 1))
        self.blocks = nn.ModuleList(ShrinkBlock(nf(level + 1), nf(level)) for level in range(1, self.top + 1))
        self.last = LastBlock(nf(1), nf(0), settings.group_size)

    def forward(self, films: Tensor, level: int | None = None, alpha: float = 1.0) -> Tensor:
        """Scores; with alpha below 1, the features of the level are cross-faded with those of the level below."""
        level = self.top if level is None else level
        x = leaky(self.from_film[level](films))
        for below in range(level - 1, -1, -1):
            x = self.blocks[below](x)
            if alpha < 1.0 and below == level - 1:
                x = torch.lerp(leaky(self.from_film[below](downsample(films))), x, alpha)
        return self.last(x)


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


class RowNumbers:
    """The training source: row numbers alone, for the recipe keeps its pyramid of films on the device."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """The row numbers as a tensor."""
        return {"rows": torch.from_numpy(rows)}


class PGGANRecipe(Recipe):
    """WGAN-GP training of a growing pair of networks on uint8 films (N, C, side, side), 0 to 255."""

    float32 = True

    def __init__(self, films: np.ndarray, settings: PGGANSettings) -> None:
        resolution, channels = films.shape[-1], films.shape[1]
        self.settings = settings
        self.pyramid = pyramid(films)
        self.generator = Generator(resolution, channels, settings)
        self.discriminator = Discriminator(resolution, channels, settings)
        self.average = AveragedModel(self.generator, multi_avg_fn=get_ema_multi_avg_fn(settings.ema))
        self.phases = growth(resolution, settings)
        self.steps = total_steps(self.phases)

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
        return {"generator": g_loss, **d_losses}

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
    """A fitted generator of films (channels, resolution, resolution)."""

    def __init__(self, generator: Generator, shape: tuple[int, int], settings: PGGANSettings, device: str) -> None:
        self.generator = generator.eval().to(device)
        self.shape, self.settings, self.device = shape, settings, device

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
    ) -> tuple[PGGAN, History]:
        """Learn uint8 films (N, channels, side, side); the fitted generator and its training curve."""
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
        )
        return cls(recipe.sampler(), (films.shape[-1], films.shape[1]), settings, device), history

    @torch.no_grad()
    def sample(self, count: int, rng: torch.Generator) -> np.ndarray:
        """Films float32 (count, channels, side, side) in [-1, 1] from a CPU generator of random numbers."""
        latents = torch.randn(count, self.generator.latent, generator=rng).to(self.device)
        return self.generator(latents).clamp(-1, 1).float().cpu().numpy()

    def save(self, path: Path) -> None:
        """Keep the weights as safetensors, shape and settings in the header."""
        header = {"shape": json.dumps(self.shape), "settings": json.dumps(asdict(self.settings))}
        weights = {name: weight.contiguous() for name, weight in self.generator.state_dict().items()}
        save_file(weights, path, metadata=header)

    @classmethod
    def load(cls, path: Path, *, device: str) -> PGGAN:
        """The generator that `save` kept."""
        with safe_open(path, framework="pt") as kept:
            header = kept.metadata()
        (side, channels), settings = json.loads(header["shape"]), PGGANSettings(**json.loads(header["settings"]))
        generator = Generator(side, channels, settings)
        generator.load_state_dict(load_file(path))
        return cls(generator, (side, channels), settings, device)
