"""Grey levels and texture of films: first-order statistics, co-occurrence (Haralick et al. 1973), and frequencies.

The radiomic features that papers compare, written for whole films: every film gives a short vector, whatever its size.
"""

from __future__ import annotations

import numpy as np

RANKS = np.linspace(0.01, 0.99, 16)
LEVELS = 32
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 3), (3, 0))
BANDS = 8


def grey_features(images: np.ndarray) -> np.ndarray:
    """Grey levels (0 to 1) at 16 ranks from the darkest to the brightest hundredth of each film uint8 (N, H, W): float64
    (N, 16). The distance between two films' is that of their grey-level histograms."""
    flat = np.sort(images.reshape(len(images), -1), axis=1)
    places = np.rint(RANKS * (flat.shape[1] - 1)).astype(int)
    return flat[:, places] / 255.0


def texture_features(images: np.ndarray) -> np.ndarray:
    """Of films uint8 (N, H, W), float64 (N, 32): mean, deviation, skewness, kurtosis, entropy; size of steps and of the
    second difference; contrast, homogeneity, energy and correlation of grey levels one pixel apart and three; log power in
    eight bands of frequency, along rows and columns and all around."""
    films = images.astype(np.float64) / 255
    steps = [np.abs(np.diff(films, axis=axis)).mean(axis=(1, 2)) for axis in (1, 2)]
    inner = films[:, 1:-1, 1:-1]
    around = films[:, :-2, 1:-1] + films[:, 2:, 1:-1] + films[:, 1:-1, :-2] + films[:, 1:-1, 2:]
    second = np.abs(around - 4 * inner).mean(axis=(1, 2))
    sizes = np.log(np.stack([*steps, second], axis=1) + 1e-4)
    return np.hstack([_first_order(films), sizes, _co_occurrence(images), _bands(films)])


def _first_order(films: np.ndarray) -> np.ndarray:
    flat = films.reshape(len(films), -1)
    mean, deviation = flat.mean(axis=1), flat.std(axis=1)
    unit = (flat - mean[:, None]) / np.maximum(deviation, 1e-6)[:, None]
    rows = np.repeat(np.arange(len(flat)), flat.shape[1])
    counts = np.zeros((len(flat), LEVELS))
    np.add.at(counts, (rows, np.minimum((flat * LEVELS).astype(int), LEVELS - 1).ravel()), 1)
    share = counts / flat.shape[1]
    entropy = -(share * np.log2(np.where(share > 0, share, 1))).sum(axis=1)
    return np.stack([mean, deviation, (unit**3).mean(axis=1), (unit**4).mean(axis=1), entropy], axis=1)


def _co_occurrence(images: np.ndarray) -> np.ndarray:
    """Mean over the directions of each distance (1, and 3 pixels): (N, 8)."""
    levels = (images.astype(np.int64) * LEVELS) // 256
    i, j = np.indices((LEVELS, LEVELS))
    found: dict[int, list[np.ndarray]] = {1: [], 3: []}
    for down, right in STEPS:
        one, other = _pairs(levels, down, right)
        place = one * LEVELS + other
        rows = np.arange(len(levels))[:, None] * LEVELS**2
        counts = np.bincount((place + rows).ravel(), minlength=len(levels) * LEVELS**2).astype(np.float64)
        matrix = counts.reshape(len(levels), LEVELS, LEVELS)
        matrix = (matrix + matrix.transpose(0, 2, 1)) / (2 * place.shape[1])
        mean = (matrix * i).sum(axis=(1, 2))
        variance = (matrix * i**2).sum(axis=(1, 2)) - mean**2
        statistics = (
            np.log((matrix * (i - j) ** 2).sum(axis=(1, 2)) + 1e-2),
            (matrix / (1 + np.abs(i - j))).sum(axis=(1, 2)),
            np.sqrt((matrix**2).sum(axis=(1, 2))),
            ((matrix * i * j).sum(axis=(1, 2)) - mean**2) / np.maximum(variance, 1e-6),
        )
        found[max(down, abs(right))].append(np.stack(statistics, axis=1))
    return np.hstack([np.mean(found[distance], axis=0) for distance in (1, 3)])


def _pairs(levels: np.ndarray, down: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    """Levels of all pairs of pixels so far apart, (N, P) each."""
    height, width = levels.shape[1:]
    left = max(0, -right)
    one = levels[:, : height - down, left : width - max(0, right)]
    other = levels[:, down:, left + right : width - max(0, right) + right]
    return one.reshape(len(levels), -1), other.reshape(len(levels), -1)


def _bands(films: np.ndarray) -> np.ndarray:
    """Log power of the windowed film in eight bands of frequency up to the highest, all around; and along the two axes in
    the upper four, where a grid shows: (N, 16)."""
    n, side = len(films), films.shape[1]
    window = np.hanning(side)[:, None] * np.hanning(films.shape[2])[None]
    centred = films - films.mean(axis=(1, 2), keepdims=True)
    power = np.abs(np.fft.rfft2(centred * window)) ** 2 / (window**2).sum()
    down = np.abs(np.fft.fftfreq(side))[:, None]
    right = np.fft.rfftfreq(films.shape[2])[None]
    edges = np.linspace(0, 0.5, BANDS + 1)
    radius = np.minimum(np.hypot(down, right), 0.4999)
    band = np.digitize(radius, edges) - 1
    upper = range(BANDS // 2, BANDS)
    parts = [band == one for one in range(BANDS)]
    parts += [(np.digitize(np.broadcast_to(down, band.shape), edges) - 1 == one) & (right < 0.1) for one in upper]
    parts += [(np.digitize(np.broadcast_to(right, band.shape), edges) - 1 == one) & (down < 0.1) for one in upper]
    flat = power.reshape(n, -1)
    return np.stack([np.log(flat[:, part.ravel()].mean(axis=1) + 1e-7) for part in parts], axis=1)
