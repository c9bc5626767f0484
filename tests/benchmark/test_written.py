"""A run's folder whose numbers somebody changed: report, comparison and card say so, and do not make it theirs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cxrbench.benchmark.cli.report import compare, report
from cxrbench.benchmark.report.write import write_run, write_views
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.folder import load_run
from cxrbench.benchmark.results.written import WRITTEN, changed_files, not_as_written
from cxrbench.benchmark.runs.store import Store


@pytest.fixture(scope="module")
def made(fabricate_once: Any) -> Any:
    return fabricate_once(seeds=(0, 1))


@pytest.fixture(scope="module")
def written(made: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written") / "run"
    write_run(folder, assemble(made.plan, made.store, ["cxrbench", "run"]), made.plan, made.store)
    return folder


@pytest.fixture
def run(written: Path, tmp_path: Path) -> Path:
    """A copy of the run's folder to change."""
    return Path(shutil.copytree(written, tmp_path / "run"))


def change(folder: Path, *parts: str, digests: bool = True) -> None:
    """Make every number of REAL in some parts of results.json better by 0.05; with `digests` kept as they were."""
    said = json.loads((folder / "results.json").read_bytes())
    for part in parts:
        for row in said[part]:
            if row["arm"] == "real" and row["value"] is not None:
                row["value"] += 0.05
    (folder / "results.json").write_text(json.dumps(said))
    if not digests:
        (folder / WRITTEN).unlink()


def line(folder: Path, store: Store) -> str:
    return not_as_written(folder, load_run(folder), store)


def test_a_folder_as_the_run_wrote_it_has_no_line_and_reports_keep_it_so(run, made):
    assert line(run, made.store) == "" and changed_files(run) == []
    write_views(run, load_run(run))
    assert line(run, made.store) == ""
    (run / WRITTEN).unlink()  # of a run from before it was kept
    assert line(run, made.store) == ""


def test_numbers_changed_anywhere_are_noticed_by_the_digest_alone(run, tmp_path):
    nothing = Store(tmp_path / "nothing")
    change(run, "table", "seed_values")
    assert "run: results.json changed after the run wrote it; `cxrbench run` writes it again" in line(run, nothing)


def test_a_table_that_is_not_the_mean_of_its_seeds_is_noticed_without_digests_and_store(run, tmp_path):
    change(run, "table", digests=False)
    assert "real dsc" in line(run, Store(tmp_path / "nothing")) and "the mean of its seeds is" in line(
        run, Store(tmp_path / "nothing")
    )


def test_consistent_numbers_are_held_against_the_records_of_the_store(run, made):
    change(run, "table", "seed_values", digests=False)
    said = line(run, made.store)
    assert "results.json was changed, or computed elsewhere: full real seed 0 dsc" in said
    assert "its record in the store has 0." in said


def test_case_scores_that_changed_are_noticed_and_digests_that_are_none(run, made):
    (run / "tables/scores.parquet").write_bytes(b"")
    assert "tables/scores.parquet changed after" in line(run, made.store)
    (run / WRITTEN).write_text("[[[")
    assert "tables/written.json changed after" in line(run, made.store)


def test_a_report_of_changed_numbers_warns_and_does_not_make_them_the_runs_own(
    run, made, tmp_path, monkeypatch, capsys
):
    change(run, "table", "seed_values")
    edited = (run / "results.json").read_bytes()
    monkeypatch.chdir(tmp_path)
    report(run / "results.json", format=None, out=None, figure="", size=None, arm=None, open_page=False)
    said = capsys.readouterr().err
    assert said.count("warning: ") == 1 and "results.json changed after the run wrote it" in " ".join(said.split())
    assert (run / "results.json").read_bytes() == edited and changed_files(run) == ["results.json"]
    write_run(run, assemble(made.plan, made.store, ["cxrbench", "run"]), made.plan, made.store)
    assert line(run, made.store) == ""
    compare(str(run), str(run), None, None, None, tmp_path, None, None, False)
    assert "warning" not in capsys.readouterr().err
    change(run, "table")
    compare(str(run), str(run), None, None, None, tmp_path, None, None, False)
    assert "results.json changed" in " ".join(capsys.readouterr().err.split())


def test_a_whole_run_whose_films_are_gone_is_shown_without_them(run, made, tmp_path):
    results = assemble(made.plan, made.store, ["cxrbench", "run"])
    assert len(list((run / "figures/films").glob("full-synthetic-*.png"))) > 0
    store = Store(shutil.copytree(made.store.root, tmp_path / "store", ignore=shutil.ignore_patterns("synthetic")))
    write_run(tmp_path / "again", results, made.plan, store)
    assert load_run(tmp_path / "again") == results and (tmp_path / "again/report.html").is_file()
    assert list((tmp_path / "again/figures/films").glob("full-synthetic-*.png")) == []
