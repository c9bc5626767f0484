"""Time of our Dice and Hausdorff beside the libraries', on the same masks: `pytest tests/benchmarks/bench_metrics.py`.

Not collected by a plain `pytest`. One round scores all masks of a group once; the column in brackets is the ratio to
the fastest of the group. Each library is called as its documentation shows, and has to give our value before it is
timed. SimpleITK and MONAI take part where they are installed.

`test_nothing_is_faster_than_ours` needs no reading: it times ours and each library in turns in one process and fails
where the median ratio says that a library is faster.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Any

import cv2
import medpy.metric.binary as medpy
import numpy as np
import pytest
import torch
from scipy.spatial.distance import dice as scipy_dissimilarity
from skimage.metrics import hausdorff_distance
from sklearn.metrics import f1_score
from torchmetrics.functional.segmentation import dice_score

from cxrbench.benchmark.metrics.segmentation import dice, hausdorff

Mask = np.ndarray[Any, Any]
Metric = Callable[[Mask, Mask], float]

SIZES = {128: 24, 512: 12}  # side in pixels: number of mask pairs
ROUNDS = 9


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """OpenCV, torch and SimpleITK with one thread each, as they were afterwards."""
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    yield
    cv2.setNumThreads(before[0])
    torch.set_num_threads(before[1])


# ------------------------------------------------------------------------------------------------------ masks


def outline(side: int, centre: Mask, radius: Mask, phase: float, grain: float) -> Mask:
    y, x = np.mgrid[:side, :side] / side
    v, u = (y - centre[0]) / radius[0], (x - centre[1]) / radius[1]
    angle = np.arctan2(v, u)
    rim = 1 + 0.08 * np.sin(2 * angle + phase) + 0.05 * np.sin(3 * angle + 2 * phase)
    return np.asarray(np.hypot(u, v) < rim + grain * np.sin(9 * angle + phase))


def organs(side: int) -> list[tuple[Mask, Mask]]:
    """Predicted and true lungs, hearts and clavicles in turn; every third prediction has specks elsewhere."""
    shapes = [((0.47, 0.32), (0.29, 0.14)), ((0.60, 0.55), (0.14, 0.17)), ((0.18, 0.30), (0.03, 0.14))]
    rng = np.random.default_rng(0)
    pairs = []
    for i in range(SIZES[side]):
        centre, radius = (np.array(s) for s in shapes[i % 3])
        phase = rng.uniform(0, 6)
        truth = outline(side, centre, radius, phase, 0.0)
        moved, scaled = centre + rng.normal(0, 0.008, 2), radius * rng.normal(1, 0.04, 2)
        pred = outline(side, moved, scaled, phase + rng.normal(0, 0.1), 0.02)
        if i // 3 % 3 == 0:
            for top, left in rng.integers(0, side - 4, (3, 2)):
                pred[top : top + 4, left : left + 4] = True
        pairs.append((pred, truth))
    return pairs


MASKS = {side: organs(side) for side in SIZES}


# -------------------------------------------------------------------------------------------------- the libraries


def one_image(function: Callable[..., torch.Tensor], **options: Any) -> Metric:
    """A function on torch tensors (batch, class, H, W), applied to one mask pair."""

    def metric(pred: Mask, truth: Mask) -> float:
        return float(function(torch.from_numpy(pred)[None, None], torch.from_numpy(truth)[None, None], **options))

    return metric


DICE: dict[str, Metric] = {
    "cxrbench": lambda p, t: float(dice(p, t)),
    "medpy": medpy.dc,
    "scipy": lambda p, t: 1 - scipy_dissimilarity(p.ravel(), t.ravel()),
    "scikit-learn": lambda p, t: f1_score(t.ravel(), p.ravel()),
    "torchmetrics": one_image(dice_score, num_classes=1),
}
WHOLE: dict[str, Metric] = {"cxrbench": hausdorff, "scikit-image": hausdorff_distance}

if importlib.util.find_spec("SimpleITK"):
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)

    def sitk_dice(pred: Mask, truth: Mask) -> float:
        measure = sitk.LabelOverlapMeasuresImageFilter()
        measure.Execute(*(sitk.GetImageFromArray(m.view(np.uint8)) for m in (pred, truth)))
        return float(measure.GetDiceCoefficient())

    def sitk_hausdorff(pred: Mask, truth: Mask) -> float:
        measure = sitk.HausdorffDistanceImageFilter()
        measure.Execute(*(sitk.GetImageFromArray(m.view(np.uint8)) for m in (pred, truth)))
        return float(measure.GetHausdorffDistance())

    DICE["SimpleITK"], WHOLE["SimpleITK"] = sitk_dice, sitk_hausdorff

if importlib.util.find_spec("monai"):
    from monai.metrics import compute_dice

    DICE["MONAI"] = one_image(compute_dice)

GROUPS = {"Dice": DICE, "Hausdorff": WHOLE}
CALLS = [
    pytest.param(group, side, name, id=f"{group} {side} {name}")
    for side in SIZES
    for group, metrics in GROUPS.items()
    for name in metrics
]


def score_all(metric: Metric, side: int) -> list[float]:
    return [metric(pred, truth) for pred, truth in MASKS[side]]


@pytest.mark.parametrize(("group", "side", "name"), CALLS)
def test_time(benchmark, group, side, name):
    ours, metric = GROUPS[group]["cxrbench"], GROUPS[group][name]
    assert score_all(metric, side) == pytest.approx(score_all(ours, side), abs=1e-4)  # float32 in some
    benchmark.group = f"{group}, {side} x {side}, {SIZES[side]} mask pairs"
    benchmark.pedantic(score_all, args=(metric, side), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize(("group", "side", "name"), [c for c in CALLS if c.values[2] != "cxrbench"])
def test_nothing_is_faster_than_ours(group, side, name):
    """Median of ratios measured in turns, so that a busy machine slows both."""
    ours, theirs = GROUPS[group]["cxrbench"], GROUPS[group][name]
    score_all(ours, side)
    ratios = []
    for i in range(ROUNDS):
        seconds = {}
        for metric in (ours, theirs) if i % 2 else (theirs, ours):
            start = time.perf_counter()
            score_all(metric, side)
            seconds[metric] = time.perf_counter() - start
        ratios.append(seconds[theirs] / seconds[ours])
    ratio = statistics.median(ratios)
    print(f"{group}, {side} px: {name} takes {ratio:.2f} times as long as ours")
    assert ratio >= 1.0
