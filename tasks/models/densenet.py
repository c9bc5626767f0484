"""DenseNet (Huang et al. 2017) as the fusion paper uses it (Liu et al., SDFN, section B.3).

The last maps, a global average, one linear layer: that is what class activation maps need. Grey films become the three
channels of ImageNet with its mean and standard deviation (the paper, which starts from ImageNet weights, does not say).
`densenet121` of timm has 6,968,206 parameters with 14 outputs; a smaller one differs in growth rate and blocks alone.
Nothing is downloaded: weights are a file that the user names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models.densenet import DenseNet
from torch import Tensor, nn

from ...benchmark.errors import InputError
from ...benchmark.training.weights import read_densenet

MEAN = (0.485, 0.456, 0.406)  # ImageNet's, of colour pictures in [0, 1]
SPREAD = (0.229, 0.224, 0.225)
GROWTH, BLOCKS = 32, (6, 12, 24, 16)  # DenseNet-121


class FindingsNet(nn.Module):
    """Films uint8 (B, 1, S, S) to logits (B, findings).

    `growth`, `blocks`: of the DenseNet; those of DenseNet-121 give timm's `densenet121`. `weights`: a local state
    dict of the same architecture, timm's or torchvision's (safetensors, or one that torch saved), with a head of any size,
    which is left out; None: from scratch. InputError where it does not fit.
    """

    mean: Tensor
    spread: Tensor

    def __init__(
        self,
        findings: int,
        *,
        growth: int = GROWTH,
        blocks: Sequence[int] = BLOCKS,
        weights: Path | None = None,
    ) -> None:
        super().__init__()
        network: Any
        if (growth, tuple(blocks)) == (GROWTH, BLOCKS):
            network = timm.create_model("densenet121", pretrained=False, num_classes=findings, in_chans=3)
        else:
            network = DenseNet(growth_rate=growth, block_config=tuple(blocks), num_classes=findings, in_chans=3)
        if weights is not None:
            load_extractor(network, weights)
        self.maps: nn.Module = network.features
        self.width: int = network.num_features
        self.head: nn.Linear = network.classifier
        self.to(memory_format=torch.channels_last)  # a third less time on a CPU, too
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("spread", torch.tensor(SPREAD).view(1, 3, 1, 1), persistent=False)

    def last_maps(self, films: Tensor) -> Tensor:
        """The last maps (B, K, h, w), after their ReLU, of films uint8 (B, 1, S, S)."""
        given = (films.float().div(255.0) - self.mean) / self.spread
        return self.maps(given.contiguous(memory_format=torch.channels_last))

    def features(self, films: Tensor) -> Tensor:
        """The global average of the last maps: (B, K)."""
        return self.last_maps(films).mean(dim=(2, 3))

    def forward(self, films: Tensor) -> Tensor:
        return self.head(self.features(films))


def load_extractor(network: nn.Module, path: Path) -> None:
    """Put the weights of a file, all but the head's, into a timm DenseNet; InputError where they do not fit."""
    given = read_densenet(path)
    own = {name: value for name, value in network.state_dict().items() if not name.startswith("classifier.")}
    for name, expected in own.items():
        if name not in given:
            if name.endswith("num_batches_tracked"):  # files of old versions do not count batches; nothing uses it
                given[name] = expected
                continue
            raise InputError(
                f"weights {path}: '{name}' is missing; expected a state dict of this DenseNet, timm's or torchvision's"
            )
        if given[name].shape != expected.shape:
            raise InputError(
                f"weights {path}: '{name}' has shape {tuple(given[name].shape)}, expected {tuple(expected.shape)}; "
                "take the file of this architecture (densenet121 at the presets standard and paper)"
            )
    network.load_state_dict({name: given[name] for name in own}, strict=False)
