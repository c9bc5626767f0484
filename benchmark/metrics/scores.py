"""The names of a case score: its columns, the average, what a model was not taught."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


AVERAGE = "average"
"""The structure that stands for the mean over all structures."""


NOT_TAUGHT = "not taught"
"""The note of a number that is absent because the training films of its arm have no such annotation."""


def finite(value: Any) -> float | None:
    """A number for JSON: None where it is missing, NaN or infinite."""
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


COLUMNS = ["size", "fold", "arm", "seed", "case", "patient", "structure", "metric", "value"]


def case_scores(scores: pd.DataFrame, structures: Sequence[str], metric: str) -> pd.DataFrame:
    """A row per (fold, case), a column per structure and `average`: means over seeds, float64.

    `average` is the mean over the structures; it is NaN where one of them is missing, so that no case drops out unseen.
    """
    chosen = scores[(scores["metric"] == metric) & scores["structure"].isin(list(structures))]
    wide = chosen.pivot_table(
        index=["fold", "case"], columns="structure", values="value", aggfunc="mean", dropna=False, observed=True
    ).reindex(columns=list(structures))
    wide = wide.dropna(how="all")
    if len(structures) > 1:
        wide[AVERAGE] = wide.mean(axis=1, skipna=False)
    return wide.sort_index()
