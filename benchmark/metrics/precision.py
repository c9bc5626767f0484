"""Mean average precision of detections, by torchmetrics with the backend pycocotools.

COCO's measure (Lin et al. 2014): detections of a finding over all films by falling score, each a hit where it meets a box of
the finding on its film that no better one has met, with at least so much IoU; the area below the precision at 101 recalls,
then the mean over findings. Unlike CL@0.1, where the best detection of a known finding alone counts, every further detection
lowers it. Boxes are x, y (top left), width, height in pixels of the film.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import InputError

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""COCO's overlaps, 0.50 to 0.95."""
BACKEND: Final = "pycocotools"
NO_MAP = f'mAP is left out: torchmetrics or {BACKEND} is not installed; pip install "cxrbench[fidelity]"'

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FilmBoxes:
    """What was found on a film and what is there. `found`: (D, 4), with `scores` (D,), higher is surer, and the names
    `findings` (D,); `true`: (B, 4), with the names `present` (B,). `counted`: (B,) bool, False for a box that is not asked
    for, so that to find it is neither a hit nor a miss (COCO's crowd); None: all are asked for."""

    found: npt.ArrayLike
    scores: npt.ArrayLike
    findings: Sequence[str]
    true: npt.ArrayLike
    present: Sequence[str]
    counted: npt.ArrayLike | None = None


@dataclass(frozen=True)
class Detections:
    """The films of a test. `overlap`: the least IoU of a hit by the task's own rule (0 to 1); None where it has none."""

    films: Sequence[FilmBoxes]
    overlap: float | None = None


@dataclass(frozen=True)
class Precision:
    """Mean average precision, 0 to 1, over the findings that have a box: `coco` over IoU 0.50 to 0.95, `half` at 0.50,
    `own` at the task's own overlap."""

    coco: float
    half: float
    own: float | None = None


def mean_average_precision(detections: Detections) -> Precision:
    """The mean average precision of all films together, at most 100 detections of a finding on a film.

    ImportError without torchmetrics or pycocotools; InputError for arrays that do not fit each other, values that are not
    finite, negative sizes, an overlap that is not 0 to 1, and films without any box that is asked for."""
    import torch
    from torchmetrics.detection import MeanAveragePrecision

    names = sorted({str(name) for film in detections.films for name in (*film.findings, *film.present)})
    numbers = {name: number for number, name in enumerate(names)}
    found, true = [], []
    for film in detections.films:
        scores = np.asarray(film.scores, np.float64)
        asked = np.ones(len(film.present), bool) if film.counted is None else np.asarray(film.counted, bool)
        if not len(film.findings) == len(scores) or len(asked) != len(film.present) or not np.isfinite(scores).all():
            raise InputError("a finite score for each detection and a word for each box expected")
        found.append(
            {
                "boxes": torch.from_numpy(_boxes(film.found, len(film.findings))),
                "scores": torch.from_numpy(scores),
                "labels": torch.tensor([numbers[name] for name in film.findings], dtype=torch.int64),
            }
        )
        true.append(
            {
                "boxes": torch.from_numpy(_boxes(film.true, len(film.present))),
                "labels": torch.tensor([numbers[name] for name in film.present], dtype=torch.int64),
                "iscrowd": torch.from_numpy((~asked).astype(np.int64)),
            }
        )
    if not any((one["iscrowd"] == 0).any() for one in true):
        raise InputError("mean average precision takes one box at least that is asked for, found none")
    own = [] if detections.overlap is None else [detections.overlap]
    if not all(0 < overlap <= 1 for overlap in own):
        raise InputError(f"an overlap above 0 and up to 1 expected, found {detections.overlap}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of many detections on a film
        measure: Any = MeanAveragePrecision(
            box_format="xywh", backend=BACKEND, iou_thresholds=[*THRESHOLDS, *own], extended_summary=True
        )
        measure.update(found, true)
        every = measure.compute()["precision"].double().numpy()[..., 0, -1]  # overlaps, recalls, findings
    values = [_mean(one) for one in every]
    return Precision(float(np.mean(values[: len(THRESHOLDS)])), values[0], values[-1] if own else None)


def _mean(precision: Floats) -> float:
    """Over recalls and over findings that have a box: the others are -1."""
    return float(precision[precision > -1].mean())


def _boxes(boxes: npt.ArrayLike, count: int) -> Floats:
    values = np.asarray(boxes, np.float64)
    values = values.reshape(-1, 4) if not values.size else values
    if values.shape != (count, 4) or not np.isfinite(values).all() or (values[:, 2:] < 0).any():
        raise InputError(
            f"boxes ({count}, 4) of finite x, y, width, height >= 0 expected, found an array {values.shape} or other values"
        )
    return values
