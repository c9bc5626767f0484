"""The placebo curve as a figure and as text: scores of copies of ever more real films, and where an arm meets them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from scipy.optimize import isotonic_regression

from ..console_tables import as_text, cell, table
from ..results.gains import GainRow, PlaceboCurve, WorthRow
from ..results.rows import MetricInfo, Results
from .figures import LIGHT, SVG, WIDTH, Theme, axis_label, legend, panel, scale
from .gain_words import curve_failures
from .words import metric_title, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..contracts.task import Metric

    AnyMetric = Metric | MetricInfo


def curve_figure(
    curve: PlaceboCurve,
    metric: AnyMetric,
    theme: Theme = LIGHT,
    *,
    arms: Sequence[str] = (),
    marks: Sequence[tuple[GainRow, WorthRow]] = (),
) -> Figure:
    """The placebo of each arm (of `arms`; all by default) against real films on a scale of doublings: a dot a seed, a line
    through the means made monotone. `marks`: arms that a provider's films were measured with: a dot at their real films and
    score, and a horizontal arrow to the real films that score as much, with its interval."""
    info = _info(metric)
    factor = scale(info)
    with mpl.rc_context(SVG):
        figure, axes = panel(WIDTH, 3.3, theme)
        axes.set_xscale("log", base=2)
        sizes: list[float] = []
        for arm in arms or curve.arms:
            points = curve.scores(arm)
            sizes += points
            _placebo(axes, points, factor, theme.arms.get(arm, theme.ink), f"copies, {arm}", info.higher_is_better)
        for gain, worth in marks:
            _mark(axes, gain, worth, factor, theme.arms.get(gain.arm, theme.ink))
        ticks = sorted({round(size, 1) for size in sizes})
        ticks = _apart(ticks)
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
        axes.grid(color=theme.grid, linewidth=0.8)
        axes.set_xlabel(f"real films ({_steps(ticks)})", color=theme.ink)
        axes.set_ylabel(axis_label(metric_title(info)), color=theme.ink)
        legend(figure, axes, theme, 2)
    return figure


def _placebo(
    axes: Axes, points: dict[float, dict[int, float]], factor: float, colour: str, label: str, rising: bool
) -> None:
    sizes = sorted(points)
    for size in sizes:
        values = [value * factor for value in points[size].values()]
        axes.plot([size] * len(values), values, ".", color=colour, alpha=0.35, markersize=4)
    means = np.array([np.mean(list(points[size].values())) for size in sizes]) * factor
    weights = [float(len(points[size])) for size in sizes]
    line = isotonic_regression(means, weights=weights, increasing=rising).x
    axes.plot(sizes, line, color=colour, linewidth=1.6, label=label)


def _mark(axes: Axes, gain: GainRow, worth: WorthRow, factor: float, colour: str) -> None:
    if gain.score is None:
        return
    y = gain.score * factor
    axes.plot(
        [worth.real],
        [y],
        "o",
        color=colour,
        markersize=7,
        markeredgecolor="white",
        zorder=4,
        label=f"{gain.arm.upper()}, {worth.real:.0f} real films",
    )
    if worth.low is not None and worth.high is not None and worth.identified:
        axes.plot(
            [worth.low, worth.high], [y, y], color=colour, linewidth=5, alpha=0.22, solid_capstyle="butt", zorder=2
        )
    if worth.films is not None:
        style = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.4, "shrinkA": 4, "shrinkB": 0}
        axes.annotate("", xy=(worth.films, y), xytext=(worth.real, y), arrowprops=style, zorder=3)


def ratio_figure(results: Results, theme: Theme = LIGHT) -> Figure | None:
    """The gain of the headline arm against its synthetic films for each real one, with 95 % intervals; the task's own number
    is a filled dot. None without ratios."""
    rows = [row for row in results.ratios if row.gain.gain is not None]
    if not rows:
        return None
    metric = results.task.metric(results.task.primary)
    factor, colour = scale(metric), theme.arms.get(rows[0].gain.arm, theme.ink)
    with mpl.rc_context(SVG):
        figure, axes = panel(WIDTH, 2.8, theme)
        axes.set_xscale("log", base=2)
        axes.axhline(0, color=theme.faint, linewidth=1.2)
        places = [row.ratio for row in rows]
        axes.plot(places, [(row.gain.gain or 0.0) * factor for row in rows], color=colour, linewidth=1.2)
        for row in rows:
            gain = row.gain
            if gain.low is not None and gain.high is not None:
                axes.plot([row.ratio] * 2, [gain.low * factor, gain.high * factor], color=colour, linewidth=1.8)
            face = colour if row.own else "white"
            axes.plot([row.ratio], [(gain.gain or 0.0) * factor], "o", color=colour, markerfacecolor=face, zorder=3)
        axes.xaxis.set_major_locator(FixedLocator(_apart(places)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        axes.grid(color=theme.grid, linewidth=0.8)
        axes.set_xlabel("synthetic films for each real one", color=theme.ink)
        axes.set_ylabel(f"gain over copies, {axis_label(metric_title(metric))}", color=theme.ink)
    return figure


def _steps(ticks: Sequence[float]) -> str:
    """What a step from one tick to the next is, where it is the same all along (sizes are whole films: nearly)."""
    doubled = len(ticks) > 1 and all(1.8 <= after / before <= 2.2 for before, after in pairwise(ticks))
    return "each step to the right doubles them" if doubled else "logarithmic scale"


def _apart(ticks: Sequence[float]) -> list[float]:
    """Ticks that leave room for their numbers: those at least 1.3 times the one before."""
    kept: list[float] = []
    for tick in ticks:
        if not kept or tick >= 1.3 * kept[-1]:
            kept.append(tick)
    return kept


def curve_heading(curve: PlaceboCurve, metric: AnyMetric) -> str:
    """What the scores of a curve are."""
    seeds = f"{len(curve.seeds)} seed{'s' * (len(curve.seeds) != 1)}"
    return f"{metric_title(_info(metric))} of copies of real films, mean ± deviation over {seeds}"


def curve_table(curve: PlaceboCurve, metric: AnyMetric) -> tuple[list[str], list[list[str]]]:
    """The curve as a head and a row a size: mean ± deviation over seeds for every arm."""
    scores = {arm: curve.scores(arm) for arm in curve.arms}
    sizes = sorted({size for points in scores.values() for size in points}, reverse=True)
    rows = [
        [f"{size:.0f}", *(_cell(list(points.get(size, {}).values()), _info(metric)) for points in scores.values())]
        for size in sizes
    ]
    return ["real films", *(f"copies, {arm}" for arm in curve.arms)], rows


def curve_lines(curve: PlaceboCurve, metric: AnyMetric) -> Iterator[str]:
    """The curve as a table for the terminal, and what is to be said of its trainings."""
    yield curve_heading(curve, metric)
    head, rows = curve_table(curve, metric)
    made = table(head, left=0)
    for row in rows:
        made.add_row(*map(cell, row))
    yield from as_text(made).plain.splitlines()
    yield from curve_failures(curve, _info(metric))


def _info(metric: AnyMetric) -> MetricInfo:
    return metric if isinstance(metric, MetricInfo) else MetricInfo.model_validate(asdict(metric))


def _cell(values: Sequence[float], metric: MetricInfo) -> str:
    if not values:
        return "–"
    spread = f" ± {shown(float(np.std(values, ddof=1)), metric)}" if len(values) > 1 else ""
    return shown(float(np.mean(values)), metric) + spread
