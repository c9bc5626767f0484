"""Times and rates that a machine can have.

A network uses each of its parameters in at least one multiplication and one addition per film, so parameters times rate
bounds the operations per second from below; no device does more than its peak. The bounds are wide: they are for typing
errors and inventions, not for fast code.

Where FLOPs were counted (`counted`), a maintainer looks at what would need more of them a second than the named device has:
a chip by its data sheet, a processor by its threads. Other accelerators are known to do less than `ACCELERATOR_PEAK` alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from ...benchmark.runs.record import Cost, Record
from ...benchmark.speed.counted import chip_called, shown_flops
from ..counted import counted
from ..untrusted import shown
from .finding import Finding, Level
from .subject import Subject, place

NAME = "timings"
RECOMPUTES = False
OPERATIONS = 2  # per parameter and film: one multiplication, one addition
CPU_PEAK = 5e9 * 64  # per thread: 5 GHz, two 512-bit fused multiply-adds of float32 a cycle
CPU_REDUCED = 32  # what tiles of bfloat16 do in a cycle, of float32 without them
ACCELERATOR_PEAK = 1e16
FLOAT32 = "32-true"
CPU_BYTES, ACCELERATOR_BYTES = 1e12, 2e13  # per second through memory
MOST_THREADS = 1024
YEAR = 366 * 86400.0


def check(subject: Subject) -> Iterator[Finding]:
    """One error for every impossible time, rate or size; a review where counted FLOPs say that no such device did it."""
    for run in subject.entry.runs:
        resolution = run.results.data.fit_resolution
        for _, record, _ in subject.cells(run):
            problems = [*_record(record)]
            if record.cost is not None:
                problems += _cost(record.cost, record.cell.device, resolution)
            yield from (Finding(Level.ERROR, NAME, run.path.name, f"{place(record)}: {words}") for words in problems)
        records = [record for _, record, _ in subject.cells(run)]
        yield from (Finding(Level.REVIEW, NAME, run.path.name, words) for words in _beyond(records))
        yield from (Finding(Level.NOTE, NAME, run.path.name, words) for words in _unknown(records))
        yield from (Finding(Level.ERROR, NAME, run.path.name, words) for words in _same_system(records))


def _same_system(records: Sequence[Record]) -> Iterator[str]:
    """One fit has one cost, and every seed fits a system of the same size on the same films."""
    fits: dict[str, Cost] = {}
    systems: dict[tuple[str, str], tuple[object, ...]] = {}
    for record in records:
        cost, cell = record.cost, record.cell
        if cost is None:
            continue
        if fits.setdefault(str(record.fit_key), cost) != cost:
            yield f"{place(record)}: another cost than the other cells of its fit"
        size = (cost.parameters, cost.threads, cost.precision, cost.weights)
        if systems.setdefault((cell.size, cell.fold), size) != size:
            yield f"{place(record)}: parameters, threads, precision or weights are not those of the other seeds"


def peak_of(kind: str, name: str, threads: int, precision: str = FLOAT32) -> float | None:
    """FLOP/s that nothing on a device is above: of a processor's threads, or of a chip by its name; None for another."""
    if kind == "cpu":
        return CPU_PEAK * min(max(1, threads), MOST_THREADS) * (1 if precision == FLOAT32 else CPU_REDUCED)
    chip = chip_called(name)
    return None if chip is None else chip.most


def speeds(record: Record) -> Iterator[tuple[str, str, float, float | None]]:
    """What a record says was done, on which device, with how many FLOP/s at the least, and what that device has at the most
    (None: not known). Nothing where it was not counted."""
    cell, cost, place = record.cell, record.cost, record.environment
    if (one := counted().cell(cell)) is not None and record.downstream.seconds > 0:
        curves = record.downstream.curves
        steps = sum(max((row.get("step", 0.0) for row in curve.rows), default=0.0) for curve in curves.values())
        precision = next((curve.precision for curve in curves.values() if curve.precision), FLOAT32)
        most = peak_of(cell.device, place.device, place.threads, precision)
        yield "its downstream training", place.device, steps * one.step_flops / record.downstream.seconds, most
    if cost is None:
        return
    most = peak_of(cell.device, cost.device, cost.threads, cost.precision)
    fit = counted().fit(cell)
    train, sample = (fit.film_flops, fit.sampling_flops) if fit is not None else (0.0, 0.0)
    least = OPERATIONS * cost.parameters
    yield "sampling", cost.device, cost.sample_images_per_second * max(least, sample), most
    if cost.train_images_per_second is not None:
        yield "the generator's training", cost.device, cost.train_images_per_second * max(least, train), most


def _beyond(records: Sequence[Record]) -> Iterator[str]:
    """The worst cell for each thing that is said to be done faster than its device can."""
    worst: dict[str, tuple[float, str]] = {}
    for record in records:
        for what, device, flops, most in speeds(record):
            if most is not None and flops > most and flops / most > worst.get(what, (0.0, ""))[0]:
                needs, has = f"{shown_flops(flops)}/s", f"{shown_flops(most)}/s"
                words = f"{what} would take {needs}, counted, and {shown(device)} has {has} at most"
                worst[what] = flops / most, f"{place(record)}: {words}: its time or rate cannot be right"
    yield from (words for _, words in worst.values())


def _unknown(records: Sequence[Record]) -> Iterator[str]:
    """One line for every device whose peak is not known."""
    names = {device for record in records for _, device, _, most in speeds(record) if most is None}
    for name in sorted(names):
        yield (
            f"the peak of {shown(name)} is not known here: its times are not held against counted FLOPs, only against "
            f"{shown_flops(ACCELERATOR_PEAK)}/s, which no accelerator reaches"
        )


def _record(record: Record) -> Iterator[str]:
    if not 0 < record.downstream.seconds < YEAR:
        yield f"a training of {record.downstream.seconds:g} seconds"
    counts = (record.downstream.train_films, record.downstream.test_films)
    if min(counts) < 1 or record.downstream.synthetic_films < 0 or record.downstream.peak_memory_bytes <= 0:
        yield "no films or no memory"
    try:
        made = datetime.strptime(record.created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        yield "its date is not of the form 2026-01-31T12:00:00Z"
    else:
        if made > datetime.now(UTC) + timedelta(days=1):
            yield f"it was made in the future ({record.created})"


def _cost(cost: Cost, device: str, resolution: int) -> Iterator[str]:
    rates = (("samples", cost.sample_images_per_second), ("trains on", cost.train_images_per_second))
    if not 0 <= cost.fit_seconds < YEAR:
        yield f"a fit of {cost.fit_seconds:g} seconds"
    if cost.parameters < 0 or not 1 <= cost.threads <= MOST_THREADS:
        yield f"{cost.parameters} parameters on {cost.threads} threads"
        return
    cpu = device == "cpu"
    peak = CPU_PEAK * cost.threads if cpu else ACCELERATOR_PEAK
    memory = CPU_BYTES if cpu else ACCELERATOR_BYTES
    for verb, rate in rates:
        if rate is None:
            continue
        if rate <= 0:
            yield f"it {verb} {rate:g} films a second"
        elif rate * cost.parameters * OPERATIONS > peak:
            yield (
                f"it {verb} {rate:,.0f} films a second with {cost.parameters:,} parameters, more operations than "
                f"{'these processor threads' if cpu else 'any accelerator'} can do"
            )
        elif rate * resolution**2 * 4 > memory:
            yield f"it {verb} {rate:,.0f} films a second, more than memory can hold"
    if cost.peak_memory_bytes < 2 * cost.parameters or cost.peak_memory_bytes <= 0:
        yield f"{cost.peak_memory_bytes:,} bytes of memory do not hold {cost.parameters:,} parameters"
