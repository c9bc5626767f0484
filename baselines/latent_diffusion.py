"""Latent diffusion, as the providers `ldm_masks` and `ldm_labels` share it: Rombach et al., "High-Resolution Image Synthesis
with Latent Diffusion Models" (CVPR 2022), sections 3.1 and 3.2 and appendix G.

An autoencoder learns to make films small and to make them again: L1, a weak pull of the latent towards N(0, 1) (KL), and
a discriminator of patches that learns against it. Its latents, divided by their one standard deviation, are what a
diffusion then learns: here the one of Karras et al. (`edm`), on MONAI's networks. MONAI is imported when a network is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from ..benchmark import digest
from ..benchmark.errors import InputError
from ..benchmark.progress import Progress
from ..benchmark.training.history import History
from ..benchmark.training.loop import seeded, train
from ..benchmark.training.recipe import RowNumbers, Step
from . import edm
from .diffusion_base import FilmBase
from .diffusion_provider import EDMSettings
from .diffusion_training import SHOWN, DiffusionRecipe, Process, as_values
from .diffusion_unet import FilmUNet, check_side
from .kumar_films import evaluating
from .pix2pixhd import PatchDiscriminator, Pix2PixHDSettings, VGGLoss
from .timeline import NO_TIMELINE, Along, BesideRecipe, Moments, Timeline, as_shown, shown_side

ENCODED = 32  # films that are encoded at once
MOST_WEIGHT = 1e4  # of the adversarial loss, where its gradient is small


@dataclass(frozen=True, kw_only=True)
class AutoencoderSettings(Moments):
    """Defaults are those of the authors' release: f = 4, a latent of 3 channels."""

    channels: tuple[int, ...] = (128, 256, 512)
    """Of each level; each but the last halves the side."""
    res_blocks: int = 2
    latent_channels: int = 3
    norm_groups: int = 32
    attention: bool = True
    """Self-attention at the lowest level."""
    fold: int = 1
    """Pixels of a side that become channels of one place before the first level; 1 does not fold."""
    steps: int = 200_000
    batch_size: int = 12
    learning_rate: float = 5.4e-5
    """The release's 4.5e-6 for each film of a batch."""
    decay: bool = False
    """Whether the rate falls along half a cosine to the end."""
    kl_weight: float = 1e-6
    adversarial_weight: float = 0.5
    adversarial_from: int = 50_000
    """Steps before the discriminator begins."""
    ndf: int = 64
    n_layers: int = 3
    vgg_weight: float = 1.0
    vgg_weights: Path | None = None
    """A local file of torchvision's VGG19 ImageNet weights (.pth or .safetensors); None leaves the perceptual loss out."""

    @property
    def factor(self) -> int:
        """f: how many times smaller the side of the latent is."""
        return self.fold << (len(self.channels) - 1)

    def weights_used(self) -> str:
        """Where weights of the losses come from, as records have it."""
        return "none" if self.vgg_weights is None else digest.of_file(self.vgg_weights.expanduser())

    def shorter(self, steps: int, side: int | None = None) -> Self:
        """At most that many steps, the same share of them against the discriminator; without pictures."""
        few = min(steps, self.steps)
        return replace(self, steps=few, adversarial_from=self.adversarial_from * few // self.steps, **NO_TIMELINE)

    def with_batch(self, size: int) -> Self:
        """Batches of that many films."""
        return replace(self, batch_size=size)


@dataclass(frozen=True, kw_only=True)
class LatentSettings:
    """An autoencoder, then a diffusion in its latent."""

    autoencoder: AutoencoderSettings = field(default_factory=AutoencoderSettings)
    diffusion: EDMSettings = field(default_factory=EDMSettings)

    def shorter(self, steps: int, side: int | None = None) -> Self:
        """Both trainings at most that many steps."""
        return replace(
            self, autoencoder=self.autoencoder.shorter(steps, side), diffusion=self.diffusion.shorter(steps, side)
        )

    def with_batch(self, size: int) -> Self:
        """Batches of that many films for both trainings."""
        return replace(self, autoencoder=self.autoencoder.with_batch(size), diffusion=self.diffusion.with_batch(size))


class Autoencoder(nn.Module):
    """Films (B, 1, H, W) in [-1, 1] to latents (B, C, H / f, W / f) and back. `centre` and `spread`: mean and standard
    deviation of all values of the training films' latents, which `encode` takes away and `decode` gives back."""

    centre: Tensor
    spread: Tensor

    def __init__(self, settings: AutoencoderSettings) -> None:
        super().__init__()
        from monai.networks.nets import AutoencoderKL

        self.fold = settings.fold
        area, levels = settings.fold**2, len(settings.channels)
        self.net: Any = AutoencoderKL(
            spatial_dims=2,
            in_channels=area,
            out_channels=area,
            channels=settings.channels,
            num_res_blocks=(settings.res_blocks,) * levels,
            attention_levels=(False,) * levels,
            latent_channels=settings.latent_channels,
            norm_num_groups=settings.norm_groups,
            with_encoder_nonlocal_attn=settings.attention,
            with_decoder_nonlocal_attn=settings.attention,
            use_flash_attention=True,  # the same attention, without a table of all pairs of places
        )
        self.register_buffer("centre", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def posterior(self, films: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the latents q(z | x), as the network has them."""
        mean, sigma = self.net.encode(F.pixel_unshuffle(films, self.fold))
        return mean, sigma

    def made(self, latents: Tensor) -> Tensor:
        """Films of latents as the network has them."""
        return F.pixel_shuffle(self.net.decode(latents), self.fold)

    def last_weight(self) -> Tensor:
        """The weights of the decoder's last convolution."""
        return [weight for weight in self.net.decoder.parameters() if weight.ndim == 4][-1]

    @torch.no_grad()
    def learn_scale(self, latents: Tensor) -> None:
        """From the latents of the training films as the network has them: afterwards they have unit variance."""
        self.centre.copy_(latents.mean())
        self.spread.copy_(latents.std(correction=0).clamp_min(1e-6))

    def encode(self, films: Tensor) -> Tensor:
        """Mean latents, of unit variance over the training films."""
        return (self.posterior(films)[0].float() - self.centre) / self.spread

    def decode(self, latents: Tensor) -> Tensor:
        """Films of latents of unit variance."""
        return self.made(latents * self.spread + self.centre).float()


def kl(mean: Tensor, sigma: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mean, sigma^2) from N(0, 1), summed over a film's latent (B, ...), mean of films."""
    mean, sigma = mean.float(), sigma.float()
    return 0.5 * (mean.square() + sigma.square() - 1 - 2 * sigma.log()).flatten(1).sum(1).mean()


def hinge(on_real: Tensor, on_made: Tensor) -> Tensor:
    """The discriminator's loss: half of mean max(0, 1 - D(x)) + mean max(0, 1 + D(made))."""
    return 0.5 * (F.relu(1 - on_real.float()).mean() + F.relu(1 + on_made.float()).mean())


def balance(reconstruction: Tensor, adversarial: Tensor, last: Tensor) -> Tensor:
    """Weight of the adversarial loss with which both losses pull the last weights of the decoder as hard (Esser et al. 2021,
    equation 7, which the paper's autoencoder is trained by)."""
    pulls = [torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in (reconstruction, adversarial)]
    return (pulls[0] / (pulls[1] + 1e-6)).clamp(0, MOST_WEIGHT).detach()


class AutoencoderRecipe(BesideRecipe):
    """Training of an autoencoder on films uint8 (N, 1, H, W) (equation 25 of appendix G)."""

    def __init__(
        self, autoencoder: Autoencoder, discriminator: nn.Module, films: Tensor, settings: AutoencoderSettings
    ) -> None:
        self.autoencoder, self.discriminator = autoencoder, discriminator
        self.films, self.settings = films, settings
        self.vgg = None if settings.vgg_weights is None else VGGLoss(settings.vgg_weights.expanduser())
        side = shown_side(films.shape[-1])
        self.timeline = Timeline(settings, steps=settings.steps, samples=len(films[:SHOWN]), side=side)

    def networks(self) -> Mapping[str, nn.Module]:
        return {"autoencoder": self.autoencoder, "discriminator": self.discriminator}

    def optimizers(self) -> Mapping[str, Optimizer]:
        rate = self.settings.learning_rate
        self.adam = Adam(self.autoencoder.parameters(), lr=rate, betas=(0.5, 0.9), fused=True)
        self.adam_d = Adam(self.discriminator.parameters(), lr=rate, betas=(0.5, 0.9), fused=True)
        if self.vgg is not None:
            self.vgg.to(self.autoencoder.centre.device)
        return {"autoencoder": self.adam, "discriminator": self.adam_d}

    def batch_size(self, images_seen: int) -> int:
        return self.settings.batch_size

    def begins(self, device: torch.device) -> None:
        self.films = self.films.to(device)
        self.timeline.after(0, self._shown)

    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        s = self.settings
        self.films = self.films.to(at.device)
        films = as_values(self.films[batch["rows"]])
        falling = (1 + math.cos(math.pi * at.index / s.steps)) / 2 if s.decay else 1.0
        for adam in (self.adam, self.adam_d):
            adam.param_groups[0]["lr"] = s.learning_rate * falling
        mean, sigma = self.autoencoder.posterior(films)
        made = self.autoencoder.made(mean + sigma * torch.randn_like(sigma))
        losses = {"reconstruction": F.l1_loss(made.float(), films)}
        if self.vgg is not None:
            losses["perceptual"] = s.vgg_weight * self.vgg(made, films)
        alike = torch.stack(list(losses.values())).sum()
        losses["kl"] = s.kl_weight * kl(mean, sigma) / films[0].numel()  # of a pixel, as the others
        losses |= {"adversarial": torch.zeros_like(alike), "discriminator": torch.zeros_like(alike)}
        against = s.adversarial_weight > 0 and at.index >= s.adversarial_from
        if against:
            self.discriminator.requires_grad_(False)
            fooled = -self.discriminator(made)[-1].float().mean()
            self.discriminator.requires_grad_(True)
            weight = balance(alike, fooled, self.autoencoder.last_weight())
            losses["adversarial"] = s.adversarial_weight * weight * fooled
        at.update(alike + losses["kl"] + losses["adversarial"], self.adam)
        if against:
            losses["discriminator"] = hinge(self.discriminator(films)[-1], self.discriminator(made.detach())[-1])
            at.update(losses["discriminator"], self.adam_d)
        self.timeline.after(at.index + 1, self._shown)
        return losses

    def _shown(self) -> Tensor:
        """The first films, as they are made again."""
        with evaluating([self.autoencoder]):
            films = self.autoencoder.made(self.autoencoder.posterior(as_values(self.films[:SHOWN]))[0])
        return as_shown(films, shown_side(films.shape[-1]))


class LatentRecipe(DiffusionRecipe):
    """Training of a denoiser on latents, whose timeline shows films."""

    def __init__(self, autoencoder: Autoencoder, denoiser: nn.Module, *args: Any, side: int, **known: Any) -> None:
        super().__init__(denoiser, *args, **known)
        self.autoencoder = autoencoder
        self.timeline = Timeline(self.settings, steps=self.settings.steps, samples=SHOWN, side=shown_side(side))

    def _shown(self) -> Tensor:
        device = self.autoencoder.centre.device
        known = {} if self.known is None else self.known(torch.arange(SHOWN, device=device) % len(self.films))
        with evaluating([self.average]):
            films = self.autoencoder.decode(self.process.draw(self.average, self.start.to(device), known))
        return as_shown(films, shown_side(films.shape[-1]))


def check_sides(settings: LatentSettings, side: int) -> None:
    """InputError where autoencoder or denoiser do not divide the side of the films."""
    factor = settings.autoencoder.factor
    if side % factor:
        raise InputError(
            f"an autoencoder of factor {factor} needs a side that is a multiple of it, found {side}: change the "
            "resolution, autoencoder.channels or autoencoder.fold"
        )
    check_side(settings.diffusion.unet, side // factor)


def make_networks(settings: LatentSettings, side: int, *, beside: int = 0, labels: int = 0) -> dict[str, nn.Module]:
    """All networks, as trainings start. `beside`: channels that are known of a latent; `labels`: values of a film."""
    a, d = settings.autoencoder, settings.diffusion
    channels, small = a.latent_channels, side // a.factor
    known = beside + (channels if d.components else 0)
    return {
        "autoencoder": Autoencoder(a),
        "discriminator": PatchDiscriminator(1, Pix2PixHDSettings(ndf=a.ndf, n_layers=a.n_layers)),
        "denoiser": FilmUNet(d.unet, channels, small, beside=known, labels=labels),
        "base": FilmBase(channels, small, d.components),
    }


def latent_base(base: FilmBase, latents: Tensor) -> FilmBase:
    """The base of a diffusion on latents of unit variance: as they are but for sigma_data, which is not 1; with components
    also what is learnt of them."""
    if base.components:
        base.learn(latents)
    else:
        base.spread.fill_(1 / edm.SIGMA_DATA)
    return base


@dataclass
class LatentFilms:
    """Films by diffusion in a latent, fitted."""

    autoencoder: Autoencoder
    denoiser: nn.Module
    base: FilmBase

    def networks(self) -> dict[str, nn.Module]:
        """By their names in `make_networks`."""
        return {"autoencoder": self.autoencoder, "denoiser": self.denoiser, "base": self.base}

    def start(self, count: int, rng: torch.Generator) -> Tensor:
        """Noise of N(0, 1) for so many latents, on the device of the networks."""
        return torch.randn((count, *self.base.mean.shape), generator=rng).to(self.base.mean.device)

    @torch.no_grad()
    def draw(self, process: Process, start: Tensor, known: Mapping[str, Tensor], steps: int | None = None) -> Tensor:
        """Films (B, 1, H, W) in about [-1, 1] from noise."""
        return self.autoencoder.decode(process.draw(self.denoiser, start, known, steps))


@dataclass
class Fitting:
    """What both trainings of a provider have in common."""

    settings: LatentSettings
    seed: int
    device: str
    checkpoints: Path | None

    def seed_of(self, *names: str) -> int:
        """A seed for one purpose."""
        return digest.derive_seed("latent", *names, self.seed)

    def _train(self, name: str, recipe: Any, steps: int, progress: Progress) -> History:
        return train(
            recipe,
            RowNumbers(len(recipe.films)),
            steps=steps,
            seed=self.seed_of(name),
            device=self.device,
            progress=progress,
            checkpoints=None if self.checkpoints is None else self.checkpoints / name,
            name=name,
        )

    def autoencoder(self, built: Mapping[str, nn.Module], films: Tensor, progress: Progress) -> tuple[History, Along]:
        """Train the autoencoder on films uint8 (N, 1, H, W), and learn the scale of its latent."""
        made: Any = built["autoencoder"]
        recipe = AutoencoderRecipe(made, built["discriminator"], films, self.settings.autoencoder)
        history = self._train("autoencoder", recipe, self.settings.autoencoder.steps, progress)
        made.learn_scale(encoded(made, films))
        return history, recipe.timeline.until(history.steps)

    def denoiser(
        self,
        built: Mapping[str, nn.Module],
        films: Tensor,
        process: Callable[[FilmBase], Process],
        known: Callable[[Tensor], Mapping[str, Tensor]],
        progress: Progress,
    ) -> tuple[LatentFilms, History, Along]:
        """Train the denoiser on the latents of films, by a process on their base; `known` of rows of films."""
        made: Any = built["autoencoder"]
        latents = encoded(made, films)
        base: Any = built["base"]
        base = latent_base(base.to(self.device), latents)
        with seeded(self.seed_of("shown")):
            side = films.shape[-1]
            recipe = LatentRecipe(
                made, built["denoiser"], process(base), latents, self.settings.diffusion, known=known, side=side
            )
        history = self._train("films", recipe, self.settings.diffusion.steps, progress)
        fitted = LatentFilms(made, recipe.average.eval(), base.eval())
        return fitted, history, recipe.timeline.until(history.steps)


@torch.no_grad()
def encoded(autoencoder: Autoencoder, films: Tensor) -> Tensor:
    """Latents (N, C, h, w) of films uint8 (N, 1, H, W), on the autoencoder's device."""
    device = autoencoder.centre.device
    with evaluating([autoencoder]):
        return torch.cat([autoencoder.encode(as_values(part.to(device))) for part in films.split(ENCODED)])
