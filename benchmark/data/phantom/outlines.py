"""From a person's numbers to outlines: polygons of organs, bones and gas in chest coordinates.

Sides are the patient's: the right lung has negative x and is on the left of the picture. Every function
returns closed rings (n, 2), or stacks of them (k, n, 2), in the coordinates of `anatomy`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ... import exact
from .anatomy import Anatomy
from .raster import Points, points, ribbons

RIGHT, LEFT = -1, 1  # sign of x on the patient's right and left side


def steps(count: int) -> NDArray[np.float64]:
    """`count` numbers from 0 to 1 at even distances."""
    return np.arange(float(count)) / float(count - 1)


_LATERAL = steps(28) * steps(28)  # denser at the apex, where the border turns
_DOME = steps(20)
_TURN_COS, _TURN_SIN = exact.circle(0.5 * np.pi * steps(9))


@lru_cache(maxsize=32)
def _catmull_rom(points: int, per_segment: int, closed: bool) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The four control points of every segment (segments, 4), and their weights along it (per_segment, 4)."""
    segments = points if closed else points - 1
    t = np.arange(float(per_segment)) / float(per_segment)
    t2 = t * t
    t3 = t2 * t
    weights = 0.5 * np.stack([2.0 * t2 - t - t3, 2.0 - 5.0 * t2 + 3.0 * t3, t + 4.0 * t2 - 3.0 * t3, t3 - t2], axis=1)
    control = np.arange(segments)[:, None] + np.arange(-1, 3)[None]
    return control % points if closed else np.clip(control, 0, points - 1), weights


def smooth(points: Points, per_segment: int = 6, closed: bool = True) -> Points:
    """A curve through the given points (Catmull-Rom)."""
    control, weights = _catmull_rom(len(points), per_segment, closed)
    near = points[control]  # (segments, 4, 2)
    parts = [weights[None, :, k, None] * near[:, None, k] for k in range(4)]
    curve = (((parts[0] + parts[1]) + parts[2]) + parts[3]).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, points[-1:]])


@dataclass(frozen=True, eq=False)
class Side:
    """One half of the thorax: its border along ribs and diaphragm, x positive towards its own side."""

    sign: int
    wall: Points  # apex to costophrenic angle
    dome: Points  # costophrenic angle to midline

    def wall_x(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        return exact.interp(y, self.wall[:, 1], self.wall[:, 0])

    def dome_y(self, x: float) -> float:
        return float(exact.interp(np.array(x), self.dome[::-1, 0], self.dome[::-1, 1]))


def level(person: Anatomy, height: float) -> float:
    """y at a fraction of the lung height: 0 at the apex, 1 at the costophrenic angle."""
    return person.apex_y + (person.angle_y - person.apex_y) * height


def _levels(person: Anatomy, heights: NDArray[np.float64]) -> NDArray[np.float64]:
    return person.apex_y + (person.angle_y - person.apex_y) * heights


@lru_cache(maxsize=8)
def side(person: Anatomy, sign: int) -> Side:
    """The right (-1) or left (+1) half of the thorax."""
    left = sign == LEFT
    apex_y = person.apex_y - (person.apex_lift_left if left else 0.0)
    angle_y = person.angle_y + (person.angle_drop_left if left else 0.0)
    width = person.half_width + sign * person.side_difference
    reach = np.minimum(_LATERAL / 0.86, 1.0)
    x = person.apex_x + (width - person.apex_x) * np.sqrt(1.0 - exact.power(1.0 - reach, person.cage_roundness))
    inwards = np.maximum(_LATERAL - 0.86, 0.0) / 0.14
    x -= 0.020 * (inwards * inwards)
    wall = points(x, apex_y + (angle_y - apex_y) * _LATERAL)
    peak = person.dome_peak + (0.04 if left else 0.0)
    peak_y = person.angle_y - person.dome_right + (person.dome_gap if left else 0.0)
    from_peak = (_DOME - peak) / np.where(peak > _DOME, -peak, 1.0 - peak)
    steep = exact.power(from_peak, 2.4)
    fall = np.where(peak > _DOME, (angle_y - peak_y) * steep, 0.035 * (from_peak * from_peak))
    dome = points(wall[-1, 0] * (1.0 - _DOME), peak_y + fall)
    return Side(sign, wall, dome)


def lung(half: Side) -> Points:
    """The whole lung of one side, the part behind heart and mediastinum included."""
    inner = 0.0
    apex_x, apex_y = half.wall[0]
    turn_y = apex_y + 0.15
    medial = np.stack(
        [apex_x - (apex_x - inner) * _TURN_COS, turn_y - (turn_y - apex_y) * _TURN_SIN],
        axis=1,
    )
    ring = np.concatenate([half.wall, half.dome[1:], medial[:-1]])
    return ring * (half.sign, 1.0)


def heart(person: Anatomy, right: Side, left: Side) -> Points:
    """The heart's silhouette; its width is the cardiothoracic ratio times the inner width of the thorax."""
    width = 2.0 * person.half_width * person.cardiothoracic_ratio
    to_right, to_left = width * person.heart_right_share, width * (1.0 - person.heart_right_share)
    top = level(person, person.heart_top)
    base_right = right.dome_y(0.6 * to_right) + 0.018
    base_left = left.dome_y(0.75 * to_left) + 0.022
    deep = max(base_right, base_left) + 0.018
    high_right, high_left = base_right - top, base_left - top
    waist = 0.055 * person.heart_waist
    ring = np.array(
        [
            (-0.76 * to_right, base_right),
            (-0.98 * to_right, base_right - 0.30 * high_right),
            (-0.93 * to_right, base_right - 0.55 * high_right),
            (-0.62 * to_right, base_right - 0.84 * high_right),
            (-0.12 * to_right, top),
            (0.26 * to_left, top + 0.04 * high_left),
            ((0.58 - waist) * to_left, top + 0.24 * high_left),
            ((0.83 - waist) * to_left, top + 0.46 * high_left),
            (0.97 * to_left, top + (0.77 - person.apex_rise) * high_left),
            (1.0 * to_left, top + (0.97 - person.apex_rise) * high_left),
            (0.88 * to_left, base_left),
            (0.35 * to_left, deep),
        ]
    )
    curve = smooth(ring)
    curve[:, 0] += person.turn
    return curve


def mediastinum(person: Anatomy) -> Points:
    """Great vessels, aortic arch and spine: the central shadow from the neck to the abdomen."""
    half = person.mediastinum_width
    heights = np.array([-0.30, -0.02, 0.10, 0.19, 0.255, 0.31, 0.37, 0.43, 0.52, 0.68, 1.0, 1.4])
    y = _levels(person, heights)
    to_right = half * np.array([1.2, 1.0, 0.92, 0.95, 1.05, 1.05, 1.02, 1.10, 1.05, 0.72, 0.70, 0.7])
    bulge = person.aortic_knob * np.array([0, 0, 0, 0.35, 1.0, 0.85, 0.12, 0, 0, 0, 0, 0])
    bulge = bulge + person.pulmonary_bulge * np.array([0, 0, 0, 0, 0, 0, 0.45, 1.0, 0.6, 0, 0, 0])
    to_left = half * np.array([1.2, 1.0, 0.90, 0.88, 0.88, 0.88, 0.88, 0.92, 0.92, 0.75, 0.72, 0.7]) + bulge
    sway = person.turn * np.clip((heights + 0.1) / 0.4, 0.0, 1.0)
    right_border = smooth(points(sway - to_right, y), 5, closed=False)
    left_border = smooth(points(sway + to_left, y), 5, closed=False)
    return np.concatenate([right_border, left_border[::-1]])


_ALONG_CLAVICLE = steps(24)
_CLAVICLE_BEND = exact.sin(2.0 * np.pi * exact.power(_ALONG_CLAVICLE, 0.9))
_CLAVICLE_HEAD = exact.bell((_ALONG_CLAVICLE / 0.13) * (_ALONG_CLAVICLE / 0.13))


def clavicle(person: Anatomy, sign: int) -> tuple[Points, Points]:
    """One clavicle as an S-shaped bar from the sternum to the shoulder, and its marrow."""
    s = _ALONG_CLAVICLE
    rise = person.clavicle_rise_left if sign == LEFT else person.clavicle_rise_right
    # Turning the patient moves the sternal ends with the front of the chest, the opposite way of the spine.
    inner_x = 0.030 + sign * 1.2 * person.turn
    outer_x = person.half_width + 0.055
    y = person.apex_y + person.clavicle_y - rise * s - person.clavicle_bend * _CLAVICLE_BEND
    centre = points(sign * (inner_x + (outer_x - inner_x) * s), y)
    shape = 1.0 + 0.45 * _CLAVICLE_HEAD + 0.20 * (s > 0.75) * (s - 0.75) / 0.25
    width = person.clavicle_thickness * shape[None]
    bone, marrow = ribbons(centre[None], width, 0.55 * width)
    return bone[0], marrow[0]


def rib_cage(right: Side, left: Side, margin: float) -> Points:
    """Outer border of the ribs, `margin` outside the pleura, open towards neck and abdomen."""
    borders = []
    for half in (right, left):
        x, y = half.wall[:, 0] + margin, half.wall[:, 1].copy()
        y[0] -= margin
        border = points(half.sign * x, y)
        inner = [(half.sign * 0.02, y[0] - margin * 0.3)]
        outer = [(half.sign * x[-1], y[-1] + 0.25)]
        borders.append(np.concatenate([inner, border, outer]))
    return np.concatenate([borders[0], borders[1][::-1]])


BACK_RIBS, FRONT_RIBS = 10, 7  # drawn on each side
_ALONG_RIB = steps(14)
_RIB_ACROSS, _RIB_DOWN, _RIB_FORWARD = (exact.power(_ALONG_RIB, exponent) for exponent in (0.9, 2.3, 1.7))
_RIB_ARCH = exact.sin(np.pi * np.minimum(_ALONG_RIB * 1.6, 1.0))


def rib_lines(person: Anatomy, half: Side) -> tuple[Points, Points]:
    """Centre lines of ten posterior and seven anterior ribs of one side, (10, 14, 2) and (7, 14, 2)."""
    s = _ALONG_RIB
    k = np.arange(float(BACK_RIBS))[:, None]
    start_y = _levels(person, -0.045 + person.rib_pitch * k)
    drop = person.rib_slope + 0.055 + 0.006 * k
    end_y = start_y + drop
    end_x = half.wall_x(end_y) + 0.006
    posterior_x = 0.030 + (end_x - 0.030) * _RIB_ACROSS
    posterior_y = start_y - 0.018 * _RIB_ARCH + drop * _RIB_DOWN
    k, front_x, front_y = k[:FRONT_RIBS], end_x[:FRONT_RIBS], end_y[:FRONT_RIBS]
    anterior_x = front_x - (front_x - (0.150 + 0.008 * k)) * _RIB_FORWARD
    anterior_y = front_y + (0.125 + 0.010 * k + 0.7 * person.rib_slope) * s
    stack_back = points(half.sign * posterior_x, posterior_y)
    return stack_back, points(half.sign * anterior_x, anterior_y)


_ALONG_BRONCHUS = steps(7)
_BRONCHUS_BEND = exact.power(_ALONG_BRONCHUS, 0.9)


def trachea(person: Anatomy) -> Points:
    """Windpipe and both main bronchi as ribbons, (3, 14, 2)."""
    carina = level(person, 0.36)
    s = _ALONG_BRONCHUS
    shift = 0.6 * person.turn - 0.15 * person.aortic_knob  # the arch pushes it to the right
    pipe = points(shift * s, -0.15 + (carina + 0.15) * s)
    right = points(shift - 0.060 * s, carina + 0.075 * _BRONCHUS_BEND)
    left = points(shift + 0.075 * s, carina + 0.062 * s)
    widths = np.array([[0.022], [0.014], [0.012]]) * (1.0 - 0.15 * s)
    return ribbons(np.stack([pipe, right, left]), widths)[0]


def scapula(person: Anatomy, sign: int) -> Points:
    """Shoulder blade: a tall triangle beside and partly over the upper lung."""
    inner = person.half_width - person.scapula_overlap
    top = person.apex_y + 0.045
    ring = np.array(
        [
            (inner - 0.035, top + 0.03),
            (inner + 0.11, top + 0.01),
            (inner + 0.125, top + 0.075),
            (inner + 0.080, top + 0.17),
            (inner + 0.035, top + 0.31),
            (inner + 0.010, top + 0.32),
            (inner - 0.020, top + 0.17),
        ]
    )
    return smooth(ring, 4) * (sign, 1.0)


def shoulder(person: Anatomy, sign: int) -> Points:
    """Soft tissue from the neck over the shoulder and down the hanging arm."""
    slope, gap = person.shoulder_slope, person.arm_gap
    edge = person.half_width + person.body_margin
    ring = np.array(
        [
            (0.0, -0.30),
            (0.105, -0.30),
            (0.110, -0.03),
            (0.150, 0.005),
            (0.300, 0.005 + 0.35 * slope),
            (0.430, 0.015 + 0.75 * slope),
            (0.560, 0.060 + 1.20 * slope),
            (0.620 + gap, 0.50),
            (0.640 + 1.5 * gap, 1.2),
            (edge + 0.05 + 1.6 * gap, 1.2),
            (edge + 0.04 + gap, 0.72),
            (edge + 0.02 + 0.3 * gap, 0.56),
            (edge - 0.02, 0.52),
            (0.240, 0.500),
            (0.0, 0.300),
        ]
    )
    return smooth(ring, 5) * (sign, 1.0)


_ROUND_COS, _ROUND_SIN = exact.circle(2.0 * np.pi * np.arange(20.0) / 20.0)


def humerus(person: Anatomy, sign: int) -> tuple[Points, Points]:
    """Head and shaft of the upper arm."""
    x, y = person.half_width + 0.115, person.apex_y + 0.075
    head = points(x + 0.050 * _ROUND_COS, y + 0.055 * _ROUND_SIN)
    line = np.array([[(x + 0.02, y + 0.02), (x + 0.04 + 0.4 * person.arm_gap, 0.6), (x + person.arm_gap, 1.2)]])
    shaft = ribbons(line, np.array([[0.030, 0.024, 0.024]]))[0][0]
    return head * (sign, 1.0), shaft * (sign, 1.0)


_ALONG_BUBBLE = steps(12)
_BUBBLE_EDGE = exact.power(np.abs(2.0 * _ALONG_BUBBLE - 1.0), 6.0)
_BUBBLE_DEPTH = exact.power(np.maximum(exact.sin(np.pi * _ALONG_BUBBLE), 0.0), 0.7)


def stomach_bubble(left: Side) -> Points:
    """Gas under the left dome."""
    s = _ALONG_BUBBLE
    x = left.dome[0, 0] * (0.28 + 0.46 * s)
    roof = exact.interp(x, left.dome[::-1, 0], left.dome[::-1, 1]) + 0.022 + 0.02 * _BUBBLE_EDGE
    floor = roof + 0.055 * _BUBBLE_DEPTH * (1.2 - 0.5 * s)
    return np.concatenate([points(x, roof), points(x, floor)[::-1]])
