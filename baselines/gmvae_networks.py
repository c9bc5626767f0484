"""The networks of Kumar and Triana Martinez' GMVAE: encoders VGG16 and DenseNet121, the transition net, the mixture
prior, and the decoders (their Tables 2 to 5 and section 4).

Tables 2 and 3 list biases of the decoders, the counts of Table 5 have none: `biases` is off, so that the counts are those
printed.

The prior is that of the course exercise they started from: a learned mixture of K diagonal Gaussians with even weights.
Not said in the paper: the head without a transition net (one dense layer on all features), how the latents become the
decoder's first map (one dense layer), the linear decoder (two hidden layers of 500, as in the exercise).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..benchmark.errors import InputError
from ..benchmark.training.weights import read_densenet, read_weights

EncoderName = Literal["vgg16", "densenet121"]
DecoderName = Literal["linear", "decoder1", "decoder2"]
Activation = Literal["relu", "elu"]

HALVINGS = 5  # of both encoders: 7 x 7 features of 224 pixels
DOUBLINGS = 4  # of the convolutional decoders: from 14 x 14 to 224
DECODER_MAPS: Mapping[str, tuple[int, ...]] = {"decoder1": (14, 6, 3, 3, 3), "decoder2": (128, 64, 32, 16, 3)}
VGG16_MAPS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)  # 0: halve the side
TRANSITION_MAPS = 300
HIDDEN = 500  # of the linear decoder
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def vgg16_features(width: float) -> nn.Sequential:
    """The convolutions of VGG16 (Simonyan and Zisserman 2015), its maps times `width`; names as in torchvision."""
    layers: list[nn.Module] = []
    before = 3
    for maps in VGG16_MAPS:
        if maps:
            after = round(maps * width)
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
            before = after
        else:
            layers.append(nn.MaxPool2d(2))
    features = nn.Sequential(*layers)
    for layer in features:
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return features


def densenet121_features(width: float) -> nn.Sequential:
    """The convolutions of DenseNet121 (Huang et al. 2017), its growth and first maps times `width`."""
    from torchvision.models import DenseNet

    network = DenseNet(round(32 * width), (6, 12, 24, 16), round(64 * width), num_classes=1)
    return nn.Sequential(network.features, nn.ReLU(inplace=True))


def feature_maps(name: EncoderName, width: float) -> int:
    """Maps that an encoder gives: 512 of VGG16, 1024 of DenseNet121, at their full width."""
    if name == "vgg16":
        return round(VGG16_MAPS[-2] * width)
    maps, growth = round(64 * width), round(32 * width)
    for layers in (6, 12, 24):
        maps = (maps + layers * growth) // 2
    return maps + 16 * growth


def load_features(features: nn.Module, path: Path, name: EncoderName) -> None:
    """Put torchvision's weights `features.*` into an encoder; InputError when they are of another network."""
    dense = name == "densenet121"
    given = read_densenet(path) if dense else read_weights(path)
    found = {key.removeprefix("features."): value for key, value in given.items()}
    features = features.get_submodule("0") if dense else features
    wanted = features.state_dict()
    wrong = [
        key
        for key, value in wanted.items()
        if not key.endswith("num_batches_tracked") and (key not in found or found[key].shape != value.shape)
    ]
    if wrong:
        raise InputError(
            f"weights={path}: expected torchvision's {name} (width=1), found no fitting '{wrong[0]}' "
            f"({len(wrong)} of {len(wanted)} tensors missing or of another shape)"
        )
    features.load_state_dict({key: found.get(key, value) for key, value in wanted.items()})


class Encoder(nn.Module):
    """Films (B, 3, side, side) to features (B, maps, side / 32, side / 32); with `frozen` nothing in it ever changes."""

    def __init__(self, name: EncoderName, width: float, *, frozen: bool) -> None:
        super().__init__()
        self.features = vgg16_features(width) if name == "vgg16" else densenet121_features(width)
        self.maps, self.frozen = feature_maps(name, width), frozen
        self.features.requires_grad_(not frozen)

    def train(self, mode: bool = True) -> Encoder:
        """A frozen encoder stays in evaluation mode: its batch statistics are weights too."""
        return super().train(mode and not self.frozen)

    def forward(self, films: Tensor) -> Tensor:
        return self.features(films)


class Transition(nn.Sequential):
    """The transition net (section 4): features (B, maps, n, n) to (B, outputs), the largest value of each of 300 maps."""

    def __init__(self, maps: int, side: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(maps, TRANSITION_MAPS, 1),
            nn.BatchNorm2d(TRANSITION_MAPS),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(side),
            nn.Flatten(),
            nn.Linear(TRANSITION_MAPS, outputs),
        )


def gaussian(codes: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """log N(codes; mean, variance) of diagonal Gaussians, summed over the last axis."""
    return -0.5 * (math.log(2 * math.pi) + variance.log() + (codes - mean).square() / variance).sum(-1)


def positive(raw: Tensor) -> Tensor:
    """Raw outputs as variances: softplus plus 1e-8."""
    return F.softplus(raw) + 1e-8


class MixturePrior(nn.Module):
    """K Gaussians of Z latents with even weights; one parameter (2K, Z) holds their means and raw variances."""

    def __init__(self, components: int, latent: int) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.randn(2 * components, latent) / math.sqrt(components * latent))

    def gaussians(self) -> tuple[Tensor, Tensor]:
        """Means and variances, each (K, Z)."""
        means, raw = self.raw.float().chunk(2)
        return means, positive(raw)

    def log_density(self, codes: Tensor) -> Tensor:
        """log p of codes (B, Z) as (B,)."""
        means, variances = self.gaussians()
        each = gaussian(codes[:, None], means, variances)
        return each.logsumexp(1) - math.log(len(means))

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        """Codes (count, Z); chance comes from a generator on the CPU."""
        means, variances = self.gaussians()
        which = torch.randint(len(means), (count,), generator=rng).to(means.device)
        noise = torch.randn((count, means.shape[1]), generator=rng).to(means.device)
        return means[which] + variances[which].sqrt() * noise


class Decoder(nn.Module):
    """Codes (B, inputs) to films (B, 3, side, side): of any range when normalised, else in [0, 1].

    `to_map` makes the first map of a code, `layers` the film of it.
    """

    def __init__(self, to_map: nn.Module, layers: nn.Module, *, normalise: bool) -> None:
        super().__init__()
        self.to_map, self.layers = to_map, layers
        self.last: nn.Module = nn.Identity() if normalise else nn.Sigmoid()

    def forward(self, codes: Tensor) -> Tensor:
        return self.last(self.layers(self.to_map(codes)))


def make_decoder(
    name: DecoderName,
    inputs: int,
    side: int,
    *,
    normalise: bool,
    activation: Activation = "relu",
    biases: bool = False,
) -> Decoder:
    """A decoder of that name. `activation` follows its convolutions but the last; the linear decoder has ELU, as in the
    exercise."""
    if name == "linear":
        layers: list[nn.Module] = [nn.Linear(inputs, HIDDEN), nn.ELU(), nn.Linear(HIDDEN, HIDDEN), nn.ELU()]
        layers += [nn.Linear(HIDDEN, 3 * side**2), nn.Unflatten(1, (3, side, side))]
        return Decoder(nn.Identity(), nn.Sequential(*layers), normalise=normalise)
    maps, first = DECODER_MAPS[name], side >> DOUBLINGS
    to_map = nn.Sequential(nn.Linear(inputs, maps[0] * first**2), nn.Unflatten(1, (maps[0], first, first)))
    layers = []
    for before, after in pairwise(maps):
        layers.append(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=biases))
        layers.append(nn.ReLU() if activation == "relu" else nn.ELU())
    return Decoder(to_map, nn.Sequential(*layers[:-1]), normalise=normalise)


def check_side(side: int) -> None:
    """InputError unless the encoder's features have at least one pixel and all halvings are whole."""
    if side < 2**HALVINGS or side % 2**HALVINGS:
        raise InputError(f"gmvae: expected a side that is a multiple of {2**HALVINGS}, found side={side}")


@torch.no_grad()
def dead_maps(decoder: Decoder, codes: Tensor) -> tuple[int, int]:
    """(dead, all) of the maps between the decoder's transposed convolutions: dead is a map that is one number in every film
    and pixel, whatever the code (B, inputs)."""
    counts = [0, 0]

    def count(_: nn.Module, __: object, maps: Tensor) -> None:
        if maps.dim() == 4:
            flat = maps.transpose(0, 1).flatten(1)
            counts[0] += int((flat.amax(1) == flat.amin(1)).sum())
            counts[1] += len(flat)

    hooks = [one.register_forward_hook(count) for one in decoder.layers.modules() if isinstance(one, (nn.ReLU, nn.ELU))]
    try:
        decoder(codes)
    finally:
        for hook in hooks:
            hook.remove()
    return counts[0], counts[1]


class Generative(nn.Module):
    """What sampling uses: the prior, the decoder, and the way back from normalised colours to grey films.

    The decoder of FS-GMVAE takes codes with label vectors appended.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, prior: MixturePrior, decoder: Decoder, *, normalise: bool) -> None:
        super().__init__()
        self.prior, self.decoder = prior, decoder
        self.register_buffer("mean", torch.tensor(MEAN if normalise else (0.0, 0.0, 0.0))[:, None, None])
        self.register_buffer("std", torch.tensor(STD if normalise else (1.0, 1.0, 1.0))[:, None, None])

    def colours(self, films: Tensor) -> Tensor:
        """Grey films (B, 1, side, side) in [0, 1] as the encoder and the decoder see them, (B, 3, side, side)."""
        return (films - self.mean) / self.std

    def decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """Codes (B, Z) and labels (B, F) to colours (B, 3, side, side)."""
        return self.decoder(codes if labels is None else torch.cat([codes, labels.to(codes)], dim=1))

    def films(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """Codes and labels to grey films (B, side, side) in [0, 1]."""
        return (self.decode(codes, labels).float() * self.std + self.mean).mean(1).clamp(0, 1)
