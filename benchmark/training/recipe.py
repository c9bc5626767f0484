"""What a paper supplies to the training loop: networks, optimisers, a step with its losses; where examples come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from .observer import NOBODY, Observer


class Source(Protocol):
    """Training examples: `batch` makes tensors of the asked rows; random choices come from `rng`."""

    def __len__(self) -> int: ...

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]: ...


class RowNumbers:
    """The source of a recipe that keeps its films on the device: row numbers alone."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """The row numbers as a tensor."""
        return {"rows": torch.from_numpy(rows)}


@dataclass(frozen=True)
class Step:
    """Where a training is, and how a recipe changes weights: `at.update(loss, optimizer)`."""

    index: int
    total: int
    fabric: Fabric
    observer: Observer = NOBODY

    @property
    def device(self) -> torch.device:
        """The device the networks are on."""
        return self.fabric.device

    def update(self, loss: Tensor, optimizer: Optimizer, *, retain_graph: bool = False) -> None:
        """One step of `optimizer` down the gradient of `loss` (its gradients are cleared first)."""
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, enabled=False):
            self.fabric.backward(loss, retain_graph=retain_graph)
            self.observer.before_update(optimizer)
            optimizer.step()

    def update_together(self, losses: Sequence[Tensor], optimizers: Sequence[Optimizer]) -> None:
        """One step of every optimiser, each down its own loss of one shared forward pass: all gradients are taken
        before any weight changes, each with respect to its optimiser's weights alone."""
        with torch.autocast(self.device.type, enabled=False):
            for number, (loss, optimizer) in enumerate(zip(losses, optimizers, strict=True), start=1):
                optimizer.zero_grad(set_to_none=True)
                own = [weight for group in optimizer.param_groups for weight in group["params"]]
                self.fabric.backward(loss, retain_graph=number < len(losses), inputs=own)
            for optimizer in optimizers:
                self.observer.before_update(optimizer)
                optimizer.step()


class Recipe(ABC):
    """What a paper supplies: networks, optimisers, and one training step with its losses."""

    float32: ClassVar[bool] = False
    """True where reduced precision is not safe (gradient penalties, statistics)."""

    @abstractmethod
    def networks(self) -> Mapping[str, nn.Module]:
        """The networks by name: moved to the device, kept in checkpoints."""

    @abstractmethod
    def optimizers(self) -> Mapping[str, Optimizer]:
        """The optimisers by name; called once, after the networks are on the device."""

    @abstractmethod
    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        """Train on one batch and return the losses by name (scalars)."""

    @abstractmethod
    def batch_size(self, images_seen: int) -> int:
        """Size of the next batch."""

    def begins(self, device: torch.device) -> None:  # noqa: B027  # most have nothing to do
        """The networks are on the device and no step is taken yet: for samples of what a training starts from."""

    def samples_after(self, done: int) -> np.ndarray | None:
        """Pictures uint8 (S, H, W) of samples that were taken after so many steps; None where none were."""
        return None

    def state(self) -> Mapping[str, Tensor]:
        """What it has learnt besides its networks and optimisers, by name, for checkpoints; nothing by default."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027  # most have nothing to put back
        """Put a kept `state` back."""


class Halves:
    """A source of two kinds of examples: the first `first` of `source`, and the others. Every batch takes half of its
    examples from each kind (of an odd batch one more from the first), and each kind evenly."""

    def __init__(self, source: Source, first: int) -> None:
        if not 0 < first < len(source):
            raise ValueError(f"two kinds of examples expected, found {first} of {len(source)} to be of the first")
        self.source, self.first = source, first

    def __len__(self) -> int:
        """As many rows as the larger kind has examples."""
        return max(self.first, len(self.source) - self.first)

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """What `source` makes of the examples that stand for the rows."""
        half, every, others = (len(rows) + 1) // 2, len(self), len(self.source) - self.first
        first = rows[:half] * self.first // every
        second = self.first + rows[half:] * others // every
        return self.source.batch(np.concatenate([first, second]), rng)
