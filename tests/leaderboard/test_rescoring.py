"""A task gets a metric: entries whose predictions are here get it without training, and no number that was there moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from cxrbench.benchmark.cli import app
from cxrbench.benchmark.contracts.task import Metric
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.errors import InputError
from cxrbench.leaderboard.checks import Sources, check_entry
from cxrbench.leaderboard.entry import load_entry
from cxrbench.leaderboard.rescoring import rescore

from . import taken_apart as apart
from .conftest import Squares, squares
from .taken_apart import run_folder


class WithJaccard(Squares):
    """The same protocol with one more metric, as a later version of the code has it."""

    metrics = (*Squares.metrics, Metric("j", "J", percent=True))

    def score(self, predictions, test):
        dice = super().score(predictions, test)
        return pd.concat([dice, dice.assign(metric="j", value=dice["value"] / (2 - dice["value"]))], ignore_index=True)

    def summarise(self, scores):
        parts = [self.summary_of(part) for _, part in scores.groupby("metric", sort=False)]
        return pd.concat(parts, ignore_index=True)

    def summary_of(self, scores):
        table = super().summarise(scores)
        return table.assign(metric=scores["metric"].iloc[0])

    def paired_metrics(self):
        return ("dsc", "j")


def scaled(by: float) -> type[Squares]:
    """The task with the new metric, and with the old one a little other."""

    class Scaled(WithJaccard):
        def score(self, predictions, test):
            found = super().score(predictions, test)
            return found.assign(value=found["value"].where(found["metric"] == "j", found["value"] * (1 + by)))

    return Scaled


class WithoutDice(WithJaccard):
    """Another metric in place of the old one."""

    def score(self, predictions, test):
        return super().score(predictions, test).query("metric == 'j'").reset_index(drop=True)


def sources_of(task: type[Squares], films: Dataset | None = None) -> Sources:
    found = films or squares()
    return Sources(task=lambda name: task, films=lambda name, resolution: found)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_metric_is_added_to_records_results_and_scores(pack_system):
    entry, later = pack_system(seeds=5), sources_of(WithJaccard)
    before = load_entry(entry).runs[0]
    assert not check_entry(entry, sources=later).passed
    lines = rescore(entry, later)
    assert lines[0] == "runs/squares-tiny_films-quick: 15 cells, added j of left_lung, heart, average"
    assert "a review of it does not hold any more" in lines[1]

    verdict = check_entry(entry, sources=later)
    assert verdict.passed and all("recomputed from predictions" in one.message for one in verdict.findings)
    after = load_entry(entry).runs[0]
    for key, record in after.records.items():
        old = before.records[key]
        assert record.table[:3] == old.table and [one.metric for one in record.table[3:]] == ["j"] * 3
        assert record.cell == old.cell and record.downstream == old.downstream and record.created == old.created
        assert set(after.homes[key].scores(key)["metric"]) == {"dsc", "j"}
    said, found = before.results, after.results
    assert [one for one in found.seed_values if one.metric == "dsc"] == said.seed_values
    assert [one for one in found.paired if one.metric == "dsc"] == said.paired
    assert [one for one in found.paired_placebo if one.metric == "dsc"] == said.paired_placebo
    assert found.gains == said.gains and said.gains
    assert {one.metric for one in found.paired} == set(found.task.paired) == {"dsc", "j"}
    assert [metric.name for metric in found.task.metrics] == ["dsc", "j"]
    assert found.created == said.created and found.cells == said.cells and found.seed_tests == said.seed_tests


def test_a_second_time_there_is_nothing_to_add(entry):
    later = sources_of(WithJaccard)
    rescore(entry, later)
    before = contents(entry)
    assert rescore(entry, later) == [
        "runs/squares-tiny_films-quick: 9 cells, nothing to add: it has every number that its task has"
    ]
    assert contents(entry) == before


def test_without_case_scores_none_are_written(entry):
    apart.without_scores(run_folder(entry))
    from cxrbench.leaderboard.pack import seal

    seal(entry)
    rescore(entry, sources_of(WithJaccard))
    assert not (run_folder(entry) / "scores.parquet").exists()
    assert check_entry(entry, sources=sources_of(WithJaccard)).passed


def test_shared_cells_get_the_metric_with_the_first_entry_and_serve_the_second(pack_system):
    one = pack_system("one", share=True)
    two = pack_system("two", share=True, wrong={"real": 0.02, "synthetic": 0.1})
    (shared,) = (one.parent / "shared").iterdir()
    later = sources_of(WithJaccard)
    rescore(one, later)
    assert {row["metric"] for record in apart.records(shared) for row in record["table"]} == {"dsc", "j"}
    assert check_entry(one, sources=later).passed and not check_entry(two, sources=later).passed
    before = contents(shared)
    assert "9 cells, added j of" in rescore(two, later)[0]
    assert check_entry(two, sources=later).passed and contents(shared) == before


# ------------------------------------------------------------------------------------------------------------- refused


def refused(entry: Path, sources: Sources, words: str) -> None:
    before = contents(entry.parent)
    with pytest.raises(InputError, match=words):
        rescore(entry, sources)
    assert contents(entry.parent) == before


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("by", [1e-3, 1e-7])
def test_a_number_that_would_move_is_refused_and_nothing_is_written(by, share, pack_system):
    refused(pack_system(share=share), sources_of(scaled(by)), r"dsc of \w+ would move from 0\.\d+ to 0\.\d+; nothing")


def test_rounding_is_no_move(entry):
    assert "added j" in rescore(entry, sources_of(scaled(1e-13)))[0]


def test_a_number_that_would_go_is_refused(entry):
    refused(entry, sources_of(WithoutDice), "dsc of left_lung would go; nothing is written")


def test_without_the_films_nothing_can_be_scored(entry):
    gone = Sources(task=lambda name: WithJaccard, films=lambda name, resolution: None)
    refused(entry, gone, "the films of tiny films are not at hand; rescore it where they are")


def test_other_films_are_refused(entry):
    films = squares()
    masks = films.masks.copy()
    masks[3, 0, 0] ^= 1
    refused(entry, sources_of(WithJaccard, replace(films, masks=masks)), "other ids, masks, labels or boxes")


def test_another_version_of_the_task_is_another_run(entry):
    class Newer(WithJaccard):
        version = 2

    refused(entry, sources_of(Newer), "not installed with this version")


TAMPERED: dict[str, Callable[[Path], None]] = {
    "records": lambda entry: apart.change_record(run_folder(entry), lambda record: record.update(created="2026-01-02")),
    "digests": lambda entry: (entry / "digests.json").unlink(),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_an_entry_that_was_changed_after_packing_is_not_sealed_again(name, entry):
    TAMPERED[name](entry)
    refused(entry, sources_of(WithJaccard), "my_gan is not as it was packed")


def test_the_command_names_the_task_that_is_not_installed(entry):
    done = CliRunner().invoke(app, ["submission", "rescore", "my_gan", "--dir", str(entry.parent)])
    assert isinstance(done.exception, InputError) and "its task is not installed" in str(done.exception)


def test_an_entry_whose_rescoring_was_interrupted_is_sealed_as_far_as_it_came(entry, monkeypatch):
    from cxrbench.leaderboard import rescoring

    write = rescoring._write

    def interrupted(one) -> None:
        write(one)
        raise KeyboardInterrupt

    monkeypatch.setattr(rescoring, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rescore(entry, sources_of(WithJaccard))
    monkeypatch.undo()
    assert "nothing to add" in rescore(entry, sources_of(WithJaccard))[0]
