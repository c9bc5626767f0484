"""Training losses of several runs in one drawing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from cxrbench.benchmark.cli.program import app
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.report.comparison import Run
from cxrbench.benchmark.report.overlay import labels, overlay
from cxrbench.benchmark.report.write import write_numbers
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.finished import Harvest
from cxrbench.benchmark.results.folder import write_results
from cxrbench.benchmark.runs.record import Curve
from cxrbench.benchmark.runs.store import FIT, Level


@pytest.fixture
def runs(fabricate: Any, tmp_path: Path) -> list[Path]:
    """Three runs of one provider at beta 1, 0.1 and 0.002; a run's losses are its beta times the step (and twice that)."""
    folders = []
    for beta in (1.0, 0.1, 0.002):
        made = fabricate(arms=("real", "synthetic"), sizes=("full", "tiny"), seeds=(0, 1))
        curve = Curve(
            rows=[{"step": float(s), "reconstruction": beta * s, "divergence": 2 * beta * s} for s in (1, 2, 3)]
        )
        for cell in made.plan.cells:
            if cell.fit_key:
                path = made.store.path(Level.FITS, cell.fit_key) / FIT
                path.parent.mkdir(parents=True, exist_ok=True)
                fit = json.loads(path.read_text()) if path.is_file() else {}
                fit |= {"curves": {"films": curve.model_dump()}}
                path.write_text(json.dumps(fit))
        results = assemble(made.plan, made.store, [])
        provider = results.provider.model_copy(update={"settings": {"beta": beta, "side": 64, "deep": {"steps": 3}}})
        folder = tmp_path / "runs" / f"beta{beta}"
        write_numbers(folder, Harvest(made.plan, made.store))
        write_results(folder, results.model_copy(update={"provider": provider}))
        folders.append(folder)
    return folders


def opened(folders: list[Path]) -> list[Run]:
    return [Run.open(folder) for folder in folders]


def test_every_run_loss_seed_and_step_is_in_the_data(runs):
    rows, figure = overlay(opened(runs))
    assert list(dict.fromkeys(rows["run"])) == ["beta=1.0", "beta=0.1", "beta=0.002"]
    assert set(rows["size"]) == {"full"} and set(rows["seed"]) == {0, 1}
    one = rows[(rows["run"] == "beta=0.1") & (rows["loss"] == "divergence") & (rows["seed"] == 1)]
    assert one[["step", "value"]].to_numpy().tolist() == [[1, 0.2], [2, 0.4], [3, pytest.approx(0.6)]]
    assert len(rows) == 3 * 2 * 2 * 3
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == ["reconstruction", "divergence"]
    drawn = [line for line in shown[1].lines if len(line.get_xdata())]
    assert len(drawn) == 6 and len({line.get_color() for line in drawn}) == 3  # a colour a run, a line a seed
    assert sorted(drawn[2].get_ydata()) == pytest.approx([0.2, 0.4, 0.6])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["beta=1.0", "beta=0.1", "beta=0.002"]


def test_runs_are_called_by_what_tells_them_apart(runs):
    first, second, _ = opened(runs)
    other = second.results.provider.model_copy(update={"name": "lsgan"})
    gan = replace(second, results=second.results.model_copy(update={"provider": other}))
    assert labels([first, gan]) == ["my_gan", "lsgan"]
    assert labels([first, replace(first, folder=second.folder)]) == ["my_gan (beta1.0)", "my_gan (beta0.1)"]
    deep = first.results.provider.model_copy(update={"settings": {"beta": 1.0, "side": 64, "deep": {"steps": 9}}})
    changed = replace(first, results=first.results.model_copy(update={"provider": deep}))
    assert labels([first, changed]) == ["deep.steps=3", "deep.steps=9"]


def test_a_size_may_be_asked_for_and_what_cannot_be_drawn_is_said(runs):
    assert set(overlay(opened(runs), "tiny")[0]["size"]) == {"tiny"}
    with pytest.raises(InputError, match="unknown size 'half'"):
        overlay(opened(runs), "half")
    with pytest.raises(InputError, match="two runs or more"):
        overlay(opened(runs)[:1])
    path = runs[2] / "tables" / "curves.parquet"
    frame = pd.read_parquet(path)
    frame[frame["owner"] == "downstream"].to_parquet(path, index=False)
    with pytest.raises(InputError, match="provider my_gan has no training curves"):
        overlay(opened(runs))


def test_the_command_writes_the_figure_and_its_data(runs, tmp_path):
    runner, out = CliRunner(), tmp_path / "out"
    words = ["compare", *map(str, runs), "--curves", str(out)]
    done = runner.invoke(app, words, catch_exceptions=False)
    assert "beta=0.002: reconstruction, divergence to step 3" in done.output
    assert len(pd.read_csv(out / "curves.csv")) == 36
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG") and b"<svg" in (out / "curves.svg").read_bytes()
    first = (out / "curves.svg").read_bytes()
    printed = runner.invoke(app, [*words, "--json"], catch_exceptions=False).stdout
    assert len(json.loads(printed)) == 36 and (out / "curves.svg").read_bytes() == first
    failed = runner.invoke(app, ["compare", *map(str, runs)])
    assert isinstance(failed.exception, InputError) and "belong to --curves" in str(failed.exception)
