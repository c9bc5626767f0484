"""Numbers that are somebody else's, or another cell's: an entry brings its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from ...benchmark import digest
from ...benchmark.contracts.task import Predictions
from ...benchmark.errors import InputError
from ...benchmark.runs.record import Record
from ..arms import is_shared, label_of
from ..cells import named_arrays
from ..entry import SUBMISSION, Entry, EntryRun, entry_folders, load_entry, shared_cells
from ..marks import Index, marks_of, may_share
from ..untrusted import Refused, shown
from .finding import Finding, Level
from .subject import Subject, place

NAME = "duplicates"
RECOMPUTES = True


def check(subject: Subject) -> Iterator[Finding]:
    """Errors for predictions that two cells share, for a key with two contents, and for entries with the cells or the
    numbers of another entry."""
    for run in subject.entry.runs:
        yield from _within(subject, run)
        yield from _under_shared_keys(run)
    yield from _elsewhere(subject.entry, subject.sources.beside)


def _within(subject: Subject, run: EntryRun) -> Iterator[Finding]:
    """Two trainings do not end in the same predictions, unless they say the same of every film."""
    owners: dict[str, list[str]] = defaultdict(list)
    for key, record, home in subject.cells(run):
        try:
            said = subject.predictions(key, home)
        except Refused:
            continue  # `splits` and `scores` say so
        if not _constant(said):
            owners[_content(said)].append(place(record))
    for cells in owners.values():
        if len(cells) > 1:
            words = f"{cells[0]} and {cells[1]} have the same predictions; every seed and arm is trained by itself"
            yield Finding(Level.ERROR, NAME, run.path.name, words)


def _under_shared_keys(run: EntryRun) -> Iterator[Finding]:
    """A key says all that a cell depends on but the processor: on one kind of processor it has one content."""
    try:
        shared = shared_cells(run.path.parents[2], run.results)
    except Refused:
        return  # no cell of this entry: those that use them say so
    own = {key: record for key, record in run.records.items() if run.homes[key].folder != shared.folder}
    other = [key for key in own.keys() & shared.records.keys() if _said(own[key]) != _said(shared.records[key])]
    machines = {own[key].environment.device == shared.records[key].environment.device for key in other}
    if not other:
        return
    first = min(other)
    words = f"{len(other)} of its cells without a provider have the keys of shared ones and other contents"
    if True in machines:
        yield Finding(
            Level.ERROR,
            NAME,
            run.path.name,
            f"{words}, on the same kind of processor ({place(own[first])}): a key has one content; pack the run again",
        )
    else:
        told = shown(own[first].environment.device)
        yield Finding(Level.REVIEW, NAME, run.path.name, f"{words}, of another processor ({told})")


def _said(record: Record) -> tuple[dict[str, str], list[tuple[str, str, float]]]:
    """What a cell's model said, by digests, and its table."""
    return named_arrays(record), [(row.metric, row.structure, row.value) for row in record.table]


def _content(said: Predictions) -> str:
    return digest.of_json([said.ids, {name: digest.of_array(array) for name, array in said.arrays.items()}])


def _constant(said: Predictions) -> bool:
    """Whether every film of a model got the same prediction: it learnt nothing, which can happen twice."""
    return all(bool(np.all(array == array[:1])) for array in said.arrays.values())


def _elsewhere(entry: Entry, index: Index | None = None) -> Iterator[Finding]:
    mine, said, numbers = set(_own(entry)), _predictions(entry), _numbers(entry)
    for other in _others(entry, index):
        if shared := sorted(mine & _own(other).keys()):
            words = f"{len(shared)} of its cells are those of the entry {other.name} ({shared[0][:8]})"
        elif said & _predictions(other):
            words = f"it has predictions of the entry {other.name}"
        elif numbers & _numbers(other):
            words = f"its numbers are those of the entry {other.name}, seed by seed"
        else:
            continue
        yield Finding(Level.ERROR, NAME, "", words)


def _others(entry: Entry, index: Index | None) -> Iterator[Entry]:
    """The entries beside this one that can share something with it."""
    marks = marks_of(entry)
    known = None if index is None else index.may_share(marks)
    for path in entry_folders(entry.folder.resolve().parent):
        if path.name == entry.folder.name or not (path / SUBMISSION).is_file():
            continue
        if may_share(marks, path) if known is None else path.name in known:
            try:
                yield load_entry(path)
            except InputError:
                continue  # that entry's own check says what is wrong with it


def _own(entry: Entry) -> dict[str, Record]:
    """The cells that only this entry may have: those of its provider."""
    records = {key: record for run in entry.runs for key, record in run.records.items()}
    return {key: record for key, record in records.items() if not is_shared(label_of(record.cell))}


def _predictions(entry: Entry) -> set[str]:
    """A digest of the predictions of each of an entry's own cells."""
    return {digest.of_json(named_arrays(record)) for record in _own(entry).values()}


def _numbers(entry: Entry) -> set[str]:
    """For each run a digest of the numbers of its arms with synthetic films, whatever the system is called."""
    found = set()
    for run in entry.runs:
        rows = [row.model_dump(mode="json") for row in run.results.seed_values if not is_shared(row.arm)]
        if rows:
            found.add(digest.of_json([run.results.task.name, run.results.data.digest, rows]))
    return found
