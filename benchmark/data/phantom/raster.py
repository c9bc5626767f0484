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
Thing = tuple[Points, float]
"""Polygons of one kind, stacked (k, n, 2), and what each of them weighs in cm of bone."""

_CHUNK = 6000  # crossings at a time: temporary arrays stay below what malloc would map and unmap each time


def points(x: NDArray[np.float64], y: NDArray[np.float64]) -> Points:
    """Coordinates (...) side by side, (..., 2)."""
    both = np.empty((*x.shape, 2))
    both[..., 0], both[..., 1] = x, y
    return both


Place = Callable[[NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Maps x and y to those of the picture: x right, y down, [0, 1] x [0, 1]."""


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

    def coverage(self, layers: int, resolution: int, rows_per_pixel: int, place: Place) -> NDArray[np.float64]:
        """Sum of weight x covered fraction for each layer and pixel, float64 (layers, H, W)."""
        rows = resolution * rows_per_pixel
        every = np.concatenate(self._points)
        start_x, start_y = place(every[:, 0], every[:, 1])
        vertices = np.array(self._vertices)
        stop = np.cumsum(vertices)
        following = np.arange(1, len(every) + 1)
        following[stop - 1] = stop - vertices
        end_x, end_y = start_x.take(following), start_y.take(following)
        # The sign of its area makes the inside positive whichever way round a polygon was given.
        area = np.add.accumulate(start_x * end_y - end_x * start_y).take(stop - 1)
        area[1:] -= area[:-1].copy()
        weight = np.repeat(np.array(self._weights) * np.sign(area) / rows_per_pixel, vertices)
        layer_of = np.array(self._layers)
        layer = np.repeat(layer_of, vertices)
        # Sample row r lies at y = (r + 0.5) / rows; an edge owns the rows in [upper end, lower end).
        start_row, end_row = start_y * rows - 0.5, end_y * rows - 0.5
        first = np.minimum(np.maximum(np.ceil(np.minimum(start_row, end_row)), 0.0), float(rows)).astype(np.int64)
        last = np.minimum(np.maximum(np.ceil(np.maximum(start_row, end_row)), 0.0), float(rows)).astype(np.int64)
        # Of every layer the rows from its highest to its lowest edge.
        upper, lower = np.full(layers, resolution), np.zeros(layers, np.int64)
        np.minimum.at(upper, layer_of, np.minimum.reduceat(first, stop - vertices) // rows_per_pixel)
        np.maximum.at(lower, layer_of, -(-np.maximum.reduceat(last, stop - vertices) // rows_per_pixel))
        used = np.flatnonzero(last > first)
        crossings, first, start_row = (last - first).take(used), first.take(used), start_row.take(used)
        drop = end_row.take(used) - start_row
        start_x = start_x.take(used)
        slope = (end_x.take(used) - start_x) * resolution / drop
        at_row_0 = start_x * resolution - start_row * slope
        amount = -np.sign(drop) * weight.take(used)
        # Two spare columns take what falls on the right border.
        steps = np.zeros((layers, resolution, resolution + 2), np.float64)
        flat, base = steps.reshape(-1), layer.take(used) * resolution
        total = np.cumsum(crossings)
        cuts = np.searchsorted(total, np.arange(_CHUNK, total[-1], _CHUNK)).tolist()
        for low, high in zip([0, *cuts], [*cuts, len(used)], strict=True):
            count = crossings[low:high]
            edge = np.repeat(np.arange(low, high), count)
            row = np.arange(len(edge)) + np.repeat(first[low:high] - np.cumsum(count) + count, count)
            x = row * slope.take(edge)
            x += at_row_0.take(edge)
            np.maximum(x, 0.0, out=x)
            np.minimum(x, float(resolution), out=x)
            column = x.astype(np.int64)
            row //= rows_per_pixel
            row += base.take(edge)
            row *= resolution + 2
            row += column
            passed = amount.take(edge)
            x -= column
            x *= passed
            passed -= x
            np.add.at(flat, row, passed)
            row += 1
            np.add.at(flat, row, x)
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
        across = points(y * -share, x * share)
        ring[:, : centres.shape[1]] = centres + across
        ring[:, centres.shape[1] :] = (centres - across)[:, ::-1]
        rings.append(ring)
    return rings
