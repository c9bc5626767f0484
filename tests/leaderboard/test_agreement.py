"""Does one board predict another? Orders whose agreement is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from cxrbench.benchmark.cli import app
from cxrbench.benchmark.significance.worth import Curve, worth
from cxrbench.leaderboard.agreement import of_gains, of_worths

NAMES = [f"p{index}" for index in range(8)]


def board(means: list[float], noise: float = 0.0, seed: int = 0) -> dict[str, dict[int, float]]:
    rng = np.random.default_rng(seed)
    return {
        name: {s: mean + noise * float(rng.normal()) for s in range(5)} for name, mean in zip(NAMES, means, strict=True)
    }


def test_the_same_order_agrees_and_the_opposite_one_disagrees_whole():
    up = list(map(float, range(8)))
    same, turned = of_gains(board(up), board([x**3 for x in up])), of_gains(board(up), board(up[::-1]))
    assert same.spearman == pytest.approx(1) == same.kendall and (same.low, same.high) == pytest.approx((1, 1))
    assert turned.spearman == pytest.approx(-1) and turned.high < 0
    assert same.p == pytest.approx(2 / 40_320)  # of all orders, this one and its opposite
    assert "rho \N{MINUS SIGN}1.00 (95 % interval \N{MINUS SIGN}1.00 to" in turned.sentence
    assert same.sentence.startswith(
        "Spearman's rho 1.00 (95 % interval 1.00 to 1.00) over 8 providers and controls, p "
    )


def test_the_numbers_are_scipys():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=8), rng.normal(size=8)
    found = of_gains(board(a.tolist()), board(b.tolist()))
    assert found.spearman == pytest.approx(stats.spearmanr(a, b).statistic)
    assert found.kendall == pytest.approx(stats.kendalltau(a, b).statistic)


def test_noise_of_seeds_and_few_providers_make_the_interval_wide():
    means = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    quiet, loud = (of_gains(board(means, noise, 1), board(means, noise, 2)) for noise in (0.01, 1.0))
    assert quiet.high - quiet.low < 0.35 < 1.0 < loud.high - loud.low
    assert loud.low < 0 < quiet.low


def test_unrelated_boards_are_rarely_told_related():
    rng = np.random.default_rng(0)
    told = [
        of_gains(board(rng.normal(size=8).tolist()), board(rng.normal(size=8).tolist())).p <= 0.05 for _ in range(10)
    ]
    assert sum(told) <= 2


def test_only_providers_of_both_boards_count_and_few_say_nothing():
    a, b = board(list(map(float, range(8)))), board(list(map(float, range(8))))
    for name in NAMES[3:]:
        del b[name]
    found = of_gains(a, b)
    assert found.spearman is None and found.sentence == "3 providers are on both boards, 4 needed to speak of an order"
    assert "no order" in of_gains(board([1.0] * 8), board(list(map(float, range(8))))).sentence


def test_a_provider_without_a_seed_has_the_mean_of_the_others():
    a = board(list(map(float, range(8))))
    del a["p3"][0]
    assert of_gains(a, board(list(map(float, range(8))))).spearman == pytest.approx(1)


def test_worths_beyond_the_curve_count_as_last_or_first_and_unknown_ones_are_left_out():
    curve = Curve(np.array([8.0, 16.0, 32.0]), np.array([[0.80, 0.81, 0.79], [0.85, 0.86, 0.84], [0.90, 0.91, 0.89]]))
    scores = {"low": 0.70, "a": 0.82, "b": 0.86, "c": 0.88, "high": 0.99}
    found = {name: worth([value, value + 0.01, value - 0.01], 16, curve) for name, value in scores.items()}
    assert found["low"].censored == "below" and found["high"].censored == "above"
    assert of_worths(found, found).spearman == pytest.approx(1) and len(of_worths(found, found).providers) == 5
    unknown = found | {"b": replace(found["b"], identified=False)}
    assert of_worths(found, unknown).providers == ("low", "a", "c", "high")


def test_the_command_names_the_boards_that_there_are(tmp_path):
    found = CliRunner().invoke(app, ["leaderboard", "agreement", "--entries", str(tmp_path)])
    assert str(found.exception) == "no board of scr_official on phantom_hard at quick; there are: none"
