"""What stands where in a run's table, whatever it is written as (`tables`) or shown on (`report`).

Two shapes: lines of metric and structure with sizes and arms side by side (the multi-stage paper's), or, where the task
says so (`protocol.TableLayout`), one table a size with a row an arm and a column a metric (the image-mask pairs paper's).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..contracts.task import ArmName
from ..metrics.scores import AVERAGE, NOT_TAUGHT
from ..results.rows import DerivedInfo, MetricInfo, Results, words
from ..significance.paired_tests import stars
from .words import shown, size_title

IN_ALL = "in all"
REAL_FILMS, SYNTHETIC_FILMS = "# Real", "# Synthetic"


@dataclass(frozen=True)
class Entry:
    """One place of a table. `mark` is the stars of the paired test; `present` is False where there is no number."""

    text: str
    mark: str = ""
    present: bool = True


def entry(results: Results, size: str, arm: str, metric: MetricInfo, structure: str) -> Entry:
    """A number of the table with its stars; a dash for what was not taught; else the reason why there is none."""
    row = results.row(size, arm, metric.name, structure)
    if row is None or row.value is None:
        why = row.note if row else ""
        return Entry("–" if why in ("", NOT_TAUGHT) else why, present=False)
    if metric.decimals == 0 and row.seeds > 1:
        metric = metric.model_copy(update={"decimals": 1})  # a mean of counts is no whole number
    text = shown(row.value, metric)
    if row.sd is not None:
        text += f" ± {shown(row.sd, metric)}"
    test = results.test(size, arm, metric.name, structure)
    return Entry(text, stars(test.p_holm) if test else "")


# ------------------------------------------------------------------------------------------- metrics and structures


@dataclass(frozen=True)
class Line:
    """One line of the wide table: `entries[size][arm]`. `first` is True on a metric's first line; `label` is what stands
    before it."""

    metric: MetricInfo
    structure: str
    first: bool
    entries: dict[str, dict[str, Entry]]
    label: str


def headline_metrics(results: Results) -> list[MetricInfo]:
    """The metrics of the terminal table: those that are tested case by case, or all where none is."""
    tested = [metric for metric in results.shown_metrics if metric.name in results.task.paired]
    return tested or results.shown_metrics


def wide(results: Results, metrics: Sequence[MetricInfo] | None = None) -> list[Line]:
    """The table with a line per metric and structure, and an entry per size and arm."""
    present = {(row.metric, row.structure) for row in results.table}
    lines = []
    for metric in results.shown_metrics if metrics is None else metrics:
        structures = [name for name in results.structures if (metric.name, name) in present]
        for structure in structures:
            entries = {
                info.size: {
                    arm: entry(results, info.size, arm, metric, structure) for arm in results.arms_of(info.size)
                }
                for info in results.sizes
            }
            label = IN_ALL if structure == AVERAGE and _is_sum(results, metric) else words(structure)
            lines.append(Line(metric, structure, structure == structures[0], entries, label))
        lines += [
            Line(metric, row.name, False, _derived(results, metric, row), words(row.name))
            for row in results.task.derived
            if metric.name in row.metrics and set(row.of) <= set(structures)
        ]
    return lines


def _is_sum(results: Results, metric: MetricInfo) -> bool:
    """Whether what is kept as the average of a count is the sum over the structures, as with missed organs."""
    if metric.decimals:
        return False
    parts: dict[tuple[str, str], float] = {}
    whole: dict[tuple[str, str], float] = {}
    for row in results.table:
        if row.metric == metric.name and row.value is not None:
            into = whole if row.structure == AVERAGE else parts
            into[row.size, row.arm] = into.get((row.size, row.arm), 0.0) + row.value
    return bool(whole) and all(abs(parts.get(place, 0.0) - value) < 1e-6 for place, value in whole.items())


def _derived(results: Results, metric: MetricInfo, row: DerivedInfo) -> dict[str, dict[str, Entry]]:
    """The entries of a line that is the mean of others."""
    return {
        info.size: {arm: _mean_of(results, info.size, arm, metric, row.of) for arm in results.arms_of(info.size)}
        for info in results.sizes
    }


def _mean_of(results: Results, size: str, arm: str, metric: MetricInfo, structures: Sequence[str]) -> Entry:
    """The mean of several structures, without marks; a dash where one of them is absent."""
    rows = [results.row(size, arm, metric.name, structure) for structure in structures]
    if any(row is None or row.value is None for row in rows):
        return Entry("–", present=False)
    by_seed: dict[int, list[float]] = {}
    for one in results.seed_values:
        if (one.size, one.arm, one.metric) == (size, arm, metric.name) and one.structure in structures:
            by_seed.setdefault(one.seed, []).append(one.value)
    means = [float(np.mean(values)) for values in by_seed.values()]
    text = shown(float(np.mean(means)), metric)
    return Entry(text if len(means) < 2 else f"{text} ± {shown(float(np.std(means, ddof=1)), metric)}")


# ------------------------------------------------------------------------------------------- arms and metrics


@dataclass(frozen=True)
class ArmRow:
    """One arm of one size: how many films it trains on, and an entry per column."""

    arm: str
    real: int
    synthetic: int | None
    entries: list[Entry]


@dataclass(frozen=True)
class ArmTable:
    """The table of one size. `headings` are those of the metrics alone."""

    size: str
    title: str
    headings: list[str]
    rows: list[ArmRow]


def arm_tables(results: Results) -> list[ArmTable]:
    """A table per size, in the layout of the task's paper; none where the task has no such layout."""
    layout = results.task.layout
    if layout is None:
        return []
    known = {row.metric for row in results.table}
    columns = [(results.task.metric(name), heading) for name, heading in layout.columns if name in known]
    structure = results.task.structures[0]
    return [
        ArmTable(
            size=info.size,
            title=layout.titles.get(info.size, size_title(results, info.size)),
            headings=[heading for _, heading in columns],
            rows=[
                ArmRow(
                    arm=arm,
                    real=info.films if ArmName(arm).uses_real else 0,
                    synthetic=info.synthetic_films if ArmName(arm).uses_provider else 0,
                    entries=[entry(results, info.size, arm, metric, structure) for metric, _ in columns],
                )
                for arm in results.arms_of(info.size)
            ],
        )
        for info in results.sizes
    ]
