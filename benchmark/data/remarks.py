"""What was noticed about files that were read: said once for all films that it is true of, never silently.

A reader returns remarks beside what it read; `gathered` makes lines of them, for the terminal, the report and
`DatasetInfo.remarks`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Remark:
    """`text`: what is true of a film, in words that follow "3 films" or "1 film" ("turned upright as EXIF says").
    `where`: the file, for the first of them to be named."""

    text: str
    where: str


def gathered(remarks: Iterable[Remark], what: str = "film") -> tuple[str, ...]:
    """One line for every text, in the order of their first appearance: "3 films turned upright (the first: a.jpg)"."""
    found: dict[str, list[str]] = {}
    for remark in remarks:
        found.setdefault(remark.text, []).append(remark.where)
    return tuple(_line(len(places), what, text, places[0]) for text, places in found.items())


def _line(count: int, what: str, text: str, first: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'} {text} ({'' if count == 1 else 'the first: '}{first})"
