"""The results of a run: what `results.json` holds (a numbered schema, unknown keys refused).

A number that does not exist is None, never NaN and never an average over the cells that happened to succeed: a cell that
failed or is missing takes the table's cell with it. Rates and fractions are plain numbers (Dice 0.97, not 97).
"""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..metrics.scores import NOT_TAUGHT
from ..runs.record import Environment, ProviderIdentity
from ..schema import Strict
from .fidelity_rows import FidelityRow
from .further_rows import Elsewhere, PrecisionRow
from .gains import CurveRow, GainRow, RatioRow, WorthRow

if TYPE_CHECKING:
    from ..significance.rules import PairingRule

SCHEMA = 1
FILMS_APART = "tests and stars over films take each film for itself"
"""In the remark of a run on several films a patient."""


class Status(StrEnum):
    """How far a planned cell has come."""

    DONE = "done"
    FAILED = "failed"
    MISSING = "missing"


class MetricInfo(Strict):
    """A metric as tables show it; `percent` metrics are fractions shown times 100."""

    name: str
    label: str
    higher_is_better: bool = True
    percent: bool = False
    decimals: int = 2
    unit: str = ""


class LayoutInfo(Strict):
    """A table as a paper prints it (`Task.table_layout`): (metric, heading) of its columns, a title for each size."""

    columns: list[tuple[str, str]]
    titles: dict[str, str]


class DerivedInfo(Strict):
    """A line of the tables that is the mean of others (`Task.derived_rows`)."""

    name: str
    of: list[str]
    metrics: list[str]


class HeadlineInfo(Strict):
    """What the task's boards rank by (`Task.headline`)."""

    arm: str
    size: str


class TaskInfo(Strict):
    """The protocol: `metrics` in table order, `paired` the case scores that are compared, `structures` what is scored."""

    name: str
    version: int
    code: str
    settings: dict[str, Any]
    depends_on: dict[str, str] = Field(default_factory=dict)
    summary: str
    remarks: list[str] = Field(default_factory=list)
    """What must be said below its tables (`Task.remarks`)."""
    metrics: list[MetricInfo]
    paired: list[str]
    structures: list[str]
    primary: str
    layout: LayoutInfo | None = None
    derived: list[DerivedInfo] = Field(default_factory=list)
    headline: HeadlineInfo | None = None
    published_data: str = ""
    """The films that the counts and the split in its summary are of (`Task.published_data`); empty in runs from before it
    was kept."""
    pairing: str = "cases"
    """How two models are compared on the same cases: the name of a rule (`significance.rules.RULES`, or the task's own)."""

    @property
    def rule(self) -> PairingRule:
        """The rule of `pairing`; InputError where it is one that the task brings and the task is not installed."""
        from ..significance.rules import rule_named

        return rule_named(self.pairing, self.name)

    def metric(self, name: str) -> MetricInfo:
        """How a metric is shown; one that only case scores have is shown as it is."""
        return next((metric for metric in self.metrics if metric.name == name), MetricInfo(name=name, label=name))


class DataInfo(Strict):
    """The films: `n` in all, at `resolution` for the test and `fit_resolution` for the providers; `version` and `truth` as
    in `record.DataIdentity`."""

    name: str
    digest: str
    provenance: str
    version: str = ""
    truth: str = ""
    phantom: bool
    n: int
    organs: list[str]
    findings: list[str]
    resolution: int
    fit_resolution: int
    pixel_mm: float | None
    original_resolution: int | None = None
    """Of the films that were kept larger, where regions are cut from these (`data.originals`)."""


class SizeInfo(Strict):
    """How many films a size means: real ones before augmentation (of one fold: the most), synthetic ones, tested ones
    (all folds). `fold_films` are the real ones of each fold."""

    size: str
    folds: list[str]
    films: int
    fold_films: list[int]
    synthetic_films: int | None
    test_films: int | None


class CellRow(Strict):
    """A planned cell and what became of it. `seconds` is its downstream training."""

    key: str
    fold: str
    size: str
    arm: str
    seed: int
    status: Status
    message: str = ""
    seconds: float | None = None


class TableRow(Strict):
    """One number of the table: the mean over `seeds`, with their standard deviation where there are several."""

    size: str
    arm: str
    metric: str
    structure: str
    value: float | None
    sd: float | None = None
    seeds: int = 0
    note: str = ""


class SeedValue(Strict):
    """One number of the table for one seed (all folds together)."""

    size: str
    arm: str
    metric: str
    structure: str
    seed: int
    value: float


class PairedRow(Strict):
    """One arm against REAL on the same test cases (`n` of them) by the task's pairing rule; `difference` is arm minus REAL.

    `low` and `high` bound it with 95 % confidence. The Holm values hold over all rows of one size, metric and test.
    """

    size: str
    arm: str
    metric: str
    structure: str
    n: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    test: str = ""
    p: float | None = None
    p_holm: float | None = None
    second: str = ""
    p_second: float | None = None
    p_second_holm: float | None = None
    note: str = ""


class FoldRow(Strict):
    """One arm against REAL over folds and seeds (Nadeau and Bengio's corrected t-test); `difference` is arm minus REAL.

    The pairs are the `n` means over the test films of a fold and seed. `low` and `high` bound the difference with 95 %
    confidence. Holm's values hold over all rows of one size and metric.
    """

    size: str
    arm: str
    metric: str
    structure: str
    n: int
    n_train: int
    n_test: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    t: float | None = None
    p: float | None = None
    p_holm: float | None = None
    note: str = ""


class SeedRow(Strict):
    """One arm against REAL over seeds (Welch) on the primary metric, and the sentence that may be claimed."""

    size: str
    arm: str
    metric: str
    seeds: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    sentence: str


class CostRow(Strict):
    """What the provider cost at one size: means over `fits` fitted providers, the largest peak memory."""

    size: str
    fits: int
    parameters: int
    fit_seconds: float
    train_images_per_second: float | None
    sample_images_per_second: float
    peak_memory_bytes: int
    device: str
    precision: str
    threads: int
    weights: str


class CheckRow(Strict):
    """What a check on synthetic films said, in one sentence; `alarm` when it found what it looks for; `leak` where they show
    films of the test set, so that no score on that is a result."""

    size: str
    fold: str
    seed: int
    name: str
    sentence: str
    alarm: bool = False
    leak: bool = False


class EnvironmentRow(Strict):
    """Where `cells` of the cells were computed."""

    cells: int
    environment: Environment


class Results(Strict):
    """All that a run found: the content of `results.json`."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    cxrbench: str
    created: str
    command: list[str]
    provider: ProviderIdentity
    task: TaskInfo
    preset: str
    data: DataInfo
    sizes: list[SizeInfo]
    arms: list[str]
    seeds: list[int]
    device: str
    cells: list[CellRow]
    table: list[TableRow]
    seed_values: list[SeedValue]
    paired: list[PairedRow]
    fold_tests: list[FoldRow]
    seed_tests: list[SeedRow]
    gains: list[GainRow] = Field(default_factory=list)
    worths: list[WorthRow] = Field(default_factory=list)
    curve: CurveRow | None = None
    changed: list[str] = Field(default_factory=list)
    """What was set besides the preset, `key=value` of the provider and `task.key=value` of the task; empty in runs from
    before it was kept."""
    curve_command: list[str] = Field(default_factory=list)
    """The words that make the curve, where there is none yet; empty where films have none, and in runs from before these
    were kept."""
    ratios: list[RatioRow] = Field(default_factory=list)
    """The headline arm with other numbers of synthetic films (`--ratios`), fewest first; the task's own among them."""
    paired_placebo: list[PairedRow] = Field(default_factory=list)
    """As `paired`, with the placebo of the same arm in place of REAL."""
    cost: list[CostRow]
    checks: list[CheckRow]
    environments: list[EnvironmentRow]
    from_scratch: list[str] = Field(default_factory=list)
    """What started from scratch where its paper starts from weights."""
    elsewhere: Elsewhere | None = None
    """Further test sets (`--also-test`) and groups of test films (`--groups`), where these were asked for."""
    fidelity: list[FidelityRow] = Field(default_factory=list)
    """The films of the size that boards rank by, beside the real ones; empty in runs from before it was kept."""
    average_precision: list[PrecisionRow] = Field(default_factory=list)
    """Mean average precision of detections; empty for tasks without these, and in runs from before it was kept."""
    film_checks: list[CheckRow] = Field(default_factory=list)
    """What the films themselves say against their provider (`results.film_checks`): sources that they do not show, organs at
    other places; empty where nothing, and in runs from before it was kept."""

    @property
    def headline(self) -> tuple[str, str] | None:
        """(size, arm) that the run's sentence is about: the task's headline arm, at its headline size, or at the largest
        where the films do not have that. Of a task without one, or a run without that arm, the first arm with a gain. None
        without any gain."""
        places = [(row.size, row.arm) for row in self.gains]
        said = self.task.headline
        wanted = [place for place in places if said is not None and place[1] == said.arm]
        if said is not None and (said.size, said.arm) in wanted:
            return said.size, said.arm
        return next(iter(wanted or places), None)

    def gain(self, size: str, arm: str) -> GainRow | None:
        """The gain of an arm over its placebo at a size."""
        return next((row for row in self.gains if (row.size, row.arm) == (size, arm)), None)

    def worth(self, size: str, arm: str) -> WorthRow | None:
        """What an arm is worth at a size."""
        return next((row for row in self.worths if (row.size, row.arm) == (size, arm)), None)

    @property
    def complete(self) -> bool:
        """Whether every planned cell is there (the exit code 0 of a run)."""
        return all(cell.status is Status.DONE for cell in self.cells)

    @property
    def structures(self) -> list[str]:
        """The rows of the table, in order: the task's structures, then averages."""
        return list(dict.fromkeys(row.structure for row in self.table))

    def arms_of(self, size: str) -> list[str]:
        """The arms that were planned at a size, in the run's order; all of them where nothing says which."""
        planned = {cell.arm for cell in self.cells if cell.size == size}
        return [arm for arm in self.arms if arm in planned] or self.arms

    @property
    def shown_metrics(self) -> list[MetricInfo]:
        """The metrics that the table has, in the task's order."""
        present = dict.fromkeys(row.metric for row in self.table)
        known = [metric.name for metric in self.task.metrics if metric.name in present]
        return [self.task.metric(name) for name in [*known, *(name for name in present if name not in known)]]

    @property
    def paired_primary(self) -> str | None:
        """The case score that figures show: the primary metric where it is compared case by case, else the first that is."""
        if self.task.primary in self.task.paired:
            return self.task.primary
        return self.task.paired[0] if self.task.paired else None

    def row(self, size: str, arm: str, metric: str, structure: str) -> TableRow | None:
        """One number of the table."""
        return self._table.get((size, arm, metric, structure))

    @property
    def untaught(self) -> list[TableRow]:
        """The numbers that are absent because their arm's training films have no such annotation."""
        return [row for row in self.table if row.note == NOT_TAUGHT]

    def test(self, size: str, arm: str, metric: str, structure: str) -> PairedRow | None:
        """The paired test behind a number of the table."""
        return self._paired.get((size, arm, metric, structure))

    @cached_property
    def _table(self) -> dict[tuple[str, str, str, str], TableRow]:
        return {(r.size, r.arm, r.metric, r.structure): r for r in reversed(self.table)}

    @cached_property
    def _paired(self) -> dict[tuple[str, str, str, str], PairedRow]:
        return {(r.size, r.arm, r.metric, r.structure): r for r in reversed(self.paired)}


def words(name: str) -> str:
    """A name for people: `left_lung` is "left lung"."""
    return name.replace("_", " ")
