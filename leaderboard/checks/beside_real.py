"""Predictions that were made from those of another cell, and not by a training of their own: a maintainer looks.

Two trainings differ in many of their predictions, and a change is about as often wrong as right. An arm is reviewed when it
says next to nothing else than another cell of its run, of whatever seed, size or arm: one of more films is as good to copy
as REAL of its own place, and neither another scale nor a little noise hides it (`outline`). It is reviewed, too, when it
differs from a shared cell in few predictions, nearly all of which are right, in one seed or in all of them together.
(Measured on the honest entries of this repository: arms differ in 0.7 to 36 % of the pixels, of which 1 to 87 % are right,
in over 99 % of the ranks of films, of which 45 to 52 % are right, and in the boxes of every film; of the boxes that are hit
by one alone 18 to 54 % are hit by the arm.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...benchmark.metrics.changes import Changes
from ...benchmark.runs.record import Record
from ..arms import is_shared, label_of
from ..entry import EntryRun
from ..untrusted import Refused
from .finding import Finding, Level
from .outline import Outline, apart, outline
from .subject import KEPT_BYTES, Protocol, Subject, place, slot_of

NAME = "beside_real"
RECOMPUTES = True
LEAST = 0.001
"""The share of predictions that two trainings differ in at least."""
FEW, MOSTLY_RIGHT, JUDGED = 0.1, 0.95, 20
"""Of changes that are no more than the first share of the predictions, at least as many as the last number: the share that
honest trainings do not get right."""
NEAR = 0.1
"""Cells of other places are compared change by change where they are no further apart (`outline.apart`) than this."""


def check(subject: Subject) -> Iterator[Finding]:
    """A review for every arm that is another cell's predictions with something put in."""
    for run in subject.entry.runs:
        protocol = subject.protocol(run)
        if protocol is None:
            continue  # `cells` has said why
        for mine, words in _Beside(subject, run, protocol).found():
            yield Finding(Level.REVIEW, NAME, run.path.name, f"{place(mine)}: {words}")


def pairs(run: EntryRun) -> Iterator[tuple[Record, Record]]:
    """Each own cell with every shared one of its seed, size and fold, and with each own one after it."""
    return ((mine, other) for mine, other in all_pairs(run) if _place(mine) == _place(other))


def all_pairs(run: EntryRun) -> Iterator[tuple[Record, Record]]:
    """Each own cell with every shared one, and with each own one after it."""
    records = run.records.values()
    shared = [one for one in records if is_shared(label_of(one.cell))]
    own = [one for one in records if not is_shared(label_of(one.cell))]
    for turn, mine in enumerate(own):
        yield from ((mine, other) for other in (*shared, *own[turn + 1 :]))


def _place(record: Record) -> tuple[int, str, str]:
    return record.cell.seed, record.cell.size, record.cell.fold


@dataclass
class Outlines:
    """The outlines of the cells of a run, each made once."""

    subject: Subject
    run: EntryRun
    protocol: Protocol
    _found: dict[str, Outline | None] = field(default_factory=dict)

    def of(self, record: Record) -> Outline | None:
        """That of a cell; None where its predictions are of no kind that is known, or not as they should be."""
        if record.key not in self._found:
            try:
                said = self.subject.predictions(record.key, self.run.homes[record.key])
                test = self.subject.test_films(self.run, self.protocol, slot_of(record))
                boxes = None if test is None else self.protocol.task.detections(said, test)
                self._found[record.key] = outline(said, boxes)
            except (
                Exception
            ):  # arrays of other forms than the task's make it raise anything: `scores` says what is wrong
                self._found[record.key] = None
        return self._found[record.key]

    def apart(self, mine: Record, other: Record) -> float | None:
        """How far apart two cells are; None where nothing tells."""
        one, two = self.of(mine), self.of(other)
        return None if one is None or two is None else apart(one, two)


class _Beside:
    """What is odd about the own cells of a run beside the others."""

    def __init__(self, subject: Subject, run: EntryRun, protocol: Protocol) -> None:
        self.subject, self.run, self.protocol = subject, run, protocol
        self.outlines = Outlines(subject, run, protocol)
        self.held = _are_held(run)

    def found(self) -> Iterator[tuple[Record, str]]:
        """Cells, and what is odd: once for two arms of two sizes."""
        told: set[tuple[str, ...]] = set()
        seeds: dict[tuple[str, ...], list[tuple[Record, Changes]]] = defaultdict(list)
        for mine, other in all_pairs(self.run):
            pair = (mine.cell.size, label_of(mine.cell), other.cell.size, label_of(other.cell))
            if pair in told:
                continue
            here = _place(mine) == _place(other)
            changes = self._changes(mine, other, here=here)
            if changes is not None and here and is_shared(label_of(other.cell)):
                seeds[pair].append((mine, changes))
            if words := _odd(changes, mine, other) or self._alike(mine, other):
                told.add(pair)
                yield mine, words
        for places, several in seeds.items():
            if places not in told and _made(together := _sum([one for _, one in several])):
                yield several[0][0], _words_of_right(together, f"{places[3]} over {len(several)} seeds")

    def _alike(self, mine: Record, other: Record) -> str:
        one, share = self.outlines.of(mine), self.outlines.apart(mine, other)
        if one is None or share is None or share >= one.form.least:
            return ""
        return (
            f"it differs from {_called(mine, other)} in {share:.2%} {one.form.words}; two trainings differ in at least "
            f"{one.form.least:.1%}"
        )

    def _changes(self, mine: Record, other: Record, *, here: bool) -> Changes | None:
        """How the predictions of a cell differ from those of another; None where that is not asked, or not told."""
        if not here:
            if not self.held:
                return None
            share = self.outlines.apart(mine, other) if is_shared(label_of(other.cell)) else None
            if share is None or share > NEAR:
                return None
        try:
            said, before = (self.subject.predictions(one.key, self.run.homes[one.key]) for one in (mine, other))
            test = self.subject.test_films(self.run, self.protocol, slot_of(mine))
            found = self.protocol.task.changes(said, before, test)
        except Exception:  # as above
            return None
        return found if found is not None and found.statements else None


def _are_held(run: EntryRun) -> bool:
    """Whether all predictions of a run can be at hand at once; else each pair would read two of them again."""
    homes = {home.folder: home for home in run.homes.values()}.values()
    try:
        sizes = [home.unpacked(key for key, one in run.homes.items() if one.folder == home.folder) for home in homes]
    except Refused:
        return False  # `cells` says why
    return sum(sizes) <= KEPT_BYTES


def _odd(found: Changes | None, mine: Record, other: Record) -> str:
    """What is odd about changes to another cell; empty where nothing is."""
    if found is None:
        return ""
    name, share = _called(mine, other), found.changed / found.statements
    if share < LEAST:
        return (
            f"it differs from {name} in {share:.2%} of what it predicts; two trainings differ in at least {LEAST:.1%}"
        )
    return _words_of_right(found, name) if is_shared(label_of(other.cell)) and _made(found) else ""


def _words_of_right(found: Changes, name: str) -> str:
    share = found.changed / found.statements
    return (
        f"of what it predicts otherwise than {name} ({share:.1%}) {found.right / found.judged:.0%} is right; trainings err "
        "in both directions"
    )


def _called(mine: Record, other: Record) -> str:
    cell, label = other.cell, label_of(other.cell)
    return label if _place(mine) == _place(other) else f"{label} {cell.size} fold {cell.fold} seed {cell.seed}"


def _sum(several: list[Changes]) -> Changes:
    return Changes(
        *(sum(getattr(one, name) for one in several) for name in ("statements", "changed", "judged", "right"))
    )


def _made(found: Changes) -> bool:
    """Whether changes are so few, and so often right, that no training made them."""
    return is_judged(found) and found.right >= MOSTLY_RIGHT * found.judged


def is_judged(found: Changes) -> bool:
    """Whether it counts how many of the changes to a shared cell are right: there are few, and enough to tell."""
    few = found.changed <= FEW * found.statements or found.judged < found.changed
    return few and found.judged >= JUDGED
