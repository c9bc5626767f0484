"""A table of a task's paper made of several runs, side by side as the paper prints it (`contracts.paper_table`)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from ..console_tables import as_text, cell, table, wrapped
from ..contracts.paper_table import PaperTable, cut_after
from ..contracts.task import ArmName
from ..errors import InputError
from ..metrics.scores import AVERAGE
from ..registry import find_task
from ..results.rows import Results, words
from .comparison import Run, require_comparable
from .words import PHANTOM, shown


@dataclass(frozen=True)
class Column:
    """The numbers of an arm and a metric: of the run in the folder `run`."""

    heading: str
    run: str
    arm: str
    metric: str


@dataclass(frozen=True)
class SizeTable:
    """The table of one size: `rows` are a structure and its texts, one a column."""

    size: str
    rows: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class JoinedTable:
    """Several runs in one table."""

    title: str
    columns: tuple[Column, ...]
    sizes: tuple[SizeTable, ...]
    notes: tuple[str, ...]


def joined_table(runs: Sequence[Run]) -> JoinedTable:
    """The runs of a task as one table of its paper; InputError where they do not belong together, or the task has none."""
    first = runs[0].results
    for run in runs[1:]:
        require_comparable(first, run.results)
    layout = find_task(first.task.name).load().paper_table(first.task.settings)
    if layout is None:
        raise InputError(f"{first.task.name} has no table of several runs; cxrbench compare A B shows two of them")
    if not layout.columns:
        raise InputError(f"{first.task.name}, {first.preset}: {layout.lack or 'no column of its table is there'}")
    columns = _columns(runs, layout)
    by_folder = {run.folder.name: run.results for run in runs}
    if len(by_folder) < len(runs):
        raise InputError(f"the same run twice: {', '.join(run.folder.name for run in runs)}")
    sizes = [info.size for info in first.sizes if all(info.size in _sizes(run) for run in runs)]
    return JoinedTable(
        layout.title,
        tuple(columns),
        tuple(_of_size(size, [(column, by_folder[column.run]) for column in columns], layout) for size in sizes),
        tuple(_notes(runs, layout)),
    )


def _sizes(run: Run) -> list[str]:
    return [info.size for info in run.results.sizes]


def _columns(runs: Sequence[Run], layout: PaperTable) -> list[Column]:
    """An arm that knows no provider is the first run's; of the others each run has its own."""
    found = []
    for number, run in enumerate(runs):
        for arm, heading in layout.arms.items():
            if number and not ArmName(arm).uses_provider:
                continue
            above = heading.format(provider=run.results.provider.title)
            for metric, below in layout.columns:
                found.append(Column(f"{above} {below}", run.folder.name, arm, metric))
    return found


def _of_size(size: str, columns: Sequence[tuple[Column, Results]], layout: PaperTable) -> SizeTable:
    first = columns[0][1]
    rows = []
    for structure in [*first.task.structures, AVERAGE]:
        texts = [_text(results, size, column, structure, layout.cut) for column, results in columns]
        rows.append((layout.average if structure == AVERAGE else words(structure), tuple(texts)))
    return SizeTable(size, tuple(rows))


def _text(results: Results, size: str, column: Column, structure: str, cut: int | None) -> str:
    row = results.row(size, column.arm, column.metric, structure)
    if row is None or row.value is None or cut is None:
        return shown(None if row is None else row.value, results.task.metric(column.metric))
    return cut_after(row.value, cut)


def _notes(runs: Sequence[Run], layout: PaperTable) -> list[str]:
    first = runs[0].results
    notes = [f"cut after {layout.cut} decimals, as the paper does, not rounded"] if layout.cut is not None else []
    notes += [
        f"means over {len(run.results.seeds)} seeds: {run.folder.name}" for run in runs if len(run.results.seeds) > 1
    ]
    notes += [f"{run.folder.name}: not all cells are there" for run in runs if not run.results.complete]
    alone = [arm for arm in layout.arms if not ArmName(arm).uses_provider]
    for run in runs[1:]:
        same = all(_table_of(run.results, arm) == _table_of(first, arm) for arm in alone)
        notes += (
            []
            if same
            else [f"{', '.join(alone).upper()} of {run.folder.name} is another: that of the first run is shown"]
        )
    return [*notes, *first.from_scratch, *([PHANTOM] if first.data.phantom else [])]


def _table_of(results: Results, arm: str) -> dict[tuple[str, str, str], float | None]:
    return {(row.size, row.metric, row.structure): row.value for row in results.table if row.arm == arm}


# ------------------------------------------------------------------------------------------------------- written


def as_lines(made: JoinedTable) -> str:
    """For a terminal."""
    lines = [made.title]
    for one in made.sizes:
        shown_table = table([one.size, *(column.heading for column in made.columns)])
        for name, texts in one.rows:
            shown_table.add_row(cell(name), *map(cell, texts))
        lines += ["", *as_text(shown_table).plain.splitlines()]
    return wrapped("\n".join([*lines, "", *made.notes])) + "\n"


def as_markdown(made: JoinedTable) -> str:
    """A table a size."""
    lines = [f"**{made.title}**"]
    for one in made.sizes:
        heads = [one.size, *(column.heading for column in made.columns)]
        rows = [heads, ["---"] + ["---:"] * len(made.columns), *([name, *texts] for name, texts in one.rows)]
        lines += ["", *(f"| {' | '.join(text.replace('|', chr(92) + '|') for text in row)} |" for row in rows)]
    return "\n".join([*lines, "", *(f"- {note}" for note in made.notes)]) + "\n"


def as_csv(made: JoinedTable) -> str:
    """A row a structure and size, a column an arm and metric."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["size", "structure", *(column.heading for column in made.columns)])
    writer.writerows([one.size, name, *texts] for one in made.sizes for name, texts in one.rows)
    return text.getvalue()


def as_json(made: JoinedTable) -> str:
    """Everything."""
    return json.dumps(asdict(made), indent=1) + "\n"


FORMATS: dict[str, Callable[[JoinedTable], str]] = {
    "text": as_lines,
    "md": as_markdown,
    "csv": as_csv,
    "json": as_json,
}
