"""What looks at the film in Faster R-CNN: a residual network with a feature pyramid, or the paper's Inception-ResNet-v2.

Films have one channel. From scratch the ResNets have group normalisation, because batches of two films are too small for
batch statistics (He, Girshick and Dollar 2019, Rethinking ImageNet Pre-training); with weights their batch normalisation
is frozen, as in the configuration that the paper's learning rate comes from. Inception-ResNet-v2 has no other norm: from
scratch it takes the statistics of its batches. Nothing is downloaded.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
from timm.layers import freeze_batch_norm_2d
from torch import Tensor, nn
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d

from ...benchmark.errors import InputError
from ...benchmark.training.weights import read_weights
from .detector_settings import DetectorSettings
from .encoders import check_encoder, encoder_options, scaled

PYRAMID, HEAD = 256, 1024  # channels of torchvision's feature pyramid, width of the box head behind it
LIGHT_PYRAMID, LIGHT_HEAD = 128, 512  # those of a timm ResNet with width 1
GROUPS = 8
IMAGENET = ((0.449,), (0.226,))  # mean and spread of ImageNet in grey
UNIT = ((0.5,), (0.5,))  # films to [-1, 1]


@dataclass(frozen=True)
class Parts:
    """trunk: films to maps by name, with `out_channels`. maps: names of those that boxes are cut from. anchors: sides of
    the anchors of each map that proposals come from, as shares of the film. head: cut boxes, `crop` pixels a side, to
    `features` numbers. scale: (mean, spread) of films in [0, 1]."""

    trunk: nn.Module
    maps: tuple[str, ...]
    anchors: tuple[tuple[float, ...], ...]
    crop: int
    head: nn.Module
    features: int
    scale: tuple[tuple[float, ...], tuple[float, ...]]


def build_parts(settings: DetectorSettings) -> Parts:
    """The parts that `settings.backbone` names, with random weights. InputError for an unknown name."""
    name = settings.backbone
    if name == "inception_resnet_v2":
        return _inception(settings)
    if name == "resnet50_fpn" and settings.width == 1:
        return _resnet50(settings)
    if not name.endswith("_fpn"):
        raise InputError(
            f"backbone '{name}': expected resnet50_fpn, inception_resnet_v2, or a ResNet of timm with _fpn behind its "
            "name, for example resnet18_fpn"
        )
    return _timm_pyramid(settings)


# ---------------------------------------------------------------------- ResNets with a feature pyramid


def _grouped(channels: int, **place: Any) -> nn.Module:
    return nn.GroupNorm(math.gcd(GROUPS, channels), channels, **place)


def _resnet50(settings: DetectorSettings) -> Parts:
    """torchvision's backbone of `fasterrcnn_resnet50_fpn`, so that its weights fit."""
    norm: Callable[..., nn.Module] = _grouped if settings.weights is None else FrozenBatchNorm2d
    trunk = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=norm, trainable_layers=5)
    trunk.body.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(trunk.body.conv1.weight, mode="fan_out", nonlinearity="relu")
    anchors = tuple((share,) for share in (0.04, 0.08, 0.16, 0.32, 0.64))  # torchvision's 32 to 512 of 800 pixels
    return Parts(trunk, ("0", "1", "2", "3"), anchors, 7, TwoMLPHead(PYRAMID * 49, HEAD), HEAD, IMAGENET)


class TimmPyramid(nn.Module):
    """Films (B, 1, S, S) to maps of one width at strides 8, 16 and 32."""

    def __init__(self, name: str, width: float, norm: Callable[..., nn.Module] | None) -> None:
        super().__init__()
        check_encoder(name)
        options: dict[str, Any] = {} if norm is None else {"norm_layer": norm}
        body: Any = timm.create_model(
            name,
            pretrained=False,
            in_chans=1,
            features_only=True,
            out_indices=(2, 3, 4),
            **options,
            **encoder_options(width),
        )
        self.out_channels = scaled(LIGHT_PYRAMID, width)
        self.body: nn.Module = body
        self.fpn = FeaturePyramidNetwork(body.feature_info.channels(), self.out_channels)

    def forward(self, films: Tensor) -> dict[str, Tensor]:
        return self.fpn(OrderedDict((str(level), maps) for level, maps in enumerate(self.body(films))))


def _timm_pyramid(settings: DetectorSettings) -> Parts:
    norm = _grouped if settings.weights is None else None
    trunk = TimmPyramid(settings.backbone.removesuffix("_fpn"), settings.width, norm)
    if settings.weights is not None:
        trunk = freeze_batch_norm_2d(trunk)
    anchors = ((0.08, 0.12), (0.18, 0.26), (0.38, 0.55))
    features = scaled(LIGHT_HEAD, settings.width)
    return Parts(trunk, ("0", "1", "2"), anchors, 7, TwoMLPHead(trunk.out_channels * 49, features), features, IMAGENET)


# ---------------------------------------------------------------------- Inception-ResNet-v2


class InceptionTrunk(nn.Module):
    """The first half of Inception-ResNet-v2, up to its 20 blocks of 17 x 17, at stride 8 (atrous rate 2)."""

    out_channels = 1088

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        children = dict(network.named_children())
        names = list(children)
        self.body = nn.Sequential(OrderedDict((name, children[name]) for name in names[: names.index("repeat_1") + 1]))
        for layer in children["mixed_6a"].modules():
            if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)) and layer.stride in (2, (2, 2)):
                layer.stride = 1 if isinstance(layer, nn.MaxPool2d) else (1, 1)
        for layer in children["repeat_1"].modules():
            if isinstance(layer, nn.Conv2d):
                layer.dilation = tuple(2 if size > 1 else 1 for size in layer.kernel_size)
                layer.padding = tuple(size - 1 for size in layer.kernel_size)  # 2 * (size // 2)

    def forward(self, films: Tensor) -> dict[str, Tensor]:
        return {"0": self.body(films)}


class InceptionHead(nn.Module):
    """The second half of Inception-ResNet-v2 on every cut box: (K, 1088, 17, 17) to (K, 1536)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        names = ("mixed_7a", "repeat_2", "block8", "conv2d_7b")
        self.body = nn.Sequential(OrderedDict((name, getattr(network, name)) for name in names))

    def forward(self, boxes: Tensor) -> Tensor:
        return self.body(boxes).mean(dim=(2, 3))


def _inception(settings: DetectorSettings) -> Parts:
    network = timm.create_model("inception_resnet_v2", pretrained=False, in_chans=1)
    if settings.weights is not None:
        network = freeze_batch_norm_2d(network)
    anchors = ((0.0625, 0.125, 0.25, 0.5),)  # 64 to 512 of films of about 1024 pixels
    return Parts(InceptionTrunk(network), ("0",), anchors, 17, InceptionHead(network), 1536, UNIT)


# ---------------------------------------------------------------------- weights of a local file

_PARTS = ("backbone.body.", "roi_heads.box_head.body.")
"""What a file must have all weights of: the network that looks at films, and (Inception) at boxes."""


def load_start(detector: nn.Module, path: Path) -> None:
    """Put the weights of a local file into a detector: a state dict (safetensors, or one that torch saved) of a whole
    torchvision detector, or of the backbone alone as torchvision or timm name it; of films with three channels or one.

    Every weight of the backbone must be there. Of the rest what has the same name and shape is taken: another number of
    findings gives a new last layer. InputError where the file does not fit.
    """
    given, own = read_weights(path.expanduser()), detector.state_dict()
    ready = {}
    for name, expected in own.items():
        part = next((part for part in _PARTS if name.startswith(part)), None)
        value = given.get(name) if part is None else given.get(name, given.get(name.removeprefix(part)))
        if value is not None and value.ndim == 4 and value.shape[1] == 3 and expected.shape[1] == 1:
            value = value.sum(dim=1, keepdim=True)  # a grey film in three equal channels gives the same
        if value is not None and value.shape == expected.shape:
            ready[name] = value
        elif part is not None:
            found = (
                "is missing" if value is None else f"has shape {tuple(value.shape)}, expected {tuple(expected.shape)}"
            )
            raise InputError(
                f"weights {path}: '{name.removeprefix(part)}' {found}; expected a state dict of this detector or backbone"
            )
    detector.load_state_dict(ready, strict=False)
