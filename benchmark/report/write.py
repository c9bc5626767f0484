"""Writes a run's folder: `results.json`, `tables/`, `figures/` and `report.html`.

Everything that a report needs is in the folder (case scores, curves, the films shown), so it can be made again, and
compared with another run, without the store.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import write_bytes
from ..results.finished import Harvest
from ..results.folder import (
    CURVE_COLUMNS,
    CURVES,
    FILMS,
    PLOTS,
    REPORT,
    SAMPLER,
    SCORES,
    PlotFile,
    PlotRow,
    require_run,
    write_results,
)
from ..results.rows import Results
from ..results.written import WRITTEN, changed_files, keep_digests
from ..runs.plan import Plan
from ..runs.record import Curve
from ..runs.store import Level, Store
from . import text_tables as tables

AT_STEPS = re.compile(r"(.+)_at_(\d{1,6})_steps?")

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from .pictures import Film


def write_run(folder: Path, results: Results, plan: Plan, store: Store) -> Path:
    """Write a run's folder (or write it again) and return the path of its report."""
    from .pictures import case_films, illustrations, sample_films, timeline_films

    harvest = Harvest(plan, store)
    write_numbers(folder, harvest)
    cases = case_films(harvest, results)
    films = [*sample_films(harvest), *timeline_films(harvest), *cases, *illustrations(harvest)]
    organs = [] if plan.data.masks is None else list(plan.data.organs)
    _write_films(folder / FILMS, films, organs, results.task.structures if cases else [])
    return write_views(folder, results)


def write_numbers(folder: Path, harvest: Harvest) -> None:
    """Write what the store says and a report or comparison is made of: case scores and training curves. What was written
    down of an earlier run in that folder is forgotten."""
    (folder / WRITTEN).unlink(missing_ok=True)
    write_bytes(folder / SCORES, _parquet(harvest.scores))
    write_bytes(folder / CURVES, _parquet(curves_of(harvest)))
    plots = PlotFile(plots=plots_of(harvest))
    if plots.plots:
        write_bytes(folder / PLOTS, plots.model_dump_json().encode())


def write_views(folder: Path, results: Results) -> Path:
    """Write what follows from a run's results and the files beside them: tables, figures, report; then the results.

    InputError for a run in an entry for the leaderboard."""
    require_run(folder)
    from . import build

    for name, text in table_files(results).items():
        write_bytes(folder / "tables" / name, text.encode())
    report = build(folder, results)
    for name, content in report.figures.items():
        write_bytes(folder / "figures" / name, content)
    write_bytes(folder / REPORT, report.html.encode())
    if not changed_files(folder):  # else what somebody changed would be the run's own from now on
        (folder / WRITTEN).unlink(missing_ok=True)
        write_results(folder, results)
        keep_digests(folder)
    return folder / REPORT


def table_files(results: Results) -> dict[str, str]:
    """The files of `tables/` that hold text, by name."""
    files = {f"table.{ending}": write(results) for ending, write in tables.FORMATS.items()}
    return files | {"tests.csv": tables.tests_csv(results), "cells.csv": tables.models_csv(results.cells)}


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


# ------------------------------------------------------------------------------------------------------- curves


def curves_of(harvest: Harvest) -> pd.DataFrame:
    """All curves that the store has: those of the providers' trainings (from `fit.json`), those of the downstream models'
    (records), and what providers say of their films by steps of the sampler (records)."""
    import pandas as pd

    rows: list[tuple[object, ...]] = []
    fits: set[str] = set()
    samplings: set[str] = set()
    for cell in harvest.plan.cells:
        slot = cell.slot
        if cell.fit_key is not None and cell.fit_key not in fits:
            fits.add(cell.fit_key)
            for name, curve in _fit_curves(harvest.store, cell.fit_key).items():
                rows += _long(("provider", slot.size, slot.fold, "", cell.seed, name), curve)
        record = harvest.records.get(cell.key)
        for name, curve in (record.downstream.curves if record else {}).items():
            rows += _long(("downstream", slot.size, slot.fold, cell.arm, cell.seed, name), curve)
        if record is not None and cell.synthetic_key is not None and cell.synthetic_key not in samplings:
            samplings.add(cell.synthetic_key)
            rows += _by_steps((SAMPLER, slot.size, slot.fold, "", cell.seed, ""), record.checks.get("provider"))
    return pd.DataFrame(rows, columns=CURVE_COLUMNS).astype({"value": float, "step": float})


def _fit_curves(store: Store, key: str) -> Mapping[str, Curve]:
    return store.fit(key).curves if store.path(Level.FITS, key).is_dir() else {}


def _by_steps(place: tuple[object, ...], said: object) -> Iterable[tuple[object, ...]]:
    """A row for each of the figures of a provider that are called `NAME_at_K_steps` (`Provider.facts`)."""
    for name, value in said.items() if isinstance(said, Mapping) else ():
        found = AT_STEPS.fullmatch(str(name))
        if found and isinstance(value, (int, float)):
            yield (*place, float(found[2]), found[1], float(value))


def _long(place: tuple[object, ...], curve: Curve) -> Iterable[tuple[object, ...]]:
    for number, row in enumerate(curve.rows):
        step = row.get("step", float(number))
        for loss, value in row.items():
            if loss != "step":
                yield (*place, step, loss, value)


def plots_of(harvest: Harvest) -> list[PlotRow]:
    """The task's own curves (ROC), from the case scores of the finished cells."""
    rows, scores = [], harvest.scores
    for size in harvest.sizes:
        mine = scores[scores["size"] == size]
        by_arm = {arm: mine[mine["arm"] == arm] for arm in harvest.arms if harvest.done(harvest.cells(size, arm))}
        for plot in harvest.plan.task.plots(by_arm):
            curves = {name: (x.tolist(), y.tolist()) for name, (x, y) in plot.curves.items()}
            labels = {"title": plot.title, "x_label": plot.x_label, "y_label": plot.y_label}
            rows.append(PlotRow(size=size, **labels, diagonal=plot.diagonal, curves=curves))
    return rows


# ------------------------------------------------------------------------------------------------------- films


def _write_films(folder: Path, films: Iterable[Film], organs: list[str], structures: list[str]) -> None:
    """Write every film as PNG, then the index; films of an earlier report that are no longer shown are removed."""
    from .pictures import INDEX, PictureIndex

    kept = []
    for film in films:
        write_bytes(folder / film.picture.plain, _png(film.plain))
        write_bytes(folder / film.picture.outlined, _png(film.outlined))
        kept.append(film.picture)
    index = PictureIndex(organs=organs, case_organs=structures, pictures=kept)
    write_bytes(folder / INDEX, index.model_dump_json(indent=1).encode())
    current = {name for picture in kept for name in (picture.plain, picture.outlined)}
    for path in folder.glob("*.png"):
        if path.name not in current:
            path.unlink(missing_ok=True)


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=4)
    return buffer.getvalue()
