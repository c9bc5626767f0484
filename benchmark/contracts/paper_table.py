"""What a task's paper prints besides the numbers of one run: lines that are the mean of others (`Task.derived_rows`), and a
table that several runs make together (`Task.paper_table`, `cxrbench table`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class DerivedRow:
    """A line of a paper's table that is the mean of others: shown below them, in no average and in no test."""

    name: str
    of: tuple[str, ...]
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class PaperTable:
    """A line a structure, a column an arm and a metric.

    `columns`: (metric, heading), side by side below every arm. `arms`: the arms of a run in order, with what stands above
    their columns (`{provider}`: the run's); an arm that knows no provider stands there once. `average`: the line of the
    average. `cut`: decimals after which a number is cut as the paper does; None: it is rounded as everywhere. `lack`: why
    there are no columns, where there are none.
    """

    title: str
    columns: tuple[tuple[str, str], ...]
    arms: Mapping[str, str]
    average: str = "average"
    cut: int | None = None
    lack: str = ""


def cut_after(value: float, decimals: int) -> str:
    """A number with digits left out, not rounded: 1 of 54 is 0.018. What floating point lacks of a whole digit is given."""
    scale = 10**decimals
    return f"{math.floor(round(value * scale, 6)) / scale:.{decimals}f}"
