"""What the engine's leak checks said of synthetic films: copies of test films refuse an entry, near copies are reviewed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ...benchmark.data.near_copies import PERCENTILE
from ...benchmark.results.assemble import NEAR_COPY_ALARM
from .finding import Finding, Level
from .subject import Subject, place

NAME = "leaks"
RECOMPUTES = False
CHECK = "near_test"


def check(subject: Subject) -> Iterator[Finding]:
    """Every cell with synthetic films has the check; all cells of one set of films have the same; none shows test films."""
    for run in subject.entry.runs:
        seen: dict[str, Any] = {}
        records = [record for _, record, _ in subject.cells(run) if record.cost is not None]
        sets = len({record.synthetic_key for record in records}) or 1
        for record in records:
            key, first = str(record.synthetic_key), str(record.synthetic_key) not in seen
            if seen.setdefault(key, record.checks) != record.checks:
                yield Finding(Level.ERROR, NAME, run.path.name, f"{place(record)}: other findings on the same films")
            if first:
                level, words = _said(record.checks.get(CHECK), record.downstream.synthetic_films, sets)
                if words:
                    yield Finding(level, NAME, run.path.name, f"{place(record)}: {words}")


def _said(found: Any, films: int, sets: int) -> tuple[Level, str]:
    from scipy.stats import binomtest

    if not isinstance(found, Mapping):
        return Level.ERROR, "the comparison with the test films (near_test) is missing"
    numbers = [found.get(name) for name in ("films", "flagged", "p", "copies")]
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
        return Level.ERROR, "the comparison with the test films (near_test) has no films, flagged, copies and p"
    looked, flagged, p, copies = (float(str(number)) for number in numbers)
    if not (0 <= flagged <= looked and 0 <= copies <= looked and 0 <= p <= 1) or looked != films or flagged % 1:
        return Level.ERROR, f"the comparison with the test films does not add up ({looked:g} of {films} films)"
    if not math.isclose(p, binomtest(int(flagged), int(looked), PERCENTILE / 100, "greater").pvalue, rel_tol=1e-6):
        return Level.ERROR, f"{flagged:g} of {looked:g} films do not give p = {p:.3g}"
    if copies:
        return Level.ERROR, f"{copies:g} of its films are copies of test films (leak)"
    if p < NEAR_COPY_ALARM / sets:
        return Level.REVIEW, f"{flagged:g} of {films} films are nearer to test films than real ones are (p = {p:.1g})"
    return Level.NOTE, ""
