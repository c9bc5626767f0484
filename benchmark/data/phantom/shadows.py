"""What the signs of disease are drawn with: shares of a lung's gas, places in it, soft shapes, tight boxes.

All shapes live in chest coordinates (see `anatomy`), so that a sign lies at the same place of the same person in every
film. A `Sign` is one finding on one film: it may change the person (a wide heart) and then casts its shadow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from ... import exact
from ...draws import Draw
from . import outlines
from .anatomy import Anatomy
from .depths import Depths, Plane
from .outlines import LEFT, RIGHT

PICTURE_CM = 36.0  # side of a 14-inch film: chest lengths to cm


@dataclass(frozen=True, kw_only=True)
class Sign:
    """One finding on one film. `severity` in [0, 1]: how much of it the film shows, 0 is all but nothing."""

    severity: float
    edge: ClassVar[float] = 0.4
    """The box is where the shadow has at least this share of its darkest or brightest point."""

    @classmethod
    def draw(cls, rng: Draw, severity: float, area: float) -> Self:
        """Place and shape one by `rng` alone; `area` is its box's share of the film, for findings that have a size."""
        raise NotImplementedError

    def reshape(self, person: Anatomy) -> Anatomy:
        """The person with this finding's change of outlines."""
        return person

    def cast(self, person: Anatomy, depths: Depths) -> Plane:
        """Change the depths of the (reshaped) person's film; returns the strength of the visible change, >= 0."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Placed(Sign):
    """A sign at a place of one lung: `height` 0 (apex) to 1 (costophrenic angle), `across` 0 (hilum) to 1 (wall)."""

    side: int
    height: float
    across: float

    def centre(self, person: Anatomy) -> tuple[float, float]:
        """The place in chest coordinates, clear of the heart."""
        return place(person, self.side, self.height, self.across)


def place(person: Anatomy, side: int, height: float, across: float) -> tuple[float, float]:
    """A point of a lung that is not behind heart, mediastinum or diaphragm, in chest coordinates."""
    y = outlines.level(person, height)
    half = outlines.side(person, side)
    share = 1.0 - person.heart_right_share if side == LEFT else person.heart_right_share
    heart = 2.0 * person.half_width * person.cardiothoracic_ratio * share
    inner = person.mediastinum_width + 0.02
    if height > person.heart_top + 0.1:
        inner = max(inner, 0.9 * heart + side * person.turn)
    outer = float(half.wall_x(np.array(y))) - 0.02
    x = inner + (outer - inner) * across
    return side * x, min(y, half.dome_y(x) - 0.035)


def fill(depths: Depths, share: Plane) -> Plane:
    """Fluid, pus or cells take this share of the lung's gas; returns the tissue added in cm."""
    added = np.clip(share, 0.0, 1.0) * depths.air_cm
    depths.tissue_cm += added
    depths.air_cm -= added
    return added


def empty(depths: Depths, share: Plane) -> Plane:
    """Gas takes this share of the lung's tissue and vessels; returns the tissue removed in cm."""
    part = np.clip(share, 0.0, 1.0)
    removed = part * np.maximum(depths.lung_cm - depths.air_cm, 0.0)
    depths.air_cm += removed
    vessels = part * depths.markings_cm
    depths.markings_cm -= vessels
    depths.tissue_cm -= removed + vessels
    return removed + vessels


def ramp(plane: Plane, width: float) -> Plane:
    """A smooth step from 0 to 1 around 0."""
    return 1.0 / (1.0 + exact.exp(plane * (-2.0 / width)))


def oval(depths: Depths, centre: tuple[float, float], radius: tuple[float, float], turn: float = 0.0) -> Plane:
    """Distance from the centre in units of the radii: 1 on the outline."""
    across, down = depths.x - centre[0], depths.y - centre[1]
    cos, sin = exact.cos(turn), exact.sin(turn)
    u = (cos * across + sin * down) / radius[0]
    v = (cos * down - sin * across) / radius[1]
    return np.sqrt(u * u + v * v)


def rim(person: Anatomy, side: int, depths: Depths) -> Plane:
    """Distance to the ribs of one side, apex included; negative outside and on the other side."""
    half = outlines.side(person, side)
    x = depths.x * side
    aside = exact.interp(depths.y, half.wall[:, 1], half.wall[:, 0]) - x
    top = half.wall[:20]  # the border turns back below
    above = depths.y - exact.interp(x, top[:, 0], top[:, 1])
    both = aside * above / np.sqrt(aside * aside + above * above + 1e-9)
    distance = np.where((aside > 0.0) & (above > 0.0), both, -0.05)
    return np.where(x > 0.0, distance, -0.05)


def other(side: int) -> int:
    """The opposite side."""
    return RIGHT if side == LEFT else LEFT


def field_of(depths: Depths, side: int) -> Plane:
    """The lung field of one side."""
    return np.where(depths.x * side > 0.0, depths.lung_field, 0.0)


def patches(seed: int, grain: int, depths: Depths) -> Plane:
    """A cloudy pattern in three octaves, mean 0, spread about 1, the same at every resolution; `grain` clouds a side."""
    rng = Draw(seed)
    side = depths.x.shape[0]
    total = np.zeros((side, side))
    for octave, weight in ((grain, 0.75), (2 * grain, 0.40), (4 * grain, 0.22)):
        total += weight * exact.cubic(rng.noise(octave, octave), side)
    return total


def box_of(shown: Plane, edge: float) -> tuple[float, float, float, float]:
    """x, y, w, h in pixels of the part of a film where `shown` reaches `edge` of its maximum, to fractions of a pixel."""
    x, right = _reach(shown.max(axis=0), edge)
    y, bottom = _reach(shown.max(axis=1), edge)
    return x, y, right - x, bottom - y


def _reach(profile: Plane, edge: float) -> tuple[float, float]:
    """Where a profile first and last crosses its threshold, between pixel centres linearly."""
    cut = edge * float(profile.max())
    inside = np.flatnonzero(profile >= max(cut, 1e-9))
    if not len(inside):
        return 0.0, 0.0
    first, last = int(inside[0]), int(inside[-1])
    low, high = first + 0.5, last + 0.5
    if first > 0:
        low -= (profile[first] - cut) / max(profile[first] - profile[first - 1], 1e-9)
    if last + 1 < len(profile):
        high += (profile[last] - cut) / max(profile[last] - profile[last + 1], 1e-9)
    return float(max(low, 0.0)), float(min(high, len(profile)))
