"""A run at a glance: for each size the gain and worth of its arms, and small beside them the scores.

Differences from REAL stand here without stars: those of the tables compare trained models on the test films, and what five
seeds say of the generator may be the opposite (docs/gain-and-worth.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..metrics.scores import AVERAGE
from ..results.rows import MetricInfo, Results
from . import words as wording
from .gain_words import worth_cell


@dataclass(frozen=True)
class Card:
    """One arm at a glance: the average of the primary metric, its gain over copies where it has a placebo, and its
    difference from REAL. Texts, empty where there is no such number."""

    arm: str
    score: str
    gain: str = ""
    gain_interval: str = ""
    worth: str = ""
    difference: str = ""
    interval: str = ""
    note: str = ""


def cards(results: Results, size: str) -> list[Card]:
    """The arms of a size."""
    metric = results.task.metric(results.task.primary)
    structure = AVERAGE if AVERAGE in results.structures else (results.structures or [AVERAGE])[0]
    return [_card(results, size, arm, metric, structure) for arm in results.arms_of(size)]


def _card(results: Results, size: str, arm: str, metric: MetricInfo, structure: str) -> Card:
    row = results.row(size, arm, metric.name, structure)
    if row is None or row.value is None:
        return Card(arm, "–", note=row.note if row else "missing")
    score = wording.shown(row.value, metric) + (f" ± {wording.shown(row.sd, metric)}" if row.sd is not None else "")
    test, gain = results.test(size, arm, metric.name, structure), results.gain(size, arm)
    told = test is not None and test.difference is not None
    return Card(
        arm,
        score,
        gain="" if gain is None else wording.shown(gain.gain, metric, signed=True),
        gain_interval="" if gain is None else wording.interval(gain.low, gain.high, metric),
        worth=_worth(results, size, arm),
        difference=wording.shown(test.difference, metric, signed=True) if test and told else "",
        interval=wording.interval(test.low, test.high, metric) if test and told else "",
        note=test.note if test else "",
    )


def _worth(results: Results, size: str, arm: str) -> str:
    """`like 41 (35 to 49) real films`; empty where nothing is read from a curve."""
    row = results.worth(size, arm)
    if row is None:
        return ""
    return f"like {worth_cell(row)} real films" if row.identified else "worth not identified"
