"""`cxrbench throughput`: how many films a second providers train on and sample here, with what a comparison needs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console_tables import show, tell, terminal_width, wrapped
from ..errors import InputError
from .options import DataOfTask, Device, Json, MeasuringLimit, Preset, SetEvery, TaskOfEach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from ..speed.rates import Rate, Row, Throughput

NONE = "–"
OWN = "own"
LEAST_ROUNDS = 2


def throughput(
    provider: Annotated[str, typer.Option(help="all, or providers, comma-separated: vae,lsgan,my.py:Mine.")] = "all",
    preset: Preset = "quick",
    task: TaskOfEach = None,
    data: DataOfTask = None,
    set_: SetEvery = None,
    label_by: Annotated[
        str | None, typer.Option(help="teacher, for a --task that needs what a generator does not make.")
    ] = None,
    device: Device = "auto",
    batches: Annotated[
        str, typer.Option(help="Batch sizes besides each preset's own, comma-separated; own: none besides it.")
    ] = "1,8,32",
    rounds: Annotated[int, typer.Option(help="Rounds, each in turn with the reference kernel.")] = 8,
    films: Annotated[int, typer.Option(help="Films sampled in a round.")] = 128,
    time_limit: MeasuringLimit = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the rows; rows that it has are not measured again.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train and sample providers for a few rounds each: films a second, FLOPs, share of the device's peak, memory.

    A rate says something about this device. Films per call of the reference kernel (in the JSON) and FLOPs a film carry
    over. The same command goes on where it was stopped.
    """
    from ..runs.request import Request, resolve_device
    from ..speed import campaign as throughput_run
    from .progress_bar import shown_progress

    names = throughput_run.names_of(provider)
    if rounds < LEAST_ROUNDS or films < 1:
        raise InputError(
            f"expected at least {LEAST_ROUNDS} --rounds and 1 of --films, found {rounds} and {films}: "
            "a spread needs two values"
        )
    request = Request(
        provider="",
        task=task,
        data=data,
        preset=preset,
        overrides=tuple(set_ or ()),
        device=device,
        label_by=label_by,
        time_limit=time_limit,
    )
    plan = throughput_run.Plan(request, _sizes(batches), rounds, films)
    folder = out or Path("runs") / f"throughput-{preset}-{resolve_device(device).replace(':', '')}"
    with shown_progress("preparing films") as progress:
        campaign = throughput_run.prepare(names, plan, folder, progress)
    kept = len(campaign.points) - len(campaign.left)
    _say(f"{len(campaign.points)} measurements, {kept} of them in {folder}")
    _say_load()
    try:
        with shown_progress("throughput") as progress:
            found = throughput_run.run(campaign, progress)
    except KeyboardInterrupt:
        _say(f"interrupted: what was measured is in {folder}; the same command goes on from here")
        raise SystemExit(130) from None
    _finish(found, [point.row for point in campaign.points], folder, as_json)


def _finish(found: Throughput, asked: Sequence[Row], folder: Path, as_json: bool) -> None:
    from ..speed.rates import FILE

    pictures = _draw(found, folder)
    keys = {row.key for row in asked}
    mine = [row for row in found.rows if row.key in keys]
    if as_json:
        print(found.model_copy(update={"rows": tuple(mine)}).to_json(), end="")
    else:
        _show(mine)
    for row in mine:
        if row.error:
            _say(f"error: {row.error}")
    _say(f"wrote {', '.join(str(folder / name) for name in [FILE, *pictures])}")
    if any(row.error for row in mine if row.batch is None):
        raise SystemExit(1)


def _sizes(text: str) -> tuple[int, ...]:
    """The batch sizes of `--batches`."""
    if text.strip() == OWN:
        return ()
    try:
        sizes = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        sizes = (0,)
    if min(sizes) < 1:
        raise InputError(f"--batches {text}: expected numbers from 1, comma-separated (1,8,32), or {OWN}")
    return sizes


def _say(line: str) -> None:
    tell(line, sys.stderr)


def _say_load() -> None:
    """A busy machine is told: rates suffer, ratios to the reference hardly."""
    processors = os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > 0.3 * processors:
        _say(f"the machine is busy (load {load:.1f} on {processors} processors): rates will be too low")


def _draw(found: Throughput, folder: Path) -> list[str]:
    """The pictures of all rows; their names."""
    from ..files import write_bytes
    from ..report.figures import LIGHT, png, svg
    from ..speed.plots import batch_plot, rate_plot

    names = []
    for name, figure in (("rates", rate_plot(found, LIGHT)), ("batches", batch_plot(found, LIGHT))):
        if figure is not None:
            write_bytes(folder / f"{name}.svg", svg(figure))
            write_bytes(folder / f"{name}.png", png(figure))
            names += [f"{name}.svg", f"{name}.png"]
    return names


# ------------------------------------------------------------------------------------------------------- table


def _show(rows: Sequence[Row]) -> None:
    """The table, and below it where and how it was measured."""
    from rich.console import Console

    console, width = Console(), terminal_width()
    show(_table(rows))
    for line in _lines(rows):
        console.print(wrapped(line, width), style="dim", highlight=False, markup=False, soft_wrap=True)


def _lines(rows: Sequence[Row]) -> list[str]:
    """Device and peak, then what is to be said of single rows."""
    lines = []
    measured = [row for row in rows if not row.error]
    if measured:
        one = measured[0]
        threads = sorted({row.threads for row in measured})
        peaks = [
            f"{kind} {max(row.peaks[kind].flops_per_second for row in measured if kind in row.peaks) / 1e9:,.0f} GFLOP/s"
            for kind in sorted({kind for row in measured for kind in row.peaks})
        ]
        lines.append(
            f"{one.device}, {' or '.join(map(str, threads))} thread{'' if threads == [1] else 's'}, "
            f"torch {one.packages.get('torch', 'unknown')}; measured peak: {', '.join(peaks)}"
        )
        lines.append("medians over rounds; spread: distance of the quartiles; GFLOP of one film; share of the peak")
    for row in rows:
        lines += [f"{row.title}: {note}" for note in row.notes]
    return lines


def _table(rows: Sequence[Row]) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("", no_wrap=True)
    headings = ("batch", "trains films/s", "spread", "GFLOP", "peak", "samples films/s", "spread", "GFLOP", "peak")
    for heading in (*headings, "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        if row.error:
            table.add_row(row.provider, _batch(row), "failed", style="dim")
        else:
            table.add_row(*_cells(row))
    return table


def _cells(row: Row) -> list[str]:
    from ..report.words import memory

    return [row.provider, _batch(row), *_rate(row.training), *_rate(row.sampling), memory(row.peak_memory_bytes)]


def _batch(row: Row) -> str:
    """The batch size; of a fit with several parts the size of each."""
    if row.batch is not None:
        return str(row.batch)
    return "/".join(dict.fromkeys(str(part.batch) for part in row.parts)) or NONE


def _rate(rate: Rate | None) -> list[str]:
    from ..report.words import rate as per_second

    if rate is None:
        return [NONE] * 4
    spread = f"{100 * rate.films_per_second.relative:.0f} %"
    flops = NONE if rate.flops_per_film is None else f"{rate.flops_per_film / 1e9:,.3g}"
    share = NONE if rate.share_of_peak is None else f"{100 * rate.share_of_peak:.0f} %"
    return [per_second(rate.films_per_second.median), spread, flops, share]
