"""The films: the dataset is the one that it says, the split is the protocol's, and predictions are of its test films."""

from __future__ import annotations

from collections.abc import Iterator

from ...benchmark.contracts.task import ArmName
from ...benchmark.data.catalogue import is_drawn
from ...benchmark.data.splits import ids_digest
from ...benchmark.runs.record import Record
from ..entry import EntryRun
from ..films import Change, FilmsMoved, films_moved
from ..untrusted import Refused
from .finding import Finding, Level
from .subject import Protocol, Subject, place, slot_of

NAME = "splits"
RECOMPUTES = True


def check(subject: Subject) -> Iterator[Finding]:
    """Errors where digests or ids differ; a note where the films are not at hand and only ids could be held."""
    for run in subject.entry.runs:
        protocol = subject.protocol(run)
        if protocol is None:
            continue  # `cells` has said why
        where = run.path.name
        if protocol.films is None or protocol.fit_films is None:
            yield Finding(
                Level.NOTE,
                NAME,
                where,
                f"the films of {run.results.data.name} are not at hand: splits were held against pinned ids, metrics "
                "are recomputed from case scores and not from predictions",
            )
        else:
            moved = films_moved(run.results.data, protocol.films, protocol.fit_films)
            if moved is not None:
                yield Finding(_level(moved, run), NAME, where, moved.words)
                if moved.change is Change.TRUTH:
                    continue
            yield from (Finding(Level.NOTE, NAME, where, words) for words in _not_planned(run, protocol))
        for key, record, folder in subject.cells(run):
            try:
                problems = [*_cell(subject, run, protocol, record, subject.predictions(key, folder).ids)]
            except Refused as error:
                problems = [str(error)]
            yield from (Finding(Level.ERROR, NAME, where, f"{place(record)}: {words}") for words in problems)


def _level(moved: FilmsMoved, run: EntryRun) -> Level:
    """Other pixels change no score; but those of a phantom are the same everywhere, so somebody has to look why."""
    if moved.change is Change.TRUTH:
        return Level.ERROR
    return Level.REVIEW if is_drawn(run.results.data.name) else Level.NOTE


def _not_planned(run: EntryRun, protocol: Protocol) -> Iterator[str]:
    """Cells of the protocol that the run never planned (`--arms`)."""
    assert protocol.films is not None
    planned = {(cell.fold, cell.size, cell.arm) for cell in run.results.cells}
    slots = {(slot.fold, slot.size, slot.arm.value) for slot in protocol.task.slots(protocol.films)}
    if lacking := sorted(slots - planned):
        yield f"shown without a rank: {len(lacking)} cells of every seed were not planned ({' '.join(lacking[0][1:])} ...)"


def _cell(subject: Subject, run: EntryRun, protocol: Protocol, record: Record, ids: tuple[str, ...]) -> Iterator[str]:
    if ids_digest(ids) != record.test_ids or len(ids) != record.downstream.test_films:
        yield "its predictions are not of the test films that it names"
    slot = slot_of(record)
    test = subject.test_films(run, protocol, slot)
    if test is None:
        if wrong := protocol.task.wrong_test(ids):  # official splits are known by their ids, without the films
            yield f"its test films are not {wrong}"
        return
    if list(ids) != test.ids:
        yield f"its {len(ids)} test films are not the {len(test)} of the protocol"
    alone = slot.arm in (ArmName.REAL, ArmName.FINETUNE)  # others were trained on synthetic films too
    if alone and record.train_ids != ids_digest(subject.training_ids(run, protocol, slot)):
        yield "it was not trained on the protocol's training films"
