"""Does one board predict another? Boards of one task, version and preset, on phantoms and on real films, held together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..agreement import Agreement, of_boards
from ..attempts import BoardKey
from ..standings import Board, Standing
from .drawings import factor
from .svg import Box, Drawing, Room, around, drawn, in_both, line, mark, names, number, spacing, text
from .words import kind, points

HEIGHT = 340.0


@dataclass(frozen=True)
class Sibling:
    """A board of the same task on films of the other kind, and how far the two agree: phantoms first, real films second."""

    other: Board
    gains: Agreement
    worths: Agreement
    drawing: Drawing | None


Agreed = tuple[Agreement, Agreement, Drawing | None]
"""Of gains, of worths, and the drawing, of a board of phantoms and one of real films."""
Held = dict[tuple[BoardKey, BoardKey], Agreed]


def siblings(board: Board, found: Sequence[Board], held: Held | None = None) -> list[Sibling]:
    """The boards that this one is held against: those of its task, version and preset on films of the other kind. `held`:
    the pairs so far; each is the same from both sides."""
    held = {} if held is None else held
    return [_sibling(board, other, held) for other in held_against(board, found)]


def held_against(board: Board, found: Sequence[Board]) -> list[Board]:
    """Those of the boards that one is held against."""
    return [other for other in found if _matches(board, other)]


def _matches(board: Board, other: Board) -> bool:
    same = all(getattr(board.key, what) == getattr(other.key, what) for what in ("task", "version", "preset"))
    return same and board.phantom != other.phantom and board.with_placebos and other.with_placebos


def _sibling(board: Board, other: Board, held: Held) -> Sibling:
    phantom, real = (board, other) if board.phantom else (other, board)
    pair = phantom.key, real.key
    if pair not in held:
        gains, worths = of_boards(phantom, real)
        held[pair] = gains, worths, agreement_drawing(phantom, real, gains)
    return Sibling(other, *held[pair])


def agreement_drawing(phantom: Board, real: Board, gains: Agreement) -> Drawing | None:
    """Every provider's gain on phantoms against its gain on real films, with intervals; None without an order."""
    return None if gains.spearman is None else in_both(lambda room: _agreement(phantom, real, gains, room))


def _agreement(phantom: Board, real: Board, gains: Agreement, room: Room) -> Drawing:
    sides = [{one.attempt.title: one for one in board.all} for board in (phantom, real)]
    pairs = [(sides[0][name], sides[1][name]) for name in gains.providers]
    x = around([_value(first, phantom) for first, _ in pairs], 56, room.width - 20)
    y = around([_value(second, real) for _, second in pairs], HEIGHT - 46, 26)
    parts = [text(4, 14, f"gain on {real.key.data}, {points(real.protocol.primary)}", "faint")]
    for tick in y.ticks():
        parts.append(line(48, y.at(tick), room.width - 20, y.at(tick), "zero" if tick == 0 else "grid"))
        parts.append(text(42, y.at(tick) + 4, number(tick, spacing(y.ticks())), "faint", "end"))
    for tick in x.ticks(room.ticks):
        parts.append(line(x.at(tick), 26, x.at(tick), HEIGHT - 46, "zero" if tick == 0 else "grid"))
        parts.append(text(x.at(tick), HEIGHT - 28, number(tick, spacing(x.ticks(room.ticks))), "faint", "middle"))
    parts.append(text(room.width / 2 + 20, HEIGHT - 8, f"gain on {phantom.key.data}", "faint", "middle"))
    bars: list[Box] = []
    for first, second in pairs:
        at = x.at(_value(first, phantom)), y.at(_value(second, real))
        left, right = map(x.at, _ends(first, phantom))
        bottom, top = map(y.at, _ends(second, real))
        parts.append(line(left, at[1], right, at[1], f"bar {kind(first)}"))
        parts.append(line(at[0], bottom, at[0], top, f"bar {kind(second)}"))
        bars += [(left, at[1] - 1, right, at[1] + 1), (at[0] - 1, top, at[0] + 1, bottom)]
    for first, second in pairs:
        values = _value(first, phantom), _value(second, real)
        title = f"{first.attempt.title}: {number(values[0], 0.01)} and {number(values[1], 0.01)}"
        parts.append(mark(x.at(values[0]), y.at(values[1]), kind(second), control=second.control, title=title, size=5))
    places = [(x.at(_value(a, phantom)), y.at(_value(b, real)), a.attempt.title) for a, b in pairs]
    parts += names(room, places, bars)
    return drawn(room, HEIGHT, parts, f"Gains on phantoms against gains on real films: {gains.sentence}.")


def _value(one: Standing, board: Board) -> float:
    value = one.headline.gain.value
    return (math.nan if value is None else value) * factor(board)


def _ends(one: Standing, board: Board) -> tuple[float, float]:
    gain = one.headline.gain
    if gain.low is None or gain.high is None:
        return _value(one, board), _value(one, board)
    return gain.low * factor(board), gain.high * factor(board)
