"""Options that several commands have, in the same words."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:N, mps or auto.")]
Verify = Annotated[
    bool,
    typer.Option("--verify", help="Read every file of the dataset against its sha256, though nothing looks changed."),
]
Preset = Annotated[str, typer.Option(help="quick, standard or paper.")]

# of commands that measure several providers one after the other
TaskOfEach = Annotated[str | None, typer.Option(help="Task whose training set is used; default: each one's home.")]
DataOfTask = Annotated[str | None, typer.Option(help="Dataset name or folder; default: the task's.")]
SetEvery = Annotated[
    list[str] | None, typer.Option("--set", help="key=value of every provider, task.key=value of the task.")
]
MeasuringLimit = Annotated[float | None, typer.Option(min=1, help="Seconds that one measurement may take.")]

Force = Annotated[bool, typer.Option("--force", help="Replace a dataset of this name.")]
Resolution = Annotated[int, typer.Option(help="Pixels a side to keep; films are padded to a square.")]
Originals = Annotated[
    int,
    typer.Option("--keep", "--originals", help="Also keep larger films of this many pixels, to cut regions from."),
]
DrawnSplit = Annotated[
    str | None, typer.Option("--split", help="Draw train and test by patient: patients:0.5 trains on half of them.")
]
DrawnFold = Annotated[str | None, typer.Option("--fold", help="Draw folds by patient: patients:3.")]
DrawSeed = Annotated[int, typer.Option("--seed", help="Seed of those draws.")]
AllowPartial = Annotated[
    bool, typer.Option("--allow-partial", help="Import the films that are there; records then say partial.")
]
