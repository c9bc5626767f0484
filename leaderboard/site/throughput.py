"""The cost board: what `cxrbench throughput` measured, a board for each device and preset, so that only rates that compare
stand side by side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...benchmark.errors import InputError
from ...benchmark.report.words import amount, memory, rate
from ...benchmark.speed.rates import Rate, Row, Throughput, read_throughput
from .columns import NONE, Cell, Column
from .words import slug

FOLDER = "throughput"


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
    page = f"providers/{slug(row.provider)}.html" if row.provider in entries else ""
    return CostRow(name=row.provider, page=page, cells=[column.value(row) for column in COLUMNS])


# ------------------------------------------------------------------------------------------------------- columns


def _batch(row: Row) -> Cell:
    sizes = [str(row.batch)] if row.batch is not None else list(dict.fromkeys(str(part.batch) for part in row.parts))
    return Cell("/".join(sizes), max(map(int, sizes))) if sizes else NONE


def _rate_columns(key: str, label: str, hint: str, counted: str, of: Callable[[Row], Rate | None]) -> list[Column[Row]]:
    """Four columns of a rate: films a second, in reference kernels, operations a film, share of the peak."""

    def cell(show: Callable[[Rate], Cell]) -> Callable[[Row], Cell]:
        return lambda row: NONE if (found := of(row)) is None else show(found)

    def films(found: Rate) -> Cell:
        spread = found.films_per_second
        return Cell(rate(spread.median), spread.median, f"{rate(spread.low)} to {rate(spread.high)}")

    def unit(found: Rate) -> Cell:
        return Cell(f"{found.films_per_reference.median:.3g}", found.films_per_reference.median)

    def flops(found: Rate) -> Cell:
        return NONE if (n := found.flops_per_film) is None else Cell(f"{n / 1e9:,.3g}", n)

    def share(found: Rate) -> Cell:
        return NONE if (n := found.share_of_peak) is None else Cell(f"{100 * n:.0f} %", n)

    reference = "films in the time of one call of the reference kernel: carries over"
    peak = "share of what a large product or convolution reaches in the same process"
    return [
        Column(key, label, cell(films), hint, glance=True),
        Column(f"{key}-unit", "per reference", cell(unit), reference),
        Column(f"{key}-flops", "GFLOP/film", cell(flops), counted),
        Column(f"{key}-share", "of peak", cell(share), peak),
    ]


COLUMNS: tuple[Column[Row], ...] = (
    Column(
        "task",
        "Task",
        lambda row: Cell(row.task, row.task, row.data),
        "whose training films were used",
        text=True,
        glance=True,
    ),
    Column("batch", "Batch", _batch, "films a training step; of each part where they differ"),
    *_rate_columns(
        "trains",
        "Trains films/s",
        "median over rounds, quartiles below; an epoch of every part",
        "of a training step, counted",
        lambda row: row.training,
    ),
    *_rate_columns(
        "samples",
        "Samples films/s",
        "median over rounds, quartiles below",
        "of sampling, counted",
        lambda row: row.sampling,
    ),
    Column(
        "memory",
        "Memory",
        lambda row: Cell(memory(row.peak_memory_bytes), row.peak_memory_bytes),
        "peak of fitting and sampling",
    ),
    Column(
        "parameters",
        "Parameters",
        lambda row: Cell(amount(row.parameters), row.parameters),
        "of the networks that sampling uses",
    ),
    Column("date", "Date", lambda row: Cell(row.created[:10], row.created), "of the measurement", text=True),
)


def page(found: Sequence[Throughput], entries: Collection[str]) -> dict[str, Any]:
    """The context of the page."""
    return {"boards": boards(found, entries), "columns": COLUMNS}
