"""`cxrbench run`: fit a provider, train on real and synthetic films, test, and say what the difference is."""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import CxrbenchError, InputError, one_line, require_utf8
from .costs import count_first
from .options import Device, Verify
from .run_file import RunFile, read_run_file
from .working import INCOMPLETE, plan_line, say, show_plan, work

if TYPE_CHECKING:
    from ..results.curve import FoundCurve
    from ..results.rows import Results
    from ..runs.chains import Outcome
    from ..runs.plan import Plan
    from ..runs.request import Prepared, Request


def run(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="A cxrbench.toml (cxrbench init writes one); options count more.")
    ] = None,
    provider: Annotated[
        str | None, typer.Option(help="A name (cxrbench list), file.py:Class, folder:PATH or 'command:PROGRAM ...'.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Task; default: the provider's home task.")] = None,
    data: Annotated[str | None, typer.Option(help="Dataset name or folder; default: the phantom.")] = None,
    preset: Annotated[str, typer.Option(help="quick (two CPU cores), standard (one GPU) or paper.")] = "quick",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the provider, task.key=value of the task.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Short for --set task.split=..., for a task with several (patient, paper).")
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(help="Repetitions; 5 or more allow a claim about the generator."),
    ] = 1,
    arms: Annotated[str, typer.Option(help="Arms, comma-separated: real,synthetic,mixed,finetune.")] = "",
    sizes: Annotated[str, typer.Option(help="Sizes of the task, comma-separated: full,tiny; default: all.")] = "",
    label_by: Annotated[
        str | None,
        typer.Option(help="Annotations of a generator that makes none: teacher (the REAL model's) or per_class."),
    ] = None,
    entry: Annotated[
        str,
        typer.Option(
            help="The entry this run is for, by name or folder: its name gives the seeds of fits and samples."
        ),
    ] = "",
    ratios: Annotated[
        str, typer.Option(help="Synthetic films to real ones at the headline size, tried besides: 1:4,1:1,4:1,16:1.")
    ] = "",
    also_test: Annotated[
        list[str] | None,
        typer.Option(
            help="A further real set that every model is tested on besides, by name or folder. May be repeated."
        ),
    ] = None,
    groups: Annotated[
        str, typer.Option(help="Columns of the films, comma-separated (sex,age,view): scores of each group, and gaps.")
    ] = "",
    keep: Annotated[
        list[str] | None,
        typer.Option(help="Use fits that `cxrbench fit` kept at a step: STEP, TRAINING=STEP or SIZE/TRAINING=STEP."),
    ] = None,
    device: Device = "auto",
    jobs: Annotated[int | None, typer.Option(help="Steps at a time; default: cores / threads of a step.")] = None,
    engine: Annotated[str, typer.Option(help="processes (this machine) or dask.")] = "processes",
    address: Annotated[str | None, typer.Option(help="Dask scheduler, tcp://HOST:PORT.")] = None,
    time_limit: Annotated[float | None, typer.Option(help="Seconds that one step may take.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results; default: runs/<time>-<provider>.")] = None,
    latex: Annotated[
        Path | None,
        typer.Option(help="Write the row that the task ranks by, with gain and worth, in LaTeX to this file as well."),
    ] = None,
    smoke: Annotated[
        bool,
        typer.Option(
            "--smoke",
            help="The preset's code, networks and sizes, a handful of steps and films: does it finish? No result.",
        ),
    ] = False,
    verify: Verify = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be trained and the estimated time, do nothing.")
    ] = False,
    on: Annotated[
        str,
        typer.Option(
            help="With --dry-run: FLOPs, memory, hours on h200, h100, a100, v100, t4, l4, l40s, rtx4090, rtx3090, or cpu.",
        ),
    ] = "",
    memory: Annotated[
        str, typer.Option(help="Count first, and refuse what needs more device memory than this: 24GB.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json and nothing else.")] = False,
) -> None:
    """Measure how useful a provider's synthetic films are."""
    from ..home import home
    from ..runs.lock import working
    from ..runs.request import Request

    written = RunFile() if file is None else read_run_file(file)
    given = {
        "provider": provider,
        "task": task,
        "data": data,
        "preset": preset,
        "seeds": seeds,
        "arms": _parts(arms),
        "sizes": _parts(sizes),
        "device": device,
        "jobs": jobs,
        "engine": engine,
        "address": address,
        "time_limit": time_limit,
        "label_by": label_by,
        "entry": entry,
        "ratios": _parts(ratios),
        "keep": tuple(keep or ()),
        "also_test": tuple(also_test or ()),
        "groups": _parts(groups),
        "out": out,
        "latex": latex,
    }
    asked = given | {name: value for name, value in written.values.items() if not _is_given(context, name)}
    if _is_given(context, "engine") and not _is_given(context, "address") and engine != "dask":
        asked["address"] = None  # that of the file goes with the engine of the file
    if asked["provider"] is None:
        raise InputError(
            "name a provider (--provider NAME; cxrbench list providers), or a file (cxrbench init writes one)"
        )
    outputs = Outputs(folder=asked.pop("out"), latex=asked.pop("latex"))
    overrides = (*written.pairs, *(set_ or ()), *([f"task.split={split}"] if split else ()))
    with working(home() / "store"):
        request = Request(**asked, overrides=overrides, smoke=smoke, verify=verify)
        _run(request, outputs, dry_run=dry_run, as_json=as_json, on=on, memory=memory)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


@dataclass(frozen=True)
class Outputs:
    """Where a run writes: its folder (None: one of its own below `runs/`), and its row in LaTeX."""

    folder: Path | None = None
    latex: Path | None = None


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _run(request: Request, outputs: Outputs, *, dry_run: bool, as_json: bool, on: str, memory: str) -> None:
    from ..runs.request import prepare
    from .overview import look_at_folder
    from .progress_bar import shown_progress

    with shown_progress("preparing films") as progress:
        prepared = prepare(request, progress)
    say(_header(prepared))
    for sentence in prepared.plan.from_scratch:
        say(f"note   {sentence}")
    look_at_folder(prepared, sys.stderr)
    if on and not dry_run:
        raise InputError("--on says how long a run would take on another device: it goes with --dry-run")
    if dry_run:
        _show_foresight(prepared)
        _show_missing(prepared.plan.device)
    counted = count_first(prepared, on, memory) if on or memory else {}
    if dry_run:
        show_plan(prepared, as_json, counted)
        return
    check_writable(outputs.folder)
    check_same_run(outputs.folder, prepared.plan)
    failures = work(prepared)
    _finish(prepared, failures, outputs, as_json)


def _header(prepared: Prepared) -> str:
    from ... import __version__
    from ..report.words import preset_words

    plan = prepared.plan
    return (
        f"cxrbench {__version__} · {plan.provider.title} · {plan.task.name} v{plan.task.version} · "
        f"{preset_words(plan.preset, prepared.request.overrides)} · "
        f"data: {plan.data.info.name} ({plan.data.info.provenance or 'no provenance given'})\n{plan_line(prepared)}"
    )


def _show_foresight(prepared: Prepared) -> None:
    from ..report.foresight import foresight
    from ..results.curve import curve_words, find_curve
    from ..runs.smoke import is_smoke
    from ..significance.paired_tests import MIN_SEEDS

    plan = prepared.plan
    if is_smoke(plan.preset):
        return
    found, makes = find_curve(plan, prepared.store), curve_words(prepared.request, plan)
    power = foresight(plan.task, found, len(plan.seeds), makes)
    say(f"power  {power}")
    if found is None and makes and shlex.join(makes) not in power:
        few = f", with {MIN_SEEDS} seeds, since fewer allow no claim" if len(plan.seeds) < MIN_SEEDS else ""
        said = f"needs a curve of copies of these films; this makes it, once for all providers{few}:"
        say(f"worth  {said}\n{shlex.join(makes)}")


def _show_missing(device: str) -> None:
    """A plan may be for another machine: what this one lacks is a note."""
    from ..device import require_device

    try:
        require_device(device)
    except CxrbenchError as error:
        say(f"note   a run would stop here: {error}")


def check_same_run(out: Path | None, plan: Plan) -> None:
    """InputError where the folder for results has those of another provider, task or films: they would be replaced."""
    if out is None or not (path := out / "results.json").is_file() or plan.generator is None:
        return
    mine = (plan.provider.name, plan.task.name, plan.data.info.name)
    try:
        said = json.loads(path.read_bytes())
        theirs = tuple(str(said[part]["name"]) for part in ("provider", "task", "data"))
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"--out {out} has a results.json that is not of cxrbench; choose another --out") from None
    if theirs != mine:
        raise InputError(
            f"--out {out} has the results of {one_line(' on '.join(theirs))}, and this run is of {' on '.join(mine)}; "
            "choose another --out, or remove that folder"
        )


def check_writable(out: Path | None) -> None:
    """Say before the work, not after it, that results cannot be written."""
    target = out or Path("runs")
    require_utf8(target.absolute())
    place = target
    try:
        while not place.exists():
            place = place.parent
        if not place.is_dir():
            raise InputError(f"--out {target}: expected a folder, found a file ({place})")
        if out is not None:  # made now: os.access knows no name that is too long and no folder of the system
            target.mkdir(parents=True, exist_ok=True)
        if not os.access(place, os.W_OK):
            raise InputError(f"cannot write {target}: {place} is not writable; choose another --out")
        os.rmdir(tempfile.mkdtemp(prefix=".", dir=place))  # what os.access grants a folder of the system may not
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}; choose another --out") from None


def _finish(prepared: Prepared, failures: list[Outcome], outputs: Outputs, as_json: bool) -> None:
    from ..files import write_bytes
    from ..report import made_before
    from ..report.latex import headline_latex
    from ..report.text_tables import print_table
    from ..results.curve import curve_words, find_curve
    from .elsewhere import besides

    plan, command = prepared.plan, ["cxrbench", *sys.argv[1:]]
    found = find_curve(plan, prepared.store)
    asked = [*command, *besides(prepared), *curve_words(prepared.request, plan)]
    key = made_before.key_of(plan, prepared.store, asked, found)
    kept = made_before.find(key)
    results = _assembled(prepared, command, found) if kept is None else kept
    stamp = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    folder = outputs.folder or Path("runs") / f"{stamp}-{plan.provider.name}"
    if as_json:
        print(json.dumps(_as_json(results), indent=1))
    else:
        from rich.console import Console

        print_table(results, Console())
    if key is None or kept is None:
        made_before.write(folder, results, plan, prepared.store, key)
    else:
        made_before.copy(key, folder)
    if outputs.latex is not None:
        write_bytes(outputs.latex, headline_latex(results).encode())
        say(f"latex  {outputs.latex}")
    for line in dict.fromkeys(outcome.error for outcome in failures):
        say(f"error: {line}")
    say(f"report {folder / 'report.html'}")
    if any(cell.status != "done" for cell in results.cells):
        missing = sum(cell.status != "done" for cell in results.cells)
        say(f"{missing} of {len(results.cells)} cells are missing; the rest is in the store")
        raise SystemExit(INCOMPLETE)


def _assembled(prepared: Prepared, command: list[str], curve: FoundCurve | None) -> Results:
    from ..results.assemble import assemble
    from ..results.curve import curve_words
    from .elsewhere import with_elsewhere, with_fidelity, with_film_checks, with_precision
    from .progress_bar import shown_progress

    makes = curve_words(prepared.request, prepared.plan)
    results = assemble(
        prepared.plan, prepared.store, command, curve=curve, curve_command=makes, overrides=prepared.request.overrides
    )
    with shown_progress("fidelity") as progress:
        results = with_fidelity(prepared, results, progress)
    with shown_progress("films") as progress:
        results = with_film_checks(prepared, results, progress)
    with shown_progress("mAP") as progress:
        results = with_precision(prepared, results, progress)
    with shown_progress("further sets") as progress:
        return with_elsewhere(prepared, results, progress)


def _as_json(results: Results) -> Any:
    return results.model_dump(mode="json", by_alias=True)
