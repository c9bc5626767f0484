"""Ranks: who is ranked, by what, what may be claimed, and how often a claim is false."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from cxrbench.benchmark.results.rows import MetricInfo
from cxrbench.benchmark.significance.paired_tests import holm, welch_over_seeds
from cxrbench.leaderboard.attempts import Division
from cxrbench.leaderboard.simulation import SCENARIOS, false_claims
from cxrbench.leaderboard.standings import LEVEL, Utility, board, boards, compare, differences


def _sibling(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made_up = _sibling("made_up")
attempt = made_up.attempt
REAL = (0.950, 0.951, 0.949, 0.952, 0.948)


def above(gain: float, seed: int, spread: float = 0.001, real: tuple[float, ...] = REAL) -> Utility:
    drawn = np.random.default_rng(seed).normal(0.95 + gain, spread, 5)
    return Utility(tuple(drawn.tolist()), real)


# ------------------------------------------------------------------------------------------------- the rule


def test_ranks_follow_from_scipys_welch_and_holm_over_all_pairs_and_real():
    utilities = [
        above(gain, seed, spread) for seed, (gain, spread) in enumerate([(0.02, 0.001), (0.019, 0.004), (0, 0.001)])
    ]
    arms = [u.arm for u in utilities]
    pairs = [(0, 1), (0, 2), (1, 2)]
    p = [stats.ttest_ind(arm, REAL, equal_var=False).pvalue for arm in arms]
    p += [stats.ttest_ind(arms[i], arms[j], equal_var=False).pvalue for i, j in pairs]
    adjusted = holm([float(one) for one in p])
    found = compare(utilities)
    assert [one.p_holm for one in found.ranks] == pytest.approx(adjusted[:3])
    assert [bool(found.apart[pair]) for pair in pairs] == [one <= LEVEL for one in adjusted[3:]]
    assert [(one.first, one.last) for one in found.ranks] == [(1, 2), (1, 2), (3, 3)]
    assert [one.told for one in found.ranks] == [1, 1, 0]


def test_real_cells_that_are_not_shared_widen_the_comparison():
    other = tuple(value + 0.03 for value in REAL)
    shared = compare([above(0.01, 1), above(0.0, 2)])
    apart = compare([above(0.01, 1), replace(above(0.03, 2), real=other)])
    assert shared.apart[0, 1]
    assert apart.ranks[0].first == apart.ranks[1].first - 1  # 0.01 above its REAL against 0.00 above its own
    wild = tuple(0.98 + 0.02 * (value - 0.95) / 0.001 for value in REAL)
    assert not compare([above(0.01, 1), Utility(above(0.03, 2).arm, wild)]).apart.any()


def test_lower_is_better_turns_ranks_and_claims_round():
    found = compare([above(0.02, 1), above(-0.02, 2)], higher_is_better=False).ranks
    assert [(one.first, one.told) for one in found] == [(2, -1), (1, 1)]


def test_without_spread_nothing_is_told_apart():
    constant = Utility((0.9,) * 5, (0.8,) * 5)
    found = compare([constant, Utility((0.7,) * 5, (0.8,) * 5)])
    assert not found.apart.any()
    assert [(one.first, one.last, one.p_holm, one.told) for one in found.ranks] == [(1, 2, None, 0), (1, 2, None, 0)]


def test_differences_equal_the_tests_over_seeds():
    pair = above(0.003, 5, 0.004)
    ours, theirs = differences([pair])[0], welch_over_seeds(pair.arm, pair.real)
    assert (ours.value, ours.low, ours.high, ours.p) == pytest.approx(
        (theirs.difference, theirs.low, theirs.high, theirs.p)
    )


def test_below_five_seeds_there_is_a_difference_but_no_test():
    found = differences([Utility((0.9, 0.91), (0.8, 0.81))])[0]
    assert found.value == pytest.approx(0.1) and (found.low, found.high, found.p) == (None, None, None)


# ------------------------------------------------------------------------------------------------- boards


def test_the_arm_that_ranks_is_mixed_else_finetune_else_synthetic():
    for arms, wanted in [
        (("real", "synthetic", "mixed", "finetune"), "mixed"),
        (("real", "synthetic", "finetune"), "finetune"),
        (("real", "synthetic"), "synthetic"),
    ]:
        made = board([attempt("a", arms=arms)])
        assert (made.arm, made.size) == (wanted, "full")


def test_better_entries_rank_first_and_equal_ones_tie():
    names = {"best": 0.03, "good_a": 0.015, "good_b": 0.015, "harmful": -0.05}
    made = board([attempt(name, gain, seed=n, sd=0.001) for n, (name, gain) in enumerate(names.items(), 2)])
    found = {one.attempt.title: one for one in made.standings[Division.REPRODUCED]}
    assert next(iter(found)) == "best" and list(found)[-1] == "harmful"
    assert {name: one.rank.first for name, one in found.items()} == {"best": 1, "good_a": 2, "good_b": 2, "harmful": 4}
    assert (found["good_a"].rank.last, found["harmful"].verdict) == (3, "worse than REAL")


def test_fewer_than_five_seeds_are_shown_unranked_with_the_reason():
    made = board([attempt("whole"), attempt("early", 0.2, seeds=range(4)), attempt("single", seeds=range(1))])
    found = {one.attempt.title: one for one in made.all}
    assert found["early"].rank is None and found["early"].reason == "4 seeds, 5 needed"
    assert found["early"].headline.difference.value == pytest.approx(0.2, abs=0.01)
    assert found["single"].reason == "1 seed, 5 needed"
    assert found["whole"].rank is not None


def test_a_missing_cell_leaves_an_entry_unranked_and_is_named():
    lost = frozenset({("tiny", "official", "synthetic", 3)})
    found = {one.attempt.title: one for one in board([attempt("whole"), attempt("holes", missing=lost)]).all}
    assert found["holes"].rank is None
    assert found["holes"].reason == "missing cells: tiny synthetic seed 3 fold official, of 30"


def test_an_entry_that_left_arms_or_sizes_out_is_unranked_and_changes_nothing_for_others():
    entries = [
        attempt("a"),
        attempt("b"),
        attempt("few", arms=("real", "finetune")),
        attempt("one", sizes={"full": 124}),
    ]
    found = {one.attempt.title: one.rank is not None for one in board(entries).all}
    assert found == {"a": True, "b": True, "few": False, "one": False}
    invented = board([attempt("a"), attempt("b"), attempt("c", arms=("real", "synthetic", "finetune", "mixed"))])
    assert invented.arm == "finetune" and all(one.rank is not None for one in invented.all)


def test_divisions_are_ranked_apart():
    made = board([attempt("ours", 0.0), attempt("theirs", 0.3, division=Division.CLAIMED)])
    assert [(d.value, [one.rank.first for one in found]) for d, found in made.standings.items()] == [
        ("reproduced", [1]),
        ("claimed", [1]),
    ]


def test_ways_of_labelling_are_rows_of_their_own():
    made = board([attempt("lsgan", label_by="teacher"), attempt("lsgan", label_by="per_class", seed=3)])
    assert {one.attempt.title for one in made.all} == {"lsgan (labels by teacher)", "lsgan (labels by per_class)"}


@pytest.mark.parametrize(
    "change", [{"version": 2}, {"data": "other"}, {"preset": "paper"}, {"digest": "f" * 64}, {"settings": "e" * 64}]
)
def test_other_protocols_data_presets_and_settings_are_other_boards(change):
    made = boards([attempt("a"), attempt("b", key=replace(made_up.KEY, **change))])
    assert len(made) == 2 and len({one.key.slug for one in made}) == 2


def test_lower_is_better_metrics_rank_the_other_way():
    metric = MetricInfo(name="hausdorff", label="Hausdorff", higher_is_better=False)
    made = board([attempt("near", -0.02, metric=metric), attempt("far", 0.02, metric=metric, seed=3)])
    assert [(one.attempt.title, one.rank.first, one.rank.told) for one in made.all] == [("near", 1, 1), ("far", 2, -1)]


# ------------------------------------------------------------------------------------------------- false claims


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_false_claims_of_small_boards_are_at_most_nominal(name):
    """400 boards of 12 null providers: 31 boards with a false claim are the most that 5 % explains (p < 0.01)."""
    found = false_claims(SCENARIOS[name], boards=400, providers=12)
    assert found.boards <= stats.binom.isf(0.01, 400, LEVEL) / 400
    assert found.providers <= LEVEL


def test_false_claims_among_a_thousand_null_providers_are_at_most_nominal():
    found = false_claims(SCENARIOS["unequal"], boards=3, providers=1000)
    assert found.boards == 0 and found.providers == 0


def test_without_holm_the_rule_would_claim_too_much(monkeypatch):
    """The simulation can go red: the plain test claims something false on most boards."""
    monkeypatch.setattr("cxrbench.leaderboard.standings.holm_values", lambda p: p)
    assert false_claims(SCENARIOS["equal"], boards=60, providers=12).boards > 0.5


def test_differences_are_found_where_there_are_some():
    rng = np.random.default_rng(0)
    utilities = [Utility(tuple(rng.normal(0.95 + 0.01 * i, 0.001, 5)), REAL) for i in range(12)]
    assert [one.first for one in compare(utilities).ranks] == list(range(12, 0, -1))
