"""The papers' printed numbers: tables cell by cell as printed, and what they mean on our boards.

A task says which tables are of its papers and what their rows mean (`Task.published`); tables that belong to no task are in
`published/` here. They are shown as rows of their own, marked as published, and never ranked: one training each, no seeds,
other code. Where a system of theirs was reproduced, its printed number stands beside ours with the difference - on the
films, preset and settings that the number is of (`Task.published_preset`, `published_protocol`), never beside those of
phantoms or of films of other sizes. Where it does not stand, the board says why.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..benchmark.contracts.task import PublishedTable, Task
from ..benchmark.data.dataset import Annotation
from ..benchmark.registry import TASKS, plugins
from ..benchmark.results.rows import words
from .attempts import BoardKey

OF_NO_TASK = Path(__file__).with_name("published")
PAPERS = "papers.toml"
"""Beside the csv files of tables, `<paper>_<table>.csv`: of each paper its name, its citation and its tables' titles."""


@dataclass(frozen=True)
class Paper:
    """Where a table is from."""

    name: str
    citation: str


@dataclass(frozen=True)
class Table:
    """A printed table: headings and rows of text, exactly as printed."""

    name: str
    paper: Paper
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def column(self, heading: str) -> list[str]:
        """One column, top down."""
        place = self.headings.index(heading)
        return [row[place] for row in self.rows]

    def is_text(self, heading: str) -> bool:
        """Whether a column holds words instead of numbers."""
        return not any(text[:1].isdigit() for text in self.column(heading))

    def records(self) -> list[dict[str, str]]:
        """Its rows by heading."""
        return [dict(zip(self.headings, row, strict=True)) for row in self.rows]


@cache
def read_table(file: Path) -> Table:
    """A table of a csv file, with what `papers.toml` beside it says of it."""
    rows = list(csv.reader(file.read_text(encoding="utf-8").splitlines()))
    key, _, place = file.stem.partition("_")
    said = tomllib.loads(file.with_name(PAPERS).read_text(encoding="utf-8"))[key]
    paper = Paper(said["name"], said["citation"])
    return Table(file.stem, paper, said["tables"][place], tuple(rows[0]), tuple(map(tuple, rows[1:])))


@cache
def tables() -> dict[str, Table]:
    """All printed tables, by name: those of the tasks, then those that belong to none."""
    files = [table.file for _, table in _of_tasks()] + sorted(OF_NO_TASK.glob("*.csv"))
    return {file.stem: read_table(file) for file in files}


def _of_tasks() -> Iterator[tuple[type[Task], PublishedTable]]:
    """The tables of the installed tasks: by the annotation that they need, first choices first, then by name."""
    needs = list(Annotation)
    tasks = [plugin.load() for plugin in plugins(TASKS).values()]
    for task in sorted(tasks, key=lambda task: (needs.index(task.needs), not task.first_choice, task.name)):
        yield from ((task, table) for table in task.published)


# ------------------------------------------------------------------------------------------------- on our boards


@dataclass(frozen=True)
class Published:
    """One printed number on one of our protocols, in the task's units (a percentage as a fraction).

    `system` is the provider's name here, or the downstream method's where the paper compares those (then REAL).
    """

    paper: Paper
    table: str
    task: str
    data: str
    size: str
    arm: str
    system: str
    metric: str
    structure: str
    value: float
    printed: str


@cache
def published() -> tuple[Published, ...]:
    """Every printed number that belongs on a board."""
    return tuple(number for task, table in _of_tasks() for number in _numbers(task, table))


def on_board(task: str, data: str) -> list[Published]:
    """The printed numbers of a task on a dataset; none where the films are others (phantoms, or a set of one's own)."""
    return [one for one in published() if (one.task, one.data) == (task, data)]


@cache
def metrics_beside(task: str, data: str) -> frozenset[str]:
    """The metrics of the printed numbers of a task on a dataset."""
    return frozenset(one.metric for one in on_board(task, data))


def why_not_beside(key: BoardKey, settings: Mapping[str, Any]) -> str:
    """Why the printed numbers of a board's task and films are not of its kind, in a sentence; empty where they are, or where
    there are none. `settings`: the task's at the board, as JSON values."""
    if not on_board(key.task, key.data):
        return ""
    task = plugins(TASKS)[key.task].load()
    asked = [("protocol version", key.version, task.version), ("preset", key.preset, task.published_preset)]
    asked += [(words(name), _at(settings, name), value) for name, value in task.published_protocol.items()]
    lines = [f"{name} {_said(ours)} here, {_said(theirs)} theirs" for name, ours, theirs in asked if ours != theirs]
    return f"The papers' numbers do not stand beside these: {'; '.join(lines)}." if lines else ""


def _at(settings: Any, key: str) -> Any:
    for name in key.split("."):
        settings = settings.get(name) if isinstance(settings, Mapping) else None
    return settings


def _said(value: Any) -> str:
    listed = ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
    return listed or "not said"


def _numbers(task: type[Task], table: PublishedTable) -> Iterator[Published]:
    if table.read is None:
        return
    printed = read_table(table.file)
    for row in printed.records():
        for one in table.read(row):
            yield Published(
                paper=printed.paper,
                table=printed.name,
                task=task.name,
                data=task.published_data,
                size=table.size,
                arm=one.arm.value,
                system=one.system,
                metric=one.metric,
                structure=one.structure,
                value=float(one.text) / one.scale,
                printed=one.text,
            )
