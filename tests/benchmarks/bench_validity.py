"""Can the benchmark rank what is known beforehand? `pytest tests/benchmarks/bench_validity.py -s` (about three minutes).

The controls run on the phantom at preset quick, one seed: real films in full beat eleven of them; copies of the training
films are worth what they are; the more masks are wrong, the worse; noise is worth nothing. Not collected by a plain
`pytest`, which has the same claims on smaller films (`tests/tasks/test_validity.py`).
"""

from __future__ import annotations

import pytest

from cxrbench.tasks.scr_official import ScrOfficial

from ..controls import NOTHING_WRONG, RankAsTheyMust, Scores, controls, measured


@pytest.fixture(scope="module")
def scores(tmp_path_factory) -> Scores:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRBENCH_HOME", str(tmp_path_factory.mktemp("phantom")))
        return measured(ScrOfficial(), controls(wrong=(0, 25, 50, 100)))


class TestQuick(RankAsTheyMust):
    """At preset quick."""

    def test_degraded_by_nothing_is_worth_what_the_copies_are(self, scores):
        assert scores.pooled[NOTHING_WRONG] == scores.pooled["copy_train"]
