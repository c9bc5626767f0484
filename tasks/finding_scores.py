"""The numbers of a classifier of findings: its table and its ROC curves, from logits and truths of the test films."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..benchmark.contracts.task import Plot
from ..benchmark.metrics.scores import AVERAGE, RESAMPLES, class_scores
from .labelled_films import in_order

CURVE_POINTS = 200  # of a ROC curve in the report


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """AUC per finding and its mean with 95 % intervals (patients resampled), average precision, calibration."""
    from ..benchmark.metrics.auc_bootstrap import bootstrap_auc
    from ..benchmark.metrics.classification import average_precision, calibration

    structures = in_order(scores["structure"].unique())
    found = class_scores(scores.assign(seed=0), structures)
    logits = found.logits[0]
    drawn = bootstrap_auc(found.truth, [logits], found.patients, resamples=RESAMPLES, seed=0)
    rows: list[tuple[str, str, float | None]] = []
    estimates = [(name, drawn.of_class(0, column)) for column, name in enumerate(structures)]
    for name, estimate in [*estimates, (AVERAGE, drawn.macro(0))]:
        rows += [("auc", name, estimate.value), ("auc_low", name, estimate.low), ("auc_high", name, estimate.high)]
    beside: dict[str, list[float]] = {"average_precision": [], "calibration_error": [], "brier": []}
    for column, name in enumerate(structures):
        truth = found.truth[:, column]
        curve = calibration(truth, 1 / (1 + np.exp(-logits[:, column])))
        values = (average_precision(truth, logits[:, column]), curve.expected_error, curve.brier)
        for (metric, kept), value in zip(beside.items(), values, strict=True):
            rows.append((metric, name, value))
            kept.append(value)
    rows += [(metric, AVERAGE, float(np.mean(kept))) for metric, kept in beside.items()]
    return pd.DataFrame(
        [(metric, name, value) for metric, name, value in rows if value is not None],
        columns=["metric", "structure", "value"],
    )


def roc_plots(scores: Mapping[str, pd.DataFrame]) -> list[Plot]:
    """A drawing for every finding, with the ROC curve of every table of scores by its name (of its first seed)."""
    from ..benchmark.metrics.classification import roc_curve

    first = {name: one[one["seed"] == one["seed"].min()] for name, one in scores.items() if len(one)}
    plots = []
    for finding in in_order(name for one in first.values() for name in one["structure"].unique()):
        curves = {}
        for name, one in first.items():
            mine = one[one["structure"] == finding]
            if len(mine):
                found = class_scores(mine, [finding])
                fpr, tpr, _ = roc_curve(found.truth[:, 0], found.logits[0, :, 0])
                at = np.linspace(0, len(fpr) - 1, min(CURVE_POINTS, len(fpr))).round().astype(int)
                curves[name] = (fpr[at], tpr[at])
        if curves:
            plots.append(Plot(finding.replace("_", " "), "1 − specificity", "sensitivity", curves, diagonal=True))
    return plots
