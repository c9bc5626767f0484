"""Improvements that are too good for their spread over seeds: a maintainer looks before they stand in a table.

Films made by a generator hold what it learnt from the real ones; a model taught by them alone hardly beats one taught by
the real films, and adding them rarely takes away half of what is left to gain. An arm is reviewed when even the lower
one-sided 99.9 % bound of its improvement (t over seeds, the larger spread of the two arms for both) is above that, over
REAL or over its placebo. A placebo is reviewed in the same way when REAL takes away as much of its error: copies of the
real films are about as good as these, and a weak placebo makes every gain large.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ...benchmark.contracts.task import ArmName
from ...benchmark.results.averages import primary_by_seed
from ..arms import REAL, parsed, placebo_of
from ..entry import EntryRun
from .finding import Finding, Level
from .subject import Subject

NAME = "improbable"
RECOMPUTES = False
LEVEL = 0.999
SHARES = {ArmName.SYNTHETIC: 0.1, ArmName.MIXED: 0.5, ArmName.FINETUNE: 0.5, ArmName.REAL: 0.5}
"""How much of the error of REAL, or of its placebo, an arm may take away before it is looked at."""
WEAK = 0.5
"""How much of a placebo's error REAL may take away before the placebo is looked at."""


def check(subject: Subject) -> Iterator[Finding]:
    """A review for every arm that improves too much, or that every seed gave the same number, and for a weak placebo."""
    for run in subject.entry.runs:
        for size in [one.size for one in run.results.sizes]:
            for arm in run.results.arms:
                for words in _arm(run, size, arm) if arm != REAL else ():
                    yield Finding(Level.REVIEW, NAME, run.path.name, f"{arm} {size}: {words}")


def _arm(run: EntryRun, size: str, arm: str) -> Iterator[str]:
    parts = parsed(arm)
    share = 0.5 if parts is None else SHARES[parts.arm]
    ours, real, placebo = (_errors(run, size, name) for name in (arm, REAL, placebo_of(arm)))
    for name, theirs in (("REAL", real), ("its placebo", placebo)):
        if min(len(ours), len(theirs)) < 2:
            continue
        if taken := _taken(ours, theirs, share):
            yield (
                f"it takes {taken[0]:.0%} of {name}'s error away (at least {taken[1]:.0%} by the spread over seeds); is a "
                "test film or its annotation in the training?"
            )
    if min(len(real), len(placebo)) >= 2 and (taken := _taken(real, placebo, WEAK)):
        yield (
            f"REAL takes {taken[0]:.0%} of its placebo's error away (at least {taken[1]:.0%} by the spread over seeds); is "
            "the placebo trained on copies of the real films?"
        )
    worst = bool(ours) and float(np.mean(ours)) >= 0.5  # a model that learnt nothing says the same for every seed
    spread = [theirs for theirs in (real, placebo) if len(theirs) > 1 and np.ptp(theirs) > 0]
    if len(ours) > 1 and np.ptp(ours) == 0 and spread and not worst:
        yield f"all {len(ours)} seeds gave the same number; were the seeds refitted?"


def _errors(run: EntryRun, size: str, arm: str) -> list[float]:
    """What is left to gain on the primary metric, by seed: 1 minus a share, or the number itself where less is better."""
    said = run.results
    info = said.task.metric(said.task.primary)
    values = list(primary_by_seed(said.seed_values, info.name, size, arm, said.task.structures).values())
    return [1 - value for value in values] if info.higher_is_better else values


def _taken(ours: Sequence[float], theirs: Sequence[float], share: float) -> tuple[float, float] | None:
    """How much of their error ours takes away, and the bound of it; None where that may be."""
    error = float(np.mean(theirs))
    gain = error - float(np.mean(ours))
    bound = gain - _margin(ours, theirs)
    return (gain / error, bound / error) if bound > share * error > 0 else None


def _margin(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Half a one-sided interval of a difference of means."""
    from scipy import stats

    spread = max(float(np.std(ours, ddof=1)), float(np.std(theirs, ddof=1)))
    freedom = len(ours) + len(theirs) - 2
    return float(stats.t.ppf(LEVEL, freedom)) * spread * float(np.sqrt(1 / len(ours) + 1 / len(theirs)))
