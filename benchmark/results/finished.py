"""What the store holds of a plan: a record per finished cell, their case scores, and why the others are not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from ..contracts.task import ArmName
from ..errors import StoreError
from ..metrics.scores import COLUMNS
from ..runs.job import Cell
from ..runs.plan import Plan
from ..runs.record import Record
from ..runs.store import Level, Store

if TYPE_CHECKING:
    import pandas as pd

REAL = ArmName.REAL.value


@dataclass
class Harvest:
    """What the store holds of a plan: a record per finished cell, and why the others are not there."""

    plan: Plan
    store: Store
    records: dict[str, Record] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for cell in self.plan.cells:
            if self.store.path(Level.RECORDS, cell.key).is_dir():
                try:
                    self.records[cell.key] = self.store.record(cell.key)
                    continue
                except StoreError as error:
                    self.messages[cell.key] = str(error)
            self._explain(cell)

    def _explain(self, cell: Cell) -> None:
        for key in (cell.fit_key, cell.teacher_key, cell.synthetic_key, cell.start_key, cell.key):
            failure = self.store.failure(key) if key else None
            if failure is not None:
                self.messages[cell.key] = f"{failure.step}: {failure.message}"
                return

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The case scores of all finished cells in long form (`pairing.COLUMNS`), in the order of the plan."""
        import pandas as pd

        parts = []
        for cell in self.plan.cells:
            if cell.key in self.records:
                slot = cell.slot
                labels: dict[str, str | int] = {
                    "size": slot.size,
                    "fold": slot.fold,
                    "arm": cell.arm,
                    "seed": cell.seed,
                }
                scores = self.store.scores(cell.key).assign(**labels)
                parts.append(scores.assign(patient=scores.get("patient", scores["case"]))[COLUMNS])
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)

    def scores_of(self, size: str, arm: str) -> pd.DataFrame:
        """The case scores of one size and arm, in the order of the plan; empty where none is finished."""
        return self._by_arm.get((size, arm), self.scores.iloc[:0])

    @cached_property
    def _by_arm(self) -> dict[tuple[str, str], pd.DataFrame]:
        return {(str(size), str(arm)): part for (size, arm), part in self.scores.groupby(["size", "arm"], sort=False)}

    @property
    def sizes(self) -> list[str]:
        """The sizes of the plan, in its order."""
        return list(dict.fromkeys(cell.slot.size for cell in self.plan.cells))

    @property
    def arms(self) -> list[str]:
        """The arms of the plan, in its order, without placebos and without other numbers of synthetic films."""
        cells = [cell.identity for cell in self.plan.cells if not cell.identity.placebo]
        return list(dict.fromkeys(cell.arm for cell in cells if cell.synthetic is None))

    @property
    def placebos(self) -> list[str]:
        """The arms of the plan with copies in place of synthetic films, in its order; of the task's own number of them."""
        cells = [cell for cell in self.plan.cells if cell.identity.placebo and cell.identity.synthetic is None]
        return list(dict.fromkeys(cell.arm for cell in cells))

    @property
    def counts(self) -> list[tuple[str, str, int]]:
        """(size, arm, synthetic films) of the plan's arms with another number of them than the task's, fewest first."""
        cells = [cell.identity for cell in self.plan.cells if not cell.identity.placebo]
        found = {(cell.size, cell.arm, cell.synthetic) for cell in cells if cell.synthetic is not None}
        return sorted(found, key=lambda place: place[2])

    def cells(self, size: str, arm: str, seed: int | None = None) -> list[Cell]:
        """The planned cells of a size and arm (of one seed), over folds."""
        return [
            cell for cell in self.plan.cells if (cell.slot.size, cell.arm) == (size, arm) and seed in (None, cell.seed)
        ]

    def done(self, cells: Sequence[Cell]) -> bool:
        """Whether there are such cells and all of them are finished."""
        return bool(cells) and all(cell.key in self.records for cell in cells)
