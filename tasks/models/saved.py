"""The weights of a downstream network on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn


def save_weights(network: nn.Module, path: Path) -> None:
    """Keep a network's weights as safetensors."""
    weights: dict[str, Any] = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    save_file(weights, path)


def load_weights(network: nn.Module, path: Path) -> nn.Module:
    """Put kept weights into a network of the same architecture."""
    network.load_state_dict(load_file(path))
    return network.eval()
