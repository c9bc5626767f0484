"""Rules by which two models are compared on the same cases: AUCs, hits, and Holm over what has the same test."""

from __future__ import annotations

import math
import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.metrics.auc_bootstrap import bootstrap_auc
from cxrbench.benchmark.metrics.classification import delong
from cxrbench.benchmark.metrics.scores import AVERAGE, NOT_TAUGHT, RESAMPLES, class_scores
from cxrbench.benchmark.registry import TASKS, plugins
from cxrbench.benchmark.significance.pairs import Comparison, compare_cases, with_holm
from cxrbench.benchmark.significance.rules import (
    DELONG,
    HIT_RATES,
    MCNEMAR,
    OVER_CLASSES,
    PATIENTS,
    RULES,
    PairingRule,
    compare_aucs,
    compare_hits,
    rule_named,
    rule_of,
)

STRUCTURES = ("Mass", "Nodule", "Edema", "Hernia", "Fibrosis", "Effusion")
FILMS, PEOPLE = 160, 45
CASES = np.array([f"{number:03d}_000" for number in range(FILMS)])
OWNERS = np.random.default_rng(5).integers(0, PEOPLE, FILMS).astype(str)
TRUTH = np.random.default_rng(6).random((FILMS, len(STRUCTURES))) < [0.3, 0.2, 0.4, 0.1, 0.5, 0.2]


def logits(seed: int, gain: float, seeds: int = 1) -> np.ndarray:
    """(seeds, films, classes): noise plus `gain` where the finding is."""
    noise = np.random.default_rng(seed).normal(size=(seeds, FILMS, len(STRUCTURES)))
    return noise + gain * TRUTH


def long(values: np.ndarray, truth: np.ndarray = TRUTH, order: int = 0) -> pd.DataFrame:
    """Case scores in long form, their rows shuffled by `order`."""
    parts = []
    for seed, one in enumerate(values):
        for column, structure in enumerate(STRUCTURES):
            place = {"seed": seed, "case": CASES, "patient": OWNERS, "structure": structure}
            parts.append(pd.DataFrame(place | {"metric": "logit", "value": one[:, column]}))
            parts.append(pd.DataFrame(place | {"metric": "truth", "value": truth[:, column].astype(float)}))
    return pd.concat(parts).sample(frac=1, random_state=order)


def rows_of(ours: np.ndarray, theirs: np.ndarray, truth: np.ndarray = TRUTH) -> dict[str, Comparison]:
    found = compare_aucs(long(ours, truth, 1), long(theirs, truth, 2), STRUCTURES, "auc")
    return {row.structure: row for row in found}


# ------------------------------------------------------------------------------------------- AUCs


def test_scores_in_any_order_become_arrays_in_the_order_of_the_films():
    given = logits(0, 1.0, seeds=2)
    found = class_scores(long(given, order=9), STRUCTURES)
    assert np.array_equal(found.logits, given) and np.array_equal(found.truth, TRUTH)
    assert found.cases == tuple(CASES) and found.patients.tolist() == OWNERS.tolist()
    some = class_scores(long(given, order=3), ("Edema", "Mass"))
    assert np.array_equal(some.logits, given[:, :, [2, 0]]) and np.array_equal(some.truth, TRUTH[:, [2, 0]])


def test_a_class_is_compared_by_delong_and_the_average_by_patients_and_the_paper_protocol():
    ours, theirs = logits(0, 1.4), logits(1, 0.8)
    found = rows_of(ours, theirs)
    assert list(found) == [*STRUCTURES, AVERAGE]
    for column, structure in enumerate(STRUCTURES):
        direct, row = delong(TRUTH[:, column], ours[0, :, column], theirs[0, :, column]), found[structure]
        assert (row.n, row.test, row.second) == (FILMS, DELONG, "")
        assert (row.difference, row.low, row.high, row.p) == (direct.difference, direct.low, direct.high, direct.p)
    macro = bootstrap_auc(TRUTH, [ours, theirs], OWNERS, resamples=RESAMPLES).macro_difference(0, 1)
    row = found[AVERAGE]
    assert (row.difference, row.low, row.high, row.p) == (macro.value, macro.low, macro.high, macro.p)
    aucs = [[roc_auc_score(TRUTH[:, c], one[0, :, c]) for c in range(len(STRUCTURES))] for one in (ours, theirs)]
    assert row.difference == pytest.approx(np.mean(aucs[0]) - np.mean(aucs[1]))
    assert (row.test, row.second) == (PATIENTS, OVER_CLASSES)
    assert row.p_second == pytest.approx(stats.ttest_rel(*aucs).pvalue)


def test_films_of_one_patient_are_resampled_together():
    """The same films as of a patient each have another interval."""
    ours, theirs = logits(0, 1.4), logits(1, 0.8)
    apart = compare_aucs(*(long(one).assign(patient=lambda t: t["case"]) for one in (ours, theirs)), STRUCTURES, "auc")
    together = rows_of(ours, theirs)[AVERAGE]
    assert apart[-1].difference == together.difference
    assert (apart[-1].low, apart[-1].high) != (together.low, together.high)


def test_with_seeds_the_mean_auc_of_a_model_is_compared():
    ours, theirs = logits(2, 1.2, seeds=3), logits(3, 0.9, seeds=2)
    found = rows_of(ours, theirs)

    def auc(one: np.ndarray, column: int) -> float:
        return float(np.mean([roc_auc_score(TRUTH[:, column], seed[:, column]) for seed in one]))

    differences = [auc(ours, column) - auc(theirs, column) for column in range(len(STRUCTURES))]
    for structure, difference in zip(STRUCTURES, differences, strict=True):
        assert found[structure].difference == pytest.approx(difference)
    assert found[AVERAGE].difference == pytest.approx(np.mean(differences))


def test_the_other_way_round_the_difference_changes_its_sign_and_nothing_else():
    ours, theirs = logits(0, 1.4), logits(1, 0.8)
    there, back = rows_of(ours, theirs), rows_of(theirs, ours)
    for structure, row in there.items():
        assert back[structure].difference == pytest.approx(-row.difference)
        assert back[structure].p == pytest.approx(row.p) and back[structure].low == pytest.approx(-row.high)


def test_a_model_does_not_differ_from_itself():
    found = rows_of(logits(0, 1.0), logits(0, 1.0))
    for structure in STRUCTURES:
        assert (found[structure].difference, found[structure].p) == (0, 1)
        assert found[structure].note == "identical ranking"
    assert (found[AVERAGE].difference, found[AVERAGE].p, found[AVERAGE].p_second) == (0, 1, None)


def test_a_class_with_one_label_value_has_no_number_and_is_left_out_of_the_average():
    truth = TRUTH.copy()
    truth[:, 1] = False
    ours, theirs = logits(0, 1.4), logits(1, 0.8)
    found = rows_of(ours, theirs, truth)
    assert found["Nodule"].difference is None and found["Nodule"].note == "one label value: no AUC"
    rest = [found[structure].difference for structure in STRUCTURES if structure != "Nodule"]
    assert found[AVERAGE].difference == pytest.approx(np.mean(rest))


def test_a_class_that_one_model_was_not_taught_is_left_out_of_both_averages():
    ours, theirs = logits(0, 1.4), logits(1, 0.8)
    theirs[..., 3] = math.nan
    found = rows_of(ours, theirs)
    assert found["Hernia"] == Comparison("Hernia", 0, note=NOT_TAUGHT)
    assert found[AVERAGE].difference == pytest.approx(
        np.mean([row.difference for name, row in found.items() if name in STRUCTURES and name != "Hernia"])
    )


def test_one_class_alone_has_no_average_and_one_comparable_class_gives_none():
    ours, theirs = logits(0, 1.4), logits(1, 0.8)
    alone = compare_aucs(long(ours), long(theirs), ("Mass",), "auc")
    assert [row.structure for row in alone] == ["Mass"] and alone[0].p is not None
    truth = np.zeros_like(TRUTH)
    truth[:, 0] = TRUTH[:, 0]
    average = rows_of(ours, theirs, truth)[AVERAGE]
    assert average.difference is None and average.note == "fewer than two classes can be compared: no test"


def test_other_cases_or_none_at_all_give_a_note_and_no_number():
    ours, theirs = long(logits(0, 1.4)), long(logits(1, 0.8))
    fewer = compare_aucs(ours, theirs[theirs["case"] != CASES[0]], STRUCTURES, "auc")
    none = compare_aucs(ours, theirs.iloc[:0], STRUCTURES, "auc")
    assert [row.structure for row in fewer] == [row.structure for row in none] == [*STRUCTURES, AVERAGE]
    assert {row.note for row in fewer} == {f"not the same cases ({FILMS} and {FILMS - 1}): no test"}
    assert {row.note for row in none} == {"no scores: no test"}
    assert all(row.difference is None and row.p is None for row in (*fewer, *none))


def test_a_full_size_table_of_25596_films_and_14_classes_is_read_in_seconds():
    films, classes = 25_596, [f"class {number}" for number in range(14)]
    names = np.array([f"{number:08d}_000" for number in range(films)])
    place = {"seed": 0, "case": names, "patient": np.array([name[4:8] for name in names])}
    value = np.random.default_rng(0).normal(size=films)
    parts = [
        pd.DataFrame(place | {"structure": name, "metric": metric, "value": value})
        for name in classes
        for metric in ("logit", "truth")
    ]
    scores = pd.concat(parts, ignore_index=True)
    start = time.perf_counter()
    found = class_scores(scores, classes)
    assert time.perf_counter() - start < 10  # half a second on an idle core
    assert found.logits.shape == (1, films, 14) and np.array_equal(found.logits[0, :, 13], value)


# ------------------------------------------------------------------------------------------- hits


def hit_table(hits: dict[str, list[list[int]]]) -> pd.DataFrame:
    """Long form of hits: by class, a list per seed."""
    rows = [
        {"seed": seed, "case": f"{name}-{index}", "structure": name, "metric": "hit", "value": float(value)}
        for name, seeds in hits.items()
        for seed, one in enumerate(seeds)
        for index, value in enumerate(one)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=1)


def test_hits_are_compared_by_mcnemar_per_class_and_over_all_boxes():
    """Mass: 8 boxes found by ours alone, 2 by theirs alone; p = 2 P(X <= 2), X ~ B(10, 1/2) = 112 / 1024. Nodule: 1, 0."""
    ours = hit_table({"Mass": [[1] * 8 + [0] * 2 + [1] * 5], "Nodule": [[1, 1, 0, 0, 0]]})
    theirs = hit_table({"Mass": [[0] * 8 + [1] * 2 + [1] * 5], "Nodule": [[0, 1, 0, 0, 0]]})
    mass, nodule, average = compare_hits(ours, theirs, ("Mass", "Nodule"), "hit")
    assert (mass.test, mass.n) == (MCNEMAR, 15)
    assert mass.difference == pytest.approx(6 / 15) and mass.p == pytest.approx(112 / 1024)
    assert mass.low < 6 / 15 < mass.high
    assert nodule.difference == pytest.approx(1 / 5) and nodule.p == 1
    assert (average.structure, average.n) == (AVERAGE, 20)
    assert average.difference == pytest.approx((6 / 15 + 1 / 5) / 2)  # the macro difference
    assert average.p == pytest.approx(stats.binomtest(2, 11).pvalue)  # of all boxes
    assert average.low < average.difference < average.high


def test_with_seeds_the_hit_rates_of_boxes_are_compared():
    rng = np.random.default_rng(3)
    ours, theirs = ((rng.random((3, 40)) < share).astype(int) for share in (0.7, 0.4))
    (row,) = compare_hits(hit_table({"Mass": ours.tolist()}), hit_table({"Mass": theirs.tolist()}), ("Mass",), "hit")
    assert row.test == HIT_RATES and row.difference == pytest.approx(ours.mean() - theirs.mean())
    assert row.p == pytest.approx(stats.wilcoxon(ours.mean(axis=0) - theirs.mean(axis=0)).pvalue, rel=0.05)


def test_hits_of_other_boxes_give_a_note_and_no_number():
    ours, theirs = hit_table({"Mass": [[1, 0, 1]]}), hit_table({"Mass": [[1, 0]]})
    found = compare_hits(ours, theirs, ("Mass", "Nodule"), "hit")
    assert [row.structure for row in found] == ["Mass", "Nodule", AVERAGE]
    assert {row.note for row in found} == {"not the same boxes (3 and 2): no test"}
    assert all(row.p is None for row in found)


# ------------------------------------------------------------------------------------------- Holm, rules


def test_holm_adjusts_what_has_the_same_test_and_leaves_the_others_alone():
    """DeLong's 0.01, 0.03, 0.02 become 0.03, 0.04, 0.04; the one bootstrap p stays, and so does the one second test."""
    rows = with_holm(
        [
            Comparison("a", 9, test=DELONG, p=0.01),
            Comparison("average", 9, test=PATIENTS, p=0.04, second=OVER_CLASSES, p_second=0.5),
            Comparison("b", 9, test=DELONG, p=0.03),
            Comparison("c", 0, note=NOT_TAUGHT),
            Comparison("d", 9, test=DELONG, p=0.02),
        ]
    )
    assert [row.structure for row in rows] == ["a", "average", "b", "c", "d"]
    assert [row.p_holm for row in rows] == [0.03, 0.04, 0.04, None, 0.04]
    assert [row.p_second_holm for row in rows] == [None, 0.5, None, None, None]


def test_holm_of_two_arms_takes_their_averages_together():
    rows = with_holm(
        [Comparison(AVERAGE, 9, test=PATIENTS, p=p, second=OVER_CLASSES, p_second=2 * p) for p in (0.02, 0.2)]
    )
    assert [row.p_holm for row in rows] == [0.04, 0.2]
    assert [row.p_second_holm for row in rows] == [0.08, 0.4]


def test_every_task_names_a_rule_and_only_films_with_scores_of_their_own_are_drawn():
    assert {plugin.load().pairing for plugin in plugins(TASKS).values()} == set(RULES)
    assert {name for name, rule in RULES.items() if rule.per_case} == {"cases"}
    assert RULES["cases"].compare is compare_cases
    assert RULES["auc"].compare is compare_aucs and RULES["hits"].compare is compare_hits


def own_rule(name: str) -> PairingRule:
    return PairingRule(name=name, compare=compare_cases, unit="ribs", marks="a test", more="", method="As ribs are.")


def test_a_task_may_bring_a_rule_which_results_then_name():
    rule = own_rule("ribs")
    assert rule_of(rule) is rule and rule_of("cases") is RULES["cases"]
    assert rule_named("ribs", "no installed task") is rule  # one in a file: known once it was used
    assert rule_named("hits", "no installed task") is RULES["hits"]


def test_the_rule_of_an_installed_task_is_found_without_a_run(monkeypatch):
    task = plugins(TASKS)["scr_official"].load()
    monkeypatch.setattr(task, "pairing", own_rule("spines"))
    assert rule_named("spines", "scr_official") is task.pairing


def test_a_name_that_is_taken_or_unknown_is_refused():
    with pytest.raises(InputError, match="the name is taken"):
        rule_of(own_rule("auc"))
    with pytest.raises(InputError, match=r"unknown pairing rule 'case'\. Did you mean cases"):
        rule_of("case")
    with pytest.raises(InputError, match="own rule 'teeth': the task is not installed here"):
        rule_named("teeth", "my_task")
    with pytest.raises(InputError, match="own rule 'teeth'"):
        rule_named("teeth", "scr_official")
