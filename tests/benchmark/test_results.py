"""Results say what the store holds: numbers by hand, missing cells as missing, tests against scipy, no NaN in JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy import stats

from cxrbench.benchmark.data.augmentation import paper_augmentation
from cxrbench.benchmark.metrics.scores import case_scores
from cxrbench.benchmark.report.words import legend
from cxrbench.benchmark.results.assemble import Harvest, assemble, check_words
from cxrbench.benchmark.results.rows import Results, Status
from cxrbench.benchmark.runs.store import Level
from cxrbench.benchmark.significance.pairs import compare_cases

ORGANS = ("left_lung", "heart")
COMMAND = ["cxrbench", "run"]


def given(size, arm, seed, organ):
    """Case scores whose means are plain: real 0.80 and 0.60, synthetic 0.10 lower with a spread, seed s adds s / 100."""
    base = {"left_lung": 0.8, "heart": 0.6}[organ] + seed / 100
    spread = np.array([-3, -2, -1, 0, 0, 1, 2, 3]) / 100
    return base + spread + ({"real": 0.0, "synthetic": -0.1, "finetune": 0.05}[arm] + spread**2 * (arm != "real"))


def test_table_holds_the_record_of_each_cell(fabricate):
    made = fabricate(scores=given)
    results = assemble(made.plan, made.store, COMMAND)
    assert results.row("full", "real", "dsc", "left_lung").value == pytest.approx(0.8)
    assert results.row("full", "real", "dsc", "average").value == pytest.approx(0.7)
    extra = np.mean((np.array([-3, -2, -1, 0, 0, 1, 2, 3]) / 100) ** 2)
    assert results.row("tiny", "synthetic", "dsc", "average").value == pytest.approx(0.6 + extra)
    assert results.row("full", "real", "dsc", "average").sd is None
    assert results.complete


def test_several_seeds_give_their_mean_and_sample_deviation(fabricate):
    made = fabricate(scores=given, seeds=(0, 1, 2))
    row = assemble(made.plan, made.store, COMMAND).row("full", "real", "dsc", "heart")
    assert row.value == pytest.approx(0.61)
    assert row.sd == pytest.approx(0.01)  # of 0.60, 0.61, 0.62
    assert row.seeds == 3


def test_several_folds_are_summarised_over_all_their_cases(fabricate):
    made = fabricate(folds=("a", "b"))
    results = assemble(made.plan, made.store, COMMAND)
    parts = [made.scores["full", fold, "real", 0] for fold in ("a", "b")]
    together = pd.concat(parts).query("metric == 'dsc' and structure == 'heart'")["value"]
    assert results.row("full", "real", "dsc", "heart").value == pytest.approx(together.mean())
    assert results.test("full", "synthetic", "dsc", "heart").n == len(together)


def test_paired_rows_equal_scipy_with_holm_over_arms_and_structures(fabricate):
    made = fabricate(scores=given)
    results = assemble(made.plan, made.store, COMMAND)
    real = given("full", "real", 0, "heart")
    synthetic = given("full", "synthetic", 0, "heart")
    row = results.test("full", "synthetic", "dsc", "heart")
    assert row.n == 8
    assert row.difference == pytest.approx((synthetic - real).mean())
    assert row.p == pytest.approx(stats.ttest_rel(synthetic, real).pvalue)
    assert row.low < row.difference < row.high
    table = [r for r in results.paired if (r.size, r.metric) == ("full", "dsc")]
    assert len(table) == 2 * 3  # two arms; two organs and their average
    for kind in ("p", "p_second"):
        ordered = sorted(table, key=lambda r: getattr(r, kind))
        running = np.maximum.accumulate([(6 - rank) * getattr(r, kind) for rank, r in enumerate(ordered)])
        assert [getattr(r, f"{kind}_holm") for r in ordered] == pytest.approx(np.minimum(running, 1), rel=1e-9, abs=0)


def test_average_of_the_tests_is_the_mean_over_structures_of_each_case(fabricate):
    made = fabricate()
    harvest = Harvest(made.plan, made.store)
    scores = harvest.scores.query("size == 'full' and arm == 'real'")
    wide = case_scores(scores, ORGANS, "dsc")
    assert wide["average"].to_numpy() == pytest.approx((wide["left_lung"] + wide["heart"]).to_numpy() / 2)


def test_with_several_seeds_a_case_score_is_its_mean_over_seeds(fabricate):
    made = fabricate(scores=given, seeds=(0, 1, 2))
    scores = Harvest(made.plan, made.store).scores.query("size == 'full' and arm == 'real'")
    wide = case_scores(scores, ORGANS, "dsc")
    assert len(wide) == 8
    assert wide["heart"].to_numpy() == pytest.approx(given("full", "real", 1, "heart"))


def test_different_cases_are_never_paired(fabricate):
    made = fabricate()
    scores = Harvest(made.plan, made.store).scores.query("size == 'full' and arm == 'real'")
    fewer = scores[scores["case"] != scores["case"].iloc[0]]
    assert all(
        row.p is None and "not the same cases" in row.note for row in compare_cases(scores, fewer, ORGANS, "dsc")
    )


def test_a_failed_cell_takes_its_numbers_with_it_and_says_why(fabricate):
    made = fabricate(broken={("tiny", "synthetic", 0): "sample() gave NaN"})
    results = assemble(made.plan, made.store, COMMAND)
    assert not results.complete
    row = results.row("tiny", "synthetic", "dsc", "heart")
    assert (row.value, row.note) == (None, "failed")
    cell = next(cell for cell in results.cells if (cell.size, cell.arm) == ("tiny", "synthetic"))
    assert cell.status is Status.FAILED
    assert cell.message == "train: sample() gave NaN"
    assert not [row for row in results.paired if (row.size, row.arm) == ("tiny", "synthetic")]
    assert results.row("full", "synthetic", "dsc", "heart").value is not None


def test_a_missing_seed_is_not_averaged_over(fabricate):
    made = fabricate(seeds=(0, 1, 2), broken={("full", "finetune", 1): ""})
    results = assemble(made.plan, made.store, COMMAND)
    row = results.row("full", "finetune", "dsc", "average")
    assert (row.value, row.sd, row.note) == (None, None, "missing 1/3")
    assert not [row for row in results.seed_tests if (row.size, row.arm) == ("full", "finetune")]


def test_a_missing_real_arm_leaves_no_test_but_keeps_the_other_numbers(fabricate):
    made = fabricate(broken={("full", "real", 0): "out of memory"})
    results = assemble(made.plan, made.store, COMMAND)
    assert not [row for row in results.paired if row.size == "full"]
    assert results.row("full", "synthetic", "dsc", "heart").value is not None


def test_a_record_that_cannot_be_read_is_a_failed_cell(fabricate):
    made = fabricate()
    key = made.plan.cells[0].key
    (made.store.path(Level.RECORDS, key) / "record.json").write_text("{", encoding="utf-8")
    results = assemble(made.plan, made.store, COMMAND)
    assert results.cells[0].status is Status.FAILED
    assert "not a valid Record" in results.cells[0].message


def test_an_empty_store_gives_a_whole_table_of_missing_cells(fabricate):
    broken = {(size, arm, 0): "" for size in ("full", "tiny") for arm in ("real", "synthetic", "finetune")}
    made = fabricate(broken=broken)
    results = assemble(made.plan, made.store, COMMAND)
    assert {cell.status for cell in results.cells} == {Status.MISSING}
    assert {row.value for row in results.table} == {None}
    assert results.cost == [] and results.checks == [] and results.environments == []


def test_nan_scores_reach_no_json(fabricate):
    def with_nan(size, arm, seed, organ):
        scores = given(size, arm, seed, organ)
        if organ == "left_lung" and arm == "finetune":
            scores[2] = np.nan
        return scores

    made = fabricate(scores=with_nan)
    results = assemble(made.plan, made.store, COMMAND)
    text = results.model_dump_json(by_alias=True)
    assert "NaN" not in text and "Infinity" not in text
    json.loads(text, parse_constant=pytest.fail)
    row = results.test("full", "finetune", "dsc", "left_lung")
    assert row.p is None and "not finite" in row.note
    assert results.test("full", "finetune", "dsc", "average").p is None
    assert results.test("full", "finetune", "dsc", "heart").p is not None


def test_one_seed_makes_no_claim(fabricate):
    made = fabricate()
    rows = assemble(made.plan, made.store, COMMAND).seed_tests
    assert rows and all(row.p is None for row in rows)
    assert {row.sentence for row in rows} == {
        "one seed: these compare two trained models, not the generator (use --seeds 5)"
    }


def test_five_seeds_make_a_claim_that_is_welch_of_the_averages(fabricate):
    made = fabricate(seeds=(0, 1, 2, 3, 4))
    results = assemble(made.plan, made.store, COMMAND)
    row = next(row for row in results.seed_tests if (row.size, row.arm) == ("full", "synthetic"))

    def averages(arm):
        frames = [made.scores["full", "official", arm, seed] for seed in range(5)]
        return [frame.query("metric == 'dsc'").groupby("structure")["value"].mean().mean() for frame in frames]

    expected = stats.ttest_ind(averages("synthetic"), averages("real"), equal_var=False)
    assert row.p == pytest.approx(expected.pvalue)
    assert row.difference == pytest.approx(np.mean(averages("synthetic")) - np.mean(averages("real")))
    assert "lower" in row.sentence and "my_gan" in row.sentence


def test_cost_is_per_size_and_counts_fits_not_cells(fabricate):
    made = fabricate(seeds=(0, 1))
    rows = assemble(made.plan, made.store, COMMAND).cost
    assert [(row.size, row.fits) for row in rows] == [("full", 2), ("tiny", 2)]
    assert rows[0].parameters == 1_234_567 and rows[0].peak_memory_bytes == 900_000_000


def test_checks_are_said_once_per_synthetic_set_and_alarm(fabricate):
    near = {"films": 240, "flagged": 30, "threshold": 0.1, "p": 1e-9, "nearest": [[0, 1, 0.01]]}
    made = fabricate(checks={"near_train": near, "near_test": near | {"flagged": 0, "p": 1.0}})
    rows = assemble(made.plan, made.store, COMMAND).checks
    assert [(row.size, row.name, row.alarm) for row in rows] == [
        ("full", "nearest training film", True),
        ("full", "nearest test film", False),
        ("tiny", "nearest training film", True),
        ("tiny", "nearest test film", False),
    ]
    assert rows[1].sentence == "no near copies (0 of 240 below the 1st percentile)"
    assert check_words("my_check", {"share": 0.25, "ok": True}) == ("my check", "share 0.25, ok yes", False)


def test_films_of_a_size_are_counted_before_augmentation(fabricate):
    made = fabricate()
    results = assemble(made.plan, made.store, COMMAND)
    assert [(info.size, info.films, info.test_films) for info in results.sizes] == [("full", 8, 8), ("tiny", 3, 8)]
    sixfold = paper_augmentation(made.plan.data, 5, seed=0)
    assert (len(sixfold), len(made.plan.data)) == (96, 16)
    again = assemble(replace(made.plan, fit_data=sixfold), made.store, COMMAND)
    assert again.sizes[0].films == 8 and again.sizes[0].fold_films == [8]


def test_results_survive_their_json_and_refuse_unknown_keys(fabricate):
    made = fabricate(seeds=(0, 1))
    results = assemble(made.plan, made.store, COMMAND)
    text = results.model_dump_json(by_alias=True)
    assert Results.model_validate_json(text) == results
    with pytest.raises(ValidationError, match="surprise"):
        Results.model_validate(json.loads(text) | {"surprise": 1})


def test_only_data_that_says_so_is_phantom(fabricate):
    made = fabricate()
    assert not assemble(made.plan, made.store, COMMAND).data.phantom
    phantom = made.plan.data.info.model_copy(update={"name": "phantom"})
    made = fabricate(name="other", data=replace(made.plan.data, info=phantom))
    assert assemble(made.plan, made.store, COMMAND).data.phantom


def test_tests_over_films_say_that_they_take_the_films_of_a_patient_apart(fabricate):
    made = fabricate(sizes=("full",), arms=("real", "synthetic"))
    assert not any("patients" in said for said in assemble(made.plan, made.store, []).task.remarks)
    cases = made.plan.data.cases.assign(patient=[f"p{row // 4}" for row in range(len(made.plan.data))])
    several = replace(made.plan, data=replace(made.plan.data, cases=cases))
    results = assemble(several, made.store, [])
    said = results.task.remarks[-1]
    assert said.startswith(
        "tiny films has 16 films of 4 patients: tests and stars over films take each film for itself"
    )
    shown = legend(results)
    assert shown.count(said) == 1 and shown[shown.index(said) - 1].startswith("stars are those of the papers"), shown
    unknown = replace(made.plan, data=replace(made.plan.data, cases=cases.drop(columns="patient")))
    assert not any("patients" in said for said in assemble(unknown, made.store, []).task.remarks)
