"""Further test sets and groups of test films in words: the lines of two tables, and what stands below them."""

from __future__ import annotations

from collections.abc import Sequence

from ..results.further_rows import FurtherRow, GroupRow
from ..results.rows import MetricInfo, Results, words
from .fidelity_words import fidelity_notes, fidelity_tables
from .words import PHANTOM, metric_title, probability, shown

FURTHER = ("further test set", "films", "size", "arm", "score", "gain over copies", "95 % interval", "p")
GROUPS = (
    *("test films", "group", "films", "size", "arm", "score", "gap", "95 % interval of it"),
    *("gap less that of copies", "95 % interval"),
)


def further_lines(results: Results) -> list[tuple[str, ...]]:
    """A line for every further set, size and arm: the texts of `FURTHER`."""
    metric = results.task.metric(results.task.primary)
    return [] if results.elsewhere is None else [_further(row, metric) for row in results.elsewhere.further]


def _further(row: FurtherRow, metric: MetricInfo) -> tuple[str, ...]:
    spread = "" if row.sd is None else f" ± {shown(row.sd, metric)}"
    gain = row.gain
    of_gain = (
        ("–", "–", "–")
        if gain is None
        else (shown(gain.gain, metric, signed=True), between(gain.low, gain.high, metric), probability(gain.p))
    )
    return (
        row.data.name,
        f"{row.films:,}",
        row.size,
        row.arm.upper(),
        f"{shown(row.score, metric)}{spread}",
        *of_gain,
    )


def group_lines(results: Results) -> list[tuple[str, ...]]:
    """A line for every group under every arm: the texts of `GROUPS`."""
    metric = results.task.metric(results.task.primary)
    if results.elsewhere is None:
        return []
    return [_group(row, results.data.name, metric) for row in results.elsewhere.groups]


def _group(row: GroupRow, own: str, metric: MetricInfo) -> tuple[str, ...]:
    gap = "reference" if row.group == row.reference else shown(row.gap, metric, signed=True)
    return (
        row.data or own,
        f"{words(row.column)} {row.group}",
        f"{row.films:,}",
        row.size,
        row.arm.upper(),
        shown(row.score, metric),
        gap,
        between(row.low, row.high, metric),
        shown(row.change, metric, signed=True),
        between(row.change_low, row.change_high, metric),
    )


def between(low: float | None, high: float | None, metric: MetricInfo) -> str:
    """An interval, or a dash."""
    if low is None or high is None:
        return "–"
    return f"{shown(low, metric, signed=True)} to {shown(high, metric, signed=True)}"


def tables(results: Results) -> list[tuple[Sequence[str], list[tuple[str, ...]]]]:
    """(headings, lines) of both, as far as there are lines."""
    both: list[tuple[Sequence[str], list[tuple[str, ...]]]] = [
        (FURTHER, further_lines(results)),
        (GROUPS, group_lines(results)),
    ]
    return [(headings, lines) for headings, lines in both if lines]


def elsewhere_notes(results: Results) -> list[str]:
    """What the tables mean, and what could not be told."""
    found = results.elsewhere
    if found is None:
        return []
    title = metric_title(results.task.metric(results.task.primary))
    said = []
    if found.further:
        common = {row.data.name: ", ".join(map(words, row.structures)) for row in found.further}
        said += [f"{name}: average {title} over {names}, not of the run's own films" for name, names in common.items()]
        said += [f"{name}: {PHANTOM}" for name in dict.fromkeys(row.data.name for row in found.further if row.phantom)]
    if found.groups:
        said.append(
            f"gap: average {title} of a group less that of the largest group; its interval leaves out a tenth of the "
            "patients at a time, that of its change is over seeds"
        )
    return [*said, *found.left_out]


def besides(results: Results) -> list[tuple[Sequence[str], list[tuple[str, ...]]]]:
    """All tables that stand beside the scores: fidelity, further sets, groups."""
    return [*fidelity_tables(results), *tables(results)]


def besides_notes(results: Results) -> list[str]:
    """What stands below these."""
    return [*fidelity_notes(results), *elsewhere_notes(results)]
