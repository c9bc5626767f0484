"""How long steps took before, for estimates of the time that is left. Never part of a result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..files import write_text
from ..plain_files import read_plain


@dataclass
class Timings:
    """Seconds by step name, kept in a JSON file; a damaged file only costs estimates."""

    path: Path
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Timings:
        """The kept timings; empty when there are none."""
        try:
            found = json.loads(read_plain(path))
            return cls(path, {str(name): float(value) for name, value in found.items()})
        except (OSError, ValueError, AttributeError, TypeError):
            return cls(path)

    def add(self, name: str, seconds: float) -> None:
        """Remember the latest duration of a step."""
        self.seconds[name] = round(seconds, 2)
        write_text(self.path, json.dumps(self.seconds, indent=1, sort_keys=True))

    def expect(self, name: str, reference: Mapping[str, float], preset: str) -> float | None:
        """Expected seconds: what the step took here before, else the reference measured for its preset, else unknown."""
        return self.seconds.get(name, reference.get(preset))
