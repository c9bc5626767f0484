"""ResNet encoders of timm for grey films: narrower ones for small presets, and weights from a local file.

He et al., Deep Residual Learning (2016). Nothing is downloaded: a pretrained encoder is a file the user names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
from torch import Tensor, nn

from ...benchmark.errors import InputError
from ...benchmark.training.weights import read_weights

STAGES = (64, 128, 256, 512)
STEM = 64


def scaled(channels: int, width: float) -> int:
    """A number of channels times `width`, to a multiple of 8, at least 8."""
    return max(8, round(channels * width / 8) * 8)


def check_encoder(name: str) -> None:
    """InputError unless timm has a ResNet of this name."""
    if name not in timm.list_models("resnet*"):
        raise InputError(f"encoder '{name}': expected a ResNet of timm, for example resnet18 or resnet50")


def encoder_options(width: float) -> dict[str, Any]:
    """What `timm.create_model` needs for a ResNet with `width` times its channels."""
    if width == 1:
        return {}
    return {"channels": tuple(scaled(stage, width) for stage in STAGES), "stem_width": scaled(STEM, width)}


def load_encoder(encoder: nn.Module, path: Path) -> None:
    """Put weights of a timm ResNet, trained on colour or grey pictures, into an encoder for grey films."""
    path = path.expanduser()
    own = encoder.state_dict()
    given = read_weights(path)
    ready: dict[str, Tensor] = {}
    for name, expected in own.items():
        if name not in given:
            raise InputError(f"encoder weights {path}: '{name}' is missing; expected a timm state dict of this encoder")
        value = given[name]
        if value.ndim == 4 and value.shape[1] == 3 and expected.shape[1] == 1:
            value = value.sum(dim=1, keepdim=True)  # a grey film in three equal channels gives the same
        if value.shape != expected.shape:
            raise InputError(
                f"encoder weights {path}: '{name}' has shape {tuple(value.shape)}, expected "
                f"{tuple(expected.shape)}; take the file of this encoder, with width 1"
            )
        ready[name] = value
    encoder.load_state_dict(ready)
