"""Gain and worth in words: the table of all arms against their placebo, and the sentence that a paper may print."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from ..contracts.fitted_elsewhere import seen_besides
from ..contracts.task import ArmName
from ..data.sizes import FULL
from ..results.gains import GainRow, PlaceboCurve, WorthRow
from ..results.rows import MetricInfo, Results
from ..runs.smoke import is_smoke
from ..significance.worth import in_films
from .words import leaks, metric_title, named_seeds, probability, shown, with_minus

_THIS_MAKES_IT = "; this makes it, and the same run again tells the worth:\n"
"""What stands between a sentence and the command that makes what it lacks."""
NO_CURVE = "worth: no curve"
HEADINGS = ("size", "arm", "real + synthetic", "score", "copies", "gain over copies", "95 % interval", "p", "worth")
PLACEBO = (
    "gain over copies: against the same training with copies of its real films in place of the synthetic ones (the "
    "placebo), paired by seed; worth: real films whose copies score as much"
)


@dataclass(frozen=True)
class GainLine:
    """One arm of one size: the texts of `HEADINGS`, and whether it is the headline."""

    cells: tuple[str, ...]
    headline: bool


def gain_lines(results: Results) -> list[GainLine]:
    """The table of gains, in the order of the results."""
    metric = results.task.metric(results.task.primary)
    lines = []
    for row in results.gains:
        worth = results.worth(row.size, row.arm)
        bounds = "–"
        if row.low is not None and row.high is not None:
            bounds = f"{shown(row.low, metric, signed=True)} to {shown(row.high, metric, signed=True)}"
        cells = (
            row.size,
            row.arm.upper(),
            _films(results, row, worth),
            shown(row.score, metric),
            shown(row.placebo, metric),
            shown(row.gain, metric, signed=True),
            bounds,
            probability(row.p),
            worth_cell(worth),
        )
        lines.append(GainLine(cells, (row.size, row.arm) == results.headline))
    return lines


def _films(results: Results, row: GainRow, worth: WorthRow | None) -> str:
    info = next(one for one in results.sizes if one.size == row.size)
    real = f"{info.films if worth is None else round(worth.real)}"
    if row.arm == ArmName.SYNTHETIC.value:
        real = "0"
    return f"{real} + {info.synthetic_films if info.synthetic_films is not None else 0}"


def worth_cell(worth: WorthRow | None) -> str:
    """A worth in a table: real films with their interval, the end of the curve that it lies beyond, or a dash."""
    if worth is None:
        return "–"
    if not worth.identified:
        return "not identified"
    ends = ""
    if worth.low is not None and worth.high is not None and worth.low < worth.high:
        low = f"{'< ' if worth.low_censored else ''}{in_films(worth.low)}"
        ends = f" ({low} to {'> ' if worth.high_censored else ''}{in_films(worth.high)})"
    if worth.censored:
        edge = worth.largest if worth.censored == "above" else worth.smallest
        return f"{'>' if worth.censored == 'above' else '<'} {in_films(edge or 0.0)}"
    return f"{in_films(worth.films or 0.0)}{ends}"


def headline_sentences(results: Results) -> list[str]:
    """What may be said of the headline arm, and of synthetic films alone: gain, verdict, worth. A command that is told
    stands on a line of its own. Of films that show the test films that alone is said."""
    if found := leaks(results):
        return found
    place = results.headline
    if place is None:
        return []
    size, arm = place
    said = [_sentence(results, size, arm), *_seen_besides(results, size)]
    alone = results.worth(size, ArmName.SYNTHETIC.value)
    if arm != ArmName.SYNTHETIC.value and alone is not None:
        said.append(f"SYNTHETIC at {size}: {alone.sentence}")
    if results.curve is None or is_smoke(results.preset):
        said.append(no_worth(results))
    else:
        curve = results.curve.curve
        whose = "shipped with the task" if results.curve.source == "shipped" else "in the store"
        said.append(f"curve: {whose}, {len(curve.seeds)} seeds, {curve.data.name}, made {curve.created[:10]}")
        said += curve_failures(curve, results.task.metric(results.task.primary))
    if (best := best_ratio(results)) != "":
        said.append(best)
    return said


def _seen_besides(results: Results, size: str) -> list[str]:
    """What a generator that was fitted elsewhere has seen beyond the real films of a size, for which copies of these are no
    placebo."""
    said = seen_besides(row.sentence for row in results.checks if row.size == size)
    most = "" if size == FULL else f" (--sizes {FULL} has the most)"
    return [f"{results.provider.title}: {said}{most}"] if said else []


def without_command(sentence: str) -> str:
    """A sentence without the command that it may tell, for where nothing can be typed."""
    return sentence.partition(_THIS_MAKES_IT)[0]


def no_worth(results: Results) -> str:
    """Why a run tells no worth: that there is no curve, and the command that makes it on a line of its own, so that it can
    be copied as it stands. Empty for a run with a curve."""
    if is_smoke(results.preset):
        return "worth: not asked of a smoke run"
    if results.curve is not None:
        return ""
    task = results.task
    said = f"{NO_CURVE} of {task.name} v{task.version} on {results.data.name} at {results.preset} with these settings"
    return f"{said}{_THIS_MAKES_IT}{shlex.join(results.curve_command)}" if results.curve_command else said


def _sentence(results: Results, size: str, arm: str) -> str:
    metric, row, worth = results.task.metric(results.task.primary), results.gain(size, arm), results.worth(size, arm)
    assert row is not None  # it is the headline
    unit = f"points of {metric_title(metric)}" if metric.percent else metric_title(metric)
    films = _films(results, row, worth)
    gain = shown(row.gain, metric, signed=True)
    text = f"{results.provider.title}, {arm} at {size} ({films} films): {gain} {unit} over copies"
    if row.verdict and row.low is not None and row.high is not None:
        bounds = f"{shown(row.low, metric, signed=True)} to {shown(row.high, metric, signed=True)}"
        p = probability(row.p)
        text += f" (95 % interval {bounds}, p {p if p.startswith('<') else f'= {p}'}, {row.seeds} seeds): {row.verdict}"
        text += failed_words(row, metric)
    else:
        text += f"; {with_minus(row.sentence)}"
    if worth is None:
        return text
    return f"{text}; {worth.sentence}{_other_way(row, worth, better=1 if metric.higher_is_better else -1)}"


def _other_way(row: GainRow, worth: WorthRow, *, better: int) -> str:
    """Why a gain says more and its worth fewer real films, or the other way round, where they do: empty where not. They are
    read from different trainings."""
    if row.gain is None or worth.doublings is None or row.gain * better * worth.doublings >= 0:
        return ""
    more, fewer = ("more", "fewer") if row.gain * better > 0 else ("less", "more")
    return (
        f"; that the gain says {more} and the worth {fewer} films is luck of trainings: the gain is over the copies of the "
        "same seeds, the worth is read from the seeds of the curve"
    )


RATIO_HEADINGS = ("synthetic : real", "synthetic films", "gain over copies", "95 % interval", "p", "worth")


def ratio_lines(results: Results) -> list[GainLine]:
    """The headline arm by the number of its synthetic films: the texts of `RATIO_HEADINGS`, the task's own number marked."""
    metric, lines = results.task.metric(results.task.primary), []
    for row in results.ratios:
        bounds = "–"
        if row.gain.low is not None and row.gain.high is not None:
            bounds = f"{shown(row.gain.low, metric, signed=True)} to {shown(row.gain.high, metric, signed=True)}"
        ratio = f"{row.ratio:.3g} : 1" if row.ratio >= 1 else f"1 : {1 / row.ratio:.3g}"
        gain = shown(row.gain.gain, metric, signed=True)
        cells = (ratio, str(row.synthetic), gain, bounds, probability(row.gain.p), worth_cell(row.worth))
        lines.append(GainLine(cells, row.own))
    return lines


def best_ratio(results: Results) -> str:
    """The ratio with the largest gain, with its interval, in words; empty without ratios."""
    rows = [row for row in results.ratios if row.gain.gain is not None]
    if not rows:
        return ""
    metric = results.task.metric(results.task.primary)
    sign = 1 if metric.higher_is_better else -1
    best = max(rows, key=lambda row: sign * (row.gain.gain or 0.0))
    place = next(place for place, row in enumerate(results.ratios) if row is best)
    ratio, count, gain, bounds, _, worth = ratio_lines(results)[place].cells
    interval = f" ({bounds})" if bounds != "–" else ""
    return f"best of {len(rows)} ratios: {ratio} ({count} films), gain {gain}{interval}, worth {worth}"


def curve_failures(curve: PlaceboCurve, metric: MetricInfo) -> Iterator[str]:
    """A line for every arm with trainings that scored far below the others of their size: they stay in the mean, and make
    worths uncertain."""
    for arm in curve.arms:
        failed = curve.failed(arm, higher_is_better=metric.higher_is_better)
        if failed:
            named = "; ".join(f"{size:.0f} films: {named_seeds(seeds)}" for size, seeds in sorted(failed.items()))
            yield (
                f"copies, {arm}: trainings that scored far below the others of their size, kept in the mean: {named}; a "
                "worth that is read there is uncertain"
            )


def failed_words(row: GainRow, metric: MetricInfo) -> str:
    """The seeds whose training scored far below the others, and the median beside the mean; empty without such seeds."""
    named = [
        f"{whose} of {named_seeds(seeds)}"
        for whose, seeds in (("the arm's training", row.failed), ("the placebo's", row.failed_placebo))
        if seeds
    ]
    if not named:
        return ""
    median = shown(row.median, metric, signed=True)
    return f"; {' and '.join(named)} scored far below the others (kept in the mean; median {median})"


def placebo_notes(results: Results) -> list[str]:
    """What a gain is, and what differences from REAL include besides the films."""
    notes = [PLACEBO] if results.gains else []
    if ArmName.FINETUNE.value in results.arms:
        notes.append(
            "FINETUNE trains on synthetic films and then as long as REAL: its difference from REAL includes longer training"
        )
    return notes
