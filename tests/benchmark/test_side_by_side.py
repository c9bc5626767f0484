"""Downstream models side by side: the cells that each has alone, parts trained once, tests and curves held against scipy,
scikit-learn and DeLong's formula written out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import auc as area_under
from sklearn.metrics import roc_auc_score, roc_curve

from cxrbench.benchmark.cli import main
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.report.comparison import Run, compare
from cxrbench.benchmark.report.comparison_words import in_words
from cxrbench.benchmark.report.models_words import as_latex, as_markdown, terminal
from cxrbench.benchmark.report.write import write_numbers
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.finished import Harvest
from cxrbench.benchmark.results.folder import write_results
from cxrbench.benchmark.results.models import Models, harvests_of, models_of, scores_of
from cxrbench.benchmark.runs.request import Request, execute, prepare
from cxrbench.benchmark.runs.side_by_side import ModelsRequest, Variant, in_turn, prepare_models

from ..accessible import SCHEMES, violations
from ..browser import needs_browser
from ..toys.toy_films import run_here

TOYS = Path(__file__).parents[1] / "toys"
TASK = f"{TOYS / 'toy_models.py'}:ToyModels"
TOY = f"{TOYS / 'toy_providers.py'}:Toy"
FINDINGS = ("Mass", "Nodule", "Edema")


def ward(count: int = 120) -> Dataset:
    """Each finding makes its own part of a film brighter: two in the upper half, one in the lower."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, (count, 3)).astype(np.uint8)
    images = rng.integers(0, 200, (count, 16, 16))
    for column, place in enumerate(
        ((slice(0, 6), slice(0, 8)), (slice(0, 6), slice(8, 16)), (slice(9, 16), slice(0, 9)))
    ):
        images[:, place[0], place[1]] += 22 * labels[:, column, None, None]
    ids = [f"{'t' if row % 2 else 'e'}{row:03d}" for row in range(count)]
    cases = pd.DataFrame({"id": ids, "patient": ids, "split": ["train" if row % 2 else "test" for row in range(count)]})
    cases = cases.assign(**dict(zip(FINDINGS, labels.T, strict=True)))
    return Dataset(DatasetInfo(name="ward", resolution=16, findings=FINDINGS), images.astype(np.uint8), cases)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("data") / "ward"
    ward().save(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    run_here(monkeypatch)
    monkeypatch.chdir(tmp_path)


def asked(data: str, *overrides: str, **values) -> ModelsRequest:
    given = {"task": TASK, "data": data, "device": "cpu", "jobs": 1, "overrides": overrides} | values
    return ModelsRequest(**given)


def done(request: ModelsRequest) -> list[Variant]:
    variants = prepare_models(request)
    for variant in in_turn(variants):
        assert [outcome.error for outcome in execute(variant.prepared) if outcome.error] == []
    return variants


def alone(data: str, kind: str, **values):
    """The run of one model, as `cxrbench run --arms real` has it."""
    given = {"provider": TOY, "task": TASK, "data": data, "device": "cpu", "jobs": 1, "arms": ("real",)} | values
    prepared = prepare(Request(overrides=(f"task.kind={kind}",), label_by="teacher", **given))
    assert not any(outcome.error for outcome in execute(prepared))
    return prepared


def task_class():
    from cxrbench.benchmark.registry import find_task

    return find_task(TASK).load()


# ------------------------------------------------------------------------------------------- the cells


def test_every_column_is_the_real_cell_of_a_run_with_that_setting(data):
    variants = done(asked(data))
    assert [variant.label for variant in variants] == ["top", "bottom", "both"]
    for variant in variants:
        (cell,) = variant.prepared.plan.cells
        (other,) = alone(data, variant.label).plan.cells
        assert (cell.key, cell.arm, cell.slot.size) == (other.key, "real", "full")


def test_what_a_model_is_put_together_from_is_trained_once(data):
    task_class().trained.clear()
    done(asked(data))
    assert task_class().trained == ["top", "bottom"]


def test_a_model_of_parts_is_bit_for_bit_that_which_trains_them_itself(data, monkeypatch, tmp_path):
    variants = done(asked(data))
    plan, store = variants[2].prepared.plan, variants[2].prepared.store
    together = store.predictions(plan.cells[0].key).arrays["logits"]
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path / "other home"))
    task_class().trained.clear()
    prepared = alone(data, "both")
    assert task_class().trained == ["top", "bottom"]
    by_itself = prepared.store.predictions(prepared.plan.cells[0].key).arrays["logits"]
    assert together.tobytes() == by_itself.tobytes()
    assert prepared.plan.cells[0].key == plan.cells[0].key


def test_the_order_of_the_columns_is_the_users_and_parts_come_first_in_the_work(data):
    variants = prepare_models(asked(data, "task.kind=both,top"))
    assert [variant.label for variant in variants] == ["both", "top"]
    assert [variant.label for variant in in_turn(variants)] == ["top", "both"]
    assert set(variants[0].prepared.plan.cells[0].part_keys) == {"top"}


def test_several_settings_make_every_combination_with_their_names(data):
    variants = prepare_models(asked(data, "task.kind=top,bottom", "task.rows=6,9"))
    assert [one.label for one in variants] == [
        *("kind=top, rows=6", "kind=top, rows=9", "kind=bottom, rows=6", "kind=bottom, rows=9"),
    ]


def test_without_a_name_the_task_that_names_models_is_taken(data):
    with pytest.raises(
        InputError, match="lung regions of real films"
    ):  # nih_classification's, and these are real films
        prepare_models(asked(data, "task.resolution=16", "task.fit_resolution=16", task=None))


@pytest.mark.parametrize(
    ("overrides", "values", "message"),
    [
        (("task.kind=top",), {}, "name a setting with several values"),
        (("steps=3",), {}, "have no provider"),
        (("task.kind=top,top",), {}, "two of the models have the same settings"),
        (("task.rows=1,2,3,4,5,6,7",), {}, "7 models; at most 6 stand side by side"),
        (("task.kid=top,both",), {}, "unknown setting of"),
        ((), {"sizes": ("tiny",)}, "unknown size 'tiny'"),
        ((), {"seeds": 0}, "--seeds"),
    ],
)
def test_what_cannot_stand_side_by_side_is_one_line(data, overrides, values, message):
    with pytest.raises(InputError, match=message) as caught:
        prepare_models(asked(data, *overrides, **values))
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------- the numbers


@pytest.fixture
def made(data) -> tuple[Models, list[Variant], dict[str, pd.DataFrame]]:
    variants = done(asked(data))
    return models_of(variants, []), variants, scores_of(variants, harvests_of(variants), "full")


def logits_and_truth(scores: pd.DataFrame, finding: str) -> tuple[np.ndarray, np.ndarray]:
    mine = scores[scores["structure"] == finding].pivot_table(index="case", columns="metric", values="value")
    return mine["logit"].to_numpy(), mine["truth"].to_numpy()


def delong_by_hand(truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """(difference of AUCs, two-sided p): DeLong, DeLong and Clarke-Pearson 1988, placements pair by pair."""

    def placements(scores):
        positive, negative = scores[truth == 1], scores[truth == 0]
        wins = np.array([[1.0 if p > n else 0.5 if p == n else 0.0 for n in negative] for p in positive])
        return wins.mean(axis=1), wins.mean(axis=0), wins.mean()

    (a10, a01, auc_a), (b10, b01, auc_b) = placements(ours), placements(theirs)
    variance = np.var(a10 - b10, ddof=1) / len(a10) + np.var(a01 - b01, ddof=1) / len(a01)
    return auc_a - auc_b, float(2 * stats.norm.sf(abs(auc_a - auc_b) / np.sqrt(variance)))


def test_aucs_are_sklearns_and_every_class_is_compared_by_delong(made):
    models, _, scores = made
    for finding in FINDINGS:
        for column in models.columns:
            logits, truth = logits_and_truth(scores[column.label], finding)
            row = models.value(column, "full", "auc", finding)
            assert row.value == pytest.approx(roc_auc_score(truth, logits))
        for a, b in (("both", "top"), ("both", "bottom"), ("bottom", "top")):
            (test,) = [t for t in models.tests if (t.a, t.b, t.structure) == (a, b, finding)]
            ours, truth = logits_and_truth(scores[a], finding)
            difference, p = delong_by_hand(truth, ours, logits_and_truth(scores[b], finding)[0])
            assert test.difference == pytest.approx(difference)
            assert test.p == pytest.approx(p, rel=1e-6) and test.test == "DeLong"


def test_the_papers_t_test_is_scipys_over_the_class_aucs_and_holm_is_over_all_pairs(made):
    models, _, scores = made
    rows = [test for test in models.tests if test.structure == "average"]
    assert [(row.a, row.b) for row in rows] == [("both", "top"), ("both", "bottom"), ("bottom", "top")]

    def aucs(label):
        pairs = [logits_and_truth(scores[label], finding) for finding in FINDINGS]
        return np.array([roc_auc_score(truth, logits) for logits, truth in pairs])

    for row in rows:
        assert row.difference == pytest.approx((aucs(row.a) - aucs(row.b)).mean())
        assert row.second == "paired t-test over classes (paper protocol)"
        assert row.p_second is None and "fewer than 6 pairs (3)" in row.note  # of 14 classes: the next test
    classes = [test for test in models.tests if test.test == "DeLong"]
    smallest = min(classes, key=lambda test: test.p)
    assert smallest.p_holm == pytest.approx(min(1.0, len(classes) * smallest.p))


def test_the_t_test_over_fourteen_classes_is_scipys():
    from cxrbench.benchmark.significance.rules import compare_aucs

    rng = np.random.default_rng(5)
    names = [f"c{number:02d}" for number in range(14)]
    truth = rng.integers(0, 2, (80, 14))

    def table(shift):
        logits = truth * shift + rng.normal(size=truth.shape)
        parts = [
            pd.DataFrame(
                {
                    "case": range(80),
                    "patient": range(80),
                    "structure": name,
                    "metric": metric,
                    "value": values,
                    "seed": 0,
                }
            )
            for column, name in enumerate(names)
            for metric, values in (("logit", logits[:, column]), ("truth", truth[:, column].astype(float)))
        ]
        return logits, pd.concat(parts, ignore_index=True)

    (ours, a), (theirs, b) = table(1.4), table(0.8)
    average = compare_aucs(a, b, names, "auc")[-1]
    auc = lambda logits: [roc_auc_score(truth[:, column], logits[:, column]) for column in range(14)]  # noqa: E731
    assert average.p_second == pytest.approx(stats.ttest_rel(auc(ours), auc(theirs)).pvalue)
    assert average.difference == pytest.approx(np.mean(auc(ours)) - np.mean(auc(theirs)))


def test_the_curves_are_sklearns_a_line_a_model(made):
    _, variants, scores = made
    (plot,) = variants[0].prepared.plan.task.plots(scores)
    assert list(plot.curves) == ["top", "bottom", "both"]
    for label, (x, y) in plot.curves.items():
        logits, truth = logits_and_truth(scores[label], "Mass")
        fpr, tpr, _ = roc_curve(truth, logits, drop_intermediate=False)
        assert {*zip(x, y, strict=True)} <= {*zip(fpr, tpr, strict=True)}  # points on a straight line are left out
        assert area_under(x, y) == pytest.approx(roc_auc_score(truth, logits))


def test_five_seeds_allow_a_claim_and_fewer_say_what_they_compare(data, made):
    assert {claim.sentence for claim in made[0].claims} == {
        f"{a} and {b}: these trained models are compared, not how such models do as a rule (use --seeds 5)"
        for a, b in (("both", "top"), ("both", "bottom"), ("bottom", "top"))
    }


# ------------------------------------------------------------------------------------------- what is shown


def test_the_words_have_every_model_every_pair_and_what_must_be_said(made):
    models = made[0]
    text = terminal(models)
    head = next(line for line in text.splitlines() if "both − top" in line)
    assert head.split() == ["top", "bottom", "both", *("both", "−", "top", "both", "−", "bottom", "bottom", "−", "top")]
    for finding in FINDINGS:
        line = next(line for line in text.splitlines() if f" {finding} " in f"{line} ")
        for column in models.columns:
            assert f"{models.value(column, 'full', 'auc', finding).value:.3f}" in line
    assert "both: the halves meet at row 8" in text
    for written in (as_markdown(models), as_latex(models)):
        assert "Nodule" in written and "the halves meet at row 8" in written
    best = max(models.value(column, "full", "auc", "Mass").value for column in models.columns)
    assert f"**{best:.3f}**" in as_markdown(models) and f"\\textbf{{{best:.3f}}}" in as_latex(models)


@pytest.fixture
def cxrbench(monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """The command line in this process."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cxrbench", *words])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_the_command_writes_tables_figures_maps_and_a_page(cxrbench, data, tmp_path):
    words = ("models", "--task", TASK, "--data", data, "--device", "cpu", "--jobs", "1", "--out", "m")
    code, out, err = cxrbench(*words)
    assert code == 0, err
    assert "both − top" in out and f"report {Path('m/report.html')}" in err
    files = {path.relative_to("m").as_posix() for path in Path("m").rglob("*") if path.is_file()}
    assert {"models.json", "report.html", "tables/table.csv", "tables/tests.csv", "tables/scores.parquet"} <= files
    assert {f"figures/maps/{row:02d}-{kind}.png" for row in (0, 1) for kind in ("top", "bottom", "both")} <= files
    page = Path("m/report.html").read_text()
    assert page.count("data:image/png;base64,") == 6 and "<svg" in page and "http" not in page.replace("http-equiv", "")
    table = pd.read_csv("m/tables/table.csv")
    assert set(table["model"]) == {"top", "bottom", "both"}
    found = Models.model_validate_json(Path("m/models.json").read_text())
    assert found.complete and [column.settings for column in found.columns][2] == {"kind": "both"}
    again = cxrbench(*words, "--json")
    assert json.loads(again[1])["columns"][0]["label"] == "top" and "nothing to do" in again[2]


def test_a_model_that_fails_leaves_the_others_their_numbers(cxrbench, data):
    words = (
        "models",
        "--task",
        TASK,
        "--data",
        data,
        "--device",
        "cpu",
        "--jobs",
        "1",
        "--set",
        "task.fails=none,real",
    )
    code, out, err = cxrbench(*words, "--out", "m")
    assert code == 1 and "error: real: " in err and "told to fail" in err
    line = next(line for line in out.splitlines() if "Mass" in line)
    assert "–" in line and any(part.startswith("0.") for part in line.split())
    assert "real, full seed 0: " in out


# ------------------------------------------------------------------------------------------- compare


def run_of(data: str, kind: str, **values) -> Run:
    prepared = alone(data, kind, **values)
    folder = Path("runs") / f"r_{kind}"
    write_numbers(folder, Harvest(prepared.plan, prepared.store))
    write_results(folder, assemble(prepared.plan, prepared.store, []))
    return Run.open(folder)


def test_runs_of_other_task_settings_are_compared_by_their_real_arms_and_say_what_differs(data, made):
    a, b = run_of(data, "both"), run_of(data, "top")
    found = compare(a, b)
    assert {row.arm for row in found.rows} == {"real"} and found.gains == []
    assert found.differing == {"kind": ("both", "top")} and (found.a.label, found.b.label) == ("r_both", "r_top")
    for finding in FINDINGS:
        (row,) = [row for row in found.rows if (row.metric, row.structure) == ("auc", finding)]
        (test,) = [t for t in made[0].tests if (t.a, t.b, t.structure) == ("both", "top", finding)]
        assert (row.p, row.case_difference, row.low) == (test.p, test.difference, test.low)
    text = in_words(found, a.results)
    assert "task settings differ (kind: both and top): REAL is compared with REAL" in " ".join(text.split())
    assert "r_both: the halves meet at row 8" in text and "REAL" in text
    assert "not how such models do as a rule" in " ".join(text.split())


def test_runs_of_other_task_settings_without_real_films_in_common_are_refused(data):
    a = run_of(data, "both")
    top = run_of(data, "top")
    b = Run(top.folder, top.results.model_copy(update={"arms": ["synthetic"], "cells": []}))
    with pytest.raises(InputError, match="task settings kind=both and task settings kind=top cannot be compared"):
        compare(a, b)


@needs_browser
def test_axe_finds_nothing_wrong_with_the_page_in_light_and_dark(cxrbench, data, chromium):
    words = ("models", "--task", TASK, "--data", data, "--device", "cpu", "--jobs", "1", "--out", "m")
    assert cxrbench(*words)[0] == 0
    for scheme in SCHEMES:
        chromium.open(Path("m/report.html").resolve().as_uri())
        assert violations(chromium, scheme) == []
