"""Power of the paired test over seeds: against simulation of the rule that decides, and what it may be asked."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.significance.gain import agreed, sign_flip_p
from cxrbench.benchmark.significance.power import MOST, least_gain, power, seeds_needed, typical_spread


def test_the_power_of_no_gain_is_the_level():
    for seeds in (2, 5, 12):
        assert power(0.0, 0.3, seeds) == pytest.approx(0.05, abs=1e-9)
        assert power(0.0, 0.3, seeds, level=0.01) == pytest.approx(0.01, abs=1e-9)


@pytest.mark.parametrize(("seeds", "boards", "both"), [(5, 20_000, 0.74), (8, 10_000, 0.77), (12, 1_500, 0.79)])
def test_the_least_gain_is_found_four_times_in_five(seeds, boards, both):
    """By t as promised, and by what decides (sign flips agree) nearly so: the shares of the module's docstring."""
    gain = least_gain(0.4, seeds)
    d = np.random.default_rng(0).normal(gain, 0.4, (boards, seeds))
    t_p = stats.ttest_1samp(d, 0.0, axis=1).pvalue
    error = 4 * np.sqrt(0.16 / boards)
    assert np.mean(t_p <= 0.05) == pytest.approx(0.8, abs=error)
    assert np.mean(agreed(t_p, sign_flip_p(d), seeds) <= 0.05) == pytest.approx(both, abs=error + 0.005)
    assert power(gain, 0.4, seeds) == pytest.approx(0.8) and power(-gain, 0.4, seeds) == pytest.approx(0.8)


def test_more_seeds_a_quieter_board_and_fewer_comparisons_tell_less():
    gains = [least_gain(0.4, seeds) for seeds in (5, 8, 12)]
    assert gains == sorted(gains, reverse=True)
    assert least_gain(0.2, 8) == pytest.approx(least_gain(0.4, 8) / 2)
    assert least_gain(0.4, 8, level=0.05 / 36) > 1.5 * least_gain(0.4, 8)
    assert least_gain(0.4, 8, wanted=0.9) > least_gain(0.4, 8)


@pytest.mark.parametrize(("gain", "spread"), [(0.5, 0.5), (0.2, 0.5), (5.0, 0.1), (0.06, 1.0)])
def test_the_seeds_needed_are_the_fewest_that_do(gain, spread):
    seeds = seeds_needed(gain, spread)
    if seeds is None:
        assert power(gain, spread, MOST) < 0.8
    else:
        assert power(gain, spread, seeds) >= 0.8
        assert seeds == 2 or power(gain, spread, seeds - 1) < 0.8


def test_the_typical_spread_is_not_biased_by_few_seeds_nor_moved_by_a_noisy_row():
    rng = np.random.default_rng(1)
    found = [typical_spread(rng.normal(0, 0.3, (8, 5))) for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.3, rel=0.03)
    rows = rng.normal(0, 0.3, (9, 8))
    noisy = np.vstack([rows, 100 * rows[:1]])
    assert typical_spread(noisy) == pytest.approx(typical_spread(rows), rel=0.25)
    assert typical_spread([[0.1], [0.2]]) is None and typical_spread([]) is None


@pytest.mark.parametrize(("spread", "seeds", "level"), [(0.0, 5, 0.05), (0.4, 1, 0.05), (0.4, 5, 0.0), (0.4, 5, 1.0)])
def test_what_has_no_power_is_refused(spread, seeds, level):
    with pytest.raises(InputError):
        least_gain(spread, seeds, level=level)


def test_a_power_below_the_level_is_refused():
    with pytest.raises(InputError, match="above the level"):
        least_gain(0.4, 5, wanted=0.05)
