"""Trainings that die in their middle."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.training import checkpoint
from cxrbench.benchmark.training.loop import train
from cxrbench.benchmark.training.recipe import Recipe, Source


class Killed(Exception):
    """Stands for a process that is killed."""


def stopped_after(done: int, recipe: Recipe, source: Source, folder: Path, *, steps: int, seed: int = 0) -> None:
    """Train a recipe, its state kept in `folder` after every step, until `done` of its steps are over; then it dies."""

    def sink(fraction: float, note: str) -> None:
        if note == f"{done + 1}/{steps}":  # before the state after that step is kept
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint.Keeper.__init__, "__kwdefaults__", {"seconds": 0.0})
        with pytest.raises(Killed):
            train(recipe, source, steps=steps, seed=seed, checkpoints=folder, progress=Progress(sink))
    assert list(folder.glob("*.safetensors"))
