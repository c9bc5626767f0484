"""Initial weights from a local file: tensors by name, read without running any code of the file. Nothing is downloaded."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..errors import InputError

OLD_LAYER = re.compile(r"(norm|relu|conv)\.([12])\.")
"""torchvision's first files of DenseNets write `denselayer1.norm.1.weight`, today's and timm's `denselayer1.norm1`."""


def read_densenet(path: Path) -> dict[str, Tensor]:
    """`read_weights` of a DenseNet, by the names that torchvision and timm have today."""
    return {OLD_LAYER.sub(r"\1\2.", name): value for name, value in read_weights(path).items()}


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file, or of a torch state dict (`.pth`, also one kept under "state_dict").

    InputError when there is no such file or it is neither.
    """
    path = path.expanduser()
    if not path.is_file():
        raise InputError(f"weights {path}: no such file; expected a local .safetensors or .pth file")
    try:
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"weights {path}: not a readable state dict ({line})") from None
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise InputError(f"weights {path}: expected a state dict (names to tensors), found {type(found).__name__}")
    return dict(found)
