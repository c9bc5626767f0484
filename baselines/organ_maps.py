"""Organ masks as pictures that generators draw: a label map with a grey code per organ, and maps of dots.

Ciano et al. (2021) give every organ a grey value and mark it by a dot at its centroid. Where organs overlap, the
label map shows the one painted last: background, lungs, everything else, clavicles. Going back to masks, an organ
that the training set shows to continue under another (lung under clavicle) is completed inside its convex hull.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

LEARN_FROM = 200  # films that are enough to learn which organs overlap
SPECK = 0.005  # a background island smaller than this share of the film is a defect
DOT_RADIUS, DOT_SIDE = 2.0, 64  # pixels on a 64 x 64 map; in proportion on others, but at least 1


def paint_order(organs: Sequence[str]) -> list[int]:
    """Organ numbers in the order in which they are painted: lungs, others, clavicles."""

    def layer(organ: int) -> int:
        return 0 if "lung" in organs[organ].lower() else 2 if "clavicle" in organs[organ].lower() else 1

    return sorted(range(len(organs)), key=layer)


def paint(masks: np.ndarray, organs: Sequence[str]) -> np.ndarray:
    """Bool masks (N, O, H, W) to classes uint8 (N, H, W): 0 is background, k the k-th organ painted."""
    classes = np.zeros((len(masks), *masks.shape[2:]), dtype=np.uint8)
    for number, organ in enumerate(paint_order(organs), start=1):
        classes[masks[:, organ]] = number
    return classes


def grey_codes(classes: np.ndarray, count: int) -> np.ndarray:
    """Classes 0 to count - 1 as equally spaced grey levels 0 to 255: codes in [-1, 1] once scaled like a film."""
    return np.rint(np.linspace(0, 255, count)).astype(np.uint8)[classes]


def nearest_class(values: np.ndarray, count: int) -> np.ndarray:
    """Values around [-1, 1], any shape, to the classes (uint8) of the nearest codes."""
    return np.rint((np.clip(values, -1, 1) + 1) / 2 * (count - 1)).astype(np.uint8)


def mode_filter(classes: np.ndarray, count: int) -> np.ndarray:
    """Every pixel of (N, H, W) becomes the commonest class of its 3 x 3 neighbourhood; a tie keeps the pixel, or
    takes the lower class."""
    votes = np.empty((count, *classes.shape[1:]), dtype=np.float32)
    filtered = np.empty_like(classes)
    for index, film in enumerate(classes):
        for number in range(count):
            here = (film == number).astype(np.float32)
            votes[number] = cv2.boxFilter(here, -1, (3, 3), normalize=False, borderType=cv2.BORDER_REPLICATE)
            votes[number] += 0.5 * here
        filtered[index] = votes.argmax(axis=0)
    return filtered


def hull(mask: np.ndarray) -> np.ndarray:
    """Convex hull of a bool mask (H, W), single specks left out; empty where the mask is."""
    filled = np.zeros(mask.shape, dtype=np.uint8)
    big = _components(mask, least=max(2, 0.02 * mask.sum()))
    if big.any():
        points = np.argwhere(big)[:, ::-1].astype(np.int32)
        cv2.fillConvexPoly(filled, cv2.convexHull(points), 1)
    return filled.astype(bool)


def _components(mask: np.ndarray, *, most: int | None = None, least: float = 0) -> np.ndarray:
    """The `most` largest 8-connected components of a bool mask (H, W), those of at least `least` pixels."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    numbers = 1 + np.argsort(-areas, kind="stable")[:most]
    keep = np.zeros(count, dtype=bool)
    keep[[number for number in numbers if areas[number - 1] >= least]] = True
    return keep[labels]


@dataclass(frozen=True)
class OrganMaps:
    """How the organs of a training set become label maps and dots, and back.

    organs: in the order of the dataset. continued: (over, under) organ numbers where `under` goes on beneath
    `over`. parts: connected parts an organ has. required: organs that every training film shows.
    """

    organs: tuple[str, ...]
    continued: tuple[tuple[int, int], ...]
    parts: tuple[int, ...]
    required: tuple[bool, ...]

    @classmethod
    def learn(cls, masks: np.ndarray, organs: Sequence[str]) -> OrganMaps:
        """From training masks, bool (N, O, H, W)."""
        classes, order = paint(masks[:LEARN_FROM], organs), paint_order(organs)
        hulls = {o: [hull(film == k) for film in classes] for k, o in enumerate(order, start=1)}
        continued = []
        for k, over in enumerate(order, start=1):
            for under in order[: k - 1]:
                inside = (classes == k) & np.stack(hulls[under])
                if inside.any() and masks[:LEARN_FROM, under][inside].mean() > 0.5:
                    continued.append((over, under))
        parts = tuple(
            max(1, int(np.quantile([_count_parts(film) for film in masks[:LEARN_FROM, o]], 0.9)))
            for o in range(len(organs))
        )
        required = tuple(bool(masks[:, o].any(axis=(1, 2)).all()) for o in range(len(organs)))
        return cls(tuple(organs), tuple(continued), parts, required)

    @property
    def classes(self) -> int:
        """Organs and background."""
        return len(self.organs) + 1

    def masks(self, classes: np.ndarray) -> np.ndarray:
        """Classes uint8 (N, H, W) to bool masks (N, O, H, W), organs completed under those painted over."""
        order = paint_order(self.organs)
        masks = np.stack([classes == 1 + order.index(o) for o in range(len(self.organs))], axis=1)
        visible = masks.copy()
        for film, seen in zip(masks, visible, strict=True):
            for over, under in self.continued:
                film[under] |= seen[over] & hull(seen[under])
        return masks

    def clean(self, classes: np.ndarray) -> np.ndarray:
        """Label maps (N, H, W) whose organs have no more parts than in the training set; the removed pixels and
        small islands of background take the class of the nearest pixel that stays."""
        cleaned = classes.copy()
        for film, masks in zip(cleaned, self.masks(classes), strict=True):
            stays = _components(film == 0, least=SPECK * film.size)
            for k, organ in enumerate(paint_order(self.organs), start=1):
                stays |= (film == k) & _components(masks[organ], most=self.parts[organ])
            if stays.any() and not stays.all():
                nearest = ndimage.distance_transform_edt(~stays, return_distances=False, return_indices=True)
                film[:] = film[tuple(nearest)]
        return cleaned

    def dots(self, masks: np.ndarray, side: int, radius: float = DOT_RADIUS) -> np.ndarray:
        """Bool masks (N, O, H, W) to dot maps uint8 (N, side, side): a disc of its class at each centroid.

        `radius` is in pixels of a 64 x 64 map.
        """
        order, scale, disc = paint_order(self.organs), side / masks.shape[-1], _disc(side, radius)
        maps = np.zeros((len(masks), side, side), dtype=np.uint8)
        for film, dots in zip(masks, maps, strict=True):
            for k, organ in enumerate(order, start=1):
                if film[organ].any():
                    _draw_dot(dots, (_centroid(film[organ]) + 0.5) * scale - 0.5, k, disc)
        return maps

    def clean_dots(self, dots: np.ndarray, radius: float = DOT_RADIUS) -> tuple[np.ndarray, np.ndarray]:
        """Generated dot maps uint8 (N, side, side) redrawn from the largest blob of each class, and which of them
        (N,) have a dot for every required organ. A blob under a quarter of a dot's area is none."""
        redrawn, complete = np.zeros_like(dots), np.ones(len(dots), dtype=bool)
        disc = _disc(dots.shape[-1], radius)
        least = np.count_nonzero(disc) / 4
        for index, film in enumerate(dots):
            for k, organ in enumerate(paint_order(self.organs), start=1):
                blob = _components(film == k, most=1, least=least)
                if blob.any():
                    _draw_dot(redrawn[index], _centroid(blob), k, disc)
                elif self.required[organ]:
                    complete[index] = False
        return redrawn, complete


def upsize(dots: np.ndarray, side: int) -> np.ndarray:
    """Class maps (N, h, h) to (N, side, side) by nearest neighbour."""
    index = np.arange(side) * dots.shape[-1] // side
    return dots[:, index[:, None], index]


def _count_parts(mask: np.ndarray) -> int:
    """Connected parts of at least a tenth of a mask's area."""
    big = _components(mask, least=0.1 * mask.sum())
    return cv2.connectedComponents(big.astype(np.uint8), connectivity=8)[0] - 1


def _centroid(mask: np.ndarray) -> np.ndarray:
    """(row, column) of the centre of a bool mask's pixels."""
    return np.argwhere(mask).mean(axis=0)


def _disc(side: int, radius: float) -> np.ndarray:
    """The pixels of one dot on a map of `side` pixels: bool, square, odd side."""
    radius = max(1.0, radius * side / DOT_SIDE)
    reach = np.arange(-int(radius), int(radius) + 1)
    return reach[:, None] ** 2 + reach**2 <= radius**2


def _draw_dot(dots: np.ndarray, centre: np.ndarray, number: int, disc: np.ndarray) -> None:
    """Paint one dot at the pixel nearest to `centre`, cut at the border."""
    offsets = np.argwhere(disc) - len(disc) // 2
    pixels = offsets + np.rint(centre).astype(int)
    rows, columns = pixels[((pixels >= 0) & (pixels < len(dots))).all(axis=1)].T
    dots[rows, columns] = number
