"""The films: the dataset is the one that it says, the split is the protocol's, and predictions are of its test films."""

from __future__ import annotations

from collections.abc import Iterator

from ...benchmark.data.catalogue import is_drawn
from ...benchmark.data.splits import ids_digest
from ...benchmark.errors import InputError
from ...benchmark.runs.job import Cell
from ...benchmark.runs.record import Record
from ..entry import EntryRun
from ..films import Change, FilmsMoved, films_moved
from ..untrusted import shown
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
                "are recomputed from case scores and not from predictions, and which films REAL and the placebos were "
                "trained on is not verified",
            )
        else:
            moved = films_moved(run.results.data, protocol.films, protocol.fit_films)
            if moved is not None:
                yield Finding(_level(moved, run), NAME, where, moved.words)
                if moved.change is Change.TRUTH:
                    continue
            if not run.results.data.phantom:
                words = f"the films of {run.results.data.name} are at hand: metrics are recomputed from predictions"
                yield Finding(Level.NOTE, NAME, where, words)
            yield from (Finding(Level.NOTE, NAME, where, words) for words in _not_planned(run, protocol))
        for key, record, folder in subject.cells(run):
            try:
                problems = [*_cell(subject, run, protocol, record, subject.predictions(key, folder).ids)]
            except InputError as error:  # it cannot be read, or its size or fold is none of these films
                problems = [shown(error)]
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
    trained = subject.training_ids(run, protocol, record)
    if trained is not None and record.train_ids != ids_digest(trained):
        yield "it was not trained on the protocol's training films"
    yield from _counts(subject, run, protocol, record)


def _counts(subject: Subject, run: EntryRun, protocol: Protocol, record: Record) -> Iterator[str]:
    """Whether the numbers of films are the protocol's: the real ones are what a worth is read from."""
    assert protocol.films is not None
    slot, said = slot_of(record), record.downstream
    cell = Cell(key=record.key, identity=record.cell)
    synthetic = cell.synthetic_count(protocol.task, protocol.films) if slot.arm.uses_provider else 0
    if said.synthetic_films != synthetic:
        yield f"it names {said.synthetic_films} synthetic films, the protocol has {synthetic}"
    sees_real = slot.arm.uses_real or record.cell.placebo
    real = subject.training(run, protocol, slot).different if sees_real else None
    if said.real_films != real:
        yield f"it names {said.real_films} different real films, the protocol has {real}"
