"""The controls on the segmentation task, whose order is known beforehand: trainings, and the claims about their scores.

`tests/tasks/test_validity.py` makes them small, for every run of the tests; `tests/benchmarks/bench_validity.py` at preset
quick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import pandas as pd
import torch
from scipy.stats import ttest_rel

from cxrbench.baselines.controls import CopyTrain, Degraded, DegradedSettings, Noise
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.contracts.provider import Provider
from cxrbench.benchmark.contracts.task import Arm, ArmName, Slot
from cxrbench.benchmark.data.catalogue import find_dataset
from cxrbench.benchmark.data.copies import copies
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.runs.rest import rest_of
from cxrbench.tasks.scr_official import ScrOfficial

SEED = 0
NOTHING_WRONG = "degraded 0 %"


def controls(wrong: Sequence[int]) -> dict[str, Provider]:
    """Copies of the training films, copies with so many per cent of wrong masks, and noise."""
    degraded = {f"degraded {share} %": Degraded(DegradedSettings(wrong=share / 100)) for share in wrong}
    return {"copy_train": CopyTrain(), **degraded, "noise": Noise()}


@dataclass(frozen=True)
class Scores:
    """`pooled`: average DSC by training. `cases`: DSC of every test film, a column a training."""

    pooled: Mapping[str, float]
    cases: pd.DataFrame

    def better(self, one: str, other: str) -> bool:
        """Whether a training is better than another, also film by film (paired t-test, p < 0.01)."""
        told = ttest_rel(self.cases[one], self.cases[other]).pvalue < 0.01
        return bool(self.pooled[one] > self.pooled[other] and told)


def measured(task: ScrOfficial, providers: Mapping[str, Provider]) -> Scores:
    """The phantom's films, all of them and eleven, and what each provider makes of all of them, each trained on once."""
    torch.set_num_threads(task.settings.threads)
    data = find_dataset("phantom", task.settings.fit_resolution)
    task.check(data)
    films = {size: task.training_set(data, Slot("official", size, ArmName.REAL)) for size in ("full", "tiny")}
    arms = {f"real {size}": Arm(ArmName.REAL, real=real) for size, real in films.items()}
    for name, provider in providers.items():
        arms[name] = Arm(ArmName.SYNTHETIC, synthetic=sampled(name, provider, films["full"], task))
    test = task.test_set(data, Slot("official", "full", ArmName.REAL))
    pooled, cases = {}, {}
    for name, arm in arms.items():
        trained = task.train(arm, seed=SEED, device="cpu", progress=Progress())
        found = task.score(task.predict(trained.model, test, device="cpu"), test)
        table = task.summarise(found).set_index(["metric", "structure"])["value"]
        pooled[name] = float(table["dsc", "average"])
        cases[name] = found[found.metric == "dsc"].groupby("case")["value"].mean()
        print(f"{name:16} DSC {100 * pooled[name]:6.2f} (phantom, seed {SEED})", flush=True)
    return Scores(pooled, pd.DataFrame(cases))


def sampled(name: str, provider: Provider, train: Dataset, task: ScrOfficial) -> Dataset:
    """The films that a task asks a control for."""
    provider.fit(train, seed=SEED, progress=Progress())
    count = task.synthetic_count(train, Slot("official", "full", ArmName.SYNTHETIC))
    return collect(name, provider, train, count, seed=SEED, progress=Progress())


def gains(task: ScrOfficial, providers: Mapping[str, Provider], *, seeds: Sequence[int], size: str) -> pd.DataFrame:
    """Average DSC of the mixed arm with a provider's films minus that with copies (the placebo), in points: a row a seed, a
    column a provider. On the phantom's films of a size, drawn anew for every seed."""
    torch.set_num_threads(task.settings.threads)
    data = find_dataset("phantom", task.settings.fit_resolution)
    found = {}
    for seed in seeds:
        slot = Slot("official", size, ArmName.MIXED, seed)
        real, test = task.training_set(data, slot), task.test_set(data, slot)
        films = {"placebo": copies(real, task.synthetic_count(data, slot), seed=seed)}
        for provider in providers.values():
            provider.rest = rest_of(task, data, slot) if provider.takes_rest else None
        films |= {name: sampled(name, provider, real, task) for name, provider in providers.items()}
        scores = {}
        for name, synthetic in films.items():
            arm = Arm(ArmName.MIXED, real=real, synthetic=synthetic, structures=task.structures(data))
            trained = task.train(arm, seed=seed, device="cpu", progress=Progress())
            table = task.summarise(task.score(task.predict(trained.model, test, device="cpu"), test))
            scores[name] = 100 * float(table.set_index(["metric", "structure"])["value"]["dsc", "average"])
        found[seed] = {name: score - scores["placebo"] for name, score in scores.items() if name != "placebo"}
        print(f"seed {seed}: {found[seed]} points over copies (phantom)", flush=True)
    return pd.DataFrame(found).T


class RankAsTheyMust:
    """The claims, for a class of tests with a fixture `scores`. A benchmark that cannot rank these ranks nothing."""

    near: ClassVar[float] = 0.25
    """How far copies may be from the films themselves, as a share of what all films are worth over eleven."""

    def test_all_real_films_beat_eleven(self, scores):
        assert scores.better("real full", "real tiny")

    def test_copies_of_the_training_films_are_worth_what_the_films_are(self, scores):
        pooled = scores.pooled
        gain = pooled["real full"] - pooled["real tiny"]
        assert abs(pooled["copy_train"] - pooled["real full"]) < self.near * gain

    def test_the_more_masks_are_wrong_the_worse(self, scores):
        degraded = [name for name in scores.pooled if name.startswith("degraded") and name != NOTHING_WRONG]
        assert len(degraded) >= 2
        assert all(scores.better(one, other) for one, other in pairwise(["copy_train", *degraded]))

    def test_noise_is_far_below_every_other(self, scores):
        others = [value for name, value in scores.pooled.items() if name != "noise"]
        assert scores.pooled["noise"] < min(others) - 0.1
