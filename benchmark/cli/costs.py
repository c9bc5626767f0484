"""What a planned run costs, counted and shown before it starts (`run --dry-run --on`, `run --memory`)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..console_tables import cell, show, table, tell

if TYPE_CHECKING:
    from ..runs.request import Prepared
    from ..speed.forecast import Device, Stage


def count_first(prepared: Prepared, on: str, memory: str) -> dict[str, Any]:
    """Count the stages of a plan, show them on standard error, and give them for JSON. InputError where one cannot fit."""
    from ..speed.forecast import Device, refuse_what_cannot_fit, stages

    device = Device.of(on, memory, prepared.plan.task.settings.threads)
    found = stages(prepared)
    show_stages(found, device)
    refuse_what_cannot_fit(found, device)
    return {"stages": [stage.as_json(device) for stage in found], "device": device.title}


def show_stages(found: list[Stage], device: Device) -> None:
    """A row for each stage."""
    from ..speed.counted import needed, shown_bytes, shown_flops
    from .display import clock

    made = table(("stage", "cells", "FLOPs", "steps", "device", "host", "each"), left=7)
    total = 0.0
    for stage in found:
        seconds = stage.seconds(device)
        total += stage.cells * (seconds or 0)
        steps = " + ".join(f"{one.steps:,}" for one in stage.count.trainings) or "none"
        row = (
            *(stage.label, str(stage.cells), shown_flops(stage.count.flops), steps),
            *(shown_bytes(needed(stage.count)), shown_bytes(stage.count.host_bytes)),
            "unknown" if seconds is None else clock(seconds),
        )
        made.add_row(*map(cell, row))
    show(made, sys.stderr)
    tell("counted: FLOPs and bytes of training steps (float32, and 15 % for the allocator)", sys.stderr)
    if device.note:
        tell(f"hours: {device.note}", sys.stderr)
    elif device.title:
        tell(f"hours: {device.title}; all cells: {clock(total)}, without validation and sampling", sys.stderr)
