"""AUC, ROC, calibration, DeLong and the bootstrap over patients: by hand, by brute force, against scikit-learn."""

from __future__ import annotations

import math
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics
from sklearn.calibration import calibration_curve

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.metrics.auc_bootstrap import bootstrap_auc, patient_weights
from cxrbench.benchmark.metrics.classification import (
    auc,
    auc_columns,
    average_precision,
    calibration,
    delong,
    placements,
    roc_curve,
)


def cases(n=300, seed=0, grid=None, prevalence=0.3, gain=1.0):
    """Labels and scores of n cases; scores rounded to a grid have ties."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < prevalence
    truth[:2] = False, True
    score = rng.normal(size=n) + gain * truth
    return truth, np.round(score * grid) / grid if grid else score


# 109 head scans rated 1 (definitely normal) to 5 (definitely abnormal): Hanley and McNeil 1982, table I
RATED_NORMAL, RATED_ABNORMAL = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
SCANS = np.repeat([0, 1], [58, 51])
RATINGS = np.concatenate([np.repeat(range(1, 6), RATED_NORMAL), np.repeat(range(1, 6), RATED_ABNORMAL)])


# ---------------------------------------------------------------------------------------------------- ranking


def test_auc_by_hand():
    assert auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) == 3 / 4
    assert auc([0, 1, 1], [0.5, 0.5, 0.7]) == 1.5 / 2  # a tie is half
    assert auc([0, 1], [1.0, 0.0]) == 0 and auc([0, 1], [0.0, 1.0]) == 1 and auc([0, 1], [3.0, 3.0]) == 0.5


def test_auc_of_the_rated_head_scans_is_the_published_one():
    assert round(auc(SCANS, RATINGS), 3) == 0.893


@pytest.mark.parametrize("grid", [None, 100, 2])
def test_auc_equals_scikit_learn(grid):
    truth, score = cases(2000, grid=grid)
    assert auc(truth, score) == pytest.approx(sklearn_metrics.roc_auc_score(truth, score), abs=1e-14)
    assert average_precision(truth, score) == pytest.approx(
        sklearn_metrics.average_precision_score(truth, score), abs=1e-14
    )


def test_logits_rank_where_their_float32_sigmoid_saturates():
    logits = np.array([20.0, 30.0, 25.0, 40.0])
    assert auc([0, 1, 0, 1], logits) == 1
    assert auc([0, 1, 0, 1], 1 / (1 + np.exp(-logits.astype(np.float32)))) == 0.5


def test_scores_may_be_infinite():
    assert auc([0, 1, 1], [-np.inf, np.inf, 0.0]) == 1


def test_a_class_with_one_label_value_is_absent():
    truth = np.array([[0, 1, 0], [0, 1, 1], [0, 1, 0]], np.uint8)
    assert np.isnan(auc_columns(truth, np.eye(3))).tolist() == [True, True, False]
    assert auc_columns(truth, np.eye(3)).dtype == np.float64
    assert math.isnan(auc([1, 1], [0.1, 0.2])) and math.isnan(average_precision([0, 0], [0.1, 0.2]))
    with pytest.raises(InputError, match="leave this class out"):
        roc_curve([1, 1], [0.1, 0.2])


def test_columns_are_scored_by_themselves():
    columns = [cases(500, seed=s, grid=10) for s in range(4)]
    truth, scores = np.stack([t for t, _ in columns], 1), np.stack([s for _, s in columns], 1)
    assert auc_columns(truth.astype(np.uint8), scores.astype(np.float32)).tolist() == [
        auc(t, s.astype(np.float32)) for t, s in columns
    ]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=30))
def test_auc_is_the_share_of_ordered_pairs_and_the_area_under_the_roc_curve(pairs):
    truth, score = np.array([t for t, _ in pairs]), np.array([s for _, s in pairs])
    if truth.all() or not truth.any():
        assert math.isnan(auc(truth, score))
        return
    shares = [(p > q) + (p == q) / 2 for p in score[truth] for q in score[~truth]]
    assert auc(truth, score) == pytest.approx(np.mean(shares), abs=1e-14)
    assert auc(truth, -score) == pytest.approx(1 - np.mean(shares), abs=1e-14)
    fpr, tpr, thresholds = roc_curve(truth, score)
    assert np.trapezoid(tpr, fpr) == pytest.approx(np.mean(shares), abs=1e-14)
    assert (np.diff(thresholds) < 0).all()
    for x, y, t in zip(fpr, tpr, thresholds, strict=True):
        assert (x, y) == pytest.approx((np.mean(score[~truth] >= t), np.mean(score[truth] >= t)))


def test_roc_curve_by_hand_leaves_out_collinear_points():
    truth, score = [1, 1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    fpr, tpr, thresholds = roc_curve(truth, score)
    assert fpr.tolist() == [0, 0, 1 / 3, 1 / 3, 1]
    assert tpr.tolist() == [0, 2 / 3, 2 / 3, 1, 1]
    assert thresholds.tolist() == [np.inf, 0.8, 0.7, 0.6, 0.4]


def test_roc_curve_leaves_out_collinear_points_of_unequal_steps():
    fpr, tpr, _ = roc_curve([1, 0, 1, 1, 0, 0], [3, 3, 2, 2, 2, 2])  # (0, 0), (1/3, 1/3), (1, 1)
    assert fpr.tolist() == tpr.tolist() == [0, 1]


def test_average_precision_by_hand():
    # precision 1 at recall 1/3, 2/3 at recall 2/3, 3/5 at recall 1
    assert average_precision([1, 0, 1, 0, 1], [5, 4, 3, 2, 1]) == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert average_precision([1, 0, 0, 0], [1, 1, 1, 1]) == 0.25  # by chance: the prevalence


# ------------------------------------------------------------------------------------------------ calibration


def test_calibration_by_hand():
    found = calibration([0, 1, 1, 1, 0], [0.1, 0.3, 0.5, 1.0, 0.0], bins=2)
    assert found.count.tolist() == [3, 2]  # 0.5 is in the upper bin, 1.0 too
    assert found.predicted == pytest.approx([0.4 / 3, 0.75])
    assert found.observed == pytest.approx([1 / 3, 1])
    assert found.expected_error == pytest.approx((3 * (1 / 3 - 0.4 / 3) + 2 * 0.25) / 5)
    assert found.brier == pytest.approx((0.01 + 0.49 + 0.25) / 5)


def test_calibration_equals_scikit_learn():
    rng = np.random.default_rng(0)
    probability = rng.beta(1, 3, 4000)
    truth = rng.random(4000) < probability**1.5
    found = calibration(truth, probability)
    observed, predicted = calibration_curve(truth, probability, n_bins=10)
    kept = found.count > 0
    assert found.observed[kept] == pytest.approx(observed) and found.predicted[kept] == pytest.approx(predicted)
    assert found.brier == pytest.approx(sklearn_metrics.brier_score_loss(truth, probability))
    assert found.expected_error > 0.05 > calibration(rng.random(4000) < probability, probability).expected_error


def test_empty_bins_are_nan_and_cost_nothing():
    found = calibration([0, 1], [0.05, 0.95])
    assert np.isnan(found.predicted[1:9]).all() and np.isnan(found.observed[1:9]).all()
    assert found.expected_error == pytest.approx(0.05)


def test_a_probability_on_an_edge_is_in_the_bin_above():
    edges = np.arange(50) / 50  # 0.58 * 50 is 28.999...
    assert calibration(np.zeros(50), edges, bins=50).count.tolist() == [1] * 50


def test_calibration_of_logits_is_refused():
    with pytest.raises(InputError, match=r"found -2 to 3: apply the sigmoid"):
        calibration([0, 1], [-2.0, 3.0])


# ----------------------------------------------------------------------------------------------------- DeLong


def brute_delong(truth, ours, theirs):
    """DeLong et al. 1988, equations 4 to 8, from all pairs: (difference, variance), in exact fractions."""

    def kernel(score):
        pairs = [[Fraction(int(p > q) * 2 + int(p == q), 2) for q in score[~truth]] for p in score[truth]]
        return pairs, len(pairs), len(pairs[0])

    (a, m, n), (b, _, _) = kernel(ours), kernel(theirs)
    of_positives = [sum(x - y for x, y in zip(a[i], b[i], strict=True)) / n for i in range(m)]
    of_negatives = [sum(a[i][j] - b[i][j] for i in range(m)) / m for j in range(n)]
    mean = sum(of_positives) / m
    s10 = sum((v - mean) ** 2 for v in of_positives) / (m - 1)
    s01 = sum((v - mean) ** 2 for v in of_negatives) / (n - 1)
    return float(mean), float(s10 / m + s01 / n)


@pytest.mark.parametrize("grid", [None, 3])
@pytest.mark.parametrize("prevalence", [0.1, 0.5])
def test_delong_equals_brute_force(grid, prevalence):
    truth, ours = cases(60, 1, grid, prevalence)
    theirs = ours + np.random.default_rng(2).normal(size=60)
    theirs = np.round(theirs * grid) / grid if grid else theirs
    test = delong(truth, ours, theirs)
    difference, variance = brute_delong(truth, ours, theirs)
    z = difference / math.sqrt(variance)
    assert (test.difference, test.z) == pytest.approx((difference, z), abs=1e-12)
    assert test.p == pytest.approx(2 * stats.norm.sf(abs(z)), abs=1e-12)
    half = stats.norm.ppf(0.975) * math.sqrt(variance)
    assert (test.low, test.high) == pytest.approx((difference - half, difference + half), abs=1e-12)
    expected = [sklearn_metrics.roc_auc_score(truth, s) for s in (ours, theirs)]
    assert (test.auc_ours, test.auc_theirs) == pytest.approx(expected, abs=1e-14)
    assert test.note == ""


def test_delong_by_hand():
    truth = np.array([1, 1, 0, 0], bool)
    ours, theirs = [4, 2, 3, 1], [2, 1, 4, 3]
    # shares of negatives below: ours 1, 1/2, theirs 0, 0; of positives above: ours 1/2, 1, theirs 0, 0
    up, down = placements(truth, ours)
    assert (up.tolist(), down.tolist()) == ([1, 0.5], [0.5, 1])
    test = delong(truth, ours, theirs)
    variance = (0.125 + 0.125) / 2  # sample variance of (1, 1/2) is 1/8, over two cases each
    assert (test.auc_ours, test.auc_theirs, test.difference) == (0.75, 0, 0.75)
    assert test.z == pytest.approx(0.75 / math.sqrt(variance))


def test_delong_of_the_rated_head_scans_against_a_constant_has_the_error_of_one_auc():
    constant = np.zeros(len(SCANS))  # every placement is 1/2: no variance of its own
    test = delong(SCANS, RATINGS, constant)
    _, variance = brute_delong(SCANS == 1, RATINGS, constant)
    assert (test.auc_theirs, round(test.auc_ours, 3)) == (0.5, 0.893)
    assert test.high - test.low == pytest.approx(2 * 1.959964 * math.sqrt(variance), rel=1e-6)


def test_delong_of_the_mean_over_seeds_is_exact():
    """The mean AUC of seeds as one statistic: its placements are means, computed from all pairs."""
    truth, one = cases(50, 3)
    rng = np.random.default_rng(4)
    ours, theirs = one + rng.normal(0, 0.5, (3, 50)), one + rng.normal(0, 1.5, (5, 50))
    test = delong(truth, ours, theirs)
    order = [np.mean([s[truth][:, None] > s[~truth] for s in model], axis=0) for model in (ours, theirs)]
    pairs = order[0] - order[1]
    m, n = pairs.shape
    variance = pairs.mean(axis=1).var(ddof=1) / m + pairs.mean(axis=0).var(ddof=1) / n
    assert test.difference == pytest.approx(pairs.mean(), abs=1e-14)
    assert test.z == pytest.approx(pairs.mean() / math.sqrt(variance))
    assert test.auc_ours == pytest.approx(np.mean([auc(truth, s) for s in ours]), abs=1e-14)
    assert delong(truth, ours[:1], theirs[:1]) == delong(truth, ours[0], theirs[0])


def test_delong_is_antisymmetric():
    truth, ours = cases(80, 5)
    theirs = ours + np.random.default_rng(6).normal(size=80)
    one, other = delong(truth, ours, theirs), delong(truth, theirs, ours)
    assert (other.difference, other.z, other.p) == pytest.approx((-one.difference, -one.z, one.p))
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low))


def test_identical_rankings_are_not_different():
    truth, score = cases(80, 7)
    for same in (score, np.exp(score), np.stack([score, score])):
        test = delong(truth, score, same)
        assert (test.p, test.difference, test.note) == (1.0, 0.0, "identical ranking")
        assert test.z is test.low is None
    seeds = np.stack([score, score + np.random.default_rng(0).normal(size=80), -score])
    assert delong(truth, seeds, seeds[[2, 0, 1]]).note == "identical ranking"  # but for rounding


@pytest.mark.parametrize(
    ("truth", "ours", "theirs", "difference", "note"),
    [
        ([0, 0, 1, 1], [1, 2, 3, 4], [4, 3, 2, 1], 1.0, "no variance"),
        ([0, 0, 0, 1], [1, 2, 3, 4], [2, 3, 1, 2.5], 1 / 3, "1 with and 3 without the finding"),
        ([1, 1, 1, 1], [1, 2, 3, 4], [2, 3, 1, 2], None, "one label value"),
    ],
)
def test_delong_gives_no_p_where_it_would_mean_nothing(truth, ours, theirs, difference, note):
    test = delong(truth, ours, theirs)
    assert test.p is test.z is test.low is test.high is None
    assert test.difference == (None if difference is None else pytest.approx(difference))
    assert note in test.note


def test_delong_holds_its_level_under_the_null():
    rng = np.random.default_rng(8)
    found = 0
    for _ in range(500):
        truth, both = cases(120, rng.integers(10**9))
        ours, theirs = both + rng.normal(size=(2, 120))
        found += delong(truth, ours, theirs).p < 0.05
    assert 0.025 <= found / 500 <= 0.085


# --------------------------------------------------------------------------------------- bootstrap over patients


def films(patients=40, classes=3, seed=0, grid=None):
    """Truth, scores of two models, and the patient of each film: one to five films a patient."""
    rng = np.random.default_rng(seed)
    patient = rng.permutation(np.repeat(np.arange(patients), rng.integers(1, 6, patients)))
    truth = rng.random((len(patient), classes)) < np.linspace(0.15, 0.5, classes)
    truth[:2] = [[True], [False]]
    ours = rng.normal(size=truth.shape) + truth
    theirs = ours + rng.normal(size=truth.shape)
    if grid:
        ours, theirs = np.round(ours * grid) / grid, np.round(theirs * grid) / grid
    return truth, ours, theirs, np.array([f"P{p:07}" for p in patient])


@pytest.mark.parametrize("grid", [None, 2])
def test_draws_equal_scikit_learn_with_the_weight_of_the_patient(grid):
    truth, ours, theirs, patients = films(grid=grid)
    result = bootstrap_auc(truth, [ours, theirs], patients, resamples=40, seed=3)
    place = np.unique(patients, return_inverse=True)[1]
    weights = np.hstack([patient_weights(40, 32, 3, 0), patient_weights(40, 8, 3, 1)])
    assert result.draws.shape == (2, 40, 3) and (weights.sum(axis=0) == 40).all()
    for r in range(40):
        weight = weights[place, r]
        for model, scores in enumerate((ours, theirs)):
            expected = [
                sklearn_metrics.roc_auc_score(truth[:, c], scores[:, c], sample_weight=weight) for c in range(3)
            ]
            assert result.draws[model, r] == pytest.approx(expected, abs=1e-13)


def test_point_estimates_are_those_of_the_test_set():
    truth, ours, theirs, patients = films()
    result = bootstrap_auc(truth, [ours, theirs], patients, resamples=200)
    assert result.auc.tolist() == [auc_columns(truth, ours).tolist(), auc_columns(truth, theirs).tolist()]
    assert result.of_class(1, 2).value == auc(truth[:, 2], theirs[:, 2])
    macro = result.macro(0)
    assert macro.value == pytest.approx(auc_columns(truth, ours).mean())
    assert macro.low < macro.value < macro.high and macro.p is None
    assert (macro.low, macro.high) == pytest.approx(tuple(np.quantile(result.draws[0].mean(axis=1), [0.025, 0.975])))


def test_differences_are_paired():
    truth, ours, theirs, patients = films(200)
    result = bootstrap_auc(truth, [ours, theirs], patients, resamples=400)
    test = result.macro_difference(0, 1)
    draws = (result.draws[0] - result.draws[1]).mean(axis=1)
    assert test.value == pytest.approx(result.macro(0).value - result.macro(1).value)
    assert (test.low, test.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])))
    assert test.p == pytest.approx(max(2 * min(np.mean(draws <= 0), np.mean(draws >= 0)), 1 / 401))
    width = sum(e.high - e.low for e in (result.macro(0), result.macro(1)))
    assert test.high - test.low < 0.8 * width
    other = result.macro_difference(1, 0)
    assert (other.value, other.p) == (-test.value, test.p)


def test_a_model_against_itself_has_p_1_and_a_much_better_one_the_least_p():
    truth, ours, _, patients = films(150)
    result = bootstrap_auc(truth, [ours, np.exp(ours), truth + 0.0, np.zeros(truth.shape)], patients, resamples=199)
    same, apart = result.macro_difference(0, 1), result.macro_difference(2, 3)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
    assert (apart.value, apart.p) == (0.5, 1 / 200)


def test_seeds_are_averaged_before_anything_else():
    truth, ours, theirs, patients = films()
    both = bootstrap_auc(truth, [np.stack([ours, theirs]), ours, theirs], patients, resamples=64)
    assert both.draws[0] == pytest.approx(both.draws[1:].mean(axis=0), abs=1e-14)
    assert both.auc[0] == pytest.approx(both.auc[1:].mean(axis=0), abs=1e-14)


def test_the_draws_do_not_depend_on_threads():
    truth, ours, theirs, patients = films(100)
    one, two, five = (
        bootstrap_auc(truth, [ours, theirs], patients, resamples=300, seed=1, threads=n).draws for n in (1, 2, 5)
    )
    assert np.array_equal(one, two) and np.array_equal(one, five)
    other = bootstrap_auc(truth, [ours, theirs], patients, resamples=300, seed=2).draws
    assert not np.array_equal(one, other)


def test_more_films_of_the_same_patients_are_no_more_evidence():
    truth, ours, _, patients = films()
    four = [np.concatenate([x] * 4) for x in (truth, ours, patients)]
    once = bootstrap_auc(truth, [ours], patients, resamples=100)
    again = bootstrap_auc(four[0], [four[1]], four[2], resamples=100)
    assert again.draws == pytest.approx(once.draws, abs=1e-14)
    as_patients = bootstrap_auc(four[0], [four[1]], np.arange(len(four[2])), resamples=100)
    spread, less = once.draws[0].std(axis=0), as_patients.draws[0].std(axis=0)
    assert (less < 0.7 * spread).all()


def test_the_interval_covers_the_auc_where_films_of_a_patient_are_alike():
    rng = np.random.default_rng(9)
    true_auc, covered, by_film = stats.norm.cdf(1 / math.sqrt(2)), 0, 0
    for _ in range(120):
        disease = np.repeat(rng.random(60) < 0.4, 5)
        score = (disease + np.repeat(rng.normal(size=60), 5))[:, None]  # all five films the same
        for patients, wide in ((np.repeat(np.arange(60), 5), True), (np.arange(300), False)):
            found = bootstrap_auc(disease[:, None], [score], patients, resamples=200, threads=1).of_class(0, 0)
            covered += wide and found.low <= true_auc <= found.high
            by_film += not wide and found.low <= true_auc <= found.high
    assert covered / 120 > 0.87
    assert by_film / 120 < 0.75


def test_a_resample_without_a_class_leaves_it_out_and_is_counted():
    truth, ours, _, patients = films()
    truth[:, 0] = patients == patients[0]  # one patient has it: absent in about 1/e of the resamples
    truth[:, 2] = True  # no AUC at all
    result = bootstrap_auc(truth, [ours], patients, resamples=500)
    lost = np.isnan(result.draws[0])
    assert 0.3 < lost[:, 0].mean() < 0.44 and not lost[:, 1].any() and lost[:, 2].all()
    assert result.of_class(0, 0).left_out == result.macro(0).left_out == lost[:, 0].sum()
    assert result.of_class(0, 1).left_out == 0
    assert result.macro(0).value == pytest.approx(result.auc[0, :2].mean())
    absent = result.of_class(0, 2)
    assert (absent.value, absent.low, absent.note) == (None, None, "one label value: no AUC")
    expected = np.where(lost[:, 0], result.draws[0, :, 1], result.draws[0, :, :2].mean(axis=1))
    assert (result.macro(0).low, result.macro(0).high) == pytest.approx(tuple(np.quantile(expected, [0.025, 0.975])))


def test_no_class_at_all_and_too_few_patients_give_no_interval():
    truth, ours, _, patients = films()
    nothing = bootstrap_auc(np.zeros_like(truth), [ours], patients, resamples=10)
    assert nothing.macro(0).value is None and nothing.macro_difference(0, 0).p is None
    few = bootstrap_auc(truth, [ours], np.arange(len(truth)) % 5, resamples=10).macro(0)
    assert few.value is not None and few.low is None
    assert few.note == "fewer than 6 patients (5): no interval"


def test_a_full_size_prediction_file_is_scored_within_seconds():
    rng = np.random.default_rng(10)
    truth = rng.random((25_596, 14)) < np.linspace(0.003, 0.24, 14)
    scores = (rng.normal(size=truth.shape) + truth).astype(np.float32)
    patients = rng.integers(0, 2797, len(truth))
    start = time.process_time()  # of all threads together: what one free core would take
    result = bootstrap_auc(truth, [scores], patients)
    seconds = time.process_time() - start
    assert result.draws.shape == (1, 2000, 14)
    assert seconds < 5


# ------------------------------------------------------------------------------------------------------ input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: auc([0, 1, -1], [1, 2, 3]), "labels 0 or 1 expected, found -1"),
        (lambda: auc([0, 1, math.nan], [1, 2, 3]), "labels 0 or 1 expected, found nan"),
        (lambda: auc([0, 1], [1, 2, 3]), r"scores \(2,\) expected"),
        (lambda: auc([0, 1], [1, math.nan]), "1 of 2 scores are NaN"),
        (lambda: auc_columns([0, 1], [1, 2]), r"labels \(N, classes\) expected"),
        (lambda: auc_columns(np.eye(2), np.eye(3)), r"scores \(2, 2\) expected"),
        (lambda: calibration([], []), "one case at least"),
        (lambda: placements([1, 1], [1, 2]), "leave this class out"),
        (lambda: delong([0, 1], np.zeros((0, 2)), [1, 2]), "one seed at least"),
        (lambda: bootstrap_auc(np.eye(2), [np.eye(2)], ["a"]), "a patient for each film"),
        (lambda: bootstrap_auc(np.eye(2), [], ["a", "b"]), "0 models"),
        (lambda: bootstrap_auc(np.eye(2), [[0.1, 0.2]], ["a", "b"]), "scores"),
        (lambda: bootstrap_auc(np.eye(2), [np.zeros((0, 2, 2))], ["a", "b"]), "scores"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
