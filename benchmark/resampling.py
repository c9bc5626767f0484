"""Changing the resolution of films and masks."""

from __future__ import annotations

import numpy as np


def resize_film(image: np.ndarray, resolution: int) -> np.ndarray:
    """One film (H, H), uint8 or float32, to (resolution, resolution): area mean when shrinking, linear
    when growing.
    """
    import cv2

    how = cv2.INTER_AREA if resolution < image.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(image), (resolution, resolution), interpolation=how)


def resize_films(images: np.ndarray, resolution: int) -> np.ndarray:
    """uint8 (N, H, W) to uint8 (N, resolution, resolution): area mean when shrinking, linear when growing."""
    resized = np.empty((len(images), resolution, resolution), dtype=np.uint8)
    for index, image in enumerate(images):
        resized[index] = resize_film(image, resolution)
    return resized


def resize_masks(masks: np.ndarray, resolution: int, organs: int) -> np.ndarray:
    """Bit flags uint8 (N, H, W) to uint8 (N, resolution, resolution): set where the organ covers half of
    the pixel.
    """
    resized = np.zeros((len(masks), resolution, resolution), dtype=np.uint8)
    for bit in range(organs):
        one = resize_films(((masks >> bit) & 1) * np.uint8(255), resolution)
        resized |= (one >= 128).astype(np.uint8) << np.uint8(bit)
    return resized
