"""`cxrbench submission fidelity`: the numbers of an entry's films where its record has none, of films that are made again.

An entry holds no films. Its provider is fitted again from the seed of one cell (the headline's size, the first seed), on the
same real films and with the same settings; no model of the task is trained. The films are taken for those of the entry where
the copies and the nearest pairs that the record names are found again, at the same distances, whatever code changed since.
Where they are not, nothing is written. What the run's own REAL model says of the annotations is not among the numbers: it
would take a training.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..benchmark.audit.lean import FORM, lean_rows
from ..benchmark.errors import InputError
from ..benchmark.files import write_text
from ..benchmark.progress import Progress
from ..benchmark.registry import PROVIDERS, plugins
from ..benchmark.results.fidelity_rows import FidelityRow
from ..benchmark.results.finished import Harvest
from ..benchmark.results.rows import Results
from ..benchmark.runs.job import Cell, Synthesise
from ..benchmark.runs.record import Record
from ..benchmark.runs.request import Prepared, Request, execute, prepare
from ..benchmark.runs.schedule import Schedule
from .checks import digests
from .checks.aggregates import difference
from .checks.subject import Subject
from .entry import RESULTS, RUNS, Entry, EntryRun, load_entry
from .pack import results_text, seal
from .reproduction import settings_of
from .untrusted import shown

SAME = 1e-6
"""How far distances of films that are made again may be from those of the record, as a share."""


@dataclass(frozen=True)
class Again:
    """What came of one run: its new rows, or the line why there are none; `held`: rows of before, computed again."""

    run: str
    rows: tuple[FidelityRow, ...] = ()
    words: str = ""
    held: bool = False
    failed: bool = False


def make_again(folder: Path, *, task: str = "", device: str = "cpu", progress: Progress | None = None) -> list[Again]:
    """Write the films' numbers into every run of an entry that has none; rows that were written so before are computed again
    and held against what is there. Nothing else of the entry changes but its digests.

    InputError where the entry was changed after packing. A run whose films are not at hand, or are others when they are made
    again, is left as it is, with the reason."""
    entry = load_entry(folder)
    if found := list(digests.check(Subject(entry))):
        raise InputError(f"{folder.name} is not as it was packed: {found[0]}")
    done, changed = [], False
    for run in entry.runs:
        if task not in ("", run.results.task.name):
            continue
        try:
            one = _again(entry, run, device, progress or Progress())
        except InputError as error:
            one = Again(run.path.name, words=str(error), failed=True)
        if one.rows and not one.held:
            _write(run.path, run.results.model_copy(update={"fidelity": list(one.rows)}))
            changed = True
        done.append(one)
    if changed:
        seal(folder)
    return done


def _again(entry: Entry, run: EntryRun, device: str, progress: Progress) -> Again:
    said = run.results.fidelity
    if said and not all(row.made_again for row in said):
        return Again(run.path.name, words="its run has told the numbers of its own films")
    prepared = prepare(_request(entry, run.results, device))
    cell = _first(prepared, run)
    record = _record_of(run, cell)
    _sample(prepared, cell)
    _hold(prepared, cell, record)
    harvest = Harvest(prepared.plan, prepared.store)
    harvest.records = {cell.key: record}
    rows = tuple(row.model_copy(update={"made_again": made_with()}) for row in lean_rows(harvest, progress))
    if not rows:
        raise InputError("its films could not be asked for their numbers")
    if not said:
        return Again(run.path.name, rows, _in_words(rows))
    for before, now in zip(said, rows, strict=True):
        if lack := difference(_plain(before), _plain(now)):
            raise InputError(f"the numbers of its films do not come out again: {lack}")
    return Again(run.path.name, rows, f"{_in_words(rows)}: as they are in its record", held=True)


def made_with() -> str:
    """The version that makes numbers of films again, and the form of these."""
    from .. import __version__

    return f"cxrbench {__version__}, form {FORM}"


def _plain(row: FidelityRow) -> dict[str, object]:
    return row.model_dump(mode="json", exclude={"made_again"})


def _in_words(rows: tuple[FidelityRow, ...]) -> str:
    return "; ".join(f"{row.films} films at {row.size}, {row.note or f'{len(row.spaces)} spaces'}" for row in rows)


def _request(entry: Entry, results: Results, device: str) -> Request:
    provider = results.provider
    if provider.spec not in plugins(PROVIDERS):
        raise InputError(
            f"its provider {shown(provider.spec)} is none of the installed ones: its films cannot be made here"
        )
    return Request(
        provider=provider.spec,
        task=results.task.name,
        data=results.data.name,
        preset=results.preset,
        overrides=tuple(settings_of(results.command)),
        seeds=1,
        device=device,
        label_by=None if provider.label_by == "native" else provider.label_by,
        entry=provider.entry,
    )


def _first(prepared: Prepared, run: EntryRun) -> Cell:
    """The cell whose films are asked: at the size that the boards rank by, of the first seed."""
    said = run.results.task.headline
    cells = [cell for cell in prepared.plan.cells if cell.synthetic_key is not None and cell.identity.synthetic is None]
    mine = [cell for cell in cells if said is None or cell.slot.size == said.size] or cells
    if not mine:
        raise InputError("its plan has no cell with films of its provider")
    return mine[0]


def _record_of(run: EntryRun, cell: Cell) -> Record:
    """The record of the same place of the plan. InputError where the entry has none, or it is of other films, settings or
    another protocol; other code since is no reason (`_hold` says whether the films are the same)."""
    mine = cell.identity
    found = [
        one
        for one in run.records.values()
        if (one.cell.fold, one.cell.size, one.cell.arm, one.cell.seed) == (mine.fold, mine.size, mine.arm, mine.seed)
        and one.synthetic_key is not None
        and one.cell.synthetic is None
    ]
    if not found:
        raise InputError(f"it has no record of {mine.arm} at {mine.size}, seed {mine.seed}")
    said = found[0].cell
    assert said.provider is not None and mine.provider is not None
    pairs = {
        "films": (said.data.digest, mine.data.digest),
        "protocol": (said.task.version, mine.task.version),
        "settings of its provider": (said.provider.settings, mine.provider.settings),
        "labels": (said.provider.label_by, mine.provider.label_by),
    }
    if other := [name for name, (theirs, ours) in pairs.items() if theirs != ours]:
        raise InputError(f"its record is of other {' and '.join(other)} than are here: its films cannot be made again")
    return found[0]


def _sample(prepared: Prepared, cell: Cell) -> None:
    """Fit the provider and sample its films, where the store does not have them; a teacher is trained before, if needed."""
    if cell.teacher_key is not None:
        raise InputError("its films are labelled by a REAL model, which would have to be trained")
    steps = [
        step for step in prepared.schedule.steps if isinstance(step, Synthesise) and step.key == cell.synthetic_key
    ]
    alone = replace(prepared, schedule=Schedule((tuple(steps[:1]),), {one.key: None for one in steps[:1]}), jobs=1)
    for outcome in execute(alone):
        if outcome.error:
            raise InputError(f"its films could not be made again: {outcome.error}")


def _hold(prepared: Prepared, cell: Cell, record: Record) -> None:
    """InputError where what was found in the films that were made again is not what the record says."""
    found = prepared.store.sampled(str(cell.synthetic_key)).checks
    for name in sorted(record.checks):
        lack = difference(record.checks[name], found.get(name), name, relative=SAME)
        if lack is not None:
            raise InputError(f"the films that were made again are others than those of the record: {lack}")


def _write(folder: Path, results: Results) -> None:
    assert folder.parent.name == RUNS
    write_text(folder / RESULTS, results_text(results))
