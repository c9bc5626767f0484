"""Improvements that are too good for their spread over seeds: a maintainer looks before they stand in a table.

Films made by a generator hold what it learnt from the real ones; a model taught by them alone hardly beats one taught by
the real films, and adding them rarely takes away half of what is left to gain. An arm is reviewed when even the lower
one-sided 99.9 % bound of its improvement (t over seeds, the larger spread of the two arms for both) is above that, over
REAL or over its placebo. A placebo is reviewed in the same way when REAL takes away as much of its error: copies of the
real films are about as good as these, and a weak placebo makes every gain large. Cells of REAL and of placebos that an
entry brings itself are reviewed, too, where they are told to be worse than those that the entries of its board share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ...benchmark.contracts.task import ArmName
from ...benchmark.results.averages import primary_by_seed
from ...benchmark.runs.record import Record
from ..arms import REAL, is_shared, label_of, parsed, placebo_of
from ..entry import EntryRun, shared_cells
from ..untrusted import Refused
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
    """A review for every arm that improves too much, or that every seed gave the same number, and for weak placebos."""
    for run in subject.entry.runs:
        yield from (Finding(Level.REVIEW, NAME, run.path.name, words) for words in _worse_than_shared(run))
        for size in [one.size for one in run.results.sizes]:
            for arm in run.results.arms:
                for words in _arm(run, size, arm) if arm != REAL else ():
                    yield Finding(Level.REVIEW, NAME, run.path.name, f"{arm} {size}: {words}")


def _arm(run: EntryRun, size: str, arm: str) -> Iterator[str]:
    parts = parsed(arm)
    share = 0.5 if parts is None else SHARES[parts.arm]
    ours, real, placebo = (errors_of(run, size, name) for name in (arm, REAL, placebo_of(arm)))
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


def errors_of(run: EntryRun, size: str, arm: str) -> list[float]:
    """What is left to gain on the primary metric, by seed: 1 minus a share, or the number itself where less is better."""
    said = run.results
    info = said.task.metric(said.task.primary)
    values = list(primary_by_seed(said.seed_values, info.name, size, arm, said.task.structures).values())
    return [1 - value for value in values] if info.higher_is_better else values


def _worse_than_shared(run: EntryRun) -> Iterator[str]:
    """A sentence for every size and arm without a provider whose own cells are worse than the shared ones of its board."""
    try:
        shared = shared_cells(run.path.parents[2], run.results)
    except Refused:
        return  # no cell of this entry: those that use them say so
    own = {key: record for key, record in run.records.items() if run.homes[key].folder != shared.folder}
    theirs, ours = (_scores(run, records) for records in (shared.records, own))
    sign = 1.0 if run.results.task.metric(run.results.task.primary).higher_is_better else -1.0
    for place in theirs.keys() & ours.keys():
        seeds = sorted(theirs[place].keys() & ours[place].keys())
        lost = np.array([sign * (theirs[place][seed] - ours[place][seed]) for seed in seeds])
        if len(lost) > 1 and _bound(lost) > 0:
            size, arm = place
            yield (
                f"{arm} {size}: its own cells score {lost.mean():.3g} less than those that entries share, more than their "
                "spread over seeds explains; were they trained as these?"
            )


def _scores(run: EntryRun, records: Mapping[str, Record]) -> dict[tuple[str, str], dict[int, float]]:
    """The mean over the tables' rows of the primary metric, folds together, by size, arm without a provider, and seed."""
    said, found = run.results, dict[tuple[str, str, int], list[float]]()
    for record in records.values():
        label = label_of(record.cell)
        if (
            is_shared(label)
            and record.cell.data.digest == said.data.digest
            and record.cell.task.version == said.task.version
        ):
            rows = [row.value for row in record.table if row.metric == said.task.primary]
            found.setdefault((record.cell.size, label, record.cell.seed), []).extend(rows)
    by_place: dict[tuple[str, str], dict[int, float]] = {}
    for (size, label, seed), rows in found.items():
        if rows:
            by_place.setdefault((size, label), {})[seed] = float(np.mean(rows))
    return by_place


def _bound(differences: np.ndarray) -> float:
    """The lower one-sided bound of a mean."""
    from scipy import stats

    error = float(differences.std(ddof=1)) / float(np.sqrt(len(differences)))
    return float(differences.mean()) - float(stats.t.ppf(LEVEL, len(differences) - 1)) * error


def _taken(ours: Sequence[float], theirs: Sequence[float], share: float) -> tuple[float, float] | None:
    """How much of their error ours takes away, and the bound of it; None where that may be."""
    if float(np.mean(theirs)) <= 0:
        return None
    found = share_taken(ours, theirs)
    return found if found[1] > share else None


def share_taken(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """The share of the mean error `theirs` (by seed, above 0) that `ours` takes away, and the lower bound of it."""
    error = float(np.mean(theirs))
    gain = error - float(np.mean(ours))
    return gain / error, (gain - _margin(ours, theirs)) / error


def _margin(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Half a one-sided interval of a difference of means."""
    from scipy import stats

    spread = max(float(np.std(ours, ddof=1)), float(np.std(theirs, ddof=1)))
    freedom = len(ours) + len(theirs) - 2
    return float(stats.t.ppf(LEVEL, freedom)) * spread * float(np.sqrt(1 / len(ours) + 1 / len(theirs)))
