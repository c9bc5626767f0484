"""The networks of Pix2Pix (Isola et al., CVPR 2017) and the settings of Xing et al. (MICCAI 2019).

Layer shapes follow the authors' PyTorch release: a U-Net that halves a film down to one pixel, and the 70 x 70 PatchGAN.
Batch normalisation always uses the statistics of the batch at hand, in training and in sampling, as the release does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn

from ..benchmark.errors import InputError
from .timeline import NO_TIMELINE, Moments


@dataclass(frozen=True)
class Pix2PixSettings(Moments):
    """Defaults are the release's where the paper says nothing (loss weights, schedule, amounts of variation)."""

    width: int = 64
    """Feature maps of the first layer, in both networks."""
    levels: int = 8
    """Halvings of the U-Net at most; a film of 64 pixels allows 6."""
    discriminator_layers: int = 3
    """Layers of stride 2; 3 make patches of 70 x 70 pixels."""
    dropout: float = 0.5
    batch_size: int = 1
    epochs: int = 100
    decay_epochs: int = 100
    steps: int | None = None
    """Steps in all, split like the epochs; None trains for the epochs."""
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    l1_weight: float = 100.0
    healthy_films: int = 0
    """Films without findings that join the training, with boxes drawn anew at every step."""
    enlarge: float = 286 / 256
    """Films are enlarged by this factor and cropped back to their size; 1 leaves them as they are."""
    angle: float = 5.0
    """Films are turned by up to this many degrees."""
    mirror: float = 0.5
    """Share of films that are mirrored."""

    def shorter(self, steps: int, side: int | None = None) -> Self:
        """At most that many steps, without a timeline."""
        return replace(self, steps=min(steps, self.steps or steps), **NO_TIMELINE)

    def with_batch(self, size: int) -> Self:
        """Batches of that many films."""
        return replace(self, batch_size=size)


def levels(side: int, most: int) -> int:
    """Halvings of a film of `side` pixels, `most` at most; InputError when it cannot be halved twice."""
    count = min(most, (side & -side).bit_length() - 1)
    if count < 2:
        raise InputError(f"pix2pix halves films: expected a side that is a multiple of 4, found {side}: resize them")
    return count


def batch_norm(maps: int) -> nn.BatchNorm2d:
    """Normalisation by the statistics of the batch at hand."""
    return nn.BatchNorm2d(maps, track_running_stats=False)


class UNet(nn.Module):
    """Films (B, 1, side, side) with the box alone to whole films (B, 1, side, side) in [-1, 1].

    Convolutions of kernel 4 and stride 2 down and up, with 1, 2, 4, 8, 8, ... times `width` maps. The three levels above
    the innermost one have dropout, the generator's only noise. Biases in the first and the last layer alone: the others
    are normalised, or the innermost. (The PyTorch release leaves out the first layer's 64 too, its paper's has them.)
    """

    def __init__(self, side: int, settings: Pix2PixSettings) -> None:
        super().__init__()
        maps = [settings.width * min(1 << level, 8) for level in range(levels(side, settings.levels))]
        self.down = nn.ModuleList([nn.Conv2d(1, maps[0], 4, 2, 1)])
        for level, (before, after) in enumerate(pairwise(maps), start=1):
            layers = [nn.LeakyReLU(0.2), nn.Conv2d(before, after, 4, 2, 1, bias=False)]
            self.down.append(nn.Sequential(*layers, *([batch_norm(after)] if level < len(maps) - 1 else [])))
        self.up = nn.ModuleList()
        for level in reversed(range(1, len(maps))):  # from the innermost level to the second
            below = maps[level] if level == len(maps) - 1 else 2 * maps[level]
            up = nn.ConvTranspose2d(below, maps[level - 1], 4, 2, 1, bias=False)
            noisy = 2 <= len(maps) - level <= 4
            noise = [nn.Dropout(settings.dropout)] if noisy else []
            self.up.append(nn.Sequential(nn.ReLU(), up, batch_norm(maps[level - 1]), *noise))
        self.last = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * maps[0], 1, 4, 2, 1), nn.Tanh())
        initialise(self)

    def forward(self, films: Tensor) -> Tensor:
        skipped = []
        for layer in self.down:
            films = layer(films)
            skipped.append(films)
        skipped.pop()
        for layer in self.up:
            films = torch.cat([skipped.pop(), layer(films)], dim=1)
        return self.last(films)


class PatchDiscriminator(nn.Sequential):
    """Box alone and whole film (B, 2, side, side) to a map of logits, real or generated; 70 x 70 pixels see each."""

    def __init__(self, settings: Pix2PixSettings) -> None:
        maps = [settings.width * min(1 << level, 8) for level in range(settings.discriminator_layers + 1)]
        layers: list[nn.Module] = [nn.Conv2d(2, maps[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for before, after in pairwise(maps):
            stride = 1 if len(layers) == 2 + 3 * (settings.discriminator_layers - 1) else 2
            layers += [nn.Conv2d(before, after, 4, stride, 1, bias=False), batch_norm(after), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Conv2d(maps[-1], 1, 4, 1, 1))
        initialise(self)


def make_networks(side: int, settings: Pix2PixSettings) -> tuple[UNet, PatchDiscriminator]:
    """Generator and discriminator for films of that many pixels a side, as a training starts."""
    return UNet(side, settings), PatchDiscriminator(settings)


def initialise(network: nn.Module) -> None:
    """Weights of convolutions from N(0, 0.02), of normalisations from N(1, 0.02), biases 0."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)):
            nn.init.normal_(layer.weight, 1.0 if isinstance(layer, nn.BatchNorm2d) else 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
