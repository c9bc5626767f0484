"""The rules from anatomy that turn a lung mask into one box (Liu et al., SDFN, section B.2); they need no torch."""

from __future__ import annotations

from enum import StrEnum

import cv2
import numpy as np

from ...benchmark.data.originals import Originals

FRAME = 256  # pixels a side of the film that the paper's margins are meant for


MARGIN = 15  # pixels of that film: top, left and right


BOTTOM_MARGIN = 20


UNEQUAL = 1 / 3  # a second region under this share of the first is not the other lung


def equalised(films: np.ndarray) -> np.ndarray:
    """Histogram-equalised films: uint8 (N, H, W) to float32 (N, H, W) in [0, 1], each by its own grey levels."""
    flat = np.empty(films.shape, dtype=np.float32)
    for place, film in enumerate(films):
        shares = np.cumsum(np.bincount(film.ravel(), minlength=256)) / film.size
        flat[place] = shares.astype(np.float32)[film]
    return flat


def clean(mask: np.ndarray, least_share: float) -> np.ndarray:
    """A bool mask (H, W) without regions, and then without holes, below a share of the film (4-connected)."""
    return ~_without_small(~_without_small(mask, least_share), least_share)


def _without_small(mask: np.ndarray, least_share: float) -> np.ndarray:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    keep = stats[:, cv2.CC_STAT_AREA] >= least_share * mask.size
    keep[0] = False
    return keep[labels]


def lung_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the lungs in a bool mask (H, W), ends excluded, without margins.

    Of more than two regions those two stay whose centroids are nearest to the centre of the film. Of two regions the
    smaller goes when it is under a third of the larger. A region that is left alone is mirrored about the vertical
    centre line, and the box is that of the region and its mirror image. Without a region it is the whole film.
    """
    height, width = mask.shape
    _, _, stats, centroids = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    regions, centroids = stats[1:], centroids[1:]
    if not len(regions):
        return 0, 0, width, height
    if len(regions) > 2:
        distances = np.hypot(centroids[:, 0] - (width - 1) / 2, centroids[:, 1] - (height - 1) / 2)
        regions = regions[np.argsort(distances, kind="stable")[:2]]
    areas = regions[:, cv2.CC_STAT_AREA]
    if areas.min() < UNEQUAL * areas.max():
        regions = regions[[areas.argmax()]]
    left, top = int(regions[:, cv2.CC_STAT_LEFT].min()), int(regions[:, cv2.CC_STAT_TOP].min())
    right = int((regions[:, cv2.CC_STAT_LEFT] + regions[:, cv2.CC_STAT_WIDTH]).max())
    bottom = int((regions[:, cv2.CC_STAT_TOP] + regions[:, cv2.CC_STAT_HEIGHT]).max())
    if len(regions) == 1:
        left, right = min(left, width - right), max(right, width - left)
    return left, top, right, bottom


class Found(StrEnum):
    """What a lung mask holds. The paper calls a film segmented without false regions where it has two that may be lungs."""

    TWO = "two plausible regions"
    MORE = "more than two regions"
    UNEQUAL = "two, the smaller under a third"
    ONE = "one region"
    NONE = "no region"


def found_in(mask: np.ndarray) -> Found:
    """What `lung_box` starts from in a bool mask (H, W)."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if len(areas) != 2:
        return Found.NONE if not len(areas) else Found.ONE if len(areas) == 1 else Found.MORE
    return Found.UNEQUAL if areas.min() < UNEQUAL * areas.max() else Found.TWO


def boxes_of(masks: np.ndarray, side: int) -> np.ndarray:
    """Lung masks, bool (N, S, S), to boxes with margins on films of `side` pixels: int64 (N, 4).

    A row is (left, top, right, bottom), ends excluded, in whole pixels of the film. Margins are 15 pixels (20 below)
    of a film of 256, scaled; nothing reaches over the edge.
    """
    size = masks.shape[-1]
    tight = np.array([lung_box(mask) for mask in masks], dtype=np.float64).reshape(-1, 4)
    wide = tight / size + np.array([-MARGIN, -MARGIN, MARGIN, BOTTOM_MARGIN]) / FRAME
    ends = np.clip(wide, 0, 1) * side
    starts, stops = np.floor(ends[:, :2] + 1e-6), np.ceil(ends[:, 2:] - 1e-6)  # a whole pixel stays one
    return np.concatenate([starts, stops], axis=1).astype(np.int64)


def cut(films: np.ndarray, boxes: np.ndarray, resolution: int, originals: Originals | None = None) -> np.ndarray:
    """The boxes of films (N, H, W), cut from their originals where they have some, read one after another: uint8 (N,
    resolution, resolution). A box covers on the original what it covers on the film."""
    if originals is None:
        return cropped(films, boxes, resolution)
    crops = np.empty((len(films), resolution, resolution), dtype=np.uint8)
    for place, (film, box) in enumerate(zip(films, boxes, strict=True)):
        original = originals.film(place)
        if original is None:
            crops[place] = cropped(film[None], box[None], resolution)[0]
            continue
        scale = original.shape[0] / film.shape[0]
        ends = np.concatenate([np.floor(box[:2] * scale), np.ceil(box[2:] * scale)]).astype(np.int64)
        crops[place] = cropped(original[None], ends[None], resolution)[0]
    return crops


def cropped(films: np.ndarray, boxes: np.ndarray, resolution: int) -> np.ndarray:
    """The boxes of films, uint8 (N, H, W) and (N, 4), as films of their own: uint8 (N, resolution, resolution)."""
    crops = np.empty((len(films), resolution, resolution), dtype=np.uint8)
    for place, (film, (left, top, right, bottom)) in enumerate(zip(films, boxes, strict=True)):
        shrinks = min(right - left, bottom - top) >= resolution
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        part = np.ascontiguousarray(film[top:bottom, left:right])
        crops[place] = cv2.resize(part, (resolution, resolution), interpolation=how)
    return crops
