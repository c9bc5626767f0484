"""Findings around the lung and of its shape: fluid, gas and scars of the pleura, wide heart, wide lungs, hiatal hernia.

Descriptions follow the glossary of the Fleischner Society (Hansell et al., Radiology 2008).
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
from .outlines import RIGHT, level
from .outlines import side as half_of
from .parenchyma import draw_side
from .shadows import PICTURE_CM, Sign, empty, field_of, fill, other, oval, patches, place, ramp, rim


@dataclass(frozen=True, kw_only=True)
class Effusion(Sign):
    """Free fluid: it fills a costophrenic angle up to a meniscus that climbs along the wall."""

    side: int
    area: float
    slope: float
    edge: ClassVar[float] = 0.3

    @classmethod
    def draw(cls, rng: Draw, severity: float, area: float) -> Self:
        return cls(severity=severity, side=draw_side(rng), area=area, slope=rng.uniform(0.35, 0.75))

    def _level(self, person: Anatomy) -> float:
        """Height of the fluid above the costophrenic angle at the wall."""
        return 1.45 * math.sqrt(self.area) / person.size

    def reshape(self, person: Anatomy) -> Anatomy:
        push = max(self._level(person) - 0.25, 0.0)  # much fluid pushes the mediastinum away
        return replace(person, turn=person.turn - self.side * min(0.10 * push, 0.02))

    def cast(self, person: Anatomy, depths: Depths) -> Plane:
        half = half_of(person, self.side)
        high = self._level(person)
        wall_x, angle_y = half.wall[-1]
        inwards = np.clip(wall_x - depths.x * self.side, 0.0, None)
        surface = angle_y - high + self.slope * high * np.sqrt(np.minimum(inwards / 0.30, 1.2))
        deep = depths.y - surface
        share = ramp(deep, 0.010 + 0.05 * high) * np.clip(0.50 + deep * 9.0, 0.4, 1.0)
        share = (0.18 + 0.82 * self.severity) * share * field_of(depths, self.side)
        depths.tissue_cm -= share * depths.markings_cm
        return fill(depths, share)


@dataclass(frozen=True, kw_only=True)
class Pneumothorax(Sign):
    """Gas between lung and wall: a dark rim with no vessels, a fine white edge, the collapsed lung a little denser."""

    side: int
    area: float
    basal: bool
    thin: float
    edge: ClassVar[float] = 0.5

    @classmethod
    def draw(cls, rng: Draw, severity: float, area: float) -> Self:
        return cls(
            severity=severity, side=draw_side(rng), area=area, basal=rng.random() < 0.2, thin=rng.uniform(0.18, 0.36)
        )

    def reshape(self, person: Anatomy) -> Anatomy:
        push = max(math.sqrt(self.area) - 0.22, 0.0)  # tension
        return replace(person, turn=person.turn - self.side * min(0.12 * push, 0.02))

    def cast(self, person: Anatomy, depths: Depths) -> Plane:
        long = 0.91 * math.sqrt(self.area) / person.size
        height = depths.y - person.apex_y
        if self.basal:
            height = level(person, 1.0) - depths.y
        # Widest at the top of the chest (at the base in a supine patient), thinning out along the wall.
        gap = (self.thin * long * 1.9) * exact.power(np.clip(1.0 - height / long, 0.0, 1.0), 0.6)
        distance = rim(person, self.side, depths)
        field = field_of(depths, self.side)
        inside = ramp(gap - distance, 0.003) * (distance > 0.0) * (gap > 0.004) * field
        clear = 0.40 + 0.58 * self.severity
        empty(depths, clear * inside)
        off = (distance - gap) * (1.0 / 0.0028)
        line = exact.bell(off * off) * (gap > 0.006) * field
        depths.tissue_cm += (0.30 + 0.60 * self.severity) * line
        fill(depths, (0.22 * self.severity * min(1.0, 4.0 * long)) * (1.0 - inside) * field)
        return inside


@dataclass(frozen=True, kw_only=True)
class PleuralThickening(Sign):
    """A band of scar along the wall or over the apex, its inner border wavy."""

    side: int
    apical: bool
    both: bool
    start: float
    length: float
    thickness: float
    texture: int
    edge: ClassVar[float] = 0.35

    @classmethod
    def draw(cls, rng: Draw, severity: float, area: float) -> Self:
        del area
        return cls(
            severity=severity,
            side=draw_side(rng),
            apical=rng.random() < 0.45,
            both=rng.random() < 0.3,
            start=rng.uniform(0.25, 0.55),
            length=rng.uniform(0.25, 0.50),
            thickness=rng.uniform(0.020, 0.040),
            texture=rng.integer(0, 2**31),
        )

    def cast(self, person: Anatomy, depths: Depths) -> Plane:
        start = -0.1 if self.apical else self.start
        end = 0.20 if self.apical else self.start + self.length
        upper, lower = level(person, start), level(person, end)
        along = ramp(depths.y - upper, 0.02) * ramp(lower - depths.y, 0.03)
        wavy = (0.6 + 0.6 * self.severity) * (1.0 + 0.30 * patches(self.texture, 12, depths))
        band = np.zeros_like(depths.x)
        for side in (self.side, other(self.side)) if self.both else (self.side,):
            distance = rim(person, side, depths)
            band += ramp(self.thickness * wavy - distance, 0.005) * (distance > -0.01) * field_of(depths, side)
        added = (1.0 + 3.4 * self.severity) * band * along
        depths.tissue_cm += added
        return added


@dataclass(frozen=True, kw_only=True)
class Cardiomegaly(Sign):
    """A wide heart: cardiothoracic ratio above a half."""

    area: float
    aspect: float
    edge: ClassVar[float] = 0.5

    @classmethod
    def draw(cls, rng: Draw, severity: float, area: float) -> Self:
        return cls(severity=severity, area=area, aspect=min(max(rng.normal(1.22, 0.10), 1.05), 1.5))

    def reshape(self, person: Anatomy) -> Anatomy:
        wide = math.sqrt(self.area * self.aspect) / (person.size * person.aspect)
        own = person.cardiothoracic_ratio
        ratio = min(max(wide / (2.0 * person.half_width), own), 0.80)
        share = min(0.15 + 1.1 * self.severity, 1.0)  # a faint one is hardly wider than the person's heart was
        ratio = own + (ratio - own) * share
        height = math.sqrt(self.area / self.aspect) * person.aspect / person.size
        base = half_of(person, RIGHT).dome_y(0.35 * person.half_width) + 0.03
        top = (base - height - person.apex_y) / (person.angle_y - person.apex_y)
        top = person.heart_top + (min(max(top, 0.30), 0.50) - person.heart_top) * share
        leftwards = person.heart_right_share - 0.25 * max(ratio - own, 0.0)  # a heart grows towards its apex
        return replace(person, cardiothoracic_ratio=ratio, heart_top=top, heart_right_share=max(leftwards, 0.22))

    def cast(self, person: Anatomy, depths: Depths) -> Plane:
        del person
        return depths.heart_field


@dataclass(frozen=True, kw_only=True)
class Emphysema(Sign):
    """Wide, dark lungs with few vessels and flat diaphragms, a narrow heart, sometimes bullae."""

    bullae: tuple[tuple[int, float, float, float], ...]  # side, height, across, radius
    edge: ClassVar[float] = 0.5

    @classmethod
    def draw(cls, rng: Draw, severity: float, area: float) -> Self:
        del area
        count = rng.integer(0, 4)
        bullae = [
            (draw_side(rng), rng.uniform(0.08, 0.45), rng.uniform(0.35, 0.9), rng.uniform(0.03, 0.075))
            for _ in range(count)
        ]
        return cls(severity=severity, bullae=tuple(bullae))

    def reshape(self, person: Anatomy) -> Anatomy:
        s = 0.15 + 0.85 * self.severity
        height = (person.angle_y - person.apex_y) * (1.0 + 0.09 * s)
        size = min(person.size, 0.88 / height)
        return replace(
            person,
            angle_y=person.apex_y + height,
            size=size,
            dome_right=max(person.dome_right * (1.0 - 0.50 * s), 0.03),
            dome_gap=person.dome_gap * (1.0 - 0.4 * s),
            cardiothoracic_ratio=max(person.cardiothoracic_ratio * (1.0 - 0.13 * s), 0.30),
            cage_roundness=person.cage_roundness + 0.5 * s,
            lung_density=person.lung_density * (1.0 - 0.32 * s),
            marking=person.marking * (1.0 - 0.28 * s),
        )

    def cast(self, person: Anatomy, depths: Depths) -> Plane:
        for side, height, across, radius in self.bullae:
            distance = oval(depths, place(person, side, height, across), (radius, radius * 1.15))
            field = field_of(depths, side)
            empty(depths, (0.65 * self.severity) * ramp(1.0 - distance, 0.08) * field)
            off = (distance - 1.0) * (radius / 0.003)
            wall = exact.bell(off * off)
            depths.tissue_cm += (0.25 * self.severity) * wall * field
        return depths.lung_field


@dataclass(frozen=True, kw_only=True)
class Hernia(Sign):
    """Stomach above the diaphragm: a round shadow behind the heart with gas over a fluid level."""

    radius: float
    offset: float
    height: float
    gas: float  # share of the sac's height above the fluid
    edge: ClassVar[float] = 0.3

    @classmethod
    def draw(cls, rng: Draw, severity: float, area: float) -> Self:
        del area
        return cls(
            severity=severity,
            radius=rng.uniform(0.060, 0.105),
            offset=rng.uniform(-0.01, 0.06),
            height=rng.uniform(0.76, 0.86),
            gas=rng.uniform(0.25, 0.65) if rng.random() < 0.85 else 0.0,
        )

    def cast(self, person: Anatomy, depths: Depths) -> Plane:
        radius = self.radius * (0.75 + 0.4 * self.severity)
        x, y = self.offset + person.turn, level(person, self.height)
        ratio = oval(depths, (x, y), (radius * 1.15, radius))
        chord = 2.0 * radius * PICTURE_CM * np.sqrt(np.maximum(1.0 - ratio * ratio, 0.0))
        sac = (0.15 + 0.55 * self.severity) * chord
        surface = y - radius + 2.0 * radius * self.gas
        gas = ramp(surface - depths.y, 0.003) * ramp(0.86 - ratio, 0.05)
        change = sac * (1.0 - 1.7 * gas)
        off = (ratio - 0.95) * (radius / 0.005)
        wall = exact.bell(off * off)
        change += (0.3 + 0.7 * self.severity) * wall
        depths.tissue_cm += change
        return np.abs(change)
