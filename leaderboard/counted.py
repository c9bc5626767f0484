"""FLOPs of trainings that were counted beforehand (`tests/benchmarks/count_presets.py` writes `counted.json`), so that costs
are held against something without running anything of an entry.

A downstream training is known by its task, version and preset; a generator by its name, its settings and the task: one of
other settings or of somebody else is not taken for ours. Counts are of products and convolutions, 2 a multiply-add.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field

from ..benchmark import digest
from ..benchmark.runs.record import CellIdentity
from ..benchmark.schema import Strict

FILE = Path(__file__).with_name("counted.json")


class CountedCell(Strict):
    """A step of the downstream training of a task at a preset: of its lightest, where it has several."""

    task: str
    version: int
    preset: str
    step_flops: float = Field(gt=0)


class CountedFit(Strict):
    """A film of the training of a provider at these settings (of its lightest part), and one of its samples."""

    provider: str
    task: str
    preset: str
    settings: str
    """sha256 of the settings as records have them."""
    film_flops: float = Field(gt=0)
    sampling_flops: float = Field(ge=0)


class Counted(Strict):
    """All that was counted."""

    cells: tuple[CountedCell, ...] = ()
    fits: tuple[CountedFit, ...] = ()

    def cell(self, cell: CellIdentity) -> CountedCell | None:
        """Of a cell's downstream training."""
        place = (cell.task.name, cell.task.version, cell.preset)
        return next((one for one in self.cells if (one.task, one.version, one.preset) == place), None)

    def fit(self, cell: CellIdentity) -> CountedFit | None:
        """Of a cell's provider."""
        if cell.provider is None:
            return None
        place = (cell.provider.name, cell.task.name, cell.preset, digest.of_json(cell.provider.settings))
        return next((one for one in self.fits if (one.provider, one.task, one.preset, one.settings) == place), None)


@cache
def counted() -> Counted:
    """What comes with the package."""
    return Counted.model_validate_json(FILE.read_bytes())
