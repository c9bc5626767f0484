"""Predictions that were made from those of REAL, or of a placebo, and not by a training of their own: a maintainer looks.

Two trainings differ in many of their predictions, and a change is about as often wrong as right. An arm is reviewed when it
differs from a shared cell of its seed, size and fold, or from another arm there, in next to nothing; or when it differs from
a shared cell in few predictions, nearly all of which are right. (Measured on the honest entries of this repository: arms
differ in 0.7 to 36 % of the pixels, of which 1 to 87 % are right, in over 99 % of the ranks of films, of which 45 to 52 %
are right, and in the boxes of every film; of the boxes that are hit by one alone 18 to 54 % are hit by the arm.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ...benchmark.metrics.changes import Changes
from ...benchmark.runs.record import Record
from ..arms import is_shared, label_of
from ..entry import EntryRun
from .finding import Finding, Level
from .subject import Protocol, Subject, place, slot_of

NAME = "beside_real"
RECOMPUTES = True
LEAST = 0.001
"""The share of predictions that two trainings differ in at least."""
FEW, MOSTLY_RIGHT, JUDGED = 0.1, 0.95, 20
"""Of changes that are no more than the first share of the predictions, at least as many as the last number: the share that
honest trainings do not get right."""


def check(subject: Subject) -> Iterator[Finding]:
    """A review for every arm that is another cell's predictions with something put in."""
    for run in subject.entry.runs:
        protocol = subject.protocol(run)
        if protocol is None:
            continue  # `cells` has said why
        told: set[tuple[str, str, str]] = set()
        for mine, other in pairs(run):
            pair = (mine.cell.size, label_of(mine.cell), label_of(other.cell))
            words = "" if pair in told else _words(subject, run, protocol, mine, other)
            if words:
                told.add(pair)
                yield Finding(Level.REVIEW, NAME, run.path.name, f"{place(mine)}: {words}")


def pairs(run: EntryRun) -> Iterator[tuple[Record, Record]]:
    """Each own cell with every shared one of its seed, size and fold, and with each own one after it."""
    groups: dict[tuple[int, str, str], list[Record]] = defaultdict(list)
    for record in run.records.values():
        groups[record.cell.seed, record.cell.size, record.cell.fold].append(record)
    for group in groups.values():
        shared = [one for one in group if is_shared(label_of(one.cell))]
        own = [one for one in group if one not in shared]
        for turn, mine in enumerate(own):
            yield from ((mine, other) for other in (*shared, *own[turn + 1 :]))


def _words(subject: Subject, run: EntryRun, protocol: Protocol, mine: Record, other: Record) -> str:
    """What is odd about a cell beside another one; empty where nothing is."""
    try:
        said, before = (subject.predictions(one.key, run.homes[one.key]) for one in (mine, other))
        test = subject.test_films(run, protocol, slot_of(mine))
        found = protocol.task.changes(said, before, test)
    except Exception:  # arrays of other forms than the task's make it raise anything: `scores` says what is wrong
        return ""
    if found is None or not found.statements:
        return ""
    name, share = label_of(other.cell), found.changed / found.statements
    if share < LEAST:
        return (
            f"it differs from {name} in {share:.2%} of what it predicts; two trainings differ in at least {LEAST:.1%}"
        )
    if is_shared(name) and _made(found):
        return (
            f"of what it predicts otherwise than {name} ({share:.1%}) {found.right / found.judged:.0%} is right; trainings "
            "err in both directions"
        )
    return ""


def _made(found: Changes) -> bool:
    """Whether changes are so few, and so often right, that no training made them."""
    return is_judged(found) and found.right >= MOSTLY_RIGHT * found.judged


def is_judged(found: Changes) -> bool:
    """Whether it counts how many of the changes to a shared cell are right: there are few, and enough to tell."""
    few = found.changed <= FEW * found.statements or found.judged < found.changed
    return few and found.judged >= JUDGED
