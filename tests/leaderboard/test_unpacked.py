"""`cxrbench submission unpack`: runs of entries as folders that report and compare take, which refuse entries themselves."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from cxrbench.benchmark.cli import app
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.results.folder import load_run, load_scores
from cxrbench.leaderboard.unpacked import unpack

from .taken_apart import run_folder

runner = CliRunner()


def test_one_run_of_an_entry_can_be_named(entry, sources, tmp_path):
    (page,) = unpack(run_folder(entry), tmp_path / "out", sources)
    assert page.parent.name == f"my_gan-{run_folder(entry).name}"
    assert load_run(page.parent).provider.name == "my_gan"


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("runs/squares", "my_gan has no such run; it has squares-"),
        ("../nobody", "nobody: no entry"),
        ("samples", "samples: no entry"),
    ],
)
def test_what_is_no_run_is_one_line_and_nothing_is_written(part, words, entry, sources, tmp_path):
    with pytest.raises(InputError, match=words) as raised:
        unpack(entry / part, tmp_path / "out", sources)
    assert "\n" not in str(raised.value) and not (tmp_path / "out").exists()


def test_without_the_films_case_scores_are_those_that_it_has(entry, sources, without_films, tmp_path):
    with_films, without = (
        load_scores(unpack(entry, tmp_path / name, one)[0].parent)
        for name, one in (("a", sources), ("b", without_films))
    )
    assert np.isfinite(with_films["value"]).all() and with_films.equals(without)


def test_what_was_changed_after_packing_is_refused_and_nothing_is_written(entry, sources, tmp_path):
    path = run_folder(entry) / "records.jsonl"
    path.write_bytes(path.read_bytes().replace(b"seconds", b"sec0nds", 1))
    with pytest.raises(InputError):
        unpack(entry, tmp_path / "out", sources)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["report"], ["compare", "three_stage"], ["report", "--format", "csv"]])
@pytest.mark.parametrize("part", ["entry", "run"])
def test_report_and_compare_say_how_a_run_is_made_of_an_entry(words, part, entry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = entry if part == "entry" else run_folder(entry)
    before = sorted(entry.rglob("*"))
    said = runner.invoke(app, [words[0], str(folder), *([str(folder)] if words[0] == "compare" else words[1:])])
    if part == "run" and "--format" in words:  # the table needs no case scores
        assert said.exit_code == 0
    else:
        assert isinstance(said.exception, InputError)
        assert f"`cxrbench submission unpack {folder}`" in str(said.exception)
    assert sorted(entry.rglob("*")) == before


def test_a_run_that_is_written_below_an_entry_is_a_run(entry, sources):
    """As by `cxrbench run` in the folder of an entry: nothing that was trained is refused a report at its end."""
    (page,) = unpack(entry, entry / "runs", sources)
    assert page.is_file() and len(load_scores(page.parent))
    assert runner.invoke(app, ["report", str(page.parent)]).exit_code == 0
