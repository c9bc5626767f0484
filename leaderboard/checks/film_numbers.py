"""Numbers of the films that no films can have: the entry holds none, so that they are its own word beyond this."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ...benchmark.fidelity.compare import InSpace
from ...benchmark.metrics.frechet import NOTHING
from ...benchmark.results.fidelity_rows import FidelityRow
from ...benchmark.results.rows import Results
from .finding import Finding, Level
from .subject import Subject

NAME = "fidelity"
RECOMPUTES = False
SHARES = ("precision", "recall", "coverage")


def check(subject: Subject) -> Iterator[Finding]:
    """One error for every row of a place that its run does not have, and for every number out of its range."""
    for run in subject.entry.runs:
        seen = set[str]()
        for row in run.results.fidelity:
            problems = [*_place(run.results, row), *(words for space in row.spaces for words in _space(row, space))]
            if row.size in seen:
                problems.append("is there twice")
            seen.add(row.size)
            for words in problems:
                yield Finding(Level.ERROR, NAME, run.path.name, f"fidelity at {ascii(row.size)[1:-1][:40]} {words}")


def _place(results: Results, row: FidelityRow) -> Iterator[str]:
    folds = {size.size: size.folds for size in results.sizes}
    if row.fold not in folds.get(row.size, ()) or row.seed not in results.seeds:
        yield "is of a fold, size or seed that the run does not have"
    if row.films < 1:
        yield f"is of {row.films} films"
    for name in ("repeats", "repeats_real"):
        value = getattr(row, name)
        if value is not None and not 0 <= value <= 1:
            yield f"has {name} {value:.3g}, a share"


def _space(row: FidelityRow, space: InSpace) -> Iterator[str]:
    found, where = space.frechet, ascii(space.space)[1:-1][:40]
    if not 0 < found.films <= row.films:
        yield f"compares {found.films} films in the space {where}, of {row.films}"
    numbers = (found.distance, found.floor, found.ratio, found.low, found.high)
    if not all(map(math.isfinite, numbers)) or min(found.distance, found.floor) < 0:
        yield f"has a distance or a floor in the space {where} that cannot be"
    elif not math.isclose(found.ratio, ratio := max(found.distance, NOTHING) / max(found.floor, NOTHING), rel_tol=1e-5):
        yield f"has the ratio {found.ratio:.4g} in the space {where}; distance by floor is {ratio:.4g}"
    for name in SHARES:
        share = getattr(space, name)
        if not 0 <= share.low <= share.value <= share.high <= 1:
            yield f"has {name} {share.value:.3g} ({share.low:.3g} to {share.high:.3g}) in the space {where}, a share"
