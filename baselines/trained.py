"""What the baselines with networks share: settings that know how a fit is shortened, and samples along a training."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, Self

from ..benchmark.contracts.provider import Provider, Timelines
from ..benchmark.training.history import History
from .timeline import Along, Timeline


class Measurable(Protocol):
    """Settings of a training that a measurement may change."""

    def shorter(self, steps: int, side: int | None = None) -> Self:
        """As `Provider.shorter` has it."""

    def with_batch(self, size: int) -> Self:
        """The settings with batches of that many films."""


class Trained(Provider):
    """A baseline whose settings are `Measurable`, and which may show how its samples came about."""

    not_saved: ClassVar = frozenset({"moments"})

    def __init__(self, settings: Any = None, *, device: str = "cpu") -> None:
        super().__init__(settings, device=device)
        self.moments: Along = None

    def timeline(self) -> Timelines:
        return self.moments

    def keep_timeline(self, timeline: Timeline, history: History) -> None:
        """Take the pictures of a training that is done; none where it kept none."""
        self.moments = timeline.until(history.steps)

    @classmethod
    def shorter(cls, settings: Any, steps: int, *, side: int | None = None) -> Any:
        made: Measurable = settings
        return made.shorter(steps, side)

    @classmethod
    def with_batch(cls, settings: Any, size: int) -> Any:
        made: Measurable = settings
        return made.with_batch(size)
