"""Downstream models side by side: a column a model, all trained on the same real films, and every two of them compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from typing import TYPE_CHECKING

from pydantic import Field

from ..runs.side_by_side import Variant
from ..schema import Strict, utc_now
from ..significance.paired_tests import MIN_SEEDS
from ..significance.pairs import with_holm
from .against_real import over_seeds
from .assemble import cell_row, data_info, environment_rows, table_rows, task_info
from .averages import primary_by_seed, seed_values
from .finished import REAL, Harvest
from .rows import CellRow, DataInfo, EnvironmentRow, SeedValue, TableRow, TaskInfo

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
FEW_SEEDS = f"these trained models are compared, not how such models do as a rule (use --seeds {MIN_SEEDS})"


class Column(Strict):
    """A model: its name in the table, the settings that make it another than its neighbours, all its task's settings with
    what else its numbers depend on, what must be said of it, and its cells."""

    label: str
    settings: dict[str, str]
    task: TaskInfo
    cells: list[CellRow]
    table: list[TableRow]
    seed_values: list[SeedValue]
    environments: list[EnvironmentRow]


class ModelTest(Strict):
    """Model `a` minus model `b` on the same test cases, by the task's rule (see `rows.PairedRow`). Holm's values hold over
    all rows of one size, metric and test: every pair and structure."""

    size: str
    a: str
    b: str
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


class ModelClaim(Strict):
    """What the seeds say of two models: Welch over seeds of the primary average."""

    size: str
    a: str
    b: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    sentence: str


class Models(Strict):
    """All that is known of models side by side: the content of `models.json`."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    cxrbench: str
    created: str
    command: list[str]
    preset: str
    data: DataInfo
    device: str
    sizes: dict[str, int]
    """Real films that train, by size."""
    seeds: list[int]
    columns: list[Column]
    tests: list[ModelTest]
    claims: list[ModelClaim]

    @property
    def task(self) -> TaskInfo:
        """The protocol, as the first column has it."""
        return self.columns[0].task

    @property
    def structures(self) -> list[str]:
        """The rows of the table, in order."""
        return list(dict.fromkeys(row.structure for column in self.columns for row in column.table))

    def value(self, column: Column, size: str, metric: str, structure: str) -> TableRow | None:
        """One number of a column."""
        place = (size, metric, structure)
        return next((row for row in column.table if (row.size, row.metric, row.structure) == place), None)

    @property
    def complete(self) -> bool:
        """Whether every cell is there."""
        return all(cell.status == "done" for column in self.columns for cell in column.cells)


def models_of(variants: Sequence[Variant], command: Sequence[str]) -> Models:
    """The table of some columns as far as the store has their cells."""
    from ... import __version__

    harvests = harvests_of(variants)
    columns = [_column(variant, harvest) for variant, harvest in zip(variants, harvests, strict=True)]
    first = variants[0].prepared.plan
    sizes = {
        size: max((harvest.records[cell.key].downstream.train_films for cell in harvest.cells(size, REAL)), default=0)
        for harvest in harvests[:1]
        for size in harvest.sizes
        if harvest.done(harvest.cells(size, REAL))
    }
    return Models(
        cxrbench=__version__,
        created=utc_now(),
        command=list(command),
        preset=first.preset,
        data=data_info(first),
        device=first.device,
        sizes={size: sizes.get(size, 0) for size in harvests[0].sizes},
        seeds=list(first.seeds),
        columns=columns,
        tests=_tests(variants, harvests),
        claims=_claims(columns, harvests),
    )


def harvests_of(variants: Sequence[Variant]) -> list[Harvest]:
    """What the store holds of every column."""
    return [Harvest(variant.prepared.plan, variant.prepared.store) for variant in variants]


def scores_of(variants: Sequence[Variant], harvests: Sequence[Harvest], size: str) -> dict[str, pd.DataFrame]:
    """The case scores of every finished column at a size, by its name."""
    return {
        variant.label: harvest.scores[harvest.scores["size"] == size]
        for variant, harvest in zip(variants, harvests, strict=True)
        if harvest.done(harvest.cells(size, REAL))
    }


def _column(variant: Variant, harvest: Harvest) -> Column:
    values = seed_values(harvest)
    return Column(
        label=variant.label,
        settings=dict(variant.settings),
        task=task_info(harvest.plan),
        cells=[cell_row(harvest, cell) for cell in harvest.plan.cells],
        table=table_rows(harvest, values),
        seed_values=values,
        environments=environment_rows(harvest.records.values()),
    )


def _pairs(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Every later column against every earlier one, those of the last first (the fusion against both it is made of)."""
    found = [(later, earlier) for earlier, later in combinations(labels, 2)]
    return sorted(found, key=lambda pair: -labels.index(pair[0]))


def _tests(variants: Sequence[Variant], harvests: Sequence[Harvest]) -> list[ModelTest]:
    plan, rows = harvests[0].plan, []
    info = task_info(plan)
    structures = list(plan.task.structures(plan.data))
    for size in harvests[0].sizes:
        scores = scores_of(variants, harvests, size)
        for metric in info.paired:
            pairs = _pairs(list(scores))
            found = [
                (a, b, one) for a, b in pairs for one in info.rule.compare(scores[a], scores[b], structures, metric)
            ]
            for (a, b, _), one in zip(found, with_holm(one for _, _, one in found), strict=True):
                rows.append(ModelTest(size=size, a=a, b=b, metric=metric, **asdict(one)))
    return rows


def _claims(columns: Sequence[Column], harvests: Sequence[Harvest]) -> list[ModelClaim]:
    task, by_label = columns[0].task, {column.label: column for column in columns}
    metric = task.metric(task.primary)
    claims = []
    for size in harvests[0].sizes:
        for a, b in _pairs(list(by_label)):
            ours, theirs = (
                list(primary_by_seed(by_label[name].seed_values, metric.name, size, REAL, task.structures).values())
                for name in (a, b)
            )
            numbers = over_seeds(ours, theirs, (a, b), percent=metric.percent)
            if numbers["p"] is None and min(len(ours), len(theirs)) < MIN_SEEDS:
                numbers["sentence"] = f"{a} and {b}: {FEW_SEEDS}"
            claims.append(ModelClaim(size=size, a=a, b=b, **numbers))
    return claims
