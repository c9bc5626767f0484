"""Gains and differences of many arms at once: what the tests of one say."""

from __future__ import annotations

import numpy as np
import pytest

from cxrbench.benchmark.significance.gain import FAILED_BY, paired_over_seeds
from cxrbench.benchmark.significance.paired_tests import welch_over_seeds
from cxrbench.leaderboard.differences import differences
from cxrbench.leaderboard.gains import gains


def drawn(seeds: int, seed: int, shift: float = 0.0, spread: float = 0.01) -> dict[int, float]:
    values = np.random.default_rng(seed).normal(0.9 + shift, spread, seeds)
    return dict(enumerate(values.tolist()))


CASES = {
    "even": (drawn(5, 0), drawn(5, 1)),
    "better": (drawn(8, 2, 0.03), drawn(8, 3)),
    "worse": (drawn(5, 4, -0.05, 0.002), drawn(5, 5, 0, 0.002)),
    "twelve seeds": (drawn(12, 6, 0.01), drawn(12, 7)),
    "more seeds than flips are counted of": (drawn(18, 8, 0.01), drawn(18, 9)),
    "a failed seed": (drawn(6, 10) | {2: 0.2}, drawn(6, 11)),
    "a failed placebo": (drawn(6, 12), drawn(6, 13) | {4: 0.1}),
    "four seeds": (drawn(4, 14), drawn(4, 15)),
    "identical": (drawn(5, 16), drawn(5, 16)),
    "one seed": (drawn(1, 17), drawn(1, 18)),
}


@pytest.mark.parametrize("higher", [True, False])
def test_each_gain_is_that_of_the_test_of_one(higher):
    found = gains(list(CASES.values()), higher_is_better=higher)
    for (arm, placebo), one in zip(CASES.values(), found, strict=True):
        seeds = list(arm)
        test = paired_over_seeds(
            list(arm.values()), list(placebo.values()), seeds=seeds, higher_is_better=higher, failed_by=FAILED_BY
        )
        assert (one.value, one.median) == (pytest.approx(test.difference), pytest.approx(test.median))
        for mine, theirs in ((one.low, test.low), (one.high, test.high), (one.p, test.p)):
            assert (mine is None) == (theirs is None)
            assert mine is None or mine == pytest.approx(theirs, rel=1e-9)
        assert (one.failed, one.failed_placebo) == (test.failed, test.placebo_failed)
        assert one.placebo == pytest.approx(np.mean(list(placebo.values())))
    named = dict(zip(CASES, found, strict=True))
    assert named["better"].p is not None and named["identical"].p is None and named["four seeds"].p is None
    if higher:
        assert named["a failed seed"].failed == (2,) and named["a failed placebo"].failed_placebo == (4,)


def test_seeds_that_both_have_are_paired_whatever_their_order():
    arm, placebo = drawn(7, 20), drawn(7, 21)
    fewer = {seed: placebo[seed] for seed in (6, 2, 4, 0, 1, 3)}
    (one,) = gains([(arm, fewer)])
    assert one.by_seed == {seed: arm[seed] - placebo[seed] for seed in (0, 1, 2, 3, 4, 6)}
    shared = sorted(one.by_seed)
    test = paired_over_seeds([arm[s] for s in shared], [placebo[s] for s in shared])
    assert one.p == pytest.approx(test.p) and one.value == pytest.approx(test.difference)


def test_a_failed_seed_is_found_among_all_seeds_of_an_arm_and_stays_in_the_mean():
    arm = drawn(6, 22) | {5: 0.1}
    (one,) = gains([(arm, {seed: 0.9 for seed in range(5)})])  # the placebo has no seed 5
    assert one.failed == (5,) and 5 not in one.by_seed
    (whole,) = gains([(arm, {seed: 0.9 for seed in range(6)})])
    assert whole.value == pytest.approx(np.mean(list(arm.values())) - 0.9) and abs(whole.median) < 0.02


def test_without_a_shared_seed_there_is_no_gain():
    nothing, empty = gains([({0: 0.9}, {1: 0.9}), ({}, {})])
    assert nothing.by_seed == empty.by_seed == {} and nothing.value is None and empty.placebo is None
    assert gains([]) == []


def test_differences_equal_the_tests_over_seeds():
    pairs = [(list(drawn(5, 30, 0.003).values()), list(drawn(6, 31).values())), ([0.9, 0.91], [0.8, 0.81])]
    ours, few = differences(pairs)
    theirs = welch_over_seeds(*map(np.array, pairs[0]))
    assert (ours.value, ours.low, ours.high, ours.p) == pytest.approx(
        (theirs.difference, theirs.low, theirs.high, theirs.p)
    )
    assert few.value == pytest.approx(0.1) and (few.low, few.high, few.p) == (None, None, None)
    assert differences([([0.9] * 5, [0.8] * 5)])[0].p is None
    assert differences([]) == []
