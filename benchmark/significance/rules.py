"""How two models are compared on the same cases: a rule for each kind of score.

A task names one of these rules, or brings a `PairingRule` of its own. Records and run folders are compared by the name of
the rule; for one of these, without the task's code.

- `cases`: every film has a score (Dice, distance): paired t-test and Wilcoxon signed-rank test, BCa interval of the mean.
- `auc`: every film has a logit and a truth per class: DeLong's test per class, patients resampled for the macro mean;
  beside it the paired t-test over the class AUCs that papers print, which says nothing about a generator.
- `hits`: every annotation is found or not: McNemar's exact test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError, unknown
from ..metrics.scores import AVERAGE, NOT_TAUGHT, RESAMPLES, ClassScores, class_scores, finite
from ..registry import TASKS, plugins
from .pairs import Comparison, compare_cases

if TYPE_CHECKING:
    import pandas as pd

Comparer = Callable[["pd.DataFrame", "pd.DataFrame", Sequence[str], str], list[Comparison]]

DELONG, PATIENTS, OVER_CLASSES = "DeLong", "bootstrap over patients", "paired t-test over classes (paper protocol)"
MCNEMAR, HIT_RATES = "McNemar, exact", "Wilcoxon of hit rates over seeds"


@dataclass(frozen=True)
class PairingRule:
    """A comparer, its name and its words. `compare(ours, theirs, structures, metric)`: ours minus theirs per structure,
    then the average, from case scores in long form of one size and arm; no Holm values yet."""

    name: str
    compare: Comparer
    unit: str
    """What is paired: films, boxes."""
    marks: str
    """The test behind the stars."""
    more: str
    """What else stands in the report."""
    method: str
    """What the report's section on statistics says."""
    per_case: bool = False
    """Whether every film has a score of its own, which figures can show."""


def compare_aucs(ours: pd.DataFrame, theirs: pd.DataFrame, structures: Sequence[str], metric: str) -> list[Comparison]:
    """DeLong per class and, for the macro mean, patients resampled. With several seeds a model's AUC is its mean over them.

    Classes with one label value in the test set, or that a model was not taught, are left out of the macro mean of both.
    """
    from ..metrics.classification import delong

    names = [*structures, AVERAGE] if len(structures) > 1 else list(structures)
    if not len(ours) or not len(theirs):
        return [Comparison(name, 0, note="no scores: no test") for name in names]
    a, b = class_scores(ours, structures), class_scores(theirs, structures)
    if a.cases != b.cases:
        note = f"not the same cases ({len(a.cases)} and {len(b.cases)}): no test"
        return [Comparison(name, 0, note=note) for name in names]
    n, found, kept = len(a.cases), [], []
    for column, structure in enumerate(structures):
        one, other = a.logits[:, :, column], b.logits[:, :, column]
        if np.isnan(one).any() or np.isnan(other).any():
            found.append(Comparison(structure, 0, note=NOT_TAUGHT))
            continue
        test = delong(a.truth[:, column], one, other)
        if test.difference is not None:
            kept.append(column)
        found.append(
            Comparison(
                structure,
                n,
                difference=finite(test.difference),
                low=finite(test.low),
                high=finite(test.high),
                test=DELONG,
                p=finite(test.p),
                note=test.note,
            )
        )
    if len(structures) > 1:
        found.append(_compare_macro_auc(a, b, kept))
    return found


def _compare_macro_auc(a: ClassScores, b: ClassScores, kept: Sequence[int]) -> Comparison:
    """The mean AUC over the classes `kept` (columns): patients resampled, and beside it the papers' test over classes."""
    from ..metrics.auc_bootstrap import bootstrap_auc
    from ..metrics.classification import auc_columns
    from .paired_tests import paired_t_over_classes

    n = len(a.cases)
    if len(kept) < 2:
        return Comparison(AVERAGE, n, note="fewer than two classes can be compared: no test")
    truth, models = a.truth[:, kept], [side.logits[:, :, kept] for side in (a, b)]
    macro = bootstrap_auc(truth, models, a.patients, resamples=RESAMPLES, seed=0).macro_difference(0, 1)
    classes = [np.mean([auc_columns(truth, logits) for logits in seeds], axis=0) for seeds in models]
    paper = paired_t_over_classes(*classes)
    return Comparison(
        AVERAGE,
        n,
        difference=finite(macro.value),
        low=finite(macro.low),
        high=finite(macro.high),
        test=PATIENTS,
        p=finite(macro.p),
        second=OVER_CLASSES,
        p_second=finite(paper.p),
        note="; ".join(note for note in (macro.note, paper.note) if note),
    )


def compare_hits(ours: pd.DataFrame, theirs: pd.DataFrame, structures: Sequence[str], metric: str) -> list[Comparison]:
    """McNemar's exact test on the annotations of each class and on all of them; with several seeds Wilcoxon's on the
    annotations' hit rates. `average` is the macro difference, its interval from annotations resampled within classes."""
    a, b = _hits(ours, structures, metric), _hits(theirs, structures, metric)
    names = [*structures, AVERAGE] if len(structures) > 1 else list(structures)
    if not a.index.equals(b.index) or not len(a):
        note = f"not the same boxes ({len(a)} and {len(b)}): no test"
        return [Comparison(name, 0, note=note) for name in names]
    of = a.index.get_level_values("structure")
    parts = [(name, a[of == name].to_numpy(), b[of == name].to_numpy()) for name in structures if (of == name).any()]
    found = [_compare_hits(name, one, other) for name, one, other in parts]
    if len(structures) > 1:
        whole = _compare_hits(AVERAGE, a.to_numpy(), b.to_numpy())
        difference, low, high = _macro([one.mean(axis=1) - other.mean(axis=1) for _, one, other in parts])
        found.append(
            Comparison(
                AVERAGE, whole.n, difference=difference, low=low, high=high, test=whole.test, p=whole.p, note=whole.note
            )
        )
    return found


def _hits(scores: pd.DataFrame, structures: Sequence[str], metric: str) -> pd.DataFrame:
    """A row per (structure, annotation), a column per seed: 1 where it was found."""
    chosen = scores[(scores["metric"] == metric) & scores["structure"].isin(list(structures))]
    return chosen.pivot_table(
        index=["structure", "case"], columns="seed", values="value", aggfunc="first", observed=True
    ).sort_index()


def _compare_hits(name: str, ours: np.ndarray, theirs: np.ndarray) -> Comparison:
    """`ours` and `theirs`: (boxes, seeds), 0 or 1."""
    from .paired_tests import mcnemar_exact, paired_comparison

    rates = paired_comparison(ours.mean(axis=1), theirs.mean(axis=1))
    difference, low, high = finite(rates.difference), finite(rates.low), finite(rates.high)
    if ours.shape[1] > 1 or theirs.shape[1] > 1:
        p = finite(rates.wilcoxon_p)
        return Comparison(name, rates.n, difference, low, high, test=HIT_RATES, p=p, note=rates.note)
    test = mcnemar_exact(ours[:, 0] > 0.5, theirs[:, 0] > 0.5)
    return Comparison(name, rates.n, difference, low, high, test=MCNEMAR, p=finite(test.p), note=test.note)


def _macro(differences: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """(mean over classes of the mean difference, 95 % percentile bounds) with annotations resampled within classes."""
    rng = np.random.default_rng(0)
    draws = np.mean([one[rng.integers(0, len(one), (RESAMPLES, len(one)))].mean(axis=1) for one in differences], axis=0)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(np.mean([one.mean() for one in differences])), float(low), float(high)


_RULES = (
    PairingRule(
        name="cases",
        compare=compare_cases,
        unit="films",
        marks="paired t-test of scores per film, Holm",
        more="Wilcoxon",
        method="Two-tailed paired t-test and Wilcoxon signed-rank test of the scores per film; 95 % intervals of the mean "
        "difference by the BCa bootstrap over films. The average is each film's mean over structures.",
        per_case=True,
    ),
    PairingRule(
        name="auc",
        compare=compare_aucs,
        unit="films",
        marks="classes: DeLong, average: bootstrap over patients; Holm",
        more="the paired t-test over classes (paper protocol)",
        method="Per class DeLong's test and interval. For the average over classes, patients (not films) are resampled "
        f"{RESAMPLES:,} times, the same draw for both models: percentile interval and two-sided p. The paired t-test over "
        "the class AUCs is what papers print: it takes the classes for independent and a lucky seed for a better model, so "
        "it is shown and never ranks. With several seeds a model's AUC is its mean over them.",
    ),
    PairingRule(
        name="hits",
        compare=compare_hits,
        unit="boxes",
        marks="McNemar's exact test of boxes found; Holm",
        more="the boxes found by each arm",
        method="McNemar's exact test on the boxes that one model finds and the other does not, per class and for all boxes; "
        "with several seeds Wilcoxon's test on the boxes' hit rates. Intervals: BCa bootstrap over boxes; for the average "
        "over classes, boxes resampled within classes.",
    ),
)
RULES: Mapping[str, PairingRule] = {rule.name: rule for rule in _RULES}
"""Rules by the name that a task gives (`Task.pairing`)."""


_BROUGHT: dict[str, PairingRule] = {}  # by tasks of this process: one in a file need not be installed


def rule_of(pairing: str | PairingRule) -> PairingRule:
    """The rule that a task names or brings. InputError where it brings another one under a name of `RULES`, and for a
    name that is none of these."""
    if isinstance(pairing, str):
        if pairing not in RULES:
            raise unknown("pairing rule", pairing, RULES)
        return RULES[pairing]
    if pairing.name in RULES:
        raise InputError(f"pairing rule '{pairing.name}': the name is taken; give the task's own rule another one")
    _BROUGHT[pairing.name] = pairing
    return pairing


def rule_named(name: str, task: str) -> PairingRule:
    """The rule of a name that results of a task hold: one of `RULES`, or that which the task brings.

    InputError where it is neither: then the task's package is not installed here.
    """
    if name in RULES:
        return RULES[name]
    if name not in _BROUGHT and task in plugins(TASKS):
        rule_of(plugins(TASKS)[task].load().pairing)
    if name not in _BROUGHT:
        raise InputError(
            f"results of task {task} are compared by its own rule '{name}': the task is not installed here"
        )
    return _BROUGHT[name]
