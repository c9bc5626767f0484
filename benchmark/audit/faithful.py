"""Do the films show what they are said to show? A REAL model of the store is asked, and its answers are scored
against the films' own masks, labels or boxes; beside it the same on real films that it never saw. Nothing is
trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..contracts.task import Task
from ..data.dataset import Dataset
from ..errors import CxrbenchError, one_line
from ..fidelity.audit import Audit
from ..fidelity.compare import ALL, Agreement
from ..metrics.classification import auc
from ..progress import Progress
from .real_model import Judge, load_judge, newest_real
from .sources import Opened

DRAWS = 400


def with_agreement(audit: Audit, opened: Opened, progress: Progress) -> Audit:
    """The audit with what a REAL model says of the films' annotations, or the line why it was not asked."""
    films = opened.sides.films
    if not films.annotations:
        return _without(audit, "the films' annotations are not asked about: they have none")
    record = newest_real(opened, films.annotations.__contains__, own=True)
    if record is None:
        data = opened.sides.real.info.name
        return _without(
            audit,
            f"the films' annotations are not asked about: the store has no REAL model of {data}; "
            f"`cxrbench run --provider copy_train --data {data} --arms real` trains one",
        )
    try:
        judge = load_judge(record)
        progress.update(0.3)
        rows = agreement(judge, films)
    except CxrbenchError as error:
        return _without(audit, f"the films' annotations are not asked about: {error}")
    except Exception as error:  # of a task that is not ours
        return _without(audit, f"the films' annotations are not asked about: {type(error).__name__}: {one_line(error)}")
    alarms = [
        f"{one.metric} of a REAL model on the {one.structure} of the films {one.value:.3f}, "
        f"on held-out real films {one.real:.3f}{_few(one)}: annotations that the films do not show"
        for one in rows
        if one.worse and one.structure == ALL
    ]
    return audit.model_copy(update={"agreement": rows, "alarms": [*audit.alarms, *alarms]})


def _few(one: Agreement) -> str:
    return "" if one.odd is None else f"; {100 * one.odd:.1f} % of the films below what 99 % of real ones reach"


def _without(audit: Audit, line: str) -> Audit:
    return audit.model_copy(update={"left_out": [*audit.left_out, line]})


def agreement(judge: Judge, films: Dataset) -> list[Agreement]:
    """The first metric that the task compares case by case, of a REAL model on the annotations of films and of
    held-out real ones at the same size: for each structure that both have and over all of them, with intervals over
    cases. What does not fit is an error of the task."""
    side = min(films.resolution, judge.test.resolution)
    mine, theirs = (_scored(judge, one.resized(side)) for one in (films, judge.test))
    common = [name for name in mine if name in theirs]
    found = []
    for structure in [ALL, *common]:
        chosen = common if structure == ALL else [structure]
        ours, real = (_interval([table[name] for name in chosen]) for table in (mine, theirs))
        if ours is None or real is None:
            continue
        found.append(
            Agreement(
                task=judge.task.name,
                metric=_label(judge.task),
                structure=structure,
                films=ours[0],
                value=ours[1],
                low=ours[2],
                high=ours[3],
                real_films=real[0],
                real=real[1],
                real_low=real[2],
                real_high=real[3],
                **_odd(*(_by_case([table[name] for name in chosen]) for table in (mine, theirs))),
            )
        )
    return found


def _by_case(tables: Sequence[pd.DataFrame]) -> np.ndarray | None:
    """The mean over structures of each case's value; None where cases have none of their own (an AUC)."""
    if any("value" not in table for table in tables):
        return None
    return pd.concat([table["value"] for table in tables], axis=1).mean(axis=1).to_numpy()


def _odd(films: np.ndarray | None, real: np.ndarray | None) -> dict[str, float]:
    """The share of films below the r-th lowest of n real ones (1 % of them), and how likely so many are where both
    are alike: beta-binomial, as no shape of their values is known. A few wrong annotations move a mean too little
    to be seen."""
    from scipy import stats

    if films is None or real is None:
        return {}
    r = max(1, int(0.01 * (len(real) + 1)))
    below = int((films < np.sort(real)[r - 1]).sum())
    p = float(stats.betabinom.sf(below - 1, len(films), r, len(real) + 1 - r)) if below else 1.0
    return {"odd": below / len(films), "odd_p": min(1.0, p)}


def _label(task: Task) -> str:
    name = task.paired_metrics()[0]
    return next((metric.label for metric in task.metrics if metric.name == name), name)


def _scored(judge: Judge, films: Dataset) -> dict[str, pd.DataFrame]:
    """Scores of films by structure, indexed by case: a column `value`, or `logit` and `truth` where the metric is
    of all films together (an AUC)."""
    scores = judge.task.score(judge.task.predict(judge.model, films, device="cpu"), films)
    metric = judge.task.paired_metrics()[0]
    if metric in set(scores["metric"]):
        kept = scores[(scores["metric"] == metric) & scores["value"].notna()]
        return {str(name): part.set_index("case")[["value"]] for name, part in kept.groupby("structure", sort=False)}
    return {
        str(name): part.pivot(index="case", columns="metric", values="value")[["logit", "truth"]].dropna()
        for name, part in scores.groupby("structure", sort=False)
    }


def _interval(tables: Sequence[pd.DataFrame]) -> tuple[int, float, float, float] | None:
    """How many cases, the mean over structures of their numbers, and its 95 % interval with cases drawn again; None for
    fewer than two cases."""
    wide = pd.concat(dict(enumerate(tables)), axis=1)
    if len(wide) < 2:
        return None
    values = wide.to_numpy(dtype=np.float64).reshape(len(wide), len(tables), -1)
    draw = np.random.default_rng(0)
    drawn = [_mean(values[draw.integers(0, len(values), len(values))]) for _ in range(DRAWS)]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return len(wide), _mean(values), float(low), float(high)


def _mean(values: np.ndarray) -> float:
    """Mean over structures of cases (N, structures, 1 or 2): of their values, or of the AUC of logits and truth."""
    if values.shape[2] == 1:
        return float(np.nanmean(values))
    return float(np.nanmean([_auc(one[:, 0], one[:, 1]) for one in values.transpose(1, 0, 2)]))


def _auc(scores: np.ndarray, truth: np.ndarray) -> float:
    """Of the cases that have a label; NaN for one label value."""
    kept = ~np.isnan(truth)
    return auc(truth[kept], scores[kept]) if np.unique(truth[kept]).size == 2 else float("nan")
