"""From the store to `Results`: every planned cell with its state, the table, the tests, the cost. Trains nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import StoreError
from .pairing import COLUMNS, compare_cases, with_holm
from .plan import Plan, PlannedCell
from .protocol import ArmName, Slot
from .record import Cost, Environment, Record
from .results import (
    AVERAGE,
    CellRow,
    CheckRow,
    CostRow,
    DataInfo,
    EnvironmentRow,
    MetricInfo,
    PairedRow,
    Results,
    SeedRow,
    SeedValue,
    SizeInfo,
    Status,
    TableRow,
    TaskInfo,
    finite,
    words,
)
from .statistics import welch_over_seeds
from .store import Level, Store

if TYPE_CHECKING:
    import pandas as pd

REAL = ArmName.REAL.value
NEAR_COPIES = {"near_test": "nearest test film", "near_train": "nearest training film"}
NEAR_COPY_ALARM = 0.01


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

    def _explain(self, cell: PlannedCell) -> None:
        for key in (cell.fit_key, cell.synthetic_key, cell.start_key, cell.key):
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
                labels = {"size": slot.size, "fold": slot.fold, "arm": slot.arm.value, "seed": cell.seed}
                parts.append(self.store.scores(cell.key).assign(**labels)[COLUMNS])
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)

    @property
    def sizes(self) -> list[str]:
        """The sizes of the plan, in its order."""
        return list(dict.fromkeys(cell.slot.size for cell in self.plan.cells))

    @property
    def arms(self) -> list[str]:
        """The arms of the plan, in its order."""
        return list(dict.fromkeys(cell.slot.arm.value for cell in self.plan.cells))

    def cells(self, size: str, arm: str, seed: int | None = None) -> list[PlannedCell]:
        """The planned cells of a size and arm (of one seed), over folds."""
        return [
            cell
            for cell in self.plan.cells
            if (cell.slot.size, cell.slot.arm.value) == (size, arm) and seed in (None, cell.seed)
        ]

    def done(self, cells: Sequence[PlannedCell]) -> bool:
        """Whether there are such cells and all of them are finished."""
        return bool(cells) and all(cell.key in self.records for cell in cells)


def assemble(plan: Plan, store: Store, command: Sequence[str]) -> Results:
    """The results of a plan as far as the store has them. `command`: the words the run was started with."""
    from .. import __version__

    harvest = Harvest(plan, store)
    values = seed_values(harvest)
    return Results(
        cxrbench=__version__,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        command=list(command),
        provider=plan.provider,
        task=_task_info(plan),
        preset=plan.preset,
        data=_data_info(plan),
        sizes=[_size_info(harvest, size) for size in harvest.sizes],
        arms=harvest.arms,
        seeds=list(plan.seeds),
        device=plan.device,
        cells=[_cell_row(harvest, cell) for cell in plan.cells],
        table=_table(harvest, values),
        seed_values=values,
        paired=_paired(harvest),
        seed_tests=_seed_tests(harvest, values),
        cost=[row for size in harvest.sizes if (row := _cost(harvest, size)) is not None],
        checks=_checks(harvest),
        environments=_environments(harvest),
    )


def _task_info(plan: Plan) -> TaskInfo:
    task, identity = plan.task, plan.cells[0].identity.task
    return TaskInfo(
        **identity.model_dump(),
        summary=task.summary,
        metrics=[MetricInfo(**asdict(metric)) for metric in task.metrics],
        paired=list(task.paired_metrics()),
        structures=list(task.structures(plan.data)),
        primary=task.primary,
    )


def _data_info(plan: Plan) -> DataInfo:
    identity, data = plan.cells[0].identity.data, plan.data
    return DataInfo(
        **identity.model_dump(),
        phantom="phantom" in f"{identity.name} {identity.provenance}".lower(),
        n=len(data),
        organs=list(data.organs),
        findings=list(data.info.findings),
        resolution=data.resolution,
        fit_resolution=plan.fit_data.resolution,
        pixel_mm=finite(data.info.pixel_mm),
    )


def _size_info(harvest: Harvest, size: str) -> SizeInfo:
    plan = harvest.plan
    cells = [cell for cell in plan.cells if cell.slot.size == size]
    folds = list(dict.fromkeys(cell.slot.fold for cell in cells))
    records = {cell.slot.fold: harvest.records[cell.key] for cell in cells if cell.key in harvest.records}
    real = originals(plan.task.training_set(plan.fit_data, Slot(folds[0], size, ArmName.REAL)).cases)
    provided = [cell.slot for cell in cells if cell.slot.arm.uses_provider]
    return SizeInfo(
        size=size,
        folds=folds,
        films=len(real),
        synthetic_films=plan.task.synthetic_count(provided[0]) if provided else None,
        test_films=sum(r.downstream.test_films for r in records.values()) if len(records) == len(folds) else None,
    )


def originals(cases: pd.DataFrame) -> list[int]:
    """Row numbers of the real films before augmentation: the first of each group of copies with the same sources."""
    if "source_ids" not in cases:
        return list(range(len(cases)))
    groups: dict[tuple[str, ...], int] = {}
    for row, sources in enumerate(cases["source_ids"]):
        groups.setdefault(tuple(map(str, sources)), row)
    return list(groups.values())


def _cell_row(harvest: Harvest, cell: PlannedCell) -> CellRow:
    record, message = harvest.records.get(cell.key), harvest.messages.get(cell.key, "")
    status = Status.DONE if record else Status.FAILED if message else Status.MISSING
    return CellRow(
        key=cell.key,
        fold=cell.slot.fold,
        size=cell.slot.size,
        arm=cell.slot.arm.value,
        seed=cell.seed,
        status=status,
        message=message,
        seconds=record.downstream.seconds if record else None,
    )


# ------------------------------------------------------------------------------------------------------- the table


def seed_values(harvest: Harvest) -> list[SeedValue]:
    """The table of every seed whose folds are all there. Several folds: the task summarises all their cases at once."""
    found = []
    for size in harvest.sizes:
        for arm in harvest.arms:
            for seed in harvest.plan.seeds:
                cells = harvest.cells(size, arm, seed)
                if harvest.done(cells):
                    for metric, structure, value in _summary(harvest, cells):
                        found.append(
                            SeedValue(size=size, arm=arm, metric=metric, structure=structure, seed=seed, value=value)
                        )
    return found


def _summary(harvest: Harvest, cells: Sequence[PlannedCell]) -> list[tuple[str, str, float]]:
    if len(cells) == 1:
        return [(row.metric, row.structure, row.value) for row in harvest.records[cells[0].key].table]
    import pandas as pd

    scores = pd.concat([harvest.store.scores(cell.key) for cell in cells], ignore_index=True)
    rows = harvest.plan.task.summarise(scores)
    numbers = zip(rows["metric"], rows["structure"], rows["value"].map(finite), strict=True)
    return [(str(metric), str(structure), value) for metric, structure, value in numbers if value is not None]


def _table(harvest: Harvest, values: Sequence[SeedValue]) -> list[TableRow]:
    by_place: dict[tuple[str, str, str, str], list[float]] = {}
    for one in values:
        by_place.setdefault((one.size, one.arm, one.metric, one.structure), []).append(one.value)
    kinds = _metric_structures(harvest.plan, values)
    rows = []
    for size in harvest.sizes:
        for arm in harvest.arms:
            planned = harvest.cells(size, arm)
            seeds = len({cell.seed for cell in planned})
            note = "" if harvest.done(planned) else _lack(harvest, planned)
            for metric, structure in kinds:
                found = by_place.get((size, arm, metric, structure), [])
                whole = not note and len(found) == seeds
                rows.append(
                    TableRow(
                        size=size,
                        arm=arm,
                        metric=metric,
                        structure=structure,
                        value=float(np.mean(found)) if whole else None,
                        sd=float(np.std(found, ddof=1)) if whole and seeds > 1 else None,
                        seeds=len(found),
                        note=note,
                    )
                )
    return rows


def _metric_structures(plan: Plan, values: Sequence[SeedValue]) -> list[tuple[str, str]]:
    """The rows of the table: what the finished cells have, or what the task promises where none is finished."""
    found = dict.fromkeys((one.metric, one.structure) for one in values)
    if found:
        return list(found)
    structures = [*plan.task.structures(plan.data), AVERAGE]
    return [(metric.name, structure) for metric in plan.task.metrics for structure in structures]


def _lack(harvest: Harvest, cells: Sequence[PlannedCell]) -> str:
    """Why a number of the table is not there."""
    if not cells:
        return "not planned"
    absent = [cell for cell in cells if cell.key not in harvest.records]
    word = "failed" if any(cell.key in harvest.messages for cell in absent) else "missing"
    return word if len(cells) == 1 else f"{word} {len(absent)}/{len(cells)}"


# ------------------------------------------------------------------------------------------------------- tests


def _paired(harvest: Harvest) -> list[PairedRow]:
    """Every arm against REAL on the same test cases; Holm over the rows of one size and metric."""
    structures = list(harvest.plan.task.structures(harvest.plan.data))
    rows = []
    for size in harvest.sizes:
        for metric in harvest.plan.task.paired_metrics():
            comparisons, arms = [], []
            for arm in harvest.arms:
                if arm == REAL or not all(harvest.done(harvest.cells(size, name)) for name in (arm, REAL)):
                    continue
                scores = harvest.scores[harvest.scores["size"] == size]
                found = compare_cases(scores[scores["arm"] == arm], scores[scores["arm"] == REAL], structures, metric)
                comparisons += found
                arms += [arm] * len(found)
            for arm, one in zip(arms, with_holm(comparisons), strict=True):
                rows.append(PairedRow(size=size, arm=arm, metric=metric, **asdict(one)))
    return rows


def primary_by_seed(values: Sequence[SeedValue], metric: str, size: str, arm: str) -> dict[int, float]:
    """The average of a metric for each seed: the table's `average` row, or the mean of its structures without one."""
    chosen = [one for one in values if (one.size, one.arm, one.metric) == (size, arm, metric)]
    found: dict[int, float] = {}
    for seed in dict.fromkeys(one.seed for one in chosen):
        of_seed: Mapping[str, float] = {one.structure: one.value for one in chosen if one.seed == seed}
        found[seed] = of_seed[AVERAGE] if AVERAGE in of_seed else float(np.mean(list(of_seed.values())))
    return found


def over_seeds(a: Sequence[float], b: Sequence[float], names: tuple[str, str], *, percent: bool) -> dict[str, Any]:
    """Welch's test over seeds: difference, low, high, p and the sentence, which speaks in percent where tables do."""
    factor = 100.0 if percent else 1.0
    test = welch_over_seeds(np.array(a) * factor, np.array(b) * factor, names=names)
    numbers = {"difference": test.difference, "low": test.low, "high": test.high}
    scaled = {name: None if value is None else finite(value / factor) for name, value in numbers.items()}
    return scaled | {"p": finite(test.p), "sentence": test.claim}


def _seed_tests(harvest: Harvest, values: Sequence[SeedValue]) -> list[SeedRow]:
    """Every arm against REAL over seeds; an arm with a missing cell has no row."""
    metric, rows = harvest.plan.task.primary, []
    percent = any(one.percent for one in harvest.plan.task.metrics if one.name == metric)
    for size in harvest.sizes:
        for arm in harvest.arms:
            if arm == REAL or not all(harvest.done(harvest.cells(size, name)) for name in (arm, REAL)):
                continue
            ours = list(primary_by_seed(values, metric, size, arm).values())
            real = list(primary_by_seed(values, metric, size, REAL).values())
            names = (f"{harvest.plan.provider.name} ({arm})", "real films")
            numbers = over_seeds(ours, real, names, percent=percent)
            rows.append(SeedRow(size=size, arm=arm, metric=metric, seeds=len(ours), **numbers))
    return rows


# ------------------------------------------------------------------------------------------- cost, checks, machines


def _cost(harvest: Harvest, size: str) -> CostRow | None:
    fits: dict[str, Cost] = {}
    for cell in harvest.plan.cells:
        record = harvest.records.get(cell.key)
        if cell.slot.size == size and record is not None and record.cost is not None:
            fits[record.fit_key or cell.key] = record.cost
    if not fits:
        return None
    costs = list(fits.values())
    rates = [cost.train_images_per_second for cost in costs if cost.train_images_per_second is not None]

    def different(name: str) -> str:
        return ", ".join(dict.fromkeys(str(getattr(cost, name)) for cost in costs))

    return CostRow(
        size=size,
        fits=len(costs),
        parameters=costs[0].parameters,
        fit_seconds=float(np.mean([cost.fit_seconds for cost in costs])),
        train_images_per_second=float(np.mean(rates)) if rates else None,
        sample_images_per_second=float(np.mean([cost.sample_images_per_second for cost in costs])),
        peak_memory_bytes=max(cost.peak_memory_bytes for cost in costs),
        device=different("device"),
        precision=different("precision"),
        threads=costs[0].threads,
        weights=different("weights"),
    )


def _checks(harvest: Harvest) -> list[CheckRow]:
    """One row per synthetic dataset and check, however many cells were trained on it."""
    rows: dict[tuple[str, str], CheckRow] = {}
    for cell in harvest.plan.cells:
        record = harvest.records.get(cell.key)
        for name, value in (record.checks if record else {}).items():
            place = (cell.synthetic_key or cell.key, name)
            label, sentence, alarm = check_words(name, value)
            slot = cell.slot
            rows.setdefault(
                place,
                CheckRow(size=slot.size, fold=slot.fold, seed=cell.seed, name=label, sentence=sentence, alarm=alarm),
            )
    return list(rows.values())


def check_words(name: str, value: Any) -> tuple[str, str, bool]:
    """Label, sentence and alarm of a check of a record. A search for near copies (`flagged` of `films` lie below the first
    percentile of real distances, `p` by chance) alarms at p < 0.01."""
    if isinstance(value, Mapping) and {"flagged", "films", "p"} <= value.keys():
        share = f"{value['flagged']} of {value['films']} below the 1st percentile"
        alarm = value["p"] < NEAR_COPY_ALARM
        said = f"near copies ({share}, p = {value['p']:.1g})" if alarm else f"no near copies ({share})"
        return NEAR_COPIES.get(name, words(name)), said, alarm
    return words(name), _plain_words(value), False


def _plain_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{words(str(name))} {_plain_words(item)}" for name, item in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return f"{len(value)} entries" if len(value) > 5 else " ".join(_plain_words(item) for item in value)
    return str(value)


def _environments(harvest: Harvest) -> list[EnvironmentRow]:
    counts: Counter[str] = Counter()
    found: dict[str, Environment] = {}
    for record in harvest.records.values():
        text = record.environment.model_dump_json()
        found[text] = record.environment
        counts[text] += 1
    return [EnvironmentRow(cells=n, environment=found[text]) for text, n in counts.most_common()]
