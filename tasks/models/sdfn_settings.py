"""What the fusion paper's classifiers are made and trained with (Liu et al., SDFN, sections B.3 to B.5). Without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Self

from ..lungs import regions as lung_regions
from ..lungs.regions import LungSettings


class Kind(StrEnum):
    """Which films a classifier looks at."""

    ENTIRE = "entire"
    LUNG = "lung"
    SDFN = "sdfn"  # both, fused

    @property
    def uses_lungs(self) -> bool:
        """Whether it needs the lung region of a film."""
        return self is not Kind.ENTIRE


@dataclass(frozen=True)
class ClassifierSettings:
    """One classifier and its training; the defaults are the paper's. Lengths are in passes and steps, never in seconds."""

    kind: Kind = Kind.SDFN
    resolution: int = 224
    """Side in pixels that entire films and lung regions are brought to."""
    growth: int = 32
    blocks: tuple[int, ...] = (6, 12, 24, 16)
    weights: Path | None = None
    """A local file of weights for the DenseNets to start from; None: from scratch (the paper: ImageNet's)."""
    rate: float = 1e-4
    decay: float = 1e-5
    """After t updates the rate is `rate / (1 + decay t)`."""
    batch: int = 16
    epochs: int = 100
    """Passes through the training films; the network is validated after each, and the best one kept."""
    least_steps: int = 0
    """Where a training set is small: at least so many steps, however many passes that is."""
    most_steps: int = 0
    """Where not 0, at most so many steps."""
    check_every: int = 0
    """Where a pass is shorter than so many steps, the network is validated only every so many."""
    stall: int = 5
    """The rate falls to `drop` of itself when the validation loss has not fallen for so many validations."""
    drop: float = 0.1
    patience: int = 100
    """A training stops when the validation AUC has not risen for so many validations."""
    keep_best: bool = True
    """Keep the network with the highest mean validation AUC (the paper); else the last. Of few validation films the highest
    of many AUCs is chance: on `phantom_nih` (quick, 10 %, five seeds) the kept one scored 0.580 and the last 0.602, and
    differences of two trainings spread over seeds by 0.036 and 0.024."""
    fusion_rate: float = 1e-4
    fusion_epochs: int = 100
    lungs: LungSettings = lung_regions.PAPER
    lung_data: str = ""
    """The dataset with lung masks that finds the lung regions (the paper: JSRT). Empty: the phantom for procedural films,
    real films for real ones (`lungs.films`)."""

    def shorter(self, steps: int) -> Self:
        """Every training at most that many steps, the lung region generator's too, validated at its end alone."""
        return replace(
            self,
            epochs=1,
            fusion_epochs=1,
            least_steps=0,
            most_steps=steps,
            check_every=steps,
            lungs=replace(self.lungs, epochs=1, most_steps=steps),
        )


PAPER = ClassifierSettings()
QUICK = ClassifierSettings(
    resolution=64,
    growth=8,
    blocks=(2, 4, 4),
    rate=3e-3,
    batch=32,
    least_steps=700,
    most_steps=700,  # in every arm: with passes of its own length, mixed would win by its steps and not by its films
    check_every=25,
    keep_best=False,
    fusion_rate=3e-3,
    fusion_epochs=12,
    lungs=lung_regions.QUICK,
)
# On all NIH films 100 passes are 486,700 steps a network, days. 15,000 steps, three passes, are by the counts of a step
# under an hour of one GPU (docs/presets.md).
STANDARD = replace(PAPER, most_steps=15_000)
PRESETS: Mapping[str, ClassifierSettings] = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
