"""Two runs' gains over copies and worths in real films beside each other, with the paired difference over seeds.

Both runs have one placebo, so the difference of their gains is that of their scores, paired by seed; and one placebo curve
rises with the score, so it decides the worths too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..metrics.scores import finite
from ..results.averages import primary_by_seed
from ..results.rows import Results
from ..schema import Strict
from ..significance.gain import FAILED_BY, paired_over_seeds
from .gain_words import worth_cell
from .words import metric_title, probability, shown, size_title


class ComparedGain(Strict):
    """One arm of one size: gains, worths (real films as text, doublings where they are identified in both), and a minus b
    over the seeds that both have."""

    size: str
    arm: str
    metric: str
    gain_a: float | None
    gain_b: float | None
    worth_a: str
    worth_b: str
    doublings: float | None = None
    """Worth of a minus worth of b, in doublings of the real films."""
    seeds: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    sentence: str
    seeds_a: int = 0
    """Seeds of the gain of a, and of b: more than `seeds`, of which the difference is, where one run has others."""
    seeds_b: int = 0


def compared_gains(a: Results, b: Results, labels: tuple[str, str]) -> list[ComparedGain]:
    """Every arm that has a gain in both runs."""
    return [_compared(a, b, row.size, row.arm, labels) for row in a.gains if b.gain(row.size, row.arm) is not None]


def _compared(a: Results, b: Results, size: str, arm: str, labels: tuple[str, str]) -> ComparedGain:
    metric = a.task.metric(a.task.primary)
    factor = 100.0 if metric.percent else 1.0
    ours, theirs = (primary_by_seed(run.seed_values, metric.name, size, arm, run.task.structures) for run in (a, b))
    seeds = [seed for seed in ours if seed in theirs]
    test = paired_over_seeds(
        [ours[seed] * factor for seed in seeds],
        [theirs[seed] * factor for seed in seeds],
        seeds=seeds,
        higher_is_better=metric.higher_is_better,
        failed_by=FAILED_BY * factor,
    )
    first, second = a.worth(size, arm), b.worth(size, arm)
    doublings = None
    if first is not None and second is not None and first.doublings is not None and second.doublings is not None:
        doublings = first.doublings - second.doublings
    numbers = {"difference": test.difference, "low": test.low, "high": test.high}
    gains = [run.gain(size, arm) for run in (a, b)]
    return ComparedGain(
        size=size,
        arm=arm,
        metric=metric.name,
        gain_a=None if gains[0] is None else gains[0].gain,
        gain_b=None if gains[1] is None else gains[1].gain,
        seeds_a=0 if gains[0] is None else gains[0].seeds,
        seeds_b=0 if gains[1] is None else gains[1].seeds,
        worth_a=worth_cell(first),
        worth_b=worth_cell(second),
        doublings=doublings,
        seeds=len(seeds),
        **{name: None if value is None else finite(value / factor) for name, value in numbers.items()},
        p=finite(test.p),
        sentence=_sentence(
            labels,
            test.p,
            test.difference,
            higher=metric.higher_is_better,
            same=test.p is None and test.verdict is not None,
            claim=test.claim,
        ),
    )


def _sentence(
    labels: tuple[str, str], p: float | None, difference: float | None, *, higher: bool, same: bool, claim: str
) -> str:
    if same:
        return f"{labels[0]} and {labels[1]} score the same"
    if p is None or difference is None:
        return claim
    if p > 0.05:
        return f"no difference shown between {labels[0]} and {labels[1]} (p = {p:.2g}, paired over seeds)"
    better = labels[0] if (difference > 0) == higher else labels[1]
    return f"{better} adds more (p = {p:.2g}, paired over seeds)"


def gain_table(gains: Sequence[ComparedGain], results: Results, labels: tuple[str, str]) -> Iterator[list[str]]:
    """The rows of the table of gains, headings first; nothing without gains."""
    if not gains:
        return
    metric = results.task.metric(results.task.primary)
    a, b = labels
    title = f"gain over copies, {metric_title(metric)}"
    yield [title, "", a, b, "a − b, 95 % interval", "p", f"worth {a}", f"worth {b}"]
    for row in gains:
        bounds = shown(row.difference, metric, signed=True)
        if row.low is not None and row.high is not None:
            bounds += f" ({shown(row.low, metric, signed=True)} to {shown(row.high, metric, signed=True)})"
        own = {row.seeds_a, row.seeds_b} - {row.seeds}
        of_a, of_b = (f", {_seeds(count)}" if own else "" for count in (row.seeds_a, row.seeds_b))
        yield [
            size_title(results, row.size),
            row.arm.upper(),
            shown(row.gain_a, metric, signed=True) + of_a,
            shown(row.gain_b, metric, signed=True) + of_b,
            f"{bounds}, the {_seeds(row.seeds)} of both" if own else bounds,
            probability(row.p),
            row.worth_a,
            row.worth_b,
        ]


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"
