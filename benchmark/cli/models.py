"""`cxrbench models`: downstream models of a task side by side, all trained on the same real films."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console_tables import terminal_width
from .options import Device, Verify
from .working import INCOMPLETE, plan_line, planned_steps, say, show_plan, work

if TYPE_CHECKING:
    from ..runs.side_by_side import ModelsRequest, Variant


def models(
    task: Annotated[
        str | None, typer.Option(help="Task (cxrbench list tasks); default: the one that names models to compare.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Dataset name or folder; default: the task's.")] = None,
    preset: Annotated[str, typer.Option(help="quick (two CPU cores), standard (one GPU) or paper.")] = "quick",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="task.key=value; task.key=A,B,... for the models; default: those the task names."),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(help="Repetitions; 5 or more allow a claim about such models."),
    ] = 1,
    sizes: Annotated[str, typer.Option(help="Sizes, comma-separated; default: all real films.")] = "",
    device: Device = "auto",
    jobs: Annotated[int | None, typer.Option(help="Steps at a time; default: cores / threads of a step.")] = None,
    engine: Annotated[str, typer.Option(help="processes (this machine) or dask.")] = "processes",
    address: Annotated[str | None, typer.Option(help="Dask scheduler, tcp://HOST:PORT.")] = None,
    time_limit: Annotated[float | None, typer.Option(help="Seconds that one step may take.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the table; default: runs/<time>-models.")] = None,
    verify: Verify = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be trained and the estimated time, do nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print models.json and nothing else.")] = False,
) -> None:
    """Train several downstream models on the same real films, and compare every two of them.

    Every column is the REAL cell that a run with its setting has. What one model is put together from is trained once.
    """
    from ..home import home
    from ..runs.lock import working
    from ..runs.side_by_side import ModelsRequest

    request = ModelsRequest(
        task=task,
        data=data,
        preset=preset,
        overrides=tuple(set_ or ()),
        seeds=seeds,
        sizes=tuple(name.strip() for name in sizes.split(",") if name.strip()),
        device=device,
        jobs=jobs,
        engine=engine,
        address=address,
        time_limit=time_limit,
        verify=verify,
    )
    with working(home() / "store"):
        _models(request, out, dry_run=dry_run, as_json=as_json)


def _models(request: ModelsRequest, out: Path | None, *, dry_run: bool, as_json: bool) -> None:
    from ..runs.side_by_side import in_turn, prepare_models
    from .progress_bar import shown_progress
    from .run import check_writable

    with shown_progress("preparing films") as progress:
        variants = prepare_models(request, progress)
    plan = variants[0].prepared.plan
    say(f"models · {plan.task.name} v{plan.task.version} · {request.preset} · data: {plan.data.info.name}")
    for variant in in_turn(variants):
        say(f"{variant.label}: {plan_line(variant.prepared)}")
        if dry_run and not as_json:
            show_plan(variant.prepared, as_json)
    if dry_run:
        if as_json:
            print(json.dumps({one.label: planned_steps(one.prepared) for one in in_turn(variants)}, indent=1))
        return
    check_writable(out)
    errors = []
    for variant in in_turn(variants):
        errors += [f"{variant.label}: {outcome.error}" for outcome in work(variant.prepared)]
    _finish(variants, out, as_json)
    for line in dict.fromkeys(errors):
        say(f"error: {line}")
    if errors:
        raise SystemExit(INCOMPLETE)


def _finish(variants: Sequence[Variant], out: Path | None, as_json: bool) -> None:
    from ..report.models_page import write_models
    from ..report.models_words import terminal
    from ..results.models import models_of

    found = models_of(variants, ["cxrbench", *sys.argv[1:]])
    if as_json:
        print(json.dumps(found.model_dump(mode="json", by_alias=True), indent=1))
    else:
        print(terminal(found, terminal_width() or 110), end="")
    stamp = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    page = write_models(out or Path("runs") / f"{stamp}-models", found, variants)
    say(f"report {page}")
