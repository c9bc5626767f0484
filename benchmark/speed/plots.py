"""The figures of `cxrbench throughput`: films a second of every provider, and how they grow with the batch size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..report.figures import SVG, WIDTH, Theme, axis_label, legend, panel
from .rates import Rate, Row, Throughput

KINDS: tuple[tuple[str, Callable[[Row], Rate | None]], ...] = (
    ("training", lambda row: row.training),
    ("sampling", lambda row: row.sampling),
)
STYLES = ("-", "--", ":", "-.")


def rate_plot(found: Throughput, theme: Theme) -> Figure | None:
    """Films a second of every provider at its own batch size, training and sampling: medians with quartiles, on a
    logarithmic axis, the quickest sampler first. None without rates."""
    own = [(row.sampling or row.training, row) for row in found.rows if row.batch is None]
    quickest = sorted([(-rate.films_per_second.median, place) for place, (rate, _) in enumerate(own) if rate])
    rows = [own[place][1] for _, place in quickest]
    if not rows:
        return None
    several = len({row.preset for row in rows}) > 1
    with mpl.rc_context(SVG):
        figure, axes = panel(WIDTH + 1, 0.9 + 0.24 * len(rows), theme)
        for number, (kind, rate_of) in enumerate(KINDS):
            colour, shift = theme.lines[number], 0.16 * (2 * number - 1)
            for place, row in enumerate(rows):
                rate = rate_of(row)
                if rate is not None:
                    spread = rate.films_per_second
                    axes.plot([spread.low, spread.high], [place + shift] * 2, color=colour, linewidth=1.8)
                    axes.plot([spread.median], [place + shift], color=colour, marker="o", markersize=4.5)
            axes.plot([], [], color=colour, marker="o", linewidth=1.8, markersize=4.5, label=kind)
        names = [f"{row.provider}, {row.preset}" if several else row.provider for row in rows]
        axes.set_yticks(np.arange(len(rows)), [axis_label(name) for name in names])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        _logarithmic(axes.xaxis, axes.set_xscale)
        axes.grid(axis="x", color=theme.grid, linewidth=0.8)
        axes.set_xlabel(f"films a second on {found.device.replace('$', '')}", color=theme.ink)
        legend(figure, axes, theme, 2)
    return figure


def batch_plot(found: Throughput, theme: Theme) -> Figure | None:
    """Films a second of training against the batch size, a line a provider. None where nobody has two batch sizes."""
    lines = [(name, points) for name, points in _sweeps(found.rows).items() if len(points) > 1]
    if not lines:
        return None
    with mpl.rc_context(SVG):
        figure, axes = panel(WIDTH + 1, 3.1 + 0.17 * ((len(lines) + 2) // 3), theme)
        for number, (name, points) in enumerate(lines):
            style = STYLES[number // len(theme.lines) % len(STYLES)]
            colour = theme.lines[number % len(theme.lines)]
            xs, ys = zip(*sorted(points.items()), strict=True)
            axes.plot(
                xs, ys, color=colour, linestyle=style, marker="o", markersize=4, linewidth=1.4, label=axis_label(name)
            )
        _logarithmic(axes.xaxis, axes.set_xscale)
        _logarithmic(axes.yaxis, axes.set_yscale)
        axes.set_xticks(sorted({batch for _, points in lines for batch in points}))
        axes.grid(color=theme.grid, linewidth=0.8)
        axes.set_xlabel("films a batch", color=theme.ink)
        axes.set_ylabel("films a second, training", color=theme.ink)
        legend(figure, axes, theme, 3)
    return figure


def _sweeps(rows: Sequence[Row]) -> dict[str, dict[int, float]]:
    """Films a second by batch size, by provider; the own batch size counts where all parts of a fit have the same."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        batches = {part.batch for part in row.parts}
        if row.training is not None and len(batches) == 1:
            name = f"{row.provider}, {row.preset}" if len({one.preset for one in rows}) > 1 else row.provider
            found.setdefault(name, {})[batches.pop()] = row.training.films_per_second.median
    return found


def _logarithmic(axis: mpl.axis.Axis, scale: Callable[[str], object]) -> None:
    scale("log")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(which="both", length=0)
