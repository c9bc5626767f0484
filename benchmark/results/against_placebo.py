"""Every arm against its placebo: the gain over seeds, and what it is worth in real films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from ..contracts.task import Task
from ..metrics.scores import finite
from ..runs.job import PLACEBO
from ..significance.gain import FAILED_BY, paired_over_seeds
from ..significance.worth import Worth, aligned, worth
from ..significance.worth_words import sentence
from .against_real import both_done
from .averages import primary_by_seed, values_of
from .finished import Harvest
from .gains import GainRow, PlaceboCurve, RatioRow, WorthRow
from .rows import SeedValue


def gain_rows(harvest: Harvest, values: Sequence[SeedValue]) -> list[GainRow]:
    """Every arm against its placebo over seeds; an arm with a missing cell on either side has no row."""
    rows = [_gain(harvest, values, size, arm, arm) for size, arm in _places(harvest)]
    return [row for row in rows if row is not None]


def _gain(harvest: Harvest, values: Sequence[SeedValue], size: str, arm: str, label: str) -> GainRow | None:
    """The gain of the cells that `label` names (`Cell.arm`); None where no seed is on both sides."""
    plan = harvest.plan
    structures = plan.task.structures(plan.data)
    ours, theirs = (
        primary_by_seed(values, plan.task.primary, size, name, structures) for name in (label, PLACEBO + label)
    )
    return gain_of(plan.task, size, arm, ours, theirs)


def gain_of(task: Task, size: str, arm: str, ours: Mapping[int, float], theirs: Mapping[int, float]) -> GainRow | None:
    """The gain of scores by seed over those of the placebo; None where no seed is on both sides."""
    metric = next(one for one in task.metrics if one.name == task.primary)
    factor = 100.0 if metric.percent else 1.0
    seeds = [seed for seed in ours if seed in theirs]
    if not seeds:
        return None
    found = paired_over_seeds(
        [ours[seed] * factor for seed in seeds],
        [theirs[seed] * factor for seed in seeds],
        seeds=seeds,
        higher_is_better=metric.higher_is_better,
        failed_by=FAILED_BY * factor,
    )
    numbers = {"gain": found.difference, "low": found.low, "high": found.high, "median": found.median}
    return GainRow(
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


def worth_rows(harvest: Harvest, values: Sequence[SeedValue], curve: PlaceboCurve) -> list[WorthRow]:
    """What every arm is worth whose placebo has a curve."""
    rows = [_worth(harvest, values, curve, size, arm, arm) for size, arm in _places(harvest)]
    return [row for row in rows if row is not None]


def _worth(
    harvest: Harvest, values: Sequence[SeedValue], curve: PlaceboCurve, size: str, arm: str, label: str
) -> WorthRow | None:
    """The worth of the cells that `label` names; None where the arm's placebo has no curve."""
    plan = harvest.plan
    metric = next(one for one in plan.task.metrics if one.name == plan.task.primary)
    points, real = curve.scores(arm), _real_films(harvest, size, label)
    ours = primary_by_seed(values, metric.name, size, label, plan.task.structures(plan.data))
    if len(points) < 2 or real is None or not ours:
        return None
    scores, ladder = aligned(ours, points, higher_is_better=metric.higher_is_better)
    found = worth(scores, real, ladder)
    alone = not any(cell.slot.arm.uses_real for cell in harvest.cells(size, label))
    said = sentence(found, real, alone=alone)
    return _worth_row(size, arm, real, _synthetic_films(harvest, size, label), found, said)


def ratio_rows(harvest: Harvest, curve: PlaceboCurve | None) -> list[RatioRow]:
    """The headline arm with other numbers of synthetic films (`--ratios`) and with the task's own; none where none was asked
    for."""
    labels = [(size, arm, f"{arm}_{count}") for size, arm, count in harvest.counts]
    labels += [(size, arm, arm) for size, arm in dict.fromkeys((size, arm) for size, arm, _ in labels)]
    rows = []
    for size, arm, label in labels:
        if not both_done(harvest, size, label, PLACEBO + label):
            continue
        values = [*values_of(harvest, size, label), *values_of(harvest, size, PLACEBO + label)]
        gain, real = _gain(harvest, values, size, arm, label), _real_films(harvest, size, label)
        count = _synthetic_films(harvest, size, label)
        if gain is None or real is None or count is None:
            continue
        found = None if curve is None else _worth(harvest, values, curve, size, arm, label)
        rows.append(RatioRow(ratio=count / real, synthetic=count, own=label == arm, gain=gain, worth=found))
    return sorted(rows, key=lambda row: row.synthetic)


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
        smallest=finite(found.smallest),
        largest=finite(found.largest),
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
