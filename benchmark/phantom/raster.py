"""Exact coverage of pixels by polygons, in numpy: the phantom's only drawing primitive.

The accumulation buffer of font rasterisers: every edge leaves at each (sub-)row the x where it crosses, and a
running sum along the row turns crossings into coverage. Along x the area is exact, along y it is the mean of
`rows_per_pixel` samples, so a rib narrower than a pixel keeps its area and a person has the same areas
at every resolution. All polygons of a picture are drawn in one call; weights add where polygons overlap,
which is what thicknesses along a ray do.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

_CHUNK = 6000  # crossings at a time: temporary arrays stay below what malloc would map and unmap each time


class Drawing:
    """Weighted polygons in coordinates of the caller's choice."""

    def __init__(self) -> None:
        self._points: list[Points] = []
        self._vertices: list[int] = []  # of each ring
        self._layers: list[int] = []
        self._weights: list[float] = []

    def add(self, layer: int, ring: Points, weight: float = 1.0) -> None:
        """Add one closed polygon, (n, 2), in either direction."""
        self._points.append(ring)
        self._vertices.append(len(ring))
        self._layers.append(layer)
        self._weights.append(weight)

    def add_all(self, layer: int, rings: Points, weights: NDArray[np.float64]) -> None:
        """Add k polygons of n vertices each, (k, n, 2), with one weight each, (k,)."""
        count, vertices, _ = rings.shape
        self._points.append(rings.reshape(-1, 2))
        self._vertices += [vertices] * count
        self._layers += [layer] * count
        self._weights += weights.tolist()

    def coverage(
        self, layers: int, resolution: int, rows_per_pixel: int, place: Callable[[Points], Points]
    ) -> NDArray[np.float64]:
        """Sum of weight x covered fraction for each layer and pixel, float64 (layers, H, W).

        `place` maps points (n, 2) to the picture: x right, y down, [0, 1] x [0, 1].
        """
        rows = resolution * rows_per_pixel
        starts = place(np.concatenate(self._points))
        vertices = np.array(self._vertices)
        stop = np.cumsum(vertices)
        following = np.arange(1, len(starts) + 1)
        following[stop - 1] = stop - vertices
        ends = starts[following]
        # The sign of its area makes the inside positive whichever way round a polygon was given.
        cross = starts[:, 0] * ends[:, 1] - ends[:, 0] * starts[:, 1]
        area = np.diff(np.add.accumulate(cross)[stop - 1], prepend=0.0)
        turning = np.sign(area)
        weight = np.repeat(np.array(self._weights) * turning / rows_per_pixel, vertices)
        layer = np.repeat(np.array(self._layers), vertices)
        # Sample row r lies at y = (r + 0.5) / rows; an edge owns the rows in [upper end, lower end).
        start_row, end_row = starts[:, 1] * rows - 0.5, ends[:, 1] * rows - 0.5
        first = np.clip(np.ceil(np.minimum(start_row, end_row)), 0, rows).astype(np.int64)
        last = np.clip(np.ceil(np.maximum(start_row, end_row)), 0, rows).astype(np.int64)
        used = np.flatnonzero(last > first)
        crossings, first, start_row = (last - first)[used], first[used], start_row[used]
        drop = end_row[used] - start_row
        slope = (ends[used, 0] - starts[used, 0]) * resolution / drop
        at_row_0 = starts[used, 0] * resolution - start_row * slope
        amount = -np.sign(drop) * weight[used]
        # Two spare columns take what falls on the right border.
        steps = np.zeros((layers, resolution, resolution + 2), np.float64)
        flat, base = steps.reshape(-1), layer[used] * resolution
        total = np.cumsum(crossings)
        cuts = np.searchsorted(total, np.arange(_CHUNK, total[-1], _CHUNK)).tolist()
        for low, high in zip([0, *cuts], [*cuts, len(used)], strict=True):
            count = crossings[low:high]
            edge = np.repeat(np.arange(low, high), count)
            row = np.arange(len(edge)) + np.repeat(first[low:high] - np.cumsum(count) + count, count)
            x = np.minimum(np.maximum(at_row_0[edge] + row * slope[edge], 0.0), float(resolution))
            column = x.astype(np.int64)
            cell = (base[edge] + row // rows_per_pixel) * (resolution + 2) + column
            passed = amount[edge]
            beyond = passed * (x - column)
            np.add.at(flat, cell, passed - beyond)
            np.add.at(flat, cell + 1, beyond)
        # Of every layer the rows from its highest to its lowest edge alone.
        upper, lower = np.full(layers, resolution), np.zeros(layers, np.int64)
        np.minimum.at(upper, layer[used], first // rows_per_pixel)
        np.maximum.at(lower, layer[used], (last[used] - 1) // rows_per_pixel + 1)
        for part, start, end in zip(steps, upper.tolist(), lower.tolist(), strict=True):
            np.add.accumulate(part[start:end], axis=1, out=part[start:end])
        return steps[:, :, :resolution]


def ribbons(centres: Points, *half_widths: NDArray[np.float64]) -> list[Points]:
    """Polygons (k, 2n, 2) around k centre lines (k, n, 2), once for each of the half widths, which broadcast to (k, n)."""
    along = np.empty_like(centres)
    along[:, 1:-1] = centres[:, 2:] - centres[:, :-2]
    along[:, 0] = centres[:, 1] - centres[:, 0]
    along[:, -1] = centres[:, -1] - centres[:, -2]
    x, y = along[..., 0], along[..., 1]
    length = np.sqrt(x * x + y * y) + 1e-12
    rings = []
    for half_width in half_widths:
        share = half_width / length
        ring = np.empty((len(centres), 2 * centres.shape[1], 2))
        across = np.empty_like(centres)
        np.multiply(y, -share, out=across[..., 0])
        np.multiply(x, share, out=across[..., 1])
        ring[:, : centres.shape[1]] = centres + across
        ring[:, centres.shape[1] :] = (centres - across)[:, ::-1]
        rings.append(ring)
    return rings
