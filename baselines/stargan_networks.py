"""The networks of StarGAN (Choi et al., CVPR 2018) and its settings.

Layer shapes follow the authors' release: instance normalisation with weights and zero padding in the generator (a
constant map would not be seen behind a normalisation without them), no normalisation in the discriminator.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn

from ..benchmark.data.findings import LOCALISED
from ..benchmark.errors import InputError
from .timeline import NO_TIMELINE, Moments


@dataclass(frozen=True)
class StarGANSettings(Moments):
    """Defaults are the release's; the domains are those of Xing et al. (MICCAI 2019)."""

    diseases: tuple[str, ...] = LOCALISED
    """Findings that are domains, beside films without findings; one without a film in the training set is left out."""
    generator_width: int = 64
    blocks: int = 6
    residual: bool = False
    """The generator paints what changes on a film, as in Fixed-Point GAN (Siddiquee et al., ICCV 2019), so that a short
    training need not learn to copy films; False is the release's, which paints the whole film."""
    discriminator_width: int = 64
    discriminator_layers: int = 6
    """Halvings at most: fewer where they would leave less than 4 x 4 pixels."""
    gradient_penalty: float = 10.0
    class_weight: float = 1.0
    cycle_weight: float = 10.0
    critic_steps: int = 5
    """Steps of the discriminator per step of the generator."""
    steps: int = 200_000
    decay_steps: int = 100_000
    """The last steps, over which the learning rate falls to zero."""
    batch_size: int = 16
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.999)
    balanced: bool = False
    """Draw the domains of the training films evenly; False draws films evenly, as the release does."""
    healthy_share: float | None = None
    """Share of the samples without a finding; None is their share of the training films of these domains."""
    source_films: int = 10_000
    """Healthy films kept to translate from, at most."""

    def shorter(self, steps: int, side: int | None = None) -> Self:
        """At most that many steps, without a timeline."""
        return replace(self, steps=min(steps, self.steps), **NO_TIMELINE)

    def with_batch(self, size: int) -> Self:
        """Batches of that many films."""
        return replace(self, batch_size=size)


def halvings(side: int, most: int) -> int:
    """Halvings of the discriminator that leave 4 x 4 pixels or more; InputError for films that do not suit."""
    if side < 8 or side % 4:
        raise InputError(
            f"stargan halves films twice: expected a side that is a multiple of 4, 8 or more, found {side}"
        )
    return min(most, (side // 4).bit_length() - 1)


def norm(maps: int) -> nn.Module:
    """Instance normalisation with weights."""
    return nn.InstanceNorm2d(maps, affine=True)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions around a shortcut."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        first = (nn.Conv2d(maps, maps, 3, padding=1, bias=False), norm(maps), nn.ReLU(inplace=True))
        self.body = nn.Sequential(*first, nn.Conv2d(maps, maps, 3, padding=1, bias=False), norm(maps))

    def forward(self, films: Tensor) -> Tensor:
        return films + self.body(films)


class Generator(nn.Module):
    """Films (B, 1, H, W) and target domains (B,) to films (B, 1, H, W) in [-1, 1]. A domain is a constant map of its own
    beside the film."""

    def __init__(self, domains: int, settings: StarGANSettings) -> None:
        super().__init__()
        width, self.domains = settings.generator_width, domains
        layers: list[nn.Module] = [nn.Conv2d(1 + domains, width, 7, padding=3, bias=False), norm(width), nn.ReLU(True)]
        for _ in range(2):
            layers += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), norm(2 * width), nn.ReLU(inplace=True)]
            width *= 2
        layers += [ResidualBlock(width) for _ in range(settings.blocks)]
        for _ in range(2):
            up = nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False)
            layers += [up, norm(width // 2), nn.ReLU(inplace=True)]
            width //= 2
        last = nn.Conv2d(width, 1, 7, padding=3, bias=False)
        self.layers, self.residual = nn.Sequential(*layers, last, nn.Tanh()), settings.residual
        if self.residual:
            nn.init.normal_(last.weight, 0.0, 0.005)  # little change to begin with

    def forward(self, films: Tensor, domains: Tensor) -> Tensor:
        maps = nn.functional.one_hot(domains, self.domains).to(films.dtype)[:, :, None, None]
        painted = self.layers(torch.cat([films, maps.expand(-1, -1, *films.shape[2:])], dim=1))
        return (films + painted).clamp(-1, 1) if self.residual else painted


class Discriminator(nn.Module):
    """Films (B, 1, side, side) to a map of scores, real or generated, and logits of the domains (B, domains)."""

    def __init__(self, side: int, domains: int, settings: StarGANSettings) -> None:
        super().__init__()
        count = halvings(side, settings.discriminator_layers)
        maps = [1, *(settings.discriminator_width << layer for layer in range(count))]
        layers: list[nn.Module] = []
        for before, after in pairwise(maps):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.01)]
        self.layers = nn.Sequential(*layers)
        self.score = nn.Conv2d(maps[-1], 1, 3, padding=1, bias=False)
        self.classes = nn.Conv2d(maps[-1], domains, side >> count, bias=False)

    def forward(self, films: Tensor) -> tuple[Tensor, Tensor]:
        features = self.layers(films)
        return self.score(features), self.classes(features).flatten(1)


def make_networks(side: int, domains: int, settings: StarGANSettings) -> tuple[Generator, Discriminator]:
    """The networks for films of that many pixels a side, as a training starts."""
    return Generator(domains, settings), Discriminator(side, domains, settings)
