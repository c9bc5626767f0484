"""`cxrbench table`: several runs of a task as one table of its paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import unknown
from .report import RUNS

FORMATS = ("text", "md", "csv", "json")


def table(
    runs: Annotated[list[str], typer.Argument(help="Folders of runs, or providers with a complete run.")],
    task: Annotated[str | None, typer.Option("--task", "-t", help="Only runs of this task.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", "-p", help="Only runs of this preset.")] = None,
    root: Annotated[Path, typer.Option("--runs", help="Where the runs of a provider are looked for.")] = RUNS,
    format: Annotated[str, typer.Option("--format", "-f", help="text, md, csv or json.")] = "text",
) -> None:
    """Several runs of a task in one table, laid out and cut as its paper prints it (nih_localisation: Xing's Table 2)."""
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    from ..report.comparison import find_runs
    from ..report.joined_table import FORMATS as WRITTEN
    from ..report.joined_table import joined_table

    typer.echo(WRITTEN[format](joined_table(find_runs(runs, root=root, task=task, preset=preset))), nl=False)
