"""When a validated training stops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


class StopRule(Protocol):
    """When a validated training stops. `state` is what a checkpoint keeps of it, as plain values."""

    def update(self, value: float) -> tuple[bool, bool]:
        """(is this the best so far, stop now) after one more validation value (lower is better)."""
        ...

    @property
    def over(self) -> bool:
        """Whether the training should stop."""
        ...

    @property
    def state(self) -> list[float]:
        """All that `restore` needs."""
        ...

    def restore(self, state: list[float]) -> None:
        """Put a kept `state` back."""
        ...


@dataclass
class Patience:
    """Early stopping: stop when the validation value (lower is better) has not improved for `patience` checks."""

    patience: int
    best: float = float("inf")
    waited: int = 0

    def update(self, value: float) -> tuple[bool, bool]:
        """(is this the best so far, stop now) after one more validation value."""
        improved = value < self.best
        self.best, self.waited = (value, 0) if improved else (self.best, self.waited + 1)
        return improved, self.over

    @property
    def over(self) -> bool:
        """Whether the training should stop."""
        return self.waited >= self.patience

    @property
    def state(self) -> list[float]:
        """The best value and how many checks ago it was."""
        return [self.best, float(self.waited)]

    def restore(self, state: list[float]) -> None:
        """Put a kept `state` back."""
        self.best, self.waited = state[0], int(state[1])


@dataclass
class RisingMean:
    """Early stopping of Neff et al. 2017: stop when the mean of the last `window` validation values starts to rise.

    That is, when it is above the mean of the window that ended one check earlier; never in the first `window` checks.
    """

    window: int = 10
    values: list[float] = field(default_factory=list)

    def update(self, value: float) -> tuple[bool, bool]:
        """(is this the best so far, stop now) after one more validation value."""
        improved = value < min(self.values, default=float("inf"))
        self.values.append(value)
        return improved, self.over

    @property
    def over(self) -> bool:
        """Whether the mean has just risen: the newest value is above the one that left the window."""
        return len(self.values) > self.window and self.values[-1] > self.values[-1 - self.window]

    @property
    def state(self) -> list[float]:
        """All values so far."""
        return list(self.values)

    def restore(self, state: list[float]) -> None:
        """Put a kept `state` back."""
        self.values = list(state)


@dataclass
class Validation:
    """How a training is validated: `measure()` every `every` steps; the best networks are kept and put back."""

    measure: Callable[[], float]
    every: int
    stop: StopRule
