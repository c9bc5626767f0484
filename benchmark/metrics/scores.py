"""What a case score is called (its columns, the average, what a model was not taught), and the arrays behind case scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

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


RESAMPLES = 2_000
"""Draws of a bootstrap over patients or annotations."""


COLUMNS = ["size", "fold", "arm", "seed", "case", "patient", "structure", "metric", "value"]


def case_scores(scores: pd.DataFrame, structures: Sequence[str], metric: str) -> pd.DataFrame:
    """A row per (fold, case), a column per structure and `average`: means over seeds, float64.

    `average` is the mean over the structures; it is NaN where one of them is missing, so that no case drops out unseen.
    """
    chosen = scores[(scores["metric"] == metric) & scores["structure"].isin(list(structures))]
    means = chosen.groupby(["fold", "case", "structure"], observed=True)["value"].mean()
    wide = means.unstack("structure").reindex(columns=list(structures)).dropna(how="all")
    if len(structures) > 1:
        wide[AVERAGE] = wide.mean(axis=1, skipna=False)
    return wide.sort_index()


@dataclass(frozen=True)
class ClassScores:
    """Logits and truths of the same films: truth bool (N, C), logits (S seeds, N, C), patients (N,)."""

    truth: np.ndarray
    logits: np.ndarray
    patients: np.ndarray
    cases: tuple[str, ...]


def class_scores(scores: pd.DataFrame, structures: Sequence[str]) -> ClassScores:
    """The arrays behind case scores in long form with the metrics `logit` and `truth`; films in the order of their ids.

    A score that is not there is NaN. By codes and not by a pivot table, which takes minutes for 25,596 films.
    """
    import pandas as pd

    chosen = scores[scores["structure"].isin(list(structures)) & scores["metric"].isin(["logit", "truth"])]
    seed, seeds = pd.factorize(chosen["seed"], sort=True)
    case, cases = pd.factorize(chosen["case"], sort=True)
    column = pd.Index(structures).get_indexer(pd.Index(chosen["structure"]))
    values, said = chosen["value"].to_numpy(dtype=np.float64), (chosen["metric"] == "logit").to_numpy()
    logits = np.full((len(seeds), len(cases), len(structures)), np.nan)
    logits[seed[said], case[said], column[said]] = values[said]
    truth = np.zeros((len(cases), len(structures)), dtype=bool)
    truth[case[~said], column[~said]] = values[~said] > 0.5
    first = np.unique(case, return_index=True)[1]
    patients = chosen["patient"].to_numpy()[first].astype(str)
    return ClassScores(truth, logits, patients, tuple(map(str, cases)))
