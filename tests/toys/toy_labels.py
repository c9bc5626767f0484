"""A classification task that trains in milliseconds without torch: mean film with a finding minus that without."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxrbench.benchmark.contracts.task import Arm, ArmName, Illustration, Metric, Plot, Predictions, Slot, Task, Trained
from cxrbench.benchmark.data.dataset import Annotation, Dataset
from cxrbench.benchmark.metrics.auc_bootstrap import bootstrap_auc
from cxrbench.benchmark.metrics.classification import roc_curve
from cxrbench.benchmark.metrics.scores import class_scores
from cxrbench.benchmark.progress import Progress


@dataclass(frozen=True)
class Settings:
    """The arm `fails` raises."""

    resolution: int = 16
    fit_resolution: int = 16
    threads: int = 1
    films: int = 24
    fails: str = ""


class ToyLabels(Task):
    """Findings by the difference of two mean films."""

    name = "toy_labels"
    version = 1
    needs = Annotation.LABELS
    summary = "mean films for tests"
    presets = {name: Settings() for name in ("quick", "standard", "paper")}
    downstream_only = frozenset({"fails"})
    default_data = "phantom_nih"
    primary = "auc"
    pairing = "auc"
    metrics = (Metric("auc", "AUC", decimals=3), Metric("auc_low", "from"), Metric("auc_high", "to"))
    reference_seconds = {"quick": 1.0}

    def check(self, data: Dataset) -> None:
        """Every dataset will do."""

    def slots(self, data: Dataset) -> Sequence[Slot]:
        return [Slot("all", "full", arm) for arm in (ArmName.REAL, ArmName.SYNTHETIC, ArmName.FINETUNE)]

    def structures(self, data: Dataset) -> tuple[str, ...]:
        return data.info.findings

    def training_set(self, data: Dataset, slot: Slot) -> Dataset:
        return data.select(np.flatnonzero((data.cases["split"] == "train").to_numpy()))

    def test_set(self, data: Dataset, slot: Slot) -> Dataset:
        return data.select(np.flatnonzero((data.cases["split"] == "test").to_numpy()))

    def synthetic_count(self, data: Dataset, slot: Slot) -> int:
        return self.settings.films

    def train(self, arm: Arm, *, seed: int, device: str, progress: Progress) -> Trained:
        if arm.name == self.settings.fails:
            raise RuntimeError("told to fail")
        films = arm.real if arm.real is not None else arm.synthetic
        assert films is not None
        model = dict(arm.start or {})
        for finding in films.info.findings:
            there = films.cases[finding].to_numpy() == 1
            if there.any() and not there.all():
                model[finding] = (films.images[there].mean(0) - films.images[~there].mean(0)).ravel().tolist()
        return Trained(model)

    def _logits(self, model: Mapping[str, Any], films: Dataset) -> np.ndarray:
        flat = films.images.reshape(len(films), -1) / 255.0
        weights = [np.asarray(model.get(name, np.zeros(flat.shape[1]))) for name in ("Mass", "Nodule", "Edema")]
        return flat @ np.stack(weights, 1)

    def predict(self, model: Any, test: Dataset, *, device: str) -> Predictions:
        return Predictions(tuple(test.ids), {"logits": self._logits(model, test)})

    def annotate(self, model: Any, films: Dataset, train: Dataset, *, seed: int, device: str) -> Dataset:
        found = self._logits(model, films) > np.median(self._logits(model, train), axis=0)
        cases = films.cases.assign(**dict(zip(train.info.findings, found.T.astype(np.uint8), strict=True)))
        info = films.info.model_copy(update={"findings": train.info.findings, "digest": ""})
        return replace(films, cases=cases, info=info)

    def score(self, predictions: Predictions, test: Dataset) -> pd.DataFrame:
        parts = []
        for column, finding in enumerate(self.structures(test)):
            place = {"case": test.ids, "patient": test.cases["patient"], "structure": finding}
            for metric, values in (("logit", predictions.arrays["logits"][:, column]), ("truth", test.cases[finding])):
                parts.append(pd.DataFrame(place | {"metric": metric, "value": np.asarray(values, dtype=np.float64)}))
        return pd.concat(parts, ignore_index=True)

    def summarise(self, scores: pd.DataFrame) -> pd.DataFrame:
        names = list(dict.fromkeys(scores["structure"]))
        one = class_scores(scores.assign(seed=0), names)
        drawn = bootstrap_auc(one.truth, [one.logits[0]], one.patients, resamples=200)
        estimates = [drawn.of_class(0, column) for column in range(len(names))] + [drawn.macro(0)]
        rows = [
            (metric, name, value)
            for name, estimate in zip([*names, "average"], estimates, strict=True)
            for metric, value in (("auc", estimate.value), ("auc_low", estimate.low), ("auc_high", estimate.high))
        ]
        return pd.DataFrame(rows, columns=["metric", "structure", "value"])

    def paired_metrics(self) -> tuple[str, ...]:
        return ("auc",)

    def illustrate(self, model: Any, test: Dataset, *, device: str) -> Sequence[Illustration]:
        """The first two test films in colour."""
        pictures = np.repeat(test.images[:2, :, :, None], 3, axis=3)
        return [Illustration(one, f"film {name}") for one, name in zip(pictures, test.ids, strict=False)]

    def plots(self, scores: Mapping[str, pd.DataFrame]) -> Sequence[Plot]:
        """A ROC curve of the first finding for every arm."""
        curves = {}
        for arm, table in scores.items():
            one = class_scores(table, ["Mass"])
            curves[arm] = roc_curve(one.truth[:, 0], one.logits[0, :, 0])[:2]
        return [Plot("Mass", "1 - specificity", "sensitivity", curves, diagonal=True)]

    def save_model(self, model: Any, path: Path) -> None:
        path.write_text(json.dumps(model))

    def load_model(self, path: Path, data: Dataset) -> Any:
        return json.loads(path.read_text())
