"""Several runs in one table of a paper: columns in its order, numbers cut as it cuts them, and refusals in one line."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from cxrbench.benchmark.cli.table import table as table_command
from cxrbench.benchmark.contracts.paper_table import PaperTable, cut_after
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.registry import find_task
from cxrbench.benchmark.report.comparison import Run
from cxrbench.benchmark.report.joined_table import as_csv, as_lines, as_markdown, joined_table
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.folder import write_results
from cxrbench.benchmark.results.rows import TableRow
from cxrbench.benchmark.settings import plain
from cxrbench.tasks.localisation_tables import table_2

BOXES = {"Atelectasis": 54, "Pneumothorax": 30}
FOUND = {"real": (1, 2), "pix2pix": (2, 3), "pix2pix_n": (6, 29)}


@pytest.fixture
def run_of(fabricate, tmp_path):
    """A run of nih_localisation at preset paper with windows: k / n of two findings, one more box a window."""
    task = find_task("nih_localisation").load()

    def make(name, preset="paper"):
        made = fabricate(name=name, arms=("real", "mixed"))
        results = assemble(made.plan, made.store, [])
        rows = []
        for arm in ("real", "mixed"):
            for window in (1, 2, 3):
                found = [
                    (k + window - 1) / n
                    for k, n in zip(FOUND["real" if arm == "real" else name], BOXES.values(), strict=True)
                ]
                for structure, value in zip((*BOXES, "average"), (*found, sum(found) / 2), strict=True):
                    place = {"size": "full", "arm": arm, "metric": f"cl_window_{window}", "structure": structure}
                    rows.append(TableRow(**place, value=value, seeds=1))
        said = results.task.model_copy(
            update={"name": task.name, "settings": plain(task.presets[preset]), "structures": list(BOXES)}
        )
        results = results.model_copy(update={"task": said, "table": rows, "preset": preset})
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        write_results(folder, results)
        return Run.open(folder)

    return make


def test_numbers_are_cut_and_not_rounded_and_whole_digits_stay():
    assert cut_after(1 / 54, 3) == "0.018" and f"{1 / 54:.3f}" == "0.019"
    assert cut_after(2 / 30, 3) == "0.066" and cut_after(0.0, 3) == "0.000" and cut_after(1.0, 3) == "1.000"
    assert [cut_after(k / 1000, 3) for k in range(1001)] == [f"{k / 1000:.3f}" for k in range(1001)]


def test_three_protocols_and_three_windows_stand_in_one_table_as_the_paper_prints_it(run_of):
    made = joined_table([run_of("pix2pix"), run_of("pix2pix_n")])
    headings = [column.heading for column in made.columns]
    names = ("Ori", "Ori + pix2pix", "Ori + pix2pix_n")
    assert headings == [f"{name} {steps}" for name in names for steps in ("5k", "10k", "15k")]
    rows = dict(made.sizes[0].rows)
    assert rows["Atelectasis"] == ("0.018", "0.037", "0.055", "0.037", "0.055", "0.074", "0.111", "0.129", "0.148")
    assert rows["Pneumothorax"][0] == "0.066" and list(rows) == ["Atelectasis", "Pneumothorax", "Total"]
    assert rows["Total"][0] == cut_after((1 / 54 + 2 / 30) / 2, 3)
    assert any("cut after 3 decimals" in note for note in made.notes)


def test_it_is_written_in_four_forms(run_of, tmp_path, monkeypatch):
    made = joined_table([run_of("pix2pix"), run_of("pix2pix_n")])
    read = list(csv.DictReader(io.StringIO(as_csv(made))))
    assert read[0]["Ori 5k"] == "0.018" and read[-1]["structure"] == "Total"
    assert "| Atelectasis | 0.018 |" in as_markdown(made) and "Ori + pix2pix_n 15k" in as_lines(made)
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(table_command)
    done = CliRunner().invoke(app, ["runs/pix2pix", "pix2pix_n", "--format", "json"])
    assert done.exit_code == 0, done.output
    assert [column["heading"] for column in json.loads(done.output)["columns"]] == [c.heading for c in made.columns]


def test_what_does_not_belong_together_is_one_line(run_of, fabricate, tmp_path):
    a, quick = run_of("pix2pix"), run_of("pix2pix_n", preset="quick")
    with pytest.raises(InputError, match="preset paper and preset quick cannot be compared"):
        joined_table([a, quick])
    with pytest.raises(InputError, match="no windows of checkpoints"):
        joined_table([quick])
    with pytest.raises(InputError, match="the same run twice"):
        joined_table([a, a])


def test_a_real_arm_that_is_another_is_said(run_of):
    a, b = run_of("pix2pix"), run_of("pix2pix_n")
    rows = [row.model_copy(update={"value": 0.5}) if row.arm == "real" else row for row in b.results.table]
    other = replace(b, results=b.results.model_copy(update={"table": rows}))
    notes = joined_table([a, other]).notes
    assert "REAL of pix2pix_n is another: that of the first run is shown" in notes
    assert not any("is another" in note for note in joined_table([a, b]).notes)


def test_a_task_without_such_a_table_says_so(run_of, monkeypatch):
    run = run_of("pix2pix")
    monkeypatch.setattr(find_task("nih_localisation").load(), "paper_table", classmethod(lambda cls, settings: None))
    with pytest.raises(InputError, match="has no table of several runs"):
        joined_table([run])


def test_windows_have_their_steps_as_headings():
    made = table_2({"detector": {"windows": [2_000, 4_500]}})
    assert isinstance(made, PaperTable) and made.columns == (("cl_window_1", "2k"), ("cl_window_2", "4500"))
