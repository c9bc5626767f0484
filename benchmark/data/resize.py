"""Changing the resolution of films and masks, in whole numbers: the same bits on every processor.

When shrinking, a pixel is the mean over its area, parts of pixels by their share; when growing, it lies on straight lines
between the centres of pixels. Both are weights along rows and columns that are fractions with one denominator, so a film of
whole numbers is summed exactly, in any order, and rounded once.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def resample(image: np.ndarray, resolution: int) -> np.ndarray:
    """An image (H, H) of whole numbers up to 65,535 at (resolution, resolution), float64, not rounded.

    TypeError for numbers that are not whole: bring them to 16 bits first.
    """
    if image.dtype.kind not in "bui":
        raise TypeError(f"expected whole numbers, found {image.dtype}")
    side = image.shape[0]
    if resolution == side:
        return image.astype(np.float64)
    sums = _along_rows(_along_rows(image, resolution).T, resolution).T
    return sums / float(_denominator(side, resolution) ** 2)


def resize_film(image: np.ndarray, resolution: int) -> np.ndarray:
    """One film uint8 (H, H) to uint8 (resolution, resolution): area mean when shrinking, linear when growing."""
    return np.rint(resample(image, resolution)).astype(np.uint8)


def resize_films(images: np.ndarray, resolution: int) -> np.ndarray:
    """Films uint8 (N, H, H) to uint8 (N, resolution, resolution), as `resize_film`."""
    resized = np.empty((len(images), resolution, resolution), dtype=np.uint8)
    for index, image in enumerate(images):
        resized[index] = resize_film(image, resolution)
    return resized


def resize_masks(masks: np.ndarray, resolution: int, organs: int) -> np.ndarray:
    """Bit flags uint8 (N, H, W) to uint8 (N, resolution, resolution): set where the organ covers half of
    the pixel.
    """
    resized = np.zeros((len(masks), resolution, resolution), dtype=np.uint8)
    for index, mask in enumerate(masks):
        for bit in range(organs):
            covered = resample((mask >> np.uint8(bit)) & np.uint8(1), resolution)
            resized[index] |= (covered >= 0.5).astype(np.uint8) << np.uint8(bit)
    return resized


def _denominator(side: int, resolution: int) -> int:
    """What the weights of one axis add up to."""
    return side if resolution < side else 2 * resolution


def _along_rows(image: np.ndarray, resolution: int) -> np.ndarray:
    """Weighted sums (resolution, W) over the rows of an image (H, W) of whole numbers, float64, exact."""
    side = image.shape[0]
    if resolution > side:
        low, share = _between(side, resolution)
        rows = image.astype(np.float64)
        return rows[low] * (2.0 * resolution - share) + rows[np.minimum(low + 1, side - 1)] * share
    if side % resolution == 0:
        ratio = side // resolution
        parts = image.reshape(resolution, ratio, -1)
        return parts.sum(axis=1, dtype=np.float64) * float(resolution)
    # Sums from the top down to every border between new pixels, which lies in row `low` and takes a share of it.
    below = np.zeros((side + 1, image.shape[1]))
    np.cumsum(image, axis=0, dtype=np.float64, out=below[1:])
    borders = np.arange(1, resolution) * side
    low, share = borders // resolution, (borders % resolution).astype(np.float64)[:, None]
    down = np.empty((resolution + 1, image.shape[1]))
    down[0], down[-1] = 0.0, below[-1] * float(resolution)
    down[1:-1] = below[low] * float(resolution) + image[low] * share
    return np.diff(down, axis=0)


@lru_cache(maxsize=16)
def _between(side: int, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """The upper of the two rows that a new row lies between, and the share of the lower one in parts of 2 * resolution."""
    at = np.clip((2 * np.arange(resolution) + 1) * side - resolution, 0, (side - 1) * 2 * resolution)
    low = np.minimum(at // (2 * resolution), max(side - 2, 0))
    return low, (at - low * 2 * resolution).astype(np.float64)[:, None]
