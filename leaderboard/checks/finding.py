"""What a check says: a finding, in one line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """An error refuses the entry; what needs review waits for a maintainer; a note is only shown."""

    ERROR = "error"
    REVIEW = "review"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One line of a check: `check` is its name, `where` the file or board it is about ("" for the whole entry)."""

    level: Level
    check: str
    where: str
    message: str

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{self.level.value:<6} {self.check}: {place}{self.message}"
