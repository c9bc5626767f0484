"""What lies on and in patients and on the film: tubes, lines, leads, a pacemaker, wires of the sternum, letters of lead.

All are polygons in chest coordinates (see `anatomy`), as `film.Extras` takes them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ... import exact
from ...draws import Draw
from .anatomy import Anatomy
from .outlines import LEFT, RIGHT, level, smooth
from .raster import Points, Thing, points, ribbons
from .vessels import hilum

_DISC_COS, _DISC_SIN = exact.circle(2.0 * np.pi * np.arange(12.0) / 12.0)
_LETTERS = {
    "R": (((0.0, 1.0), (0.0, 0.0), (0.6, 0.0), (0.75, 0.25), (0.6, 0.5), (0.0, 0.5)), ((0.25, 0.5), (0.75, 1.0))),
    "L": (((0.0, 0.0), (0.0, 1.0), (0.65, 1.0)),),
}


def draw_devices(person: Anatomy, rng: Draw) -> list[Thing]:
    """What is on one film: on many a marker alone, on some several things."""
    things: list[Thing] = []
    for share, device in _DEVICES:
        if rng.random() < share:
            things += device(person, rng)
    return things


def _curve(through: list[tuple[float, float]], half_width: float) -> Points:
    """A bent cord through some points, (1, n, 2)."""
    line = smooth(np.array(through), 5, closed=False)
    return ribbons(line[None], np.full((1, 1), half_width))[0]


def _disc(x: float, y: float, radius: float) -> Points:
    return points(x + radius * _DISC_COS, y + radius * _DISC_SIN)[None]


def _marker(person: Anatomy, rng: Draw) -> list[Thing]:
    """R or L on its side, somewhere beside the upper chest."""
    name, sign = ("R", RIGHT) if rng.random() < 0.8 else ("L", LEFT)
    high = rng.uniform(0.03, 0.07)
    x = sign * (person.half_width + rng.uniform(-0.02, 0.14)) - 0.4 * high
    y = person.apex_y + rng.uniform(-0.12, 0.45)
    strokes = [np.array(stroke) * high + (x, y) for stroke in _LETTERS[name]]
    return [(ribbons(stroke[None], np.full((1, 1), 0.10 * high))[0], 4.0) for stroke in strokes]


def _small_print(person: Anatomy, rng: Draw) -> list[Thing]:
    """A line of small print at the border, too small to read."""
    count = rng.integer(5, 14)
    x, y = rng.uniform(-0.5, 0.25), person.apex_y + rng.choice((-0.14, -0.10, 0.78, 0.84))
    rings = []
    for place in range(count):
        wide, high = rng.uniform(0.004, 0.010), rng.uniform(0.008, 0.014)
        left = x + 0.016 * place
        rings.append(np.array([(left, y), (left + wide, y), (left + wide, y + high), (left, y + high)]))
    return [(np.stack(rings), 3.0)]


def _tracheal_tube(person: Anatomy, rng: Draw) -> list[Thing]:
    end = level(person, rng.uniform(0.20, 0.35))
    x = 0.6 * person.turn
    way = [(rng.normal(0.0, 0.02), -0.25), (rng.normal(0.0, 0.01), -0.05), (0.5 * x, 0.5 * (end - 0.05)), (x, end)]
    return [(_curve(way, 0.009), 0.25), (_curve([(px + 0.006, py) for px, py in way], 0.0015), 1.0)]


def _stomach_tube(person: Anatomy, rng: Draw) -> list[Thing]:
    """Down the oesophagus, then to the left below the dome."""
    sway = rng.normal(0.0, 0.01)
    base = level(person, 1.0)
    way = [(0.01, -0.25), (sway, 0.1), (sway + 0.01, level(person, 0.5)), (0.02, base - 0.05)]
    return [(_curve([*way, (0.08, base + 0.04), (0.11, base + rng.uniform(0.05, 0.15))], 0.004), 0.7)]


def _central_line(person: Anatomy, rng: Draw) -> list[Thing]:
    """From a jugular or a subclavian vein to the vena cava."""
    sign = RIGHT if rng.random() < 0.7 else LEFT
    end = (person.turn - 0.8 * person.mediastinum_width, level(person, rng.uniform(0.30, 0.50)))
    top = (end[0] + 0.008, level(person, 0.16))
    if rng.random() < 0.5:
        way = [(sign * 0.075, -0.25), (sign * 0.065, person.apex_y - 0.06)]
    else:
        way = [(sign * (person.half_width + 0.04), person.apex_y + 0.14), (sign * 0.17, person.apex_y + 0.05)]
    return [(_curve([*way, top, end], 0.003), 0.9)]


def _leads(person: Anatomy, rng: Draw) -> list[Thing]:
    """Electrodes on the chest, each with its wire to somewhere outside the film."""
    things: list[Thing] = []
    away = (rng.choice((-0.7, 0.7)), rng.uniform(0.0, 1.2))
    for _ in range(rng.integer(2, 5)):
        x = rng.choice((RIGHT, LEFT)) * rng.uniform(0.12, person.half_width + 0.03)
        y = level(person, rng.uniform(0.05, 1.05))
        bend = (0.5 * (x + away[0]) + rng.normal(0.0, 0.08), 0.5 * (y + away[1]) + rng.normal(0.0, 0.12))
        things.append((_disc(x, y, rng.uniform(0.009, 0.016)), rng.uniform(0.8, 2.5)))
        things.append((_curve([(x, y), bend, away], rng.uniform(0.0018, 0.0035)), rng.uniform(0.7, 1.8)))
    return things


def _pacemaker(person: Anatomy, rng: Draw) -> list[Thing]:
    """A can below a clavicle and one or two leads to the heart."""
    sign = LEFT if rng.random() < 0.8 else RIGHT
    x, y = sign * rng.uniform(0.20, 0.28), person.apex_y + rng.uniform(0.12, 0.20)
    wide, high = rng.uniform(0.040, 0.055), rng.uniform(0.038, 0.050)
    corner = np.array([(-0.7, -1), (0.7, -1), (1, -0.5), (1, 0.6), (0.5, 1), (-0.5, 1), (-1, 0.6), (-1, -0.5)])
    things: list[Thing] = [((corner * (wide, high) + (x, y))[None], rng.uniform(1.5, 3.5))]
    heart = 2.0 * person.half_width * person.cardiothoracic_ratio
    cava = (person.turn - 0.7 * person.mediastinum_width, level(person, 0.35))
    for end in ((0.45, 0.85), (-0.15, 0.62))[: rng.integer(1, 3)]:
        tip = (person.turn + heart * end[0], level(person, end[1]))
        way = [
            (x, y - high),
            (0.5 * (x + cava[0]), person.apex_y + 0.04),
            cava,
            (cava[0] + 0.02, level(person, 0.66)),
            tip,
        ]
        things.append((_curve(way, 0.0028), 1.8))
    return things


def _sternal_wires(person: Anatomy, rng: Draw) -> list[Thing]:
    """Loops down the middle, left by an operation, sometimes clips beside them."""
    things: list[Thing] = []
    x = -1.2 * person.turn
    for place in range(rng.integer(4, 8)):
        y, slope = level(person, 0.18 + 0.11 * place), rng.normal(0.0, 0.006)
        loop = [(x - 0.020, y + slope), (x, y - 0.007), (x + 0.020, y - slope), (x, y + 0.008)]
        things.append((_curve([*loop, loop[0]], 0.0020), 2.0))
    return things


def _chest_drain(person: Anatomy, rng: Draw) -> list[Thing]:
    """From the side towards the apex."""
    sign = rng.choice((RIGHT, LEFT))
    entry = level(person, rng.uniform(0.55, 0.85))
    end_x, _ = hilum(person, sign)
    way = [(sign * (person.half_width + 0.25), entry + 0.1), (sign * (person.half_width - 0.02), entry)]
    end = (end_x + sign * rng.uniform(0.02, 0.12), level(person, rng.uniform(0.10, 0.35)))
    middle = (0.5 * (way[1][0] + end[0]) + sign * 0.03, 0.5 * (entry + end[1]))
    return [(_curve([*way, middle, end], 0.010), 0.22), (_curve([*way, middle, end], 0.0016), 1.0)]


_DEVICES: tuple[tuple[float, Callable[[Anatomy, Draw], list[Thing]]], ...] = (
    (0.70, _marker),
    (0.35, _small_print),
    (0.14, _tracheal_tube),
    (0.14, _stomach_tube),
    (0.16, _central_line),
    (0.30, _leads),
    (0.08, _pacemaker),
    (0.08, _sternal_wires),
    (0.06, _chest_drain),
)
"""How often each is there."""
