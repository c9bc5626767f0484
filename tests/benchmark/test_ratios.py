"""`run --ratios`: the headline arm with other numbers of synthetic films, each with a placebo of as many copies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.report.gain_words import best_ratio, ratio_lines
from cxrbench.benchmark.report.text_tables import terminal
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.runs.job import Synthesise
from cxrbench.benchmark.runs.request import Prepared, Request, execute, prepare

from ..toys.toy_films import chests, run_here

TOYS = Path(__file__).parents[1] / "toys"
REQUEST = Request(
    provider=f"{TOYS / 'toy_providers.py'}:Toy",
    task=f"{TOYS / 'toy_task.py'}:ToyTask",
    device="cpu",
    seeds=2,
    ratios=("1:2", "4:1"),
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    folder = tmp_path_factory.mktemp("data") / "chests"
    chests().save(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        return prepare(replace(REQUEST, data=str(folder)))


def test_every_count_is_a_cell_and_a_placebo_of_the_headline_and_one_fit_gives_all(prepared):
    headline = prepared.plan.task.headline
    counted = [cell for cell in prepared.plan.cells if cell.identity.synthetic is not None]
    assert {(cell.identity.arm, cell.identity.size) for cell in counted} == {(headline.arm.value, headline.size)}
    counts = sorted({cell.identity.synthetic for cell in counted})
    assert len(counts) == 2 and counts[1] == 8 * counts[0]
    assert len(counted) == 2 * 2 * 2  # counts x seeds x (arm and placebo)
    made = [step for step in prepared.schedule.steps if isinstance(step, Synthesise)]
    of_headline = [step for step in made if step.cell.identity.size == headline.size and step.cell.seed == 0]
    assert len({step.cell.fit_key for step in of_headline}) == 1 < len({step.key for step in of_headline})


def test_other_counts_move_no_key_of_the_others(prepared, monkeypatch):
    monkeypatch.setenv("CXRBENCH_HOME", str(prepared.store.root.parent))
    plain = prepare(replace(prepared.request, ratios=()))
    assert {cell.key for cell in plain.plan.cells} < {cell.key for cell in prepared.plan.cells}


def test_a_run_says_the_gain_of_every_ratio_and_the_best(prepared, monkeypatch):
    monkeypatch.setenv("CXRBENCH_HOME", str(prepared.store.root.parent))
    run_here(monkeypatch)
    assert not [outcome.error for outcome in execute(prepared) if outcome.error]
    results = assemble(prepared.plan, prepared.store, [])
    rows = results.ratios
    assert [row.synthetic for row in rows] == sorted(row.synthetic for row in rows) and len(rows) == 3
    assert [row.own for row in rows].count(True) == 1
    (own,) = (row for row in rows if row.own)
    assert own.gain == results.gain(*results.headline)
    assert not any("_" in arm for arm in results.arms)  # the tables keep their shape
    best = max(rows, key=lambda row: row.gain.gain)
    assert f"({best.synthetic} films)" in best_ratio(results)
    text = terminal(results, 120).plain
    assert "synthetic : real" in text and "best of 3 ratios: " in text
    for cells in (line.cells for line in ratio_lines(results)):
        assert cells[0] in text


@pytest.mark.parametrize("text", ["x", "0", "1:0", "-1", "4:1:2"])
def test_what_is_no_ratio_is_one_line(prepared, text, monkeypatch):
    monkeypatch.setenv("CXRBENCH_HOME", str(prepared.store.root.parent))
    with pytest.raises(InputError, match=f"--ratios {text}: expected synthetic films to real ones"):
        prepare(replace(prepared.request, ratios=(text,)))


def test_a_run_without_the_headline_has_no_ratios(prepared, monkeypatch):
    monkeypatch.setenv("CXRBENCH_HOME", str(prepared.store.root.parent))
    with pytest.raises(InputError, match="no headline arm and size in this run"):
        prepare(replace(prepared.request, arms=("real",)))
