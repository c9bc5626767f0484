"""Options that several commands have, in the same words."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:N, mps or auto.")]
Preset = Annotated[str, typer.Option(help="quick, standard or paper.")]

# of commands that measure several providers one after the other
TaskOfEach = Annotated[str | None, typer.Option(help="Task whose training set is used; default: each one's home.")]
DataOfTask = Annotated[str | None, typer.Option(help="Dataset name or folder; default: the task's.")]
SetEvery = Annotated[
    list[str] | None, typer.Option("--set", help="key=value of every provider, task.key=value of the task.")
]
MeasuringLimit = Annotated[float | None, typer.Option(help="Seconds that one measurement may take.")]
