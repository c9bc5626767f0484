"""The toy task again, for what a protocol asks that stops trainings by synthetic films."""

from __future__ import annotations

from toy_task import ToyTask

from cxrbench.benchmark.contracts.task import Arm, ArmName, Trained
from cxrbench.benchmark.progress import Progress


class StoppedByFilms(ToyTask):
    """The same, whose every training is stopped by synthetic films."""

    name = "stopped_by_films"

    @property
    def validates_on_synthetic(self) -> bool:
        return True

    def train(self, arm: Arm, *, seed: int, device: str, progress: Progress) -> Trained:
        seen = arm.synthetic if arm.name in (ArmName.SYNTHETIC, ArmName.MIXED) else arm.validation
        assert seen is not None and (arm.synthetic is None or arm.validation is None)
        trained = super().train(arm, seed=seed, device=device, progress=progress)
        trained.model["seen"] = float(len(seen))
        return trained
