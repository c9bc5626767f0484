"""A film with a box that a reader drew and the one that a detector found."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

ANNOTATED, DETECTED = (255, 255, 255), (255, 214, 0)  # white, yellow


def drawn(
    film: np.ndarray,
    annotated: Sequence[float] | np.ndarray,
    detected: Sequence[float] | np.ndarray | None,
    *,
    side: int,
) -> np.ndarray:
    """A film uint8 (H, W), enlarged to `side` pixels, as uint8 RGB (side, side, 3) with the annotated box in white and the
    detected one, where there is one, in yellow over it; boxes are x, y, w, h in pixels of the film."""
    height, width = film.shape
    grey = cv2.resize(film, (side, side), interpolation=cv2.INTER_LINEAR)
    picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    thickness = max(1, side // 128)
    for box, colour in ((annotated, ANNOTATED), (detected, DETECTED)):
        if box is not None:
            x, y, w, h = (value * side / size for value, size in zip(box, (width, height, width, height), strict=True))
            cv2.rectangle(picture, (round(x), round(y)), (round(x + w) - 1, round(y + h) - 1), colour, thickness)
    return picture
