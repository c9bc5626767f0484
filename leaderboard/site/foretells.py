"""What the page "which numbers of the films foretell their use?" is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import kept
from ..foretelling import LEAST, USES, Correlation, Foretold, foretold, from_plain, to_plain
from ..standings import Board
from . import again
from .svg import Axis, Drawing, Room, drawn, in_both, line, mark, text

PAGE = "foretells.html"
LEFT, TOP = 236.0, 40.0
SIGN = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Part:
    """A table of a board: over which entries, its lines, and a drawing where there is a number."""

    name: str
    rows: list[tuple[str, str, list[tuple[str, str]]]]
    """Label, what it is, and a cell (number, interval or why there is none) for Spearman and Kendall of each use."""
    untold: list[tuple[str, list[str]]]
    """Why nothing can be said, and the numbers of which that holds: they have no line."""
    drawing: Drawing | None


@dataclass(frozen=True)
class BoardPart:
    """A board with placebos, and what its entries say."""

    board: Board
    parts: list[Part]


def foretells_page(found: Sequence[Board], digests: Mapping[int, str | None]) -> dict[str, Any]:
    """The context of the page: every board that has gains. `digests`: of boards by id (`again.board_digest`), None where
    nothing is kept of one."""
    sections = [_board(board, digests.get(id(board))) for board in found if board.with_placebos]
    return {"sections": sections, "least": LEAST, "uses": USES}


def _board(board: Board, digest: str | None) -> BoardPart:
    parts = [_part("All entries", board, _foretold(board, digest, controls=True))]
    if any(one.control for one in board.all):
        parts.append(_part("Without controls", board, _foretold(board, digest, controls=False)))
    return BoardPart(board, parts)


def _foretold(board: Board, digest: str | None, *, controls: bool) -> list[Foretold]:
    """As `foretold`, taken as it was worked out before for a board of that digest."""

    def make() -> tuple[Any, again.Files]:
        return to_plain(foretold(board, controls=controls)), {}

    return from_plain(again.made(None if digest is None else kept.key_of("foretold", digest, controls), make)[0])


def _part(name: str, board: Board, rows: Sequence[Foretold]) -> Part:
    told = [row for row in rows if any(row.uses[use].spearman is not None for use in USES)]
    lines = [(_label(row), row.number.about, [cell for use in USES for cell in _cells(row.uses[use])]) for row in told]
    untold: dict[str, list[str]] = {}
    for row in (row for row in rows if row not in told):
        notes = {use: row.uses[use].note for use in USES}
        several = len(set(notes.values())) > 1
        why = "; ".join(f"{note} ({use})" for use, note in notes.items()) if several else notes[USES[0]]
        untold.setdefault(why, []).append(_label(row))
    return Part(name, lines, list(untold.items()), _forest(f"{board.title}, {name.lower()}", rows))


def _label(row: Foretold) -> str:
    return row.number.label(() if row.number.counted else row.films)


def _cells(one: Correlation) -> list[tuple[str, str]]:
    if one.spearman is None or one.kendall is None:
        return [("–", one.note), ("–", "")]
    return [
        (signed(one.spearman), _span(one.spearman_low, one.spearman_high, one.entries)),
        (signed(one.kendall), _span(one.kendall_low, one.kendall_high, one.entries)),
    ]


def _span(low: float | None, high: float | None, entries: int) -> str:
    ends = "" if low is None or high is None else f"{signed(low)} to {signed(high)}, "
    return f"{ends}{entries} entries"


def signed(value: float) -> str:
    """A correlation with its sign: `+0.62`."""
    return f"{value:+.2f}".replace("-", SIGN)


def _forest(title: str, rows: Sequence[Foretold]) -> Drawing | None:
    """Spearman's rho with the gain of every number, with its interval; None where none has one."""
    there = [(row, one) for row in rows if (one := row.uses["gain"]).spearman is not None]
    return in_both(lambda room: _forest_in(title, there, room)) if there else None


def _forest_in(title: str, there: Sequence[tuple[Foretold, Correlation]], room: Room) -> Drawing:
    axis, bottom = Axis(-1, 1, room.left(LEFT, 16.0), room.width - 20), TOP + room.row * len(there)
    parts = [text(4, 14, "Spearman's rho with the gain", "faint")]
    for tick in (-1.0, -0.5, 0.0, 0.5, 1.0):
        parts.append(line(axis.at(tick), TOP - 10, axis.at(tick), bottom, "zero" if tick == 0 else "grid"))
        parts.append(text(axis.at(tick), bottom + 18, signed(tick) if tick else "0", "faint", "middle"))
    for place, (row, one) in enumerate(there):
        assert one.spearman is not None and one.spearman_low is not None and one.spearman_high is not None
        y, colour = room.middle(TOP + room.row * place), _colour(one)
        parts.append(text(4, room.baseline(y), row.number.label(())))
        parts.append(line(axis.at(one.spearman_low), y, axis.at(one.spearman_high), y, f"bar {colour}"))
        parts.append(mark(axis.at(one.spearman), y, colour, title=f"{row.number.label(())}: {signed(one.spearman)}"))
    said = "; ".join(f"{row.number.label(())} {signed(one.spearman or 0.0)}" for row, one in there)
    return drawn(room, bottom + 30, parts, f"{title}: Spearman's rho of the films' numbers with the gain: {said}.")


def _colour(one: Correlation) -> str:
    """The page's class: whether the interval is on one side of 0."""
    if (one.spearman_low or 0.0) > 0:
        return "better"
    return "worse" if (one.spearman_high or 0.0) < 0 else "even"
