"""`cxrbench cost`: parameters, time per epoch, rates and memory of any set of providers, as Table 5 of Kumar and Triana
Martinez lays them out."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console_tables import show, tell, terminal_width, wrapped
from ..errors import InputError
from .options import DataOfTask, Device, Json, MeasuringLimit, Preset, SetEvery, TaskOfEach

if TYPE_CHECKING:
    from rich.table import Table

    from ..speed.cost_table import CostRow, Published

STEPS = 60
NONE = "–"
MARK = "†"
CSV_COLUMNS = (
    *("provider", "preset", "task", "data", "training_films", "network", "parameters", "used_by_sampling"),
    *("epoch_seconds", "train_films_per_second", "sample_films_per_second", "peak_memory_bytes"),
    *("device", "precision", "threads", "source", "fit_seconds"),
)


def cost(
    providers: Annotated[str, typer.Option(help="Providers, comma-separated: vae,lsgan,gmvae_v3.")],
    preset: Preset = "quick",
    task: TaskOfEach = None,
    data: DataOfTask = None,
    set_: SetEvery = None,
    label_by: Annotated[
        str | None, typer.Option(help="Which fits of a generator without labels: teacher or per_class.")
    ] = None,
    device: Device = "auto",
    steps: Annotated[
        int, typer.Option(help="Training steps that are measured where no finished run is found; 0: measure nothing.")
    ] = STEPS,
    time_limit: MeasuringLimit = None,
    published: Annotated[bool, typer.Option("--published", help="Add the numbers that the paper prints.")] = False,
    as_json: Json = False,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Also write the table to this file.")] = None,
) -> None:
    """Parameters of every network, time per epoch, films per second and memory of providers.

    Rates come from finished runs of the same settings, films and device where there are any; what there is not is measured
    now. They say something about the device that they were measured on, and are no pass or fail.
    """
    from ..files import write_bytes
    from ..runs.request import Request
    from ..speed import cost_table
    from .progress_bar import shown_progress

    names = list(dict.fromkeys(name.strip() for name in providers.split(",") if name.strip()))
    if not names:
        raise InputError("--providers: expected names, comma-separated; see cxrbench list providers")
    if steps < 0 or 0 < steps < 4:
        raise InputError(f"--steps: expected 0 or at least 4 (the first half of so few is warm-up), found {steps}")
    requests = [
        Request(
            provider=name,
            task=task,
            data=data,
            preset=preset,
            overrides=tuple(set_ or ()),
            device=device,
            label_by=label_by,
            time_limit=time_limit,
        )
        for name in names
    ]
    with shown_progress("preparing films") as progress:
        subjects = [cost_table.prepare_subject(request, progress) for request in requests]
    rows = []
    with shown_progress("cost") as progress:
        for number, (name, subject) in enumerate(zip(names, subjects, strict=True)):
            progress.update(number / len(names), name)
            rows.append(cost_table.cost_row(subject, steps=steps))
    if csv_file is not None:
        write_bytes(csv_file, _as_csv(rows, published=published).encode())
    if as_json:
        print(json.dumps(_as_json(rows, published=published), indent=1))
    else:
        _show(rows, published)
    failed = [row for row in rows if row.error]
    for row in failed:
        tell(f"error: {row.error}", sys.stderr)
    if failed:
        raise SystemExit(1)


def _show(rows: Sequence[CostRow], published: bool) -> None:
    """The table, and below it where every row comes from."""
    from rich.console import Console

    console, width = Console(), terminal_width()
    show(_table(rows, published))
    for row in rows:
        for line in _lines(row):
            console.print(
                wrapped(f"{row.provider}: {line}", width), style="dim", highlight=False, markup=False, soft_wrap=True
            )
    for line in _sources(rows) if published else ():
        console.print(wrapped(line, width), style="dim", highlight=False, markup=False, soft_wrap=True)


def _sources(rows: Sequence[CostRow]) -> list[str]:
    """What is to be said of the published numbers."""
    from ..speed.cost_table import CITATION

    printed = dict.fromkeys(one for row in rows for one in row.published)
    times = dict.fromkeys(one for row in rows for one in row.times)
    timed = [f"{MARK} {one.what}, {one.hours:g} hours {one.each}: {one.paper}, on {one.device}" for one in times]
    if not printed:
        return timed or ["none of these providers has published costs"]
    noted = [f"{MARK} {one.architecture}, {one.network}: {one.note}" for one in printed if one.note]
    return [f"{MARK} {CITATION}", *noted, *timed]


def _lines(row: CostRow) -> list[str]:
    """Where the numbers of a row come from, and what is to be said of them."""
    lines = []
    if row.films:
        lines.append(f"{row.task}, {row.films:,} training films of {row.resolution} pixels ({row.data}), {row.preset}")
    if row.rates is not None:
        made = row.rates
        threads = "1 thread" if made.threads == 1 else f"{made.threads} threads"
        lines[-1:] = [f"{line}; {made.source}; {made.device}, {threads}, {made.precision}" for line in lines[-1:]]
    elif row.films:
        lines[-1] += "; not measured, no finished run"
    return lines + list(row.notes) + ([f"failed: {row.error}"] if row.error else [])


def _table(rows: Sequence[CostRow], published: bool) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("", no_wrap=True)
    for heading in ("parameters", "sampling", "epoch", "trains films/s", "samples films/s", "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row), style="bold")
        for name, count in row.parts.items():
            table.add_row(f"  {name}", f"{count:,}", f"{count:,}" if name in row.sampling else "")
        for cells in _published(row.published) if published else ():
            table.add_row(*cells, style="italic")
        for one in row.times if published else ():
            table.add_row(f"  {MARK} {one.what}", "", "", f"{one.hours:g} h {one.each}", style="italic")
    return table


def _cells(row: CostRow) -> list[str]:
    """The line of a provider: its name and what holds for all of its networks."""
    from ..report.words import duration, memory, rate

    counts = [f"{row.parameters:,}", f"{row.sampling_parameters:,}"] if row.parts else [NONE, NONE]
    made = row.rates
    if made is None:
        return [row.provider, *counts, *[NONE] * 4]
    epoch = NONE if row.epoch_seconds is None else duration(row.epoch_seconds)
    rates = [rate(made.train_films_per_second), rate(made.sample_films_per_second)]
    return [row.provider, *counts, epoch, *rates, memory(made.peak_memory_bytes)]


def _published(printed: Sequence[Published]) -> list[list[str]]:
    """The lines of printed numbers: an architecture with its time per epoch, then its networks."""
    from ..report.words import duration

    lines: list[list[str]] = []
    for number, one in enumerate(printed):
        if number == 0 or printed[number - 1].architecture != one.architecture:
            lines.append([f"  {MARK} {one.architecture}", "", "", duration(60 * one.minutes_per_epoch)])
        lines.append([f"    {one.network}", f"{one.parameters:,}"])
    return lines


def _as_json(rows: Sequence[CostRow], *, published: bool) -> list[dict[str, Any]]:
    """The rows as JSON values; seconds, bytes, films a second."""
    found = []
    for row in rows:
        entry: dict[str, Any] = {
            "provider": row.provider,
            "preset": row.preset,
            "task": row.task,
            "data": row.data,
            "training_films": row.films,
            "resolution": row.resolution,
            "networks": dict(row.parts),
            "parameters": row.parameters,
            "sampling_networks": list(row.sampling),
            "sampling_parameters": row.sampling_parameters,
            "epoch_seconds": row.epoch_seconds,
            "measured": None if row.rates is None else vars(row.rates),
            "notes": list(row.notes),
            "error": row.error or None,
        }
        if published:
            entry["published"] = [vars(one) for one in row.published]
            entry["published_times"] = [vars(one) for one in row.times]
        found.append(entry)
    return found


def _as_csv(rows: Sequence[CostRow], *, published: bool) -> str:
    """A line a network; the line `all` of a provider has the rates too. Published numbers have the source `published`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        common = {
            "provider": row.provider,
            "preset": row.preset,
            "task": row.task,
            "data": row.data,
            "training_films": row.films,
        }
        measured = {"source": row.error or "not measured"} if row.rates is None else vars(row.rates)
        total = {"network": "all", "parameters": row.parameters, "epoch_seconds": row.epoch_seconds}
        writer.writerow(common | {key: value for key, value in measured.items() if key in CSV_COLUMNS} | total)
        for name, count in row.parts.items():
            writer.writerow(common | {"network": name, "parameters": count, "used_by_sampling": name in row.sampling})
        for one in row.published if published else ():
            writer.writerow(
                {
                    "provider": f"{row.provider}: {one.architecture}",
                    "preset": "paper",
                    "network": one.network,
                    "parameters": one.parameters,
                    "epoch_seconds": 60 * one.minutes_per_epoch,
                    "device": "1 Nvidia T4 GPU",
                    "source": "published",
                }
            )
        for time in row.times if published else ():
            writer.writerow(
                {
                    "provider": f"{row.provider}: {time.paper}",
                    "preset": "paper",
                    "network": f"{time.what}, {time.each}",
                    "device": time.device,
                    "source": "published",
                    "fit_seconds": 3600 * time.hours,
                }
            )
    return text.getvalue()
