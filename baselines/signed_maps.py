"""Organ masks as maps that a diffusion draws: the signed distance to an organ's outline, in units of its own half width.

A mask of 0 and 1 has no slope to learn from, and a narrow organ's distances are small beside a wide one's: an error that
a lung does not feel empties a clavicle. So every organ is measured by itself: 1 at its middle line, -1 as far outside.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

LEAST_WIDTH = 1.0  # pixels


def half_widths(masks: np.ndarray) -> tuple[float, ...]:
    """Half the width of every organ in pixels, of bool masks (N, O, H, W): the median over films of the largest distance
    from a pixel inside to the outside; LEAST_WIDTH where an organ is thinner or never seen."""
    widths = []
    for organ in range(masks.shape[1]):
        inside = [float(ndimage.distance_transform_edt(film).max()) for film in masks[:, organ] if film.any()]
        widths.append(max(LEAST_WIDTH, float(np.median(inside)) if inside else 0.0))
    return tuple(widths)


def signed_maps(masks: np.ndarray, widths: tuple[float, ...]) -> np.ndarray:
    """Bool masks (N, O, H, W) to maps float32 of the same shape in [-1, 1]: distance to the outline over the organ's half
    width, positive inside; -1 everywhere where a film does not show it."""
    maps = np.full(masks.shape, -1.0, dtype=np.float32)
    for film, made in zip(masks, maps, strict=True):
        for organ, width in enumerate(widths):
            if film[organ].any():
                inside = ndimage.distance_transform_edt(film[organ])
                outside = ndimage.distance_transform_edt(~film[organ])
                distance = np.where(film[organ], inside - 0.5, 0.5 - outside)  # an outline runs between two pixels
                made[organ] = np.clip(distance / width, -1, 1)
    return maps


def least_areas(masks: np.ndarray) -> tuple[int, ...]:
    """The fewest pixels that an organ has in any training film, of bool masks (N, O, H, W); 0 where a film lacks it."""
    return tuple(int(area) for area in masks.sum(axis=(2, 3)).min(axis=0))


def organs_of(maps: np.ndarray, parts: tuple[int, ...], least: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Maps (N, O, H, W) to bool masks of the same shape: where they are above 0, of every organ its `parts` largest
    8-connected pieces. An organ of fewer than its `least` pixels gets so many, where its map is highest. The second array,
    bool (N, O), says which did."""
    masks, small = maps > 0, np.zeros(maps.shape[:2], dtype=bool)
    for film, values, short in zip(masks, maps, small, strict=True):
        for organ, (count, area) in enumerate(zip(parts, least, strict=True)):
            if film[organ].sum() < area:
                short[organ] = True
                film[organ] = values[organ] >= np.partition(values[organ].ravel(), -area)[-area]
            pieces, found = ndimage.label(film[organ], structure=np.ones((3, 3)))
            if found > count:
                areas = np.bincount(pieces.ravel(), minlength=found + 1)[1:]
                film[organ] = np.isin(pieces, 1 + np.argsort(-areas, kind="stable")[:count])
    return masks, small
