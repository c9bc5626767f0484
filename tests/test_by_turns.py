"""Every provider on every task at `standard` and `paper` starts and finishes: one a day, of those whose
smoke run is short, where the environment asks for it."""

from __future__ import annotations

import os

import pytest

from cxrbench.leaderboard.regression.rerun import today

from .benchmarks.smoke_presets import Pair, pairs
from .by_turns import MOST_BYTES, MOST_SECONDS, expected, fitting, of_day, run_smoke, those_that_fit
from .toys import rough_providers


@pytest.mark.skipif(
    not os.environ.get("CXRBENCH_SMOKE_BY_TURNS"),
    reason="from 76 s of a core (noise on scr_3fold) to 600 s: set CXRBENCH_SMOKE_BY_TURNS=1",
)
def test_whose_turn_it_is_starts_and_finishes(tmp_path):
    pair = of_day(those_that_fit(), today())
    print(f"smoke run of {pair.key}")
    run_smoke(pair, tmp_path)


def test_what_does_not_finish_fails(tmp_path):
    pair = Pair("untold", "scr_3fold", "standard")
    with pytest.raises(AssertionError, match="cannot be smoked"):
        run_smoke(pair, tmp_path, provider=f"{rough_providers.__file__}:Untold")


def test_all_that_fit_come_round_and_a_day_has_one_of_them():
    fit = those_that_fit()
    days = [of_day(fit, 739_000 + day) for day in range(len(fit))]
    assert len(fit) >= 15 and set(days) == set(fit)
    assert of_day(fit[::-1], 739_000) == days[0] == of_day(fit, 739_000 + len(fit))
    assert {pair.preset for pair in fit} == {"standard", "paper"} and len({pair.task for pair in fit}) > 1


def test_what_is_too_large_or_not_known_has_no_turn():
    pair = Pair("noise", "scr_3fold", "paper")
    other = Pair("lsgan", "nih_classification", "paper")
    slow, large, fits = (
        {"real": {"seconds": 1, "bytes": 1}, "core_seconds": seconds, "most_bytes": size}
        for seconds, size in ((MOST_SECONDS + 1, 1), (1, MOST_BYTES + 1), (MOST_SECONDS, MOST_BYTES))
    )
    assert fitting([pair, other], {pair.key: slow}, {}) == fitting([pair, other], {pair.key: large}, {}) == []
    assert fitting([pair, other], {pair.key: fits}, {}) == [pair]
    assert fitting([pair], {pair.key: fits | {"ended": "240 s of a core", "reached": "train 1/2"}}, {}) == []
    assert expected(other, {}, {}) is None and len({one.key for one in pairs()}) == len(pairs())
