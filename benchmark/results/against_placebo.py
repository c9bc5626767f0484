"""Every arm against its placebo: the gain over seeds, and what it is worth in real films."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from ..metrics.scores import finite
from ..runs.job import PLACEBO
from ..significance.gain import FAILED_BY, paired_over_seeds
from ..significance.worth import Worth, aligned, sentence, worth
from .against_real import both_done
from .averages import primary_by_seed
from .finished import Harvest
from .gains import GainRow, PlaceboCurve, WorthRow
from .rows import SeedValue


def gain_rows(harvest: Harvest, values: Sequence[SeedValue]) -> list[GainRow]:
    """Every arm against its placebo over seeds; an arm with a missing cell on either side has no row."""
    plan = harvest.plan
    metric = next(one for one in plan.task.metrics if one.name == plan.task.primary)
    factor = 100.0 if metric.percent else 1.0
    structures = plan.task.structures(plan.data)
    rows = []
    for size, arm in _places(harvest):
        ours, theirs = (primary_by_seed(values, metric.name, size, name, structures) for name in (arm, PLACEBO + arm))
        seeds = [seed for seed in ours if seed in theirs]
        if not seeds:
            continue
        found = paired_over_seeds(
            [ours[seed] * factor for seed in seeds],
            [theirs[seed] * factor for seed in seeds],
            seeds=seeds,
            higher_is_better=metric.higher_is_better,
            failed_by=FAILED_BY * factor,
        )
        numbers = {"gain": found.difference, "low": found.low, "high": found.high, "median": found.median}
        rows.append(
            GainRow(
                size=size,
                arm=arm,
                metric=metric.name,
                seeds=len(seeds),
                score=float(np.mean([ours[seed] for seed in seeds])),
                placebo=float(np.mean([theirs[seed] for seed in seeds])),
                **{name: None if value is None else finite(value / factor) for name, value in numbers.items()},
                p=finite(found.p),
                p_t=finite(found.t_p),
                p_permutation=finite(found.permutation_p),
                failed=list(found.failed),
                failed_placebo=list(found.placebo_failed),
                verdict="" if found.verdict is None else found.verdict.value,
                sentence=found.claim,
            )
        )
    return rows


def worth_rows(harvest: Harvest, values: Sequence[SeedValue], curve: PlaceboCurve) -> list[WorthRow]:
    """What every arm is worth whose placebo has a curve."""
    plan = harvest.plan
    metric = next(one for one in plan.task.metrics if one.name == plan.task.primary)
    structures = plan.task.structures(plan.data)
    rows = []
    for size, arm in _places(harvest):
        points, real = curve.scores(arm), _real_films(harvest, size, arm)
        ours = primary_by_seed(values, metric.name, size, arm, structures)
        if len(points) < 2 or real is None or not ours:
            continue
        scores, ladder = aligned(ours, points, higher_is_better=metric.higher_is_better)
        found = worth(scores, real, ladder)
        alone = not any(cell.slot.arm.uses_real for cell in harvest.cells(size, arm))
        said = sentence(found, real, alone=alone)
        rows.append(_worth_row(size, arm, real, _synthetic_films(harvest, size, arm), found, said))
    return rows


def _worth_row(size: str, arm: str, real: float, synthetic: int | None, found: Worth, said: str) -> WorthRow:
    kept = asdict(found)
    return WorthRow(
        size=size,
        arm=arm,
        real=real,
        synthetic=synthetic,
        seeds=found.seeds,
        identified=found.identified,
        censored=found.censored,
        films=found.films,
        low=found.low_films,
        high=found.high_films,
        **{
            name: kept[name]
            for name in ("doublings", "low_doublings", "high_doublings", "low_censored", "high_censored")
        },
        sentence=said,
    )


def _places(harvest: Harvest) -> list[tuple[str, str]]:
    """(size, arm) of all that are finished together with their placebo."""
    return [
        (size, arm)
        for size in harvest.sizes
        for arm in harvest.arms
        if PLACEBO + arm in harvest.placebos and both_done(harvest, size, arm, PLACEBO + arm)
    ]


def _real_films(harvest: Harvest, size: str, arm: str) -> float | None:
    """Different real films of a size, the mean over folds and seeds, as its placebo's records say."""
    records = [harvest.records[cell.key] for cell in harvest.cells(size, PLACEBO + arm)]
    counts = [record.downstream.real_films for record in records if record.downstream.real_films is not None]
    return float(np.mean(counts)) if counts else None


def _synthetic_films(harvest: Harvest, size: str, arm: str) -> int | None:
    """Synthetic films of a size: the most over folds and seeds."""
    return max(
        (harvest.records[cell.key].downstream.synthetic_films for cell in harvest.cells(size, arm)), default=None
    )
