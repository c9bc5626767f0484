"""Films for the toy task that need no drawing, and steps of a run that are done in the process of the test."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.errors import CxrbenchError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.runs import asked, examine
from cxrbench.benchmark.runs import chains as execution
from cxrbench.benchmark.runs.chains import Outcome
from cxrbench.benchmark.runs.job import Job
from cxrbench.benchmark.runs.worker import perform

SIDE = 32


def chests(train: int = 20, test: int = 10) -> Dataset:
    """Bright bodies with two dark lungs, of each its own size and grey: `t00`, ... train, `e00`, ... test."""
    rng = np.random.default_rng(0)
    count = train + test
    images = rng.integers(150, 256, (count, SIDE, SIDE), dtype=np.uint8)
    masks = np.zeros_like(images)
    for row in range(count):
        top, bottom = rng.integers(2, 8), rng.integers(22, 30)
        masks[row, top:bottom, 18:29] = 1
        masks[row, top:bottom, 3:14] = 2
        dark = masks[row] != 0
        images[row][dark] = np.clip(rng.normal(rng.integers(60, 130), 30, int(dark.sum())), 0, 255).astype(np.uint8)
    ids = [f"t{row:02d}" for row in range(train)] + [f"e{row:02d}" for row in range(test)]
    cases = pd.DataFrame({"id": ids, "patient": ids, "split": ["train"] * train + ["test"] * test})
    info = DatasetInfo(
        name="chests", resolution=SIDE, organs=("left_lung", "right_lung"), provenance="made for tests", pixel_mm=2.0
    )
    return Dataset(info, images, cases, masks)


def at_once(job: Job, time_limit: float | None) -> Outcome:
    """A step in this process: what a process of its own would do, without its start."""
    try:
        return Outcome(getattr(job, "key", ""), job.label, value=perform(job, Progress()))
    except CxrbenchError as error:
        return Outcome(getattr(job, "key", ""), job.label, str(error))
    except RuntimeError as error:  # of the toys
        return Outcome(getattr(job, "key", ""), job.label, f"{type(error).__name__}: {error}")


def run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps run in this process, which needs no torch for them."""
    monkeypatch.setattr(asked, "run_job", at_once)
    monkeypatch.setattr(execution, "run_job", at_once)
    monkeypatch.setattr(examine, "torch_mismatch", lambda: None)
