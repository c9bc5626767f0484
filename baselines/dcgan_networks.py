"""The networks of the DCGAN of pairs (Neff et al. 2017), and its settings.

Layer shapes follow the TensorFlow implementation that the paper adapted, one level added: "SAME" padding, normalisation
on every convolution but the generator's last, weights from N(0, 0.05).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import torch.nn.functional as F
from torch import Tensor, nn

from ..benchmark.errors import InputError
from ..benchmark.settings import added
from .timeline import NO_TIMELINE, Moments

FIRST_SIDE = 4


@dataclass(frozen=True)
class DCGANPairSettings(Moments):
    """The paper's settings. Maps are listed from input to output; for other resolutions than 4 x 2^levels the levels
    next to the films are dropped, or repeated."""

    generator_maps: tuple[int, ...] = (512, 256, 128, 128, 128)
    discriminator_maps: tuple[int, ...] = (128, 128, 256, 512, 512)
    kernel: int = 5
    latent: int = 400
    weight_std: float = 0.05
    steps: int = 12_000
    batch_size: int = 128
    learning_rate: float = 4e-4
    betas: tuple[float, float] = (0.5, 0.999)
    saturating: bool = False
    """Equation 2 as printed, log(1 - D(G(z))); the implementation descends -log D(G(z))."""
    average: float = 0.0
    """Decay of the running mean of the generator's weights that films are drawn from; 0 is the paper's, no mean."""
    duplicate_distance: int = 4
    """Films are near duplicates when at most this many of the 64 bits of their perceptual hashes differ."""
    elastic: int = added(0)
    """Elastically bent copies of every training film, with its mask, that join the training (the paper's outlook)."""
    elastic_bend: float = added(0.015)
    """Of these: root mean square of the displacement, as a share of the side."""
    elastic_width: float = added(0.1)
    """Standard deviation of its smoothing, as a share of the side."""
    take_all: bool = added(False)
    """Films without two lungs, and near duplicates, are kept too: of a training too short for lungs (`--smoke`)."""

    def shorter(self, steps: int, side: int | None = None) -> Self:
        """At most that many steps, without a timeline."""
        return replace(self, steps=min(steps, self.steps), **NO_TIMELINE)

    def with_batch(self, size: int) -> Self:
        """Batches of that many pairs."""
        return replace(self, batch_size=size)


def levels(resolution: int) -> int:
    """Doublings above 4 x 4 pixels; InputError unless the resolution is a power of two of at least 8."""
    count = (resolution // FIRST_SIDE).bit_length() - 1
    if count < 1 or FIRST_SIDE << count != resolution:
        raise InputError(f"dcgan_pair: expected films of 8, 16, 32, ... pixels a side, found {resolution}")
    return count


def fit_maps(maps: Sequence[int], count: int) -> tuple[int, ...]:
    """The first `count` numbers of maps, the last one repeated where there are fewer."""
    kept = tuple(maps[:count])
    return kept + kept[-1:] * (count - len(kept))


def same_padding(kernel: int) -> tuple[int, int]:
    """Zeros before and after of TensorFlow's "SAME" for a stride of 2 and an even side: 1 and 2 for a kernel of 5."""
    return (kernel - 2) // 2, (kernel - 1) // 2


class Down(nn.Conv2d):
    """Convolution of stride 2 with "SAME" padding: (B, C, 2n, 2n) to (B, maps, n, n)."""

    def __init__(self, channels: int, maps: int, kernel: int) -> None:
        super().__init__(channels, maps, kernel, stride=2)
        self.before, self.after = same_padding(kernel)

    def forward(self, films: Tensor) -> Tensor:
        return super().forward(F.pad(films, (self.before, self.after) * 2))


class Up(nn.ConvTranspose2d):
    """The adjoint of `Down`, (B, C, n, n) to (B, maps, 2n, 2n): a transposed convolution whose last row and column
    fall off."""

    def __init__(self, channels: int, maps: int, kernel: int) -> None:
        super().__init__(channels, maps, kernel, stride=2, padding=same_padding(kernel)[0])

    def forward(self, films: Tensor, output_size: list[int] | None = None) -> Tensor:
        return super().forward(films, output_size)[..., :-1, :-1]


def batch_norm(maps: int) -> nn.BatchNorm2d:
    """Normalisation by the statistics of the batch at hand, in training and in sampling."""
    return nn.BatchNorm2d(maps, eps=1e-5, track_running_stats=False)


class Generator(nn.Module):
    """Latents (B, latent) in [-1, 1] to pairs (B, 2, resolution, resolution) in [-1, 1]: film and mask."""

    def __init__(self, resolution: int, settings: DCGANPairSettings) -> None:
        super().__init__()
        maps = fit_maps(settings.generator_maps, levels(resolution))
        self.dense = nn.Linear(settings.latent, maps[0] * FIRST_SIDE**2)
        self.first = nn.Sequential(batch_norm(maps[0]), nn.ReLU())
        blocks: list[nn.Module] = []
        for before, after in pairwise(maps):
            blocks += [Up(before, after, settings.kernel), batch_norm(after), nn.ReLU()]
        self.blocks = nn.Sequential(*blocks, Up(maps[-1], 2, settings.kernel), nn.Tanh())
        initialise(self, settings.weight_std)

    def forward(self, latents: Tensor) -> Tensor:
        seeds = self.dense(latents).unflatten(1, (-1, FIRST_SIDE, FIRST_SIDE))
        return self.blocks(self.first(seeds))


class Discriminator(nn.Module):
    """Pairs (B, 2, resolution, resolution) in [-1, 1] to two logits (B, 2): generated, real."""

    def __init__(self, resolution: int, settings: DCGANPairSettings) -> None:
        super().__init__()
        maps = fit_maps(settings.discriminator_maps[::-1], levels(resolution))[::-1]
        blocks: list[nn.Module] = []
        for before, after in zip((2, *maps[:-1]), maps, strict=True):
            blocks += [Down(before, after, settings.kernel), batch_norm(after), nn.LeakyReLU(0.2)]
        self.blocks = nn.Sequential(*blocks, nn.Flatten())
        self.dense = nn.Linear(maps[-1] * FIRST_SIDE**2, 2)
        initialise(self, settings.weight_std)

    def forward(self, pairs: Tensor) -> Tensor:
        return self.dense(self.blocks(pairs))


def make_networks(resolution: int, settings: DCGANPairSettings) -> tuple[Generator, Discriminator]:
    """The networks for films of that many pixels a side, as a training starts."""
    return Generator(resolution, settings), Discriminator(resolution, settings)


def initialise(network: nn.Module, std: float) -> None:
    """Weights of convolutions and dense layers from N(0, std), biases 0."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
