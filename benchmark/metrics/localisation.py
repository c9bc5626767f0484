"""Correct localisation of findings, CL@0.1, and false positives per film.

For each annotation of the test set (film, finding, box) the highest-scoring detection of that finding on that film
counts, and nothing else: a hit iff its IoU with the box is at least 0.1 (Wang et al. 2017, whose other criterion is
IoBB; Xing et al. 2019, section 3). The class is known, so the primary measure has no score threshold; hits among
detections with a score of at least 0.5 stand beside it.

Boxes are x, y (top left), width, height in pixels of the film, as numbers: a box from 0 with width 10 ends at 10.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

OVERLAP = 0.1
"""Least IoU (or IoBB) of a hit."""
SCORE = 0.5
"""Least score of a detection in the variant with a threshold, and of a false positive."""

_BOX = ["x", "y", "w", "h"]
_FINDING = ["id", "finding"]


def box_iou(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """Intersection over union of boxes (..., 4) xywh: shapes broadcast, `a[:, None]` and `b` give all pairs.

    0 where a box has no area: there is nothing to overlap with. Raises InputError for NaN and negative sizes.
    """
    first, second = _boxes(a), _boxes(b)
    inner = _intersection(first, second)
    return _share(inner, _area(first) + _area(second) - inner)


def box_iobb(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """Intersection over the area of the detected box `a`, as `box_iou`; `b` is the annotation."""
    first, second = _boxes(a), _boxes(b)
    return _share(_intersection(first, second), _area(first))


def best_detection(annotations: pd.DataFrame, detections: pd.DataFrame) -> pd.DataFrame:
    """How the highest-scoring detection of its finding meets each annotation: one row each, in their order.

    `annotations`: columns id, finding, x, y, w, h. `detections`: these and score, in any order; of equal scores the
    detection that is given first counts. Columns of the result: id, finding, iou, iobb, score (NaN, and both overlaps
    0, where there is no detection), hit (IoU >= 0.1), hit_scored (a hit with score >= 0.5), hit_iobb (IoBB >= 0.1).
    Two boxes of one finding on one film are two rows that the same detection has to meet.
    """
    _check(annotations, "annotations", [*_FINDING, *_BOX])
    _check(detections, "detections", [*_FINDING, "score", *_BOX])
    order = np.argsort(-detections["score"].to_numpy(np.float64), kind="stable")
    best = detections.iloc[order].drop_duplicates(_FINDING)[[*_FINDING, "score", *_BOX]]
    met = annotations[[*_FINDING, *_BOX]].merge(best, how="left", on=_FINDING, suffixes=("_true", ""))
    true, found = met[[f"{name}_true" for name in _BOX]].to_numpy(np.float64), met[_BOX].to_numpy(np.float64)
    found = np.where(np.isnan(found), 0.0, found)  # no detection: a box of no area, which meets nothing
    score = met["score"].to_numpy(np.float64)
    table = annotations[_FINDING].reset_index(drop=True)
    table["iou"], table["iobb"], table["score"] = box_iou(found, true), box_iobb(found, true), score
    table["hit"] = table["iou"] >= OVERLAP
    table["hit_scored"] = table["hit"] & (score >= SCORE)
    table["hit_iobb"] = table["iobb"] >= OVERLAP
    return table


def correct_localisation(table: pd.DataFrame, column: str = "hit") -> pd.DataFrame:
    """CL@0.1 of each finding: index finding, columns k (hits), n (annotations), share = k / n.

    `table` is from `best_detection`. The Total of the paper's table is the mean of `share` (macro).
    """
    hits = table.groupby("finding", sort=False)[column]
    return hits.sum().to_frame("k").assign(n=hits.count(), share=hits.mean())


def false_positives_per_image(boxes: pd.DataFrame, detections: pd.DataFrame, images: Iterable[str]) -> float:
    """Detections with score >= 0.5 that meet no box of their finding on their film (IoU < 0.1 with all), a film.

    `images` are all films that were searched, healthy ones too; `boxes` all that is annotated on them, also what a
    test split by annotation leaves to training. Several detections of one box are no false positives.
    """
    films = set(images)
    if not films:
        raise InputError("false positives per film need one film at least")
    _check(boxes, "boxes", [*_FINDING, *_BOX])
    _check(detections, "detections", [*_FINDING, "score", *_BOX])
    strange = sorted(set(detections["id"]) - films)
    if strange:
        raise InputError(f"detections on {len(strange)} films that are not among the searched ones: {strange[0]}, ...")
    shown = detections.loc[detections["score"] >= SCORE, [*_FINDING, *_BOX]].reset_index(drop=True)
    pairs = shown.reset_index(names="detection").merge(boxes[[*_FINDING, *_BOX]], on=_FINDING, suffixes=("", "_true"))
    overlap = box_iou(pairs[_BOX].to_numpy(np.float64), pairs[[f"{name}_true" for name in _BOX]].to_numpy(np.float64))
    met = pairs.loc[overlap >= OVERLAP, "detection"].nunique()
    return (len(shown) - met) / len(films)


def _intersection(a: Floats, b: Floats) -> Floats:
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    return np.asarray(np.maximum(high - low, 0.0).prod(axis=-1))


def _area(boxes: Floats) -> Floats:
    return np.asarray(boxes[..., 2] * boxes[..., 3])


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)


def _boxes(boxes: npt.ArrayLike) -> Floats:
    values = np.asarray(boxes, np.float64)
    if values.ndim < 1 or values.shape[-1] != 4:
        raise InputError(f"boxes (..., 4) of x, y, width, height expected, got shape {values.shape}")
    if not np.isfinite(values).all() or (values[..., 2:] < 0).any():
        raise InputError("boxes of finite x, y and width, height >= 0 expected, found NaN, infinite or negative ones")
    return values


def _check(frame: pd.DataFrame, name: str, columns: list[str]) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise InputError(f"{name} need the columns {', '.join(columns)}; missing: {', '.join(missing)}")
    _boxes(frame[_BOX].to_numpy(np.float64))
    if "score" in columns and frame["score"].isna().any():
        raise InputError(f"{name} need scores, found {frame['score'].isna().sum()} of {len(frame)} NaN")
