"""What the stages of a planned run cost, before it starts: counted FLOPs and memory, and hours on a named device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, ProviderError, one_line
from ..processes import run_apart
from ..runs.job import Step, Synthesise
from ..runs.request import Prepared
from .counted import CHIPS, Chip, Count, CountAsk, advice, bytes_of_text, chip_of, needed, total_seconds
from .here import memory_of, processor
from .rates import Row, read_throughput

TIME_LIMIT = 1800.0
BEFOREHAND = 120.0
"""Seconds that a count may take which nobody asked for, before a run starts."""
COUNTING = "cxrbench.benchmark.speed.counting"
PROCESSOR = "cpu"
LIGHT = "quick"
"""The preset for two processor cores: nothing at it is counted before it starts."""


@dataclass(frozen=True)
class Device:
    """What hours are said of: a chip by its data sheet, or rates that were measured."""

    chip: Chip | None = None
    rows: tuple[Row, ...] = ()
    memory: int = 0
    """Bytes that the work may need; 0 where that is not known."""
    note: str = ""
    """Why hours are not known."""

    @classmethod
    def of(cls, on: str, memory: str, threads: int = 1) -> Device:
        """`on`: the name of a chip, a `throughput.json`, or `cpu`: this machine's processor, with a step's threads, by its
        speed now; `memory`: `24GB`. InputError for others."""
        most = bytes_of_text(memory) if memory else 0
        if on == PROCESSOR:
            try:
                here = processor(threads)
            except ProviderError as error:
                return cls(memory=most or memory_of(on), note=f"not known: {one_line(error)}")
            return cls(chip=here, memory=most or here.memory)
        if on and on not in CHIPS and Path(on).exists():
            return cls(rows=tuple(read_throughput(Path(on)).rows), memory=most)
        chip = chip_of(on) if on else None
        return cls(chip=chip, memory=most or (0 if chip is None else chip.memory))

    @property
    def title(self) -> str:
        """The device, and where hours on it come from."""
        if self.rows:
            return f"{self.rows[0].device}: measured rates"
        if self.chip is None:
            return self.note
        return f"{self.chip.title}: {self.chip.share:.0%} {self.chip.said}"


@dataclass(frozen=True)
class Stage:
    """Steps of a plan that cost the same."""

    label: str
    cells: int
    provider: str
    """Empty for a downstream training."""
    preset: str
    count: Count

    def seconds(self, device: Device) -> float | None:
        """Of one of its cells; None where nothing says it."""
        if device.chip is not None:
            return total_seconds(device.chip, [self.count])
        found = (
            row for row in device.rows if (row.provider, row.preset, row.batch) == (self.provider, self.preset, None)
        )
        row = next(found, None)
        if row is None:
            return None
        rates = {part.name: part.films_per_second.median for part in row.parts}
        known = [one.steps * one.batch / rates[one.name] for one in self.count.trainings if rates.get(one.name)]
        return sum(known) if len(known) == len(self.count.trainings) else None

    def as_json(self, device: Device) -> dict[str, Any]:
        """For `--json`."""
        return {
            "stage": self.label,
            "cells": self.cells,
            "flops": self.count.flops,
            "steps": {one.name: one.steps for one in self.count.trainings},
            "device_bytes": needed(self.count),
            "host_bytes": self.count.host_bytes,
            "seconds": self.seconds(device),
            "counted": self.count.model_dump(mode="json"),
        }


def stages(prepared: Prepared) -> list[Stage]:
    """The fit of every size and the cells of every arm and size, counted once each; those with copies of real films cost
    what their arms cost. ProviderError where a step cannot be counted."""
    groups: dict[tuple[str, ...], list[Step]] = {}
    for step in prepared.schedule.steps:
        cell = step.cell.identity
        key = ("fit",) if isinstance(step, Synthesise) else (cell.arm, str(cell.synthetic or ""))
        groups.setdefault((cell.size, *key), []).append(step)
    return [_stage(size, what, steps) for (size, what, *_), steps in groups.items()]


def refuse_before_it_starts(prepared: Prepared, say: Callable[[str], None]) -> None:
    """InputError, one line, where a fit or a training that is left to do needs more memory than its device has; what is
    counted, and what could not be, is said. One of each is counted, without its memory: batches and networks are those of
    all. Nothing is counted at `quick`, for other machines, and where the memory of the device is not known."""
    request, device = prepared.request, prepared.plan.device
    if request.preset == LIGHT or request.engine != "processes" or not (memory := memory_of(device)):
        return
    for kind in dict.fromkeys(step.kind for step in prepared.left):
        step = next(one for one in prepared.left if one.kind == kind)
        cell = step.cell.identity
        what = "fit" if isinstance(step, Synthesise) else cell.arm
        say(f"note   counting the memory of {what} {cell.size}: two minutes at most")
        try:
            stage = _stage(cell.size, what, [step], real=False, seconds=BEFOREHAND)
        except ProviderError as error:
            say(f"note   its memory is not known beforehand: {one_line(error)}")
            continue
        films = stage.count.host_bytes if device == PROCESSOR else 0
        refuse_what_cannot_fit([stage], Device(memory=max(1, memory - films)))


def _stage(size: str, what: str, steps: Sequence[Step], *, real: bool = True, seconds: float = TIME_LIMIT) -> Stage:
    step = steps[0]
    fit = isinstance(step, Synthesise)
    label = f"fit {step.name} {size}" if fit else f"{what} {size}"
    ask = CountAsk(work=step.work, cell=step.cell, fit=fit, real=real)
    line = ask.model_dump_json() + "\n"
    limit = f"it is limited to {seconds / 60:.0f} minutes"
    found = run_apart(COUNTING, line, threads=step.threads, time_limit=seconds, label=f"count {label}", hint=limit)
    return Stage(label, len(steps), step.name if fit else "", step.cell.identity.preset, Count.model_validate(found))


def refuse_what_cannot_fit(found: Sequence[Stage], device: Device) -> None:
    """InputError, one line, with the first stage that needs more memory than the device has."""
    for stage in found:
        if device.memory and (line := advice(stage.label, stage.count, device.memory)):
            raise InputError(line)
