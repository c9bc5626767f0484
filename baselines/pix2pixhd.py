"""Pix2PixHD (Wang et al., CVPR 2018): a label map to a film, or a map of dots to a label map, as in Ciano et al. (2021).

The global generator, a PatchGAN at two scales, least-squares and feature-matching losses, and a VGG19 loss where local
ImageNet weights are given. Shapes follow the authors' release: instance normalisation without weights, no dropout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from ..benchmark.data.film_rows import Films
from ..benchmark.errors import InputError
from ..benchmark.progress import Progress
from ..benchmark.settings import added
from ..benchmark.training.history import History
from ..benchmark.training.loop import seeded, train
from ..benchmark.training.recipe import Step
from ..benchmark.training.weights import read_weights
from .timeline import NO_TIMELINE, Along, BesideRecipe, Moments, Timeline, as_shown, shown_side

SHOWN = 6  # maps whose translations are kept along the training


@dataclass(frozen=True)
class Pix2PixHDSettings(Moments):
    """Defaults are the paper's: the release's networks, batch 1, 100 epochs and 100 more with a falling rate."""

    ngf: int = 64
    n_downsample: int = 4
    n_blocks: int = 9
    ndf: int = 64
    n_layers: int = 3
    num_d: int = 2
    batch_size: int = 1
    epochs: int = 100
    decay_epochs: int = 100
    steps: int | None = None
    """Steps in all, split like the epochs; None trains for the epochs."""
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    feature_weight: float = 10.0
    vgg_weight: float = 10.0
    vgg_weights: Path | None = None
    """A local file of torchvision's VGG19 ImageNet weights (.pth or .safetensors); None leaves the VGG loss out."""
    timeline: int = added(8)

    def shorter(self, steps: int, side: int | None = None) -> Self:
        """At most that many steps, without a timeline."""
        return replace(self, steps=min(steps, self.steps or steps), **NO_TIMELINE)

    def with_batch(self, size: int) -> Self:
        """Batches of that many pairs."""
        return replace(self, batch_size=size)


def norm(channels: int) -> nn.Module:
    """Instance normalisation without weights."""
    return nn.InstanceNorm2d(channels, affine=False)


class ResidualBlock(nn.Module):
    """Two reflect-padded 3 x 3 convolutions around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), norm(channels), nn.ReLU(inplace=True)),
            *(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), norm(channels)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class GlobalGenerator(nn.Sequential):
    """One-hot maps (N, inputs, H, W) to images (N, outputs, H, W) in [-1, 1]."""

    def __init__(self, inputs: int, outputs: int, settings: Pix2PixHDSettings) -> None:
        width = settings.ngf
        layers = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, width, 7), norm(width), nn.ReLU(inplace=True)]
        for _ in range(settings.n_downsample):
            layers += [nn.Conv2d(width, 2 * width, 3, 2, 1), norm(2 * width), nn.ReLU(inplace=True)]
            width *= 2
        layers += [ResidualBlock(width) for _ in range(settings.n_blocks)]
        for _ in range(settings.n_downsample):
            up = nn.ConvTranspose2d(width, width // 2, 3, 2, 1, output_padding=1)
            layers += [up, norm(width // 2), nn.ReLU(inplace=True)]
            width //= 2
        super().__init__(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, outputs, 7), nn.Tanh())
        self.inputs = inputs


class PatchDiscriminator(nn.Module):
    """PatchGAN: the feature maps of every layer, the last one the map of scores."""

    def __init__(self, inputs: int, settings: Pix2PixHDSettings) -> None:
        super().__init__()
        widths = [min(settings.ndf << layer, 512) for layer in range(settings.n_layers + 1)]

        def layer(before: int, after: int, stride: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(before, after, 4, stride, 2), norm(after), nn.LeakyReLU(0.2, inplace=True))

        self.layers = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(inputs, widths[0], 4, 2, 2), nn.LeakyReLU(0.2, inplace=True)),
                *(layer(widths[i], widths[i + 1], 2) for i in range(settings.n_layers - 1)),
                layer(widths[-2], widths[-1], 1),
                nn.Conv2d(widths[-1], 1, 4, 1, 2),
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return features


class MultiscaleDiscriminator(nn.Module):
    """The same PatchGAN at `num_d` scales, each seeing half the side of the one before."""

    def __init__(self, inputs: int, settings: Pix2PixHDSettings) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(inputs, settings) for _ in range(settings.num_d))

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        features = []
        for index, scale in enumerate(self.scales):
            if index:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            features.append(scale(x))
        return features


class VGGLoss(nn.Module):
    """L1 distance between five feature levels of VGG19, weighted 1/32 to 1 (section 3.3 and the release)."""

    WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
    ENDS = (2, 7, 12, 21, 30)  # after relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 of torchvision's features

    def __init__(self, weights: Path) -> None:
        super().__init__()
        from torchvision.models import vgg19

        with torch.device("meta"):
            features = vgg19(weights=None).features[: self.ENDS[-1]]
        try:
            features.load_state_dict(_vgg_features(weights, features.state_dict()), assign=True)
        except RuntimeError:
            raise InputError(f"{weights}: expected torchvision's VGG19 weights, found other layer shapes") from None
        starts = (0, *self.ENDS)
        self.slices = nn.ModuleList(features[start:end] for start, end in zip(starts, self.ENDS, strict=False))
        self.requires_grad_(False)

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        x, y = fake.expand(-1, 3, -1, -1), real.expand(-1, 3, -1, -1)
        loss = fake.new_zeros(())
        for weight, part in zip(self.WEIGHTS, self.slices, strict=True):
            x, y = part(x), part(y)
            loss = loss + weight * F.l1_loss(x, y.detach())
        return loss


def _vgg_features(path: Path, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The convolutions of a VGG19 weight file; InputError when it is absent or something else. Reads tensors alone."""
    try:
        found = read_weights(path)
    except InputError as error:
        raise InputError(f"{error}; vgg_weights expects torchvision's VGG19 weights") from None
    missing = [name for name in wanted if f"features.{name}" not in found]
    if missing:
        raise InputError(f"weights {path}: 'features.{missing[0]}' is missing; expected torchvision's VGG19 weights")
    return {name: found[f"features.{name}"] for name in wanted}


def lsgan_loss(features: Sequence[Sequence[Tensor]], target: float) -> Tensor:
    """Mean squared distance of the scores from `target`, summed over scales."""
    return torch.stack([(scale[-1].float() - target).square().mean() for scale in features]).sum()


def feature_matching(
    fake: Sequence[Sequence[Tensor]], real: Sequence[Sequence[Tensor]], settings: Pix2PixHDSettings
) -> Tensor:
    """L1 distance of all feature maps before the scores, times weight x 4 / (n_layers + 1) / num_D."""
    weight = settings.feature_weight * 4 / (settings.n_layers + 1) / settings.num_d
    distances = [
        F.l1_loss(x, y.detach())
        for fakes, reals in zip(fake, real, strict=True)
        for x, y in zip(fakes[:-1], reals[:-1], strict=True)
    ]
    return weight * torch.stack(distances).sum()


def initialise(network: nn.Module) -> None:
    """Convolution weights N(0, 0.02), biases as torch draws them (the release leaves them so)."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(layer.weight, 0.0, 0.02)


def make_networks(
    classes: int, channels: int, settings: Pix2PixHDSettings
) -> tuple[GlobalGenerator, MultiscaleDiscriminator]:
    """The networks for maps of `classes` classes and images of `channels` channels, as a training starts."""
    generator = GlobalGenerator(classes, channels, settings)
    discriminator = MultiscaleDiscriminator(classes + channels, settings)
    initialise(generator)
    initialise(discriminator)
    return generator, discriminator


def one_hot(codes: Tensor, classes: int) -> Tensor:
    """Class numbers uint8 (N, H, W) to float (N, classes, H, W)."""
    return F.one_hot(codes.long(), classes).movedim(-1, 1).float()


class Pairs:
    """Training source: class maps uint8 (N, H, W) and the images uint8 (N, H, W) they belong to."""

    channels = 1

    def __init__(self, codes: np.ndarray, images: Films) -> None:
        self.codes, self.images = codes, images

    def __len__(self) -> int:
        return len(self.codes)

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """Class numbers (B, H, W) and images (B, 1, H, W) in [-1, 1]."""
        images = torch.from_numpy(self.images[rows]).float()[:, None] / 127.5 - 1
        return {"codes": torch.from_numpy(self.codes[rows]), "images": images}


def _spread(codes: np.ndarray) -> np.ndarray:
    """A few of the class maps, evenly spread."""
    return codes[np.unique(np.linspace(0, len(codes) - 1, SHOWN).round().astype(int))]


class ClassPairs(Pairs):
    """Training source whose images are class maps uint8 (N, H, W) too: one channel in [-1, 1] per class."""

    def __init__(self, codes: np.ndarray, images: np.ndarray, channels: int) -> None:
        super().__init__(codes, images)
        self.channels = channels

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """Class numbers (B, H, W) and one-hot maps (B, channels, H, W), -1 and 1."""
        images = 2 * one_hot(torch.from_numpy(self.images[rows]), self.channels) - 1
        return {"codes": torch.from_numpy(self.codes[rows]), "images": images}


class Pix2PixHDRecipe(BesideRecipe):
    """Training of the translation from one-hot maps of `classes` classes to images, on `count` pairs. `shown`: the maps,
    uint8 (S, H, W), whose translations the timeline keeps."""

    def __init__(
        self, count: int, classes: int, settings: Pix2PixHDSettings, channels: int = 1, shown: np.ndarray | None = None
    ) -> None:
        self.settings, self.classes = settings, classes
        self.generator, self.discriminator = make_networks(classes, channels, settings)
        self.vgg = None if settings.vgg_weights is None else VGGLoss(settings.vgg_weights.expanduser())
        epochs = settings.epochs + settings.decay_epochs
        self.steps = settings.steps or epochs * math.ceil(count / settings.batch_size)
        self.constant_steps = self.steps * settings.epochs // epochs
        self.shown = np.zeros((0, 1, 1), np.uint8) if shown is None else shown
        moments = settings if len(self.shown) else replace(settings, **NO_TIMELINE)
        side = shown_side(self.shown.shape[-1])
        self.timeline = Timeline(moments, steps=self.steps, samples=len(self.shown), side=side)

    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    def optimizers(self) -> Mapping[str, Optimizer]:
        rate, betas = self.settings.learning_rate, self.settings.betas
        self.adam_g = Adam(self.generator.parameters(), lr=rate, betas=betas, fused=True)
        self.adam_d = Adam(self.discriminator.parameters(), lr=rate, betas=betas, fused=True)
        if self.vgg is not None:
            self.vgg.to(next(self.generator.parameters()).device)
        return {"generator": self.adam_g, "discriminator": self.adam_d}

    def batch_size(self, images_seen: int) -> int:
        return self.settings.batch_size

    def rate(self, step: int) -> float:
        """The learning rate: constant, then falling linearly to zero."""
        falling = max(0, step - self.constant_steps) / max(1, self.steps - self.constant_steps)
        return self.settings.learning_rate * (1 - falling)

    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        for optimizer in (self.adam_g, self.adam_d):
            optimizer.param_groups[0]["lr"] = self.rate(at.index)
        labels, real = one_hot(batch["codes"], self.classes), batch["images"]
        fake = self.generator(labels)
        real_features = self.discriminator(torch.cat([labels, real], dim=1))
        d_fake = lsgan_loss(self.discriminator(torch.cat([labels, fake.detach()], dim=1)), 0.0)
        d_loss = 0.5 * (lsgan_loss(real_features, 1.0) + d_fake)
        self.discriminator.requires_grad_(False)  # the generator's loss needs no gradient of these weights
        fake_features = self.discriminator(torch.cat([labels, fake], dim=1))
        self.discriminator.requires_grad_(True)
        g_losses = {
            "adversarial": lsgan_loss(fake_features, 1.0),
            "features": feature_matching(fake_features, real_features, self.settings),
        }
        if self.vgg is not None:
            g_losses["vgg"] = self.settings.vgg_weight * self.vgg(fake, real)
        at.update(torch.stack(list(g_losses.values())).sum(), self.adam_g)
        at.update(d_loss, self.adam_d)
        self.timeline.after(at.index + 1, self._shown)
        return {**g_losses, "discriminator": d_loss}

    def begins(self, device: torch.device) -> None:
        self.timeline.after(0, self._shown)

    def _shown(self) -> Tensor:
        """What the generator makes of the shown maps, one after the other; of several channels the codes of the largest."""
        made = [translate(self.generator, self.shown[[row]]) for row in range(len(self.shown))]
        films = torch.cat(made).float()
        if films.shape[1] > 1:
            films = films.argmax(1, keepdim=True).float() * 2 / (films.shape[1] - 1) - 1
        return as_shown(films, shown_side(films.shape[-1]))


def translate(generator: GlobalGenerator, codes: np.ndarray) -> Tensor:
    """Class maps uint8 (N, H, W) to images (N, channels, H, W) in [-1, 1], on the generator's device."""
    device = next(generator.parameters()).device
    images: Tensor = generator(one_hot(torch.from_numpy(codes).to(device), generator.inputs))
    return images


class Pix2PixHD:
    """A fitted translation of class maps to images, used where it is."""

    def __init__(self, generator: GlobalGenerator) -> None:
        self.generator = generator.eval()

    @classmethod
    def fit(
        cls,
        source: Pairs,
        classes: int,
        settings: Pix2PixHDSettings,
        *,
        seed: int,
        device: str,
        progress: Progress,
        checkpoints: Path | None = None,
        name: str = "",
    ) -> tuple[Pix2PixHD, History, Along]:
        """Learn pairs of class maps (0 to classes - 1) and images; the fitted generator, its training curve, and its samples
        along the training."""
        side, step = source.codes.shape[-1], 1 << settings.n_downsample
        if side % step:
            raise InputError(
                f"Pix2PixHD with n_downsample={settings.n_downsample} needs a side that is a multiple of {step}, "
                f"found {side}: resize the dataset"
            )
        with seeded(seed):
            recipe = Pix2PixHDRecipe(len(source), classes, settings, source.channels, _spread(source.codes))
        history = train(
            recipe,
            source,
            steps=recipe.steps,
            seed=seed,
            device=device,
            progress=progress,
            checkpoints=checkpoints,
            name=name,
        )
        return cls(recipe.generator), history, recipe.timeline.until(history.steps)

    @torch.no_grad()
    def translate(self, codes: np.ndarray) -> np.ndarray:
        """Class maps uint8 (N, H, W) to images float32 (N, channels, H, W) in [-1, 1]."""
        return translate(self.generator, codes).float().cpu().numpy()
