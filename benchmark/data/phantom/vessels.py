"""Bronchovascular markings: tapered branches from each hilum to the rim of the lung, three generations deep.

All branches of a generation are drawn at once. They depend on the person's `texture_seed` alone, so a person
has the same vessels at every resolution.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ... import exact
from ...draws import Draw
from .anatomy import Anatomy
from .outlines import LEFT, RIGHT, level, steps
from .raster import Points, points, ribbons

_ALONG = steps(5)  # points of a centre line
_TRUNKS = 10  # a lung
_CHILDREN = ((1, 2, 3), (1, 3))  # points of a branch where its children leave, by generation
_PICTURE_CM = 36.0  # a 14-inch film: width of a vessel in cm is its depth as well


def hilum(person: Anatomy, sign: int) -> tuple[float, float]:
    """Root of the lung; the left one is a little higher."""
    y = level(person, 0.445 if sign == LEFT else 0.475)
    return sign * (person.mediastinum_width + 0.018) + person.turn, y


def _lines(start: Points, angle: NDArray[np.float64], length: NDArray[np.float64], bend: NDArray[np.float64]) -> Points:
    """Gently bent centre lines (k, n, 2)."""
    cos, sin = exact.circle(angle)
    heading = points(cos, sin)[:, None, :]
    across = points(-sin, cos)[:, None, :]
    s = _ALONG[None, :, None]
    reach = length[:, None, None]
    return start[:, None, :] + heading * reach * s + across * reach * bend[:, None, None] * (s * s)


def vessel_tree(person: Anatomy) -> list[tuple[Points, NDArray[np.float64]]]:
    """Per generation the polygons (k, n, 2) and their depths in cm (k,)."""
    rng = Draw(person.texture_seed)
    sides = np.repeat([float(RIGHT), float(LEFT)], _TRUNKS)
    fan = np.tile(-1.45 + 2.75 * steps(_TRUNKS), 2) + 0.22 * rng.noise(2 * _TRUNKS)
    start = np.repeat([hilum(person, RIGHT), hilum(person, LEFT)], _TRUNKS, axis=0)
    # A hilum is tall: upper branches leave it higher than lower ones.
    start = start + 0.007 * rng.noise(*start.shape)
    height = exact.sin(fan)
    start[:, 1] += 0.030 * height
    # Upwards and downwards there is more lung than sideways; the lower lobes carry the thicker vessels.
    length = (0.25 + 0.09 * np.abs(height)) * rng.uniforms(0.45, 1.1, len(fan))
    width = np.where(fan > 0.1, 0.0105, 0.0080) * rng.uniforms(0.7, 1.3, len(fan))
    generations = []
    angle = fan
    for depth in range(len(_CHILDREN) + 1):
        bend = 0.26 * rng.noise(len(angle))
        pointing = np.where(sides > 0, angle, np.pi - angle)
        lines = _lines(start, pointing, length, bend)
        taper = width[:, None] * (1.0 - 0.68 * _ALONG[None, :])
        generations.append((ribbons(lines, taper / 2.0)[0], _PICTURE_CM * width * 2.1))
        if depth == len(_CHILDREN):
            break
        where = np.tile(_CHILDREN[depth], len(angle))
        parent = np.repeat(np.arange(len(angle)), len(_CHILDREN[depth]))
        start = lines[parent, where]
        fork = rng.uniforms(0.25, 0.95, len(parent)) * (2.0 * rng.integers(0, 2, len(parent)) - 1.0)
        angle = angle[parent] + fork
        length = length[parent] * rng.uniforms(0.35, 0.70, len(parent))
        width = taper[parent, where] * rng.uniforms(0.55, 0.85, len(parent))
        sides = sides[parent]
    return generations
