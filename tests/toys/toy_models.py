"""Toy classifiers of three kinds: of the upper half of a film, of the lower half, and of both, which adds the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from cxrbench.benchmark.contracts.task import Arm, Predictions, Trained
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.progress import Progress

from .toy_labels import Settings, ToyLabels

HALVES = ("top", "bottom")


@dataclass(frozen=True)
class KindSettings(Settings):
    """`kind`: top, bottom or both. `rows`: where the halves meet; empty: that is decided by the films."""

    kind: str = "top"
    rows: str = ""


class ToyModels(ToyLabels):
    """Mean films of one half each."""

    name = "toy_models"
    presets = {name: KindSettings() for name in ("quick", "standard", "paper")}
    downstream_only = frozenset({"fails", "kind", "rows"})
    decided = ("rows",)
    side_by_side = "kind=top,bottom,both"
    trained: ClassVar[list[str]] = []
    """The halves in the order in which they were trained, in this process."""

    def settled(self, *, phantom: bool) -> ToyModels:
        rows = self.settings.rows or ("4" if phantom else "8")
        return type(self)(replace(self.settings, rows=rows))

    def parts(self) -> Mapping[str, ToyModels]:
        if self.settings.kind != "both":
            return {}
        return {half: type(self)(replace(self.settings, kind=half)) for half in HALVES}

    def remarks(self) -> Sequence[str]:
        return (f"the halves meet at row {self.settings.rows}",) if self.settings.kind == "both" else ()

    def train(self, arm: Arm, *, seed: int, device: str, progress: Progress) -> Trained:
        films = arm.real if arm.real is not None else arm.synthetic
        assert films is not None
        kind, model = self.settings.kind, dict(arm.start or {})
        for half in HALVES if kind == "both" else (kind,):
            if half in arm.parts:
                model[half] = arm.parts[half][half]
                continue
            self.trained.append(half)
            part = replace(films, images=self.half(films.images, half))
            model[half] = (
                super().train(replace(arm, real=part, start=None), seed=seed, device=device, progress=progress).model
            )
        return Trained(model)

    def half(self, images: np.ndarray, half: str) -> np.ndarray:
        """The films with nothing in the other half."""
        shown, meet = np.zeros_like(images), int(self.settings.rows)
        rows = slice(None, meet) if half == "top" else slice(meet, None)
        shown[:, rows] = images[:, rows]
        return shown

    def predict(self, model: Any, test: Dataset, *, device: str) -> Predictions:
        logits = [self._logits(one, replace(test, images=self.half(test.images, half))) for half, one in model.items()]
        return Predictions(tuple(test.ids), {"logits": np.sum(logits, axis=0)})
