"""The figures of a run one by one, as its report draws them, for a notebook or a paper."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError, unknown
from ..results.folder import FILMS, SAMPLER, load_curves, load_scores
from .figures import LIGHT, box_plot, curve_groups, curve_plot, curve_rows, film_rows, forest_plot, png, svg
from .gain_words import no_worth, without_command
from .ladder import curve_figure, ratio_figure
from .page_films import film_index, read_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..results.rows import MetricInfo, Results

FILMS_A_ROW = 6
Draw = Callable[["Results", Path, str, str], "Figure | None"]


def drawn(results: Results, folder: Path, kind: str | None, size: str | None, arm: str | None) -> Figure:
    """The figure `kind` of a run (None: the first that it has), of a size and arm where it has several (default: those of
    its headline); InputError for a kind, size or arm that it does not have."""
    if kind is not None and kind not in KINDS:
        raise unknown("figure", kind, KINDS)
    own_size, own_arm = results.headline or (results.sizes[0].size, results.arms[-1])
    sizes = [info.size for info in results.sizes]
    for what, name, known in (("size", size, sizes), ("arm", arm, results.arms)):
        if name is not None and name not in known:
            raise unknown(what, name, known)
    place = (results, folder, size or own_size, arm or own_arm)
    for name in KINDS if kind is None else [kind]:
        figure = KINDS[name](*place)
        if figure is not None:
            return figure
    others = [name for name in KINDS if name != kind and kind is not None and KINDS[name](*place) is not None]
    what = "nothing to draw" if kind is None else f"nothing to draw as '{kind}'"
    said = without_command(no_worth(results)) if kind == "worth" else ""
    why = f" ({said})" if said else ""
    raise InputError(f"this run has {what}{why}; it has the figures: {', '.join(others) or 'none'}")


def _worth(results: Results, folder: Path, size: str, arm: str) -> Figure | None:
    if results.curve is None or not results.worths:
        return None
    own = [row for row in results.worths if row.arm == arm]
    marks = [(gain, row) for row in own if (gain := results.gain(row.size, row.arm)) is not None]
    metric = results.task.metric(results.task.primary)
    return curve_figure(results.curve.curve, metric, arms=[arm], marks=marks) if marks else None


def _compared(results: Results) -> MetricInfo | None:
    name = results.paired_primary
    return None if name is None else results.task.metric(name)


def _scores(results: Results, folder: Path, size: str, arm: str) -> Figure | None:
    metric = _compared(results)
    if metric is None or not results.task.rule.per_case:
        return None
    return box_plot(results, load_scores(folder), size, metric, LIGHT)


def _differences(results: Results, folder: Path, size: str, arm: str) -> Figure | None:
    metric = _compared(results)
    return None if metric is None else forest_plot(results, size, metric, LIGHT)


def _ratios(results: Results, folder: Path, size: str, arm: str) -> Figure | None:
    return ratio_figure(results, LIGHT)


def _training(results: Results, folder: Path, size: str, arm: str) -> Figure | None:
    curves = load_curves(folder)
    for one in curve_groups(curves, "downstream"):
        if one[:2] == (size, arm):
            return curve_plot(curve_rows(curves, "downstream", one), LIGHT)
    return None


def _sampler(results: Results, folder: Path, size: str, arm: str) -> Figure | None:
    curves = load_curves(folder)
    mine = curves[(curves["owner"] == SAMPLER) & (curves["size"] == size)]
    return curve_plot(mine, LIGHT, along="steps of the sampler", dots=True)


def _films(results: Results, folder: Path, size: str, arm: str) -> Figure | None:
    index = film_index(folder)
    if index is None:
        return None
    rows, real = [], "Training films of the phantom" if results.data.phantom else "Real training films"
    for group, title in (("real", real), ("synthetic", f"Synthetic films of {results.provider.title}")):
        mine = [one.outlined for one in index.pictures if (one.group, one.size) == (group, size)][:FILMS_A_ROW]
        if mine:
            rows.append((title, [np.asarray(read_picture(folder / FILMS / name)) for name in mine]))
    return film_rows(rows, index.organs, LIGHT) if rows else None


KINDS: Mapping[str, Draw] = {
    "worth": _worth,
    "scores": _scores,
    "differences": _differences,
    "ratios": _ratios,
    "training": _training,
    "sampler": _sampler,
    "films": _films,
}
"""The figures by name: gain and worth on the curve of copies; scores per film; differences from REAL; the gain by the number
of synthetic films; the training of the downstream model of an arm; films by steps of the sampler;
real films above synthetic ones, with the outlines of their masks."""


def figure_bytes(figure: Figure, ending: str) -> bytes:
    """A figure as `svg`, `png` or `pdf`; the same figure gives the same bytes. InputError for another ending."""
    if ending == "svg":
        return svg(figure)
    if ending == "png":
        return png(figure)
    if ending != "pdf":
        raise InputError(f"a figure is written as .svg, .png or .pdf, not as '.{ending}'")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return buffer.getvalue()
