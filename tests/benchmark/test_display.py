"""The time left of a run: by what such steps took before, then by the pace of this run as soon as that can be told."""

from __future__ import annotations

from typing import Any

import pytest

from cxrbench.benchmark.cli.display import _State, pace_of


def states(count: int, expected: float | None = 20.0) -> list[_State]:
    step: Any = None
    return [_State(step, expected) for _ in range(count)]


def test_before_anything_is_told_steps_take_what_they_took_before():
    plan = states(10)
    assert pace_of(plan, 100.0) == 1.0
    assert [state.seconds_left(100.0, 1.0) for state in plan] == [20.0] * 10


def test_steps_that_wait_are_expected_at_the_pace_of_those_that_ran():
    plan = states(10)
    for number, state in enumerate(plan[:4]):
        state.started = 60.0 * number + 1.0
        state.end(60.0 * number + 61.0)
    pace = pace_of(plan, 241.0)
    assert pace == pytest.approx((4 * 60 + 20) / (4 * 20 + 20))
    assert plan[-1].seconds_left(241.0, pace) == pytest.approx(52.0)
    assert plan[0].seconds_left(241.0, pace) == 0.0


def test_a_step_that_runs_counts_with_its_share():
    plan = states(3)
    plan[0].started, plan[0].fraction = 10.0, 0.5
    assert pace_of(plan, 30.0) == pytest.approx((20 + 20) / (10 + 20))
    assert plan[0].seconds_left(30.0, 9.0) == pytest.approx(20.0)


def test_a_single_short_step_does_not_turn_the_estimate_over():
    plan = [*states(1, 0.1), *states(20, 100.0)]
    plan[0].started = 1.0
    plan[0].end(3.0)
    assert 1.0 < pace_of(plan, 3.0) < 1.03


def test_what_nothing_is_known_of_is_unknown():
    plan = states(2, None)
    plan[0].started = 1.0
    plan[0].end(9.0)
    assert pace_of(plan, 9.0) == 1.0
    assert plan[1].seconds_left(9.0, 1.0) is None
