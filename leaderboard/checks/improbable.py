"""Improvements that are too good for their spread over seeds: a maintainer looks before they stand in a table.

Films made by a generator hold what it learnt from the real ones; a model taught by them alone hardly beats one taught by
the real films, and adding them rarely takes away half of what is left to gain. An arm is reviewed when even the lower
one-sided 99.9 % bound of its improvement (t over seeds, the larger spread of the two arms for both) is above that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ...benchmark.contracts.task import ArmName
from ...benchmark.results.averages import primary_by_seed
from ..entry import EntryRun
from .finding import Finding, Level
from .subject import Subject

NAME = "improbable"
RECOMPUTES = False
LEVEL = 0.999
SHARES = {ArmName.SYNTHETIC.value: 0.1, ArmName.MIXED.value: 0.5, ArmName.FINETUNE.value: 0.5}
"""How much of REAL's error an arm may take away before it is looked at."""


def check(subject: Subject) -> Iterator[Finding]:
    """A review for every arm that improves too much, or that every seed gave the same number."""
    for run in subject.entry.runs:
        for size in [one.size for one in run.results.sizes]:
            real = _errors(run, size, ArmName.REAL.value)
            for arm in run.results.arms:
                ours = _errors(run, size, arm)
                if arm == ArmName.REAL or len(ours) < 2 or len(real) < 2:
                    continue
                for words in _arm(arm, ours, real):
                    yield Finding(Level.REVIEW, NAME, run.path.name, f"{arm} {size}: {words}")


def _errors(run: EntryRun, size: str, arm: str) -> list[float]:
    """What is left to gain on the primary metric, by seed: 1 minus a share, or the number itself where less is better."""
    said = run.results
    info = said.task.metric(said.task.primary)
    values = list(primary_by_seed(said.seed_values, info.name, size, arm, said.task.structures).values())
    return [1 - value for value in values] if info.higher_is_better else values


def _arm(arm: str, ours: Sequence[float], real: Sequence[float]) -> Iterator[str]:
    gain, allowed = float(np.mean(real) - np.mean(ours)), SHARES.get(arm, 0.5) * float(np.mean(real))
    bound = gain - _margin(ours, real)
    if bound > allowed > 0:
        yield (
            f"it takes {gain / float(np.mean(real)):.0%} of REAL's error away (at least {bound / float(np.mean(real)):.0%} "
            "by the spread over seeds); is a test film or its annotation in the training?"
        )
    worst = float(np.mean(ours)) >= 0.5  # a model that learnt nothing says the same for every seed
    if np.ptp(ours) == 0 and np.ptp(real) > 0 and not worst:
        yield f"all {len(ours)} seeds gave the same number; were the seeds refitted?"


def _margin(ours: Sequence[float], real: Sequence[float]) -> float:
    """Half a one-sided interval of a difference of means."""
    from scipy import stats

    spread = max(float(np.std(ours, ddof=1)), float(np.std(real, ddof=1)))
    freedom = len(ours) + len(real) - 2
    return float(stats.t.ppf(LEVEL, freedom)) * spread * float(np.sqrt(1 / len(ours) + 1 / len(real)))
