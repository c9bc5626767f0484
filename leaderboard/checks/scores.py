"""Every metric again: case scores from predictions, the record's table from case scores."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ...benchmark.runs.record import Record
from ..cells import SCORES
from ..entry import EntryRun
from ..untrusted import Refused, shown
from .finding import Finding, Level
from .subject import Protocol, Subject, place

NAME = "scores"
RECOMPUTES = True
TOLERANCE = 1e-6
CASE, TABLE = ["case", "structure", "metric"], ["metric", "structure"]


def check(subject: Subject) -> Iterator[Finding]:
    """An error for every cell whose numbers do not follow from its predictions (or, without the films, its case scores)."""
    for run in subject.entry.runs:
        protocol = subject.protocol(run)
        if protocol is None:
            continue  # `cells` has said why
        forms: dict[str, tuple[object, ...]] = {}
        for key, record, _ in subject.cells(run):
            try:
                problems = [*_forms(subject, key, forms, run), *_cell(subject, run, protocol, record)]
            except Refused as error:
                problems = [str(error)]
            yield from (Finding(Level.ERROR, NAME, run.path.name, f"{place(record)}: {words}") for words in problems)


def _forms(subject: Subject, key: str, forms: dict[str, tuple[object, ...]], run: EntryRun) -> Iterator[str]:
    """Arrays of one name have one type and one size of a row (a film, a detection) in all cells."""
    for name, array in subject.predictions(key, run.homes[key]).arrays.items():
        form = (array.dtype.str, array.shape[1:])
        if forms.setdefault(name, form) != form:
            yield f"its array {shown(name)} has rows {form}, in other cells {forms[name]}"


def _cell(subject: Subject, run: EntryRun, protocol: Protocol, record: Record) -> Iterator[str]:
    home, kept = run.homes[record.key], run.homes[record.key].has_scores(record.key)
    if protocol.films is None and not kept:
        yield f"{SCORES} is missing; without the films it is what metrics are recomputed from"
        return
    found = subject.scores(run, record.key)
    if protocol.films is not None and kept:
        yield from _different(home.scores(record.key), found, CASE, "case scores do not follow from its predictions")
    try:
        table = protocol.task.summarise(found)
    except Exception as error:  # scores of another form than the task's make it raise anything
        yield f"its case scores cannot be summarised ({type(error).__name__})"
        return
    said = pd.DataFrame([row.model_dump() for row in record.table], columns=[*TABLE, "value"])
    yield from _different(said, table, TABLE, "table does not follow from its scores")


def _different(said: pd.DataFrame, found: pd.DataFrame, index: list[str], words: str) -> Iterator[str]:
    """One sentence where two long tables differ."""
    if said.duplicated(index).any():
        yield f"its {words}: a row is given twice"
        return
    a, b = said.set_index(index)["value"].sort_index(), found.set_index(index)["value"].astype(float).sort_index()
    if not a.index.equals(b.index):
        extra = [*a.index.difference(b.index), *b.index.difference(a.index)]
        yield f"its {words}: {shown(extra[0] if extra else 'rows')} is in one of them alone"
        return
    close = np.isclose(a.astype(float), b, rtol=TOLERANCE, atol=1e-9, equal_nan=True)
    if not close.all():
        first = int(np.argmin(close))
        yield (
            f"its {words}: {shown(' '.join(map(str, a.index[first])))} is {a.iloc[first]:.6g}, recomputed "
            f"{b.iloc[first]:.6g} ({int((~close).sum())} of {len(close)} differ)"
        )
