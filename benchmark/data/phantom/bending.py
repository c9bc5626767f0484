"""A smooth displacement of the picture: how people differ in shape beyond their measures, and how a reader's hand strays.

The displacement is a uniform quadratic B-spline over a square grid of normal numbers, so that it is the same at every
resolution, has no kinks and, as long as it is small beside the distance of its nodes, folds nothing: organs that do not
overlap do not overlap when they are bent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...draws import Draw
from .depths import Plane

_OUTSIDE = 0.25  # of the picture's side: the grid goes on beyond its borders by so much
_SPREAD = 0.55  # of the spline, where the numbers at its nodes have spread 1


@dataclass(frozen=True, eq=False)
class Bend:
    """Displacements in shares of the picture's side, at the nodes of a grid: float64 (2, n, n), across and down."""

    nodes: NDArray[np.float64]

    @classmethod
    def draw(cls, rng: Draw, spread: float, cells: int) -> Bend:
        """One with standard deviation `spread`, its bumps about 1.5 / `cells` wide."""
        return cls(rng.noise(2, cells + 2, cells + 2) * (spread / _SPREAD))

    @property
    def most(self) -> float:
        """No point moves farther than this in either direction."""
        return float(np.abs(self.nodes).max())

    def at(self, x: Plane, y: Plane) -> tuple[Plane, Plane]:
        """The displacements of points of the picture, float64 of their shape; rows and columns of a grid may be given as
        (1, W) and (H, 1)."""
        columns, rows = _taps(x, self.nodes.shape[1]), _taps(y, self.nodes.shape[1])
        if x.shape != y.shape:
            return self._over_grid(columns, rows)
        moved = np.zeros((2, *x.shape))
        for row, share in rows:
            for column, part in columns:
                moved += self.nodes[:, row, column] * (share * part)
        return moved[0], moved[1]

    def _over_grid(self, columns: _Taps, rows: _Taps) -> tuple[Plane, Plane]:
        """The same for all crossings of columns and rows, one direction after the other."""
        wide = np.zeros((2, self.nodes.shape[1], columns[0][0].shape[1]))
        for column, part in columns:
            wide += self.nodes[:, :, column[0]] * part
        moved = np.zeros((2, rows[0][0].shape[0], wide.shape[2]))
        for row, share in rows:
            moved += wide[:, row[:, 0]] * share
        return moved[0], moved[1]


_Taps = list[tuple[NDArray[np.int64], Plane]]


def _taps(place: Plane, nodes: int) -> _Taps:
    """The three nodes around every place along one direction, each with its weight."""
    cells = nodes - 2
    at = (place + _OUTSIDE) * (cells / (1.0 + 2.0 * _OUTSIDE))
    at = np.minimum(np.maximum(at, 0.0), cells - 1e-9)
    first = at.astype(np.int64)
    t = at - first
    s = 1.0 - t
    return [(first, 0.5 * s * s), (first + 1, 0.5 + s * t), (first + 2, 0.5 * t * t)]
