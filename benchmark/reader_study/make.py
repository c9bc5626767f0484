"""Films for a study that no run has left in the store yet: of every provider its fit and its films, and no training of a
model on them. Each is fitted on its home task, so that generators of labels and generators of boxes stand in one study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..progress import Progress
from ..runs.request import Prepared, Request, prepare
from ..runs.schedule import Schedule
from ..runs.store import Level


def films_only(request: Request, progress: Progress | None = None) -> Prepared:
    """A run that ends when the films of its largest size are there. InputError for a generator whose films a trained model
    must annotate: that takes a run."""
    prepared = prepare(request, progress)
    step = next(iter(prepared.schedule.fits_of_first_size(prepared.plan)), None)
    if step is None:
        raise InputError(f"{request.provider}: {prepared.plan.task.name} has no arm with its films")
    if step.cell.teacher_key is not None:
        raise InputError(
            f"{request.provider} makes films without annotations, which a trained model gives them: run it first, "
            f"`cxrbench run --provider {request.provider}`"
        )
    schedule = Schedule(((step,),), {step.key: prepared.schedule.expected[step.key]})
    return replace(prepared, schedule=schedule, done=prepared.done & {step.key})


def folder_of_films(prepared: Prepared) -> Path:
    """Where the films are that a run of `films_only` made."""
    (step,) = prepared.schedule.steps
    return prepared.store.path(Level.SYNTHETIC, step.key) / "dataset"
