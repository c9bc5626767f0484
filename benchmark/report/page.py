"""The report's page: what the template `report.html.j2` is given, and the figures it shows.

The page asks nobody for anything: styles, drawings (inline SVG) and films (data URIs) are in it. Names that users choose
reach it through the template's escaping alone.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..metrics.scores import AVERAGE
from ..results import folder as run_folder
from ..results.rows import FoldRow, MetricInfo, PairedRow, Results, Status, words
from ..significance.paired_tests import stars
from . import elsewhere_words, fidelity_words, figures, gain_words, precision_words
from . import table_shapes as layout
from . import words as wording
from .figures import LIGHT
from .ladder import curve_figure, ratio_figure
from .page_films import film_context

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup
    from matplotlib.figure import Figure

MANY_BOXES = 24  # above it, box plots need the whole width of the page


@dataclass(frozen=True)
class Panel:
    """A drawing with its heading and its words for those who do not see it."""

    title: str
    drawing: Markup
    alt: str


@dataclass
class Report:
    """A page and the files of `figures/` it was made with."""

    html: str
    figures: dict[str, bytes] = field(default_factory=dict)


def build(folder: Path, results: Results) -> Report:
    """The page of a run's folder (its scores, curves and films are read from there)."""
    drawn = Drawer()
    context = {
        "results": results,
        "worths": [*_worths(results, drawn), *_ratios(results, drawn)],
        "boxes": _boxes(results, folder, drawn),
        "forests": _forests(results, drawn),
        "training": _training(results, folder, drawn),
        "samplers": _samplers(results, folder, drawn),
        "plots": _plots(results, folder, drawn),
        **film_context(results, folder),
        **_numbers(results),
    }
    return Report(environment().get_template("report.html.j2").render(context), drawn.files)


def environment() -> Environment:
    """What renders the templates of this folder: names that users choose are escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__name__.rpartition(".")[0], "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        words=words,
        probability=wording.probability,
        duration=wording.duration,
        amount=wording.amount,
        rate=wording.rate,
        memory=wording.memory,
        stars=stars,
    )
    return environment


# ------------------------------------------------------------------------------------------------------- numbers


@dataclass(frozen=True)
class Card:
    """One arm at a glance: the average of the primary metric and its distance from REAL."""

    arm: str
    value: str
    difference: str = ""
    interval: str = ""
    mark: str = ""
    note: str = ""


def _numbers(results: Results) -> dict[str, Any]:
    primary = results.task.metric(results.task.primary)
    headline = layout.headline_metrics(results)
    rest = [metric for metric in results.shown_metrics if metric not in headline]
    seconds = [cell.seconds for cell in results.cells if cell.seconds is not None]
    return {
        "primary": primary,
        "cards": {info.size: _cards(results, info.size, primary) for info in results.sizes},
        "titles": {info.size: wording.size_title(results, info.size) for info in results.sizes},
        "arm_tables": layout.arm_tables(results),
        "real_films": layout.REAL_FILMS,
        "synthetic_films": layout.SYNTHETIC_FILMS,
        "headline": layout.wide(results, headline),
        "rest": layout.wide(results, rest) if rest else [],
        "metric_title": wording.metric_title,
        "preset_words": wording.preset_words,
        "data_words": wording.data_words,
        "marks": [
            *wording.marks(results),
            *wording.fold_sentences(results),
            *results.task.remarks,
            *wording.kept_larger(results.data),
        ],
        "said": gain_words.headline_sentences(results),
        "fidelity": fidelity_words.fidelity_tables(results),
        "fidelity_notes": fidelity_words.fidelity_notes(results),
        "precision": precision_words.precision_tables(results),
        "precision_notes": precision_words.precision_notes(results),
        "elsewhere": elsewhere_words.tables(results),
        "elsewhere_notes": elsewhere_words.elsewhere_notes(results),
        "gain_headings": gain_words.HEADINGS,
        "gain_lines": gain_words.gain_lines(results),
        "ratio_headings": gain_words.RATIO_HEADINGS,
        "ratio_lines": gain_words.ratio_lines(results),
        "placebo_notes": gain_words.placebo_notes(results),
        "claims": wording.claims(results),
        "against_real": wording.against_real(results),
        "checks": wording.check_notes(results),
        "absent": [(cell, wording.absence(cell)) for cell in wording.absent(results)],
        "done": sum(cell.status is Status.DONE for cell in results.cells),
        "tests": _tests(results, results.paired),
        "placebo_tests": _tests(results, results.paired_placebo),
        "fold_tests": _tests(results, results.fold_tests),
        "phantom": wording.PHANTOM,
        "rule": results.task.rule,
        "downstream_seconds": sum(seconds),
        "command": shlex.join(results.command),
        "settings": _settings(results),
        "average": AVERAGE,
        "machines": _machines(results),
        "columns": sum(len(results.arms_of(info.size)) for info in results.sizes),
        "many": len(results.structures) * len(results.arms) > MANY_BOXES,
    }


def _cards(results: Results, size: str, metric: MetricInfo) -> list[Card]:
    cards = []
    structure = AVERAGE if AVERAGE in results.structures else (results.structures or [AVERAGE])[0]
    for arm in results.arms_of(size):
        row = results.row(size, arm, metric.name, structure)
        if row is None or row.value is None:
            cards.append(Card(arm, "–", note=row.note if row else "missing"))
            continue
        value = wording.shown(row.value, metric) + (f" ± {wording.shown(row.sd, metric)}" if row.sd is not None else "")
        test = results.test(size, arm, metric.name, structure)
        if test is None or test.difference is None:
            cards.append(Card(arm, value, note=test.note if test else ""))
            continue
        cards.append(
            Card(
                arm,
                value,
                difference=wording.shown(test.difference, metric, signed=True),
                interval=_interval(test.low, test.high, metric),
                mark=stars(test.p_holm),
                note=test.note,
            )
        )
    return cards


def _interval(low: float | None, high: float | None, metric: MetricInfo) -> str:
    if low is None or high is None:
        return ""
    return f"{wording.shown(low, metric, signed=True)} to {wording.shown(high, metric, signed=True)}"


def _tests(results: Results, rows: Sequence[PairedRow] | Sequence[FoldRow]) -> list[dict[str, Any]]:
    """The rows of paired tests, or of tests over folds, in words."""
    found = []
    for row in rows:
        metric = results.task.metric(row.metric)
        found.append(
            {
                "row": row,
                "metric": wording.metric_title(metric),
                "difference": wording.shown(row.difference, metric, signed=True),
                "interval": _interval(row.low, row.high, metric) or "–",
            }
        )
    return found


def _machines(results: Results) -> list[str]:
    """Where the provider was fitted and sampled; said once where it is the same for all sizes."""
    said = {
        row.size: f"{row.device}, {row.threads} thread{'s' * (row.threads != 1)}, precision {row.precision}, "
        f"initial weights: {row.weights}"
        for row in results.cost
    }
    if len(set(said.values())) == 1:
        return list(said.values())[:1]
    return [f"{size}: {sentence}" for size, sentence in said.items()]


def _settings(results: Results) -> list[tuple[str, list[tuple[str, str]]]]:
    groups: list[tuple[str, Mapping[str, Any]]] = [
        (f"task {results.task.name}", results.task.settings),
        (f"provider {results.provider.name}", results.provider.settings),
    ]
    return [(title, [(name, str(value)) for name, value in values.items()]) for title, values in groups if values]


# ------------------------------------------------------------------------------------------------------- drawings


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


def _worths(results: Results, drawn: Drawer) -> list[Panel]:
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


def _ratios(results: Results, drawn: Drawer) -> list[Panel]:
    """The gain of the headline arm against the number of its synthetic films."""
    figure = ratio_figure(results, LIGHT)
    if figure is None:
        return []
    return [Panel("by synthetic films", drawn.add("ratios", figure), f"{gain_words.best_ratio(results)}.")]


def _boxes(results: Results, folder: Path, drawn: Drawer) -> list[Panel]:
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


def _forests(results: Results, drawn: Drawer) -> list[Panel]:
    name = results.paired_primary
    if name is None:
        return []
    metric, panels = results.task.metric(name), []
    for info in results.sizes:
        figure = figures.forest_plot(results, info.size, metric, LIGHT)
        if figure is not None:
            rows = [r for r in results.paired if (r.size, r.metric, r.structure) == (info.size, name, AVERAGE)]
            said = "; ".join(
                f"{row.arm} {wording.shown(row.difference, metric, signed=True)} ({_interval(row.low, row.high, metric)})"
                for row in rows
            )
            alt = f"Differences from REAL in {metric.label} with 95 % intervals, {info.size}. Average: {said}."
            panels.append(
                Panel(wording.size_title(results, info.size), drawn.add(f"differences-{info.size}", figure), alt)
            )
    return panels


def _training(results: Results, folder: Path, drawn: Drawer) -> list[tuple[str, list[Panel]]]:
    curves, groups = run_folder.load_curves(folder), []
    for owner, heading in (("provider", f"Provider {results.provider.name}"), ("downstream", "Downstream models")):
        panels = []
        for size, arm, curve in figures.curve_groups(curves, owner):
            place = (curves["owner"] == owner) & (curves["size"] == size) & (curves["arm"] == arm)
            figure = figures.curve_plot(curves[place & (curves["curve"] == curve)], LIGHT)
            if figure is not None:
                named = [size, curve] if not arm or curve.startswith(arm) else [size, arm, curve]
                name = " ".join(["training", owner, *named])
                alt = f"Training curves of {owner} {words(curve)}, {size}."
                panels.append(Panel(words(" · ".join(named)), drawn.add(name, figure, raster=False), alt))
        if panels:
            groups.append((heading, panels))
    return groups


def _samplers(results: Results, folder: Path, drawn: Drawer) -> list[Panel]:
    """What steps of the sampler are worth, as the provider says: a figure a size."""
    curves = run_folder.load_curves(folder)
    rows, panels = curves[curves["owner"] == run_folder.SAMPLER], []
    for size in dict.fromkeys(rows["size"]):
        figure = figures.curve_plot(rows[rows["size"] == size], LIGHT, along="steps of the sampler", dots=True)
        if figure is not None:
            alt = f"Films of {results.provider.name} by steps of the sampler, {size}."
            panels.append(Panel(wording.size_title(results, size), drawn.add(f"sampler-{size}", figure), alt))
    return panels


def _plots(results: Results, folder: Path, drawn: Drawer) -> list[tuple[str, list[Panel]]]:
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
