"""Paired tests and tests over seeds: against scipy, by hand, and under the null hypothesis."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.reader_study.agreement import clopper_pearson, cohen_kappa, fleiss_kappa
from cxrbench.benchmark.significance.paired_tests import (
    bca_interval,
    holm,
    mcnemar_exact,
    nadeau_bengio,
    paired_comparison,
    paired_t_over_classes,
    stars,
    welch_over_seeds,
)


def scores(n, seed=0, gain=0.01):
    """Dice-like scores of two models on n cases, with a heavy tail."""
    rng = np.random.default_rng(seed)
    b = rng.beta(30, 2, n)
    return np.clip(b + gain - rng.exponential(0.005, n), 0, 1), b


# ----------------------------------------------------------------------------------- two fixed models, paired


@pytest.mark.parametrize("n", [6, 14, 30, 123])
def test_paired_tests_equal_scipy(n):
    a, b = scores(n)
    test = paired_comparison(a, b)
    assert test.n == n and test.note == ""
    assert test.difference == pytest.approx(np.mean(a) - np.mean(b), abs=1e-12)
    assert test.t_p == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=1e-6)
    assert test.wilcoxon_p == pytest.approx(stats.wilcoxon(a, b).pvalue, abs=1e-6)


@pytest.mark.parametrize("n", [6, 30, 123, 1201])
def test_bca_interval_equals_scipy_on_the_same_draws(n):
    a, b = scores(n)
    theirs = stats.bootstrap(
        (a - b,), np.mean, n_resamples=2000, method="BCa", batch=100, rng=np.random.default_rng(3)
    ).confidence_interval
    assert bca_interval(a - b, seed=3, resamples=2000) == pytest.approx(tuple(theirs), abs=1e-9)


def test_paired_comparison_by_hand():
    a, b = np.array([3.0, 5, 2, 8, 7, 6]), np.array([1.0, 4, 5, 4, 2, 0])
    test = paired_comparison(a, b)  # differences 2, 1, -3, 4, 5, 6
    assert test.difference == 2.5
    t = 2.5 / (math.sqrt(53.5 / 5) / math.sqrt(6))  # sum of squares 91 - 6 * 2.5 ** 2
    assert test.t_p == pytest.approx(2 * stats.t.sf(t, 5))
    # rank sum of the negative difference is 3: of the 64 signs, {}, {1}, {2}, {3}, {1, 2} have at most that
    assert test.wilcoxon_p == pytest.approx(2 * 5 / 64)


def test_paired_comparison_is_antisymmetric_and_deterministic():
    a, b = scores(60)
    one, other = paired_comparison(a, b), paired_comparison(b, a)
    assert one == paired_comparison(a, b)
    assert other.difference == pytest.approx(-one.difference)
    assert (other.t_p, other.wilcoxon_p) == pytest.approx((one.t_p, one.wilcoxon_p))
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low), rel=0.05)
    assert paired_comparison(a, b, seed=1).low != one.low


def test_bca_interval_covers_the_mean_of_a_heavy_tail():
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(300):
        low, high = bca_interval(rng.exponential(1.0, 60), seed=seed, resamples=1000)
        covered += low <= 1.0 <= high
    assert 0.89 <= covered / 300 <= 0.98


def test_identical_samples_have_no_p():
    a, _ = scores(20)
    test = paired_comparison(a, a)
    assert (test.n, test.difference) == (20, 0.0)
    assert test.t_p is test.wilcoxon_p is test.low is test.high is None
    assert test.note.startswith("identical")
    assert paired_comparison(a, (a + 1.0) - 1.0).note == test.note  # equal but for rounding


@pytest.mark.parametrize(
    ("a", "b", "difference", "note"),
    [
        ([], [], None, "no pairs"),
        ([0.5], [0.25], 0.25, "fewer than 6 pairs (1)"),
        ([0.5] * 4 + [0.9], [0.4] * 5, 0.18, "fewer than 6 pairs (5)"),
        (np.arange(9) / 10, np.arange(9) / 10 + 0.1, -0.1, "no variance"),
        ([0.1] * 6 + [math.nan], [0.2] * 7, None, "1 of 7 pairs not finite"),
        ([0.1] * 6 + [1.0], [0.2] * 6 + [math.inf], None, "1 of 7 pairs not finite"),
    ],
)
def test_no_p_where_it_would_mean_nothing(a, b, difference, note):
    test = paired_comparison(a, b)
    assert test.t_p is test.wilcoxon_p is None
    assert note in test.note and test.note.endswith(("no test", "no pairs"))
    assert test.difference == (None if difference is None else pytest.approx(difference))


def test_few_unequal_pairs_give_an_interval_but_no_p():
    b = np.full(50, 0.5)
    a = b.copy()
    a[:3] += [0.1, 0.2, -0.05]
    test = paired_comparison(a, b)
    assert test.t_p is test.wilcoxon_p is None
    assert test.note == "fewer than 6 of 50 pairs differ (3): no test"
    assert test.low <= test.difference <= test.high


def test_pairs_of_different_length_are_refused():
    with pytest.raises(InputError, match="got 3 and 2"):
        paired_comparison([1, 2, 3], [1, 2])
    with pytest.raises(InputError, match=r"\(2, 2\)"):
        paired_comparison(np.eye(2), np.eye(2))


def test_a_table_of_paired_tests_is_quick():
    a, b = scores(123)
    paired_comparison(a, b)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        paired_comparison(a, b)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.05


# ------------------------------------------------------------------------------------------------ many tests


def test_holm_by_hand():
    adjusted = holm([0.01, 0.04, 0.03, 0.005])
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_skips_tests_without_a_p():
    assert holm([None, 0.02, None, 0.04]) == [None, pytest.approx(0.04), None, pytest.approx(0.04)]
    assert holm([]) == [] and holm([None]) == [None]
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.parametrize("wrong", [math.nan, -0.1, 1.1])
def test_holm_refuses_what_is_no_probability(wrong):
    with pytest.raises(InputError, match="p-values"):
        holm([0.5, wrong])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_rejects_what_the_step_down_rule_rejects(pvalues):
    adjusted = holm(pvalues)
    assert [a for _, a in sorted(zip(pvalues, adjusted, strict=True))] == sorted(adjusted)
    rejected = set()
    for rank, i in enumerate(np.argsort(pvalues, kind="stable")):
        if pvalues[i] > 0.05 / (len(pvalues) - rank) * (1 + 1e-12):
            break
        rejected.add(int(i))
    assert {i for i, p in enumerate(adjusted) if p <= 0.05 * (1 + 1e-12)} == rejected


def test_stars():
    marks = {0.0099: "**", 0.01: "*", 0.049: "*", 0.05: "", 1.0: "", None: "", math.nan: ""}
    assert {p: stars(p) for p in marks} == marks


# ------------------------------------------------------------------------------------------ folds and resplits


def test_nadeau_bengio_by_hand():
    test = nadeau_bengio([0.01, 0.03, 0.02], n_train=160, n_test=80)
    error = 0.01 * math.sqrt(1 / 3 + 1 / 2)
    assert test.difference == pytest.approx(0.02)
    assert test.t == pytest.approx(0.02 / error)
    assert test.p == pytest.approx(2 * stats.t.sf(0.02 / error, 2))
    assert (test.low, test.high) == pytest.approx((0.02 - 4.302653 * error, 0.02 + 4.302653 * error), rel=1e-6)


def test_nadeau_bengio_is_the_t_test_where_no_training_is_shared():
    d = np.random.default_rng(0).normal(0.1, 1, 8)
    assert nadeau_bengio(d, n_train=10**12, n_test=1).p == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=1e-9)


@pytest.mark.parametrize(
    ("differences", "note"),
    [
        ([], "no folds"),
        ([0.1, 0.2], "fewer than 3 folds (2)"),
        ([0.0] * 5, "identical"),
        ([0.1] * 5, "no variance"),
        ([0.1, 0.2, math.nan], "1 of 3 folds not finite"),
    ],
)
def test_nadeau_bengio_gives_no_p_where_it_would_mean_nothing(differences, note):
    test = nadeau_bengio(differences, 160, 80)
    assert test.p is None and note in test.note


def test_corrected_test_holds_its_level_over_resplits_where_the_t_test_does_not():
    """Two equal models on 15 resplits of one sample (test share 1/3): each case has its own difference, mean 0."""
    rng = np.random.default_rng(0)
    runs, corrected, naive = 400, 0, 0
    for _ in range(runs):
        cases = rng.normal(0, 1, 90)
        d = [rng.permutation(cases)[:30].mean() for _ in range(15)]
        corrected += nadeau_bengio(d, n_train=60, n_test=30).p < 0.05
        naive += stats.ttest_1samp(d, 0).pvalue < 0.05
    assert naive / runs > 0.2
    assert corrected / runs < 0.1


# -------------------------------------------------------------------------------------- generators, over seeds


@pytest.mark.parametrize(("n_a", "n_b"), [(5, 5), (5, 8), (12, 6)])
def test_welch_equals_scipy(n_a, n_b):
    rng = np.random.default_rng(n_a)
    a, b = rng.normal(0, 1, n_a), rng.normal(0.5, 2, n_b)
    test, theirs = welch_over_seeds(a, b), stats.ttest_ind(a, b, equal_var=False)
    assert (test.n_a, test.n_b) == (n_a, n_b)
    assert test.difference == pytest.approx(a.mean() - b.mean())
    assert test.p == pytest.approx(theirs.pvalue, abs=1e-6)
    assert (test.low, test.high) == pytest.approx(tuple(theirs.confidence_interval()), abs=1e-6)


def test_the_test_over_seeds_holds_their_level_under_the_null():
    rng = np.random.default_rng(5)
    runs = 600
    found = sum(welch_over_seeds(rng.normal(0, 1, 5), rng.normal(0, 1, 5)).p < 0.05 for _ in range(runs))
    assert 0.02 <= found / runs <= 0.075  # 3.4 standard errors above 0.05; it is a little conservative


def test_a_paired_test_over_classes_takes_a_seed_for_a_generator_and_welch_does_not():
    """One generator against itself, 14 class AUCs; a training seed shifts all classes of its model together."""
    rng = np.random.default_rng(6)
    paired, welch, runs = 0, 0, 150
    for _ in range(runs):
        shift, noise = rng.normal(0, 0.01, (2, 5, 1)), rng.normal(0, 0.01, (2, 5, 14))
        a, b = 0.8 + shift + noise
        paired += paired_comparison(a[0], b[0], resamples=200).t_p < 0.01
        welch += welch_over_seeds(a.mean(axis=1), b.mean(axis=1)).p < 0.01
    assert paired / runs > 0.3
    assert welch / runs < 0.04


@pytest.mark.parametrize(
    ("n_a", "n_b", "claim"),
    [
        (0, 0, "no seeds: nothing to compare (use --seeds 5)"),
        (1, 1, "one seed: these compare two trained models, not the generator (use --seeds 5)"),
        (3, 3, "3 seeds: these compare trained models, not the generator (use --seeds 5)"),
        (7, 4, "7 and 4 seeds: these compare trained models, not the generator (use --seeds 5)"),
    ],
)
def test_fewer_than_five_seeds_allow_no_claim(n_a, n_b, claim):
    test = welch_over_seeds(np.arange(n_a) + 1.5, np.arange(n_b))
    assert test.claim == claim
    assert test.p is test.low is test.high is None
    assert test.difference == (None if n_a == 0 else pytest.approx(1.5 + (n_a - n_b) / 2))


def test_the_claim_says_which_is_higher_or_that_nothing_can_be_told():
    low, high = [0.70, 0.71, 0.72, 0.73, 0.74], [0.80, 0.81, 0.82, 0.83, 0.84, 0.85]
    names = ("lsgan", "vae")
    assert welch_over_seeds(low, high, names=names).claim.startswith("lsgan scores lower than vae over 5 and 6 seeds (")
    assert welch_over_seeds(high, low, names=names).claim.startswith(
        "lsgan scores higher than vae over 6 and 5 seeds ("
    )
    same = welch_over_seeds(low, [0.69, 0.72, 0.725, 0.735, 0.74], names=names)
    assert same.claim.startswith("no difference can be told between lsgan and vae over 5 seeds each (")
    assert same.low < 0 < same.high and same.p > 0.5


def test_seeds_without_variance_or_score_allow_no_claim():
    constant = welch_over_seeds([0.7] * 5, [0.8] * 5)
    assert constant.p is None and "no variance" in constant.claim
    assert constant.difference == pytest.approx(-0.1)
    failed = welch_over_seeds([0.7, 0.8, math.nan, 0.7, 0.7], [0.8] * 5)
    assert failed.p is failed.difference is None
    assert failed.claim == "scores not finite (a: 1, b: 0): no claim"


# ------------------------------------------------------------------------ hits, shares, readers, class AUCs


def hits(both, ours_only, theirs_only, neither):
    counts = [both, ours_only, theirs_only, neither]
    return np.repeat([1, 1, 0, 0], counts), np.repeat([1, 0, 1, 0], counts)


def test_mcnemar_by_hand():
    test = mcnemar_exact(*hits(20, 8, 2, 5))
    assert (test.both, test.ours_only, test.theirs_only, test.neither) == (20, 8, 2, 5)
    assert test.p == pytest.approx(2 * (1 + 10 + 45) / 2**10)  # at most 2 of 10 tosses, either side
    assert mcnemar_exact(*hits(0, 2, 8, 0)).p == test.p
    assert mcnemar_exact(*hits(3, 5, 5, 1)).p == 1


@pytest.mark.parametrize(("b", "c"), [(0, 1), (0, 6), (3, 14), (30, 17), (247, 0)])
def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs(b, c):
    assert mcnemar_exact(*hits(4, b, c, 9)).p == pytest.approx(stats.binomtest(b, b + c).pvalue, abs=1e-12)


def test_mcnemar_without_discordant_pairs_finds_no_difference():
    test = mcnemar_exact(*hits(3, 0, 0, 2))
    assert (test.both, test.neither, test.p, test.note) == (3, 2, 1.0, "no discordant pair")
    nothing = mcnemar_exact([], [])
    assert nothing.p is None and nothing.note == "no cases: no test"


def test_mcnemar_refuses_what_is_no_pair_of_hits():
    with pytest.raises(InputError, match="got 2 and 1"):
        mcnemar_exact([True, False], [True])
    with pytest.raises(InputError, match="true and false"):
        mcnemar_exact([0.7, 0.2], [1, 0])


def test_clopper_pearson_by_hand():
    assert clopper_pearson(0, 10) == pytest.approx((0, 1 - 0.025 ** (1 / 10)))
    assert clopper_pearson(10, 10) == pytest.approx((0.025 ** (1 / 10), 1))
    assert clopper_pearson(0, 0) == (0, 1)
    low, high = clopper_pearson(1, 2)
    assert (low, high) == pytest.approx((1 - math.sqrt(0.975), math.sqrt(0.975)))


@pytest.mark.parametrize(("k", "n"), [(1, 54), (36, 44), (108, 150), (99, 100)])
def test_clopper_pearson_ends_where_a_tail_is_a_fortieth(k, n):
    low, high = clopper_pearson(k, n)
    assert stats.binom.sf(k - 1, n, low) == pytest.approx(0.025)
    assert stats.binom.cdf(k, n, high) == pytest.approx(0.025)
    assert (low, high) == pytest.approx(tuple(stats.binomtest(k, n).proportion_ci(method="exact")))


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3)])
def test_clopper_pearson_refuses_what_is_no_share(k, n):
    with pytest.raises(InputError, match=f"got {k} of {n}"):
        clopper_pearson(k, n)


def test_cohen_kappa_by_hand():
    a = ["yes"] * 25 + ["no"] * 25
    b = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    # agreement 35 / 50; by chance 0.5 * 0.6 + 0.5 * 0.4
    assert cohen_kappa(a, b) == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    assert cohen_kappa(a, a) == 1 and cohen_kappa([0, 1], [1, 0]) == -1


@pytest.mark.parametrize("answers", [2, 3, 7])
def test_cohen_kappa_equals_scikit_learn(answers):
    rng = np.random.default_rng(answers)
    a = rng.integers(0, answers, 200)
    b = np.where(rng.random(200) < 0.6, a, rng.integers(0, answers + 1, 200))
    assert cohen_kappa(a, b) == pytest.approx(cohen_kappa_score(a, b), abs=1e-12)


def test_fleiss_kappa_by_hand():
    # two cases agreed by three raters, one split 2 to 1: P = (1 + 1 + 1/3) / 3, shares 4/9 and 5/9
    chance = (16 + 25) / 81
    assert fleiss_kappa([[3, 0], [0, 3], [1, 2]]) == pytest.approx((7 / 9 - chance) / (1 - chance))
    assert fleiss_kappa([[2, 0, 0], [0, 2, 0], [0, 0, 2]]) == pytest.approx(1)


def test_fleiss_kappa_of_two_raters_with_the_same_marginals_is_cohens():
    a, b = [0, 0, 1, 1, 0, 1], [0, 1, 0, 1, 0, 1]
    counts = [[(x == k) + (y == k) for k in range(2)] for x, y in zip(a, b, strict=True)]
    assert fleiss_kappa(counts) == pytest.approx(cohen_kappa(a, b))


def test_agreement_on_one_answer_throughout_has_no_kappa():
    assert cohen_kappa(["real"] * 5, ["real"] * 5) is None
    assert fleiss_kappa([[3, 0]] * 5) is None
    assert cohen_kappa([], []) is None and fleiss_kappa(np.zeros((0, 2))) is None
    assert cohen_kappa([1, 1], [1, 2]) == 0  # one rater alone is constant: no better than chance


@pytest.mark.parametrize("counts", [[[3, 0], [1, 1]], [[1, 0], [0, 1]], [[1.5, 1.5]], [[4, -1]], [3, 0]])
def test_fleiss_kappa_refuses_what_are_no_counts_of_the_same_raters(counts):
    with pytest.raises(InputError, match="expected"):
        fleiss_kappa(counts)


# AUCs of the 14 findings as the fusion paper prints them (Liu et al., table 1)
SDFN = [0.781, 0.885, 0.832, 0.700, 0.815, 0.765, 0.719, 0.866, 0.743, 0.842, 0.921, 0.835, 0.791, 0.911]
ENTIRE = [0.762, 0.878, 0.822, 0.693, 0.791, 0.744, 0.707, 0.855, 0.737, 0.837, 0.912, 0.826, 0.760, 0.902]
LUNG = [0.773, 0.868, 0.827, 0.670, 0.807, 0.759, 0.708, 0.851, 0.738, 0.831, 0.909, 0.825, 0.783, 0.912]


@pytest.mark.parametrize(("theirs", "t", "p"), [(ENTIRE, 6.16, 3.4e-5), (LUNG, 5.37, 1.3e-4)])
def test_the_paper_protocol_on_the_papers_own_table(theirs, t, p):
    test = paired_t_over_classes(SDFN, theirs)
    assert (test.n, round(test.t, 2), float(f"{test.p:.1e}")) == (14, t, p)
    assert (test.protocol, test.note) == ("paper protocol", "")
    assert test.difference == pytest.approx(np.mean(SDFN) - np.mean(theirs))
    assert paired_t_over_classes(theirs, SDFN).t == pytest.approx(-test.t)


def test_an_absent_class_is_left_out_of_the_paper_protocol_and_named():
    test = paired_t_over_classes([*SDFN, math.nan], [*ENTIRE, 0.9])
    assert (test.n, test.note) == (14, "1 of 15 classes left out")
    assert test.t == paired_t_over_classes(SDFN, ENTIRE).t


@pytest.mark.parametrize(
    ("ours", "theirs", "note"),
    [
        (SDFN, SDFN, "identical"),
        (SDFN[:5], ENTIRE[:5], "fewer than 6 pairs (5)"),
        (np.arange(8) / 10, np.arange(8) / 10 + 0.1, "no variance"),
        ([math.nan] * 14, SDFN, "14 of 14 classes left out; no pairs"),
    ],
)
def test_the_paper_protocol_gives_no_p_where_it_would_mean_nothing(ours, theirs, note):
    test = paired_t_over_classes(ours, theirs)
    assert test.t is test.p is None and note in test.note
