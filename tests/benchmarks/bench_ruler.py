"""Does the ruler measure what is known beforehand? `pytest tests/benchmarks/bench_ruler.py -s` (hours; resumable).

Controls on `scr_official` at preset quick, five seeds, on the hard phantom and, where `CXRBENCH_REAL_DATA` has them, on 247
real films: copies
of the training films gain nothing on any size and arm; the more masks are wrong, the more they harm; noise adds nothing;
and so many more real films are worth n + so many. Results are kept in `CXRBENCH_HOME`: what a run has trained is not trained
again. Not collected by a plain `pytest`, which has the same claims on small films (`tests/tasks/test_validity.py`).
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from cxrbench.benchmark.data.catalogue import find_dataset, keep
from cxrbench.benchmark.data.importers.kermany import NAME as KERMANY
from cxrbench.benchmark.data.importers.kermany import import_kermany
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.curve import curve_of, find_curve, keep_curve
from cxrbench.benchmark.results.rows import Results
from cxrbench.benchmark.runs.request import CurveRequest, Request, execute, prepare, prepare_curve

TASK, SEEDS, SIZE = "scr_official", 5, "31"


def real_films() -> str:
    """The real films' dataset, imported where it is not; a skip without them."""
    try:
        find_dataset(KERMANY, 64)
    except InputError:
        place = os.environ.get("CXRBENCH_REAL_DATA")
        if not place:
            pytest.skip("CXRBENCH_REAL_DATA names no folder with real films")
        keep(import_kermany(Path(place) / KERMANY))
    return KERMANY


@pytest.fixture(scope="module", params=["phantom_hard", KERMANY])
def data(request) -> str:
    return real_films() if request.param == KERMANY else request.param


@cache
def ruler(data: str) -> None:
    """Train the curve and keep it."""
    prepared = prepare_curve(CurveRequest(task=TASK, data=data, seeds=SEEDS))
    assert not [outcome.error for outcome in execute(prepared) if outcome.error]
    keep_curve(prepared.plan, prepared.store, curve_of(prepared.plan, prepared.store))


@cache
def measured(data: str, provider: str, *overrides: str, arms: tuple[str, ...] = ()) -> Results:
    """The results of a control, with its gains and worths printed."""
    ruler(data)
    asked = Request(provider=provider, task=TASK, data=data, seeds=SEEDS, overrides=overrides, arms=arms)
    prepared = prepare(asked)
    assert not [outcome.error for outcome in execute(prepared) if outcome.error]
    results = assemble(prepared.plan, prepared.store, [], curve=find_curve(prepared.plan, prepared.store))
    for row in results.gains:
        worth = results.worth(row.size, row.arm)
        print(f"{data:14} {results.provider.name:12} {' '.join(overrides):22} {row.size:5} {row.arm:10} {row.sentence}")
        print(f"{'':62} {worth.sentence if worth else ''}", flush=True)
    return results


def gain(results: Results, arm: str = "mixed") -> float:
    row = results.gain(SIZE, arm)
    assert row is not None and row.gain is not None
    return row.gain


def test_copies_gain_nothing_on_any_size_and_arm(data):
    for row in measured(data, "copy_train").gains:
        assert row.low is not None and row.low <= 0 <= row.high, (row.size, row.arm, row.sentence)


def test_the_more_masks_are_wrong_the_more_they_harm(data):
    shares = [measured(data, "degraded", f"wrong={share}") for share in (0.25, 0.5, 1.0)]
    gains = [gain(results) for results in shares]
    assert gains == sorted(gains, reverse=True)
    assert max(gains) <= abs(measured(data, "copy_train").gain(SIZE, "mixed").low)
    last = shares[-1].gain(SIZE, "mixed")
    assert last.verdict == "harms", last.sentence


def test_noise_adds_nothing(data):
    for row in measured(data, "noise").gains:
        assert row.gain <= 0 or row.low <= 0, (row.size, row.arm, row.sentence)


@pytest.mark.parametrize("more", [31, 0])
def test_more_real_films_are_worth_as_many(data, more):
    """31 more, and all that there are (whole patients: a seed has 31 or 32, and 92 or 93 are left)."""
    worth = measured(data, "retrieval", f"films={more}", arms=("real", "mixed")).worth(SIZE, "mixed")
    assert worth.identified
    known = worth.real + more if more else worth.largest
    assert worth.low <= known or worth.low_censored
    assert worth.high >= known or worth.high_censored or worth.censored == "above"
