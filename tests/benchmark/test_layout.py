"""Tables with a row an arm, absent organs as dashes, and the test over folds: numbers by hand."""

from __future__ import annotations

import csv
import io
import json
import math
import re

import numpy as np
import pytest
from scipy import stats

from cxrbench.benchmark.contracts.paper_table import DerivedRow
from cxrbench.benchmark.contracts.task import TableLayout
from cxrbench.benchmark.registry import find_task
from cxrbench.benchmark.report import table_shapes as layout
from cxrbench.benchmark.report import text_tables as tables
from cxrbench.benchmark.report import words as wording
from cxrbench.benchmark.report.comparison import Run, compare
from cxrbench.benchmark.report.comparison_words import in_words
from cxrbench.benchmark.report.write import write_numbers, write_run
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.finished import Harvest
from cxrbench.benchmark.results.folder import write_results
from cxrbench.benchmark.runs.store import Level

ONE_ORGAN = {"organs": ("lungs",), "arms": ("real", "mixed", "synthetic"), "sizes": ("full", "tiny")}
COLUMNS = (("dsc", "Dice (mean)"), ("hd", "Hausdorff (mean)"), ("hd_mm", "mm (mean)"))
WAVE = np.array([-4, -3, -2, -1, 1, 2, 3, 4]) / 400


def level(size, arm, seed, organ):
    """Case scores with a mean of exactly 0.9, 0.85 or 0.7."""
    return {"real": 0.9, "mixed": 0.85, "synthetic": 0.7}[arm] + (WAVE if arm == "real" else WAVE[::-1] * 0.5)


@pytest.fixture
def by_arm(fabricate, monkeypatch):
    """Results of a task whose paper has a row an arm."""

    def make(**options):
        made = fabricate(**(ONE_ORGAN | {"scores": level} | options))
        monkeypatch.setattr(type(made.plan.task), "table_layout", TableLayout(COLUMNS, {"full": "Table I"}))
        return assemble(made.plan, made.store, ["cxrbench", "run"])

    return make


# ------------------------------------------------------------------------------------------- rows are arms


def test_rows_say_how_many_real_and_synthetic_films_an_arm_trains_on(by_arm):
    full, tiny = layout.arm_tables(by_arm())
    assert [(row.arm, row.real, row.synthetic) for row in full.rows] == [
        ("real", 8, 0),
        ("mixed", 8, 6),
        ("synthetic", 0, 6),
    ]
    assert [row.real for row in tiny.rows] == [3, 3, 0]
    assert (full.title, tiny.title) == ("Table I", "tiny (3 films)")


def test_columns_are_the_papers_and_a_metric_that_is_not_there_has_none(by_arm):
    table = layout.arm_tables(by_arm())[0]
    assert table.headings == ["Dice (mean)", "Hausdorff (mean)"]
    assert [[one.text for one in row.entries] for row in table.rows] == [
        ["90.00", "1.00"],
        ["85.00", "1.50"],
        ["70.00", "3.00"],
    ]
    assert [row.entries[0].mark for row in table.rows] == ["", "**", "**"]


def test_the_terminal_shows_a_table_a_size_with_numbers_below_their_headings(by_arm):
    lines = tables.terminal(by_arm(), 100).plain.splitlines()
    assert lines[0] == "Table I"
    assert lines[1].split() == ["#", "Real", "#", "Synthetic", "Dice", "(mean)", "Hausdorff", "(mean)"]
    assert lines[2].split() == ["REAL", "8", "0", "90.00", "1.00"]
    assert lines[4].split() == ["SYNTHETIC", "0", "6", "70.00", "**", "3.00"]
    ends = [lines[1].index(heading) + len(heading) for heading in ("# Real", "# Synthetic", "Dice (mean)")]
    assert [match.end() for match in re.finditer(r"[\d.]+", lines[2])][:3] == ends
    assert lines[1].endswith("Hausdorff (mean)") and len(lines[2]) == len(lines[1])


def test_markdown_and_latex_have_the_same_rows(by_arm):
    results = by_arm()
    markdown = tables.as_markdown(results)
    assert "| arm | # Real | # Synthetic | Dice (mean) | Hausdorff (mean) |" in markdown
    assert r"| MIXED | 8 | 6 | 85.00 \*\* | 1.50 |" in markdown
    latex = tables.as_latex(results)
    assert r"SYNTHETIC & 0 & 6 & 70.00$^{**}$ & 3.00 \\" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2
    assert latex.count(r"\caption{") == 1


def test_a_failed_arm_keeps_its_row(by_arm):
    results = by_arm(broken={("full", "mixed", 0): "no luck"})
    row = next(row for row in layout.arm_tables(results)[0].rows if row.arm == "mixed")
    assert [one.text for one in row.entries] == ["failed", "failed"]
    assert not any(one.present for one in row.entries)


def test_a_task_without_a_layout_has_no_such_tables(fabricate):
    made = fabricate()
    assert layout.arm_tables(assemble(made.plan, made.store, [])) == []


def test_the_page_shows_the_papers_table(by_arm, fabricate, tmp_path, monkeypatch):
    made = fabricate(**ONE_ORGAN, scores=level)
    monkeypatch.setattr(type(made.plan.task), "table_layout", TableLayout(COLUMNS, {"full": "Table <I>"}))
    write_run(tmp_path / "run", assemble(made.plan, made.store, []), made.plan, made.store)
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "<h3>Table &lt;I&gt;</h3>" in html and "Table <I>" not in html
    assert re.search(r'MIXED</th><td>8</td><td>6</td><td>85\.00<abbr class="mark"', html)


# ------------------------------------------------------------------------------------------- absent organs


def untaught(size, arm, seed, organ):
    base = {"real": 0.9, "synthetic": 0.8, "finetune": 0.91}[arm] + WAVE * (1 if arm == "real" else 0.5)
    return np.full(8, np.nan) if (arm, organ) == ("synthetic", "heart") else base


def test_an_organ_that_was_not_taught_is_absent_and_so_is_the_average(fabricate):
    made = fabricate(scores=untaught)
    results = assemble(made.plan, made.store, [])
    assert results.complete
    for structure in ("heart", "average"):
        row = results.row("full", "synthetic", "dsc", structure)
        assert (row.value, row.note) == (None, "not taught")
        test = results.test("full", "synthetic", "dsc", structure)
        assert (test.p, test.difference, test.note) == (None, None, "not taught")
    assert results.row("full", "synthetic", "dsc", "left_lung").value == pytest.approx(0.8)
    assert results.row("full", "real", "dsc", "average").value == pytest.approx(0.9)
    json.loads(results.model_dump_json(), parse_constant=pytest.fail)


def test_an_absent_number_is_a_dash_with_a_note_in_every_table(fabricate):
    made = fabricate(scores=untaught)
    results = assemble(made.plan, made.store, [])
    text = tables.terminal(results, 110).plain
    heart = next(line for line in text.splitlines() if line.strip().startswith("heart"))
    assert heart.split()[1:4] == ["90.00", "–", "91.00"]
    note = "absent, not zero: the films that SYNTHETIC trains on have no annotation of these: heart, average"
    assert note in " ".join(text.split())
    assert note in tables.as_markdown(results) and "| – |" in tables.as_markdown(results)
    rows = list(csv.DictReader(io.StringIO(tables.as_csv(results))))
    mine = [row for row in rows if (row["arm"], row["structure"]) == ("synthetic", "heart")]
    assert mine and all((row["value"], row["note"]) == ("", "not taught") for row in mine)


def test_no_claim_is_made_from_the_mean_of_some_organs(fabricate):
    made = fabricate(scores=lambda *place: untaught(*place) + place[2] / 1000, seeds=(0, 1, 2, 3, 4))
    results = assemble(made.plan, made.store, [])
    claims = {row.arm: row for row in results.seed_tests if row.size == "full"}
    assert claims["finetune"].p is not None
    assert claims["synthetic"].p is None and claims["synthetic"].seeds == 0
    assert "not taught every structure" in claims["synthetic"].sentence


def test_the_synthetic_arm_alone_shows_the_organ_it_lacks(fabricate):
    made = fabricate(scores=untaught, arms=("synthetic",))
    results = assemble(made.plan, made.store, [])
    assert results.row("full", "synthetic", "dsc", "heart").note == "not taught"


def test_the_page_of_a_run_with_an_absent_organ_is_whole(fabricate, tmp_path):
    made = fabricate(scores=untaught)
    write_run(tmp_path / "run", assemble(made.plan, made.store, []), made.plan, made.store)
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert '<span class="absent">–</span>' in html and "absent, not zero" in html
    assert not re.search(r"(?i)\bnan\b", html)
    index = json.loads((tmp_path / "run" / "figures" / "films" / "index.json").read_text())
    captions = {picture["caption"] for picture in index["pictures"] if picture["column"] == "truth"}
    assert "worst for FINETUNE" in captions  # SYNTHETIC has no average to be judged by


# ------------------------------------------------------------------------------------------- over folds

FOLD_LEVEL = {"a": 0.01, "b": 0.03, "c": 0.02}


@pytest.fixture
def folded(fabricate):
    """Three folds in which SYNTHETIC is 0.01, 0.03 and 0.02 below REAL."""

    def make(**options):
        made = fabricate(folds=("a", "b", "c"), organs=("lungs",), arms=("real", "synthetic"), **options)
        for cell in made.plan.cells:
            path = made.store.path(Level.RECORDS, cell.key) / "scores.parquet"
            scores = made.store.scores(cell.key)
            lower = FOLD_LEVEL[cell.slot.fold] if cell.slot.arm.value == "synthetic" else 0.0
            scores["value"] = np.where(scores["metric"] == "dsc", 0.9 - lower + np.resize(WAVE, len(scores)), 1.0)
            scores.to_parquet(path, index=False)
        return made

    return make


def test_nadeau_bengio_over_three_folds_by_hand(folded):
    made = folded()
    results = assemble(made.plan, made.store, [])
    row = next(row for row in results.fold_tests if (row.size, row.metric) == ("full", "dsc"))
    # eight films train and eight test in each fold; d = -0.01, -0.03, -0.02: mean -0.02, s = 0.01
    assert (row.n, row.n_train, row.n_test, row.arm, row.structure) == (3, 8, 8, "synthetic", "lungs")
    t = -0.02 / (0.01 * math.sqrt(1 / 3 + 8 / 8))
    assert row.difference == pytest.approx(-0.02)
    assert row.t == pytest.approx(t) and row.t == pytest.approx(-math.sqrt(3))
    assert row.p == pytest.approx(2 * stats.t.sf(abs(t), 2))
    half = stats.t.ppf(0.975, 2) * 0.01 * math.sqrt(4 / 3)
    assert (row.low, row.high) == pytest.approx((-0.02 - half, -0.02 + half))


def test_films_of_all_folds_are_paired_in_one_test(folded):
    made = folded()
    results = assemble(made.plan, made.store, [])
    assert results.test("full", "synthetic", "dsc", "lungs").n == 24


def test_seeds_add_pairs_and_holm_holds_over_arms_and_structures(fabricate):
    made = fabricate(folds=("a", "b", "c"), seeds=(0, 1))
    results = assemble(made.plan, made.store, [])
    rows = [row for row in results.fold_tests if row.size == "full"]
    assert {row.n for row in rows} == {6} and len(rows) == 2 * 3  # two arms; two organs and their average
    ordered = sorted(rows, key=lambda row: row.p)
    running = np.maximum.accumulate([(6 - rank) * row.p for rank, row in enumerate(ordered)])
    assert [row.p_holm for row in ordered] == pytest.approx(np.minimum(running, 1))
    heart = next(row for row in rows if (row.arm, row.structure) == ("synthetic", "heart"))
    means = {
        arm: [
            made.scores["full", fold, arm, seed].query("metric == 'dsc' and structure == 'heart'")["value"].mean()
            for seed in (0, 1)
            for fold in ("a", "b", "c")
        ]
        for arm in ("real", "synthetic")
    }
    assert heart.difference == pytest.approx(np.mean(means["synthetic"]) - np.mean(means["real"]))


def test_one_fold_has_no_test_over_folds(fabricate):
    made = fabricate()
    results = assemble(made.plan, made.store, [])
    assert results.fold_tests == [] and "folds_p" not in tables.tests_csv(results)


def test_two_folds_are_too_few_and_say_so(fabricate):
    made = fabricate(folds=("a", "b"))
    rows = assemble(made.plan, made.store, []).fold_tests
    assert {(row.p, row.note) for row in rows} == {(None, "fewer than 3 folds (2): no test")}


def test_tests_over_folds_are_in_the_csv_the_legend_and_the_page(folded, tmp_path):
    made = folded()
    results = assemble(made.plan, made.store, [])
    rows = list(csv.DictReader(io.StringIO(tables.tests_csv(results))))
    row = next(row for row in rows if (row["size"], row["metric"]) == ("full", "dsc"))
    assert float(row["folds_t"]) == pytest.approx(-math.sqrt(3)) and row["folds_n"] == "3"
    said = next(line for line in wording.legend(results) if "Nadeau-Bengio" in line)
    assert "3 pairs" in said and "full SYNTHETIC − REAL: DSC \N{MINUS SIGN}2.00, p = 0.23" in said
    write_run(tmp_path / "run", results, made.plan, made.store)
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Tests over folds and seeds" in html and "8 / 8" in html


def test_two_runs_are_compared_over_folds_too(folded, tmp_path):
    made = folded()
    results = assemble(made.plan, made.store, [])
    write_numbers(tmp_path / "a", Harvest(made.plan, made.store))
    write_results(tmp_path / "a", results)
    better = made.store
    for cell in made.plan.cells:
        if cell.slot.arm.value == "synthetic":
            path = better.path(Level.RECORDS, cell.key) / "scores.parquet"
            scores = better.scores(cell.key)
            scores["value"] += np.where(scores["metric"] == "dsc", FOLD_LEVEL[cell.slot.fold], 0.0)
            scores.to_parquet(path, index=False)
    write_numbers(tmp_path / "b", Harvest(made.plan, made.store))
    write_results(tmp_path / "b", assemble(made.plan, made.store, []))
    found = compare(Run.open(tmp_path / "a"), Run.open(tmp_path / "b"))
    row = next(row for row in found.rows if (row.size, row.metric) == ("full", "dsc"))
    assert row.folds_n == 3
    assert row.folds_p == pytest.approx(2 * stats.t.sf(math.sqrt(3), 2))
    assert "p (folds" in in_words(found, results)


def test_folds_with_fewer_real_films_are_named(fabricate, monkeypatch):
    made = fabricate(folds=("0", "1"), organs=("lungs",), sizes=("full",))
    whole = made.plan.task.training_set

    def smaller(data, slot):
        films = whole(data, slot)
        return films.select(range(7)) if slot.fold == "0" else films

    monkeypatch.setattr(type(made.plan.task), "training_set", lambda self, data, slot: smaller(data, slot))
    results = assemble(made.plan, made.store, [])
    assert (results.sizes[0].films, results.sizes[0].fold_films) == (8, [7, 8])
    assert "full: 8 real films train in a fold, 7 in fold 0" in wording.legend(results)


# ------------------------------------------------------------------------------------------- samples along a training


def test_samples_along_the_training_are_shown_by_step(fabricate, tmp_path):
    made = fabricate(arms=("real", "synthetic"), sizes=("full",))
    key = next(cell.fit_key for cell in made.plan.cells if cell.fit_key)
    films = np.zeros((3, 2, 16, 16), np.uint8) + np.array([0, 100, 200], np.uint8)[:, None, None, None]
    np.savez_compressed(
        made.store.path(Level.FITS, key) / "timeline.npz", steps=np.array([0, 200, 12_000]), films=films
    )
    write_run(tmp_path / "run", assemble(made.plan, made.store, []), made.plan, made.store)
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert [int(step.replace(",", "")) for step in re.findall(r"<h4>step ([\d,]+)</h4>", html)] == [0, 200, 12_000]
    assert "Stopping too early is visible" in html
    assert len(re.findall(r'alt="sample \d at step', html)) == 6


def test_a_run_without_such_samples_has_no_such_section(fabricate, tmp_path):
    made = fabricate(arms=("real", "synthetic"), sizes=("full",))
    write_run(tmp_path / "run", assemble(made.plan, made.store, []), made.plan, made.store)
    assert "Stopping too early" not in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------- lines that are means of others


LUNGS = (DerivedRow("lungs", ("left_lung", "right_lung"), ("dsc",)),)
THREE = {
    "organs": ("left_lung", "heart", "right_lung"),
    "sizes": ("full",),
    "arms": ("real", "synthetic"),
    "seeds": (0, 1),
}


def with_lungs(fabricate, monkeypatch, **options):
    made = fabricate(**(THREE | options))
    before = assemble(made.plan, made.store, [])
    monkeypatch.setattr(type(made.plan.task), "derived_rows", LUNGS)
    return before, assemble(made.plan, made.store, [])


def test_lungs_are_the_mean_of_both_and_move_no_other_number(fabricate, monkeypatch):
    before, after = with_lungs(fabricate, monkeypatch)
    assert (after.table, after.paired, after.seed_values) == (before.table, before.paired, before.seed_values)
    lines = layout.wide(after)
    (lungs,) = [line for line in lines if line.structure == "lungs"]
    assert [line for line in lines if line is not lungs] == layout.wide(before)
    assert lines.index(lungs) == 4 and lines[3].structure == "average" and lungs.metric.name == "dsc"
    by_seed = [
        np.mean([one.value for one in after.seed_values if one.seed == seed and one.arm == "real"
                 and one.metric == "dsc" and one.structure.endswith("_lung")])
        for seed in (0, 1)
    ]  # fmt: skip
    text = f"{100 * np.mean(by_seed):.2f} ± {100 * np.std(by_seed, ddof=1):.2f}"
    assert lungs.entries["full"]["real"] == layout.Entry(text)
    assert "| lungs |" in tables.as_markdown(after) and "lungs" in tables.terminal(after).plain
    assert "lungs" not in tables.as_csv(after)


def test_lungs_are_absent_where_one_of_them_is(fabricate, monkeypatch):
    _, after = with_lungs(fabricate, monkeypatch, seeds=(0,), broken={("full", "real", 0): "no luck"})
    (lungs,) = [line for line in layout.wide(after) if line.structure == "lungs"]
    assert lungs.entries["full"]["real"] == layout.Entry("–", present=False)
    assert lungs.entries["full"]["synthetic"].present


def test_films_of_one_lung_have_no_row_of_lungs(fabricate, monkeypatch):
    _, one = with_lungs(fabricate, monkeypatch, organs=("left_lung", "heart"))
    assert not [line for line in layout.wide(one) if line.structure == "lungs"]


def test_the_official_split_has_the_row_of_the_papers_third_table():
    (row,) = find_task("scr_official").load().derived_rows
    assert row == DerivedRow("lungs", ("left_lung", "right_lung"), ("dsc", "j"))
