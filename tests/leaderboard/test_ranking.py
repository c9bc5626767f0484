"""Ranks by gains over placebo: against plain loops, by hand, and on boards where all are equal."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.significance.gain import Verdict, paired_over_seeds, sign_flip_p
from cxrbench.benchmark.significance.paired_tests import holm
from cxrbench.leaderboard.ranking import LEVEL, QUIET, compare_paired
from cxrbench.leaderboard.worth_simulation import SCENARIOS, copies_told, false_claims, power

NOISE = np.array([0.1, -0.2, 0.15, -0.1, 0.05])
OTHER = np.array([-0.1, 0.05, 0.2, -0.05, -0.1])
THIRD = np.array([0.05, 0.1, -0.2, 0.1, -0.05])


def facts(comparison):
    return [(one.first, one.last, one.told) for one in comparison.ranks]


def plainly(gains):
    """The rule in loops over scipy's t-test: the p of each entry with copying, and who is apart."""
    names = [(-1, i) for i in range(len(gains))] + [(i, j) for i in range(len(gains)) for j in range(i)]
    rows = []
    for i, j in names:
        d = np.asarray(gains[j] if i < 0 else gains[i] - gains[j])
        rows.append(d[np.isfinite(d)])
    usable = [len(d) >= 5 for d in rows]
    spreads = [np.std(d, ddof=1) if use else np.nan for d, use in zip(rows, usable, strict=True)]
    n = len(gains)
    floors = [QUIET * np.nanquantile(kind, 0.25) for kind in (spreads[:n], spreads[n:])]
    p = []
    for k, (d, use) in enumerate(zip(rows, usable, strict=True)):
        least = floors[k >= n]
        if not use:
            p.append(None)
        elif np.std(d, ddof=1) >= least:
            p.append(float(stats.ttest_rel(d, np.zeros(len(d))).pvalue))
        else:
            p.append(float(2 * stats.t.sf(abs(np.mean(d)) * math.sqrt(len(d)) / least, len(d) - 1)))
    adjusted = holm(p)
    for k, d in enumerate(rows):
        if adjusted[k] is not None and adjusted[k] <= LEVEL and abs(np.sign(d).sum()) < len(d):
            adjusted[k] = max(adjusted[k], sign_flip_p(d[None])[0])
    apart = np.zeros((len(gains), len(gains)), bool)
    for (i, j), value in zip(names, adjusted, strict=True):
        if i >= 0 and value is not None and value <= LEVEL:
            apart[i, j] = apart[j, i] = True
    return adjusted[: len(gains)], apart


@pytest.mark.parametrize("seeds", [5, 8, 12])
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_the_rule_equals_plain_loops(seeds, missing):
    rng = np.random.default_rng(seeds)
    gains = rng.normal(size=(7, seeds)) * rng.uniform(0.2, 2, (7, 1)) + np.linspace(-6, 6, 7)[:, None]
    gains[rng.random(gains.shape) < missing] = np.nan
    found = compare_paired(gains)
    p, apart = plainly(gains)
    for one, value in zip(found.ranks, p, strict=True):
        assert one.p_holm is None if value is None else one.p_holm == pytest.approx(value, rel=1e-9)
    assert np.array_equal(found.apart, apart)
    assert seeds == 5 or apart.any()
    means = np.nanmean(gains, axis=1)
    for i, one in enumerate(found.ranks):
        assert one.first == 1 + sum(apart[i, j] and means[j] > means[i] for j in range(7))
        assert one.last == 7 - sum(apart[i, j] and means[j] < means[i] for j in range(7))


def test_ranks_by_hand():
    found = compare_paired([10 + NOISE, OTHER, -10 + THIRD, 10.02 + THIRD[::-1]])
    assert facts(found) == [(1, 2, 1), (3, 3, 0), (4, 4, -1), (1, 2, 1)]
    assert found.apart.astype(int).tolist() == [[0, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 0]]
    lower = compare_paired([10 + NOISE, OTHER, -10 + THIRD, 10.02 + THIRD[::-1]], higher_is_better=False)
    assert facts(lower) == [(3, 4, -1), (2, 2, 0), (1, 1, 1), (3, 4, -1)]


def test_luck_that_all_share_cancels_between_entries_but_not_against_copying():
    """The placebo's luck at a seed is in every gain."""
    luck = np.array([30.0, -20, 5, -25, 12])
    found = compare_paired([luck + 10 + NOISE, luck + OTHER])
    assert facts(found) == [(1, 1, 0), (2, 2, 0)]


def test_entries_by_seed_are_compared_over_the_seeds_that_both_have():
    rng = np.random.default_rng(1)
    table = rng.normal(size=(4, 12)) + 5 * np.arange(4)[:, None]
    table[0, 7:] = np.nan  # seeds 0 to 6
    table[1, :5] = np.nan  # seeds 5 to 11: two are shared with the first
    by_seed = [{s: v for s, v in enumerate(row.tolist()) if not math.isnan(v)} for row in table]
    found, same = compare_paired(by_seed), compare_paired(table)
    assert found.ranks == same.ranks and np.array_equal(found.apart, same.apart)
    assert not found.apart[0, 1]  # two shared seeds
    assert found.apart[0, 3] and found.apart[1, 3]


def test_what_was_not_trained_five_times_is_told_from_nothing():
    found = compare_paired([{s: 10 + v for s, v in enumerate(NOISE[:4])}, dict(enumerate(OTHER)), {}])
    assert facts(found) == [(1, 3, 0)] * 3
    assert [one.p_holm is None for one in found.ranks] == [True, False, True]


def test_what_has_no_spread_is_never_told():
    found = compare_paired([np.zeros(5), np.full(5, 3.0), 10 + NOISE, 13 + NOISE])
    assert [one.p_holm is None for one in found.ranks] == [True, True, False, False]
    assert not found.apart[0, 1] and not found.apart[2, 3]  # the same difference at every seed, but for rounding
    assert found.apart[0, 2] and found.ranks[2].told == 1


def test_nobody_and_one_alone():
    assert compare_paired([]).ranks == [] and compare_paired(np.zeros((0, 5))).apart.shape == (0, 0)
    assert facts(compare_paired([10 + NOISE])) == [(1, 1, 1)]


@pytest.mark.parametrize("wrong", [[1.0, 2.0], [[math.inf] * 5], np.zeros((2, 2, 2))])
def test_what_is_no_table_of_gains_is_refused(wrong):
    with pytest.raises(InputError, match="gains"):
        compare_paired(wrong)


# ------------------------------------------------------------------------------------------------- safeguards


@pytest.mark.parametrize(
    "d", [[-0.05, 0.8, 0.8, 1.5, 1.2], [3.0, 2.8, 2.3, 1.4, -0.2, 1.0], [0.8, 0.9, 1.1, 1.0, 0.7], [-1.0, 2, 0, 1, 1]]
)
def test_a_board_of_one_says_what_its_report_says(d):
    """Told by t alone, but for the last; the permutation disagrees with the first two."""
    alone = paired_over_seeds(np.array(d), np.zeros(len(d)))
    one = compare_paired([d]).ranks[0]
    assert one.p_holm == pytest.approx(alone.p) or alone.t_p > LEVEL
    assert one.told == {Verdict.MORE: 1, Verdict.NOT_TOLD: 0}[alone.verdict]


def test_a_luckily_small_spread_counts_as_half_the_lower_quartile():
    lucky = 1 + 1e-6 * NOISE
    rest = [10 * NOISE, 10 * OTHER, 10 * THIRD, 10 * NOISE[::-1], 10 * OTHER[::-1]]
    assert compare_paired([lucky]).ranks[0].told == 1  # alone on its board
    assert compare_paired([lucky, *rest]).ranks[0].told == 0


# ------------------------------------------------------------------------------------------------- false claims


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_false_claims_of_small_boards_are_at_most_nominal(name):
    """200 boards of eight: 18 with a false claim are the most that 5 % explains (p < 0.01)."""
    assert false_claims(SCENARIOS[name], boards=200, providers=8) <= stats.binom.isf(0.01, 200, LEVEL) / 200


def test_without_holm_the_rule_would_claim_too_much(monkeypatch):
    """The simulation can go red."""
    monkeypatch.setattr("cxrbench.leaderboard.ranking.holm_values", lambda p: p)
    assert false_claims(SCENARIOS["normal"], boards=60, providers=8) > 0.3


def test_copies_are_not_told_from_copying_on_a_board_of_others():
    more, less = copies_told(boards=200, seeds=5)
    assert more + less <= stats.binom.isf(0.01, 200, LEVEL) / 200


def test_what_is_two_deviations_better_is_told_by_eight_seeds():
    alone, board = power(2.0, seeds=8, boards=60)
    assert alone > 0.9 and 0.5 < board <= alone


def test_a_thousand_providers():
    rng = np.random.default_rng(0)
    gains = rng.normal(size=(1000, 5)) - rng.normal(size=5)
    gains[:10] += 1e6
    found = compare_paired(gains)  # 500,500 comparisons: one that loops over them in Python does not end here
    assert {one.first for one in found.ranks[:10]} == {1} and {one.first for one in found.ranks[10:]} == {11}
