"""From the store to `Results`: every planned cell with its state, the table, the tests, the cost. Trains nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ..contracts.fitted_elsewhere import seen_besides
from ..contracts.task import ArmName, Slot
from ..data.copies import originals
from ..data.dataset import is_phantom
from ..data.odd_films import ODD_FILMS, odd_words
from ..metrics.scores import AVERAGE, NOT_TAUGHT, finite
from ..runs.job import Cell
from ..runs.plan import Plan
from ..runs.record import Cost, Environment, Record
from ..runs.store import Store
from ..settings import parse_pairs
from ..significance.rules import rule_of
from .against_placebo import gain_rows, ratio_rows, worth_rows
from .against_real import fold_rows, paired_rows, seed_rows
from .averages import seed_values
from .curve import FoundCurve
from .finished import Harvest
from .gains import CurveRow
from .rows import (
    FILMS_APART,
    CellRow,
    CheckRow,
    CostRow,
    DataInfo,
    DerivedInfo,
    EnvironmentRow,
    HeadlineInfo,
    LayoutInfo,
    MetricInfo,
    Results,
    SeedValue,
    SizeInfo,
    Status,
    TableRow,
    TaskInfo,
    words,
)

if TYPE_CHECKING:
    pass

REAL_FILMS, NEAR_TEST = "real_films", "near_test"
NEAR_COPIES = {NEAR_TEST: "nearest test film", "near_train": "nearest training film"}
NEAR_COPY_ALARM = 0.01


def assemble(
    plan: Plan,
    store: Store,
    command: Sequence[str],
    sizes: Sequence[SizeInfo] | None = None,
    curve: FoundCurve | None = None,
    curve_command: Sequence[str] = (),
    overrides: Sequence[str] = (),
) -> Results:
    """The results of a plan as far as the store has them. `command`: the words the run was started with. `sizes`: how many
    films a size means, where the plan has no films to count. `curve`: what worths are read from; without one,
    `curve_command`: the words that make it (`curve.curve_words`). `overrides`: what was set besides the preset."""
    from ... import __version__

    harvest = Harvest(plan, store)
    values = seed_values(harvest)
    sizes = [_size_info(harvest, size) for size in harvest.sizes] if sizes is None else list(sizes)
    return Results(
        cxrbench=__version__,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        command=list(command),
        provider=plan.provider,
        task=task_info(plan),
        preset=plan.preset,
        changed=[f"{key}={value}" for key, value in dict(parse_pairs(overrides)).items()],
        data=data_info(plan),
        sizes=list(sizes),
        arms=harvest.arms,
        seeds=list(plan.seeds),
        device=plan.device,
        cells=[cell_row(harvest, cell) for cell in plan.cells],
        table=table_rows(harvest, values),
        seed_values=values,
        paired=paired_rows(harvest),
        fold_tests=fold_rows(harvest, sizes),
        seed_tests=seed_rows(harvest, values),
        gains=gain_rows(harvest, values),
        worths=[] if curve is None else worth_rows(harvest, values, curve.curve),
        curve=None if curve is None else CurveRow(source=curve.source, curve=curve.curve),
        curve_command=list(curve_command) if curve is None else [],
        ratios=ratio_rows(harvest, None if curve is None else curve.curve),
        paired_placebo=paired_rows(harvest, placebo=True),
        cost=[row for size in harvest.sizes if (row := _cost(harvest, size)) is not None],
        checks=_checks(harvest),
        environments=environment_rows(harvest.records.values()),
        from_scratch=list(plan.from_scratch),
    )


def task_info(plan: Plan) -> TaskInfo:
    """The protocol of a plan."""
    task, identity = plan.task, plan.cells[0].identity.task
    return TaskInfo(
        **identity.model_dump(),
        summary=task.summary,
        remarks=[*task.remarks(), *films_of_patients(plan)],
        metrics=[MetricInfo(**asdict(metric)) for metric in task.metrics],
        paired=list(task.paired_metrics()),
        structures=list(task.structures(plan.data)),
        primary=task.primary,
        headline=None if task.headline is None else HeadlineInfo.model_validate(asdict(task.headline)),
        published_data=task.published_data,
        pairing=rule_of(task.pairing).name,
        derived=[DerivedInfo.model_validate(asdict(row)) for row in task.derived_rows],
        layout=None if task.table_layout is None else LayoutInfo.model_validate(asdict(task.table_layout)),
    )


def films_of_patients(plan: Plan) -> list[str]:
    """What must be said of tests over films where some patients have several: they take each film for itself."""
    if not rule_of(plan.task.pairing).per_case or "patient" not in plan.data.cases:
        return []
    films, patients = len(plan.data), plan.data.cases["patient"].nunique()
    if patients >= films:
        return []
    return [
        f"{plan.data.info.name} has {films:,} films of {patients:,} patients: {FILMS_APART}, which makes their p too small; "
        "tests over seeds do not"
    ]


def data_info(plan: Plan) -> DataInfo:
    """The films of a plan."""
    identity, data = plan.cells[0].identity.data, plan.data
    return DataInfo(
        **identity.model_dump(),
        phantom=is_phantom(identity.name, identity.provenance),
        n=len(data),
        organs=list(data.organs),
        findings=list(data.info.findings),
        resolution=data.resolution,
        fit_resolution=plan.fit_data.resolution,
        pixel_mm=finite(data.info.pixel_mm),
        original_resolution=None if data.originals is None else data.originals.side,
    )


def _size_info(harvest: Harvest, size: str) -> SizeInfo:
    plan = harvest.plan
    cells = [cell for cell in plan.cells if cell.slot.size == size]
    folds = list(dict.fromkeys(cell.slot.fold for cell in cells))
    records = {cell.slot.fold: harvest.records[cell.key] for cell in cells if cell.key in harvest.records}
    sets = [plan.task.training_set(plan.fit_data, Slot(fold, size, ArmName.REAL)) for fold in folds]
    real = [len(set(originals(plan.task.learnt_from(films)))) for films in sets]
    provided = [cell.slot for cell in cells if cell.slot.arm.uses_provider]
    return SizeInfo(
        size=size,
        folds=folds,
        films=max(real),
        fold_films=real,
        synthetic_films=plan.task.synthetic_count(plan.data, provided[0]) if provided else None,
        test_films=sum(r.downstream.test_films for r in records.values()) if len(records) == len(folds) else None,
    )


def cell_row(harvest: Harvest, cell: Cell) -> CellRow:
    """What became of a cell."""
    record, message = harvest.records.get(cell.key), harvest.messages.get(cell.key, "")
    status = Status.DONE if record else Status.FAILED if message else Status.MISSING
    return CellRow(
        key=cell.key,
        fold=cell.slot.fold,
        size=cell.slot.size,
        arm=cell.arm,
        seed=cell.seed,
        status=status,
        message=message,
        seconds=record.downstream.seconds if record else None,
    )


# ------------------------------------------------------------------------------------------------------- the table


def table_rows(harvest: Harvest, values: Sequence[SeedValue]) -> list[TableRow]:
    """The table: every size, arm, metric and structure, from the numbers of every seed."""
    by_place: dict[tuple[str, str, str, str], list[float]] = {}
    for one in values:
        by_place.setdefault((one.size, one.arm, one.metric, one.structure), []).append(one.value)
    kinds = _metric_structures(harvest.plan, values)
    rows = []
    for size in harvest.sizes:
        for arm in [*harvest.arms, *harvest.placebos]:
            planned = harvest.cells(size, arm)
            seeds = len({cell.seed for cell in planned})
            lack = "" if harvest.done(planned) else _lack(harvest, planned)
            for metric, structure in kinds:
                found = by_place.get((size, arm, metric, structure), [])
                note = lack or ("" if found else NOT_TAUGHT)
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
    """The rows of the table: what the finished cells have, and of their metrics every structure of the task; what the
    task promises where none is finished."""
    found = dict.fromkeys((one.metric, one.structure) for one in values)
    structures = list(plan.task.structures(plan.data))
    if not found:
        if len(structures) > 1:
            structures.append(AVERAGE)
        return [(metric.name, structure) for metric in plan.task.metrics for structure in structures]
    metrics = list(dict.fromkeys(metric for metric, _ in found))
    every = found | dict.fromkeys((metric, structure) for metric in metrics for structure in structures)
    order = [*structures, *(structure for _, structure in found if structure not in structures)]
    return sorted(every, key=lambda place: (metrics.index(place[0]), order.index(place[1])))


def _lack(harvest: Harvest, cells: Sequence[Cell]) -> str:
    """Why a number of the table is not there."""
    if not cells:
        return "not planned"
    absent = [cell for cell in cells if cell.key not in harvest.records]
    word = "failed" if any(cell.key in harvest.messages for cell in absent) else "missing"
    return word if len(cells) == 1 else f"{word} {len(absent)}/{len(cells)}"


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
            slot, leak = cell.slot, name == NEAR_TEST and isinstance(value, Mapping) and bool(value.get("copies"))
            row = CheckRow(size=slot.size, fold=slot.fold, seed=cell.seed, name=label, sentence=sentence, leak=leak)
            rows.setdefault(place, row.model_copy(update={"alarm": alarm or leak}))
    return list(rows.values())


def check_words(name: str, value: Any) -> tuple[str, str, bool]:
    """Label, sentence and alarm of a check of a record. A search for near copies (`flagged` of `films` lie below the first
    percentile of real distances, `p` by chance) alarms at p < 0.01; so do test films that are copies of training films, and
    a generator that knows more real films than its arm."""
    if isinstance(value, Mapping) and {"flagged", "films", "p"} <= value.keys():
        share = f"{value['flagged']} of {value['films']} below the 1st percentile"
        alarm = value["p"] < NEAR_COPY_ALARM
        said = f"near copies ({share}, p = {value['p']:.1g})" if alarm else f"no near copies ({share})"
        if value.get("copies"):
            said += f"; {value['copies']} copies (hash and pixels)"
        return NEAR_COPIES.get(name, words(name)), said, alarm
    if name == ODD_FILMS and isinstance(value, Mapping) and (odd := odd_words(value)):
        return words(name), "; ".join(odd), True
    if name == REAL_FILMS and isinstance(value, Mapping) and {"copies", "films", "first"} <= value.keys():
        share = f"{value['copies']} of {value['films']}"
        return (
            "real test films",
            f"{share} have the pixels of a training film ({' is '.join(value['first'])}): a leak",
            True,
        )
    said = _plain_words(value)
    return words(name), said, seen_besides([said]) != ""


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


def environment_rows(records: Iterable[Record]) -> list[EnvironmentRow]:
    """Where cells were computed, the most frequent first."""
    counts: Counter[str] = Counter()
    found: dict[str, Environment] = {}
    for record in records:
        text = record.environment.model_dump_json()
        found[text] = record.environment
        counts[text] += 1
    return [EnvironmentRow(cells=n, environment=found[text]) for text, n in counts.most_common()]
