"""A store as finished runs leave it, made by hand: a tiny task, real Record objects, case scores whose sums are known."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.contracts.task import ArmName, Metric, Predictions, Slot, Task
from cxrbench.benchmark.data.dataset import Annotation, Dataset, DatasetInfo
from cxrbench.benchmark.registry import Plugin
from cxrbench.benchmark.runs.job import PLACEBO, Cell
from cxrbench.benchmark.runs.plan import Generator, Plan
from cxrbench.benchmark.runs.record import (
    CellIdentity,
    Cost,
    Curve,
    DataIdentity,
    Downstream,
    Environment,
    Failure,
    Fit,
    ProviderIdentity,
    Record,
    Sampled,
    TaskIdentity,
    Value,
)
from cxrbench.benchmark.runs.store import FIT, SAMPLED, Level, Store

TEST_FILMS = 8
LEVELS = {"real": 0.9, "synthetic": 0.7, "finetune": 0.92, "mixed": 0.91}
LEVELS |= {"placebo_synthetic": 0.88, "placebo_finetune": 0.91, "placebo_mixed": 0.9}


@dataclass(frozen=True)
class TinySettings:
    resolution: int = 16
    fit_resolution: int = 16
    threads: int = 1


class TinyTask(Task):
    """Even films train, odd ones test; scores are Dice-like numbers that the test supplies."""

    name, version, needs, summary = "tiny_task", 1, Annotation.MASKS, "a task for tests"
    presets: ClassVar[Mapping[str, Any]] = {"quick": TinySettings()}
    default_data = "tiny"
    primary = "dsc"
    metrics = (Metric("dsc", "DSC", percent=True), Metric("hd", "Hausdorff", higher_is_better=False, unit="px"))

    def check(self, data: Dataset) -> None:
        """Every dataset will do."""

    def slots(self, data: Dataset) -> Sequence[Slot]:
        return []

    def structures(self, data: Dataset) -> tuple[str, ...]:
        return data.organs

    def training_set(self, data: Dataset, slot: Slot) -> Dataset:
        rows = np.flatnonzero(data.cases["split"] == "train")
        return data.select(rows if slot.size == "full" else rows[:3])

    def test_set(self, data: Dataset, slot: Slot) -> Dataset:
        return data.select(np.flatnonzero(data.cases["split"] == "test"))

    def synthetic_count(self, data: Dataset, slot: Slot) -> int:
        return 6

    def summarise(self, scores: pd.DataFrame) -> pd.DataFrame:
        table = scores.groupby(["metric", "structure"], sort=False)["value"].mean().reset_index()
        average = table.groupby("metric", sort=False)["value"].mean().reset_index().assign(structure="average")
        parts = [table, average] if table["value"].notna().all() else [table.dropna()]
        return pd.concat(parts, ignore_index=True)[["metric", "structure", "value"]]

    def paired_metrics(self) -> tuple[str, ...]:
        return ("dsc",)

    def _not_here(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("results are assembled without training, predicting or scoring")

    train = predict = score = save_model = load_model = _not_here


def tiny_data(organs: Sequence[str], n: int = 2 * TEST_FILMS, side: int = 16) -> Dataset:
    """Films with one square per organ; even rows train, odd rows test."""
    rng = np.random.default_rng(0)
    masks = np.zeros((n, side, side), np.uint8)
    for bit in range(len(organs)):
        masks[:, 3:9, 2 + 6 * (bit % 2) : 7 + 6 * (bit % 2)] |= np.uint8(1 << bit)
    split = ["train" if row % 2 == 0 else "test" for row in range(n)]
    ids = [f"case{row:02d}" for row in range(n)]
    return Dataset(
        info=DatasetInfo(
            name="tiny films", resolution=side, organs=tuple(organs), pixel_mm=2.0, provenance="made for tests"
        ),
        images=rng.integers(0, 256, (n, side, side)).astype(np.uint8),
        cases=pd.DataFrame({"id": ids, "patient": ids, "split": split}),
        masks=masks,
    )


def offsets(seed: int) -> np.ndarray:
    """How far each test film lies from its arm's level: not symmetric, not the same for two arms."""
    return np.random.default_rng(seed).normal(0, 0.02, TEST_FILMS)


@dataclass
class Fabricated:
    """A plan and the store that holds its cells."""

    plan: Plan
    store: Store
    scores: dict[tuple[str, str, str, int], pd.DataFrame] = field(default_factory=dict)


Fabricate = Callable[..., Fabricated]


@pytest.fixture
def fabricate(tmp_path: Path) -> Fabricate:
    """Make a plan and a store in the test's own folder (see `maker`)."""
    return maker(tmp_path)


@pytest.fixture(scope="module")
def fabricate_once(tmp_path_factory: pytest.TempPathFactory) -> Fabricate:
    """Make a plan and a store that the tests of a module share."""
    return maker(tmp_path_factory.mktemp("shared"))


def maker(folder: Path) -> Fabricate:
    """What makes a plan and a store. `levels`: mean Dice by arm. `placebos`: the arms that have one, `placebo_mixed` in
    `levels`, `broken` and `scores`. `broken`: {(size, arm, seed): message or ''} cells that failed ('' for never computed).
    `scores`: case Dice by (size, arm, seed, organ), else drawn about the arm's level."""

    def make(
        *,
        name: str = "my_gan",
        organs: Sequence[str] = ("left_lung", "heart"),
        sizes: Sequence[str] = ("full", "tiny"),
        arms: Sequence[str] = ("real", "synthetic", "finetune"),
        placebos: Sequence[str] = (),
        seeds: Sequence[int] = (0,),
        folds: Sequence[str] = ("official",),
        levels: Mapping[str, float] = LEVELS,
        broken: Mapping[tuple[str, str, int], str] | None = None,
        scores: Callable[[str, str, int, str], np.ndarray] | None = None,
        data: Dataset | None = None,
        preset: str = "quick",
        version: int = 1,
        checks: Mapping[str, Any] | None = None,
        data_digest: str = "d" * 64,
    ) -> Fabricated:
        films = data or tiny_data(organs)
        provider = ProviderIdentity(name=name, spec=name, code="c" * 64, settings={})
        task = TinyTask()
        cells = []
        for seed in seeds:
            for fold in folds:
                for size in sizes:
                    for arm, placebo in [*((arm, False) for arm in arms), *((arm, True) for arm in placebos)]:
                        slot = Slot(fold, size, ArmName(arm), seed)
                        provided = slot.arm.uses_provider and not placebo
                        identity = CellIdentity(
                            task=TaskIdentity(name=task.name, version=version, code="t" * 64, settings={}),
                            data=DataIdentity(
                                name=films.info.name, digest=data_digest, provenance=films.info.provenance
                            ),
                            preset=preset,
                            fold=fold,
                            size=size,
                            arm=arm,
                            seed=seed,
                            device="cpu",
                            packages={"numpy": np.__version__},
                            provider=provider if provided else None,
                            placebo=placebo,
                        )
                        place = f"{size}-{fold}-{seed}"
                        owner = name if provided else "shared"
                        cells.append(
                            Cell(
                                key=f"{owner}-{place}-{PLACEBO * placebo}{arm}",
                                identity=identity,
                                fit_key=f"{name}-{place}-fit" if provided else None,
                                synthetic_key=f"{name}-{place}-films" if provided else None,
                            )
                        )
        plugin = Plugin(name, name, "nowhere", "Nothing")
        plan = Plan(
            task=task,
            task_plugin=plugin,
            generator=Generator(provider, plugin, {}),
            data=films,
            fit_data=films,
            preset=preset,
            seeds=tuple(seeds),
            device="cpu",
            cells=tuple(cells),
        )
        made = Fabricated(plan, Store(folder / "store"))
        for number, cell in enumerate(cells):
            message = (broken or {}).get((cell.slot.size, cell.arm, cell.seed))
            if message is None:
                _keep(made, cell, number, levels, scores, checks or {})
            elif message:
                made.store.fail(Failure(key=cell.key, step="train", message=message, created="2026-01-01T00:00:00Z"))
        return made

    return make


def _keep(
    made: Fabricated,
    cell: Cell,
    number: int,
    levels: Mapping[str, float],
    given: Callable[[str, str, int, str], np.ndarray] | None,
    checks: Mapping[str, Any],
) -> None:
    """Write the record of a cell, its scores and predictions, and once the fit and the synthetic films it used."""
    plan, slot, arm = made.plan, cell.slot, cell.arm
    test = plan.task.test_set(plan.data, slot)
    rows = []
    for index, organ in enumerate(plan.data.organs):
        if given is not None:
            dsc = given(slot.size, arm, cell.seed, organ)
        else:
            dsc = np.clip(levels[arm] + np.resize(offsets(10 * number + index), len(test)), 0, 1)
        for case, value in zip(test.ids, dsc, strict=True):
            rows.append((case, organ, "dsc", float(value)))
            rows.append((case, organ, "hd", float(10 * (1 - value))))
    scores = pd.DataFrame(rows, columns=["case", "structure", "metric", "value"])
    made.scores[(slot.size, slot.fold, arm, cell.seed)] = scores
    curve = Curve(rows=[{"step": float(s), "loss": 1.0 / s, "validation": 1.5 / s} for s in range(1, 60)])
    provided = cell.synthetic_key is not None
    films = len(plan.task.training_set(plan.fit_data, slot))
    cost = Cost(
        parameters=1_234_567,
        fit_seconds=58.0,
        train_images_per_second=88.0,
        sample_images_per_second=312.0,
        peak_memory_bytes=900_000_000,
        device="a processor",
        precision="32-true",
        threads=2,
    )
    record = Record(
        key=cell.key,
        cell=cell.identity,
        table=[Value(**row) for row in plan.task.summarise(scores).to_dict("records")],
        train_ids="0" * 64,
        test_ids="1" * 64,
        downstream=Downstream(
            seconds=12.5,
            train_films=8,
            test_films=len(test),
            synthetic_films=plan.task.synthetic_count(plan.data, slot) if slot.arm.uses_provider else 0,
            real_films=None if provided and slot.arm is ArmName.SYNTHETIC else films,
            curves={arm: curve},
            peak_memory_bytes=500_000_000,
        ),
        cost=cost if provided else None,
        environment=Environment(
            cxrbench="0.1.0",
            python="3.11.2",
            platform="Linux",
            device="a processor",
            threads=1,
            packages={"numpy": "2"},
        ),
        synthetic_key=cell.synthetic_key,
        fit_key=cell.fit_key,
        checks=dict(checks) if provided else {},
        created="2026-01-01T00:00:00Z",
    )
    labels = np.zeros(test.images.shape, np.uint8)
    for index, organ in enumerate(plan.data.organs):
        labels[test.organ_masks([organ])[:, 0]] = index + 1
    labels = np.roll(labels, 1, axis=1)
    with made.store.adding(Level.RECORDS, cell.key) as draft:
        scores.to_parquet(draft / "scores.parquet", index=False)
        Predictions(tuple(test.ids), {"labels": labels}).save(draft / "predictions.npz")
        (draft / "record.json").write_text(record.model_dump_json(by_alias=True), encoding="utf-8")
    if provided and cell.fit_key and not made.store.path(Level.FITS, cell.fit_key).exists():
        with made.store.adding(Level.FITS, cell.fit_key) as draft:
            facts = Fit(
                seconds=58.0,
                parameters=cost.parameters,
                peak_memory_bytes=cost.peak_memory_bytes,
                precision=cost.precision,
                weights="none",
                curves={"labels": curve},
            )
            (draft / FIT).write_text(facts.model_dump_json(), encoding="utf-8")
        with made.store.adding(Level.SYNTHETIC, str(cell.synthetic_key)) as draft:
            plan.task.training_set(plan.fit_data, slot).select(range(3)).save(draft / "dataset")
            sampled = Sampled(
                checks=dict(checks), sample_images_per_second=312.0, rounds=5, seconds=1.0, peak_memory_bytes=1
            )
            (draft / SAMPLED).write_text(sampled.model_dump_json(), encoding="utf-8")


@pytest.fixture
def real_data() -> Path:
    """The folder of real films; a skip where it is not at hand."""
    place = os.environ.get("CXRBENCH_REAL_DATA")
    if not place or not Path(place).is_dir():
        pytest.skip("CXRBENCH_REAL_DATA names no folder with real films")
    return Path(place)
