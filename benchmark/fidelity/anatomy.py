"""The organs of a film in numbers: how large, where, of what shape, how bright, with what edge, and how they lie to each
other.

A space that knows left from right, which features of photographs do not.
"""

from __future__ import annotations

import numpy as np

PER_ORGAN = 12


def anatomy_features(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Of films uint8 (N, H, W) and masks bool (N, O, H, W), float64 (N, 12 O + O (O - 1)): for each organ its area, its
    centre (x, y), its spread (xx, yy, xy), the length of its outline, the grey level within it and its deviation, the
    step of grey across its edge, its width at its widest, and whether it is there; for every two organs the way from one
    centre to the other. Lengths are in sides of the film. An organ that is not there has zeros."""
    films = images.astype(np.float64) / 255
    organs = [_organ(films, masks[:, organ]) for organ in range(masks.shape[1])]
    ways = [
        (one[:, 1:3] - other[:, 1:3]) * (one[:, -1:] * other[:, -1:])
        for index, one in enumerate(organs)
        for other in organs[index + 1 :]
    ]
    return np.hstack([*organs, *ways])


def _organ(films: np.ndarray, mask: np.ndarray) -> np.ndarray:
    height, width = mask.shape[1:]
    y = (np.arange(height) + 0.5)[None, :, None] / height
    x = (np.arange(width) + 0.5)[None, None, :] / width
    area = mask.mean(axis=(1, 2))
    there = area > 0
    pixels = np.maximum(mask.sum(axis=(1, 2)), 1)

    def mean(values: np.ndarray) -> np.ndarray:
        return (mask * values).sum(axis=(1, 2)) / pixels

    cx, cy = mean(x), mean(y)
    xx, yy, xy = (
        mean((x - cx[:, None, None]) ** 2),
        mean((y - cy[:, None, None]) ** 2),
        mean((x - cx[:, None, None]) * (y - cy[:, None, None])),
    )
    edges = (mask[:, 1:] != mask[:, :-1]).sum(axis=(1, 2)) + (mask[:, :, 1:] != mask[:, :, :-1]).sum(axis=(1, 2))
    grey = mean(films)
    deviation = np.sqrt(mean((films - grey[:, None, None]) ** 2))
    widest = mask.sum(axis=2).max(axis=1) / width
    step = _step_of_edge(films, mask, grey)
    root = np.sqrt(area)
    columns = [root, cx, cy, np.sqrt(xx), np.sqrt(yy), xy, edges / height, grey, deviation, step, widest]
    return np.stack([*(np.where(there, column, 0) for column in columns), there.astype(np.float64)], axis=1)


def _step_of_edge(films: np.ndarray, mask: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """Grey level in the ring just outside of a mask, minus that within it: (N,)."""
    ring = mask
    for _ in range(2):
        wider = ring.copy()
        wider[:, 1:] |= ring[:, :-1]
        wider[:, :-1] |= ring[:, 1:]
        wider[:, :, 1:] |= ring[:, :, :-1]
        wider[:, :, :-1] |= ring[:, :, 1:]
        ring = wider
    ring = ring & ~mask
    counts = ring.sum(axis=(1, 2))
    outside = (ring * films).sum(axis=(1, 2)) / np.maximum(counts, 1)
    return np.where(counts > 0, outside - grey, 0.0)
