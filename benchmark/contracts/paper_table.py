"""A table of a task's paper that several runs make together (`cxrbench table`): a line a structure, a column an arm and a
metric. A task gives it by `Task.paper_table`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PaperTable:
    """`columns`: (metric, heading), side by side below every arm. `arms`: the arms of a run in order, with what stands above
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
