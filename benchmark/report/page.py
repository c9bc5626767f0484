"""The report's page: what the template `report.html.j2` is given, and the figures it shows.

The page asks nobody for anything: styles, drawings (inline SVG) and films (data URIs) are in it. Names that users choose
reach it through the template's escaping alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.sizes import FULL
from ..metrics.scores import AVERAGE
from ..results.rows import FoldRow, PairedRow, Results, SizeInfo, Status, words
from ..significance.paired_tests import stars
from . import elsewhere_words, fidelity_words, gain_words, page_drawings, precision_words
from . import table_shapes as layout
from . import words as wording
from .glossary import glossary
from .page_films import film_context
from .page_glance import cards

if TYPE_CHECKING:
    from jinja2 import Environment

COLUMNS = 7  # so many numbers with their deviations stand side by side on a page of 1280 pixels
MANY_BOXES = 24  # above it, box plots need the whole width of the page


@dataclass
class Report:
    """A page and the files of `figures/` it was made with."""

    html: str
    figures: dict[str, bytes] = field(default_factory=dict)


def build(folder: Path, results: Results) -> Report:
    """The page of a run's folder (its scores, curves and films are read from there)."""
    drawn = page_drawings.Drawer()
    context = {
        "results": results,
        "worths": [*page_drawings.worths(results, drawn), *page_drawings.ratios(results, drawn)],
        "boxes": page_drawings.boxes(results, folder, drawn),
        "forests": page_drawings.forests(results, drawn),
        "training": page_drawings.training(results, folder, drawn),
        "samplers": page_drawings.samplers(results, folder, drawn),
        "plots": page_drawings.plots(results, folder, drawn),
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


def _numbers(results: Results) -> dict[str, Any]:
    primary = results.task.metric(results.task.primary)
    headline = layout.headline_metrics(results)
    rest = [metric for metric in results.shown_metrics if metric not in headline]
    seconds = [cell.seconds for cell in results.cells if cell.seconds is not None]
    return {
        "primary": primary,
        "cards": {info.size: cards(results, info.size) for info in results.sizes},
        "words_used": glossary(results),
        "protocol": wording.protocol_words(results.task, results.data),
        "seeds": wording.seeds_words(results.seeds),
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
            *wording.without_real(results),
            *wording.marks(results),
            *wording.fold_sentences(results),
            *wording.further_remarks(results),
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
        "full": FULL,
        "rule": results.task.rule,
        "downstream_seconds": sum(seconds),
        "command": shlex.join(results.command),
        "settings": _settings(results),
        "average": AVERAGE,
        "machines": _machines(results),
        "blocks": (blocks := _blocks(results)),
        "columns": max((sum(len(results.arms_of(info.size)) for info in block) for block in blocks), default=0),
        "many": len(results.structures) * len(results.arms) > MANY_BOXES,
    }


def _blocks(results: Results) -> list[list[SizeInfo]]:
    """The sizes that stand side by side in the table, as many as a page is wide enough for; the others below them."""
    blocks: list[list[SizeInfo]] = []
    columns = 0
    for info in results.sizes:
        arms = len(results.arms_of(info.size))
        if not blocks or columns + arms > COLUMNS:
            blocks.append([])
            columns = 0
        blocks[-1].append(info)
        columns += arms
    return blocks


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
                "interval": wording.interval(row.low, row.high, metric) or "–",
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
