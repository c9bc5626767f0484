"""From depths to a developed film: attenuation, scatter, blur, noise and the characteristic curve."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ... import exact
from ...draws import Draw
from .anatomy import Anatomy
from .depths import Depths, Plane
from .pose import pixel_centres

# Effective linear attenuation at chest-film energies, per cm; bone in excess of the tissue it displaces.
_MU_TISSUE = 0.205
_MU_BONE = 0.30


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """How one film was taken and developed."""

    bias: float  # darker (-) or brighter (+) than the automatic exposure, in units of optical density
    latitude: float  # exposure range of the curve's straight part; small = high contrast
    detail: float  # unsharp masking of the digital film, 0 = none
    scatter: float  # scattered light as a share of the local mean
    noise: float  # quantum noise at 256 pixels in the unattenuated beam
    grain: float  # of the film, in grey levels
    blur: float = 0.0011  # of focus, movement and screen, as a standard deviation in shares of the picture's side
    reach: float = 0.07  # of the unsharp mask, in shares of the picture's side
    windowed: float = 0.0  # how far the grey is set by the film's own range, as digital machines do: 0 to 1
    lean: tuple[float, float] = (0.0, 0.0)  # brighter on the right and below, in units of optical density


def draw_exposure(rng: Draw) -> Exposure:
    """Draw slight differences between films of one department."""
    return Exposure(
        bias=min(max(rng.normal(0.0, 0.20), -0.45), 0.45),
        latitude=min(max(rng.normal(0.85, 0.10), 0.62), 1.10),
        detail=rng.uniform(0.2, 1.3),
        scatter=min(max(rng.normal(0.28, 0.09), 0.10), 0.55),
        noise=rng.uniform(0.0015, 0.006),
        grain=rng.uniform(0.6, 2.0),
    )


def develop(depths: Depths, person: Anatomy, exposure: Exposure, rng: Draw) -> NDArray[np.uint8]:
    """Attenuate, scatter, blur, expose and develop."""
    resolution = depths.x.shape[0]
    beam = exact.exp(-_MU_TISSUE * np.maximum(depths.tissue_cm, 0.0) - _MU_BONE * depths.bone_cm)
    # Direct light beside the body is collimated away and does not scatter.
    light = beam + exposure.scatter * box_mean(np.minimum(beam, 0.25), 0.11, 2)
    unsharp = exposure.blur * resolution
    if unsharp > 0.25:
        light = exact.gaussian_blur(light, unsharp, math.floor(3.0 * unsharp + 0.5))
    # Fewer quanta reach a smaller pixel; the shot noise is relative to the square root of what arrives.
    shot = exposure.noise * math.sqrt(resolution / 256.0)
    density = shot * rng.noise(resolution, resolution) / np.sqrt(light) - exact.log(light)
    if exposure.lean != (0.0, 0.0):
        at = pixel_centres(resolution) - 0.5
        density += exposure.lean[0] * at[None, :] + exposure.lean[1] * at[:, None]
    middle = 2.65 + 0.09 * (person.depth_cm - 22.0) - exposure.bias
    density += exposure.detail * (density - box_mean(density, exposure.reach, 2))
    latitude = exposure.latitude
    if exposure.windowed:
        low, high = _range(density)
        middle += exposure.windowed * (0.5 * (low + high) - exposure.bias - middle)
        latitude *= 1.0 + exposure.windowed * ((high - low) / _USUAL_RANGE - 1.0)
    grey = 268.0 / (1.0 + exact.exp((middle - density) / latitude))
    grey += exposure.grain * rng.noise(resolution, resolution) - 8.0
    return np.clip(np.rint(grey), 0.0, 255.0).astype(np.uint8)


_USUAL_RANGE = 1.9


def _range(density: Plane) -> tuple[float, float]:
    """What a tenth of the middle of the picture is darker than, and what a tenth is brighter than."""
    edge = len(density) // 5
    middle = np.sort(density[edge:-edge, edge:-edge], axis=None)
    return float(middle[len(middle) // 10]), float(middle[-len(middle) // 10])


def box_mean(plane: Plane, share: float, times: int = 1) -> Plane:
    """Mean over a box of about `share` of the picture, once or `times` over; beyond the border its edge goes on."""
    window = max(1, round(share * plane.shape[0]))
    return exact.box_mean(plane, window, times)
