"""VAE of Kumar and Triana Martinez: a VGG-like encoder, 1,024 latents, a transposed-convolution decoder, beta-ELBO.

The printed parameter counts fix the networks: five stages of two convolutions with biases (32 to 512 maps) on 128
pixels (not the 224 of the text), two heads of 8192 -> 1024, and a decoder with batch normalisation on its inner layers.
The printed total counts both heads, the printed row "Mean and Logvar" one of them. The counts do not tell the encoder's
biases from one batch normalisation a stage: biases, as in the VGG16 that the paper names. Nor do they tell the decoder's
last function: a sigmoid, for films in [0, 1].
The paper does not say how the squared error is reduced. Averaged over pixels (`recon_reduction="mean"`, preset `paper`)
the divergence outweighs it and the latents carry nothing, which fits what the authors report; summed, as the likelihood
says (`quick` and `standard`), it learns films. Weights start as VGG's (Kaiming normal), since ten convolutions without
normalisation lose the film under PyTorch's default. `prior` takes others than the paper's (`priors`).
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

from ..benchmark.data.dataset import Dataset, DatasetInfo
from ..benchmark.errors import InputError
from ..benchmark.settings import added
from ..benchmark.training.recipe import Step
from .kumar_films import SAMPLING_BATCH, KumarProvider, KumarRecipe, Schedule
from .priors import Prior, PriorName, make_prior

Reduction = Literal["mean", "sum"]


@dataclass(frozen=True)
class VAESettings(Schedule):
    """The paper's settings. Maps are listed from input to output; each is one halving or doubling of the side."""

    encoder_maps: tuple[int, ...] = (32, 64, 128, 256, 512)
    decoder_maps: tuple[int, ...] = (512, 256, 128, 64, 32)
    latent: int = 1024
    beta: float = 0.1
    """Weight of the divergence; the paper tries 1, 0.1 and 0.002 and shows samples of 0.1."""
    recon_reduction: Reduction = "mean"
    """The squared error of a film: averaged over its pixels or summed."""
    kl_reduction: Reduction = "sum"
    """The divergence of a film: summed over latents or averaged over them too."""
    learning_rate: float = 1e-4
    prior: PriorName = added("normal")  # noqa: RUF009  # a field
    """Of the latents, with the posterior that goes with it."""
    components: int = added(50)
    """Gaussians of the prior `mixture`."""
    concentration: float = added(1.0)
    """Of every latent of the prior `dirichlet`; 1 makes all points of the simplex alike, less its corners likelier."""


def reconstruction_loss(made: Tensor, films: Tensor, reduction: Reduction) -> Tensor:
    """Squared error of films (B, ...), averaged over the batch, and over a film's pixels or summed over them."""
    error = (made.float() - films).square().flatten(1)
    return (error.mean(1) if reduction == "mean" else error.sum(1)).mean()


def divergence(nats: Tensor, latents: int, reduction: Reduction) -> Tensor:
    """The divergence of posteriors (B,), summed over their latents, averaged over the batch (and over latents too)."""
    return (nats / latents if reduction == "mean" else nats).mean()


def first_side(side: int, levels: int) -> int:
    """Side of the smallest map; InputError when the side cannot be halved so often."""
    if side % 2**levels or side < 2**levels:
        raise InputError(
            f"vae with {levels} levels halves films {levels} times: expected a side that is a multiple of {2**levels}, "
            f"found side={side}: change side, encoder_maps or decoder_maps"
        )
    return side // 2**levels


class Encoder(nn.Sequential):
    """Films (B, 1, side, side) to features (B, maps x side^2 / 4^levels)."""

    def __init__(self, maps: Sequence[int]) -> None:
        layers: list[nn.Module] = []
        for before, after in pairwise((1, *maps)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
            layers += [nn.Conv2d(after, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        super().__init__(*layers, nn.Flatten())
        for layer in self:
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)


class Decoder(nn.Sequential):
    """Latents (B, latent) to films (B, 1, side, side) in [0, 1]."""

    def __init__(self, side: int, latent: int, maps: Sequence[int]) -> None:
        first = first_side(side, len(maps))
        layers: list[nn.Module] = [nn.Linear(latent, maps[0] * first**2), nn.Unflatten(1, (maps[0], first, first))]
        for before, after in pairwise(maps):
            layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        super().__init__(*layers, nn.ConvTranspose2d(maps[-1], 1, 4, stride=2, padding=1), nn.Sigmoid())


class Heads(nn.Module):
    """Features (B, features) to what a posterior is made of, each (B, latent): mean and log variance (of a Cauchy: place and
    log scale), or with one output raw concentrations."""

    def __init__(self, features: int, latent: int, outputs: int = 2) -> None:
        super().__init__()
        self.mean = nn.Linear(features, latent)
        self.log_variance = nn.Linear(features, latent) if outputs == 2 else None

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        first = self.mean(features).float()
        return (first,) if self.log_variance is None else (first, self.log_variance(features).float())


def prior_of(settings: VAESettings) -> Prior:
    """The prior of the settings, as a training starts."""
    s = settings
    return make_prior(s.prior, s.latent, components=s.components, concentration=s.concentration)


def make_networks(settings: VAESettings) -> tuple[Encoder, Heads, Decoder, Prior]:
    """The networks of the settings, as a training starts; of the priors the mixture alone has weights."""
    maps, prior = settings.encoder_maps, prior_of(settings)
    features = maps[-1] * first_side(settings.side, len(maps)) ** 2
    encoder, heads = Encoder(maps), Heads(features, settings.latent, prior.outputs)
    return encoder, heads, Decoder(settings.side, settings.latent, settings.decoder_maps), prior


def learnt(prior: Prior) -> dict[str, nn.Module]:
    """The prior among networks, where it has weights."""
    return {"prior": prior} if any(True for _ in prior.parameters()) else {}


def draw_films(decoder: nn.Module, prior: Prior, rng: torch.Generator) -> Tensor:
    """SAMPLING_BATCH films (B, side, side) in [0, 1] of latents from the prior."""
    codes = prior.draw(SAMPLING_BATCH, rng)
    return decoder(codes.to(next(decoder.parameters()).device))[:, 0]


class VAERecipe(KumarRecipe):
    """The beta-ELBO with one draw of the latents per film."""

    def __init__(self, films: np.ndarray, settings: VAESettings) -> None:
        super().__init__(films, settings)
        self.settings = settings
        self.encoder, self.heads, self.decoder, self.prior = make_networks(settings)

    def networks(self) -> Mapping[str, nn.Module]:
        networks = {"encoder": self.encoder, "heads": self.heads, "decoder": self.decoder, "timeline": self.timeline}
        return networks | learnt(self.prior)

    def drawn_from(self) -> Mapping[str, nn.Module]:
        return {"decoder": self.decoder, **learnt(self.prior)}

    def samples(self, rng: torch.Generator) -> Tensor:
        return draw_films(self.decoder, self.prior, rng)

    def optimizers(self) -> Mapping[str, Optimizer]:
        weights = [weight for network in self.networks().values() for weight in network.parameters()]
        self.adam = Adam(weights, lr=self.settings.learning_rate, fused=True)
        return {"adam": self.adam}

    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        films = self.real(batch["rows"], at.device)
        raw = self.heads(self.encoder(films))
        with torch.autocast(at.device.type, enabled=False):
            codes = self.prior.codes(*raw)
            nats = self.prior.nats(codes, *raw)
        error = reconstruction_loss(self.decoder(codes), films, self.settings.recon_reduction)
        kl = divergence(nats, self.settings.latent, self.settings.kl_reduction)
        at.update(error + self.settings.beta * kl, self.adam)
        self.show(at)
        return {"reconstruction": error, "divergence": kl}


PAPER = VAESettings()
# Sized for half a minute of one core. Sums over pixels grow with the side, so beta grows with them: with less, latents
# between those of the films decode to no film.
QUICK = VAESettings(
    side=64,
    equalise=False,
    encoder_maps=(8, 16, 32, 64),
    decoder_maps=(128, 64, 32, 16),
    latent=16,
    beta=2.0,
    recon_reduction="sum",
    batch_size=16,
    epochs=3.0,
    least_steps=500,
    most_steps=600,
    learning_rate=1e-3,
)


class VAE(KumarProvider):
    """Variational autoencoder: films without annotations."""

    name = "vae"
    produces = frozenset()
    sampling_parts = frozenset({"decoder", "prior"})
    presets: ClassVar = {
        "quick": QUICK,
        "standard": replace(
            PAPER, equalise=False, beta=4.0, recon_reduction="sum", epochs=10.0, least_steps=4_000, most_steps=15_000
        ),
        "paper": replace(PAPER, moments=(0, 100, 250, -1)),  # figure 6, and the end
    }
    reference_seconds: ClassVar = {"quick": 18.0}
    decoder: nn.Module
    prior: Prior
    """Of a fit with one that is learnt."""

    def build(self, films: DatasetInfo) -> Mapping[str, nn.Module]:
        encoder, heads, decoder, prior = make_networks(self.settings)
        return {"encoder": encoder, "mean and logvar heads": heads, "decoder": decoder, **learnt(prior)}

    def recipe(self, films: np.ndarray, train: Dataset) -> VAERecipe:
        return VAERecipe(films, self.settings)

    def draw(self, rng: torch.Generator) -> tuple[Tensor, None]:
        prior: Prior = getattr(self, "prior", None) or prior_of(self.settings)
        return draw_films(self.decoder, prior, rng), None
