"""The ruler of a board: which curve it is, where it rises, and what the board can tell by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from cxrbench.benchmark import digest
from cxrbench.benchmark.registry import TASKS, Plugin, plugins
from cxrbench.benchmark.significance.power import least_gain, typical_spread
from cxrbench.leaderboard import curves
from cxrbench.leaderboard.curves import Ruler, real_films, shipped, steps
from cxrbench.leaderboard.standings import board
from cxrbench.leaderboard.telling import telling

from .made_up import KEY, attempt, curve

SETTINGS = {"resolution": 64}
BOARD = replace(KEY, task="made", settings=digest.of_json(SETTINGS))


def ruler(**options) -> Ruler:
    higher = options.pop("higher_is_better", True)
    found = Ruler.of(curve(**options), "mixed", "31", None, higher_is_better=higher)
    assert found is not None
    return found


# ------------------------------------------------------------------------------------------------- which curve


@pytest.fixture
def ships(monkeypatch):
    """Let a task ship curves."""

    def set_(*found):
        monkeypatch.setitem(
            plugins(TASKS), "made", Plugin("made", "made", "cxrbench.tasks.scr_official", "ScrOfficial")
        )
        monkeypatch.setattr(curves, "shipped_curves", lambda task: list(found))
        curves._shipped.cache_clear()

    yield set_
    curves._shipped.cache_clear()


def test_the_curve_of_a_board_is_the_one_that_its_task_ships_for_these_films(ships):
    mine = curve(BOARD).model_copy(update={"settings": SETTINGS})
    ships(mine.model_copy(update={"device": "cuda"}), mine)
    assert shipped(BOARD, "cpu") is mine
    assert shipped(BOARD, "mps") is None


@pytest.mark.parametrize(
    "change", [{"version": 9}, {"digest": "f" * 64}, {"preset": "paper"}, {"settings": "e" * 64}, {"task": "no_task"}]
)
def test_a_curve_of_another_protocol_or_other_films_is_none(change, ships):
    ships(curve(BOARD).model_copy(update={"settings": SETTINGS}))
    assert shipped(BOARD, "cpu") is not None
    assert shipped(replace(BOARD, **change), "cpu") is None


def test_the_films_of_a_size_are_the_curves_own_and_else_those_given():
    assert real_films(curve(), "mixed", "31") == 31 and real_films(curve(), "mixed", "tiny") is None
    assert Ruler.of(curve(), "mixed", "tiny", 11, higher_is_better=True).films == 11
    assert Ruler.of(curve(), "mixed", "tiny", None, higher_is_better=True) is None
    assert Ruler.of(curve(), "finetune", "31", 31, higher_is_better=True) is None


# ------------------------------------------------------------------------------------------------- its shape


def test_every_step_of_a_rising_curve_rises_and_its_p_is_that_of_the_paired_test():
    made = ruler()
    found = steps(made)
    assert [(step.low, step.high) for step in found] == [(4, 8), (8, 16), (16, 31), (31, 62), (62, 124)]
    for step in found:
        above, below = (np.array([made.points[size][seed] for seed in range(5)]) for size in (step.high, step.low))
        assert step.p == pytest.approx(stats.ttest_rel(above, below, alternative="greater").pvalue)
        assert step.rises is True and step.rise == pytest.approx(0.01, abs=0.003)


def test_a_step_within_its_noise_is_flat():
    found = steps(ruler(flat_from=31, sd=0.002))
    assert [step.rises for step in found[:2]] == [True, True] and [step.rises for step in found[3:]] == [False, False]


def test_where_lower_is_better_a_falling_curve_rises():
    assert all(step.rises for step in steps(ruler(slope=-0.01, higher_is_better=False)))
    assert not any(step.rises for step in steps(ruler(slope=-0.01)))


def test_steps_are_about_doublings_and_need_two_shared_seeds():
    made = ruler()
    points = {size: by_seed for size, by_seed in made.points.items()} | {20.0: made.points[16.0]}
    points[4.0] = {99: 0.9}
    found = steps(replace(made, points=points))
    assert [(step.low, step.high) for step in found] == [(4, 8), (8, 16), (16, 31), (31, 62), (62, 124)]
    assert found[0].rises is None and found[0].p is None


def test_what_a_doubling_adds_is_read_where_the_board_ranks():
    assert ruler().doubling() == pytest.approx(0.01, abs=0.002)
    assert ruler(flat_from=31, sd=0.0).doubling() is None
    at_the_end = replace(ruler(), films=124.0)
    assert at_the_end.doubling() == pytest.approx(0.01, abs=0.002)
    assert ruler(slope=-0.01, higher_is_better=False).doubling() == pytest.approx(-0.01, abs=0.002)


# ------------------------------------------------------------------------------------------------- what it tells


def test_the_power_of_a_board_follows_from_the_spread_of_its_gains():
    made = board([attempt(f"e{n}", 0.001 * n, seed=n + 2) for n in range(6)], lambda key, device: curve())
    found = telling(made)
    rows = [list(one.headline.gain.by_seed.values()) for one in made.all]
    assert found.spread == typical_spread(rows) and found.entries == 6 and found.comparisons == 21
    assert [row.seeds for row in found.told] == [5, 8, 12]
    for row in found.told:
        assert row.alone == pytest.approx(least_gain(found.spread, row.seeds))
        assert row.board == pytest.approx(least_gain(found.spread, row.seeds, level=0.05 / 21))
        assert row.alone_doublings == pytest.approx(row.alone / found.doubling)
    assert found.told[0].alone > found.told[1].alone > found.told[2].alone


def test_what_a_board_cannot_tell_depends_on_the_board():
    made = telling(board([attempt("a", sd=0.02)], lambda key, device: curve(flat_from=31, sd=0.002)))
    said = " ".join(made.cannot)
    assert "Its films are drawn" in said and "below 4 and above 124 real films" in said
    assert "62 to 124 real films: there the curve does not rise" in said
    assert "worth twice the real ones" in said  # twice the films add less than the least gain
    real = telling(board([attempt("a", phantom=False)], lambda key, device: None))
    said = " ".join(real.cannot)
    assert "drawn" not in said and "ships no curve" in said and real.ruler is None and real.steps == ()


def test_without_two_seeds_nothing_is_told():
    found = telling(board([attempt("a", seeds=range(1))], lambda key, device: curve()))
    assert found.spread is None and found.told == () and any(words.startswith("Any gain yet") for words in found.cannot)
