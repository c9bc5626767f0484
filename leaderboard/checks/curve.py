"""The placebo curve that a run's worths are read from: of this protocol and these films, and where it can be held against.

Worths on a board are read from the curve that the task ships, not from this one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ...benchmark.results.averages import primary_by_seed
from ...benchmark.results.curve import shipped_curves
from ...benchmark.results.gains import PlaceboCurve
from ..arms import placebo_of
from ..entry import EntryRun
from .finding import Finding, Level
from .subject import Subject

NAME = "curve"
RECOMPUTES = False


def check(subject: Subject) -> Iterator[Finding]:
    """An error for a curve of something else; a note for one that is not shipped and that the entry's cells do not give."""
    for run in subject.entry.runs:
        if run.results.curve is None:
            continue
        curve, where = run.results.curve.curve, run.path.name
        if strange := list(_strange(run, curve)):
            yield Finding(Level.ERROR, NAME, where, f"its curve is of another {strange[0]} than the run")
            continue
        task = subject.sources.task(run.results.task.name)
        if task is not None and any(curve.digest == one.digest for one in shipped_curves(task)):
            continue
        own = _own(run, curve)
        if own < len(curve.points):
            words = (
                f"its curve is not one that the task ships, and {len(curve.points) - own} of its {len(curve.points)} points "
                "cannot be computed again from the cells of the entry: the worths in its results are its own claim"
            )
            yield Finding(Level.NOTE, NAME, where, words)


def _strange(run: EntryRun, curve: PlaceboCurve) -> Iterator[str]:
    said = run.results
    for name, one, other in (
        ("task", curve.task, said.task.name),
        ("version of the task", curve.version, said.task.version),
        ("setting of the task", curve.settings, said.task.settings),
        ("dataset", curve.data.digest, said.data.digest),
        ("preset", curve.preset, said.preset),
        ("device", curve.device, said.device.split(":")[0]),
        ("metric", curve.metric, said.task.primary),
    ):
        if one != other:
            yield name


def _own(run: EntryRun, curve: PlaceboCurve) -> int:
    """How many points are what the placebos of the run scored."""
    said, found = run.results, 0
    placebos: dict[tuple[str, str], dict[int, float]] = {}
    for point in curve.points:
        place = (point.size, point.arm)
        if place not in placebos:
            placebos[place] = primary_by_seed(
                said.seed_values, curve.metric, point.size, placebo_of(point.arm), said.task.structures
            )
        score = placebos[place].get(point.seed, math.nan)
        found += math.isclose(score, point.value, rel_tol=1e-9, abs_tol=1e-12)
    return found
