"""A tiny entry, packed from a store made by hand: a task on squares, films of 16 pixels, predictions drawn at random."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark import digest
from cxrbench.benchmark.contracts.task import ArmName, Headline, Metric, Predictions, Slot, Task
from cxrbench.benchmark.data.copies import copies
from cxrbench.benchmark.data.dataset import Annotation, Dataset, DatasetInfo
from cxrbench.benchmark.metrics.changes import Changes, label_changes
from cxrbench.benchmark.registry import Plugin
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.curve import FoundCurve
from cxrbench.benchmark.results.folder import write_results
from cxrbench.benchmark.runs.job import Cell
from cxrbench.benchmark.runs.plan import Generator, Plan, key_of
from cxrbench.benchmark.runs.record import (
    CellIdentity,
    Cost,
    Curve,
    DataIdentity,
    Downstream,
    Environment,
    ProviderIdentity,
    Record,
    TaskIdentity,
    Value,
)
from cxrbench.benchmark.runs.store import Level, Store
from cxrbench.leaderboard.checks import Sources
from cxrbench.leaderboard.pack import pack

WRONG = {"real": 0.02, "synthetic": 0.06}
"""The share of pixels that the made-up models of an arm get wrong; a placebo's where it is not named: that of REAL."""


@dataclass(frozen=True)
class Settings:
    resolution: int = 16
    fit_resolution: int = 16
    threads: int = 1


class Squares(Task):
    """Even films train, odd ones test; `labels` (N, H, W) are scored by Dice."""

    name, version, needs, summary = "squares", 1, Annotation.MASKS, "a task for tests"
    presets: ClassVar[Mapping[str, Any]] = {"quick": Settings()}
    default_data = "tiny films"
    primary = "dsc"
    headline = Headline(ArmName.SYNTHETIC, "full")
    metrics = (Metric("dsc", "DSC", percent=True),)

    def check(self, data: Dataset) -> None:
        """Every dataset will do."""

    def slots(self, data: Dataset) -> Sequence[Slot]:
        return [Slot("all", "full", arm) for arm in (ArmName.REAL, ArmName.SYNTHETIC)]

    def structures(self, data: Dataset) -> tuple[str, ...]:
        return data.organs

    def training_set(self, data: Dataset, slot: Slot) -> Dataset:
        return data.select(np.arange(0, len(data), 2))

    def test_set(self, data: Dataset, slot: Slot) -> Dataset:
        return data.select(np.arange(1, len(data), 2))

    def synthetic_count(self, data: Dataset, slot: Slot) -> int:
        return 10

    def score(self, predictions: Predictions, test: Dataset) -> pd.DataFrame:
        labels, rows = predictions.arrays["labels"], []
        for code, organ in enumerate(self.structures(test), start=1):
            truth = test.organ_masks([organ])[:, 0]
            both = ((labels == code) & truth).sum((1, 2))
            dice = 2 * both / ((labels == code).sum((1, 2)) + truth.sum((1, 2)))
            rows += [(case, organ, "dsc", float(value)) for case, value in zip(test.ids, dice, strict=True)]
        return pd.DataFrame(rows, columns=["case", "structure", "metric", "value"])

    def summarise(self, scores: pd.DataFrame) -> pd.DataFrame:
        table = scores.groupby(["metric", "structure"], sort=False, as_index=False)["value"].mean()
        average = {"metric": "dsc", "structure": "average", "value": table["value"].mean()}
        return pd.concat([table, pd.DataFrame([average])], ignore_index=True)

    def changes(self, said: Predictions, other: Predictions, test: Dataset | None) -> Changes:
        truth = None if test is None else drawn_labels(test, 0.0, 0)
        return label_changes(said.arrays["labels"], other.arrays["labels"], truth)

    def paired_metrics(self) -> tuple[str, ...]:
        return ("dsc",)

    def _not_here(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("an entry is checked without training or predicting")

    train = predict = save_model = load_model = _not_here


def squares(n: int = 16, side: int = 16) -> Dataset:
    """Films with two squares each, a little apart from film to film."""
    masks = np.zeros((n, side, side), np.uint8)
    for row in range(n):
        masks[row, 3:10, 1 + row % 2 : 7] |= 1
        masks[row, 3:10, 8 : 14 + row % 2] |= 2
    images = np.random.default_rng(0).integers(0, 256, masks.shape).astype(np.uint8)
    ids = [f"case{row:02d}" for row in range(n)]
    info = DatasetInfo(name="tiny films", resolution=side, organs=("left_lung", "heart"), provenance="made for tests")
    return Dataset(info=info, images=images, cases=pd.DataFrame({"id": ids, "patient": ids}), masks=masks)


def drawn_labels(test: Dataset, share: float, seed: int) -> np.ndarray:
    """Label maps with a share of wrong pixels: uint8 (N, H, W)."""
    labels = np.zeros(test.images.shape, np.uint8)
    for code, organ in enumerate(test.organs, start=1):
        labels[test.organ_masks([organ])[:, 0]] = code
    rng = np.random.default_rng(seed)
    wrong = rng.random(labels.shape) < share * rng.uniform(0.8, 1.2)
    return np.where(wrong, (labels + 1) % 3, labels).astype(np.uint8)


@dataclass(frozen=True)
class Made:
    """A run of a made-up system: its plan, the store with its cells and its folder."""

    plan: Plan
    store: Store
    run: Path


def make_run(
    folder: Path,
    *,
    name: str = "my_gan",
    seeds: int = 3,
    wrong: Mapping[str, float] = WRONG,
    draw: int = 0,
    checks: Mapping[str, Any] | None = None,
    missing: Sequence[tuple[str, int]] = (),
    cost: Mapping[str, Any] | None = None,
    films: Dataset | None = None,
    placebos: bool = True,
    curve: FoundCurve | None = None,
    forged: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    processor: str = "a processor",
    entry: str | None = None,
) -> Made:
    """A finished run, made by hand. `draw`: another one gives other predictions; `missing`: (arm, seed) without a record;
    `placebos`: without, it is of an older protocol; `forged`: predictions of the provider's arms, made of those of REAL (of
    its seed) and the truth."""
    data, task = films or squares(), Squares()
    provider = ProviderIdentity(
        name=name,
        spec=f"{name}.py:{name}",
        code=digest.of_json([name]),
        settings={},
        entry=name if entry is None else entry,
    )
    store, cells = Store(folder / "store"), []
    places = [(slot, placebo) for slot in task.slots(data) for placebo in (False, True)]
    places = [(slot, placebo) for slot, placebo in places if not placebo or (placebos and slot.arm.uses_provider)]
    for seed in range(seeds):
        for slot, placebo in places:
            provided = slot.arm.uses_provider and not placebo
            identity = CellIdentity(
                task=TaskIdentity(name=task.name, version=1, code="a" * 64, settings=asdict(task.settings)),
                data=DataIdentity(
                    name=data.info.name,
                    digest=digest.of_json([data.digest, data.digest]),
                    provenance=data.info.provenance,
                    version=data.info.version,
                    truth=data.truth,
                ),
                preset="quick",
                fold=slot.fold,
                size=slot.size,
                arm=slot.arm.value,
                seed=seed,
                device="cpu",
                packages={"numpy": "2"},
                provider=provider if provided else None,
                placebo=placebo,
            )
            fit, made = (digest.of_json([name, what, seed]) if provided else None for what in ("fit", "films"))
            cell = Cell(key=key_of(identity), identity=identity, fit_key=fit, synthetic_key=made)
            cells.append(cell)
            if (cell.arm, seed) not in missing:
                share, test = wrong.get(cell.arm, wrong["real"]), task.test_set(data, slot)
                labels = drawn_labels(test, share, 100 * draw + len(cells))
                if slot.arm is ArmName.REAL:
                    real = labels
                elif provided and forged is not None:
                    labels = forged(real, drawn_labels(test, 0.0, 0))
                _keep(store, task, data, cell, labels)
    for path in (store.root / "records").rglob("record.json"):
        record = Record.model_validate_json(path.read_bytes())
        place = record.environment.model_copy(update={"device": processor})
        record = record.model_copy(update={"environment": place})
        path.write_text(record.model_dump_json(by_alias=True), encoding="utf-8")
        if record.cost is not None:
            changed = record.cost.model_copy(update=dict(cost or {}))
            found = {"near_test": NEAR} | dict(checks or {})
            update = {"cost": changed, "checks": found}
            path.write_text(record.model_copy(update=update).model_dump_json(by_alias=True), encoding="utf-8")
    plugin = Plugin(name, provider.spec, "nowhere", "Nothing")
    generator = Generator(provider, plugin, {})
    plan = Plan(task, plugin, generator, data, data, "quick", tuple(range(seeds)), "cpu", tuple(cells))
    run = folder / "run"
    write_results(run, assemble(plan, store, ["cxrbench", "run"], curve=curve))
    return Made(plan, store, run)


NEAR = {"films": 10, "flagged": 0, "threshold": 0.1, "p": 1.0, "copies": 0, "nearest": []}


def _keep(store: Store, task: Task, data: Dataset, cell: Cell, labels: np.ndarray) -> None:
    test = task.test_set(data, cell.slot)
    said = Predictions(tuple(test.ids), {"labels": labels})
    scores, provided = task.score(said, test), cell.identity.provider is not None
    films = task.training_set(data, cell.slot)
    count = task.synthetic_count(data, cell.slot) if cell.slot.arm.uses_provider else 0
    trained = copies(films, count, seed=cell.draw("placebo")).ids if cell.identity.placebo else films.ids
    cost = Cost(
        parameters=1_000_000,
        fit_seconds=58.0,
        train_images_per_second=88.0,
        sample_images_per_second=312.0,
        peak_memory_bytes=900_000_000,
        device="a processor",
        precision="32-true",
        threads=2,
    )
    with store.adding(Level.RECORDS, cell.key) as draft:
        scores.to_parquet(draft / "scores.parquet", index=False)
        said.save(draft / "predictions.npz")
        (draft / "model.safetensors").write_bytes(b"weights")
        record = Record(
            key=cell.key,
            cell=cell.identity,
            table=[Value(**row) for row in task.summarise(scores).to_dict("records")],
            train_ids="f" * 64 if provided else digest.of_json(sorted(trained)),
            test_ids=digest.of_json(sorted(test.ids)),
            downstream=Downstream(
                seconds=12.5,
                train_films=8,
                test_films=len(test),
                synthetic_films=count,
                real_films=None if provided else len(films),
                curves={"real": Curve(rows=[{"step": float(s), "loss": 1 / s} for s in range(1, 90)])},
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
            files={path.name: digest.of_file(path) for path in sorted(draft.iterdir())},
            created="2026-01-01T00:00:00Z",
        )
        (draft / "record.json").write_text(record.model_dump_json(by_alias=True, indent=1), encoding="utf-8")


OWN_WORDS = {
    "A generator of chest X-rays with lung and heart masks.": "A generator of films from nothing.",
    '"Ada Example", "Grace Example"': '"Noor Ahmadi"',
    "ada@example.org": "noor@uni.example",
    "my_gan.py:MyGAN": "mine.py:Mine",
    "https://example.org/ada/my-gan": "https://example.org/noor/gan",
    "An example of a paper": "Films from nothing",
}


def pack_run(made: Made, root: Path, name: str, **options: Any) -> Path:
    """Pack a made-up run, with words of its own in `submission.toml`."""
    folder = pack(made.run, name, root, made.store, **options)
    path = folder / "submission.toml"
    text = path.read_text(encoding="utf-8")
    for old, new in OWN_WORDS.items():
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    (folder / "README.md").write_text(f"# {name}\n\nFilms are grey noise.\n", encoding="utf-8")
    return folder


def own_sources(films: Dataset | None = None) -> Sources:
    """The task of these tests and its films, as an install has its tasks and phantoms."""
    found = films or squares()
    return Sources(
        task=lambda name: Squares if name == "squares" else None,
        films=lambda name, resolution: found if (name, resolution) == ("tiny films", 16) else None,
    )


@pytest.fixture(scope="session")
def sources() -> Sources:
    """Where the checker finds the task and films of these tests."""
    return own_sources()


@pytest.fixture(scope="session")
def without_films() -> Sources:
    """An install that has the task but not the films."""
    return Sources(task=lambda name: Squares if name == "squares" else None, films=lambda name, resolution: None)


PackSystem = Callable[..., Path]


@pytest.fixture(scope="session")
def made_run() -> Callable[..., Made]:
    """Make a finished run by hand (see `make_run`)."""
    return make_run


@pytest.fixture
def pack_system(tmp_path: Path) -> PackSystem:
    """Make a run of a system (options of `make_run`) and pack it into the test's own folder `submissions`."""

    def packing(name: str = "my_gan", *, share: bool = False, **options: Any) -> Path:
        made = make_run(tmp_path / f"run-{name}", name=name, **options)
        return pack_run(made, tmp_path / "submissions", name, share=share)

    return packing


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid entry of three seeds, never changed."""
    folder = tmp_path_factory.mktemp("packed")
    return pack_run(make_run(folder), folder / "submissions", "my_gan")


@pytest.fixture
def entry(packed: Path, tmp_path: Path) -> Path:
    """A copy of the valid entry to change."""
    return Path(shutil.copytree(packed, tmp_path / "submissions" / "my_gan"))
