"""What the stages of a planned run cost, before it starts: counted FLOPs and memory, and hours on a named device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..processes import run_apart
from ..runs.job import Step, Synthesise
from ..runs.request import Prepared
from .counted import CHIPS, SHARE, Chip, Count, CountAsk, advice, bytes_of_text, chip_of, needed, total_seconds
from .rates import Row, read_throughput

TIME_LIMIT = 1800.0
COUNTING = "cxrbench.benchmark.speed.counting"


@dataclass(frozen=True)
class Device:
    """What hours are said of: a chip by its data sheet, or rates that were measured."""

    chip: Chip | None = None
    rows: tuple[Row, ...] = ()
    memory: int = 0
    """Bytes that the work may need; 0 where that is not known."""

    @classmethod
    def of(cls, on: str, memory: str) -> Device:
        """`on`: the name of a chip, or a `throughput.json`; `memory`: `24GB`. InputError for others."""
        most = bytes_of_text(memory) if memory else 0
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
            return ""
        share = f"{SHARE:.0%} of peak FLOP/s, or 10 us an operation: stated, not measured"
        return f"{self.chip.title}: {share}"


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


def _stage(size: str, what: str, steps: Sequence[Step]) -> Stage:
    step = steps[0]
    fit = isinstance(step, Synthesise)
    label = f"fit {step.name} {size}" if fit else f"{what} {size}"
    ask = CountAsk(work=step.work, cell=step.cell, fit=fit)
    line = ask.model_dump_json() + "\n"
    limit = "it is limited to half an hour"
    found = run_apart(COUNTING, line, threads=step.threads, time_limit=TIME_LIMIT, label=f"count {label}", hint=limit)
    return Stage(label, len(steps), step.name if fit else "", step.cell.identity.preset, Count.model_validate(found))


def refuse_what_cannot_fit(found: Sequence[Stage], device: Device) -> None:
    """InputError, one line, with the first stage that needs more memory than the device has."""
    for stage in found:
        if device.memory and (line := advice(stage.label, stage.count, device.memory)):
            raise InputError(line)
