"""A process that does one step of a run.

Run as `python -m cxrbench.benchmark.runs.worker` with an order (`job.Order`) as one line of JSON on standard input. The
result goes to the store, the outcome to the file that the order names. When the parent is gone the process ends itself.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import digest
from ..device import require_device
from ..disk import trouble
from ..errors import CxrbenchError, one_line
from ..files import write_text
from ..fork_server import loaded
from ..processes import end_with_parent
from ..progress import Progress
from .chains import UNSAID
from .examine import check, describe, torch_mismatch
from .job import Check, Describe, Fitting, Job, Order, Synthesise
from .rehearsal import rehearse
from .steps import fit, run_cell, synthesise

PROGRESS_SECONDS = 0.3
MOST_DETAIL = 16_384
"""Characters of a traceback that are kept."""


class _ProgressFile:
    """Writes progress where the parent looks for it, a few times a second at most."""

    def __init__(self, path: Path) -> None:
        self.path, self.last = path, 0.0

    def __call__(self, fraction: float, note: str) -> None:
        if time.monotonic() - self.last > PROGRESS_SECONDS:
            self.last = time.monotonic()
            with suppress(CxrbenchError):  # a disk that is full ends no training: it may have room at its end
                write_text(self.path, json.dumps([round(fraction, 4), one_line(note)]))


def ready() -> None:
    """Look up what every step asks for and what is the same for all, before a server forks."""
    digest.of_packages()
    torch_mismatch()
    rehearse()


def perform(job: Job, progress: Progress) -> Any:
    """Do a job; CxrbenchError for what a user should read."""
    if isinstance(job, Describe):
        return describe(job)
    require_device(job.device)
    if isinstance(job, Check):
        return check(job, progress)
    if isinstance(job, Fitting):
        return fit(job, progress)
    return synthesise(job, progress) if isinstance(job, Synthesise) else run_cell(job, progress)


def main() -> None:
    """Read the order, do it, write the outcome: `{"ok": ...}` or `{"error": line, "detail": traceback}`."""
    before = len(sys.modules)
    order = Order.model_validate_json(sys.stdin.readline())
    end_with_parent()
    progress = Progress() if order.progress is None else Progress(_ProgressFile(order.progress))
    progress.update(0.0, "start")  # whoever looks sees that it has begun, long before a task says how far it is
    try:
        outcome = {"ok": perform(order.job, progress), "loaded": sorted(loaded(since=before))}
    except Exception as error:
        outcome = _failure(order.job, error)
    try:
        write_text(order.outcome, json.dumps(outcome))
    except CxrbenchError as error:
        print(error, file=sys.stderr)
        sys.exit(UNSAID)


def _failure(job: Job, error: Exception) -> dict[str, Any]:
    """The outcome of a job that failed; a disk that took nothing more is not blamed on the provider."""
    detail = traceback.format_exc()[-MOST_DETAIL:].encode("utf-8", "replace").decode()
    if line := trouble(error):
        return {"error": line, "detail": detail, "input": True}
    if isinstance(error, CxrbenchError):
        return {"error": one_line(error), "detail": "", "input": type(error).__name__ == "InputError"}
    if isinstance(error, ValueError) and "surrogates not allowed" in str(error):
        who = f"provider {job.name}: " if job.name else ""
        words = (
            "a text that was given (an id, a figure, a name) holds half a character (a surrogate), which no file keeps"
        )
        return {"error": f"{who}{words}", "detail": detail, "input": False}
    return {"error": one_line(f"{type(error).__name__}: {one_line(error)}"), "detail": detail, "input": False}


if __name__ == "__main__":
    main()
