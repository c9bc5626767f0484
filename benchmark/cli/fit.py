"""`cxrbench fit`: one fit of a provider, with samples along its trainings, and the fit of a step that a person chose."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console_tables import tell
from .options import DataOfTask, Device, Json, Preset, Verify
from .working import INCOMPLETE, say, work

if TYPE_CHECKING:
    from ..runs.fitting import PreparedFit

FOLDER = Path("fits")


def fit(
    provider: Annotated[str, typer.Option(help="A name (cxrbench list), or file.py:Class.")],
    task: Annotated[str | None, typer.Option(help="Task; default: the provider's home task.")] = None,
    data: DataOfTask = None,
    preset: Preset = "quick",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the provider, task.key=value of the task.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="Training set (full, tiny); default: the task's first.")] = None,
    fold: Annotated[str | None, typer.Option(help="Fold; default: the first.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which repetition of a run it is the fit of.")] = 0,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="Keep the fit of this step instead, chosen by its samples: STEP, or TRAINING=STEP,..."),
    ] = None,
    device: Device = "auto",
    time_limit: Annotated[float | None, typer.Option(min=1, help="Seconds that the fit may take.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for fit.html; default: fits/<time>-<provider>.")] = None,
    verify: Verify = False,
    as_json: Json = False,
) -> None:
    """Fit a provider and show samples along its trainings; keep the fit of a step that you choose by eye.

    The fit is that of the same `cxrbench run`, which then need not make it. `--keep` keeps the fit of a step beside it,
    under a key of its own; `cxrbench run --keep` with the same steps uses it. Ctrl-C stops a training whose samples are good
    enough: then keep the step, and the trainings after it go on.
    """
    from ..home import home
    from ..runs.fitting import prepare_fit
    from ..runs.lock import working
    from ..runs.request import Request
    from .progress_bar import shown_progress

    request = Request(
        provider=provider,
        task=task,
        data=data,
        preset=preset,
        overrides=tuple(set_ or ()),
        device=device,
        time_limit=time_limit,
        keep=tuple(keep or ()),
        verify=verify,
    )
    folder = out or FOLDER / f"{datetime.now():%Y-%m-%d-%H%M%S}-{Path(provider.rpartition(':')[0] or provider).stem}"
    with working(home() / "store"):
        with shown_progress("preparing films") as progress:
            found = prepare_fit(request, size=size, fold=fold, seed=seed, progress=progress)
        say(f"fit    {_title(found)} · {found.prepared.plan.data.info.name} · key {str(found.cell.fit_key)[:12]}")
        _do(found, folder, as_json)


def _do(found: PreparedFit, folder: Path, as_json: bool) -> None:
    moments = found.prepared.store.moments(str(found.cell.whole_key))
    if found.prepared.left:
        say(f"samples so far: {moments}")
    try:
        failures = work(found.prepared)
    except SystemExit:
        _show(found, folder, as_json=False)
        say(
            "stopped: keep a step that was shown with --keep; the trainings after it go on, those before are not done again"
        )
        raise
    for outcome in failures:
        say(f"error: {outcome.error}")
    _show(found, folder, as_json)
    if failures:
        raise SystemExit(INCOMPLETE)


def _title(found: PreparedFit) -> str:
    cell, plan = found.cell, found.prepared.plan
    provider = cell.identity.provider
    name = plan.provider.name if provider is None else provider.title
    return f"{name} · {plan.task.name} {plan.preset} · {cell.slot.size}, fold {cell.slot.fold}, seed {cell.seed}"


def _show(found: PreparedFit, folder: Path, as_json: bool) -> None:
    """Write the page and the pictures, and say what keeps which step."""
    from ..files import write_bytes
    from ..report.fit_page import Moment, fit_page, png
    from ..runs.fitting import samples_of
    from ..training.by_eye import picture_name

    kept, samples = found.kept, samples_of(found.prepared.store, found.cell)
    several = len(samples) > 1
    trainings = {
        name: [
            Moment(step, pictures, _command(name if several else "", step) if step else "", kept.get(name) == step)
            for step, pictures in one
        ]
        for name, one in samples.items()
    }
    for name, moments in trainings.items():
        for moment in moments:
            write_bytes(folder / "samples" / picture_name(name, moment.step), png(moment.samples))
    facts = _facts(found, samples)
    shown = [(name.replace("_", " "), str(value)) for name, value in facts.items() if isinstance(value, str) and value]
    write_bytes(folder / "fit.html", fit_page(f"Fit of {_title(found)}", shown, trainings).encode())
    write_bytes(folder / "fit.json", (json.dumps(facts, indent=1) + "\n").encode())
    if as_json:
        print(json.dumps(facts, indent=1))
    else:
        for name, moments in trainings.items():
            tell(f"{name}: samples after the steps {', '.join(str(moment.step) for moment in moments)}")
        if kept:
            tell(f"kept   {', '.join(f'{name} at step {step}' for name, step in kept.items())}: {_command_run(found)}")
        elif trainings:
            first = next(iter(trainings))
            tell(f"keep   a step: {_command(first if several else '', trainings[first][-1].step)}")
        else:
            tell("its provider shows no samples along its training: there is no step to keep")
    say(f"page   {folder / 'fit.html'}")


def _facts(found: PreparedFit, samples: dict[str, list[tuple[int, Any]]]) -> dict[str, Any]:
    from ..runs.store import Level

    cell, store = found.cell, found.prepared.store
    done = store.path(Level.FITS, str(cell.fit_key)).is_dir()
    by = store.fit(str(cell.fit_key)).kept_by if done else ""
    return {
        "provider": found.prepared.plan.provider.name,
        "size": cell.slot.size,
        "fold": cell.slot.fold,
        "seed": cell.seed,
        "key": str(cell.fit_key),
        "of_whole_fit": str(cell.whole_key) if found.kept else "",
        "state": "in the store" if done else "not finished",
        "kept": dict(found.kept),
        "kept_by": by,
        "samples_after": {name: [step for step, _ in one] for name, one in samples.items()},
    }


def _command(name: str, step: int) -> str:
    """This command again, with a step to keep instead of the ones before."""
    words, skip = [], False
    for word in sys.argv[1:]:
        if skip or word == "--keep":
            skip = not skip
        elif not word.startswith("--keep="):
            words.append(word)
    before = [word for word in _kept_words() if not word.startswith(f"{name}=")] if name else []
    steps = ",".join([*before, f"{name}={step}" if name else str(step)])
    return shlex.join(["cxrbench", *words, "--keep", steps])


def _kept_words() -> list[str]:
    """The steps that this command keeps, TRAINING=STEP each."""
    given, words = iter(sys.argv[1:]), []
    for word in given:
        text = (
            next(given, "") if word == "--keep" else word.removeprefix("--keep=") if word.startswith("--keep=") else ""
        )
        words += [part for part in text.split(",") if part]
    return words


def _command_run(found: PreparedFit) -> str:
    steps = ",".join(f"{found.cell.slot.size}/{name}={step}" for name, step in found.kept.items())
    return f"`cxrbench run ... --keep {steps}` uses it"
