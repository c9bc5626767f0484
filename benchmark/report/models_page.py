"""The folder of models side by side: `models.json`, tables, figures, and the page `report.html`, which asks nobody for
anything."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..contracts.task import Plot
from ..files import write_bytes
from ..metrics.scores import AVERAGE, COLUMNS
from ..results.finished import REAL, Harvest
from ..results.folder import PlotRow
from ..results.models import Models, harvests_of, scores_of
from ..results.rows import words
from ..runs.side_by_side import Variant
from ..runs.store import Level
from . import figures
from . import models_words as said
from . import words as wording
from .figures import LIGHT
from .page import environment
from .page_drawings import Drawer, Panel
from .pictures import ILLUSTRATIONS_FILE

RESULTS, PAGE = "models.json", "report.html"


@dataclass(frozen=True)
class Shot:
    """A picture of what a model does with a test film: as a data URI, its model and its caption."""

    label: str
    caption: str
    source: str


def write_models(folder: Path, models: Models, variants: Sequence[Variant]) -> Path:
    """Write everything, `models.json` last; the path of the page."""
    harvests, drawn = harvests_of(variants), Drawer()
    plots = [(said.size_title(models, size), _panels(models, variants, harvests, size, drawn)) for size in models.sizes]
    maps = [(said.size_title(models, size), _maps(variants, harvests, size)) for size in models.sizes]
    context = {
        "models": models,
        "phantom": wording.PHANTOM,
        "colours": _colours(models),
        "tables": [_table(models, size) for size in models.sizes],
        "sentences": [*said.averages(models), *said.notes(models)],
        "plots": [(title, panels) for title, panels in plots if panels],
        "maps": [(title, [[_shot(one) for one in row] for row in rows]) for title, rows in maps if rows],
        "tests": _tests(models),
        "rule": models.task.rule,
    }
    for name, text in said.table_files(models).items():
        write_bytes(folder / "tables" / name, text.encode())
    write_bytes(folder / "tables" / "scores.parquet", _scores(variants, harvests))
    for name, content in drawn.files.items():
        write_bytes(folder / "figures" / name, content)
    for _, rows in maps:
        for number, row in enumerate(rows):
            for label, pixels, _ in row:
                write_bytes(folder / "figures" / "maps" / f"{number:02d}-{_stem(label)}.png", _png(pixels))
    page = environment().get_template("models.html.j2").render(context)
    write_bytes(folder / PAGE, page.encode())
    write_bytes(folder / RESULTS, (models.model_dump_json(by_alias=True, indent=1) + "\n").encode())
    return folder / PAGE


def _table(models: Models, size: str) -> tuple[str, str, list[str], list[said.Line], int]:
    """Size, title, headings, rows, and the column that the differences begin with."""
    lines = list(said.lines_of(models, size))
    return size, said.size_title(models, size), said.headings(models, size), lines, 2 + len(models.columns)


def _colours(models: Models) -> dict[str, str]:
    return {column.label: LIGHT.lines[number] for number, column in enumerate(models.columns)}


def _tests(models: Models) -> list[dict[str, Any]]:
    rows = []
    for one in models.tests:
        metric = models.task.metric(one.metric)
        low, high = (wording.shown(value, metric, signed=True) for value in (one.low, one.high))
        place = f"{one.size}, {wording.metric_title(metric)} {words(one.structure)}" if len(models.sizes) > 1 else ""
        numbers = {
            name: wording.probability(getattr(one, name)) for name in ("p", "p_holm", "p_second", "p_second_holm")
        }
        rows.append(
            {
                **numbers,
                "pair": said.pair_title((one.a, one.b)),
                "row": place or f"{wording.metric_title(metric)} {words(one.structure)}",
                "n": one.n,
                "difference": wording.shown(one.difference, metric, signed=True),
                "interval": "–" if one.low is None or one.high is None else f"{low} to {high}",
                "test": one.test or one.note,
                "second": one.second,
                "average": one.structure == AVERAGE,
            }
        )
    return rows


# ------------------------------------------------------------------------------------------------------- curves


def _panels(
    models: Models, variants: Sequence[Variant], harvests: Sequence[Harvest], size: str, drawn: Drawer
) -> list[Panel]:
    """The task's own curves with a line a model."""
    plots = harvests[0].plan.task.plots(scores_of(variants, harvests, size))
    return [_panel(models, plot, size, drawn) for plot in plots]


def _panel(models: Models, plot: Plot, size: str, drawn: Drawer) -> Panel:
    named = _with_numbers(models, plot, size)
    colours = _colours(models)
    theme = replace(LIGHT, arms={named[label]: colours[label] for label in plot.curves})
    row = PlotRow(
        size=size,
        title=plot.title,
        x_label=plot.x_label,
        y_label=plot.y_label,
        diagonal=plot.diagonal,
        curves={named[label]: (x.tolist(), y.tolist()) for label, (x, y) in plot.curves.items()},
    )
    alt = f"{plot.title}: {plot.y_label} against {plot.x_label} for {', '.join(row.curves)}."
    return Panel(plot.title, drawn.add(f"plot-{size}-{plot.title}", figures.unit_plot(row, theme)), alt)


def _with_numbers(models: Models, plot: Plot, size: str) -> Mapping[str, str]:
    """The models' names, each with its number of the primary metric where the drawing is of a row of the table."""
    metric = models.task.metric(models.task.primary)
    structure = next((name for name in models.structures if words(name) == plot.title), None)
    named = {}
    for column in models.columns:
        row = models.value(column, size, metric.name, structure) if structure else None
        value = "" if row is None or row.value is None else f" {wording.shown(row.value, metric)}"
        named[column.label] = f"{column.label}{value}"
    return named


# ------------------------------------------------------------------------------------------------------- pictures


def _maps(
    variants: Sequence[Variant], harvests: Sequence[Harvest], size: str
) -> list[list[tuple[str, np.ndarray, str]]]:
    """The task's pictures of the same test films under each model, a row a film: (model, pixels, caption). None where one
    has none, or others."""
    columns = []
    for variant, harvest in zip(variants, harvests, strict=True):
        cells = [cell for cell in harvest.cells(size, REAL) if cell.key in harvest.records]
        path = harvest.store.path(Level.RECORDS, cells[0].key) / ILLUSTRATIONS_FILE if cells else None
        if path is None or not path.is_file():
            return []
        with np.load(path, allow_pickle=False) as kept:
            pictures, captions = kept["pictures"], kept["captions"]
        columns.append([(variant.label, pixels, str(text)) for pixels, text in zip(pictures, captions, strict=True)])
    if len({len(column) for column in columns}) > 1:
        return []
    return [list(row) for row in zip(*columns, strict=True)]


def _shot(picture: tuple[str, np.ndarray, str]) -> Shot:
    label, pixels, caption = picture
    return Shot(label, caption, f"data:image/png;base64,{base64.b64encode(_png(pixels)).decode()}")


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def _stem(label: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in label)


def _scores(variants: Sequence[Variant], harvests: Sequence[Harvest]) -> bytes:
    """The scores of every test film, with the model's name in a column of its own."""
    import pandas as pd

    parts = [harvest.scores.assign(model=variant.label) for variant, harvest in zip(variants, harvests, strict=True)]
    buffer = io.BytesIO()
    pd.concat(parts, ignore_index=True)[["model", *COLUMNS]].to_parquet(buffer, index=False)
    return buffer.getvalue()
