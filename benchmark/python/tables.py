"""The numbers of a run as pandas frames. Percent metrics are in percent, as tables show them; what is absent is NaN."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from ..report.figures import scale
from ..report.table_shapes import headline_metrics
from ..results.gains import WorthRow

if TYPE_CHECKING:
    from ..report.comparison import ComparisonResults
    from ..results.rows import Results
    from ..schema import Strict

SCALED = ("value", "sd", "score", "placebo", "gain", "low", "high", "median")


def table_frame(results: Results, *, every: bool = False) -> pd.DataFrame:
    """A row for every metric and structure, a column for every size and arm. `every`: all metrics, not only those that are
    tested film by film."""
    metrics = results.shown_metrics if every else headline_metrics(results)
    present = {(row.metric, row.structure) for row in results.table}
    places = [(info.size, arm) for info in results.sizes for arm in results.arms_of(info.size)]
    rows, index = [], []
    for metric in metrics:
        for structure in (name for name in results.structures if (metric.name, name) in present):
            found = [results.row(size, arm, metric.name, structure) for size, arm in places]
            rows.append([None if one is None or one.value is None else one.value * scale(metric) for one in found])
            index.append((metric.label, structure))
    columns = pd.MultiIndex.from_tuples([(size, arm.upper()) for size, arm in places], names=["size", "arm"])
    names = pd.MultiIndex.from_tuples(index, names=["metric", "structure"]) if index else None
    return pd.DataFrame(rows, index=names, columns=columns, dtype=float)


def long_frame(results: Results) -> pd.DataFrame:
    """A row a number, exact (fractions as they are): size, arm, metric, structure, value, sd, seeds, note."""
    return _frame(results.table)


def gain_frame(results: Results) -> pd.DataFrame:
    """A row for every arm with synthetic films: its score, that of copies, the gain with its 95 % interval, p and
    verdict."""
    factor = scale(results.task.metric(results.task.primary))
    made = _frame(results.gains)
    for name in set(SCALED) & set(made.columns):
        made[name] = pd.to_numeric(made[name]) * factor
    made = made.rename(columns={"placebo": "copies"})
    front = ["size", "arm", "metric", "seeds", "score", "copies", "gain", "low", "high", "p", "verdict", "sentence"]
    return made[[name for name in front if name in made]] if len(made) else made


def worth_frame(results: Results) -> pd.DataFrame:
    """A row for every arm that has a worth: `films` real films score as much, with their 95 % interval `low` to `high`."""
    made = _frame(results.worths, WorthRow)
    front = ["size", "arm", "real", "synthetic", "films", "low", "high", "censored", "identified", "seeds", "sentence"]
    return made[[name for name in front if name in made]]


def precision_frame(results: Results) -> pd.DataFrame:
    """A row for every size and arm whose models detect, placebos too: `map` over IoU 0.50 to 0.95, `map_50`, `map_own`."""
    return _frame(results.average_precision)


def compared_frame(found: ComparisonResults) -> pd.DataFrame:
    """A row for every number that both runs have, exact: `a`, `b`, their difference, and the paired test."""
    return _frame(found.rows)


def compared_gains_frame(found: ComparisonResults) -> pd.DataFrame:
    """A row for every size and arm in which the gains of two runs are compared, exact."""
    return _frame(found.gains)


def _frame(rows: Iterable[Strict], kind: type[Strict] | None = None) -> pd.DataFrame:
    """The rows; where there are none, the columns of `kind`."""
    made = [row.model_dump(mode="json") for row in rows]
    return pd.DataFrame(made, columns=None if made or kind is None else list(kind.model_fields))
