"""Checkpoints in the middle of a training, without pickle: tensors in safetensors, the rest in its JSON header."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

if TYPE_CHECKING:
    from .history import History
    from .stopping import StopRule

SECONDS_BETWEEN = 120.0


class State:
    """Everything a training needs to go on: weights, optimiser state, generators, and what early stopping knows.

    `best`: the best weights so far by network (filled by the training, put back by `restore`). `stop`: when it stops.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        optimizers: Mapping[str, Optimizer],
        device: torch.device,
        stop: StopRule | None = None,
    ) -> None:
        self.networks, self.optimizers, self.device, self.stop = networks, optimizers, device, stop
        self.best: dict[str, dict[str, Tensor]] = {}

    def tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(all tensors by name, the plain values that belong to them)."""
        tensors = {
            f"network/{name}/{key}": value.detach().contiguous().clone()
            for name, network in self.networks.items()
            for key, value in network.state_dict().items()
        }
        for name, weights in self.best.items():
            tensors |= {f"best/{name}/{key}": value.contiguous() for key, value in weights.items()}
        plain: dict[str, Any] = {"stop": None if self.stop is None else self.stop.state}
        groups = plain["optimizers"] = {}
        for name, optimizer in self.optimizers.items():
            state = optimizer.state_dict()
            groups[name] = state["param_groups"]
            for index, values in state["state"].items():
                for key, value in values.items():
                    if value is not None:
                        tensors[f"optimizer/{name}/{index}/{key}"] = torch.as_tensor(value).detach().clone()
        tensors["random/cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random/cuda"] = torch.cuda.get_rng_state(self.device)
        return tensors, plain

    def restore(self, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Put a kept state back."""
        for name, network in self.networks.items():
            network.load_state_dict(_below(f"network/{name}/", tensors))
            best = _below(f"best/{name}/", tensors)
            if best:
                self.best[name] = {key: value.to(self.device) for key, value in best.items()}
        if self.stop is not None and plain["stop"] is not None:
            self.stop.restore(plain["stop"])
        for name, optimizer in self.optimizers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _below(f"optimizer/{name}/", tensors).items():
                index, field = key.split("/", 1)
                state.setdefault(int(index), {})[field] = value
            optimizer.load_state_dict({"state": state, "param_groups": plain["optimizers"][name]})
        torch.set_rng_state(tensors["random/cpu"])
        if self.device.type == "cuda" and "random/cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random/cuda"], self.device)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


class Keeper:
    """Keeps the state of one training in `folder` every two minutes; does nothing without a folder."""

    def __init__(self, folder: Path | None, state: State, *, seconds: float = SECONDS_BETWEEN) -> None:
        self.path = None if folder is None else folder / "training.safetensors"
        self.state, self.seconds = state, seconds
        self.last = time.monotonic()

    def resume(self, history: History) -> int:
        """Put back a kept state, if there is a readable one; the step to go on from (0 for a fresh start)."""
        if self.path is None or not self.path.is_file():
            return 0
        try:
            with safe_open(self.path, framework="pt") as kept:
                header = json.loads(kept.metadata()["training"])
                names = kept.keys()
                tensors = {name: kept.get_tensor(name) for name in names}
        except (SafetensorError, OSError, KeyError, ValueError):
            return 0  # a damaged checkpoint costs time, never a wrong result
        self.state.restore(tensors, header["state"])
        history.rows = header["history"]["rows"]
        history.images_seen = header["history"]["images_seen"]
        history.steps = int(header["history"]["steps"])
        return history.steps

    def maybe_keep(self, history: History) -> None:
        """Keep the state when it is time to."""
        if self.path is not None and time.monotonic() - self.last >= self.seconds:
            self.keep(history)

    def keep(self, history: History) -> None:
        """Keep the state now: written beside, then renamed."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        tensors, plain = self.state.tensors()
        header = {"training": json.dumps({"history": asdict(history), "state": plain})}
        draft = self.path.with_suffix(".draft")
        save_file(tensors, draft, metadata=header)
        draft.replace(self.path)
        self.last = time.monotonic()

    def clear(self) -> None:
        """Forget the kept state of a finished training."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
