"""A job: what one process of a run is asked for, as one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .. import digest
from ..contracts.task import ArmName, Slot, Task


@dataclass(frozen=True)
class Job:
    """What a worker is asked for. `kind` is describe, synthesise or cell."""

    kind: str
    store: str
    outcome: str
    progress: str = ""
    provider: str = ""
    provider_settings: Mapping[str, Any] | None = None
    preset: str = "quick"
    overrides: list[list[str]] = field(default_factory=list)
    task: str = ""
    task_settings: Mapping[str, Any] | None = None
    data: str = ""
    fit_data: str = ""
    fold: str = ""
    size: str = ""
    arm: str = "real"
    seed: int = 0
    device: str = "cpu"
    threads: int = 1
    key: str = ""
    fit_key: str | None = None
    synthetic_key: str | None = None
    start_key: str | None = None
    teacher_key: str | None = None
    label_by: str = "native"
    identity: Mapping[str, Any] | None = None

    @property
    def slot(self) -> Slot:
        """The place in the task's plan."""
        return Slot(self.fold, self.size, ArmName(self.arm))

    def draw(self, task: Task, what: str) -> int:
        """The seed of one draw: from the names of the cell alone, not from the provider nor the order of runs."""
        return digest.derive_seed(task.name, task.version, self.fold, self.size, self.seed, what)


def job_line(job: Job) -> str:
    """A job as the line that `main` reads."""
    return json.dumps(asdict(job)) + "\n"
