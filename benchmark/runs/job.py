"""What one process of a run is asked for: a small model for each kind of work, which travels as one line of JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from .. import digest
from ..contracts.label_by import LabelBy
from ..contracts.task import ArmName, Slot, Task
from ..data.dataset import Dataset
from ..schema import Strict
from .record import CellIdentity
from .store import Level

PLACEBO = "placebo_"
"""What the name of an arm begins with where copies stand for its synthetic films."""
PROVIDERS_DRAWS = ("fit", "sample")
"""The draws that are the provider's own."""


class Cell(Strict):
    """One downstream training of a run: its identity, its key, and the keys of what it needs.

    `start_key` is the cell whose model a finetune cell starts from, `teacher_key` the REAL cell whose model annotates the
    synthetic films. A cell without synthetic films has its own key alone, a placebo's finetune cell a start besides.
    `whole_key`: the fit whose trainings are whole; that of the cell itself, unless a person ended one of them.
    `part_keys`: cells whose models its own is put together from where they are there, by name (`Task.parts`); they move
    no number.
    """

    key: str
    identity: CellIdentity
    fit_key: str | None = None
    synthetic_key: str | None = None
    start_key: str | None = None
    teacher_key: str | None = None
    whole_key: str | None = None
    part_keys: dict[str, str] = Field(default_factory=dict)

    @property
    def slot(self) -> Slot:
        """The place in the task's plan."""
        return Slot(self.identity.fold, self.identity.size, ArmName(self.identity.arm), self.identity.seed)

    @property
    def arm(self) -> str:
        """The arm's name in tables: `mixed`; `placebo_mixed` where copies stand for its synthetic films; `mixed_62` where it
        has another number of them than its task says."""
        count = self.identity.synthetic
        arm = self.identity.arm if count is None else f"{self.identity.arm}_{count}"
        return PLACEBO + arm if self.identity.placebo else arm

    @property
    def seed(self) -> int:
        """Which repetition it is of."""
        return self.identity.seed

    @property
    def label_by(self) -> LabelBy:
        """Where the annotations of its synthetic films come from."""
        provider = self.identity.provider
        return LabelBy.NATIVE if provider is None else LabelBy(provider.label_by)

    def synthetic_count(self, task: Task, data: Dataset) -> int:
        """How many synthetic films (or copies) it has: what it says itself, else what its task says."""
        return task.synthetic_count(data, self.slot) if self.identity.synthetic is None else self.identity.synthetic

    def draw(self, what: str) -> int:
        """The seed of one draw: from the names of the cell alone, not from the provider nor the order of runs. What a
        provider draws ("fit", "sample") comes from its entry's name too, where it runs in the name of one; downstream
        models start as their placebos do."""
        cell = self.identity
        names = [cell.task.name, cell.task.version, cell.fold, cell.size, cell.seed, what]
        if what in PROVIDERS_DRAWS and cell.provider is not None and cell.provider.entry:
            names.append(f"entry {cell.provider.entry}")
        return digest.derive_seed(*names)


class Work(Strict):
    """What every cell of a run needs: where its store and films are, its task and its provider with their settings.

    `data` is the dataset at the resolution of the test, `fit_data` at that of the providers.
    """

    store: Path
    data: Path
    fit_data: Path
    task: str
    task_settings: dict[str, Any]
    provider: str
    provider_settings: dict[str, Any]
    preset: str
    device: str
    threads: int


class Describe(Strict):
    """What does a provider's class say of itself?"""

    kind: Literal["describe"] = "describe"
    provider: str
    name: str
    preset: str = "quick"
    overrides: tuple[tuple[str, str], ...] = ()
    smoke_side: int | None = None
    """Of a smoke run: pixels of a side of the films that it is fitted on."""
    threads: ClassVar[int] = 1

    @property
    def label(self) -> str:
        """What it is called where it is shown."""
        return f"{self.kind} {self.name}"


class Check(Strict):
    """Does a provider keep the contract?"""

    kind: Literal["check"] = "check"
    asked: Describe
    device: str
    threads: ClassVar[int] = 1

    @property
    def name(self) -> str:
        """The provider's name."""
        return self.asked.name

    @property
    def label(self) -> str:
        """What it is called where it is shown."""
        return f"{self.kind} {self.name}"


class _Step(Strict):
    """A step of a run: work on one cell."""

    work: Work
    cell: Cell
    label: str
    """What it is called where it is shown."""

    @property
    def threads(self) -> int:
        """CPU threads of its process."""
        return self.work.threads

    @property
    def device(self) -> str:
        """Where it computes."""
        return self.work.device


class Synthesise(_Step):
    """Fit the provider of a cell, sample its films, and keep both."""

    kind: Literal["synthesise"] = "synthesise"
    level: ClassVar[Level] = Level.SYNTHETIC

    @property
    def key(self) -> str:
        """Of the films."""
        return str(self.cell.synthetic_key)

    @property
    def name(self) -> str:
        """The provider's name."""
        assert self.cell.identity.provider is not None
        return self.cell.identity.provider.name

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of the steps before it without which it cannot be done."""
        return (self.cell.teacher_key,) if self.cell.teacher_key else ()


class Fitting(_Step):
    """Fit the provider of a cell for a person who looks at samples along the training, and keep it."""

    kind: Literal["fit"] = "fit"
    level: ClassVar[Level] = Level.FITS
    needs: ClassVar[tuple[str, ...]] = ()

    @property
    def key(self) -> str:
        """Of the fit."""
        return str(self.cell.fit_key)

    @property
    def name(self) -> str:
        """The provider's name."""
        assert self.cell.identity.provider is not None
        return self.cell.identity.provider.name


class Train(_Step):
    """Train and score the downstream model of a cell."""

    kind: Literal["cell"] = "cell"
    level: ClassVar[Level] = Level.RECORDS

    @property
    def key(self) -> str:
        """Of the cell."""
        return self.cell.key

    @property
    def name(self) -> str:
        """Empty: no provider is at work."""
        return ""

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of the steps before it without which it cannot be done."""
        return tuple(key for key in (self.cell.synthetic_key, self.cell.start_key, self.cell.teacher_key) if key)


Step = Synthesise | Fitting | Train
Job = Describe | Check | Synthesise | Fitting | Train


class Order(Strict):
    """The line that a worker reads: a job, the file for its outcome, and the file for its progress."""

    job: Annotated[Job, Field(discriminator="kind")]
    outcome: Path
    progress: Path | None = None
