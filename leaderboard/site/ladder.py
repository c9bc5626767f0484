"""The drawings of worth: the placebo curve with every entry on it, and the curve alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ...benchmark.report.words import shown
from ...benchmark.significance.worth import Worth, in_films
from ..attempts import Division
from ..curves import Ruler, Step, steps
from ..standings import Board, Standing
from .drawings import MOST_ROWS, factor
from .svg import (
    Axis,
    Drawing,
    Room,
    arrow,
    drawn,
    in_both,
    line,
    mark,
    number,
    path,
    short,
    spacing,
    spanning,
    text,
)
from .words import kind, points, worth_films, worth_interval

APART = 1.3
"""How many times the one before a marked number of films must be, so that their numbers have room."""
APART_NARROW = 1.6
"""The same in little room."""
LEFT, TOP, CURVE = (176.0, 44.0), 30.0, 190.0
"""Pixels left of the axis of films (with names beside it, or above), above the curve, and of its height."""


def worth_drawing(board: Board, division: Division) -> Drawing | None:
    """The curve of the arm that ranks, and below it a row an entry: its worth in real films with its interval.

    The first `MOST_ROWS` of the table; None without a curve or an entry.
    """
    ruler = board.ruler(board.arm)
    rows = [one for one in board.standings.get(division, []) if one.headline.worth is not None][:MOST_ROWS]
    return None if ruler is None or not rows else in_both(lambda room: _worths(board, ruler, rows, room))


def _worths(board: Board, ruler: Ruler, rows: Sequence[Standing], room: Room) -> Drawing:
    left = room.left(*LEFT)
    x, y = _films_axis(room, left, ruler), _scores_axis(board, [ruler], TOP + CURVE, TOP)
    end = TOP + CURVE + 26 + room.row * len(rows)
    parts = [
        text(4, 14, f"{points(board.protocol.primary).removeprefix('points of ')} of copies, {board.arm}", "faint")
    ]
    parts += _grid(room, x, y, ruler, TOP + CURVE, end)
    parts += _curve(board, ruler, x, y, f"arm-{board.arm}")
    at = x.at(math.log2(ruler.films))
    had = f"{in_films(ruler.films)} real films"
    parts += [line(at, TOP, at, end, "zero"), text(at, TOP - 4, had, "faint small", "middle")]
    for i, one in enumerate(rows):
        parts += _row(room, board, one, x, y, room.middle(TOP + CURVE + 26 + room.row * i))
    parts.append(text((left + room.width) / 2, end + 36, "real films whose copies score as much", "faint", "middle"))
    said = "; ".join(f"{short(one.attempt.title)} {worth_films(one.headline.worth)}" for one in rows)
    return drawn(room, end + 44, parts, f"Worth in real films, with {in_films(ruler.films)} of them: {said}.")


def curve_drawing(board: Board, arms: Sequence[str]) -> Drawing | None:
    """The curves of some arms: a dot a seed, a line through the means made monotone, dashed where a step is in its noise.

    None without any."""
    rulers = {arm: ruler for arm in arms if (ruler := board.ruler(arm)) is not None}
    return in_both(lambda room: _curves(board, rulers, room)) if rulers else None


def _curves(board: Board, rulers: Mapping[str, Ruler], room: Room) -> Drawing:
    first, left = next(iter(rulers.values())), room.left(60.0, 44.0)
    x, y = _films_axis(room, left, *rulers.values()), _scores_axis(board, list(rulers.values()), 286, TOP)
    parts = [text(4, 14, f"{points(board.protocol.primary).removeprefix('points of ')} of copies", "faint")]
    parts += _grid(room, x, y, first, 286, 286)
    for arm, ruler in rulers.items():
        parts += _curve(board, ruler, x, y, f"arm-{arm}", flat=steps(ruler))
    at = x.at(math.log2(first.films))
    parts += [line(at, TOP, at, 286, "zero"), text(at, TOP - 4, "ranks here", "faint small", "middle")]
    middle = room.left((left + room.width) / 2, room.width / 2)
    parts.append(text(middle, 322, "real films (each step to the right doubles them)", "faint", "middle"))
    said = f"Scores of copies of ever more real films: {', '.join(rulers)}; the table has the numbers."
    return drawn(room, 330, parts, said)


def _films_axis(room: Room, left: float, *rulers: Ruler) -> Axis:
    sizes = [size for ruler in rulers for size in ruler.points]
    return spanning([math.log2(min(sizes)), math.log2(max(sizes))], left, room.width - 24)


def _scores_axis(board: Board, rulers: Sequence[Ruler], start: float, end: float) -> Axis:
    scores = [value for ruler in rulers for by_seed in ruler.points.values() for value in by_seed.values()]
    return spanning([value * factor(board) for value in scores], start, end)


def _grid(room: Room, x: Axis, y: Axis, ruler: Ruler, bottom: float, end: float) -> list[str]:
    """Scores to the left of the curve, films below all rows."""
    ticks, parts, left = y.ticks(5), list[str](), x.start
    for tick in ticks:
        parts.append(line(left, y.at(tick), room.width - 24, y.at(tick), "grid"))
        parts.append(text(left - 8, y.at(tick) + 4, number(tick, spacing(ticks), sign=False), "faint", "end"))
    marked = 0.0
    for size in sorted(ruler.points):
        at = x.at(math.log2(size))
        parts.append(line(at, TOP, at, end, "grid"))
        if size >= (APART if not room.above else APART_NARROW) * marked:
            marked = size
            parts.append(text(at, end + 16, f"{size:.0f}", "faint", "middle"))
    return [*parts, line(left, bottom, room.width - 24, bottom, "grid")]


def _curve(board: Board, ruler: Ruler, x: Axis, y: Axis, colour: str, flat: Sequence[Step] = ()) -> list[str]:
    times = factor(board)
    parts = [
        f'<circle cx="{x.at(math.log2(size)):.1f}" cy="{y.at(value * times):.1f}" r="2" class="seed {colour}"/>'
        for size, by_seed in sorted(ruler.points.items())
        for value in by_seed.values()
    ]
    sizes, means = ruler.line
    places = [(x.at(math.log2(size)), y.at(value * times)) for size, value in zip(sizes, means, strict=True)]
    parts.append(path(places, f"curve {colour}"))
    at = dict(zip(sizes, places, strict=True))
    return [*parts, *(path([at[step.low], at[step.high]], "flat") for step in flat if step.rises is False)]


def _row(room: Room, board: Board, one: Standing, x: Axis, y_of: Axis, y: float) -> list[str]:
    """Name, interval and mark of an entry, and its dot on the curve."""
    found = one.headline.worth
    assert found is not None
    colour = kind(one) if found.identified else "unranked"
    parts = [text(22, room.baseline(y), short(one.attempt.title, 22))]
    if one.rank is not None:
        parts.append(text(4, room.baseline(y), f"{one.rank.first}", "faint"))
    parts += _interval(found, x, y, colour)
    if found.films is not None:
        at = x.at(math.log2(found.films))
        title = f"{one.attempt.title}: {worth_films(found)} ({worth_interval(found)})"
        parts.append(mark(at, y, colour, control=one.control, title=title))
        score = one.headline.mean
        if score is not None and y_of.holds(score * factor(board)):
            title = f"{one.attempt.title}: {shown(score, board.protocol.primary)}"
            parts.append(mark(at, y_of.at(score * factor(board)), colour, control=one.control, title=title, size=3.5))
    elif not found.identified:
        parts.append(text(room.width - 28, y - 4, "not identified", "faint small", "end"))
    else:
        above = found.censored == "above"
        parts.append(arrow(x.at(math.log2(found.largest if above else found.smallest)), y, colour, right=above))
    return parts


def _interval(found: Worth, x: Axis, y: float, colour: str) -> list[str]:
    if found.low_films is None or found.high_films is None or found.low_films == found.high_films:
        return []
    low, high = x.at(math.log2(found.low_films)), x.at(math.log2(found.high_films))
    parts = [line(low, y, high, y, f"bar {colour}")]
    if found.identified and found.low_censored:
        parts.append(arrow(low, y, colour, right=False))
    if found.identified and found.high_censored:
        parts.append(arrow(high, y, colour, right=True))
    return parts
