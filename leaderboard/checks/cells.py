"""Every cell is what its name says: identity, key, files, the protocol's own settings; and which cells are missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...benchmark.data.phantom.versions import newest_of
from ...benchmark.results.rows import CellRow, Results, Status
from ...benchmark.runs.plan import key_of
from ...benchmark.runs.record import DataIdentity, Record, TaskIdentity
from ...benchmark.settings import keyed
from ..arms import is_placebo, is_shared, label_of, parsed
from ..cells import RECORDS
from ..entry import RESULTS, SHARED, EntryRun, board_name
from ..films import older, version_said
from ..untrusted import Refused, shown
from .finding import Finding, Level
from .justified import unjustified
from .subject import Sources, Subject, place, task_of

NAME = "cells"
RECOMPUTES = False


def check(subject: Subject) -> Iterator[Finding]:
    """Hold every record against its run, its key and its files."""
    boards = [(run.board, run.results.provider.label_by) for run in subject.entry.runs]
    if len(set(boards)) < len(boards):
        yield Finding(Level.ERROR, NAME, "", "two runs stand on one board; keep one")
    for run in subject.entry.runs:
        said = run.results
        errors, lost = [*not_the_protocol(run.results, subject.sources), *_plan(run)], _lost(subject, run)
        elsewhere = f", nor in {SHARED}/{board_name(said.task.name, said.data.name, said.preset)} beside the entry"
        for row in run.results.cells:
            record = run.records.get(row.key)
            if row.status is Status.DONE and record is None:
                errors.append(
                    f"cell {row.key[:8]} ({row.arm} {row.size} seed {row.seed}) is not in {RECORDS}{elsewhere}"
                )
            elif row.status is not Status.DONE and record is not None:
                errors.append(f"cell {row.key[:8]} is in {RECORDS}, but {RESULTS} says that it is {row.status.value}")
            elif record is not None:
                files = () if run.homes[row.key].folder in lost else _files(subject, run, record)
                errors += [f"{place(record)}: {words}" for words in (*_record(run, row, record), *files)]
        if not run.records:
            errors.append("no cell is finished")
        errors += [*_same_everywhere(run), *(words for found in lost.values() for words in found)]
        yield from (Finding(Level.ERROR, NAME, run.path.name, words) for words in errors)
        reasons = subject.entry.unranked(run)
        yield from (Finding(Level.NOTE, NAME, run.path.name, f"shown without a rank: {words}") for words in reasons)


def not_the_protocol(results: Results, sources: Sources) -> Iterator[str]:
    """What of a run is not as its task's protocol has it: the task is not installed, is of another version, or has other
    settings than at the preset."""
    said = results.task
    if results.provider.kept:
        yield "its fits were ended by a person's eye; an entry's are what its code makes of a seed"
    cls = sources.task(said.name)
    if cls is None:
        yield f"there is no task {shown(said.name)} in this version of cxrbench"
    elif said.version != cls.version:
        films = version_said(results.data)
        words = f", on films of {older(films)}" if films is not None and films < newest_of(results.data.name) else ""
        yield f"protocol version {said.version} of {said.name}{words}; this cxrbench has version {cls.version}: run it again"
    elif results.preset not in cls.presets:
        yield f"{said.name} has no preset {shown(results.preset)}"
    else:
        expected = keyed(task_of(cls, results).settings)
        for key in sorted(expected.keys() | said.settings.keys()):
            if expected.get(key) != said.settings.get(key):
                yield (
                    f"setting {shown(key)} is {shown(said.settings.get(key))}, at preset {results.preset} it is "
                    f"{shown(expected.get(key))}; numbers of other settings cannot be ranked"
                )


def _plan(run: EntryRun) -> Iterator[str]:
    """Whether the plan has every cell once, and names what the rest of the file has."""
    said = run.results
    places = [(cell.seed, cell.size, cell.fold, cell.arm) for cell in said.cells]
    if len(set(places)) < len(places):
        yield "a cell is planned twice"
    if unknown := sorted(arm for arm in {cell.arm for cell in said.cells} if parsed(arm) is None):
        yield f"unknown arm {shown(unknown[0])}"
    arms = [cell.arm for cell in said.cells if not is_placebo(cell.arm)]
    for name, column, found in (
        ("seeds", [cell.seed for cell in said.cells], said.seeds),
        ("arms", arms, said.arms),
        ("sizes", [cell.size for cell in said.cells], [size.size for size in said.sizes]),
    ):
        if list(dict.fromkeys(column)) != list(found):
            yield f"its {name} are not those of its cells"


def _record(run: EntryRun, row: CellRow, record: Record) -> Iterator[str]:
    said, cell = run.results, record.cell
    task = TaskIdentity.model_validate({name: getattr(said.task, name) for name in TaskIdentity.model_fields})
    data = DataIdentity.model_validate({name: getattr(said.data, name) for name in DataIdentity.model_fields})
    label, shared = label_of(cell), is_shared(row.arm)
    claims = (
        ("task", cell.task == task),
        ("data", cell.data == data),
        ("preset", cell.preset == said.preset),
        ("device", cell.device == said.device.split(":")[0]),
        ("provider", cell.provider == (None if shared else said.provider)),
        ("place", (cell.seed, cell.size, cell.fold, label) == (row.seed, row.size, row.fold, row.arm)),
        ("seconds", record.downstream.seconds == row.seconds),
    )
    for name, holds in claims:
        if not holds:
            yield f"its {name} is not that of the run"
    if key_of(cell) != record.key:
        yield "its key does not follow from what it says of itself; records cannot be edited"
    if any(shared != (value is None) for value in (record.cost, record.fit_key, record.synthetic_key)):
        yield "cells with synthetic films name their cost, fit and films, cells of REAL and of placebos do not"
    if shared and record.checks:
        yield "cells of REAL and of placebos have no synthetic films that could have been checked"


def _files(subject: Subject, run: EntryRun, record: Record) -> Iterator[str]:
    """Whether predictions and case scores are those that the record names, each by its sha256."""
    home = run.homes[record.key]
    try:
        subject.predictions(record.key, home)
        if home.has_scores(record.key):
            home.scores(record.key)
    except Refused as error:
        yield str(error)


def _lost(subject: Subject, run: EntryRun) -> dict[Path, list[str]]:
    """What is wrong with the files of cells, by their folder: one cannot be read, holds what no record names, or more than
    its cells have."""
    found = {}
    for home in {home.folder: home for home in run.homes.values()}.values():
        try:
            words = [*home.strangers(), *filter(None, [unjustified(subject, run, home)])]
        except Refused as error:
            words = [str(error)]
        if words:
            shared = "" if home.folder == run.path else f"{SHARED}/{home.folder.name}: "
            found[home.folder] = [f"{shared}{one}" for one in words]
    return found


def _same_everywhere(run: EntryRun) -> Iterator[str]:
    """Machines may differ between cells; what makes the numbers may not."""
    records = list(run.records.values())
    if len({tuple(sorted(record.cell.packages.items())) for record in records}) > 1:
        yield "its cells were computed with different versions of packages"
    names = {(record.cell.size, record.cell.fold): record.test_ids for record in records}
    for record in records:
        if names[(record.cell.size, record.cell.fold)] != record.test_ids:
            yield f"{place(record)}: tested on other films than the other cells of its fold"
