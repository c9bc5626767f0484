"""Progress of long work: a fraction and a note, sent to whoever shows it. Knows nothing of terminals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _nowhere(fraction: float, note: str) -> None:
    """The sink of work nobody watches."""


@dataclass(frozen=True)
class Progress:
    """Reports how far the work is. `sink(fraction, note)` gets a fraction of the whole, 0 to 1."""

    sink: Callable[[float, str], None] = _nowhere
    low: float = 0.0
    high: float = 1.0
    note: str = ""

    def update(self, fraction: float, note: str = "") -> None:
        """Report that `fraction` (0 to 1) of this part is done."""
        fraction = min(max(fraction, 0.0), 1.0)
        text = " ".join(word for word in (self.note, note) if word)
        self.sink(self.low + fraction * (self.high - self.low), text)

    def part(self, note: str, low: float, high: float) -> Progress:
        """A part of this work, from fraction `low` to `high`, shown with its own note."""
        width = self.high - self.low
        text = " ".join(word for word in (self.note, note) if word)
        return Progress(self.sink, self.low + low * width, self.low + high * width, text)
