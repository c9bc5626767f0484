"""The networks of PGGAN (Karras et al. 2018, "Progressive Growing of GANs", appendix A): generator and discriminator.

Widths and defaults are in `PGGANSettings`; the multi-stage paper sets at most 64 feature maps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..benchmark.errors import InputError
from ..benchmark.settings import added
from .timeline import NO_TIMELINE, Moments

FIRST_SIDE = 4
PASSED_KIMG = 1e-6  # thousand films of a phase that is passed by: one step


@dataclass(frozen=True)
class PGGANSettings(Moments):
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
    timeline: int = added(8)

    def channels(self, stage: int) -> int:
        """nf(stage) of the paper's release: feature maps after `stage` doublings from 2 x 2; nf(0) is the latent size."""
        return min(self.fmap_base >> stage, self.fmap_max)

    def batch_at(self, side: int) -> int:
        """The minibatch at `side` pixels; 1 where no side so small is named."""
        return max((pair for pair in self.batch_sizes if pair[0] <= side), default=(0, 1))[1]

    def shorter(self, steps: int, side: int | None = None) -> Self:
        """Phases in proportion, the longest of `steps` films; for films of `side` pixels instead one step for each phase
        but the last, which has a step more than `steps`. Without a timeline."""
        phases = {"stabilise_kimg": self.stabilise_kimg, "fade_kimg": self.fade_kimg, "final_kimg": self.final_kimg}
        there = {name: kimg for name, kimg in phases.items() if kimg}
        if side is None:
            share = min(1.0, steps / (1000 * max(there.values(), default=1.0)))
            changed: dict[str, Any] = {name: kimg * share for name, kimg in there.items()}
        else:
            changed = dict.fromkeys(there, PASSED_KIMG) | {"final_kimg": (steps + 1) * self.batch_at(side) / 1000}
        return replace(self, **changed, **NO_TIMELINE)

    def with_batch(self, size: int) -> Self:
        """Minibatches of that many films at every side."""
        return replace(self, batch_sizes=tuple((side, size) for side, _ in self.batch_sizes))


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


def make_networks(side: int, channels: int, settings: PGGANSettings) -> tuple[Generator, Discriminator]:
    """The networks for films (channels, side, side), as a training starts."""
    return Generator(side, channels, settings), Discriminator(side, channels, settings)
