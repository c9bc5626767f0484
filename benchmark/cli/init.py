"""`cxrbench init`: a small `cxrbench.toml`, from arguments or from answers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..console_tables import tell
from ..errors import InputError, unknown
from .run_file import FILE, written

PRESETS = ("quick", "standard", "paper")


def init(
    provider: Annotated[
        str | None, typer.Option(help="A name, file.py:Class, folder:FILMS or 'command:PROGRAM ...'.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="The real films: a dataset's name or folder.")] = None,
    task: Annotated[str | None, typer.Option(help="The task; default: the first that suits the provider.")] = None,
    preset: Annotated[str | None, typer.Option(help="quick, standard or paper.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Repetitions; 5 or more allow a claim.")] = None,
    arms: Annotated[str, typer.Option(help="Arms, comma-separated; default: all of the task.")] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the provider, task.key=value of the task.")
    ] = None,
    table: Annotated[
        str,
        typer.Option(help="Write what runs a table or figure of a paper (cxrbench list tables)."),
    ] = "",
    out: Annotated[Path, typer.Option(help="The file to write; the folder, where a --table has several.")] = FILE,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a small file that says what is measured; `cxrbench run FILE` does it. On a terminal what is not given is
    asked."""
    from ..files import write_bytes
    from ..registry import find_task
    from ..runs.named_provider import named_provider
    from ..settings import parse_pairs

    if table:
        if provider is not None or task is not None or arms:
            raise InputError("--table says provider, task and arms itself: leave --provider, --task and --arms out")
        _write_table(table, data, preset or "paper", seeds, tuple(set_ or ()), out, force=force)
        return
    if out.exists() and not force:
        raise InputError(f"{out} is there already: use --force to replace it, or another --out")
    provider = _asked("Provider", provider, "classical")
    name = named_provider(provider).name
    data = _asked("Real films (a dataset's name or folder)", data, _home_data(provider, task))
    _require_films(data)
    if task is not None:
        find_task(task)
    preset = _asked("Preset", preset, "quick")
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    count = _whole(_asked("Seeds", None if seeds is None else str(seeds), "5"))
    pairs = tuple(f"{key}={value}" for key, value in parse_pairs(set_ or ()))
    names = tuple(one.strip() for one in arms.split(",") if one.strip())
    text = written(provider=provider, data=data, task=task or "", preset=preset, seeds=count, arms=names, pairs=pairs)
    write_bytes(out, text.encode())
    tell(f"{out}: {name} on {data}, {count} seed{'' if count == 1 else 's'}, {preset}")
    tell(f"cxrbench run {out} --dry-run")


def _write_table(
    name: str, data: str | None, preset: str, seeds: int | None, pairs: tuple[str, ...], out: Path, *, force: bool
) -> None:
    """Write the files of a table, one for each of its runs, and say what to do with them."""
    from ..data.catalogue import dataset_folder, is_drawn
    from ..files import write_bytes
    from ..paper_tables import RUNS
    from ..papers import find_table

    found = find_table(name)
    if found.command:
        raise InputError(f"{found.shows} ({name}) is made by a command of its own: {found.command}")
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    films, runs = data or found.data, list(found.runs())
    one = len(runs) == 1
    folder = out.parent if out.suffix == FILE.suffix else out
    files = {run: out if one and out.suffix == FILE.suffix else folder / f"{run}{FILE.suffix}" for run, _, _ in runs}
    for file in files.values():
        if file.exists() and not force:
            raise InputError(f"{file} is there already: use --force to replace it, or another --out")
    for run, provider, settings in runs:
        text = written(
            provider=provider,
            data=films,
            task=found.task,
            preset=preset,
            seeds=seeds or found.seeds,
            arms=found.arms,
            sizes=found.sizes,
            pairs=(*settings, *pairs),
            label_by=found.label_by,
            out=f"runs/{run}",
            about=f"{found.shows}: {found.about} (cxrbench init --table {name})",
        )
        write_bytes(files[run], text.encode())
        tell(f"cxrbench run {files[run]}")
    if found.then:
        tell(found.then.replace(RUNS, " ".join(f"runs/{run}" for run, _, _ in runs)))
    try:
        there = is_drawn(films) or (dataset_folder(films) / "dataset.json").is_file()
    except InputError:
        there = False
    if not there:
        tell(f"{films} is not imported yet: cxrbench data import --help; or name other films with --data", sys.stderr)


def _asked(what: str, given: str | None, default: str) -> str:
    """What was given; else the answer on a terminal; else the default."""
    if given is not None:
        return given
    return str(typer.prompt(what, default=default, err=True)) if sys.stdin.isatty() else default


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise InputError(f"seeds: expected a whole number from 1 on, found {text!r}")
    return int(text)


def _home_data(provider: str, task: str | None) -> str:
    """The films of the task where that is known without asking the provider's class; else those of the first task."""
    from ..registry import TASKS, find_task, plugins

    wanted = (
        [find_task(task)] if task else [plugins(TASKS)[name] for name in ("scr_official",) if name in plugins(TASKS)]
    )
    return next((str(cls.default_data) for cls in (plugin.load() for plugin in wanted)), "phantom")


def _require_films(data: str) -> None:
    from ..data.catalogue import dataset_folder, is_drawn, to_import

    if is_drawn(data):
        return
    folder = dataset_folder(data)
    if not (folder / "dataset.json").is_file():
        raise InputError(
            to_import(folder)
            or f"{data} is a folder without dataset.json and without films: expected films/ and masks/ORGAN/, or a table, "
            "one line a film with path, patient, ... (docs/manifest.md)"
        )
