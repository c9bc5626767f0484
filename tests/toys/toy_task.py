"""A task that trains in milliseconds without torch: one grey threshold per organ. For tests of the engine."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxrbench.benchmark.contracts.task import Arm, ArmName, Headline, Metric, Predictions, Slot, Task, Trained
from cxrbench.benchmark.data.dataset import Annotation, Dataset
from cxrbench.benchmark.data.sizes import FULL, film_count, first_patients
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress

MOST = 16  # training films of the size `full`
TINY = 4


def work(rounds: int) -> None:
    """So many hashes of 64 KB: the same work on a quiet and a busy machine."""
    said = b"x" * (64 << 10)
    for _ in range(rounds):
        hashlib.sha256(said).digest()


@dataclass(frozen=True)
class Settings:
    """`seconds` makes a training last, so that it can be killed in the middle, `rounds` gives it work; the arm `fails`
    raises."""

    resolution: int = 32
    fit_resolution: int = 32
    threads: int = 1
    films: int = 8
    seconds: float = 0.0
    rounds: int = 0
    fails: str = ""


class ToyTask(Task):
    """Segments lungs by a threshold between the mean greys inside and outside."""

    name = "toy"
    version = 1
    needs = Annotation.MASKS
    summary = "thresholds for tests"
    presets = {name: Settings() for name in ("quick", "standard", "paper")}
    downstream_only = frozenset({"seconds", "rounds", "fails"})
    default_data = "phantom"
    primary = "dsc"
    headline = Headline(ArmName.SYNTHETIC, "tiny")
    metrics = (Metric("dsc", "DSC", percent=True),)
    reference_seconds = {"quick": 1.0}

    @classmethod
    def smoke(cls, settings: Settings, steps: int, *, films: int) -> Settings:
        return replace(settings, films=min(films, settings.films))

    def check(self, data: Dataset) -> None:
        if data.masks is None:
            raise InputError(f"toy: dataset {data.info.name} has no masks")

    def slots(self, data: Dataset) -> Sequence[Slot]:
        return [Slot("all", size, arm) for size in ("full", "tiny") for arm in ArmName if arm is not ArmName.MIXED]

    def curve_sizes(self, data: Dataset) -> Sequence[str]:
        most = min(MOST, int((data.cases["split"] == "train").sum()))
        return (FULL, *(size for size, films in (("8", 8), ("tiny", TINY), ("2", 2)) if films < most))

    def structures(self, data: Dataset) -> tuple[str, ...]:
        return ("left_lung", "right_lung")

    def training_set(self, data: Dataset, slot: Slot) -> Dataset:
        rows = np.flatnonzero((data.cases["split"] == "train").to_numpy())[:MOST]
        if slot.size != FULL:
            films = TINY if slot.size == "tiny" else film_count(slot.size)
            if films is None:
                raise InputError(
                    f"toy: no size '{slot.size}'; expected full, tiny or a number of films up to {len(rows)}"
                )
            rows = first_patients(data, rows, films, f"toy/size/{slot.seed}")
        films = data.select(rows)
        films.cases["source_ids"] = [[case] for case in films.ids]
        return films

    def test_set(self, data: Dataset, slot: Slot) -> Dataset:
        return data.select(np.flatnonzero((data.cases["split"] == "test").to_numpy())[:16])

    def synthetic_count(self, data: Dataset, slot: Slot) -> int:
        return self.settings.films

    def train(self, arm: Arm, *, seed: int, device: str, progress: Progress) -> Trained:
        if arm.name == self.settings.fails:
            raise RuntimeError("told to fail")
        end = time.monotonic() + self.settings.seconds
        while time.monotonic() < end:
            time.sleep(0.02)
        work(self.settings.rounds)
        films = arm.real if arm.real is not None else arm.synthetic
        assert films is not None
        model = dict(arm.start or {})
        noise = np.random.default_rng(seed).normal(0, 10)
        masks = films.organ_masks(self.structures(films))
        for organ, mask in zip(self.structures(films), np.moveaxis(masks, 1, 0), strict=True):
            inside = films.images[mask].mean() if mask.any() else 0.0
            model[organ] = float((inside + films.images[~mask].mean()) / 2 + noise)
        model["process"] = 0.0 if "TOY_PID" not in os.environ else float(os.getpid())
        return Trained(model)

    def predict(self, model: Any, test: Dataset, *, device: str) -> Predictions:
        half = np.arange(test.resolution) >= test.resolution // 2
        left = (test.images < model["left_lung"]) & half
        right = (test.images < model["right_lung"]) & ~half
        return Predictions(tuple(test.ids), {"masks": np.stack([left, right], 1)})

    def score(self, predictions: Predictions, test: Dataset) -> pd.DataFrame:
        truth = test.organ_masks(("left_lung", "right_lung"))
        predicted = predictions.arrays["masks"]
        both = (truth & predicted).sum((2, 3))
        dice = 2 * both / (truth.sum((2, 3)) + predicted.sum((2, 3)))
        rows = [
            {"case": case, "structure": organ, "metric": "dsc", "value": float(dice[index, column])}
            for index, case in enumerate(predictions.ids)
            for column, organ in enumerate(("left_lung", "right_lung"))
        ]
        return pd.DataFrame(rows)

    def summarise(self, scores: pd.DataFrame) -> pd.DataFrame:
        table = scores.groupby(["metric", "structure"], as_index=False)["value"].mean()
        average = {"metric": "dsc", "structure": "average", "value": table["value"].mean()}
        return pd.concat([table, pd.DataFrame([average])], ignore_index=True)

    def paired_metrics(self) -> tuple[str, ...]:
        return ("dsc",)

    def save_model(self, model: Any, path: Path) -> None:
        path.write_text(json.dumps(model))

    def load_model(self, path: Path, data: Dataset) -> Any:
        return json.loads(path.read_text())
