"""A segmentation network in the manner of SMANet, the downstream model of the multi-stage paper (Ciano 2021).

No code of SMANet is public. Known from Bonechi et al. (Pattern Recognition Letters 138, 2020) and the paper:
PSPNet with a dilated ResNet encoder, its pyramid pooling replaced by multi-scale attention, a two-level
convolutional decoder. The rest is this benchmark's reconstruction, hence "like".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from .encoders import check_encoder, encoder_options, load_encoder, scaled

SCALES = (1, 2, 3, 6)  # the bins of PSPNet's pyramid


def resize(maps: Tensor, like: Tensor) -> Tensor:
    """Bilinear to the size of `like`, corners on corners: exact for sides of 8 k + 1, as in PSPNet."""
    return functional.interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=True)


def conv_bn_relu(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Convolution that keeps the size, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class ScaleAttention(nn.Module):
    """Where to look at one scale: pool to `bins` x `bins`, 1x1 convolutions, a sigmoid that weighs the input."""

    def __init__(self, channels: int, bins: int) -> None:
        super().__init__()
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(bins), conv_bn_relu(channels, channels, 1))
        self.gate = nn.Conv2d(channels, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        return maps * torch.sigmoid(self.gate(resize(self.pooled(maps), maps)))


class DecoderLevel(nn.Module):
    """Enlarge to a finer level of the encoder, join its reduced channels, one 3x3 convolution."""

    def __init__(self, inputs: int, finer: int, reduced: int, outputs: int) -> None:
        super().__init__()
        self.reduce = conv_bn_relu(finer, reduced, 1)
        self.join = conv_bn_relu(inputs + reduced, outputs, 3)

    def forward(self, maps: Tensor, finer: Tensor) -> Tensor:
        return self.join(torch.cat([resize(maps, finer), self.reduce(finer)], dim=1))


class SMANetLike(nn.Module):
    """Films (B, 1, H, W) to logits (B, classes, H, W).

    `encoder`: a timm ResNet, at output stride 8 (the last two stages dilated). `width`: factor on every number
    of channels (1: attention 512 wide), the encoder's too. `encoder_weights`: a local timm state dict of that
    encoder (.safetensors), of the unscaled width. InputError where it cannot be used.
    """

    def __init__(
        self,
        classes: int,
        *,
        encoder: str = "resnet50",
        width: float = 1.0,
        encoder_weights: Path | None = None,
    ) -> None:
        super().__init__()

        def wide(channels: int) -> int:
            return scaled(channels, width)

        check_encoder(encoder)
        backbone: Any = timm.create_model(
            encoder, pretrained=False, features_only=True, output_stride=8, in_chans=1, **encoder_options(width)
        )
        if encoder_weights is not None:
            load_encoder(backbone, encoder_weights)
        self.encoder = backbone
        stem, first, *_, last = backbone.feature_info.channels()
        attention = wide(512)
        self.reduce = nn.Conv2d(last, attention, 1)
        self.attentions = nn.ModuleList(ScaleAttention(attention, bins) for bins in SCALES)
        self.fuse = conv_bn_relu(attention * (len(SCALES) + 1), attention, 3)
        self.fine = DecoderLevel(attention, first, wide(48), wide(256))
        self.finest = DecoderLevel(wide(256), stem, wide(32), wide(64))
        self.classify = nn.Conv2d(wide(64), classes, 1)

    def forward(self, films: Tensor) -> Tensor:
        stem, first, *_, last = self.encoder(films)
        maps = self.reduce(last)
        maps = self.fuse(torch.cat([maps, *(attend(maps) for attend in self.attentions)], dim=1))
        maps = self.finest(self.fine(maps, first), stem)
        return resize(self.classify(maps), films)
