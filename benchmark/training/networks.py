"""Networks by name: counted, and kept together in one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import ProviderError

Networks = Mapping[str, nn.Module]


def parameters_of(networks: Networks) -> dict[str, int]:
    """The number of parameters of networks by name."""
    return {name: sum(weight.numel() for weight in network.parameters()) for name, network in networks.items()}


def parameters_of_new(build: Callable[[], Networks]) -> dict[str, int]:
    """The number of parameters of the networks that `build` makes, made without memory for their weights."""
    with torch.device("meta"):
        return parameters_of(build())


def save_networks(networks: Networks, path: Path) -> None:
    """Keep the state dicts of networks in a file: tensors `network/weight`, the names in its header."""
    tensors = {
        f"{name}/{key}": value.detach().contiguous().clone()  # safetensors refuses memory that two tensors share
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    save_file(tensors, path, metadata={"networks": json.dumps(list(networks))})


def load_networks(path: Path, build: Callable[[], Networks]) -> dict[str, nn.Module]:
    """The networks that `save_networks` kept: made by `build`, their weights from the file. What `build` makes besides is
    left out, and torch's random numbers stay as they were. ProviderError where it makes none of a kept name or others."""
    with safe_open(path, framework="pt") as kept:
        names: list[str] = json.loads(kept.metadata()["networks"])
        weights: dict[str, dict[str, Tensor]] = {name: {} for name in names}
        for place in kept.keys():  # noqa: SIM118  # it is no mapping
            name, _, key = place.rpartition("/")
            weights[name][key] = kept.get_tensor(place)
    with torch.random.fork_rng(devices=[]):
        built = build()
    missing = [name for name in names if name not in built]
    if missing:
        made = ", ".join(built) or "none"
        raise ProviderError(f"build() makes no network '{missing[0]}', which was kept; it makes {made}")
    for name in names:
        try:
            built[name].load_state_dict(weights[name])
        except RuntimeError as error:
            line = " ".join(str(error).split("\n\t")[1:2]) or str(error)
            raise ProviderError(f"build() makes another network '{name}' than the one that was kept: {line}") from None
    return {name: built[name] for name in names}
