"""Times of the hot paths: metrics, bootstrap, dataset reading, phantom, sampling and a training step of every provider.

    pytest tests/benchmarks/bench_hot_paths.py --benchmark-json=now.json     # two minutes of a quiet processor
    python tests/benchmarks/compare.py now.json                              # beside the committed baseline
    python tests/benchmarks/compare.py now.json --save                       # makes this the baseline

Not collected by a plain `pytest`. Before every round a reference kernel is timed (products and convolutions for networks,
sorting for arrays), and what is compared are ratios to it, round by round: they hold on another machine and on a busy one,
where absolute times do not. One thread. Nothing here passes or fails by a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from cxrbench.benchmark.contracts.provider import Provider
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo, load_dataset
from cxrbench.benchmark.data.findings import FINDINGS
from cxrbench.benchmark.data.phantom.cohort import film_ids
from cxrbench.benchmark.data.phantom.jsrt_like import ORGANS, jsrt_like_case, jsrt_like_ids
from cxrbench.benchmark.data.phantom.nih_like import nih_like_film
from cxrbench.benchmark.errors import ProviderError
from cxrbench.benchmark.metrics.auc_bootstrap import bootstrap_auc
from cxrbench.benchmark.metrics.classification import auc_columns, delong
from cxrbench.benchmark.metrics.localisation import box_iou
from cxrbench.benchmark.metrics.segmentation import dice, hausdorff_cases
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.registry import PROVIDERS, find_provider, plugins
from cxrbench.benchmark.significance.paired_tests import paired_comparison
from cxrbench.benchmark.speed.reference import Reference, calls_of_a_block
from cxrbench.benchmark.training import loop as training
from cxrbench.benchmark.training.observer import Observer
from cxrbench.benchmark.training.recipe import Step

ROUNDS = 12
SIDE = 64
FILMS, BOXED = 24, 16
STEPS = 20  # of a training whose last step is then repeated; a multiple of the cycles of generators
SAMPLED = 16


# ------------------------------------------------------------------------------------------------------ the reference


class Sorting:
    """The kernel of arrays: sort, rank and count 50,000 numbers. Its seconds are those of one call."""

    def __init__(self) -> None:
        self.values = np.random.default_rng(0).normal(size=50_000)

    def seconds(self) -> float:
        start = time.perf_counter()
        for _ in range(5):
            order = np.argsort(self.values, kind="stable")
            np.bincount(order % 997, weights=np.cumsum(self.values[order]))
        return (time.perf_counter() - start) / 5


@pytest.fixture(scope="module", autouse=True)
def references() -> dict[str, Any]:
    """One thread, and the kernels."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return {"arrays": Sorting(), "networks": Reference(torch.device("cpu"))}


@pytest.fixture
def timed(benchmark, references) -> Callable[..., None]:
    """Times a call in rounds, with its reference before each; a short call is repeated for 20 ms. Ratios of one call, round
    by round, go into the JSON file."""

    def run(kind: str, call: Callable[[], object], *, rounds: int = ROUNDS) -> None:
        taken: list[float] = []
        calls = calls_of_a_block(call, torch.device("cpu"), 0.02) if benchmark.enabled else 1

        def refer() -> None:
            taken.append(references[kind].seconds())

        def block() -> None:
            for _ in range(calls):
                call()

        benchmark.group = kind
        benchmark.pedantic(block, setup=refer, rounds=rounds, warmup_rounds=1)
        if benchmark.enabled:
            seconds = benchmark.stats.stats.data
            units = taken[-len(seconds) :]
            ratios = [a / b / calls for a, b in zip(seconds, units, strict=True)]
            benchmark.extra_info.update(reference=kind, calls=calls, ratios=ratios)

    return run


# ------------------------------------------------------------------------------------------------------ films


@cache
def drawn_films(side: int, count: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Ids, films and bit flags of the first cases of the phantom."""
    ids = jsrt_like_ids()[:count]
    films = [jsrt_like_case(case, side) for case in ids]
    return ids, np.stack([film for film, _ in films]), np.stack([flags for _, flags in films])


@cache
def training_films() -> Dataset:
    """Phantom films with masks; of 24, 16 with a box and a finding that nobody drew, 8 with none."""
    ids, films, flags = drawn_films(SIDE, FILMS)
    rng = np.random.default_rng(0)
    labels = np.zeros((FILMS, len(FINDINGS)), np.uint8)
    labels[np.arange(BOXED), np.arange(BOXED) % len(FINDINGS)] = 1
    cases = pd.DataFrame({"id": ids, "patient": ids, "source_ids": [[case] for case in ids]})
    cases[list(FINDINGS)] = labels
    boxes = [(ids[row], FINDINGS[row % len(FINDINGS)], *rng.uniform(8, 20, 4).tolist()) for row in range(BOXED)]
    table = pd.DataFrame(boxes, columns=["id", "finding", "x", "y", "w", "h"])
    info = DatasetInfo(name="bench", resolution=SIDE, organs=ORGANS, findings=FINDINGS)
    return Dataset(info, films, cases, masks=flags, boxes=table)


# ------------------------------------------------------------------------------------------------------ arrays


def masks_of_two_models() -> tuple[np.ndarray, np.ndarray]:
    """Organ masks bool (12, 5, 256, 256), and the same moved by a few pixels."""
    flags = drawn_films(256, 12)[2]
    truth = (flags[:, None] & (1 << np.arange(len(ORGANS), dtype=np.uint8))[None, :, None, None]) != 0
    return np.roll(truth, (3, 2), axis=(2, 3)), truth


def scores_of_two_models(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels, the scores of two models, (count, 14) each, and the patient of each film."""
    rng = np.random.default_rng(0)
    truth = rng.random((count, len(FINDINGS))) < np.linspace(0.01, 0.24, len(FINDINGS))
    ours = rng.normal(size=truth.shape) + truth
    return truth, ours, ours + rng.normal(size=truth.shape), rng.integers(0, count // 9, count)


def test_dice_of_60_masks(timed):
    pred, truth = masks_of_two_models()
    timed("arrays", lambda: dice(pred, truth))


def test_hausdorff_of_60_masks(timed):
    pred, truth = masks_of_two_models()
    timed("arrays", lambda: hausdorff_cases(pred, truth))


def test_auc_of_14_findings_on_25_596_films(timed):
    truth, ours, _, _ = scores_of_two_models(25_596)
    timed("arrays", lambda: auc_columns(truth, ours))


def test_delong_of_two_models(timed):
    truth, ours, theirs, _ = scores_of_two_models(25_596)
    timed("arrays", lambda: delong(truth[:, 3], ours[:, 3], theirs[:, 3]))


def test_bootstrap_of_auc_by_patients(timed):
    truth, ours, theirs, patients = scores_of_two_models(5_000)
    timed("arrays", lambda: bootstrap_auc(truth, [ours, theirs], patients, resamples=100, threads=1))


def test_paired_comparison_with_its_interval(timed):
    rng = np.random.default_rng(0)
    ours = rng.normal(0.95, 0.02, 123)
    timed("arrays", lambda: paired_comparison(ours, ours - rng.normal(0.002, 0.01, 123), resamples=2_000))


def test_iou_of_all_pairs_of_500_boxes(timed):
    boxes = np.random.default_rng(0).uniform(1, 100, (500, 4))
    timed("arrays", lambda: box_iou(boxes[:, None], boxes[None]))


# ------------------------------------------------------------------------------------------------------ datasets


def test_reading_a_dataset(timed, tmp_path):
    training_films().save(tmp_path / "films")

    def read() -> None:
        found = load_dataset(tmp_path / "films")
        found.organ_masks()
        found.labels()
        np.asarray(found.images[np.random.default_rng(0).permutation(FILMS)])

    timed("arrays", read)


def test_verifying_a_dataset(timed, tmp_path):
    training_films().save(tmp_path / "films")
    timed("arrays", lambda: load_dataset(tmp_path / "films", verify=True))


def test_selecting_films(timed):
    rows = np.random.default_rng(0).permutation(FILMS)
    timed("arrays", lambda: training_films().select(rows))


@pytest.mark.parametrize("side", [64, 256])
def test_drawing_jsrt_like_films(timed, side):
    timed("arrays", lambda: [jsrt_like_case(case, side) for case in jsrt_like_ids()[:4]])


def test_drawing_nih_like_films(timed):
    ids = film_ids(8)
    timed("arrays", lambda: [nih_like_film(case, SIDE) for case in ids])


# ------------------------------------------------------------------------------------------------------ providers


@dataclass
class Fitted:
    """A provider after a training of a few steps, and a call for the last step of each of its trainings."""

    provider: Provider
    steps: list[Callable[[], object]]


@cache
def fitted(name: str) -> Fitted:
    """The provider at the preset quick, its trainings cut short."""
    cls = find_provider(name).load()
    provider = cls(cls.shorter(cls.presets["quick"], STEPS, side=SIDE))
    steps: list[Callable[[], object]] = []
    loop = vars(training)["_train"]

    def watched(recipe: Any, source: Any, total: int, seed: int, device: str, *rest: Any) -> Any:
        history = loop(recipe, source, total, seed, device, *rest)
        steps.append(last_step(recipe, source, total, seed, device))
        return history

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_train", watched)
        provider.fit(training_films(), seed=0, progress=Progress())
    return Fitted(provider, steps)


def last_step(recipe: Any, source: Any, total: int, seed: int, device: str) -> Callable[[], object]:
    """The last step of a training as a call, with its batch: as the loop does it, again and again."""
    fabric = training.make_fabric(device, float32=recipe.float32)
    size = recipe.batch_size(10**9)  # of the last phase
    rows = training.Rows(len(source), seed).take(0, size)
    batch: Mapping[str, Tensor] = source.batch(rows, np.random.default_rng(0))
    at = Step(total - 1, total, fabric, Observer())

    def step() -> None:
        for network in recipe.networks().values():
            network.train()
        recipe.step(batch, at)

    return step


NAMES = sorted(plugins(PROVIDERS))


@pytest.mark.parametrize("name", NAMES)
def test_sampling(timed, benchmark, name):
    """16 films. A provider that accepts none after so short a training is timed until it says so."""
    provider, accepted = fitted(name).provider, []

    def sample() -> None:
        try:
            made = sum(len(batch.images) for batch in provider.sample(SAMPLED, seed=0))
        except ProviderError:
            made = 0
        accepted.append(made)

    timed("networks", sample, rounds=8)
    assert set(accepted) <= {0, SAMPLED} and len(set(accepted)) == 1
    benchmark.extra_info["films"] = accepted[0]


@pytest.mark.parametrize("name", [name for name in NAMES if not plugins(PROVIDERS)[name].module.endswith(".controls")])
def test_training_step(timed, name):
    """One step of each of its trainings."""
    steps = fitted(name).steps
    assert steps
    timed("networks", lambda: [step() for step in steps], rounds=8)
