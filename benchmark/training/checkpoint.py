"""Checkpoints in the middle of a training, without pickle: tensors in safetensors, the rest in its JSON header.

A checkpoint belongs to one training: its file is called by a digest of what that training starts from (`identity`), so that
trainings may share a folder, and none takes up the state of another. A digest of its tensors is kept with it: a torn or
changed file costs time, never a result.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
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
    from .recipe import Recipe
    from .stopping import StopRule

SECONDS_BETWEEN = 120.0
_folder: ContextVar[Path | None] = ContextVar("checkpoints", default=None)


@contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """Every training inside the block keeps its checkpoints in a folder, unless it names another."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def folder_of_block() -> Path | None:
    """The folder of the innermost `kept_in`; None outside."""
    return _folder.get()


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """sha256 of tensors by name: type, shape and bytes of each."""
    hasher = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        hasher.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def identity(recipe: Recipe, first: Mapping[str, Tensor], *, rows: int, steps: int, seed: int) -> str:
    """What tells a training from another: the weights that it starts from, its first batch, rows, steps and seed."""
    start = {
        f"{name}/{key}": value
        for name, network in recipe.networks().items()
        for key, value in network.state_dict().items()
    }
    said = json.dumps([type(recipe).__qualname__, rows, steps, seed, digest_of(start), digest_of(first)])
    return hashlib.sha256(said.encode()).hexdigest()[:24]


class State:
    """Everything a training needs to go on: weights, optimiser state, generators, what the recipe says, and what early
    stopping knows.

    `best`: the best weights so far by network (filled by the training, put back by `restore`). `stop`: when it stops.
    """

    def __init__(
        self, recipe: Recipe, optimizers: Mapping[str, Optimizer], device: torch.device, stop: StopRule | None = None
    ) -> None:
        self.recipe, self.optimizers, self.device, self.stop = recipe, optimizers, device, stop
        self.networks: Mapping[str, nn.Module] = recipe.networks()
        self.best: dict[str, dict[str, Tensor]] = {}

    def tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(all tensors by name, the plain values that belong to them)."""
        tensors = {
            f"network/{name}/{key}": value.detach().contiguous().clone()
            for name, network in self.networks.items()
            for key, value in network.state_dict().items()
        }
        tensors |= {f"recipe/{name}": value.contiguous() for name, value in self.recipe.state().items()}
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
                        tensors[f"optimizer/{name}/{index}/{key}"] = (
                            torch.as_tensor(value).detach().contiguous().clone()
                        )
        tensors["random/cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random/cuda"] = torch.cuda.get_rng_state(self.device)
        return tensors, plain

    def restore(self, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Put a kept state back."""
        self.best.clear()
        for name, network in self.networks.items():
            network.load_state_dict(_below(f"network/{name}/", tensors))
            best = _below(f"best/{name}/", tensors)
            if best:
                self.best[name] = {key: value.to(self.device) for key, value in best.items()}
        self.recipe.restore(_below("recipe/", tensors))
        if self.stop is not None and plain["stop"] is not None:
            self.stop.restore(plain["stop"])
        for name, optimizer in self.optimizers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _below(f"optimizer/{name}/", tensors).items():
                index, field = key.split("/", 1)
                state.setdefault(int(index), {})[field] = value
            optimizer.load_state_dict({"state": state, "param_groups": plain["optimizers"][name]})
            _laid_out_as_weights(optimizer)
        torch.set_rng_state(tensors["random/cpu"])
        if self.device.type == "cuda" and "random/cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random/cuda"], self.device)


def _laid_out_as_weights(optimizer: Optimizer) -> None:
    """Moments in the memory order of their weights, as they were before they were kept (channels last, where these are)."""
    for weight, values in optimizer.state.items():
        for key, value in values.items():
            if isinstance(value, Tensor) and value.shape == weight.shape and value.stride() != weight.stride():
                values[key] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


class Keeper:
    """Keeps the state of one training in `folder` every two minutes, and at its end where that took longer, so that a step
    of several trainings goes on where it was; does nothing without a folder."""

    def __init__(self, folder: Path | None, name: str, state: State, *, seconds: float = SECONDS_BETWEEN) -> None:
        self.path = None if folder is None else folder / f"{name}.safetensors"
        self.state, self.seconds = state, seconds
        self.last = time.monotonic()

    def resume(self, history: History) -> int:
        """Put back a kept state, if there is a sound one; the step to go on from (0 for a fresh start)."""
        if self.path is None or not self.path.is_file():
            return 0
        try:
            with safe_open(self.path, framework="pt") as kept:
                header = json.loads(kept.metadata()["training"])
                tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118  # no mapping
            if header["digest"] != digest_of(tensors):
                return 0
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):
            return 0
        fresh, plain = self.state.tensors()
        try:
            self.state.restore(tensors, header["state"])
            rows, seen, steps, rate = (
                header["history"][name] for name in ("rows", "images_seen", "steps", "images_per_second")
            )
        except (RuntimeError, KeyError, IndexError, TypeError, ValueError):  # of another release of torch
            self.state.restore(fresh, plain)
            return 0
        history.rows, history.images_seen, history.steps, history.images_per_second = rows, seen, int(steps), rate
        return history.steps

    def maybe_keep(self, history: History) -> None:
        """Keep the state when it is time to."""
        if self.path is not None and time.monotonic() - self.last >= self.seconds:
            self.keep(history)

    def keep(self, history: History) -> None:
        """Keep the state now: written beside under a name of its own, then renamed. A disk that is full ends no training:
        it then goes on without."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        tensors, plain = self.state.tensors()
        kept = {"history": asdict(history), "state": plain, "digest": digest_of(tensors)}
        draft = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}")
        try:
            save_file(tensors, draft, metadata={"training": json.dumps(kept)})
            draft.replace(self.path)
        except (OSError, SafetensorError):
            pass
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        self.last = time.monotonic()

    def end(self, history: History) -> None:
        """Keep the state of a training that is over, if it was kept before; who gave the folder clears it."""
        if self.path is not None and self.path.is_file():
            self.keep(history)
