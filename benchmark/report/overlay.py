"""Training losses of several runs in one drawing, a panel a loss (as Fig. 5 of Kumar and Triana Martinez lays beta = 1, 0.1
and 0.002 over each other), and the numbers behind it. Runs need not be comparable otherwise: it shows, and tests nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, MaxNLocator, NullFormatter

from ..errors import InputError, unknown
from ..results.folder import load_curves
from ..results.rows import words
from .comparison import Run
from .figures import LIGHT, LOG_SPAN, NOT_LOSSES, SVG, Theme, axis_label

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = ("run", "folder", "size", "fold", "seed", "curve", "loss", "step", "value")
PANEL, ACROSS, MOST = 3.4, 3, 12


def overlay(runs: Sequence[Run], size: str | None = None) -> tuple[pd.DataFrame, Figure]:
    """The losses of the runs' providers, rows with `COLUMNS` (a run by the label that tells it from the others), and a
    figure with a panel a loss and a colour a run. `size`: of which training set; by default the first of the first run.
    InputError where a run has none."""
    import pandas as pd

    if len(runs) < 2:
        raise InputError("curves of one run are in its report; give two runs or more")
    if len(runs) > MOST:
        raise InputError(f"{len(runs)} runs in one drawing cannot be told apart; give {MOST} at most")
    size = size or runs[0].results.sizes[0].size
    parts = []
    for run, label in zip(runs, labels(runs), strict=True):
        curves = load_curves(run.folder)
        curves = curves[curves["owner"] == "provider"]
        sizes = list(dict.fromkeys(curves["size"]))
        if not sizes:
            raise InputError(f"{run.folder}: its provider {run.results.provider.name} has no training curves")
        if size not in sizes:
            raise unknown("size", size, sizes, f"curves of {run.folder}")
        mine = curves[(curves["size"] == size) & ~curves["loss"].isin(NOT_LOSSES) & np.isfinite(curves["value"])]
        parts.append(mine.assign(run=label, folder=run.folder.resolve().name))
    rows = pd.concat(parts, ignore_index=True)[list(COLUMNS)]
    return rows, _figure(rows, LIGHT)


def labels(runs: Sequence[Run]) -> list[str]:
    """What tells the runs from each other: the provider and the settings in which they differ, else their folders."""
    found = [_flat(run.results.provider.settings) for run in runs]
    every = list(dict.fromkeys(name for settings in found for name in settings))
    different = [name for name in every if len({str(settings.get(name)) for settings in found}) > 1]
    names = [run.results.provider.title for run in runs]
    if len(set(names)) == 1 and different:
        made = [", ".join(f"{key}={one[key]}" for key in different if key in one) or names[0] for one in found]
    else:
        made = names
    folders = [run.folder.resolve().name for run in runs]
    twice = {label for label in made if made.count(label) > 1}
    return [f"{label} ({folder})" if label in twice else label for label, folder in zip(made, folders, strict=True)]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return found


def _figure(rows: pd.DataFrame, theme: Theme) -> Figure:
    panels = list(dict.fromkeys(zip(rows["curve"], rows["loss"], strict=True)))
    names = list(dict.fromkeys(rows["run"]))
    across = min(ACROSS, len(panels))
    down = -(-len(panels) // across)
    with mpl.rc_context(SVG):
        height = 2.6 * down + 0.25 * (1 + len(names) // 3)
        figure = Figure(figsize=(PANEL * across, height), dpi=200, layout="constrained", facecolor="white")
        every = figure.subplots(down, across, squeeze=False).flatten()
        several = len({curve for curve, _ in panels}) > 1
        for axes, (curve, loss) in zip(every, panels, strict=False):
            title = f"{curve}: {words(str(loss))}" if several else words(str(loss))
            _panel(axes, rows[(rows["curve"] == curve) & (rows["loss"] == loss)], names, theme, title)
        for axes in every[len(panels) :]:
            axes.set_visible(False)
        lines = [
            every[0].plot([], [], color=_colour(theme, n), linestyle=_style(theme, n))[0] for n in range(len(names))
        ]
        shown = [axis_label(name) if len(names) > 3 else name.replace("$", r"\$") for name in names]
        figure.legend(lines, shown, loc="outside upper left", ncols=3, frameon=False, labelcolor=theme.ink)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, names: Sequence[str], theme: Theme, title: str) -> None:
    """One loss: a line a run, seed and fold; the seeds and folds of a run in its colour."""
    for (name, _, _), line in rows.groupby(["run", "seed", "fold"], sort=False):
        number = names.index(str(name))
        style, marker = _style(theme, number), "." if len(line) < 3 else ""
        axes.plot(
            line["step"], line["value"], color=_colour(theme, number), linestyle=style, marker=marker, linewidth=1.2
        )
    values = rows["value"].to_numpy()
    if values.min() > 0 and values.max() / values.min() > LOG_SPAN:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(color=theme.grid, linewidth=0.8)
    axes.tick_params(which="both", length=0, colors=theme.faint, labelcolor=theme.ink)
    axes.set_title(axis_label(title), color=theme.ink, fontsize=9.0)
    axes.set_xlabel("step", color=theme.ink)


def _colour(theme: Theme, number: int) -> str:
    return theme.lines[number % len(theme.lines)]


def _style(theme: Theme, number: int) -> str:
    return ("-", "--", ":")[number // len(theme.lines) % 3]
