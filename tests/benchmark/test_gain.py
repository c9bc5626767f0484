"""Gain over placebo: against scipy, by hand, and under the null hypothesis."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.significance.gain import (
    MOST_EXACT,
    Verdict,
    agreed,
    failed_seeds,
    paired_over_seeds,
    sign_flip_p,
)

PLACEBO = np.array([0.960, 0.963, 0.958, 0.965, 0.961, 0.959, 0.962, 0.964])

GAINS = np.array([0.003, 0.004, 0.003, 0.005, 0.004])


def pair(seeds, gain=0.003, seed=0):
    """Scores that share the luck of their seed."""
    rng = np.random.default_rng(seed)
    luck = rng.normal(0.96, 0.01, seeds)
    return luck + gain + rng.normal(0, 0.002, seeds), luck + rng.normal(0, 0.002, seeds)


# ------------------------------------------------------------------------------------------- tests and intervals


@pytest.mark.parametrize("seeds", [5, 6, 8, 12, 20])
def test_the_paired_t_test_and_its_interval_are_scipys(seeds):
    arm, placebo = pair(seeds)
    test = paired_over_seeds(arm, placebo)
    theirs = stats.ttest_rel(arm, placebo)
    assert test.seeds == seeds
    assert test.t_p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert (test.low, test.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)), rel=1e-9)
    assert test.difference == pytest.approx(np.mean(arm) - np.mean(placebo), abs=1e-12)
    assert test.median == pytest.approx(np.median(arm - placebo), abs=1e-12)


@pytest.mark.parametrize("seeds", [5, 7, 10])
def test_sign_flips_are_scipys_permutation_test(seeds):
    rows = np.array([np.subtract(*pair(seeds, gain=0.002 * k, seed=k)) for k in range(6)])
    theirs = [
        stats.permutation_test((row,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue for row in rows
    ]
    assert sign_flip_p(rows) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("seeds", [8, MOST_EXACT, MOST_EXACT + 1, 24])
def test_sign_flips_of_equal_differences_are_binomial(seeds):
    """All differences of one size: the sum is as far from 0 as the number of + is from S / 2. Drawn beyond 16 seeds."""
    plus = seeds - seeds // 4
    d = np.where(np.arange(seeds) < plus, 0.01, -0.01)
    exact = 2 * stats.binom.sf(plus - 1, seeds, 0.5)
    assert sign_flip_p(d[None])[0] == pytest.approx(exact, rel=0.1 if seeds > MOST_EXACT else 1e-9)


def test_a_drawn_permutation_p_is_never_0():
    assert sign_flip_p(np.ones((1, 30)))[0] > 0


def test_five_seeds_of_one_direction_are_decided_by_t_since_the_permutation_stands_at_its_floor():
    test = paired_over_seeds(PLACEBO[:5] + GAINS, PLACEBO[:5])
    assert test.permutation_p == 2 / 2**5 and test.p == test.t_p < 0.01
    assert test.verdict is Verdict.MORE


@pytest.mark.parametrize(
    ("d", "flips"),
    [
        ([-0.05, 0.8, 0.8, 1.5, 1.2], 4 / 32),  # t alone would tell all three
        ([3.0, 2.8, 2.3, 1.4, -0.2, 1.0], 4 / 64),
        ([-0.2, 0.8, 1.3, 0.9, 0.2, 0.1, 1.4, -0.05], 16 / 256),
    ],
)
def test_where_the_permutation_disagrees_nothing_is_told(d, flips):
    d = np.array(d) / 100
    test = paired_over_seeds(PLACEBO[: len(d)] + d, PLACEBO[: len(d)])
    assert test.t_p < 0.05 < flips == pytest.approx(test.permutation_p) == pytest.approx(test.p)
    assert test.verdict is Verdict.NOT_TOLD


def test_what_decides_is_the_larger_p_above_the_floor():
    assert agreed(np.array([0.001, 0.2, 0.03]), np.array([2 / 2**8, 0.1, 0.04]), 8).tolist() == [0.001, 0.2, 0.04]


# ------------------------------------------------------------------------------------------- verdicts and words


@pytest.mark.parametrize(
    ("gain", "higher", "verdict"),
    [
        (0.01, True, Verdict.MORE),
        (-0.01, True, Verdict.HARMS),
        (-0.01, False, Verdict.MORE),
        (0.01, False, Verdict.HARMS),
        (0.0, True, Verdict.NOT_TOLD),
    ],
)
def test_verdicts_in_both_directions(gain, higher, verdict):
    arm, placebo = pair(8, gain, seed=3)
    test = paired_over_seeds(arm, placebo, higher_is_better=higher)
    assert test.verdict is verdict and test.claim.startswith(verdict.value)
    assert np.sign(test.difference) == np.sign(gain) or not gain


@pytest.mark.parametrize("swap", [1, -1])
def test_adds_nothing_is_said_only_within_a_margin(swap):
    arm, placebo = pair(8, 0.0, seed=3)[::swap]
    width = max(abs(paired_over_seeds(arm, placebo).low), abs(paired_over_seeds(arm, placebo).high))
    assert paired_over_seeds(arm, placebo, margin=1.01 * width).verdict is Verdict.NOTHING
    assert paired_over_seeds(arm, placebo, margin=0.99 * width).verdict is Verdict.NOT_TOLD
    assert paired_over_seeds(arm + 0.01, placebo, margin=1.0).verdict is Verdict.MORE  # told, and so not nothing


def test_copies_add_nothing_that_copying_does_not():
    test = paired_over_seeds(PLACEBO, PLACEBO)
    assert test.verdict is Verdict.NOTHING and test.difference == 0.0
    assert test.p is None and test.low is None and test.permutation_p is None


def test_the_claim_says_the_numbers():
    test = paired_over_seeds(PLACEBO[:5] + GAINS, PLACEBO[:5])
    assert test.claim == (
        "adds more than copying does (mean +0.0038 over 5 seeds, 95 % interval +0.002761 to +0.004839, p = 0.00053)"
    )


# ------------------------------------------------------------------------------------------- failed seeds


def test_failed_seeds_are_named_and_stay_in_the_mean():
    arm = PLACEBO + 0.004 + np.linspace(0, 0.001, 8)
    arm[2] = 0.5
    test = paired_over_seeds(arm, PLACEBO, seeds=range(10, 18))
    assert test.failed == (12,) and test.placebo_failed == ()
    assert test.claim.endswith("; failed: seed 12 of the arm")
    assert test.difference == pytest.approx(np.mean(arm - PLACEBO)) and test.difference < 0
    assert test.median == pytest.approx(0.0044, abs=2e-4)
    assert test.verdict is Verdict.NOT_TOLD
    both = paired_over_seeds(arm, np.where(np.arange(8) < 2, 0.1, PLACEBO))
    assert both.claim.endswith("; failed: seed 2 of the arm and seeds 0, 1 of the placebo")


def test_failed_is_six_spreads_and_five_points_below_the_median():
    quiet = np.array([0.90, 0.90, 0.90, 0.90, 0.851])  # no spread: five points decide
    assert not failed_seeds(quiet).any()
    assert failed_seeds(quiet, by=0.048).tolist() == [False] * 4 + [True]
    wide = np.array([0.90, 0.92, 0.88, 0.91, 0.73])  # median 0.90, deviation 0.02: 0.178 decides
    assert not failed_seeds(wide).any()
    assert failed_seeds(wide - [0, 0, 0, 0, 0.009]).tolist() == [False] * 4 + [True]
    assert not failed_seeds(-quiet).any()  # far above the median is no failure
    assert failed_seeds(1 - quiet, higher_is_better=False, by=0.048).tolist() == [False] * 4 + [True]
    assert not failed_seeds([0.9, 0.1]).any()


# ------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arm", "placebo", "words"),
    [
        ([], [], "no seeds: nothing to compare (use --seeds 5)"),
        ([0.9], [0.8], "one seed: these compare two trained models, not the generator (use --seeds 5)"),
        (PLACEBO[:4] + 0.01, PLACEBO[:4], "4 seeds: these compare trained models, not the generator (use --seeds 5)"),
        ([*PLACEBO[:4], math.nan], PLACEBO[:5], "scores not finite (arm: 1, placebo: 0): no claim"),
        (PLACEBO[:5], [*PLACEBO[:3], math.inf, math.nan], "scores not finite (arm: 0, placebo: 2): no claim"),
        (PLACEBO + 0.01, PLACEBO, "every seed differs by the same: no variance, no claim"),
    ],
)
def test_no_number_is_given_where_it_would_mean_nothing(arm, placebo, words):
    test = paired_over_seeds(arm, placebo)
    assert test.claim == words
    assert [test.low, test.high, test.p, test.t_p, test.permutation_p, test.verdict] == [None] * 6


def test_a_few_seeds_have_a_mean_and_no_test():
    test = paired_over_seeds([0.9, 0.92], [0.8, 0.8])
    assert test.difference == pytest.approx(0.11) and test.p is None and test.verdict is None


@pytest.mark.parametrize("wrong", [([0.9] * 5, [0.8] * 6), ([[0.9] * 5], [[0.8] * 5])])
def test_scores_that_do_not_pair_are_refused(wrong):
    with pytest.raises(InputError, match="of an arm and of its placebo"):
        paired_over_seeds(*wrong)


def test_seeds_are_named_once_each():
    with pytest.raises(InputError, match="5 scores, but 2 seeds"):
        paired_over_seeds(PLACEBO[:5], PLACEBO[:5] - 0.01, seeds=[1, 2])


# ------------------------------------------------------------------------------------------- false claims


def told(d):
    """The share of rows (C, S) that are told at 5 %, by t alone and by both."""
    t = stats.ttest_1samp(d, 0.0, axis=1).pvalue
    return np.mean(t <= 0.05), np.mean(agreed(t, sign_flip_p(d), d.shape[1]) <= 0.05)


@pytest.mark.parametrize("seeds", [5, 6, 8])
@pytest.mark.parametrize("noise", ["normal", "heavy", "failing"])
def test_arms_that_train_like_their_placebo_are_told_from_it_at_most_nominally(seeds, noise):
    """5,000 nulls: 5.8 % is the most that 5 % explains (p < 0.01)."""
    rng = np.random.default_rng(seeds)
    shape = (2, 5_000, seeds)
    scores = rng.standard_t(3, shape) if noise == "heavy" else rng.normal(size=shape)
    if noise == "failing":
        scores -= 10 * (rng.random(shape) < 0.1)
    alone, both = told(scores[0] - scores[1])
    assert both <= alone <= stats.binom.isf(0.01, 5_000, 0.05) / 5_000


def test_of_moderately_skewed_differences_the_permutation_holds_back_what_t_would_claim():
    d = np.random.default_rng(0).gamma(4, size=(20_000, 6)) - 4
    alone, both = told(d)
    assert both < 0.04 and alone > 0.06
