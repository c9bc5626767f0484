"""The figures of a run: per-film scores as box plots, differences against REAL as a forest plot, training curves.

Drawn with matplotlib's object interface (no display, no global state), one panel a figure so that a page can put them
side by side or below each other. The same run gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, MaxNLocator, NullFormatter

from ..data.contact_sheet import organ_colours
from ..metrics.scores import case_scores
from ..results.rows import MetricInfo, PairedRow, Results, words
from ..runs.job import PLACEBO
from .words import metric_title

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from ..results.folder import PlotRow

WIDTH = 4.8  # inches of a figure
TRAIN_WIDTH = 3.5
PLOT_WIDTH = 2.7
FILM_WIDTH, ORGAN_WIDTH, TITLE = 1.15, 1.15, 0.28  # inches of a film, of an organ's name, of a line of text
SVG: Any = {"svg.hashsalt": "cxrbench", "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 9.0}
NOT_LOSSES = {"step", "images_per_second"}
LOG_SPAN = 50  # a curve of positive values that spans more than this is drawn on a logarithmic axis


@dataclass(frozen=True)
class Theme:
    """Colours of a figure on a transparent ground; a page replaces them by its own (see `page.inline_svg`)."""

    ink: str
    faint: str
    grid: str
    arms: dict[str, str]
    lines: tuple[str, ...]


LIGHT = Theme(
    ink="#1b2430",
    faint="#5b6673",
    grid="#dfe4ea",
    arms={"real": "#6b7684", "synthetic": "#c2570c", "finetune": "#0f6fb8", "mixed": "#1a7f4b"},
    lines=("#0f6fb8", "#c2570c", "#1a7f4b", "#8a4fbf", "#8c6d00", "#b3345f"),
)


def svg(figure: Figure) -> bytes:
    """A figure as SVG; transparent, without a date. The layout is found here, once, and kept for `png`."""
    buffer = io.BytesIO()
    with mpl.rc_context(SVG):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        figure.set_layout_engine("none")
    return buffer.getvalue()


def png(figure: Figure) -> bytes:
    """A figure as PNG at 200 dots per inch on white."""
    buffer = io.BytesIO()
    with mpl.rc_context(SVG):
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def panel(width: float, height: float, theme: Theme) -> tuple[Figure, Axes]:
    """A figure of so many inches with one drawing, in the theme's colours."""
    figure = Figure(figsize=(width, height), dpi=200, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.set_facecolor("none")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(theme.grid)
    axes.tick_params(colors=theme.faint, labelcolor=theme.ink, length=0)
    axes.set_axisbelow(True)
    return figure, axes


def scale(metric: MetricInfo) -> float:
    """Factor from a metric's value to what is shown."""
    return 100.0 if metric.percent else 1.0


# ------------------------------------------------------------------------------------------------------- box plots


def box_plot(results: Results, scores: pd.DataFrame, size: str, metric: MetricInfo, theme: Theme) -> Figure | None:
    """Per-film scores of one size: a group per structure, a box per arm (median, quartiles, whiskers at 1.5 IQR).

    Outliers are dots; dots far below are drawn too, so the axis holds every film. None without scores.
    """
    structures = results.task.structures
    mine = scores[scores["size"] == size]
    by_arm = {arm: case_scores(mine[mine["arm"] == arm], structures, metric.name) for arm in results.arms_of(size)}
    by_arm = {arm: table for arm, table in by_arm.items() if len(table)}
    if not by_arm:
        return None
    with mpl.rc_context(SVG):
        figure, axes = panel(max(WIDTH, 0.24 * len(structures) * len(by_arm) + 1), 3.1, theme)
        slot = 0.8 / len(by_arm)
        for index, (arm, table) in enumerate(by_arm.items()):
            colour = theme.arms.get(arm, theme.ink)
            places = np.arange(len(structures)) - 0.4 + slot * (index + 0.5)
            columns = [table[name].dropna().to_numpy() * scale(metric) for name in structures]
            axes.boxplot(
                columns,
                positions=places,
                widths=slot * 0.72,
                patch_artist=True,
                boxprops={"facecolor": _mixed(colour, 0.28), "edgecolor": colour, "linewidth": 1.2},
                medianprops={"color": colour, "linewidth": 2.2},
                whiskerprops={"color": colour, "linewidth": 1.0},
                capprops={"color": colour, "linewidth": 1.0},
                flierprops={
                    "marker": "o",
                    "markersize": 2.6,
                    "markerfacecolor": colour,
                    "markeredgecolor": "none",
                    "alpha": 0.65,
                },
                manage_ticks=False,
            )
            axes.plot([], [], color=colour, linewidth=6, alpha=0.75, label=arm.upper())
        axes.set_xticks(np.arange(len(structures)), [axis_label(words(name)) for name in structures])
        if len(structures) > 6:
            axes.tick_params(axis="x", labelrotation=60)
        axes.set_xlim(-0.55, len(structures) - 0.45)
        axes.grid(axis="y", color=theme.grid, linewidth=0.8)
        axes.set_ylabel(f"{axis_label(metric_title(metric))} per film", color=theme.ink)
        legend(figure, axes, theme, len(by_arm))
    return figure


def _mixed(colour: str, alpha: float) -> tuple[float, float, float, float]:
    red, green, blue = mpl.colors.to_rgb(colour)
    return (red, green, blue, alpha)


def axis_label(text: str) -> str:
    """A name as matplotlib prints it: no mathematics, short enough for an axis."""
    text = text.replace("$", r"\$")
    return text if len(text) <= 24 else f"{text[:23]}…"


def legend(figure: Figure, axes: Axes, theme: Theme, columns: int) -> None:
    """The legend above the drawing."""
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside upper left",
        ncols=columns,
        frameon=False,
        labelcolor=theme.ink,
        handlelength=1.0,
        columnspacing=1.4,
        borderpad=0,
    )


# ------------------------------------------------------------------------------------------------------- differences


def forest_plot(results: Results, size: str, metric: MetricInfo, theme: Theme) -> Figure | None:
    """Mean difference of each arm from REAL per structure with its 95 % BCa interval; filled where p < 0.05 (Holm).

    None without a paired comparison.
    """
    rows = [row for row in results.paired if (row.size, row.metric) == (size, metric.name)]
    rows = [row for row in rows if row.difference is not None]
    arms = [arm for arm in results.arms if any(row.arm == arm for row in rows)]
    order = [*results.task.structures, *(row.structure for row in rows)]
    structures = [name for name in dict.fromkeys(order) if any(row.structure == name for row in rows)]
    if not rows:
        return None
    with mpl.rc_context(SVG):
        figure, axes = panel(WIDTH, 0.75 + 0.2 * len(rows) + 0.14 * len(structures), theme)
        for index, arm in enumerate(arms):
            colour = theme.arms.get(arm, theme.ink)
            for row in (row for row in rows if row.arm == arm):
                place = structures.index(row.structure) + (index - (len(arms) - 1) / 2) * 0.8 / max(len(arms), 1)
                _interval(axes, row, place, scale(metric), colour)
            axes.plot([], [], color=colour, marker="o", linewidth=1.6, markersize=5, label=f"{arm.upper()} − REAL")
        axes.axvline(0, color=theme.faint, linewidth=1.2, zorder=1)
        for border in np.arange(len(structures) - 1) + 0.5:
            axes.axhline(border, color=theme.grid, linewidth=0.8)
        axes.set_yticks(np.arange(len(structures)), [axis_label(words(name)) for name in structures])
        axes.set_ylim(len(structures) - 0.5, -0.5)
        axes.grid(axis="x", color=theme.grid, linewidth=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        better = "right is better" if metric.higher_is_better else "left is better"
        unit = "points of " if metric.percent else ""
        axes.set_xlabel(f"difference in {unit}{axis_label(metric_title(metric))} ({better})", color=theme.ink)
        legend(figure, axes, theme, len(arms))
    return figure


def _interval(axes: Axes, row: PairedRow, place: float, factor: float, colour: str) -> None:
    assert row.difference is not None
    if row.low is not None and row.high is not None:
        axes.plot([row.low * factor, row.high * factor], [place, place], color=colour, linewidth=1.8, zorder=2)
    told = row.p_holm is not None and row.p_holm < 0.05
    axes.plot(
        [row.difference * factor],
        [place],
        marker="o",
        markersize=5.5,
        color=colour,
        markerfacecolor=colour if told else "white",
        markeredgewidth=1.5,
        zorder=3,
    )


# ------------------------------------------------------------------------------------------------------- curves


def unit_plot(row: PlotRow, theme: Theme) -> Figure:
    """Curves in the unit square, one an arm, with a dashed diagonal where the plot asks for it."""
    with mpl.rc_context(SVG):
        figure, axes = panel(PLOT_WIDTH, PLOT_WIDTH + 0.35, theme)
        if row.diagonal:
            axes.plot([0, 1], [0, 1], color=theme.faint, linewidth=0.9, linestyle="--")
        for arm, (x, y) in row.curves.items():
            axes.plot(x, y, color=theme.arms.get(arm, theme.ink), linewidth=1.5, label=arm.upper())
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.01)
        axes.set_aspect("equal")
        axes.grid(color=theme.grid, linewidth=0.8)
        axes.set_xlabel(axis_label(row.x_label), color=theme.ink)
        axes.set_ylabel(axis_label(row.y_label), color=theme.ink)
        legend(figure, axes, theme, 2)
    return figure


def curve_plot(rows: pd.DataFrame, theme: Theme, *, along: str = "step", dots: bool = False) -> Figure | None:
    """Trainings of one kind (columns `arm, seed, fold, step, loss, value`): a colour per loss, a thin line per training,
    that of a placebo dotted and paler. `along`: what the steps are; `dots`: whether every value is marked."""
    rows = rows[~rows["loss"].isin(NOT_LOSSES) & np.isfinite(rows["value"])]
    if rows.empty:
        return None
    names = list(dict.fromkeys(rows["loss"]))
    with mpl.rc_context(SVG):
        figure, axes = panel(TRAIN_WIDTH, 2.5, theme)
        for index, name in enumerate(names):
            colour = theme.lines[index % len(theme.lines)]
            style = ("-", "--", ":")[index // len(theme.lines) % 3]
            label = axis_label(words(str(name)))
            labels = {False: label, True: f"{label}, copies"}
            for placebo, line in _trainings(rows[rows["loss"] == name]):
                axes.plot(
                    line["step"],
                    line["value"],
                    color=colour,
                    linestyle=":" if placebo else style,
                    alpha=0.55 if placebo else 1.0,
                    marker="." if dots or len(line) < 3 else "",
                    linewidth=1.2,
                    label=labels.pop(placebo, None),
                )
        values = rows["value"].to_numpy()
        if values.min() > 0 and values.max() / values.min() > LOG_SPAN:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.grid(color=theme.grid, linewidth=0.8)
        axes.tick_params(which="both", length=0)
        axes.set_xlabel(along, color=theme.ink)
        legend(figure, axes, theme, 2)
    return figure


def _trainings(rows: pd.DataFrame) -> Iterator[tuple[bool, pd.DataFrame]]:
    """(whether it is a placebo, its rows) of every training of one loss. A step that goes back begins another one: tables
    made before placebos had their own name there have several under one arm, seed and fold."""
    for (arm, _, _), found in rows.groupby(["arm", "seed", "fold"], sort=False):
        for _, line in found.groupby((found["step"].diff() < 0).cumsum(), sort=False):
            yield str(arm).startswith(PLACEBO), line


def curve_rows(curves: pd.DataFrame, owner: str, group: tuple[str, str, str]) -> pd.DataFrame:
    """What `curve_plot` draws of one of `curve_groups`: the arm's own trainings and its placebo's."""
    size, arm, curve = group
    place = (curves["owner"] == owner) & (curves["size"] == size) & (curves["curve"] == curve)
    return curves[place & curves["arm"].isin([arm, PLACEBO + arm])]


def curve_groups(curves: pd.DataFrame, owner: str) -> list[tuple[str, str, str]]:
    """(size, arm, curve) of the trainings of an owner (`provider` or `downstream`), in order; placebos with their arms."""
    mine = curves[(curves["owner"] == owner) & ~curves["arm"].str.startswith(PLACEBO)]
    places: Sequence[tuple[str, str, str]] = list(zip(mine["size"], mine["arm"], mine["curve"], strict=True))
    return list(dict.fromkeys(places))


# ------------------------------------------------------------------------------------------------------------ films


def film_rows(rows: Sequence[tuple[str, Sequence[np.ndarray]]], organs: Sequence[str], theme: Theme) -> Figure:
    """Rows of films, each below its title: uint8 (H, W) or (H, W, 3), square; the names of `organs` in the colours of their
    outlines."""
    across = max(len(films) for _, films in rows)
    with mpl.rc_context(SVG):
        height = len(rows) * (FILM_WIDTH + TITLE) + (TITLE if organs else 0.0)
        figure = Figure(figsize=(across * FILM_WIDTH, height), dpi=200, facecolor="white")
        for number, (title, films) in enumerate(rows):
            top = height - number * (FILM_WIDTH + TITLE)
            figure.text(0.0, (top - TITLE / 2) / height, title, color=theme.ink, va="center")
            for place, film in enumerate(films):
                box = (place / across, (top - TITLE - FILM_WIDTH) / height, 0.98 / across, FILM_WIDTH / height)
                axes = figure.add_axes(box)
                axes.imshow(film, cmap="gray", vmin=0, vmax=255, aspect="equal")
                axes.set_axis_off()
        for place, (organ, colour) in enumerate(zip(organs, organ_colours(organs), strict=True)):
            x, patch = place * ORGAN_WIDTH / (across * FILM_WIDTH), tuple(part / 255 for part in colour)
            figure.text(x, TITLE / 2 / height, "\u25a0", color=patch, va="center")
            figure.text(
                x + 0.16 / (across * FILM_WIDTH), TITLE / 2 / height, words(organ), color=theme.ink, va="center"
            )
    return figure
