"""Can the benchmark rank what is known beforehand? Controls on small films: six trainings, 40 seconds on a quiet core."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cxrbench.baselines.controls import CopyTrain, Degraded, DegradedSettings
from cxrbench.baselines.retrieval import Retrieval
from cxrbench.benchmark.contracts.task import ArmName, Slot
from cxrbench.benchmark.data.catalogue import find_dataset
from cxrbench.tasks.scr_official import QUICK, ScrOfficial

from ..controls import NOTHING_WRONG, RankAsTheyMust, Scores, controls, gains, measured, sampled

SMALL = replace(QUICK, resolution=32, fit_resolution=32, crop=33, synthetic=120, steps=200, check_every=50)


@pytest.fixture(scope="module")
def scores(tmp_path_factory) -> Scores:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRBENCH_HOME", str(tmp_path_factory.mktemp("phantom")))
        return measured(ScrOfficial(SMALL), controls(wrong=(25, 50)))


class TestSmall(RankAsTheyMust):
    """At 32 pixels and 200 steps: short trainings differ more among themselves than those of preset quick."""

    near = 0.5


def test_degraded_by_nothing_gives_the_copies_themselves():
    task, providers = ScrOfficial(SMALL), controls(wrong=(0,))
    train = task.training_set(find_dataset("phantom", 32), Slot("official", "tiny", ArmName.REAL))
    copies, degraded = (sampled("copies", providers[name], train, task) for name in ("copy_train", NOTHING_WRONG))
    assert np.array_equal(copies.images, degraded.images) and np.array_equal(copies.masks, degraded.masks)


def test_more_real_films_gain_copies_gain_little_and_wrong_masks_lose(tmp_path, monkeypatch):
    """The ruler in small (`tests/benchmarks/bench_ruler.py` has it whole): the mixed arm with 31 real films, two seeds."""
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path))
    providers = {
        "more": Retrieval(),
        "wrong": Degraded(DegradedSettings(wrong=1.0)),
        "copies": CopyTrain(),
    }
    found = gains(ScrOfficial(SMALL), providers, seeds=(0, 1), size="31")
    assert (found["more"] > found["copies"]).all() and (found["copies"] > found["wrong"]).all()
    assert found["more"].mean() > 0.3 and found["wrong"].mean() < -0.3
    assert abs(found["copies"].mean()) < 0.5 * min(found["more"].mean(), -found["wrong"].mean())
