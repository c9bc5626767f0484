"""The cost board: what `cxrbench throughput` measured, a board for each device and preset, so that only rates that compare
stand side by side."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...benchmark.errors import InputError
from ...benchmark.report.words import amount, memory, rate
from ...benchmark.speed.rates import Rate, Row, Throughput, read_throughput
from .pages import Cell, Column
from .words import slug

FOLDER = "throughput"
COLUMNS = (
    Column("task", "Task", "whose training films were used", text=True),
    Column("batch", "Batch", "films a training step; of each part where they differ"),
    Column("trains", "Trains films/s", "median over rounds, quartiles below; an epoch of every part"),
    Column("trains-unit", "per reference", "films in the time of one call of the reference kernel: carries over"),
    Column("trains-flops", "GFLOP/film", "of a training step, counted"),
    Column("trains-share", "of peak", "share of what a large product or convolution reaches in the same process"),
    Column("samples", "Samples films/s", "median over rounds, quartiles below"),
    Column("samples-unit", "per reference", "films in the time of one call of the reference kernel: carries over"),
    Column("samples-flops", "GFLOP/film", "of sampling, counted"),
    Column("samples-share", "of peak", "share of what a large product or convolution reaches in the same process"),
    Column("memory", "Memory", "peak of fitting and sampling"),
    Column("parameters", "Parameters", "of the networks that sampling uses"),
    Column("date", "Date", "of the measurement", text=True),
)
NONE = Cell("–")


@dataclass(frozen=True)
class CostRow:
    """A provider at one batch size; `page` is that of its entry, empty where it has none."""

    name: str
    page: str
    cells: list[Cell]


@dataclass(frozen=True)
class CostBoard:
    """The rows of one device and preset, and what is to be said of them."""

    device: str
    preset: str
    about: str
    download: str
    rows: list[CostRow]
    notes: list[str]


def read_all(places: Sequence[Path]) -> list[Throughput]:
    """Rates of files, and of all JSON files of folders. InputError for one that cannot be read, or has no rates."""
    files: list[Path] = []
    for place in places:
        files += sorted(place.glob("*.json")) if place.is_dir() else [place]
    found = [read_throughput(file) for file in files]
    for file, one in zip(files, found, strict=True):
        if not one.device:
            raise InputError(f"{file} has no rates: every measurement failed")
    return found


def names(found: Sequence[Throughput]) -> list[str]:
    """A file name for each, without ending: the device's, with a number where several are of one."""
    given: list[str] = []
    for one in found:
        name = slug(one.device)
        given.append(name if name not in given else f"{name}-{len(given)}")
    return given


def boards(found: Sequence[Throughput], entries: Collection[str]) -> list[CostBoard]:
    """The boards in the order of the files; `entries` are the names that have a page."""
    made = []
    for one, name in zip(found, names(found), strict=True):
        for preset in dict.fromkeys(row.preset for row in one.rows):
            rows = [row for row in one.rows if row.preset == preset]
            good = [row for row in rows if not row.error]
            if good:
                made.append(_board(one.device, preset, f"{FOLDER}/{name}.json", rows, good, entries))
    return made


def _board(
    device: str, preset: str, download: str, rows: list[Row], good: list[Row], entries: Collection[str]
) -> CostBoard:
    threads = sorted({row.threads for row in good})
    peaks = [
        f"{kind} {max(row.peaks[kind].flops_per_second for row in good if kind in row.peaks) / 1e12:,.3g} TFLOP/s"
        for kind in sorted({kind for row in good for kind in row.peaks})
    ]
    packages = sorted({f"torch {row.packages.get('torch', 'unknown')}" for row in good})
    loads = [row.load for row in good if row.load is not None]
    load = f"; load of the machine {min(loads):.1f} to {max(loads):.1f}" if loads else ""
    about = (
        f"{' or '.join(map(str, threads))} thread{'' if threads == [1] else 's'}, {', '.join(packages)}; "
        f"measured peak: {', '.join(peaks)}{load}"
    )
    return CostBoard(
        device=device,
        preset=preset,
        about=about,
        download=download,
        rows=[_row(row, entries) for row in good],
        notes=[f"{row.title}: {note}" for row in rows for note in (*row.notes, row.error) if note],
    )


def _row(row: Row, entries: Collection[str]) -> CostRow:
    sizes = [str(row.batch)] if row.batch is not None else list(dict.fromkeys(str(part.batch) for part in row.parts))
    batch = Cell("/".join(sizes), max(map(int, sizes))) if sizes else NONE
    return CostRow(
        name=row.provider,
        page=f"providers/{slug(row.provider)}.html" if row.provider in entries else "",
        cells=[
            Cell(row.task, row.task, row.data),
            batch,
            *_rate(row.training),
            *_rate(row.sampling),
            Cell(memory(row.peak_memory_bytes), row.peak_memory_bytes),
            Cell(amount(row.parameters), row.parameters),
            Cell(row.created[:10], row.created),
        ],
    )


def _rate(found: Rate | None) -> list[Cell]:
    if found is None:
        return [NONE] * 4
    spread, unit, flops, share = (
        found.films_per_second,
        found.films_per_reference,
        found.flops_per_film,
        found.share_of_peak,
    )
    return [
        Cell(rate(spread.median), spread.median, f"{rate(spread.low)} to {rate(spread.high)}"),
        Cell(f"{unit.median:.3g}", unit.median),
        NONE if flops is None else Cell(f"{flops / 1e9:,.3g}", flops),
        NONE if share is None else Cell(f"{100 * share:.0f} %", share),
    ]


def page(found: Sequence[Throughput], entries: Collection[str]) -> dict[str, Any]:
    """The context of the page."""
    return {"boards": boards(found, entries), "columns": COLUMNS}
