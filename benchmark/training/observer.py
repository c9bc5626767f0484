"""Watching trainings: for measurements of speed and for fingerprints, which must see steps that a run does not report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.optim import Optimizer

    from .history import History


class Observer:
    """Sees every training inside `watched_by`; this one does nothing. What it takes between steps is not in the rates."""

    most_steps: int | None = None
    """A training ends after so many steps, and keeps no checkpoint: for whoever looks at its beginning alone."""

    def planned(self, steps: int, batch_size: Callable[[int], int], *, float32: bool) -> None:
        """A training of `steps` steps was asked for; `most_steps` may cut it. `batch_size`, `float32`: of its recipe."""

    def begins(self, steps: int, device: torch.device) -> None:
        """A training of `steps` steps is about to take its first."""

    def before_update(self, optimizer: Optimizer) -> None:
        """The gradients of an optimiser's weights are there, the weights not yet changed."""

    def after_step(self, step: int, images: int) -> None:
        """Step number `step` (from 0) is over; it saw `images` images."""

    def after_pause(self, seconds: float) -> None:
        """After a step, validation and checkpoints took that long."""

    def ends(self, networks: Mapping[str, nn.Module], history: History) -> None:
        """A training is over: its networks, its losses."""


NOBODY = Observer()
_watching: ContextVar[Observer] = ContextVar("watching", default=NOBODY)


def observer() -> Observer:
    """Who watches now."""
    return _watching.get()


@contextmanager
def watched_by(one: Observer) -> Iterator[None]:
    """Every training inside the block is seen by an observer."""
    token = _watching.set(one)
    try:
        yield
    finally:
        _watching.reset(token)
