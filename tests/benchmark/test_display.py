"""The time left of a run: by what such steps took before, then by the pace of this run as soon as that can be told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from cxrbench.benchmark.cli.display import Watcher, _State, alike, long, pace_of


def states(count: int, expected: float | None = 20.0) -> list[_State]:
    step: Any = None
    return [_State(step, expected) for _ in range(count)]


def fit(size: str, kind: str = "fit", provider: str = "mine") -> Any:
    """A step as far as its name goes."""
    identity = SimpleNamespace(
        provider=SimpleNamespace(name=provider, label_by=None),
        task=SimpleNamespace(name="scr_official"),
        data=SimpleNamespace(name="phantom"),
        preset="quick",
        size=size,
        device="cpu",
    )
    return SimpleNamespace(kind=kind, cell=SimpleNamespace(identity=identity, synthetic_key="films", arm="synthetic"))


def test_what_nothing_is_known_of_takes_what_its_like_take_in_this_run():
    plan = [_State(fit(size), None) for size in ("full", "full", "full", "tiny")]
    plan.append(_State(fit("full", kind="cell"), None))
    assert alike(plan, 5.0) == [None] * 5
    for number, seconds in enumerate((30.0, 50.0)):
        plan[number].started = 100.0 * number + 1.0
        plan[number].end(100.0 * number + 1.0 + seconds)
    assert alike(plan, 400.0) == [40.0, 40.0, 40.0, 40.0, None]  # the tiny one by those of the other size
    plan[3].started, plan[3].fraction = 400.0, 0.5
    assert alike(plan, 405.0)[2:] == [40.0, 10.0, None]
    assert plan[2].seconds_left(405.0, 3.0, 40.0) == 40.0  # what this run says has its pace already
    assert plan[2].seconds_left(405.0) is None


def test_what_is_known_is_told_while_something_is_not():
    step = fit("full")
    steps = [_State(step, None), _State(step, 60.0), _State(step, 30.0)]
    watcher = object.__new__(Watcher)
    watcher.states, watcher._chains, watcher.prepared = (
        steps,
        [steps[:2], steps[2:]],
        cast("Any", SimpleNamespace(jobs=1)),
    )
    assert watcher.summary() == "0/3 steps · more than 1:30 left"
    steps[0].expected = 10.0
    assert watcher.summary() == "0/3 steps · 1:40 left"
    for state in steps:
        state.expected = None
    assert watcher.summary() == "0/3 steps · time left unknown"


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


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "0 s"), (40, "40 s"), (170, "2 min 50 s"), (600, "10 min"), (3600, "1 h"), (3725, "1 h 2 min")],
)
def test_a_planned_time_has_units(seconds: float, said: str) -> None:
    assert long(seconds) == said
