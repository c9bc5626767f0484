"""LSGAN of Kumar and Triana Martinez: a DCGAN of 32 to 512 maps with the least-squares loss (Mao et al. 2017), three
generator updates for every discriminator update.

The printed parameter counts (2,795,904 and 3,606,976) fix the layers: kernels of 4, no biases, batch normalisation on
all but the discriminator's first and last and the generator's last convolution. They do not fix the resolution. With one
latent vector the generator makes 128 pixels (`lsgan`); with a 4 x 4 map of them the same layers make the 224 pixels that
the text names, and the discriminator gives 4 x 4 scores whose losses are averaged (`lsgan_224`).
Not said in the paper, after the PyTorch DCGAN it resembles: latents from N(0, 1), a leak of 0.2, weights from
N(0, 0.02); one discriminator step first, fresh latents at every step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..benchmark.data.dataset import Dataset, DatasetInfo
from ..benchmark.errors import InputError
from ..benchmark.training.recipe import Step
from .kumar_films import SAMPLING_BATCH, KumarProvider, KumarRecipe, Schedule

FIRST = 3  # a kernel of 4 makes a map of n + 3 from one of n


@dataclass(frozen=True)
class LSGANSettings(Schedule):
    """The paper's settings. Maps are listed from input to output; each is one doubling or halving of the side."""

    epochs: float = 5.0
    generator_maps: tuple[int, ...] = (512, 256, 128, 64, 32)
    discriminator_maps: tuple[int, ...] = (32, 64, 128, 256, 512)
    latent: int = 100
    noise: Literal["normal", "uniform"] = "normal"
    """Latents from N(0, 1), or evenly from [-1, 1) as in the course exercise that the paper started from."""
    leak: float = 0.2
    """Slope of the discriminator's leaky units below 0; the course exercise has 0.01."""
    generator_steps: int = 3
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    average: float = 0.0
    """Decay of the running mean of the generator's weights that films are drawn from; 0 is the paper's, no mean."""


def d_loss(on_real: Tensor, on_fake: Tensor) -> Tensor:
    """0.5 E[(D(x) - 1)^2] + 0.5 E[D(G(z))^2], also the mean over a map of scores."""
    return 0.5 * (on_real.float() - 1).square().mean() + 0.5 * on_fake.float().square().mean()


def g_loss(on_fake: Tensor) -> Tensor:
    """0.5 E[(D(G(z)) - 1)^2]."""
    return 0.5 * (on_fake.float() - 1).square().mean()


def noise_side(side: int, levels: int) -> int:
    """Side of the map of latents for films of `side` pixels: 1 for 128, 4 for 224 at five levels."""
    if side % 2**levels or side // 2**levels <= FIRST:
        raise InputError(
            f"lsgan with {levels} levels makes films of {4 * 2**levels}, {5 * 2**levels}, {6 * 2**levels}, ... "
            f"pixels, found side={side}: change side, or the number of generator_maps and discriminator_maps"
        )
    return side // 2**levels - FIRST


class Generator(nn.Sequential):
    """Latents (B, latent, n, n) to films (B, 1, side, side) in [-1, 1]; n = 1 makes 4 x 2^levels pixels."""

    def __init__(self, latent: int, maps: Sequence[int]) -> None:
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent, maps[0], 4, bias=False)]
        for before, after in pairwise((*maps, 1)):
            layers += [nn.BatchNorm2d(before), nn.ReLU()]
            layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)]
        super().__init__(*layers, nn.Tanh())
        self.apply(initialise)


class Discriminator(nn.Sequential):
    """Films (B, 1, side, side) in [-1, 1] to scores (B, 1, n, n) without a sigmoid; n = 1 for 4 x 2^levels pixels."""

    def __init__(self, maps: Sequence[int], leak: float = 0.2) -> None:
        layers: list[nn.Module] = [nn.Conv2d(1, maps[0], 4, stride=2, padding=1, bias=False), nn.LeakyReLU(leak)]
        for before, after in pairwise(maps):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.LeakyReLU(leak)]
        super().__init__(*layers, nn.Conv2d(maps[-1], 1, 4, bias=False))
        self.apply(initialise)


def initialise(layer: nn.Module) -> None:
    """Weights of convolutions from N(0, 0.02), of normalisations from N(1, 0.02), biases 0."""
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(layer.weight, std=0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
        nn.init.zeros_(layer.bias)


def make_generator(settings: LSGANSettings) -> Generator:
    """The generator of the settings; InputError when its levels do not make the side."""
    noise_side(settings.side, len(settings.generator_maps))
    noise_side(settings.side, len(settings.discriminator_maps))
    return Generator(settings.latent, settings.generator_maps)


def make_networks(settings: LSGANSettings) -> tuple[Generator, Discriminator]:
    """The networks of the settings, as a training starts."""
    return make_generator(settings), Discriminator(settings.discriminator_maps, settings.leak)


def draw_latents(settings: LSGANSettings, count: int, rng: torch.Generator | None = None) -> Tensor:
    """Random latents (count, latent, n, n) on the CPU."""
    side = noise_side(settings.side, len(settings.generator_maps))
    shape = (count, settings.latent, side, side)
    if settings.noise == "uniform":
        return torch.rand(shape, generator=rng) * 2 - 1
    return torch.randn(shape, generator=rng)


def draw_films(generator: nn.Module, settings: LSGANSettings, rng: torch.Generator) -> Tensor:
    """SAMPLING_BATCH films (B, side, side) in [0, 1]."""
    device = next(generator.parameters()).device
    return (generator(draw_latents(settings, SAMPLING_BATCH, rng).to(device))[:, 0] + 1) / 2


class LSGANRecipe(KumarRecipe):
    """Adversarial training; one step is a discriminator update and `generator_steps` generator updates."""

    def __init__(self, films: np.ndarray, settings: LSGANSettings) -> None:
        super().__init__(films, settings)
        self.settings = settings
        self.generator, self.discriminator = make_networks(settings)
        average = get_ema_multi_avg_fn(settings.average)
        self.average = AveragedModel(self.generator, multi_avg_fn=average, use_buffers=True)

    def networks(self) -> Mapping[str, nn.Module]:
        networks = {"generator": self.generator, "discriminator": self.discriminator, "timeline": self.timeline}
        return networks | ({"average": self.average} if self.settings.average else {})

    def drawn_from(self) -> Mapping[str, nn.Module]:
        return {"generator": self.sampler()}

    def sampler(self) -> nn.Module:
        """The generator that films are drawn from: the trained one, or the running mean of its weights."""
        return self.average.module if self.settings.average else self.generator

    def samples(self, rng: torch.Generator) -> Tensor:
        return draw_films(self.sampler(), self.settings, rng)

    def optimizers(self) -> Mapping[str, Optimizer]:
        rate, betas = self.settings.learning_rate, self.settings.betas
        self.adam_g = Adam(self.generator.parameters(), lr=rate, betas=betas, fused=True)
        self.adam_d = Adam(self.discriminator.parameters(), lr=rate, betas=betas, fused=True)
        return {"generator": self.adam_g, "discriminator": self.adam_d}

    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        real = self.real(batch["rows"], at.device) * 2 - 1

        def noise() -> Tensor:
            return draw_latents(self.settings, len(real)).to(at.device)

        with torch.no_grad():
            fake = self.generator(noise())
        critic = d_loss(self.discriminator(real), self.discriminator(fake))
        at.update(critic, self.adam_d)
        self.discriminator.requires_grad_(False)
        for _ in range(self.settings.generator_steps):
            fooled = g_loss(self.discriminator(self.generator(noise())))
            at.update(fooled, self.adam_g)
            if self.settings.average:
                self.average.update_parameters(self.generator)
        self.discriminator.requires_grad_(True)
        self.show(at)
        return {"discriminator": critic, "generator": fooled}


PAPER = LSGANSettings()
STANDARD = replace(PAPER, equalise=False, least_steps=6_000, most_steps=12_000)
# Sized for half a minute of one core. The running mean takes the noise out of a short training; one generator update a
# step leaves time for twice the steps, which shows more than the paper's three.
QUICK = LSGANSettings(
    side=64,
    equalise=False,
    generator_maps=(128, 64, 32, 16),
    discriminator_maps=(16, 32, 64, 128),
    latent=64,
    batch_size=16,
    epochs=2.0,
    least_steps=700,
    most_steps=700,
    generator_steps=1,
    learning_rate=1e-3,
    average=0.99,
)


class LSGAN(KumarProvider):
    """Least-squares GAN: films without annotations."""

    name = "lsgan"
    produces = frozenset()
    sampling_parts = frozenset({"generator"})
    presets: ClassVar = {
        "quick": QUICK,
        "standard": STANDARD,
        "paper": replace(PAPER, moments=(0, 400, -1)),
    }  # figure 8
    reference_seconds: ClassVar = {"quick": 25.0}
    generator: nn.Module

    def build(self, films: DatasetInfo) -> Mapping[str, nn.Module]:
        generator, discriminator = make_networks(self.settings)
        return {"discriminator": discriminator, "generator": generator}

    def recipe(self, films: np.ndarray, train: Dataset) -> LSGANRecipe:
        return LSGANRecipe(films, self.settings)

    def draw(self, rng: torch.Generator) -> tuple[Tensor, None]:
        return draw_films(self.generator, self.settings, rng), None


class LSGAN224(LSGAN):
    """Least-squares GAN, fully convolutional at 224 pixels: films without annotations."""

    name = "lsgan_224"
    presets: ClassVar = {
        "quick": replace(QUICK, side=56, generator_maps=(64, 32, 16), discriminator_maps=(16, 32, 64), latent=32),
        "standard": replace(STANDARD, side=224),
        "paper": replace(PAPER, side=224, moments=(0, 400, -1)),
    }
    reference_seconds: ClassVar = {"quick": 18.0}
