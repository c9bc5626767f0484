"""Can the benchmark rank what is known beforehand? `pytest tests/benchmarks/bench_validity.py -s` (about three minutes).

The controls run on the phantom at preset quick, one seed. A benchmark that cannot rank these ranks nothing:
real films in full beat eleven of them; copies of the training films are worth what they are; the more masks are wrong,
the worse; noise is worth nothing. Not collected by a plain `pytest`.
"""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
import pytest
import torch
from scipy.stats import ttest_rel

from cxrbench.baselines.controls import CopyTrain, Degraded, DegradedSettings, Noise
from cxrbench.benchmark.contracts.provider import Provider, collect
from cxrbench.benchmark.contracts.task import Arm, ArmName, Slot
from cxrbench.benchmark.data.catalogue import find_dataset
from cxrbench.benchmark.progress import Progress
from cxrbench.tasks.scr_official import ScrOfficial

SEED = 0
PROVIDERS: dict[str, Provider] = {
    "copy_train": CopyTrain(),
    "degraded 0 %": Degraded(DegradedSettings(wrong=0.0)),
    "degraded 25 %": Degraded(DegradedSettings(wrong=0.25)),
    "degraded 50 %": Degraded(DegradedSettings(wrong=0.5)),
    "degraded 100 %": Degraded(DegradedSettings(wrong=1.0)),
    "noise": Noise(),
}


@pytest.fixture(scope="module")
def scores(tmp_path_factory) -> tuple[dict[str, float], pd.DataFrame]:
    """(pooled average DSC by training, DSC of every test film: a column a training)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRBENCH_HOME", str(tmp_path_factory.mktemp("phantom")))
        task = ScrOfficial()
        torch.set_num_threads(task.settings.threads)
        data = find_dataset("phantom", task.settings.fit_resolution)
        task.check(data)
        films = {size: task.training_set(data, Slot("official", size, ArmName.REAL)) for size in ("full", "tiny")}
        arms = {f"real {size}": Arm(ArmName.REAL, real=real) for size, real in films.items()}
        for name, provider in PROVIDERS.items():
            arms[name] = Arm(ArmName.SYNTHETIC, synthetic=sampled(name, provider, films["full"], task))
        test = task.test_set(data, Slot("official", "full", ArmName.REAL))
        pooled, cases = {}, {}
        for name, arm in arms.items():
            trained = task.train(arm, seed=SEED, device="cpu", progress=Progress())
            found = task.score(task.predict(trained.model, test, device="cpu"), test)
            table = task.summarise(found).set_index(["metric", "structure"])["value"]
            pooled[name] = float(table["dsc", "average"])
            cases[name] = found[found.metric == "dsc"].groupby("case")["value"].mean()
            print(f"{name:16} DSC {100 * pooled[name]:6.2f} (phantom, quick, seed {SEED})", flush=True)
    return pooled, pd.DataFrame(cases)


def sampled(name: str, provider: Provider, train, task: ScrOfficial):
    """The films a task asks a control for."""
    provider.fit(train, seed=SEED, progress=Progress())
    count = task.synthetic_count(train, Slot("official", "full", ArmName.SYNTHETIC))
    return collect(name, provider, train, count, seed=SEED, progress=Progress())


def test_all_real_films_beat_eleven(scores):
    pooled, cases = scores
    assert pooled["real full"] > pooled["real tiny"]
    assert ttest_rel(cases["real full"], cases["real tiny"]).pvalue < 0.01


def test_copies_of_the_training_films_are_worth_what_the_films_are(scores):
    pooled, _ = scores
    difference = abs(pooled["copy_train"] - pooled["real full"])
    assert difference < 0.25 * (pooled["real full"] - pooled["real tiny"])


def test_the_more_masks_are_wrong_the_worse(scores):
    pooled, cases = scores
    names = [f"degraded {share} %" for share in (0, 25, 50, 100)]
    for better, worse in pairwise(names):
        assert pooled[better] > pooled[worse]
        assert ttest_rel(cases[better], cases[worse]).pvalue < 0.01
    assert pooled["degraded 0 %"] == pooled["copy_train"]


def test_noise_is_far_below_every_other(scores):
    pooled, _ = scores
    others = [value for name, value in pooled.items() if name != "noise"]
    assert pooled["noise"] < min(others) - 0.1
