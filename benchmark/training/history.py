"""What a training looked like."""

from __future__ import annotations

from dataclasses import dataclass, field

HISTORY_POINTS = 200


@dataclass
class History:
    """What a training looked like: rows of step and losses, images per second (median of five windows), images seen."""

    rows: list[dict[str, float]] = field(default_factory=list)
    images_per_second: float = 0.0
    images_seen: int = 0
    steps: int = 0
    precision: str = "32-true"
