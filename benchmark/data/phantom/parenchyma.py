"""Findings inside the lung, as they look on a frontal film: opacities, collapse, oedema, scars.

Descriptions follow the glossary of the Fleischner Society (Hansell et al., Radiology 2008). Every class draws itself
from a generator (`draw`), with the area its box shall have as a share of the film where it has one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from ... import exact
from ...draws import Draw
from .anatomy import Anatomy
from .depths import Depths, Plane
from .outlines import LEFT, RIGHT
from .outlines import side as half_of
from .shadows import PICTURE_CM, Placed, Sign, field_of, fill, oval, patches, place, ramp
from .vessels import hilum


def draw_side(rng: Draw) -> int:
    """The right lung is a little larger and a little more often ill."""
    return RIGHT if rng.random() < 0.55 else LEFT


@dataclass(frozen=True, kw_only=True)
class Ball(Placed):
    """A roundish solid lesion: nodule up to 3 cm, mass above. Its shadow is the chord of a lobulated ball."""

    area: float
    lobes: int
    phase: float
    roughness: float
    flatness: float
    edge: ClassVar[float] = 0.3
    solid: ClassVar[tuple[float, float]] = (0.25, 1.45)

    @classmethod
    def draw(cls, rng: Draw, severity: float, area: float) -> Self:
        return cls(
            severity=severity,
            side=draw_side(rng),
            height=rng.uniform(0.14, 0.80),
            across=rng.uniform(0.05, 0.92),
            area=area,
            lobes=rng.integer(2, 6),
            phase=rng.uniform(0.0, 2.0 * math.pi),
            roughness=rng.uniform(0.02, 0.12),
            flatness=min(max(rng.normal(0.0, 0.12), -0.3), 0.3),
        )

    def _inside(self, person: Anatomy, radius: float) -> tuple[float, float]:
        """The centre, with most of the ball inside the ribs."""
        x, y = self.centre(person)
        y = max(y, person.apex_y + 0.9 * radius)
        outer = float(half_of(person, self.side).wall_x(np.array(y))) - 0.6 * radius
        return self.side * min(abs(x), outer), y

    def _lobed(self, across: Plane, down: Plane) -> Plane:
        """sin(lobes * angle + phase) of the direction (across, down): that many waves around the ball."""
        away = np.maximum(np.sqrt(across * across + down * down), 1e-12)
        cos, sin = across / away, down / away
        turned_cos, turned_sin = cos, sin
        for _ in range(self.lobes - 1):
            turned_cos, turned_sin = turned_cos * cos - turned_sin * sin, turned_sin * cos + turned_cos * sin
        return turned_sin * exact.cos(self.phase) + turned_cos * exact.sin(self.phase)

    def cast(self, person: Anatomy, depths: Depths) -> Plane:
        radius = 0.52 * math.sqrt(self.area) / person.size
        x, y = self._inside(person, radius)
        ratio = oval(
            depths, (x, y), (radius * exact.exp(0.5 * self.flatness), radius * exact.exp(-0.5 * self.flatness))
        )
        ratio = ratio * (1.0 + self.roughness * self._lobed(depths.x - x, depths.y - y))
        # A soft rim: the ball's border is not sharper than the film.
        chord = 2.0 * radius * PICTURE_CM * np.sqrt(np.maximum(1.0 - ratio * ratio, 0.0))
        low, high = self.solid
        share = (low + (high - low) * self.severity) * chord / np.maximum(depths.air_cm, 1.0)
        return fill(depths, share * depths.lung_field)


class Nodule(Ball):
    """A rounded opacity of up to 3 cm."""


class Mass(Ball):
    """A rounded opacity of more than 3 cm, lobulated."""

    solid: ClassVar[tuple[float, float]] = (0.25, 1.2)


@dataclass(frozen=True, kw_only=True)
class Haze(Placed):
    """An area in which part of the gas is replaced: what infiltration, pneumonia and consolidation share."""

    area: float
    aspect: float
    turn: float
    texture: int
    fissure_above: bool  # the lobe's flat border is the upper one
    edge: ClassVar[float] = 0.35
    density: ClassVar[tuple[float, float]]
    softness: ClassVar[float]  # of the outline, in radii
    grain: ClassVar[tuple[int, float]]  # of the clouds: how many a side, how strong
    reach: ClassVar[float] = 1.0  # radii for one unit of the box's side

    @classmethod
    def draw(cls, rng: Draw, severity: float, area: float) -> Self:
        return cls(
            severity=severity,
            side=draw_side(rng),
            height=min(max(rng.normal(0.58, 0.16), 0.18), 0.80),
            across=rng.uniform(0.10, 0.75),
            area=area,
            aspect=min(max(exact.exp(rng.normal(-0.08, 0.30)), 0.5), 1.7),
            turn=rng.normal(0.0, 0.35),
            texture=rng.integer(0, 2**31),
            fissure_above=rng.random() < 0.5,
        )

    def region(self, person: Anatomy, depths: Depths) -> Plane:
        """Share of the gas that is replaced at full density."""
        radius = 0.5 * self.reach * math.sqrt(self.area) / person.size
        wide, high = radius * math.sqrt(self.aspect), radius / math.sqrt(self.aspect)
        clouds, strength = self.grain
        cloud = patches(self.texture, clouds, depths)
        distance = oval(depths, self.centre(person), (wide, high), self.turn)
        inside = ramp(1.0 - distance + 0.22 * cloud, self.softness)
        return inside * np.clip(1.0 + strength * cloud, 0.15, 1.9)

    def cast(self, person: Anatomy, depths: Depths) -> Plane:
        low, high = self.density
        share = (low + (high - low) * self.severity) * self.region(person, depths)
        return fill(depths, share * field_of(depths, self.side))

    def fissure(self, person: Anatomy, depths: Depths) -> Plane:
        """1 on the diseased lobe's side of a nearly level line through the region, 0 beyond it."""
        x, y = self.centre(person)
        radius = 0.5 * math.sqrt(self.area) / person.size
        upper = -1.0 if self.fissure_above else 1.0
        line = y + upper * 0.45 * radius + (0.12 * self.side) * (depths.x - x)
        return ramp((line - depths.y) * upper, 0.010)


class Infiltration(Haze):
    """Patchy haze with no clear border."""

    density: ClassVar[tuple[float, float]] = (0.05, 0.34)
    softness: ClassVar[float] = 0.45
    grain: ClassVar[tuple[int, float]] = (16, 0.45)
    reach: ClassVar[float] = 1.12


class Pneumonia(Haze):
    """Patchy opacity of a lobe, denser than infiltration, that stops at a fissure."""

    density: ClassVar[tuple[float, float]] = (0.10, 0.55)
    softness: ClassVar[float] = 0.30
    grain: ClassVar[tuple[int, float]] = (18, 0.60)
    reach: ClassVar[float] = 1.44

    def region(self, person: Anatomy, depths: Depths) -> Plane:
        return super().region(person, depths) * self.fissure(person, depths)


class Consolidation(Haze):
    """Dense and even, with air-filled bronchi running through it from the hilum."""

    density: ClassVar[tuple[float, float]] = (0.16, 0.92)
    softness: ClassVar[float] = 0.22
    grain: ClassVar[tuple[int, float]] = (14, 0.10)
    reach: ClassVar[float] = 1.0

    def region(self, person: Anatomy, depths: Depths) -> Plane:
        area = super().region(person, depths) * (0.35 + 0.65 * self.fissure(person, depths))
        hilum_x, hilum_y = hilum(person, self.side)
        x, y = self.centre(person)
        across, down = depths.x - hilum_x, depths.y - hilum_y
        away = max(math.sqrt((x - hilum_x) * (x - hilum_x) + (y - hilum_y) * (y - hilum_y)), 1e-9)
        to_x, to_y = (x - hilum_x) / away, (y - hilum_y) / away
        rng = Draw(self.texture)
        for _ in range(3):
            fork = rng.normal(0.0, 0.30)
            cos = to_x * exact.cos(fork) - to_y * exact.sin(fork)
            sin = to_y * exact.cos(fork) + to_x * exact.sin(fork)
            along = cos * across + sin * down
            bend = rng.normal(0.0, 1.2) * along * along
            off = (cos * down - sin * across + bend) / 0.0038
            fade = np.clip(1.0 - along / 0.22, 0.0, 1.0) * (along > 0.02)
            area = area * (1.0 - 0.50 * exact.bell(off * off) * fade)
        return area


@dataclass(frozen=True, kw_only=True)
class Edema(Sign):
    """Fluid around both hila, the periphery spared (bat wings), with wide vessels and a wider heart."""

    lean: float  # one side more than the other
    reach: float
    texture: int
    edge: ClassVar[float] = 0.4

    @classmethod
    def draw(cls, rng: Draw, severity: float, area: float) -> Self:
        del area  # both lungs
        return cls(
            severity=severity,
            lean=min(max(rng.normal(0.0, 0.2), -0.5), 0.5),
            reach=rng.uniform(0.85, 1.3),
            texture=rng.integer(0, 2**31),
        )

    def reshape(self, person: Anatomy) -> Anatomy:
        wider = person.cardiothoracic_ratio * (1.0 + 0.07 * self.severity)
        return replace(person, cardiothoracic_ratio=min(wider, 0.74))

    def cast(self, person: Anatomy, depths: Depths) -> Plane:
        share = np.zeros_like(depths.x)
        for side in (RIGHT, LEFT):
            x, y = hilum(person, side)
            distance = oval(
                depths, (x + side * 0.045, y + 0.045), (0.115 * self.reach, 0.185 * self.reach), -0.25 * side
            )
            wing = ramp(1.0 - distance, 0.45) * (1.0 + side * self.lean)
            share += np.where(depths.x * side > 0.0, wing, 0.0)
        share *= 1.0 + 0.30 * patches(self.texture, 18, depths)
        depths.tissue_cm += (0.8 * self.severity) * depths.markings_cm
        return fill(depths, (0.06 + 0.42 * self.severity) * share * depths.lung_field)


@dataclass(frozen=True, kw_only=True)
class Atelectasis(Placed):
    """Collapse: thin plates near the base, or a lobe shrunk to a wedge; the diaphragm of that side rises."""

    lobar: bool
    area: float
    aspect: float
    slope: float
    plates: int
    thickness: float
    edge: ClassVar[float] = 0.35

    @classmethod
    def draw(cls, rng: Draw, severity: float, area: float) -> Self:
        return cls(
            severity=severity,
            lobar=rng.random() < 0.35,
            side=draw_side(rng),
            height=rng.uniform(0.62, 0.85),
            across=rng.uniform(0.25, 0.65),
            area=area,
            aspect=min(max(exact.exp(rng.normal(0.42, 0.45)), 0.7), 3.0),
            slope=rng.uniform(-0.12, 0.30),
            plates=rng.integer(1, 4),
            thickness=rng.uniform(0.005, 0.011),
        )

    def reshape(self, person: Anatomy) -> Anatomy:
        rise = 0.010 + 0.040 * self.severity
        turn = person.turn + self.side * 0.012 * self.severity * (1.5 if self.lobar else 0.5)
        if self.side == LEFT:
            return replace(person, dome_gap=person.dome_gap - rise, turn=turn)
        return replace(person, dome_right=person.dome_right + rise, dome_gap=person.dome_gap + rise, turn=turn)

    def cast(self, person: Anatomy, depths: Depths) -> Plane:
        share = self._wedge(person, depths) if self.lobar else self._plates(person, depths)
        return fill(depths, share * field_of(depths, self.side))

    def _size(self, person: Anatomy) -> tuple[float, float]:
        side = 1.10 * math.sqrt(self.area) / person.size
        return side * math.sqrt(self.aspect), side / math.sqrt(self.aspect)

    def _plates(self, person: Anatomy, depths: Depths) -> Plane:
        wide, high = self._size(person)
        x, y = self.centre(person)
        across = (depths.x - x) * self.side
        length = ramp(0.52 * wide - np.abs(across), 0.012)
        total = np.zeros_like(depths.x)
        # The plates together fill the height of the box.
        room = max(high - abs(self.slope) * wide - 2.0 * self.thickness, 0.0)
        thickness = max(self.thickness, 0.25 * high if self.plates == 1 else 0.0)
        for plate in range(self.plates):
            offset = room * ((plate + 0.5) / self.plates - 0.5) * (1.35 if self.plates > 1 else 0.0)
            # No two of them are parallel or equally long.
            uneven = exact.sin(40.0 * self.slope + 2.4 * plate) if plate else 0.0
            bow = (0.25 / max(wide, 0.05)) * across * across
            slope = self.slope + 0.12 * uneven
            off = (depths.y - (y + offset) - slope * across + bow) / thickness
            shorter = ramp((0.55 - 0.35 * abs(uneven)) * wide - across * np.sign(uneven), 0.02)
            total += exact.bell(off * off) * (shorter if plate else 1.0)
        total += 0.25 * ramp(0.5 * high - np.abs(depths.y - y), 0.02)
        return (0.10 + 0.60 * self.severity) * np.minimum(total, 1.0) * length

    def _wedge(self, person: Anatomy, depths: Depths) -> Plane:
        """A lower lobe drawn in towards spine and diaphragm: a triangle below the hilum, its outer border straight."""
        side = 0.76 * math.sqrt(self.area) / person.size
        inner, _ = place(person, self.side, 0.75, 0.0)
        base = half_of(person, self.side).dome_y(abs(inner) + 0.5 * side)
        below = (depths.y - (base - 1.25 * side)) * 0.8
        outer = abs(inner) + 0.02 + below - depths.x * self.side
        # The heart's border fades where airless lung touches it.
        return (0.12 + 0.68 * self.severity) * ramp(outer, 0.012) * ramp(below, 0.02)


@dataclass(frozen=True, kw_only=True)
class Fibrosis(Sign):
    """Scars: a net of lines at the bases and the periphery, in lungs that have shrunk."""

    texture: int
    upper: bool  # old tuberculosis: the apices instead of the bases
    edge: ClassVar[float] = 0.35

    @classmethod
    def draw(cls, rng: Draw, severity: float, area: float) -> Self:
        del area
        return cls(severity=severity, texture=rng.integer(0, 2**31), upper=rng.random() < 0.25)

    def reshape(self, person: Anatomy) -> Anatomy:
        height = person.angle_y - person.apex_y
        loss = 0.02 + 0.11 * self.severity
        return replace(
            person,
            angle_y=person.angle_y - loss * height,
            half_width=person.half_width * (1.0 - 0.02 * self.severity),
            lung_density=min(person.lung_density * (1.0 + 0.10 * self.severity), 0.45),
            heart_waist=person.heart_waist - 0.3 * self.severity,
        )

    def cast(self, person: Anatomy, depths: Depths) -> Plane:
        height = (depths.y - person.apex_y) / (person.angle_y - person.apex_y)
        along = ramp(0.35 - height, 0.16) if self.upper else ramp(height - 0.58, 0.20)
        outer = np.clip(np.abs(depths.x) / person.half_width, 0.0, 1.0)
        weight = along * (0.35 + 0.85 * outer * outer) * depths.lung_field
        # Lines are where a smooth random field passes zero: a net that no grid shows through.
        net = np.full_like(depths.x, 0.25)
        for k, grain in enumerate((30, 44, 64)):
            field = 3.2 * patches(self.texture + k, grain, depths)
            net += exact.bell(field * field)
        share = (0.04 + 0.26 * self.severity) * weight * net
        return fill(depths, share)
