"""What drawings are made of: axes, lines, texts and marks as inline SVG.

Colours are the page's classes (no style attributes: the content-security policy refuses them), all text is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

FAR = 8.0
"""How many median deviations from the median a value may be before it is drawn at the edge."""


@dataclass(frozen=True)
class Drawing:
    """A drawing, and its words for those who do not see it."""

    svg: Markup
    alt: str


@dataclass(frozen=True)
class Room:
    """How much room a drawing has, in pixels, and where a row of it has its name: beside its marks, or `above` them."""

    name: str
    """The class by which the style sheet shows it."""
    width: float
    row: float
    ticks: int
    """About how many values an axis across it names."""
    above: bool = False

    def left(self, beside: float, above: float) -> float:
        """Where an axis begins, with names beside it or above."""
        return above if self.above else beside

    def middle(self, top: float) -> float:
        """The middle of the marks of a row that begins at `top`."""
        return top + (self.row - 9 if self.above else self.row / 2)

    def baseline(self, y: float) -> float:
        """Where the name of a row stands whose marks have their middle at `y`."""
        return y - 11 if self.above else y + 4


WIDE, NARROW = Room("wide", 520, 22, 7), Room("narrow", 330, 34, 4, above=True)
"""Of a page, and of a telephone, where the letters of a wide drawing would be too small to read."""


@dataclass(frozen=True)
class Axis:
    """A linear axis: values `low` to `high` on pixels `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of a value; of one beyond the axis, its end."""
        inside = min(max(value, self.low), self.high)
        return self.start + (inside - self.low) / (self.high - self.low) * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Whether a value lies on the axis."""
        return self.low <= value <= self.high

    def ticks(self, wanted: int = 7) -> list[float]:
        """Round values across the axis."""
        step = 10 ** math.floor(math.log10((self.high - self.low) / wanted))
        step = next(step * f for f in (1, 2, 5, 10) if (self.high - self.low) / (step * f) <= wanted)
        first = math.ceil(self.low / step)
        return [i * step for i in range(first, math.floor(self.high / step) + 1)]


def around(values: Sequence[float], start: float, end: float) -> Axis:
    """An axis for most of the values and 0: one far out (a generator of noise) does not press the others together, it
    is drawn as an arrow at the edge."""
    middle = float(np.median(values))
    reach = FAR * float(np.median(np.abs(np.array(values) - middle)))
    return spanning([0.0, *(v for v in values if not reach or abs(v - middle) <= reach)], start, end)


def spanning(values: Sequence[float], start: float, end: float) -> Axis:
    """An axis that holds all values, with a little room."""
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or max(abs(high), 1e-6) * 0.1
    return Axis(low - room, high + room, start, end)


def spacing(ticks: Sequence[float]) -> float:
    """The distance of ticks."""
    return ticks[1] - ticks[0] if len(ticks) > 1 else 1.0


def number(value: float, step: float, *, sign: bool = True) -> str:
    """A value with as many decimals as a step of its axis has."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step else 0
    if not sign:
        return f"{value:.{decimals}f}"
    text = f"{value:+.{decimals}f}" if round(value, decimals) else "0"
    return text.replace("-", "\N{MINUS SIGN}")


def in_both(draw: Callable[[Room], Drawing | None]) -> Drawing | None:
    """A drawing in two widths, of which the style sheet shows one; None where there is nothing to draw."""
    wide, narrow = draw(WIDE), draw(NARROW)
    return None if wide is None or narrow is None else Drawing(wide.svg + narrow.svg, wide.alt)


def drawn(room: Room, height: float, parts: Sequence[str], alt: str) -> Drawing:
    """The drawing of its parts, which went through the functions of this module."""
    body = "".join(parts)
    # Safe: every text in `parts` went through `escape`, the rest is numbers and class names of this package.
    box = f'class="{room.name}" viewBox="0 0 {room.width:.0f} {height:.0f}"'
    return Drawing(Markup(f'<svg {box} role="img" aria-label="{escape(alt)}">{body}</svg>'), alt)


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """A text at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="t {kind}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A line between two places."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def path(places: Sequence[tuple[float, float]], kind: str) -> str:
    """Straight lines through places."""
    return f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}" class="{kind}"/>'


def mark(x: float, y: float, kind: str, *, control: bool = False, title: str = "", size: float = 4.5) -> str:
    """A dot; of a control, a diamond. `title`: what a pointer over it shows."""
    said = f"<title>{escape(title)}</title>" if title else ""
    if control:
        s = size * 1.35
        corners = f"{x:.1f},{y - s:.1f} {x + s:.1f},{y:.1f} {x:.1f},{y + s:.1f} {x - s:.1f},{y:.1f}"
        return f'<polygon points="{corners}" class="dot {kind}">{said}</polygon>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:g}" class="dot {kind}">{said}</circle>'


def arrow(x: float, y: float, kind: str, *, right: bool) -> str:
    """A head at the edge of a horizontal axis: what lies beyond it."""
    sign = 1 if right else -1
    return f'<polygon points="{x + 8 * sign:.1f},{y:.1f} {x:.1f},{y - 5:.1f} {x:.1f},{y + 5:.1f}" class="dot {kind}"/>'


def short(title: str, most: int = 26) -> str:
    """A title for little room: `lsgan (teacher)`, and the beginning of a long one."""
    name = title.replace(" (labels by ", " (")
    return name if len(name) <= most else name[: most - 1] + "…"


Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""
BESIDE = ((9, 4, "start"), (-9, 4, "end"), (0, -10, "middle"), (0, 18, "middle"))
ASKEW = ((7, -6, "start"), (-7, -6, "end"), (7, 15, "start"), (-7, 15, "end"))


def names(room: Room, points: Sequence[tuple[float, float, str]], bars: Sequence[Box] = ()) -> list[str]:
    """Names beside their points, left or right, above or below; one that would cover another is left out (its point has
    it as a tooltip, and the table). Where there are `bars`, a name lies over none of them where it can, and askew of its
    point where it must."""
    left_of, top_of, right_of, bottom_of = (np.empty(2 * len(points) + len(bars)) for _ in range(4))
    sides, count = (left_of, top_of, right_of, bottom_of), 0
    for box in (*bars, *((x - 6, y - 6, x + 6, y + 6) for x, y, _ in points)):
        count = _take(sides, count, box)
    tries = [(0, place) for place in (*BESIDE, *(ASKEW if bars else ()))]
    tries += [(len(bars), place) for place in (*ASKEW, *BESIDE) if bars]
    parts = []
    for x, y, name in points:
        words = short(name, 20)
        width = 6.4 * len(words)
        for first, (dx, dy, anchor) in tries:
            left = x + dx - {"start": 0.0, "end": width, "middle": width / 2}[anchor]
            box = (left, y + dy - 9, left + width, y + dy + 3)
            apart = (box[2] < left_of[first:count]) | (right_of[first:count] < box[0])
            apart |= (box[3] < top_of[first:count]) | (bottom_of[first:count] < box[1])
            if left > 42 and left + width < room.width and apart.all():
                count = _take(sides, count, box)
                parts.append(text(x + dx, y + dy, words, "small", anchor))
                break
    return parts


def _take(sides: Sequence[npt.NDArray[np.float64]], count: int, box: Sequence[float]) -> int:
    """Put a box behind the others; how many there are."""
    for side, value in zip(sides, box, strict=True):
        side[count] = value
    return count + 1
