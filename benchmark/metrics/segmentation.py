"""Overlap and distance of binary masks: Dice, Jaccard, Hausdorff, in numpy and OpenCV.

Masks are boolean arrays whose last two axes are rows and columns; the axes before them (cases, organs) are
kept, so (N, O, H, W) gives (N, O), (N, H, W) gives (N,), and a single (H, W) pair gives a scalar.

Empty masks, everywhere the same: both empty is agreement (Dice and Jaccard 1, distance 0); one empty is a
miss (Dice and Jaccard 0, distance = the image diagonal). A miss therefore stays in every mean, as the worst
value there is.

The Hausdorff distance is that of whole masks, symmetric, the maximum. Other programs report under the same name the
distance between boundary pixels alone (a filled hole costs more there) or 95th percentiles.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial.distance import cdist, directed_hausdorff

from ..errors import InputError

Mask = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]
Points = npt.NDArray[np.int64]  # (n, 2): row, column
Bytes = npt.NDArray[Any]  # uint8 with the values 0 and 1: what OpenCV takes

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)

# OpenCV's 5 x 5 chamfer distance is at least this times the Euclidean one (Borgefors 1986; weights 1, 1.4 and
# 2.1969, so that the least ratio is 2.1969 / sqrt(5) = 0.98248; the rest is room for its arithmetic).
_CHAMFER_LOW = 0.98
# In OpenCV 4 its fixed-point distances saturate at 8192.
_CHAMFER_SPAN = 8000
# The squares in OpenCV's precise transform are float32: whole numbers up to here, so that rounding makes them
# exact.
_PRECISE_SPAN = 2000.0
# Up to this many pixels the precise transform (7 ns a pixel) costs less than finding out what could be left
# out.
_SMALL = 16_384
# Beyond, comparing points is the cheaper way up to this many pairs for each pixel that a transform would
# visit, and in all. A pair costs below 1 ns where the search can break early, 8 ns where all distances are
# nearly the same.
_PAIRS_PER_PIXEL = 16
_PAIRS = 1_000_000
# Up to this many pairs, all of them at once cost less than breaking early.
_ALL_PAIRS = 20_000


# ---------------------------------------------------------------------------------------------------- overlap


def confusion(pred: Mask, truth: Mask) -> tuple[Counts, Counts, Counts]:
    """True positive, false positive and false negative pixels of every mask pair.

    `pred`, `truth`: bool, the same shape (..., H, W). Returns three int64 arrays of shape (...).
    Raises InputError where the shapes differ or the masks are not boolean.
    """
    _check(pred, truth)
    lead, planes = pred.shape[:-2], (-1, *pred.shape[-2:])
    both = np.empty(pred.shape[-2:], np.bool_)
    counts = np.zeros((3, int(np.prod(lead))), np.int64)
    for i, (p, t) in enumerate(zip(pred.reshape(planes), truth.reshape(planes), strict=True)):
        tp, in_pred, in_truth = _pixels(p, t, both)
        counts[:, i] = tp, in_pred - tp, in_truth - tp
    tps, fps, fns = counts.reshape(3, *lead)
    return tps, fps, fns


def dice_from_counts(tp: npt.ArrayLike, fp: npt.ArrayLike, fn: npt.ArrayLike) -> Scores:
    """Dice similarity coefficient 2 TP / (2 TP + FP + FN) in [0, 1], elementwise; 1 where all three are 0."""
    twice = 2 * np.asarray(tp, np.int64)
    return _share(twice, twice + np.asarray(fp, np.int64) + np.asarray(fn, np.int64))


def jaccard_from_counts(tp: npt.ArrayLike, fp: npt.ArrayLike, fn: npt.ArrayLike) -> Scores:
    """Jaccard index TP / (TP + FP + FN) in [0, 1], elementwise; 1 where all three are 0."""
    hits = np.asarray(tp, np.int64)
    return _share(hits, hits + np.asarray(fp, np.int64) + np.asarray(fn, np.int64))


def pooled(tp: Counts, fp: Counts, fn: Counts) -> tuple[Counts, Counts, Counts]:
    """Counts summed over the cases (the first axis): (N, O) -> (O,).

    The multi-stage paper's J and DSC come from these sums, once per organ over the whole test set, and not
    from the mean over images: `dice_from_counts(*pooled(*confusion(pred, truth)))`.
    """
    return tp.sum(axis=0), fp.sum(axis=0), fn.sum(axis=0)


def dice(pred: Mask, truth: Mask) -> Scores:
    """Dice of every mask pair: bool (..., H, W) -> float64 (...) in [0, 1]."""
    if pred.ndim == 2:  # what follows costs more than counting a small mask
        _check(pred, truth)
        tp, in_pred, in_truth = _pixels(pred, truth)
        return np.asarray(2 * tp / (in_pred + in_truth) if in_pred or in_truth else 1.0)
    return dice_from_counts(*confusion(pred, truth))


def jaccard(pred: Mask, truth: Mask) -> Scores:
    """Jaccard index of every mask pair: bool (..., H, W) -> float64 (...) in [0, 1]."""
    return jaccard_from_counts(*confusion(pred, truth))


def _pixels(pred: Mask, truth: Mask, both: Mask | None = None) -> tuple[int, int, int]:
    """Pixels in both masks, in the first, in the second; `both` is room for the intersection."""
    both = np.logical_and(pred, truth, out=both)
    return int(np.count_nonzero(both)), int(np.count_nonzero(pred)), int(np.count_nonzero(truth))


def _share(part: Counts, whole: Counts) -> Scores:
    return np.where(whole == 0, 1.0, part / np.maximum(whole, 1))[()]


# --------------------------------------------------------------------------------------------------- distance


def image_diagonal(height: int, width: int) -> float:
    """The distance, in pixels, that stands for a missed mask: hypot(H, W).

    Two pixels of one image are at most hypot(H - 1, W - 1) apart, so a miss is worse than any hit.
    """
    return float(np.hypot(height, width))


def hausdorff(pred: Mask, truth: Mask, spacing: float = 1.0) -> float:
    """Symmetric maximum Hausdorff distance of two whole masks: bool (H, W) -> pixels times `spacing`.

    The farthest that a pixel of one mask is from the nearest pixel of the other, between pixel centres.
    `spacing`: edge of the square pixels (1.0 for pixels, 2.8 for millimetres in JSRT at 128 x 128).
    """
    _check(pred, truth)
    if pred.ndim != 2:
        raise InputError(f"a distance needs one mask (H, W), got {pred.shape}: use hausdorff_cases for many")
    if not pred.size:
        raise InputError(f"a distance needs pixels, got masks of shape {pred.shape}")
    if not (np.isfinite(spacing) and spacing > 0):
        raise InputError(f"spacing must be a positive number, got {spacing}")
    a, b = _bytes(pred), _bytes(truth)
    box = _Box.around(cv2.bitwise_or(a, b))
    if box.empty:
        return 0.0
    a, b = box.of(a), box.of(b)
    if not a.any() or not b.any():
        return image_diagonal(*pred.shape) * spacing
    # The mask that reaches farther goes first: the other direction is then often settled by its bound alone.
    if _Box.around(a).span < _Box.around(b).span:
        a, b = b, a
    return _directed(b, a, _directed(a, b, 0.0)) * spacing


def hausdorff_cases(pred: Mask, truth: Mask, spacing: float = 1.0) -> Scores:
    """`hausdorff` of every mask pair: bool (..., H, W) -> float64 (...)."""
    _check(pred, truth)
    lead, planes = pred.shape[:-2], (-1, *pred.shape[-2:])
    pairs = zip(pred.reshape(planes), truth.reshape(planes), strict=True)
    return np.array([hausdorff(p, t, spacing) for p, t in pairs], np.float64).reshape(lead)


class _Box(NamedTuple):
    """A rectangle of pixels, ends excluded."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def around(cls, mask: Bytes) -> _Box:
        x, y, width, height = cv2.boundingRect(mask)
        return cls(y, x, y + height, x + width)

    @property
    def empty(self) -> bool:
        return self.bottom <= self.top or self.right <= self.left

    @property
    def span(self) -> int:
        return (self.bottom - self.top) + (self.right - self.left)

    @property
    def size(self) -> int:
        return (self.bottom - self.top) * (self.right - self.left)

    def of(self, array: Bytes) -> Bytes:
        return array[self.top : self.bottom, self.left : self.right]

    def near(self, other: _Box, margin: int) -> _Box:
        """The part of this box that is at most `margin` rows and columns away from the other."""
        return _Box(
            max(self.top, other.top - margin),
            max(self.left, other.left - margin),
            min(self.bottom, other.bottom + margin),
            min(self.right, other.right + margin),
        )


def _directed(a: Bytes, b: Bytes, floor: float) -> float:
    """The larger of `floor` and the greatest distance from a pixel of `a` to its nearest pixel of `b`, exact.

    Pixels of `a` that are in `b` are 0 away, and the pixel of `b` nearest to any other is on the boundary of
    `b`.
    """
    queries = cv2.bitwise_and(a, b ^ 1)
    count = cv2.countNonZero(queries)
    if not count:
        return floor
    if a.size <= _SMALL:
        return max(floor, _farthest_by_transform(queries, b))
    box = _Box.around(b)
    edge = _points(_boundary(box.of(b)), box)
    window = _Box.around(queries).near(box, margin=box.span // 16)
    if window.empty or count * len(edge) <= _budget(window.size) or sum(a.shape) > _CHAMFER_SPAN:
        points = _points(queries)
    else:
        points, floor = _contenders(queries, b, window, edge, floor)
    if not len(points):
        return floor
    if len(points) * len(edge) <= _budget(a.size):
        return max(floor, _farthest(points, edge))
    return max(floor, _farthest_by_transform(queries, b))


def _budget(pixels: int) -> int:
    """The pairs of points that may be compared instead of a transform of so many pixels."""
    return min(_PAIRS_PER_PIXEL * pixels, _PAIRS)


def _contenders(queries: Bytes, b: Bytes, window: _Box, edge: Points, floor: float) -> tuple[Points, float]:
    """The pixels of `queries` that can be farther than `floor` from `b`, and a higher floor.

    A chamfer transform of the window that matters bounds every distance from above; the exact distance of the
    pixel with the highest bound is a floor that leaves few others. Pixels far from all of `b` (specks) are
    always left in, so that the window need not reach out to them; pixels of `b` outside the window could only
    lower a distance.
    """
    far = queries.copy()
    window.of(far)[:] = 0
    inside = window.of(queries)
    bound = cv2.distanceTransform(window.of(b) ^ 1, cv2.DIST_L2, cv2.DIST_MASK_5)
    _, highest, _, (x, y) = cv2.minMaxLoc(bound, inside)
    if highest <= _CHAMFER_LOW * floor:
        return _points(far), floor
    floor = max(floor, _farthest(np.array([[y + window.top, x + window.left]]), edge))
    contenders = cv2.bitwise_and(inside, (bound > _CHAMFER_LOW * floor).view(np.uint8))
    return np.concatenate([_points(contenders, window), _points(far)]), floor


def _farthest(points: Points, sources: Points) -> float:
    """The greatest distance from one of `points` to its nearest of `sources`, pair by pair."""
    if len(points) * len(sources) <= _ALL_PAIRS:
        return float(np.sqrt(cdist(points, sources, "sqeuclidean").min(axis=1).max()))
    return float(directed_hausdorff(points, sources, rng=0)[0])  # the seed orders the search, not the result


def _farthest_by_transform(queries: Bytes, b: Bytes) -> float:
    """The greatest distance from a pixel of `queries` to its nearest pixel of `b`."""
    return float(_exact(cv2.minMaxLoc(_transform(b), queries)[1]))


def _transform(mask: Bytes) -> npt.NDArray[Any]:
    """Distance of every pixel to the nearest one of `mask`, to the rounding that `_exact` removes."""
    if np.hypot(*mask.shape) > _PRECISE_SPAN:
        return np.asarray(ndimage.distance_transform_edt(mask == 0))
    return np.asarray(cv2.distanceTransform(mask ^ 1, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))


def _exact(distances: npt.ArrayLike) -> Scores:
    """The square of a distance between pixels is a whole number."""
    return np.asarray(np.sqrt(np.rint(np.square(distances, dtype=np.float64))))


def _boundary(mask: Bytes) -> Bytes:
    """Pixels with a 4-neighbour outside the mask or the image (here: a crop that holds the whole mask)."""
    inner: Bytes = cv2.erode(mask, _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return mask ^ inner


def _points(mask: Bytes, box: _Box | None = None) -> Points:
    """Row and column of every pixel of the mask, which lies at `box` in the image."""
    rows, columns = np.divmod(np.flatnonzero(mask.view(np.bool_)), mask.shape[1])
    return np.stack([rows + box.top, columns + box.left] if box else [rows, columns], axis=1)


def _bytes(mask: Mask) -> Bytes:
    return np.ascontiguousarray(mask).view(np.uint8)


def _check(pred: Mask, truth: Mask) -> None:
    if pred.shape != truth.shape:
        raise InputError(f"masks of one shape expected, got prediction {pred.shape} and truth {truth.shape}")
    if pred.ndim < 2:
        raise InputError(f"masks (..., H, W) expected, got {pred.shape}")
    if pred.dtype.kind != "b" or truth.dtype.kind != "b":
        raise InputError(f"boolean masks expected, got {pred.dtype} and {truth.dtype}: threshold them first")
