"""What one process of `cxrbench throughput` is asked for, and which steps of a training it times."""

from __future__ import annotations

from dataclasses import dataclass

from ..runs.job import Cell, Work
from ..schema import Strict

STEPS = 10
"""Steps of a round: a multiple of the cycles of generators that are updated every second or fifth step."""
WARMUP = 5


class Ask(Strict):
    """One measurement: `rounds` of ten training steps and of `films` sampled films."""

    work: Work
    cell: Cell
    rounds: int
    films: int
    fit: str = ""
    """The folder of a fitted provider to sample; empty: the one that was just trained."""
    shortened: bool = True
    """Whether the training is cut short."""


@dataclass(frozen=True)
class Windows:
    """Which steps of a training are what: the last `rounds * width` are timed, the FLOPs of those of one more width before
    them are counted, the first are warm-up."""

    total: int
    rounds: int
    width: int

    @classmethod
    def of(cls, total: int, rounds: int) -> Windows:
        """As many rounds of up to ten steps as fit after the warm-up; none in fewer than three steps."""
        left = total - max(1, min(WARMUP, total // 4))
        width = min(STEPS, max(1, left // (rounds + 1)))
        return cls(total, max(0, min(rounds, left // width - 1)), width)

    @property
    def timed_from(self) -> int:
        """The first timed step."""
        return self.total - self.rounds * self.width

    @property
    def counted_from(self) -> int:
        """The first step whose FLOPs are counted."""
        return self.timed_from - self.width


def steps_needed(rounds: int) -> int:
    """Steps of a training that has them all."""
    return WARMUP + (rounds + 1) * STEPS
