"""The task contract: what is measured, on which films, by which trainings.

A task turns a Dataset into training sets and test sets, trains a downstream model on an Arm, predicts the test set and
scores the predictions. It knows no provider; the engine knows no metric.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from ..data.dataset import Annotation, Dataset
from ..errors import InputError
from ..progress import Progress
from .initial_weights import InitialWeights
from .paper_table import DerivedRow, PaperTable

if TYPE_CHECKING:
    from ..metrics.changes import Changes
    from ..metrics.precision import Detections
    from ..significance.rules import PairingRule
    from ..training.history import History


Model = Any
"""A downstream model: whatever the task trains, keeps and loads (for our tasks an `nn.Module`)."""


class ArmName(StrEnum):
    """What a downstream model is trained on."""

    REAL = "real"
    SYNTHETIC = "synthetic"
    MIXED = "mixed"
    FINETUNE = "finetune"  # synthetic first, then real

    @property
    def uses_provider(self) -> bool:
        """Whether the arm needs synthetic films; an arm that does not is shared by all providers."""
        return self is not ArmName.REAL

    @property
    def uses_real(self) -> bool:
        """Whether a model of the arm has learnt from real films."""
        return self is not ArmName.SYNTHETIC


@dataclass(frozen=True)
class Slot:
    """One downstream training of a task's plan: which part of the data, which arm.

    `seed`: of the run. It fixes which real films a size below full holds, and which of them are held out.
    """

    fold: str
    size: str
    arm: ArmName
    seed: int = 0


@dataclass(frozen=True)
class Arm:
    """What one downstream training gets. `start` is the model that the synthetic arm trained (finetune alone).

    `validation`: the real films that early stopping looks at in every arm, where the protocol sets some apart; where it
    looks at synthetic ones (`Task.validates_on_synthetic`), those of an arm that is trained on none.
    `structures`: what is scored, in table order; synthetic films may have masks of fewer. Empty: that of the films.
    `parts`: trained models that the arm's own is put together from, by name (`Task.parts`), as far as they are there.
    """

    name: ArmName
    real: Dataset | None = None
    synthetic: Dataset | None = None
    start: Model | None = None
    validation: Dataset | None = None
    structures: tuple[str, ...] = ()
    parts: Mapping[str, Model] = field(default_factory=dict)


@dataclass(frozen=True)
class Predictions:
    """What a model said about the test films: small arrays by name, in the order of `ids`."""

    ids: tuple[str, ...]
    arrays: Mapping[str, np.ndarray]

    def save(self, path: Path) -> None:
        """Write a compressed npz without pickle."""
        np.savez_compressed(path, allow_pickle=False, ids=np.array(self.ids, dtype=np.str_), **self.arrays)

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files if name != "ids"}
            return cls(ids=tuple(map(str, stored["ids"])), arrays=arrays)


@dataclass(frozen=True)
class Trained:
    """A downstream model and how its training went."""

    model: Model
    histories: Mapping[str, History] = field(default_factory=dict)


@dataclass(frozen=True)
class Illustration:
    """A picture of what a model does with a test film: uint8 RGB (H, W, 3), all of a cell of one size, and its caption."""

    pixels: np.ndarray
    caption: str


@dataclass(frozen=True)
class Plot:
    """Curves for the report: by name the x and y of points joined by lines, both from 0 to 1. `diagonal`: a dashed line
    from (0, 0) to (1, 1), which is chance or perfection."""

    title: str
    x_label: str
    y_label: str
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]]
    diagonal: bool = False


@dataclass(frozen=True)
class Metric:
    """A number of a task's table. `percent` metrics are fractions shown times 100."""

    name: str
    label: str
    higher_is_better: bool = True
    percent: bool = False
    decimals: int = 2
    unit: str = ""


@dataclass(frozen=True)
class Headline:
    """What a board ranks by: the gain of an arm over its placebo, at a size. Films without that size: the largest."""

    arm: ArmName
    size: str


@dataclass(frozen=True)
class TableLayout:
    """A table as a paper prints it: one for each size, a row for each arm, a column for each metric.

    For tasks with one scored structure. Rows begin with the numbers of real and of synthetic films.
    """

    columns: tuple[tuple[str, str], ...]
    """(metric, heading), left to right; a metric that a dataset does not have (mm) has no column."""
    titles: Mapping[str, str] = field(default_factory=dict)
    """What stands above the table of a size."""


@dataclass(frozen=True)
class Printed:
    """A number as a paper prints it, on a board of the task: over `scale` it is in the task's units (100: per cent).

    `system` is the provider's name here, or the downstream method's where the paper compares those (then REAL).
    """

    arm: ArmName
    system: str
    metric: str
    structure: str
    text: str
    scale: float = 1


@dataclass(frozen=True)
class PublishedTable:
    """A table of the task's paper, cell by cell as printed in `file`, a csv with headings; `papers.toml` beside it says
    whose it is. `read` makes numbers of one size of a row by its headings; without it the table is on no board."""

    file: Path
    size: str = ""
    read: Callable[[Mapping[str, str]], Iterable[Printed]] | None = None


class Task(ABC):
    """A protocol: splits, sizes, arms, downstream model and metrics. All that is a task's own is said by its class."""

    name: ClassVar[str]
    version: ClassVar[int]
    needs: ClassVar[Annotation]
    summary: ClassVar[str]
    presets: ClassVar[Mapping[str, Any]]
    """The only home of its defaults: one frozen dataclass instance per preset. Every one has at least `resolution`
    (pixels at which films are tested), `fit_resolution` (pixels at which providers are fitted and sampled), `threads`
    (CPU threads of one cell: part of the numbers, so that they do not depend on the machine)."""
    downstream_only: ClassVar[frozenset[str]] = frozenset()
    """Settings that do not change what providers are fitted on: changing one keeps fitted providers and their films."""
    reference_seconds: ClassVar[Mapping[str, float]] = {}
    """Seconds that a cell took at a preset, where that was measured: for the estimate of a first run."""
    default_data: ClassVar[str]
    """The dataset a run takes when none is named."""
    primary: ClassVar[str]
    """The metric (a name of `metrics`) whose average is the utility."""
    headline: ClassVar[Headline | None] = None
    """What its boards rank by; None: the first arm with synthetic films, at the largest size."""
    metrics: ClassVar[tuple[Metric, ...]]
    table_layout: ClassVar[TableLayout | None] = None
    """How its paper lays out the table; None: metrics and structures below each other, sizes and arms side by side."""
    derived_rows: ClassVar[tuple[DerivedRow, ...]] = ()
    """Lines that its paper's tables have besides, each the mean of others."""
    pairing: ClassVar[str | PairingRule] = "cases"
    """How two models are compared on the same test cases: a name of `significance.rules.RULES`, or a rule of its own."""
    published: ClassVar[tuple[PublishedTable, ...]] = ()
    """The tables of its papers, in their order."""
    published_data: ClassVar[str] = ""
    """The dataset (as `cxrbench data import` names it) that the printed numbers are of: beside others they do not stand."""
    published_preset: ClassVar[str] = "paper"
    """The preset that trains as the papers did: beside numbers of another one theirs do not stand."""
    published_protocol: ClassVar[Mapping[str, Any]] = {}
    """Settings, dotted, that a run must have for its numbers to be of the papers' kind: resolution of the test, split."""
    initial_weights: ClassVar[tuple[InitialWeights, ...]] = ()
    """What the networks of its paper start from: a run without such weights says so."""
    decided: ClassVar[tuple[str, ...]] = ()
    """Settings that `settled` decides where they are empty, by their dotted names."""
    side_by_side: ClassVar[str] = ""
    """The setting and the values of it that `cxrbench models` compares where none is named: `network=small,large`."""
    first_choice: ClassVar[bool] = False
    """Whether a provider that names no home task is measured on this one, of those that suit it."""

    def __init__(self, settings: Any = None) -> None:
        self.settings = self.presets["quick"] if settings is None else settings

    @abstractmethod
    def check(self, data: Dataset) -> None:
        """InputError when the dataset cannot carry this protocol (annotation, splits, counts); names the ids."""

    @abstractmethod
    def slots(self, data: Dataset) -> Sequence[Slot]:
        """The downstream trainings of one seed: folds x sizes x arms."""

    def curve_sizes(self, data: Dataset) -> Sequence[str]:
        """The sizes of the learning curve, as `Slot.size` names them, largest first: nested for every seed, each about half
        of the one before. A task without such sizes has no curve."""
        return ()

    @abstractmethod
    def structures(self, data: Dataset) -> tuple[str, ...]:
        """What is scored (organs, findings), in table order."""

    @abstractmethod
    def training_set(self, data: Dataset, slot: Slot) -> Dataset:
        """The real films a provider is fitted on and the real arms are trained on (augmented as the protocol says).

        Below the full size those of `slot.seed`: drawn anew for every seed, nested over sizes. InputError for a size that
        the task does not have on these films."""

    def learnt_from(self, films: Dataset) -> Dataset:
        """Of a training set, or of synthetic films, those that a downstream model is trained on; all by default. A provider
        may be given more (healthy films beside those with boxes)."""
        return films

    def validation_set(self, data: Dataset, slot: Slot) -> Dataset | None:
        """Real films for early stopping alone, at the resolution of the test: no provider is fitted and no model trained
        on them. None where a training holds films of its own out."""
        return None

    @property
    def validates_on_synthetic(self) -> bool:
        """Whether synthetic films stop the training of every arm, REAL too: then no arm is without a provider's films (a
        placebo has copies)."""
        return False

    @abstractmethod
    def test_set(self, data: Dataset, slot: Slot) -> Dataset:
        """The fixed real films every arm of the slot's fold is tested on, at the resolution of the test."""

    def wrong_test(self, ids: Sequence[str]) -> str:
        """What is wrong with the ids of a test set, known without the films, as the end of "its test films are not ..."
        ("those of the official split"); empty where nothing is. A task with pinned splits says so here."""
        return ""

    @abstractmethod
    def synthetic_count(self, data: Dataset, slot: Slot) -> int:
        """How many films a provider is asked for."""

    @abstractmethod
    def train(self, arm: Arm, *, seed: int, device: str, progress: Progress) -> Trained:
        """Train the downstream model on an arm."""

    @abstractmethod
    def predict(self, model: Model, test: Dataset, *, device: str) -> Predictions:
        """Predict the test films."""

    @abstractmethod
    def score(self, predictions: Predictions, test: Dataset) -> pd.DataFrame:
        """Case scores: columns `case, structure, metric, value` (long form, float64), from predictions and truth alone.

        NaN for a structure that the model was never taught: it is then absent from the table, not zero."""

    def changes(self, said: Predictions, other: Predictions, test: Dataset | None) -> Changes | None:
        """How predictions differ from another model's, and how often the changes are right where the test is given: for the
        check of entries. None where a task does not tell."""
        return None

    def detections(self, predictions: Predictions, test: Dataset) -> Detections | None:
        """What a model found on the test films beside the boxes that are there; None where it was not taught all of them."""
        return None

    def without_unscored(self, predictions: Predictions, test: Dataset) -> Predictions:
        """The predictions without what no score depends on, which an entry may leave out; all of them by default."""
        return predictions

    @abstractmethod
    def summarise(self, scores: pd.DataFrame) -> pd.DataFrame:
        """The table of one cell: columns `metric, structure, value`, with the rows the paper prints (averages too)."""

    def in_table_order(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of `summarise` by their metric, in the order of `metrics`; within a metric as they are."""
        order = {metric.name: index for index, metric in enumerate(self.metrics)}
        return table.sort_values("metric", key=lambda names: names.map(order), kind="stable", ignore_index=True)

    @abstractmethod
    def paired_metrics(self) -> tuple[str, ...]:
        """The metrics of `score` on which two models are compared case by case."""

    @classmethod
    def paper_table(cls, settings: Mapping[str, Any]) -> PaperTable | None:
        """The table of its paper that several runs with these settings (JSON values) make together; None: there is none."""
        return None

    def annotate(self, model: Model, films: Dataset, train: Dataset, *, seed: int, device: str) -> Dataset:
        """Films with the annotations of this task as a trained model gives them (`--label-by teacher`). `films` and
        `train`, the real training films, are at the resolution of the test."""
        raise InputError(f"{self.name}: its models cannot annotate films; --label-by teacher is not possible here")

    def illustrate(self, model: Model, test: Dataset, *, device: str) -> Sequence[Illustration]:
        """A few test films with what the model sees in them, for the report; none by default."""
        return ()

    def plots(self, scores: Mapping[str, pd.DataFrame]) -> Sequence[Plot]:
        """Curves of one size for the report, from the case scores of all arms (and their `seed`); none by default."""
        return ()

    def truth(self, test: Dataset) -> np.ndarray | None:
        """The scored structures of test films as bool (N, structures, H, W), to look at; None without such masks."""
        structures = self.structures(test)
        if test.masks is None or not set(structures) <= set(test.organs):
            return None
        return test.organ_masks(structures)

    @abstractmethod
    def save_model(self, model: Model, path: Path) -> None:
        """Keep a trained model (safetensors)."""

    @abstractmethod
    def load_model(self, path: Path, data: Dataset) -> Model:
        """The model that `save_model` kept."""

    def settled(self, *, phantom: bool) -> Task:
        """The task with what its settings leave to the films decided (`phantom`: procedural ones). Asked once, when a run is
        planned: keys and records have what was decided (`decided`). InputError where it cannot be, with what to do."""
        return self

    def parts(self) -> Mapping[str, Task]:
        """Tasks of other settings whose models this one's are put together from, by name. A REAL arm is handed those of the
        same films and seed that are trained already (`Arm.parts`), and must come out bit for bit as without."""
        return {}

    def remarks(self) -> Sequence[str]:
        """What must be said below every table of these settings, a line each; nothing by default."""
        return ()

    def depends_on(self, device: str) -> Mapping[str, str]:
        """Digests of what its numbers depend on besides code, settings and films, by name; they are part of every key."""
        return {}

    @classmethod
    def smoke(cls, settings: Any, steps: int, *, films: int) -> Any:
        """Settings for `cxrbench run --smoke`: every training cut to `steps` steps, `films` synthetic films at the most,
        and nothing else made smaller. InputError where a task does not say how."""
        raise InputError(
            f"{cls.name} cannot be smoked: write smoke(settings, steps, films=...), which cuts its trainings"
        )

    @classmethod
    def counted(cls, settings: Any) -> Mapping[str, Any]:
        """Settings by the name of what they train, whose trainings are counted in place of these (`run --dry-run`), for a
        model of several parts. By default these settings themselves."""
        return {"": settings}

    def weights_used(self) -> str:
        """Where initial weights came from: 'none' (from scratch) or the sha256 of the file."""
        return "none"
