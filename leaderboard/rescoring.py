"""`cxrbench submission rescore`: a metric that its task got later, computed from the predictions that an entry has.

Nothing is trained, and no number that is there moves: every one of them is computed again and held against the old one.
Cells of REAL and of placebos that entries share get the metric with the first entry that is rescored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ..benchmark.contracts.task import Task
from ..benchmark.errors import InputError
from ..benchmark.metrics.scores import finite
from ..benchmark.results.rows import Results
from ..benchmark.runs.record import Record, Value
from .cells import Cell, Cells
from .checks import digests
from .checks.aggregates import RECOMPUTED, difference, recomputed
from .checks.subject import Protocol, Sources, Subject, place
from .entry import RUNS, EntryRun, load_entry
from .films import Change, films_moved
from .pack import seal, write_run, write_shared

SAME = 1e-9
"""How far a number that is computed again may be from the one that is there, as a share."""
Kind = tuple[str, str]
"""Metric and structure."""


@dataclass(frozen=True)
class _Rescored:
    """A run with the records that its predictions give now, its new results, and the kinds of numbers that are new."""

    run: EntryRun
    cells: Mapping[str, Cell]
    results: Results
    added: tuple[Kind, ...]


def rescore(folder: Path, sources: Sources | None = None) -> list[str]:
    """Bring an entry's records, results and digests up to the metrics that its tasks have now; a line for each run.

    InputError, and nothing is written, where the entry was changed after packing, its task or films are not at hand, or a
    number that is there would be another one.
    """
    subject = Subject(load_entry(folder), sources or Sources())
    if found := list(digests.check(subject)):
        raise InputError(f"{folder.name} is not as it was packed: {found[0]}")
    rescored = [_rescored(subject, run) for run in subject.entry.runs]
    changed = [one for one in rescored if one.added]
    try:
        for one in changed:
            _write(one)
    finally:  # also where it is interrupted: every run is whole, the old or the new one
        if changed:
            seal(folder)
    lines = [f"{RUNS}/{one.run.path.name}: {len(one.cells)} cells, {_in_words(one)}" for one in rescored]
    if changed:
        lines.append("its digest is another one now, so that a review of it does not hold any more")
    return lines


def _in_words(one: _Rescored) -> str:
    """The metrics that are new, with the structures that have them."""
    by_metric: dict[str, list[str]] = {}
    if not one.added:
        return "nothing to add: it has every number that its task has"
    for metric, structure in one.added:
        by_metric.setdefault(metric, []).append(structure)
    return "added " + "; ".join(f"{metric} of {', '.join(structures)}" for metric, structures in by_metric.items())


# ---------------------------------------------------------------------------------------------------------- the numbers


def _rescored(subject: Subject, run: EntryRun) -> _Rescored:
    protocol = _protocol(subject, run)
    cells, added = {}, dict[Kind, None]()
    for key, record, home in subject.cells(run):
        scores = subject.scores(run, key)
        table = _table(protocol.task, scores)
        where = f"{run.path.name}: {place(record)}"
        _hold(where, _numbers(record.table), _numbers(table))
        if home.has_scores(key):
            _hold(where, _case_scores(home.scores(key)), _case_scores(scores))
        added |= dict.fromkeys(kind for kind in _numbers(table) if kind not in _numbers(record.table))
        new = record.model_copy(update={"table": table})
        cells[key] = Cell(new, subject.predictions(key, home), scores if home.has_scores(key) else None)
    records = {key: cell.record for key, cell in cells.items()}
    again = replace(run, homes={key: Cells(home.folder, records) for key, home in run.homes.items()})
    found = recomputed(subject, again, protocol).model_copy(update={"created": run.results.created})
    kinds = {(one.metric, one.structure) for one in found.table} - {
        (one.metric, one.structure) for one in run.results.table
    }
    _hold_results(run, found, kinds)
    return _Rescored(run, cells, found, tuple(added | dict.fromkeys(sorted(kinds))))


def _protocol(subject: Subject, run: EntryRun) -> Protocol:
    """The protocol of a run with its films; InputError where one of them is not at hand."""
    found, data = subject.protocol(run), run.results.data
    if found is None:
        raise InputError(f"{run.path.name}: its task is not installed with this version and these settings")
    if found.films is None or found.fit_films is None:
        raise InputError(f"{run.path.name}: the films of {data.name} are not at hand; rescore it where they are")
    moved = films_moved(data, found.films, found.fit_films)
    if moved is not None and moved.change is Change.TRUTH:
        raise InputError(f"{run.path.name}: {moved.words}")
    return found


def _table(task: Task, scores: pd.DataFrame) -> list[Value]:
    return [Value.model_validate(row) for row in task.summarise(scores).to_dict("records")]


def _numbers(table: list[Value]) -> dict[Any, float]:
    return {(one.metric, one.structure): one.value for one in table}


def _case_scores(scores: pd.DataFrame) -> dict[Any, float | None]:
    """Values by case, metric and structure; None is "not taught"."""
    columns = (scores[name] for name in ("case", "metric", "structure", "value"))
    return {(case, metric, structure): finite(value) for case, metric, structure, value in zip(*columns, strict=True)}


def _hold(where: str, said: Mapping[Any, Any], found: Mapping[Any, Any]) -> None:
    """InputError for the first number that is there and would go or move."""
    for kind, value in said.items():
        if kind not in found:
            raise InputError(f"{where}: {' of '.join(kind)} would go; nothing is written")
        if difference(value, found[kind], relative=SAME) is not None:
            words = f"{' of '.join(kind)} would move from {value!r} to {found[kind]!r}"
            raise InputError(f"{where}: {words}; nothing is written")


def _hold_results(run: EntryRun, found: Results, kinds: set[Kind]) -> None:
    """InputError where anything of the results but rows of new kinds would be another."""
    said, again = run.results.model_dump(mode="json"), found.model_dump(mode="json")
    for part in RECOMPUTED:
        rows = [row for row in again[part] if (row.get("metric"), row.get("structure")) not in kinds]
        if lack := difference(said[part], rows, part, relative=SAME):
            raise InputError(f"{run.path.name}: {lack}; nothing is written")


# ------------------------------------------------------------------------------------------------------------- the files


def _write(one: _Rescored) -> None:
    """Write the run anew, and the shared cells that it has."""
    homes = {home.folder: home for home in one.run.homes.values()}
    for home in homes.values():
        if home.folder == one.run.path:
            continue
        new: Mapping[str, Record] = {key: one.cells[key].record for key in home.records if key in one.cells}
        if any(record != home.records[key] for key, record in new.items()):
            write_shared(home.folder, [one.cells[key] if key in new else home.cell(key) for key in home.records])
    own = [cell for key, cell in one.cells.items() if one.run.homes[key].folder == one.run.path]
    write_run(one.run.path, one.results, own)
