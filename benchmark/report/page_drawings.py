"""The figures on the report's page: each drawn once, for its file in `figures/` and inline for the page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..metrics.scores import AVERAGE
from ..results import folder as run_folder
from ..results.rows import Results, words
from . import figures, gain_words
from . import words as wording
from .figures import LIGHT
from .ladder import curve_figure, ratio_figure

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Panel:
    """A drawing with its heading and its words for those who do not see it."""

    title: str
    drawing: Markup
    alt: str


@dataclass
class Drawer:
    """Draws figures once: a file for `figures/` (SVG and PNG), and an inline drawing whose colours follow the page."""

    files: dict[str, bytes] = field(default_factory=dict)
    count: int = 0

    def add(self, name: str, figure: Figure, *, raster: bool = True) -> Markup:
        """Keep a figure under a name (`file_stem`; numbered where it is taken; `raster`: as PNG too) and return it for the
        page."""
        stem = own = wording.file_stem(name)
        again = 1
        while f"{stem}.svg" in self.files:
            again += 1
            stem = f"{own}-{again}"
        text = figures.svg(figure)
        self.files[f"{stem}.svg"] = text
        if raster:
            self.files[f"{stem}.png"] = figures.png(figure)
        self.count += 1
        return inline_svg(text.decode(), f"d{self.count}-")


def inline_svg(text: str, prefix: str) -> Markup:
    """A matplotlib SVG for use inside a page: no header, metadata, comments or fixed size; ids of its own (`prefix`);
    the theme's colours as the page's variables."""
    from markupsafe import Markup

    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    head, _, body = text.partition(">")
    box = re.search(r'viewBox="[\d. ]+"', head)
    body = re.sub(r'\bid="', f'id="{prefix}', body)
    body = re.sub(r'(xlink:)?href="#', f'href="#{prefix}', body)
    body = body.replace("url(#", f"url(#{prefix}")
    for colour, variable in _variables():
        body = body.replace(colour, f"var({variable})")
    body = re.sub(r">\s+<", "><", body)
    opening = f'<svg aria-hidden="true" focusable="false" {box.group(0) if box else ""}>'
    # Safe: matplotlib escaped every text it drew (as shapes), and its comments, the one place with text, are gone.
    return Markup(opening + body)


def _variables() -> Iterable[tuple[str, str]]:
    yield LIGHT.ink, "--ink"
    yield LIGHT.faint, "--faint"
    yield LIGHT.grid, "--grid"
    yield "#ffffff", "--card"
    yield from ((colour, f"--arm-{arm}") for arm, colour in LIGHT.arms.items())
    yield from (
        (colour, f"--line-{index}") for index, colour in enumerate(LIGHT.lines) if colour not in LIGHT.arms.values()
    )


def worths(results: Results, drawn: Drawer) -> list[Panel]:
    """The placebo curve of every arm that has a worth, with the arm's points and arrows."""
    if results.curve is None or not results.worths:
        return []
    curve, metric, panels = results.curve.curve, results.task.metric(results.task.primary), []
    for arm in dict.fromkeys(row.arm for row in results.worths):
        marks = [
            (gain, row)
            for row in results.worths
            if row.arm == arm and (gain := results.gain(row.size, arm)) is not None
        ]
        figure = curve_figure(curve, metric, LIGHT, arms=[arm], marks=marks)
        alt = f"{metric.label} of copies of real films against their number, with {arm}. " + " ".join(
            f"At {row.size}: {row.sentence}." for _, row in marks
        )
        panels.append(Panel(arm.upper(), drawn.add(f"worth-{arm}", figure), alt))
    return panels


def ratios(results: Results, drawn: Drawer) -> list[Panel]:
    """The gain of the headline arm against the number of its synthetic films."""
    figure = ratio_figure(results, LIGHT)
    if figure is None:
        return []
    return [Panel("by synthetic films", drawn.add("ratios", figure), f"{gain_words.best_ratio(results)}.")]


def boxes(results: Results, folder: Path, drawn: Drawer) -> list[Panel]:
    name = results.paired_primary
    if name is None or not results.task.rule.per_case:
        return []
    metric, scores, panels = results.task.metric(name), run_folder.load_scores(folder), []
    for info in results.sizes:
        figure = figures.box_plot(results, scores, info.size, metric, LIGHT)
        if figure is not None:
            medians = scores[(scores["size"] == info.size) & (scores["metric"] == name)]
            said = "; ".join(
                f"{arm} {wording.shown(float(medians[medians['arm'] == arm]['value'].median()), metric)}"
                for arm in results.arms_of(info.size)
                if (medians["arm"] == arm).any()
            )
            alt = (
                f"Box plots of {metric.label} per film and structure, {info.size}. Medians over all structures: {said}."
            )
            panels.append(Panel(wording.size_title(results, info.size), drawn.add(f"scores-{info.size}", figure), alt))
    return panels


def forests(results: Results, drawn: Drawer) -> list[Panel]:
    name = results.paired_primary
    if name is None:
        return []
    metric, panels = results.task.metric(name), []
    for info in results.sizes:
        figure = figures.forest_plot(results, info.size, metric, LIGHT)
        if figure is not None:
            rows = [r for r in results.paired if (r.size, r.metric, r.structure) == (info.size, name, AVERAGE)]
            told = [(row, wording.interval(row.low, row.high, metric)) for row in rows]
            said = "; ".join(
                f"{row.arm} {wording.shown(row.difference, metric, signed=True)} ({bounds})" for row, bounds in told
            )
            alt = f"Differences from REAL in {metric.label} with 95 % intervals, {info.size}. Average: {said}."
            panels.append(
                Panel(wording.size_title(results, info.size), drawn.add(f"differences-{info.size}", figure), alt)
            )
    return panels


def training(results: Results, folder: Path, drawn: Drawer) -> list[tuple[str, list[Panel]]]:
    curves, groups = run_folder.load_curves(folder), []
    for owner, heading in (("provider", f"Provider {results.provider.name}"), ("downstream", "Downstream models")):
        panels = []
        for size, arm, curve in figures.curve_groups(curves, owner):
            figure = figures.curve_plot(figures.curve_rows(curves, owner, (size, arm, curve)), LIGHT)
            if figure is not None:
                named = [size, curve] if not arm or curve.startswith(arm) else [size, arm, curve]
                name = " ".join(["training", owner, *named])
                alt = f"Training curves of {owner} {words(curve)}, {size}."
                panels.append(Panel(words(" · ".join(named)), drawn.add(name, figure, raster=False), alt))
        if panels:
            groups.append((heading, panels))
    return groups


def samplers(results: Results, folder: Path, drawn: Drawer) -> list[Panel]:
    """What steps of the sampler are worth, as the provider says: a figure a size."""
    curves = run_folder.load_curves(folder)
    rows, panels = curves[curves["owner"] == run_folder.SAMPLER], []
    for size in dict.fromkeys(rows["size"]):
        figure = figures.curve_plot(rows[rows["size"] == size], LIGHT, along="steps of the sampler", dots=True)
        if figure is not None:
            alt = f"Films of {results.provider.name} by steps of the sampler, {size}."
            panels.append(Panel(wording.size_title(results, size), drawn.add(f"sampler-{size}", figure), alt))
    return panels


def plots(results: Results, folder: Path, drawn: Drawer) -> list[tuple[str, list[Panel]]]:
    """The task's own curves, a group a size."""
    groups, rows = [], run_folder.load_plots(folder)
    for info in results.sizes:
        panels = []
        for row in (row for row in rows if row.size == info.size):
            figure = figures.unit_plot(row, LIGHT)
            alt = f"{row.title}: {row.y_label} against {row.x_label} for {', '.join(row.curves)}."
            panels.append(Panel(row.title, drawn.add(f"plot-{info.size}-{row.title}", figure, raster=False), alt))
        if panels:
            groups.append((wording.size_title(results, info.size), panels))
    return groups
