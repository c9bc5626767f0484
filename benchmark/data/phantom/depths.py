"""What the beam crosses: depths of tissue, bone and gas along the ray at each pixel, and layers that change them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ... import exact

Plane = NDArray[np.float64]


@dataclass(eq=False)
class Depths:
    """What the ray crosses at each pixel, float64 (H, W); a layer of `render` changes these in place.

    `x` and `y` are chest coordinates (see `anatomy`), `tissue_cm` soft tissue in cm of water, `bone_cm` bone,
    `lung_cm` lung, `air_cm` the gas in it, `markings_cm` its vessels (part of `tissue_cm`); `lung_field` and
    `heart_field` are the coverage of the whole lungs and of the heart in [0, 1]. Only `tissue_cm` and `bone_cm`
    are seen by the beam: a layer that moves gas or vessels changes the tissue with them.
    """

    x: Plane
    y: Plane
    tissue_cm: Plane
    bone_cm: Plane
    lung_cm: Plane
    air_cm: Plane
    markings_cm: Plane
    lung_field: Plane
    heart_field: Plane


class Layer(Protocol):
    """Something added to a person's film, for example the shadow of a finding."""

    def __call__(self, depths: Depths, /) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Opacity:
    """A soft round or oval shadow inside the lungs: nodule, haze. A layer of `render`."""

    x: float
    y: float
    radius_x: float  # standard deviation of the Gaussian, chest coordinates
    radius_y: float
    depth_cm: float

    def __call__(self, depths: Depths, /) -> None:
        across, down = (depths.x - self.x) / self.radius_x, (depths.y - self.y) / self.radius_y
        depths.tissue_cm += self.depth_cm * exact.bell(0.5 * (across * across + down * down)) * depths.lung_field
