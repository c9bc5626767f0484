"""Worth in real films: right values by hand, other ways to the same answer, what must not be said, and coverage."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.significance.worth import Curve, aligned, worth
from cxrbench.benchmark.significance.worth_words import sentence
from cxrbench.leaderboard.worth_simulation import REAL_FILMS, SATURATED, coverage

SIZES = np.array([4.0, 8, 16, 32, 64])
RISING = np.array([0.80, 0.84, 0.88, 0.90, 0.91])
LUCK = np.array([0.004, -0.003, 0.001, -0.004, 0.002])
JITTER = 0.002 * np.array(
    [[0.3, -1, 0.5, 0.9, -0.7], [-0.9, 0.2, 0.8, -0.4, 0.3], [1, -0.6, -0.2, 0.4, -0.6], [0.1, 0.7, -0.8, -0.5, 0.5]]
)


def curve(means=RISING, jitter=1.0, seeds=5, **more):
    """A curve whose seeds share their luck, each size with a little of its own; JITTER adds 0 to every mean."""
    own = jitter * JITTER[np.arange(len(means)) % 4]
    return Curve(SIZES[: len(means)], (np.asarray(means)[:, None] + LUCK + own)[:, :seeds], **more)


def arm(mean, jitter=1.0):
    return mean + LUCK + jitter * JITTER[3][::-1]


def numbers(found):
    return found.films, found.doublings, found.low_films, found.high_films, found.low_doublings, found.high_doublings


# ------------------------------------------------------------------------------------------- the answer


@pytest.mark.parametrize(
    ("mean", "films"),
    [(0.80, 4), (0.82, 4 * 2**0.5), (0.87, 8 * 2**0.75), (0.88, 16), (0.895, 16 * 2**0.75), (0.905, 32 * 2**0.5)],
)
@pytest.mark.parametrize("n", [8, 31])
def test_the_worth_is_read_off_the_curve(mean, films, n):
    found = worth(arm(mean), n, curve())
    assert found.films == pytest.approx(films)
    assert found.doublings == pytest.approx(math.log2(films / n))
    assert found.identified and not found.censored and found.seeds == 5
    assert found.low_films < films < found.high_films or mean == 0.80
    assert found.low_doublings == pytest.approx(math.log2(found.low_films / n))
    assert found.high_doublings == pytest.approx(math.log2(found.high_films / n))


def test_copies_are_worth_the_films_that_they_copy():
    for row, n in enumerate(SIZES):
        found = worth(curve().scores[row], n, curve())
        assert numbers(found) == pytest.approx((n, 0, n, n, 0, 0), abs=1e-9)
        assert sentence(found, n).startswith(f"with {n:.0f} real films, these synthetic ones act like {n:.0f}")


def test_the_curve_is_made_monotone_as_sklearn_does_it():
    """Read off by bisection; sizes with other numbers of seeds weigh by them."""
    rng, x, dips = np.random.default_rng(0), np.log2(SIZES), 0
    for _ in range(60):
        scores = rng.normal(RISING[:, None], 0.03, (5, 7))
        scores[rng.random(scores.shape) < 0.3] = np.nan
        scores[:, 0] = RISING
        means, counts = np.nanmean(scores, axis=1), np.isfinite(scores).sum(axis=1)
        fitted = IsotonicRegression().fit_transform(x, means, sample_weight=counts)
        level = fitted[0] + 0.6 * (fitted[-1] - fitted[0])
        low, high = x[0], x[-1]
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if np.interp(middle, x, fitted) < level else (low, middle)
        found = worth(np.full(7, level), 8, Curve(SIZES, scores))
        if counts.min() > 1 and found.films is not None:
            assert math.log2(found.films) == pytest.approx(low, abs=1e-6)
            dips += bool((np.diff(means) < 0).any())
    assert dips > 5


def test_a_level_stretch_answers_with_its_middle():
    level = curve([0.80, 0.85, 0.85, 0.85, 0.90], jitter=0.0)
    assert worth(arm(0.85, jitter=0.0), 16, level).films == pytest.approx(16)
    dip = curve([0.80, 0.86, 0.84, 0.88, 0.90], jitter=0.0)  # 8 and 16 are pooled
    assert worth(arm(0.85, jitter=0.0), 16, dip).films == pytest.approx(8 * 2**0.5)


def test_lower_is_better_mirrors_everything():
    for mean in (0.7, 0.82, 0.87, 0.905, 0.95):
        up = worth(arm(mean), 16, curve())
        down = worth(-arm(mean), 16, Curve(SIZES, -curve().scores, higher_is_better=False))
        assert up == down
    assert worth(-arm(0.95), 16, Curve(SIZES, -curve().scores, higher_is_better=False)).censored == "above"


def test_units_and_the_order_of_seeds_do_not_matter():
    order = [3, 0, 4, 1, 2]
    plain = worth(arm(0.87), 16, curve())
    other = worth(100 * arm(0.87)[order], 16, Curve(SIZES, 100 * curve().scores[:, order]))
    assert numbers(plain) == pytest.approx(numbers(other))


# ------------------------------------------------------------------------------------------- the interval


def paired_p(scores, at, rows):
    """scipy's paired t-test of an arm with each seed's own straight line through the curve."""
    lines = np.array([np.interp(math.log2(at), np.log2(SIZES), rows[:, seed]) for seed in range(rows.shape[1])])
    return stats.ttest_rel(scores, lines).pvalue


@pytest.mark.parametrize("mean", [0.83, 0.86, 0.885, 0.902])
def test_the_interval_ends_where_the_paired_t_test_says_5_percent(mean):
    found = worth(arm(mean), 16, curve())
    rows = curve().scores
    for end, inside in ((found.low_films, 1.01), (found.high_films, 0.99)):
        assert paired_p(arm(mean), end, rows) == pytest.approx(0.05, rel=0.02)
        assert paired_p(arm(mean), end * inside, rows) > 0.05 > paired_p(arm(mean), end / inside, rows)


def test_the_luck_of_shared_seeds_cancels():
    wide = np.array([0.02, -0.02, 0.01, -0.03, 0.02])
    paired = worth(arm(0.87) + wide, 16, Curve(SIZES, curve().scores + wide))
    assert numbers(paired) == pytest.approx(numbers(worth(arm(0.87), 16, curve())))
    unpaired = worth((arm(0.87) + wide)[[1, 2, 3, 4, 0]], 16, Curve(SIZES, curve().scores + wide))
    assert unpaired.high_doublings - unpaired.low_doublings > 3 * (paired.high_doublings - paired.low_doublings)


def test_other_seeds_count_with_the_variance_of_both():
    """Five seeds of the arm, six of the curve, none shared: the test of two samples with the arm's degrees of freedom."""
    rng = np.random.default_rng(0)
    mine = {seed: score for seed, score in enumerate(arm(0.87))}
    table = rng.normal(RISING[:, None], 0.01, (5, 6))
    theirs = {size: {100 + s: v for s, v in enumerate(row)} for size, row in zip(SIZES, table, strict=True)}
    scores, line = aligned(mine, theirs)
    found = worth(scores, 16, line)
    assert found.note == "no seed is shared with the curve: not paired, a wider interval" and len(scores) == 11
    rows = line.scores[:, 5:]
    for end in (found.low_films, found.high_films):
        at = np.array([np.interp(math.log2(end), np.log2(SIZES), rows[:, s]) for s in range(6)])
        error = math.sqrt(np.var(arm(0.87), ddof=1) / 5 + np.var(at, ddof=1) / 6)
        assert abs(np.mean(arm(0.87)) - np.mean(at)) / error == pytest.approx(stats.t.isf(0.025, 4), rel=0.01)


def test_curve_seeds_without_a_partner_still_move_the_curve():
    """The curve has three seeds more, which score a point higher: the arm is worth less."""
    more = np.hstack([curve().scores, RISING[:, None] + 0.01 + LUCK[:3]])
    scores = np.append(arm(0.87), [math.nan] * 3)
    found = worth(scores, 16, Curve(SIZES, more))
    assert found.films == pytest.approx(2 ** np.interp(0.87, more.mean(axis=1), np.log2(SIZES)))
    assert found.films < worth(arm(0.87), 16, curve()).films and found.seeds == 5


def test_a_size_of_one_seed_is_left_out_of_an_interval_and_named():
    scores = curve().scores.copy()
    scores[2, 1:] = math.nan
    found = worth(arm(0.87), 16, Curve(SIZES, scores))
    left = np.delete(np.arange(5), 2)
    assert numbers(found) == pytest.approx(numbers(worth(arm(0.87), 16, Curve(SIZES[left], curve().scores[left]))))
    assert found.note == "sizes of the curve with one seed left out: 16"


def test_the_fewest_seeds_that_an_answer_hangs_on_set_the_degrees_of_freedom():
    """Only the arm has a spread: t times its standard error, over the slope, on either side of the answer."""
    scores = np.repeat(RISING[:, None], 5, axis=1)
    error = np.std(LUCK, ddof=1) / math.sqrt(5)
    for row, freedom in ((3, 4), (2, 2), (1, 2)):  # the answer lies between rows 1 and 2
        scores_here = scores.copy()
        scores_here[row, 3:] = math.nan
        found = worth(0.87 + LUCK, 16, Curve(SIZES, scores_here))
        half = stats.t.isf(0.025, freedom) * error / 0.04
        assert (found.low_doublings, found.high_doublings) == pytest.approx((-0.25 - half, -0.25 + half), abs=1e-6)


def test_sizes_that_are_pooled_weigh_by_their_seeds_in_the_error_too():
    scores = np.repeat(np.array([0.80, 0.86, 0.84, 0.90, 0.91])[:, None], 5, axis=1)
    scores[1] += LUCK
    scores[2, :3] += np.array([0.003, 0.002, -0.005])
    scores[2, 3:] = math.nan
    found = worth([0.87] * 5, 16, Curve(SIZES, scores))
    level = (5 * 0.86 + 3 * 0.84) / 8
    shares = (LUCK / 5 * math.sqrt(5 / 4), np.array([0.003, 0.002, -0.005, 0, 0]) / 3 * math.sqrt(3 / 2))
    error = np.linalg.norm((5 * shares[0] + 3 * shares[1]) / 8)
    for end in (found.low_films, found.high_films):  # between 16 and 32 films
        way = math.log2(end / 16)
        away = abs(0.87 - (level + way * (0.90 - level)))
        assert 0 < way < 1 and away == pytest.approx(stats.t.isf(0.025, 2) * (1 - way) * error, rel=0.01)


def test_fewer_seeds_have_wider_intervals_and_a_note():
    five = worth(arm(0.87), 16, curve())
    three = worth(arm(0.87)[:3], 16, curve(seeds=3))
    assert three.high_doublings - three.low_doublings > 1.3 * (five.high_doublings - five.low_doublings)
    assert three.note == "3 seeds, 5 needed to claim anything"


# ------------------------------------------------------------------------------------------- outside the curve


def test_above_and_below_the_curve_no_number_is_made_up():
    above, below = worth(arm(0.95), 16, curve()), worth(arm(0.5), 16, curve())
    assert above.censored == "above" and below.censored == "below"
    assert above.films is above.doublings is below.films is below.doublings is None
    assert (above.low_films, above.high_films, above.high_censored) == (64, 64, True)
    assert (below.low_films, below.high_films, below.low_censored) == (4, 4, True)
    assert above.identified and below.identified
    assert sentence(above, 16) == "with 16 real films, these synthetic ones act like more than 64"
    assert sentence(below, 16) == "with 16 real films, these synthetic ones act like less than 4"
    assert sentence(below, 16, alone=True) == "alone they are worth less than 4 real films"


def test_an_interval_may_be_open_at_one_end():
    inside, above = worth(arm(0.9092), 32, curve()), worth(arm(0.9103), 32, curve())
    for found in (inside, above):
        assert found.identified and found.high_censored and not found.low_censored
        assert found.high_films == 64 and 32 < found.low_films < 64
    assert inside.films == pytest.approx(32 * 2**0.92) and above.films is None and above.censored == "above"
    assert re.fullmatch(r"with 32 .* act like 61 \(\d\d to more than 64\): ×1\.9", sentence(inside, 32))
    assert re.fullmatch(r"with 32 .* act like more than 64 \(\d\d to more than 64\)", sentence(above, 32))
    low = worth(arm(0.8005), 8, curve())
    assert low.low_censored and low.identified
    assert re.search(r"act like 4 \(less than 4 to 4\.\d\): ×0\.5", sentence(low, 8))


# ------------------------------------------------------------------------------------------- not identified


def test_where_the_curve_is_flat_within_its_noise_no_number_is_given():
    flat = curve([0.80, 0.84, 0.88, 0.9001, 0.9002])
    found = worth(arm(0.9001), 16, flat)
    assert not found.identified and found.films is None and found.doublings is None and found.censored == ""
    assert found.high_censored and 16 < found.low_films <= 32  # the interval still says what is known
    words = "not identified: from 32 to 64 real films the curve is flat within its noise"
    assert sentence(found, 16) == found.note == words
    assert worth(arm(0.86), 16, flat).identified  # below the flat part
    assert worth(arm(0.95), 16, flat).censored == "above"  # told from all of it
    start = worth(arm(0.8001), 16, curve([0.80, 0.8002, 0.88, 0.90, 0.91]))
    assert start.note == "not identified: from 4 to 8 real films the curve is flat within its noise"


def test_a_curve_that_does_not_rise_at_all_identifies_nothing():
    found = worth(arm(0.90), 16, curve([0.90, 0.9001, 0.8999, 0.90, 0.9001]))
    assert sentence(found, 16) == "not identified: the interval covers every size of the curve"
    assert (found.low_censored, found.high_censored, found.films) == (True, True, None)


def test_one_seed_is_a_point_without_an_interval():
    found = worth(arm(0.87)[:1], 16, curve(seeds=1))
    assert found.films is not None and found.low_films is None and found.high_doublings is None
    assert re.fullmatch(r"with 16 .* act like 1\d: ×0\.\d\d \(one seed: no interval\)", sentence(found, 16))
    falling = Curve(SIZES, np.array([[0.8], [0.86], [0.85], [0.84], [0.9]]))
    assert not worth([0.85], 16, falling).identified


def test_one_seed_of_an_arm_meets_the_noise_of_a_curve_of_five():
    one = np.array([0.9001, *[math.nan] * 4])
    assert not worth(one, 16, curve([0.80, 0.84, 0.88, 0.9001, 0.9002])).identified
    rising = worth(one, 16, curve())
    assert rising.identified and rising.seeds == 1 and rising.low_films is None


@pytest.mark.parametrize(
    ("scores", "rows", "words"),
    [
        ([math.nan] * 5, None, "the arm has no seed"),
        ([0.9] * 5, [[0.8] * 5, [math.nan] * 5], "fewer than two sizes of the curve have a seed"),
    ],
)
def test_nothing_comes_of_nothing(scores, rows, words):
    line = curve() if rows is None else Curve(SIZES[:2], np.array(rows))
    found = worth(scores, 16, line)
    assert sentence(found, 16) == f"not identified: {words}" and numbers(found) == (None,) * 6


def test_without_any_spread_there_is_no_interval():
    found = worth([0.86] * 5, 16, Curve(SIZES, np.repeat(RISING[:, None], 5, axis=1)))
    assert found.films == pytest.approx(8 * 2**0.5) and found.low_films is None
    assert found.note == "no spread over seeds: no interval"


@pytest.mark.parametrize(
    ("sizes", "scores"),
    [
        ([4, 8], [[0.8]]),
        ([4], [[0.8]]),
        ([8, 4], [[0.8], [0.9]]),
        ([0, 4], [[0.8], [0.9]]),
        ([4, 8], [[0.8], [math.inf]]),
    ],
)
def test_what_is_no_curve_is_refused(sizes, scores):
    with pytest.raises(InputError, match="curve"):
        Curve(np.array(sizes), np.array(scores))


@pytest.mark.parametrize(("scores", "n"), [([0.8] * 4, 8), ([math.inf] * 5, 8), ([0.8] * 5, 0), ([0.8] * 5, math.nan)])
def test_arms_that_do_not_fit_are_refused(scores, n):
    with pytest.raises(InputError, match="expected"):
        worth(scores, n, curve())


def test_scores_by_seed_are_put_in_columns():
    mine, line = aligned({3: 0.9, 1: 0.8}, {8.0: {1: 0.7}, 4.0: {2: 0.6, 3: 0.5}}, higher_is_better=False)
    assert mine.tolist()[::2] == [0.8, 0.9] and math.isnan(mine[1])
    assert line.sizes.tolist() == [4, 8] and not line.higher_is_better
    assert np.array_equal(line.scores, [[math.nan, 0.6, 0.5], [0.7, math.nan, math.nan]], equal_nan=True)


def test_the_sentence():
    found = worth(arm(0.87), 8, curve())
    assert sentence(found, 8) == "with 8 real films, these synthetic ones act like 13 (13 to 14): ×1.7"
    assert sentence(found, 8, alone=True) == "alone they are worth 13 real films (13 to 14)"


# ------------------------------------------------------------------------------------------- coverage


@pytest.mark.parametrize("doublings", [-0.5, 0.5])
@pytest.mark.parametrize("seeds", [5, 8])
def test_the_interval_covers_95_percent(seeds, doublings):
    found = coverage(REAL_FILMS, seeds=seeds, doublings=doublings, trials=400)
    low, high = stats.binom.ppf([0.005, 0.995], 400, 0.95) / 400  # 92 to 97.5 %
    assert low <= found.covered <= high
    assert abs(found.bias) < 0.05 and found.identified > 0.99


def test_coverage_can_go_red(monkeypatch):
    monkeypatch.setattr("cxrbench.benchmark.significance.worth._LEVEL", 0.32)
    assert coverage(REAL_FILMS, seeds=5, doublings=0.5, trials=200).covered < 0.8


def test_on_a_saturated_curve_one_in_ten_is_called_identified_at_most():
    assert coverage(SATURATED, seeds=5, doublings=0.0, trials=300).identified <= stats.binom.isf(0.01, 300, 0.1) / 300
