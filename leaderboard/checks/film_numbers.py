"""Numbers of the films that no films can have: the entry holds none, so that they are its own word beyond this.

Beside ranges it is looked at what hangs together: intervals hold their value, a share of n films is a whole number of them,
films lie in the balls of real ones exactly where these have one of them near, and the counts are those of the run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from ...benchmark.audit.lean import ASKED, MOST
from ...benchmark.fidelity.compare import ALL, Agreement, Distance, InSpace, Share
from ...benchmark.metrics.diversity import WINDOW
from ...benchmark.metrics.frechet import NOTHING
from ...benchmark.metrics.neighbours import K
from ...benchmark.results.fidelity_rows import FidelityRow
from ...benchmark.results.rows import Results
from ..entry import EntryRun
from .finding import Finding, Level
from .subject import Subject

NAME = "fidelity"
RECOMPUTES = False
SHARES = ("precision", "recall", "coverage")
UP_TO_ONE = ("dsc", "j", "dice", "jaccard", "auc", "cl")
"""Metrics of tasks that are 0 to 1, by name: the agreement of a REAL model is one of these."""
ROUNDING = 1e-6


def check(subject: Subject) -> Iterator[Finding]:
    """One error for every row of a place that its run does not have, and for every number that no films can have."""
    for run in subject.entry.runs:
        seen = set[str]()
        for row in run.results.fidelity:
            problems = [*_place(run, row), *_whole(row)]
            for space in row.spaces:
                problems += [f"{words} in the space {_shown(space.space)}" for words in _space(run.results, row, space)]
            problems += _agreements(run.results, row)
            if row.size in seen:
                problems.append("is there twice")
            seen.add(row.size)
            for words in problems:
                yield Finding(Level.ERROR, NAME, run.path.name, f"fidelity at {_shown(row.size)} {words}")


def _shown(text: str) -> str:
    return ascii(text)[1:-1][:40]


def _place(run: EntryRun, row: FidelityRow) -> Iterator[str]:
    """What does not fit the run: its folds, sizes, seeds, its counts of films and their resolution."""
    results = run.results
    sizes = {size.size: size for size in results.sizes}
    if row.size not in sizes or row.fold not in sizes[row.size].folds or row.seed not in results.seeds:
        yield "is of a fold, size or seed that the run does not have"
    if row.films < 1:
        yield f"is of {row.films} films"
    if not 0 < row.resolution <= results.data.resolution:
        yield f"is of films of {row.resolution} pixels, of real ones of {results.data.resolution}"
    for films in sorted(_recorded(run, row)):
        if films != row.films:
            yield f"is of {row.films} films, its record of {films}"


def _recorded(run: EntryRun, row: FidelityRow) -> set[int]:
    """How many films the records of the same place say that they looked at for copies."""
    place = (row.fold, row.size, row.seed)
    said = (
        one.checks.get("near_train")
        for one in run.records.values()
        if (one.cell.fold, one.cell.size, one.cell.seed) == place and one.synthetic_key and one.cell.synthetic is None
    )
    return {one["films"] for one in said if isinstance(one, dict) and isinstance(one.get("films"), int)}


def _whole(row: FidelityRow) -> Iterator[str]:
    """What does not fit of the numbers of all films: shares of repeats, MS-SSIM of pairs."""
    for name in ("repeats", "repeats_real"):
        value = getattr(row, name)
        if value is not None and not 0 <= value <= 1:
            yield f"has {name} {value:.3g}, a share"
    if row.repeats is not None and not _counted(row.repeats, count := max(1, min(row.films, MOST))):
        yield f"has repeats {row.repeats:.6g}, which is no share of {count} films"
    if row.alike is not None:
        if row.resolution < 2 * WINDOW:
            yield f"has an MS-SSIM of films of {row.resolution} pixels, which takes {2 * WINDOW}"
        yield from _within(row.alike, "MS-SSIM", 1 + ROUNDING)


def _within(share: Share, name: str, most: float) -> Iterator[str]:
    """Where a number or the one beside it is not 0 to `most`, or not in its interval."""
    for value, low, high in (
        (share.value, share.low, share.high),
        (share.real, share.real_low, share.real_high),
    ):
        if not (_in_order(0, low, value, high) and high <= most):
            yield f"has {name} {value:.3g} ({low:.3g} to {high:.3g}), which is 0 to {most:.3g} and in its interval"


def _space(results: Results, row: FidelityRow, space: InSpace) -> Iterator[str]:
    found = space.frechet
    yield from _distance(results, row, found)
    for name, part in space.parts.items():
        yield from (f"{words} ({_shown(name)})" for words in _distance(results, row, part))
    if not all(map(math.isfinite, (space.kernel, space.kernel_error, space.kernel_real))) or space.kernel_error < 0:
        yield "has a kernel distance that cannot be"
    for name in SHARES:
        yield from _within(getattr(space, name), name, 1)
    yield from _within(space.density, "density", max(1, found.films) / K)
    yield from _neighbours(space)


def _neighbours(space: InSpace) -> Iterator[str]:
    """Where precision, recall, density and coverage of the same films do not hang together."""
    films = space.frechet.films
    for side in ("value", "real"):
        precision, recall, coverage = (getattr(getattr(space, name), side) for name in SHARES)
        pairs = getattr(space.density, side) * K * films
        shares = dict(zip(SHARES, (precision, recall, coverage), strict=True))
        wrong = [f"{name} {share:.6g}" for name, share in shares.items() if not _counted(share, films)]
        if wrong:
            yield f"has {', '.join(wrong)}, which is no share of {films} films"
        least, most = films * max(precision, coverage), films * films * min(precision, coverage)
        if not (least - ROUNDING * films <= pairs <= most + ROUNDING * films and _counted(pairs, 1)):
            yield (
                f"has a density of {getattr(space.density, side):.4g} beside precision {precision:.3g} and coverage "
                f"{coverage:.3g}, which no {films} films have"
            )


def _in_order(*values: float) -> bool:
    """Whether each is at least the one before, but for the rounding of means; never of NaN."""
    return all(after >= before - ROUNDING * abs(before) for before, after in pairwise(values))


def _counted(share: float, films: int) -> bool:
    """Whether a share is that of a whole number of so many films."""
    return math.isfinite(share) and abs(share * films - round(share * films)) <= ROUNDING * max(1.0, abs(share * films))


def _distance(results: Results, row: FidelityRow, found: Distance) -> Iterator[str]:
    if not 0 < found.films <= min(row.films, MOST, max(1, results.data.n // 2)):
        yield f"compares {found.films} films, of {row.films} and {results.data.n} real ones"
    numbers = (found.distance, found.floor, found.ratio, found.low, found.high, found.limit or 0.0)
    if not all(map(math.isfinite, numbers)) or min(found.distance, found.floor) < 0:
        yield "has a distance or a floor that cannot be"
        return
    ratio = max(found.distance, NOTHING) / max(found.floor, NOTHING)
    if not math.isclose(found.ratio, ratio, rel_tol=1e-5):
        yield f"has the ratio {found.ratio:.4g}; distance by floor is {ratio:.4g}"
    elif not _in_order(0, found.low, found.ratio, found.high):
        yield f"has the ratio {found.ratio:.4g}, outside of its interval of {found.low:.4g} to {found.high:.4g}"


def _agreements(results: Results, row: FidelityRow) -> Iterator[str]:
    """What does not fit of what a REAL model says of the annotations."""
    metric = results.task.paired[0] if results.task.paired else ""
    label = next((one.label for one in results.task.metrics if one.name == metric), metric)
    tested = next((size.test_films for size in results.sizes if size.size == row.size), None)
    known = {ALL, *results.task.structures, *results.data.organs, *results.data.findings}
    of_films = metric != "cl"  # which is of boxes
    seen = set[str]()
    for one in row.agreement:
        where = f"of {_shown(one.structure)}"
        if one.task != results.task.name or one.metric != label:
            yield f"has an agreement of {_shown(one.task)}, {_shown(one.metric)}; its run compares {_shown(label)}"
        if one.structure in seen or one.structure not in known:
            yield f"has an agreement {where}, which its task does not have, or twice"
        seen.add(one.structure)
        most, most_real = (min(row.films, ASKED), min(tested or ASKED, ASKED)) if of_films else (math.inf, math.inf)
        if not 2 <= one.films <= most or not 2 <= one.real_films <= most_real:
            yield f"has an agreement {where} of {one.films} films and {one.real_films} real ones"
        yield from (f"{words} {where}" for words in _agreed(one, 1.0 if metric in UP_TO_ONE else math.inf))


def _agreed(one: Agreement, most: float) -> Iterator[str]:
    for value, low, high in ((one.value, one.low, one.high), (one.real, one.real_low, one.real_high)):
        if not (math.isfinite(high) and _in_order(0, low, value, high) and high <= most):
            yield f"has an agreement of {value:.3g} ({low:.3g} to {high:.3g}), which no films have,"
    if (one.odd is None) != (one.odd_p is None):
        yield "has a share of odd films without its p, or the other way round,"
    elif one.odd is not None and one.odd_p is not None:
        fits = 0 <= one.odd <= 1 and 0 <= one.odd_p <= 1 and _counted(one.odd, one.films)
        if not fits:
            yield f"has {one.odd:.4g} of {one.films} films odd (p = {one.odd_p:.3g}), which no films have,"
