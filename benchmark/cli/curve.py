"""`cxrbench curve`: what ever more real films score on a task, so that a run can say what synthetic ones are worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console_tables import tell
from .options import Device, Verify
from .working import INCOMPLETE, plan_line, say, show_plan, work

if TYPE_CHECKING:
    from ..results.gains import PlaceboCurve
    from ..runs.request import CurveRequest, Prepared


def curve(
    task: Annotated[str, typer.Option(help="Task (cxrbench list tasks).")],
    data: Annotated[str | None, typer.Option(help="Dataset name or folder; default: the task's.")] = None,
    preset: Annotated[str, typer.Option(help="quick (two CPU cores), standard (one GPU) or paper.")] = "quick",
    set_: Annotated[list[str] | None, typer.Option("--set", help="task.key=value.")] = None,
    seeds: Annotated[int, typer.Option(help="Repetitions; one gives no interval, 5 or more allow a claim.")] = 5,
    sizes: Annotated[
        str,
        typer.Option(
            help="Sizes, comma-separated: full,31,tiny; default: the task's, each half of the one before. A worth needs "
            "some that score less than the arm, and some that score more."
        ),
    ] = "",
    arms: Annotated[
        str, typer.Option(help="Arms whose placebo is trained; default: the headline's, and synthetic.")
    ] = "",
    device: Device = "auto",
    jobs: Annotated[int | None, typer.Option(help="Steps at a time; default: cores / threads of a step.")] = None,
    engine: Annotated[str, typer.Option(help="processes (this machine) or dask.")] = "processes",
    address: Annotated[str | None, typer.Option(help="Dask scheduler, tcp://HOST:PORT.")] = None,
    time_limit: Annotated[float | None, typer.Option(help="Seconds that one step may take.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for curve.json and its figure as well.")] = None,
    verify: Verify = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be trained and the estimated time, do nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the curve as JSON and nothing else.")] = False,
) -> None:
    """Train a task on ever more real films: the ruler for what synthetic ones are worth.

    The training is that of an arm with copies of the real films in place of synthetic ones (its placebo). The curve is kept
    in the store; every later run on the same films finds it there.
    """
    from ..home import home
    from ..runs.lock import working
    from ..runs.request import CurveRequest

    request = CurveRequest(
        task=task,
        data=data,
        preset=preset,
        overrides=tuple(set_ or ()),
        seeds=seeds,
        sizes=_names(sizes),
        arms=_names(arms),
        device=device,
        jobs=jobs,
        engine=engine,
        address=address,
        time_limit=time_limit,
        verify=verify,
    )
    with working(home() / "store"):
        _curve(request, out, dry_run=dry_run, as_json=as_json)


def _curve(request: CurveRequest, out: Path | None, *, dry_run: bool, as_json: bool) -> None:
    from ..runs.request import prepare_curve
    from .progress_bar import shown_progress

    with shown_progress("preparing films") as progress:
        prepared = prepare_curve(request, progress)
    plan = prepared.plan
    say(f"curve · {plan.task.name} v{plan.task.version} · {request.preset} · data: {plan.data.info.name}")
    say(plan_line(prepared))
    if dry_run:
        show_plan(prepared, as_json)
        return
    failures = work(prepared)
    _finish(prepared, out, as_json)
    for line in dict.fromkeys(outcome.error for outcome in failures):
        say(f"error: {line}")
    if failures:
        raise SystemExit(INCOMPLETE)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _finish(prepared: Prepared, out: Path | None, as_json: bool) -> None:
    from ..files import write_bytes
    from ..report.figures import png, svg
    from ..report.ladder import curve_figure, curve_lines
    from ..results.curve import curve_of, keep_curve

    found: PlaceboCurve = curve_of(prepared.plan, prepared.store)
    kept = keep_curve(prepared.plan, prepared.store, found)
    text = found.model_dump_json(by_alias=True, indent=1) + "\n"
    metric = next(one for one in prepared.plan.task.metrics if one.name == found.metric)
    if as_json:
        print(json.dumps(json.loads(text), indent=1))
    else:
        tell("\n".join(curve_lines(found, metric)))
    if out is not None:
        figure = curve_figure(found, metric)
        for name, content in (("curve.json", text.encode()), ("curve.svg", svg(figure)), ("curve.png", png(figure))):
            write_bytes(out / name, content)
        say(f"curve  {out / 'curve.json'}, curve.svg, curve.png")
    say(f"kept   {kept}")
