"""From the store to the mean average precision of a run's detectors: of the predictions that are kept. Nothing is trained or
predicted for it, no key depends on it and nothing is ranked by it.

A task whose models detect says what they found by `Task.detections`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..contracts.task import Task
from ..data.dataset import Dataset
from ..errors import one_line
from ..metrics.precision import NO_MAP, Precision, mean_average_precision
from ..metrics.scores import NOT_TAUGHT
from ..progress import Progress
from ..runs.job import Cell
from .finished import Harvest
from .further_rows import PrecisionRow


def precision_rows(harvest: Harvest, progress: Progress) -> list[PrecisionRow]:
    """A row for every finished arm and placebo of every size; none for a task whose models do not detect. What cannot be
    told is in the `note` of its row: no run ends by it."""
    task = harvest.plan.task
    if type(task).detections is Task.detections:
        return []
    places = [
        (size, arm)
        for size in harvest.sizes
        for arm in (*harvest.arms, *harvest.placebos)
        if harvest.done(harvest.cells(size, arm))
    ]
    tests: dict[str, Dataset] = {}
    rows = []
    for number, (size, arm) in enumerate(places):
        cells = harvest.cells(size, arm)
        progress.update(number / len(places), f"mAP {size} {arm}")
        try:
            rows.append(_row(harvest, cells, tests))
        except Exception as error:  # of a task that is not ours, or of predictions that are gone
            rows.append(PrecisionRow(size=size, arm=arm, seeds=0, note=f"mAP is left out: {one_line(error)}"))
    return rows


def _row(harvest: Harvest, cells: Sequence[Cell], tests: dict[str, Dataset]) -> PrecisionRow:
    size, arm = cells[0].slot.size, cells[0].arm
    by_seed: dict[int, list[Precision]] = {}
    overlap = None
    for cell in cells:
        if cell.slot.fold not in tests:
            tests[cell.slot.fold] = harvest.plan.task.test_set(harvest.plan.data, cell.slot)
        found = harvest.plan.task.detections(harvest.store.predictions(cell.key), tests[cell.slot.fold])
        if found is None:
            return PrecisionRow(size=size, arm=arm, seeds=0, note=f"mAP is left out: {NOT_TAUGHT}")
        overlap = found.overlap
        try:
            by_seed.setdefault(cell.seed, []).append(mean_average_precision(found))
        except ImportError:
            return PrecisionRow(size=size, arm=arm, seeds=0, note=NO_MAP)
    coco, half, own = (_over_folds(by_seed, name) for name in ("coco", "half", "own"))
    return PrecisionRow(
        size=size,
        arm=arm,
        seeds=len(by_seed),
        map=float(np.mean(coco)),
        sd=_spread(coco),
        map_50=float(np.mean(half)),
        sd_50=_spread(half),
        map_own=float(np.mean(own)) if own else None,
        sd_own=_spread(own),
        overlap=overlap,
    )


def _over_folds(by_seed: Mapping[int, Sequence[Precision]], name: str) -> list[float]:
    """One of the numbers by seed, the mean over folds; none where the task has no overlap of its own."""
    found = [[getattr(one, name) for one in of] for of in by_seed.values()]
    return [] if any(None in of for of in found) else [float(np.mean(of)) for of in found]


def _spread(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
