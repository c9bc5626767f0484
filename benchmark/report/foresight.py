"""What so many seeds can tell, before they are trained: from the spread of the placebo curve."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from ..contracts.task import Task
from ..results.curve import FoundCurve
from ..results.gains import PlaceboCurve
from ..results.rows import MetricInfo
from ..significance.paired_tests import MIN_SEEDS
from ..significance.power import least_gain, typical_spread
from .words import metric_title

MORE = (5, 8, 12)
"""Numbers of seeds of which the next one up is told as well."""


def foresight(task: Task, found: FoundCurve | None, seeds: int, makes: Sequence[str] = ()) -> str:
    """What the planned seeds tell of the headline arm with 80 % power, in points of the primary metric and in doublings.
    `makes`: the words of the command that makes the curve, on a line of its own; none where the films have no curve."""
    if seeds < MIN_SEEDS:
        said = "one seed allows" if seeds == 1 else f"{seeds} seeds allow"
        return f"{said} no claim about the generator (use --seeds {MIN_SEEDS})"
    if task.headline is None or found is None:
        said = f"how small a gain {seeds} seeds can show is not known yet"
        return f"{said}; this measures it:\n{shlex.join(makes)}" if makes else said
    near = _near(found.curve, task.headline.arm.value, task.headline.size)
    if near is None:
        where = f"{task.headline.arm} at {task.headline.size}"
        return f"how small a gain {seeds} seeds can show is not known: the curve has no {where}"
    spread, slope = near
    counts = list(found.curve.scores(task.headline.arm.value))
    span = float(np.log2(max(counts) / min(counts)))
    metric = MetricInfo.model_validate(asdict(next(one for one in task.metrics if one.name == task.primary)))
    factor, unit = (100.0, f"points of {metric_title(metric)}") if metric.percent else (1.0, metric_title(metric))

    def told(count: int) -> str:
        gain = least_gain(spread, count)
        steep = slope > 0 and gain / slope < span
        doublings = f" ({gain / slope:.2g} doublings of the real films)" if steep else ""
        return f"{gain * factor:.2g} {unit}{doublings}"

    more = next((count for count in MORE if count > seeds), None)
    words = (
        f"with {seeds} seeds a gain of {told(seeds)} is found in four runs of five "
        f"({task.headline.arm}, {task.headline.size})"
    )
    return f"{words}; with {more} seeds one of {told(more)}" if more is not None else words


def _near(curve: PlaceboCurve, arm: str, size: str) -> tuple[float, float] | None:
    """(spread over seeds of a difference of two trainings, score per doubling) of a curve near a size; None where it has no
    neighbours or one seed. Two sizes of one seed share its luck as an arm and its placebo do."""
    points = curve.scores(arm)
    films = next((point.films for point in curve.points if (point.arm, point.size) == (arm, size)), None)
    if films is None:
        return None
    sizes = sorted(points)
    place = int(np.argmin([abs(one - films) for one in sizes]))
    low, high = sizes[max(place - 1, 0)], sizes[min(place + 1, len(sizes) - 1)]
    pairs = [(one, sizes[place]) for one in (low, high) if one != sizes[place]]
    differences = [[points[a][seed] - points[b][seed] for seed in points[a] if seed in points[b]] for a, b in pairs]
    spread = typical_spread(differences)
    if not spread:
        return None
    means = [float(np.mean(list(points[one].values()))) for one in (low, high)]
    return spread, (means[1] - means[0]) / float(np.log2(high / low))
