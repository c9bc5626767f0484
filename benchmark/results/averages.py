"""The numbers of every seed, and their average of the primary metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..metrics.scores import AVERAGE, finite
from ..runs.job import Cell
from .finished import Harvest
from .rows import SeedValue


def seed_values(harvest: Harvest) -> list[SeedValue]:
    """The table of every seed whose folds are all there. Several folds: the task summarises all their cases at once."""
    found = []
    for size in harvest.sizes:
        for arm in [*harvest.arms, *harvest.placebos]:
            found += values_of(harvest, size, arm)
    return found


def values_of(harvest: Harvest, size: str, arm: str) -> list[SeedValue]:
    """Those of one size and arm."""
    found = []
    for seed in harvest.plan.seeds:
        cells = harvest.cells(size, arm, seed)
        if harvest.done(cells):
            for metric, structure, value in _summary(harvest, cells):
                found.append(SeedValue(size=size, arm=arm, metric=metric, structure=structure, seed=seed, value=value))
    return found


def _summary(harvest: Harvest, cells: Sequence[Cell]) -> list[tuple[str, str, float]]:
    if len(cells) == 1:
        return [(row.metric, row.structure, row.value) for row in harvest.records[cells[0].key].table]
    import pandas as pd

    scores = pd.concat([harvest.store.scores(cell.key) for cell in cells], ignore_index=True)
    rows = harvest.plan.task.summarise(scores)
    numbers = zip(rows["metric"], rows["structure"], rows["value"].map(finite), strict=True)
    return [(str(metric), str(structure), value) for metric, structure, value in numbers if value is not None]


def primary_by_seed(
    values: Sequence[SeedValue], metric: str, size: str, arm: str, structures: Sequence[str]
) -> dict[int, float]:
    """The average of a metric for each seed: the table's `average` row, or the mean over `structures` without one.

    Empty for an arm that was not taught all structures: the mean of some is no average.
    """
    by_seed: dict[int, dict[str, float]] = {}
    for one in values:
        if (one.size, one.arm, one.metric) == (size, arm, metric):
            by_seed.setdefault(one.seed, {})[one.structure] = one.value
    found: dict[int, float] = {}
    for seed, of_seed in by_seed.items():
        if AVERAGE in of_seed:
            found[seed] = of_seed[AVERAGE]
        elif set(structures) <= of_seed.keys():
            found[seed] = float(np.mean([of_seed[name] for name in structures]))
    return found


def averages(harvest: Harvest, size: str, arm: str) -> dict[int, float]:
    """The average of the primary metric for each finished seed of one size and arm."""
    plan = harvest.plan
    return primary_by_seed(values_of(harvest, size, arm), plan.task.primary, size, arm, plan.task.structures(plan.data))
