"""From a generated grey mask to the masks of two lungs (Neff et al. 2017): threshold, largest components, hole filling.

The paper keeps "the largest component" of a mask that has two lungs; here the two largest are kept, and a mask that
does not have two is refused, so that the sample is drawn again.
"""

from __future__ import annotations

from enum import StrEnum

import cv2
import numpy as np

THRESHOLD = 150  # of 255 (the paper's)
LEAST_SHARE = 0.05  # a second component under this share of the first is no lung


class Refusal(StrEnum):
    """Why a generated mask is not the mask of two lungs."""

    EMPTY = "no lung"
    FULL = "no background"
    SINGLE = "one lung"


def eight_bits(values: np.ndarray) -> np.ndarray:
    """Values in [-1, 1], any shape, to uint8, truncated as a cast does."""
    return ((values + 1) * 127.5).astype(np.uint8)


def two_lungs(values: np.ndarray) -> np.ndarray | Refusal:
    """A generated mask (H, W) in [-1, 1] to two lungs, bool (2, H, W): the one further left in the picture first."""
    mask = eight_bits(values) >= THRESHOLD
    if not mask.any():
        return Refusal.EMPTY
    if mask.all():
        return Refusal.FULL
    return separate(fill_holes(largest_components(mask, 2)))


def halves(values: np.ndarray) -> np.ndarray:
    """The left and the right half of a generated mask (H, W) in [-1, 1], whatever they show: bool (2, H, W)."""
    mask = eight_bits(values) >= THRESHOLD
    left = np.arange(mask.shape[1]) < mask.shape[1] // 2
    return np.stack([mask & left, mask & ~left])


def largest_components(mask: np.ndarray, most: int) -> np.ndarray:
    """The `most` largest 8-connected components of a bool mask (H, W), as one mask."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    return np.isin(labels, 1 + np.argsort(-areas, kind="stable")[:most])


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """A bool mask (H, W) and its holes: all that the background does not reach from the border of the picture.

    The background grows from the border inside the mask's complement (geodesic reconstruction), by 4-neighbours.
    """
    reached = np.pad(mask, 1).astype(np.uint8)
    cv2.floodFill(reached, None, (0, 0), 2, flags=4)
    return reached[1:-1, 1:-1] != 2


def separate(mask: np.ndarray) -> np.ndarray | Refusal:
    """The two components of a bool mask (H, W) as bool (2, H, W), from left to right in the picture.

    Refused where there are not two, or where the smaller is under 5 % of the larger.
    """
    count, labels, stats, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if count != 3 or areas.min() < LEAST_SHARE * areas.max():
        return Refusal.SINGLE
    first, second = 1 + np.argsort(centres[1:, 0], kind="stable")
    return np.stack([labels == first, labels == second])
