"""Every arm against REAL, or against its placebo: paired over the test cases, over folds, and over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..metrics.scores import finite
from ..runs.job import PLACEBO
from ..significance.paired_tests import welch_over_seeds
from ..significance.pairs import compare_folds, folds_with_holm, with_holm
from ..significance.rules import rule_of
from .averages import primary_by_seed
from .finished import REAL, Harvest
from .rows import FoldRow, PairedRow, SeedRow, SeedValue, SizeInfo


def paired_rows(harvest: Harvest, *, placebo: bool = False) -> list[PairedRow]:
    """Every arm against REAL (or against its placebo) on the same test cases; Holm over the rows of one size and metric."""
    structures = list(harvest.plan.task.structures(harvest.plan.data))
    rows = []
    for size in harvest.sizes:
        for metric in harvest.plan.task.paired_metrics():
            comparisons, arms = [], []
            for arm in harvest.arms:
                other = PLACEBO + arm if placebo else REAL
                if arm == REAL or not both_done(harvest, size, arm, other):
                    continue
                ours, theirs = (harvest.scores_of(size, name) for name in (arm, other))
                found = rule_of(harvest.plan.task.pairing).compare(ours, theirs, structures, metric)
                comparisons += found
                arms += [arm] * len(found)
            for arm, one in zip(arms, with_holm(comparisons), strict=True):
                rows.append(PairedRow(size=size, arm=arm, metric=metric, **asdict(one)))
    return rows


def fold_rows(harvest: Harvest, sizes: Sequence[SizeInfo]) -> list[FoldRow]:
    """Every arm against REAL over folds and seeds, where there are folds; Holm over the rows of one size and metric."""
    structures = list(harvest.plan.task.structures(harvest.plan.data))
    rows = []
    for info in sizes:
        n_train, n_test = fold_sizes(info)
        arms = [arm for arm in harvest.arms if arm != REAL and both_done(harvest, info.size, arm, REAL)]
        for metric in harvest.plan.task.paired_metrics():
            real = harvest.scores_of(info.size, REAL)
            found = [
                (arm, one)
                for arm in arms
                for one in compare_folds(harvest.scores_of(info.size, arm), real, structures, metric, n_train, n_test)
            ]
            adjusted = folds_with_holm(one for _, one in found)
            rows += [
                FoldRow(
                    size=info.size,
                    arm=arm,
                    metric=metric,
                    structure=one.structure,
                    n_train=n_train,
                    n_test=n_test,
                    p_holm=one.p_holm,
                    **asdict(one.test),
                )
                for (arm, _), one in zip(found, adjusted, strict=True)
            ]
    return rows


def fold_sizes(info: SizeInfo) -> tuple[int, int]:
    """(training films, test films) of a fold, the mean over folds; at least one each."""
    train = info.fold_films or [info.films]
    return max(1, round(sum(train) / len(train))), max(1, round((info.test_films or 0) / len(info.folds)))


def both_done(harvest: Harvest, size: str, arm: str, other: str) -> bool:
    """Whether all cells of two arms of a size are there."""
    return all(harvest.done(harvest.cells(size, name)) for name in (arm, other))


def over_seeds(a: Sequence[float], b: Sequence[float], names: tuple[str, str], *, percent: bool) -> dict[str, Any]:
    """Welch's test over seeds: difference, low, high, p and the sentence, which speaks in percent where tables do."""
    if not a or not b:
        lacking = names[0] if not a else names[1]
        sentence = f"{lacking}: not taught every structure, so there is no average to compare"
        return {"difference": None, "low": None, "high": None, "p": None, "sentence": sentence}
    factor = 100.0 if percent else 1.0
    test = welch_over_seeds(np.array(a) * factor, np.array(b) * factor, names=names)
    numbers = {"difference": test.difference, "low": test.low, "high": test.high}
    scaled = {name: None if value is None else finite(value / factor) for name, value in numbers.items()}
    return scaled | {"p": finite(test.p), "sentence": test.claim}


def seed_rows(harvest: Harvest, values: Sequence[SeedValue]) -> list[SeedRow]:
    """Every arm against REAL over seeds; an arm with a missing cell has no row."""
    metric, rows = harvest.plan.task.primary, []
    structures = harvest.plan.task.structures(harvest.plan.data)
    percent = any(one.percent for one in harvest.plan.task.metrics if one.name == metric)
    for size in harvest.sizes:
        for arm in harvest.arms:
            if arm == REAL or not both_done(harvest, size, arm, REAL):
                continue
            ours = list(primary_by_seed(values, metric, size, arm, structures).values())
            real = list(primary_by_seed(values, metric, size, REAL, structures).values())
            names = (f"{harvest.plan.provider.title} ({arm})", "real films")
            numbers = over_seeds(ours, real, names, percent=percent)
            rows.append(SeedRow(size=size, arm=arm, metric=metric, seeds=len(ours), **numbers))
    return rows
