"""The first table of a run: what ranks is done before the rest, and shown while that goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxrbench.benchmark.cli import so_far
from cxrbench.benchmark.cli.display import Watcher
from cxrbench.benchmark.cli.working import watched
from cxrbench.benchmark.contracts.task import ArmName
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.reader_study.make import films_only
from cxrbench.benchmark.runs.request import Request, prepare
from cxrbench.benchmark.runs.schedule import headline_of
from cxrbench.benchmark.speed.cost_table import SEEDS, prepare_subject

TOYS = Path(__file__).parents[1] / "toys"


def toy(provider: str = "Toy", **values) -> Request:
    """The toy task ranks by SYNTHETIC at the second of its sizes, `tiny`."""
    where = {"provider": f"{TOYS / 'toy_providers.py'}:{provider}", "task": f"{TOYS / 'toy_task.py'}:ToyTask"}
    return Request(**where, device="cpu", jobs=1, **values)


def said(request: Request, capsys) -> list[str]:
    """What a run said on stderr while it went."""
    prepared = prepare(request)
    watched(prepared, Watcher(prepared))
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(so_far, "WORTH_A_TABLE", 0.0)


def test_what_ranks_is_done_first_after_real():
    prepared = prepare(toy(seeds=2))
    assert headline_of(prepared.plan) == (ArmName.SYNTHETIC, "tiny")
    places = [(step.cell.slot.size, step.cell.arm) for step in prepared.schedule.steps if step.kind == "cell"]
    assert places[:4] == [("full", "real"), ("tiny", "real")] * 2
    assert {size for size, _ in places[4:12]} == {"tiny"} and {size for size, _ in places[12:]} == {"full"}
    assert [arm for _, arm in places[4:8]] == ["synthetic", "finetune"] * 2


def test_a_study_and_a_cost_table_look_at_the_largest_size_whatever_is_done_first():
    largest = [step.cell.slot.size for step in prepare_subject(toy(), Progress()).jobs]
    assert set(largest) == {"full"} and len(largest) == SEEDS
    (films,) = films_only(toy()).schedule.steps
    assert films.cell.slot.size == "full"


def test_films_without_the_size_by_which_a_task_ranks_have_their_first_size():
    assert headline_of(prepare(toy(sizes=("full",))).plan) == (ArmName.SYNTHETIC, "full")
    assert headline_of(prepare(toy(arms=("real", "finetune"))).plan) is None


def test_the_first_table_has_the_numbers_of_the_last_one_and_stands_before_the_rest(capsys):
    lines = said(toy(), capsys)
    begins = next(number for number, line in enumerate(lines) if line.startswith("so far"))
    assert "size tiny, by which toy ranks" in lines[begins]
    row = next(number for number, line in enumerate(lines) if line.startswith("tiny  SYNTHETIC"))
    assert begins < row and any("over ·" in line for line in lines[row:])
    gain = lines[row].split()
    prepared = prepare(toy())
    record = {(cell.slot.size, cell.arm): prepared.store.record(cell.key) for cell in prepared.plan.cells}
    shown = [
        next(row.value for row in record["tiny", arm].table if (row.metric, row.structure) == ("dsc", "average"))
        for arm in ("synthetic", "placebo_synthetic")
    ]
    assert gain[5:7] == [f"{100 * value:.2f}" for value in shown]
    assert said(toy(), capsys) == []


def test_what_was_in_the_store_is_shown_at_once_when_the_rest_is_done_later(capsys):
    said(toy(sizes=("tiny",)), capsys)
    lines = said(toy(), capsys)
    assert next(line for line in lines if line).startswith("so far")


def test_a_run_of_what_ranks_alone_or_of_its_end_shows_no_table_twice(capsys, monkeypatch):
    assert not any("so far" in line for line in said(toy(sizes=("tiny",), arms=("real", "synthetic")), capsys))
    monkeypatch.setattr(so_far, "WORTH_A_TABLE", 1e6)
    said(toy("Tells"), capsys)  # how long its steps take is known from now on
    assert not any("so far" in line for line in said(toy("Tells", seeds=2), capsys))


def test_what_failed_is_said_at_the_end_alone(capsys):
    assert not any("so far" in line for line in said(toy(overrides=("task.fails=synthetic",)), capsys))
    assert not any("so far" in line for line in said(toy(arms=("real",)), capsys))
