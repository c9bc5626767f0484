"""The person's place in the picture: from chest coordinates (see `anatomy`) to those of the picture and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ... import exact
from .anatomy import Anatomy
from .bending import Bend
from .depths import Plane


@lru_cache(maxsize=4)
def pixel_centres(resolution: int) -> Plane:
    """Of a row or a column, in [0, 1]."""
    return (np.arange(float(resolution)) + 0.5) / float(resolution)


@dataclass(frozen=True, eq=False)
class Pose:
    """Where chest coordinates lie in the picture, which is bent by each of `bends` afterwards."""

    a: float
    b: float
    c: float
    d: float
    shift_x: float
    shift_y: float
    bends: tuple[Bend, ...] = ()

    @classmethod
    def of(cls, person: Anatomy, *bends: Bend) -> Pose:
        """How a person stands."""
        wide, high = person.size * person.aspect, person.size / person.aspect
        cos, sin = exact.cos(person.tilt), exact.sin(person.tilt)
        return cls(wide * cos, -high * sin, wide * sin, high * cos, 0.5 + person.shift_x, 0.5 + person.shift_y, bends)

    def place(self, x: Plane, y: Plane) -> tuple[Plane, Plane]:
        """Points of the chest in the picture."""
        y = y - 0.5
        x, y = self.a * x + self.b * y + self.shift_x, self.c * x + self.d * y + self.shift_y
        for bend in self.bends:
            moved_x, moved_y = bend.at(x, y)
            x, y = x + moved_x, y + moved_y
        return x, y

    def chest_grid(self, resolution: int) -> tuple[Plane, Plane]:
        """Chest coordinates of the pixels' centres (of a bent picture to first order), each (H, W)."""
        right, below = pixel_centres(resolution)[None, :], pixel_centres(resolution)[:, None]
        for bend in self.bends:
            moved_x, moved_y = bend.at(right, below)
            right, below = right - moved_x, below - moved_y
        across, down = right - self.shift_x, below - self.shift_y
        scale = self.a * self.d - self.b * self.c
        x = across * (self.d / scale) - down * (self.b / scale)
        y = down * (self.a / scale) + 0.5 - across * (self.c / scale)
        return x, y

    def window(self, low: tuple[float, float], high: tuple[float, float], resolution: int) -> tuple[slice, slice]:
        """Rows and columns of the picture that hold a rectangle of the chest, given by two of its corners (x, y)."""
        across = [self.a * x + self.b * (y - 0.5) + self.shift_x for x in (low[0], high[0]) for y in (low[1], high[1])]
        down = [self.c * x + self.d * (y - 0.5) + self.shift_y for x in (low[0], high[0]) for y in (low[1], high[1])]
        more = math.fsum(bend.most for bend in self.bends)
        rows, columns = (
            slice(
                max(0, math.floor((min(ends) - more) * resolution)), max(0, math.ceil((max(ends) + more) * resolution))
            )
            for ends in (down, across)
        )
        return rows, columns
