"""The drawings of a board as inline SVG: utility against cost, and the critical-difference diagram.

Colours are the page's classes (no style attributes: the content-security policy refuses them), all text is escaped, and
what they show stands in the board's table as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from ...benchmark.report.words import duration
from ..attempts import Division
from ..standings import Board, Standing

MOST_ROWS = 30
"""Entries that a critical-difference diagram shows."""
MOST_NAMES = 12
"""Points that are named in the drawing of utility against cost."""
SHORTEST = 0.1
"""Seconds at the left edge of utility against cost: what takes less, as controls that fit nothing do, is drawn there."""
TIMES = (0.1, 1, 10, 60, 600, 3600, 36_000, 360_000)
NARROWEST = 0.5
"""Decades of seconds that utility against cost spans at least: times that hardly differ shall not look far apart."""
WIDTH = 520
FAR = 8.0
"""How many median deviations from the median a value may be before it is drawn at the edge."""


@dataclass(frozen=True)
class Drawing:
    """A drawing, and its words for those who do not see it."""

    svg: Markup
    alt: str


@dataclass(frozen=True)
class _Axis:
    """A linear axis: values `low` to `high` on pixels `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return self.start + (inside - self.low) / (self.high - self.low) * (self.end - self.start)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def ticks(self, wanted: int = 7) -> list[float]:
        """Round values across the axis."""
        step = 10 ** math.floor(math.log10((self.high - self.low) / wanted))
        step = next(step * f for f in (1, 2, 5, 10) if (self.high - self.low) / (step * f) <= wanted)
        first = math.ceil(self.low / step)
        return [i * step for i in range(first, math.floor(self.high / step) + 1)]


def _axis(values: Sequence[float], start: float, end: float) -> _Axis:
    """An axis for most of the values and 0: one far out (a generator of noise) does not press the others together, it
    is drawn as an arrow at the edge."""
    middle = float(np.median(values))
    reach = FAR * float(np.median(np.abs(np.array(values) - middle)))
    near = [0.0, *(v for v in values if not reach or abs(v - middle) <= reach)]
    low, high = min(near), max(near)
    room = 0.06 * (high - low) or max(abs(high), 1e-6) * 0.1
    return _Axis(low - room, high + room, start, end)


def _number(value: float, step: float) -> str:
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step else 0
    text = f"{value:+.{decimals}f}" if round(value, decimals) else "0"
    return text.replace("-", "\N{MINUS SIGN}")


def _svg(height: float, parts: Sequence[str], alt: str) -> Markup:
    body = "".join(parts)
    # Safe: every text in `parts` went through `escape`, the rest is numbers and class names of this module.
    return Markup(f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(alt)}">{body}</svg>')


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="t {kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _short(title: str, most: int = 26) -> str:
    """A title for little room: `lsgan (teacher)`, and the beginning of a long one."""
    name = title.replace(" (labels by ", " (")
    return name if len(name) <= most else name[: most - 1] + "…"


def _scale(board: Board) -> float:
    return 100.0 if board.protocol.primary.percent else 1.0


# ------------------------------------------------------------------------------------------- critical differences


def critical_difference(board: Board, division: Division) -> Drawing | None:
    """The ranked entries of a division with their intervals, and bars that join those which cannot be told apart.

    The best `MOST_ROWS` by rank; None below two.
    """
    ranked = [one for one in board.standings.get(division, []) if one.rank is not None][:MOST_ROWS]
    if len(ranked) < 2:
        return None
    apart = board.apart[division][: len(ranked), : len(ranked)]
    order = _by_utility(ranked, board)
    ranked, apart = [ranked[i] for i in order], apart[np.ix_(order, order)]
    groups = tied_groups(apart)
    bars = _lanes(groups)
    factor, left, right = _scale(board), 176.0, WIDTH - 24.0 - 9.0 * (max(bars.values(), default=-1) + 1)
    ends = [one.headline.difference for one in ranked]
    axis = _axis([v * factor for d in ends for v in (d.low, d.high) if v is not None], left, right)
    height, top = 34.0 + 22 * len(ranked) + 34, 34.0
    parts = [_text(left, 14, f"{board.arm.upper()} − REAL, {board.protocol.primary.label}", "faint")]
    ticks = axis.ticks()
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    for tick in ticks:
        parts.append(_line(axis.at(tick), top - 8, axis.at(tick), height - 30, "grid"))
        parts.append(_text(axis.at(tick), height - 14, _number(tick, step), "faint", "middle"))
    parts.append(_line(axis.at(0), top - 8, axis.at(0), height - 30, "zero"))
    parts.append(_text(axis.at(0), 28, "REAL", "faint small", "middle"))
    for i, one in enumerate(ranked):
        y, found = top + 22 * i + 11, one.headline.difference
        assert found.value is not None and found.low is not None and found.high is not None and one.rank is not None
        parts.append(_text(4, y + 4, f"{one.rank.first}", "faint"))
        parts.append(_text(22, y + 4, _short(one.attempt.title, 22)))
        parts.append(_line(axis.at(found.low * factor), y, axis.at(found.high * factor), y, f"bar {_kind(one)}"))
        if axis.holds(found.value * factor):
            parts.append(
                f'<circle cx="{axis.at(found.value * factor):.1f}" cy="{y:.1f}" r="4.5" class="dot {_kind(one)}"/>'
            )
        else:
            parts += _beyond(axis, found.value * factor, y, step, _kind(one))
    for group, lane in bars.items():
        x = right + 16 + 9 * lane
        parts.append(_line(x, top + 22 * group[0] + 5, x, top + 22 * group[1] + 17, "tie"))
    alt = "; ".join(f"{one.rank.first if one.rank else ''} {_short(one.attempt.title)}" for one in ranked)
    ties = ", ".join(f"{_short(ranked[a].attempt.title)} to {_short(ranked[b].attempt.title)}" for a, b in groups)
    said = f"Critical differences, rank and entry: {alt}. Not told apart: {ties or 'none'}."
    return Drawing(_svg(height, parts, said), said)


def _beyond(axis: _Axis, value: float, y: float, step: float, kind: str) -> list[str]:
    """An arrow at the edge of a horizontal axis, with the value that lies beyond it."""
    x, sign = axis.at(value), -1 if value < axis.low else 1
    points = f"{x + 8 * sign:.1f},{y:.1f} {x:.1f},{y - 5:.1f} {x:.1f},{y + 5:.1f}"
    label = _text(x - 6 * sign, y + 4, _number(value, step), "faint small", "start" if sign < 0 else "end")
    return [f'<polygon points="{points}" class="dot {kind}"/>', label]


def _by_utility(ranked: Sequence[Standing], board: Board) -> list[int]:
    sign = -1.0 if board.protocol.primary.higher_is_better else 1.0
    return sorted(range(len(ranked)), key=lambda i: sign * (ranked[i].headline.difference.value or 0.0))


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


def _kind(one: Standing) -> str:
    return {1: "better", -1: "worse", 0: "even"}[one.rank.told] if one.rank else "unranked"


# ------------------------------------------------------------------------------------------- utility against cost


def utility_against_cost(board: Board) -> Drawing | None:
    """Every entry's utility against the seconds of its fit (logarithmic); None without two costs."""
    points = []
    for one in board.all:
        value = one.headline.difference.value
        seconds = next((c.fit_seconds for c in one.attempt.costs if c.size == board.size), None)
        if value is not None and seconds is not None and seconds > 0:
            points.append((math.log10(max(seconds, SHORTEST)), value * _scale(board), one))
    if len(points) < 2:
        return None
    height = 320.0
    times = [point[0] for point in points]
    room = max(0.06 * (max(times) - min(times)), (NARROWEST - max(times) + min(times)) / 2)
    x = _Axis(min(times) - room, max(times) + room, 52, WIDTH - 20)
    y = _axis([point[1] for point in points], height - 46, 26)
    ticks = y.ticks()
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    parts = [_text(4, 14, f"{board.arm.upper()} − REAL, {board.protocol.primary.label}", "faint")]
    for tick in ticks:
        parts.append(_line(44, y.at(tick), WIDTH - 20, y.at(tick), "zero" if tick == 0 else "grid"))
        parts.append(_text(38, y.at(tick) + 4, _number(tick, step), "faint", "end"))
    for seconds in _times(x):
        at = x.at(math.log10(seconds))
        parts.append(_line(at, 26, at, height - 46, "grid"))
        parts.append(_text(at, height - 28, duration(seconds), "faint", "middle"))
    parts.append(_text(WIDTH / 2 + 20, height - 8, "time of a fit", "faint", "middle"))
    for cost, value, one in points:
        shortest = "at most " if 10**cost <= SHORTEST else ""
        title = escape(f"{one.attempt.title}: {_number(value, 0.01)}, {shortest}{duration(10**cost)}")
        place, kind = f"{x.at(cost):.1f} {y.at(value):.1f}", _kind(one)
        if y.holds(value):
            shape = f'<circle cx="{x.at(cost):.1f}" cy="{y.at(value):.1f}" r="5" class="dot {kind}">'
            parts.append(f"{shape}<title>{title}</title></circle>")
        else:
            flip = "" if value < y.low else " rotate(180)"
            shape = f'<polygon points="0,8 -5,-2 5,-2" transform="translate({place}){flip}" class="dot {kind}">'
            parts.append(f"{shape}<title>{title}</title></polygon>")
    parts += _names([(x.at(points[i][0]), y.at(points[i][1]), points[i][2].attempt.title) for i in _named(points)])
    alt = f"Utility against the time of a fit, {len(points)} entries; both are columns of the table."
    return Drawing(_svg(height, parts, alt), alt)


def _times(axis: _Axis) -> list[float]:
    """Seconds to mark on a logarithmic axis: the usual ones, or round ones where the axis holds fewer than two of them."""
    usual = [seconds for seconds in TIMES if axis.holds(math.log10(seconds))]
    return usual if len(usual) > 1 else _Axis(10**axis.low, 10**axis.high, 0, 1).ticks(4)


def _names(points: Sequence[tuple[float, float, str]]) -> list[str]:
    """Names beside their points, left or right, above or below; one that would cover another is left out (its point has
    it as a tooltip, and the table)."""
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y, _ in points]
    parts = []
    for x, y, name in points:
        text = _short(name, 20)
        width = 6.4 * len(text)
        for dx, dy, anchor in ((9, 4, "start"), (-9, 4, "end"), (0, -10, "middle"), (0, 18, "middle")):
            left = x + dx - {"start": 0.0, "end": width, "middle": width / 2}[anchor]
            box = (left, y + dy - 9, left + width, y + dy + 3)
            clear = all(box[2] < o[0] or o[2] < box[0] or box[3] < o[1] or o[3] < box[1] for o in taken)
            if clear and left > 42 and left + width < WIDTH:
                taken.append(box)
                parts.append(_text(x + dx, y + dy, text, "small", anchor))
                break
    return parts


def _named(points: Sequence[tuple[float, float, Standing]]) -> list[int]:
    """The points with a name: all where they are few, else those that no other beats in both cost and utility."""
    if len(points) <= MOST_NAMES:
        return list(range(len(points)))
    best, kept = -math.inf, []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if points[i][1] > best:
            best = points[i][1]
            kept.append(i)
    return kept[-MOST_NAMES:]
