"""The drawings of a board: the critical-difference diagram, and gain against cost. What they show stands in the board's
table as well."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import escape

from ...benchmark.report.words import duration
from ..attempts import Division
from ..standings import Board, Standing
from .svg import (
    Axis,
    Drawing,
    Room,
    around,
    arrow,
    drawn,
    in_both,
    line,
    mark,
    names,
    number,
    short,
    spacing,
    text,
)
from .words import kind, points

MOST_ROWS = 30
"""Entries that a critical-difference diagram shows."""
MOST_NAMES = 12
"""Points that are named in the drawing of gain against cost."""
SHORTEST = 0.1
"""Seconds at the left edge of gain against cost: what takes less, as controls that fit nothing do, is drawn there."""
TIMES = (0.1, 1, 10, 60, 600, 3600, 36_000, 360_000)
NARROWEST = 0.5
"""Decades of seconds that gain against cost spans at least: times that hardly differ shall not look far apart."""


def factor(board: Board) -> float:
    """What a score is shown times."""
    return 100.0 if board.protocol.primary.percent else 1.0


def gain_title(board: Board) -> str:
    """What the axis of gains says."""
    return f"gain of {board.arm.upper()} at {board.size} over copies, {points(board.protocol.primary)}"


# ------------------------------------------------------------------------------------------- critical differences


def critical_difference(board: Board, division: Division) -> Drawing | None:
    """The gains of the ranked entries of a division with their intervals, and bars that join those which cannot be told
    apart; controls are diamonds.

    The best `MOST_ROWS` by rank; None below two.
    """
    ranked = [one for one in board.standings.get(division, []) if one.rank is not None][:MOST_ROWS]
    if len(ranked) < 2:
        return None
    apart = board.apart[division][: len(ranked), : len(ranked)]
    order = _by_gain(ranked, board)
    ranked, apart = [ranked[i] for i in order], apart[np.ix_(order, order)]
    return in_both(lambda room: _differences(board, ranked, tied_groups(apart), room))


def _differences(board: Board, ranked: Sequence[Standing], groups: Sequence[tuple[int, int]], room: Room) -> Drawing:
    bars = _lanes(groups)
    right = room.width - 24.0 - 9.0 * (max(bars.values(), default=-1) + 1)
    times, left = factor(board), room.left(176.0, 16.0)
    found = [one.headline.gain for one in ranked]
    axis = around([v * times for gain in found for v in (gain.low, gain.high) if v is not None], left, right)
    height, top = 44.0 + room.row * len(ranked) + 34, 44.0
    parts = [text(4, 14, gain_title(board), "faint")]
    ticks = axis.ticks(room.ticks)
    for tick in ticks:
        parts.append(line(axis.at(tick), top - 8, axis.at(tick), height - 30, "grid"))
        parts.append(text(axis.at(tick), height - 14, number(tick, spacing(ticks)), "faint", "middle"))
    parts.append(line(axis.at(0), top - 6, axis.at(0), height - 30, "zero"))
    parts.append(text(axis.at(0), 32, "copies", "faint small", "middle"))
    for i, one in enumerate(ranked):
        parts += _row(room, axis, one, room.middle(top + room.row * i), times, spacing(ticks))
    for group, lane in bars.items():
        x = right + 16 + 9 * lane
        first, last = (room.middle(top + room.row * place) for place in group)
        parts.append(line(x, first - 6, x, last + 6, "tie"))
    alt = "; ".join(f"{one.rank.first if one.rank else ''} {short(one.attempt.title)}" for one in ranked)
    ties = ", ".join(f"{short(ranked[a].attempt.title)} to {short(ranked[b].attempt.title)}" for a, b in groups)
    return drawn(room, height, parts, f"Critical differences, rank and entry: {alt}. Not told apart: {ties or 'none'}.")


def _row(room: Room, axis: Axis, one: Standing, y: float, times: float, step: float) -> list[str]:
    """Rank, name, interval and mark of an entry."""
    gain = one.headline.gain
    assert gain.value is not None and gain.low is not None and gain.high is not None and one.rank is not None
    parts = [
        text(4, room.baseline(y), f"{one.rank.first}", "faint"),
        text(22, room.baseline(y), short(one.attempt.title, 22)),
        line(axis.at(gain.low * times), y, axis.at(gain.high * times), y, f"bar {kind(one)}"),
    ]
    value = gain.value * times
    if axis.holds(value):
        return [*parts, mark(axis.at(value), y, kind(one), control=one.control)]
    edge, right = axis.at(value), value > axis.high
    anchor, x = ("end", edge - 4) if right else ("start", edge + 4)
    label = text(x, y - 4, number(value, step), "faint small", anchor)
    return [*parts, arrow(edge, y, kind(one), right=right), label]


def _by_gain(ranked: Sequence[Standing], board: Board) -> list[int]:
    sign = -1.0 if board.protocol.primary.higher_is_better else 1.0
    return sorted(range(len(ranked)), key=lambda i: sign * (ranked[i].headline.gain.value or 0.0))


def tied_groups(apart: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The longest runs of neighbours (first, last) of which no two are told apart, of two entries or more."""
    n, found = len(apart), list[tuple[int, int]]()
    for first in range(n):
        last = first
        while last + 1 < n and not apart[first : last + 1, last + 1].any():
            last += 1
        if last > first and not (found and found[-1][1] >= last):
            found.append((first, last))
    return found


def _lanes(groups: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """A lane for each bar, so that overlapping ones stand side by side."""
    lanes: dict[tuple[int, int], int] = {}
    for group in groups:
        taken = {lane for other, lane in lanes.items() if other[1] >= group[0]}
        lanes[group] = next(lane for lane in range(len(groups) + 1) if lane not in taken)
    return lanes


# ---------------------------------------------------------------------------------------------- gain against cost


def gain_against_cost(board: Board) -> Drawing | None:
    """Every entry's gain against the seconds of its fit (logarithmic); None without two costs."""
    found = []
    for one in board.all:
        value = one.headline.gain.value
        seconds = next((c.fit_seconds for c in one.attempt.costs if c.size == board.size), None)
        if value is not None and seconds is not None and seconds > 0:
            found.append((math.log10(max(seconds, SHORTEST)), value * factor(board), one))
    return None if len(found) < 2 else in_both(lambda room: _against_cost(board, found, room))


def _against_cost(board: Board, found: Sequence[tuple[float, float, Standing]], place: Room) -> Drawing:
    height, end = 320.0, place.width - 20
    times = [point[0] for point in found]
    room = max(0.06 * (max(times) - min(times)), (NARROWEST - max(times) + min(times)) / 2)
    x = Axis(min(times) - room, max(times) + room, 52, end)
    y = around([point[1] for point in found], height - 46, 26)
    ticks = y.ticks()
    parts = [text(4, 14, gain_title(board), "faint")]
    for tick in ticks:
        parts.append(line(44, y.at(tick), end, y.at(tick), "zero" if tick == 0 else "grid"))
        parts.append(text(38, y.at(tick) + 4, number(tick, spacing(ticks)), "faint", "end"))
    for seconds in _times(x, place.ticks):
        at = x.at(math.log10(seconds))
        parts.append(line(at, 26, at, height - 46, "grid"))
        parts.append(text(at, height - 28, duration(seconds), "faint", "middle"))
    parts.append(text(place.width / 2 + 20, height - 8, "time of a fit", "faint", "middle"))
    for cost, value, one in found:
        parts.append(_point(x, y, cost, value, one))
    parts += names(place, [(x.at(found[i][0]), y.at(found[i][1]), found[i][2].attempt.title) for i in _named(found)])
    alt = f"Gain against the time of a fit, {len(found)} entries; both are columns of the table."
    return drawn(place, height, parts, alt)


def _point(x: Axis, y: Axis, cost: float, value: float, one: Standing) -> str:
    shortest = "at most " if 10**cost <= SHORTEST else ""
    title = f"{one.attempt.title}: {number(value, 0.01)}, {shortest}{duration(10**cost)}"
    if y.holds(value):
        return mark(x.at(cost), y.at(value), kind(one), control=one.control, title=title, size=5)
    flip = "" if value < y.low else " rotate(180)"
    place = f"{x.at(cost):.1f} {y.at(value):.1f}"
    shape = f'<polygon points="0,8 -5,-2 5,-2" transform="translate({place}){flip}" class="dot {kind(one)}">'
    return f"{shape}<title>{escape(title)}</title></polygon>"


def _times(axis: Axis, most: int) -> list[float]:
    """Seconds to mark on a logarithmic axis: the usual ones, or round ones where the axis holds fewer than two of them."""
    usual = [seconds for seconds in TIMES if axis.holds(math.log10(seconds))]
    return usual[:: 1 + (len(usual) > most)] if len(usual) > 1 else Axis(10**axis.low, 10**axis.high, 0, 1).ticks(4)


def _named(found: Sequence[tuple[float, float, Standing]]) -> list[int]:
    """The points with a name: all where they are few, else those that no other beats in both cost and gain."""
    if len(found) <= MOST_NAMES:
        return list(range(len(found)))
    best, kept = -math.inf, []
    for i in sorted(range(len(found)), key=lambda i: (found[i][0], -found[i][1])):
        if found[i][1] > best:
            best = found[i][1]
            kept.append(i)
    return kept[-MOST_NAMES:]
