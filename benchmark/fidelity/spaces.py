"""Feature spaces: from films to vectors. Each has a name that stands wherever its numbers do ("FD (anatomy, 1,000 films)").

No single space sees every defect (docs/fidelity.md has the table): grey levels, texture, the organs of masks, a network of
photographs, networks of one's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..data.film_rows import blocks
from ..errors import InputError
from .anatomy import anatomy_features
from .texture import grey_features, texture_features

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..progress import Progress


@dataclass(frozen=True)
class Space:
    """A name, one line on what it is, whether it needs masks, and the vectors of films, float64 (N, D)."""

    name: str
    about: str
    features: Callable[[Dataset, Progress], np.ndarray]
    needs_masks: bool = False
    standard: bool = False
    """Whether features have units of their own: they are then divided by the deviation of the real films'."""
    organs: tuple[str, ...] = ()
    """Where features are those of `anatomy` of masks that the space makes itself: of which organs, in their order."""
    unseen: frozenset[str] | None = None
    """Ids of the real films that it may be shown: those that its network was not trained on; None: all."""


def _by_films(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Dataset, Progress], np.ndarray]:
    def features(films: Dataset, progress: Progress) -> np.ndarray:
        side = films.resolution
        parts = []
        for rows in blocks(len(films), 64 * side * side):
            parts.append(function(np.asarray(films.images[rows])))
            progress.update(rows.stop / len(films))
        return np.concatenate(parts)

    return features


def _anatomy(films: Dataset, progress: Progress) -> np.ndarray:
    if films.masks is None:
        raise InputError(f"dataset {films.info.name} has no masks: the space anatomy needs those of the organs")
    parts = []
    for rows in blocks(len(films), 64 * films.resolution**2):
        parts.append(anatomy_features(np.asarray(films.images[rows]), films.organ_masks(rows=rows)))
        progress.update(rows.stop / len(films))
    return np.concatenate(parts)


GREY = Space("grey levels", "grey levels at 16 ranks of each film", _by_films(grey_features))
TEXTURE = Space(
    "texture",
    "first-order, co-occurrence and frequency statistics of each film",
    _by_films(texture_features),
    standard=True,
)
ANATOMY = Space(
    "anatomy",
    "areas, places, shapes, grey levels and edges of the organs' masks",
    _anatomy,
    needs_masks=True,
    standard=True,
)


def comparable(space: Space, real: np.ndarray, synthetic: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features of both sides as they are compared: in units of the real films' deviation where a space has units of its own
    (what real films do not vary in stays in its own)."""
    if not space.standard:
        return real, synthetic
    centre, spread = real.mean(axis=0), real.std(axis=0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    return (real - centre) / scale, (synthetic - centre) / scale
