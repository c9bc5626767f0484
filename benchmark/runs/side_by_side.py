"""Downstream models side by side: a task at several values of a setting, all trained on the same real films.

Every column is the REAL cell that `cxrbench run` with this one setting has: the same key, the same bits. Where a task says
that one model is put together from others (`Task.parts`), those are trained first and taken from the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product

from ..contracts.task import ArmName, Task
from ..data.catalogue import find_dataset
from ..data.sizes import FULL
from ..errors import CxrbenchError, InputError, unknown
from ..progress import Progress
from ..registry import TASKS, Plugin, find_task, plugins
from ..settings import keyed, parse_pairs
from .examine import task_class
from .own_store import home_store
from .plan import Plan, check_films, make_curve_plan
from .request import Common, Prepared, check_counts, chosen_task, divided, prepared_plan, resolve_device

MOST = 6  # models of one table

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class ModelsRequest(Common):
    """What a user asked for of models side by side; no sizes: all real films. One `task.NAME=A,B` of `overrides` or more
    have several values; none: the setting that the task names (`Task.side_by_side`)."""

    task: str | None = None
    sizes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Variant:
    """A column: its name, its settings that differ from other columns', and its run."""

    label: str
    settings: Mapping[str, str]
    prepared: Prepared


def prepare_models(request: ModelsRequest, progress: Progress | None = None) -> list[Variant]:
    """The runs of all columns, each of which can be started when those before it are over.

    InputError for a task without the setting or with one value of it, and where the films cannot carry the task.
    """
    check_counts(request)
    plugin = _task(request.task)
    pairs, others = divided(request.overrides)
    if others:
        raise InputError(f"--set {others[0][0]}: models side by side have no provider; expected task.key=value")
    columns = _columns(plugin, pairs)
    tasks = [chosen_task(request, plugin, every) for every, _ in columns]
    plans = [_planned(request, plugin, task, progress) for task in tasks]
    if len({plan.cells[0].key for plan in plans}) < len(plans):
        raise InputError(f"{plugin.name}: two of the models have the same settings; name different values")
    plans = [_with_parts(plan, plans) for plan in plans]
    store = home_store()
    found = [
        Variant(_label(chosen), dict(chosen), prepared_plan(request, plan, store))
        for plan, (_, chosen) in zip(plans, columns, strict=True)
    ]
    return found


def _task(name: str | None) -> Plugin:
    """The named task, else the one that names models of its own."""
    if name is not None:
        return find_task(name)
    having = []
    for plugin in plugins(TASKS).values():
        with suppress(CxrbenchError):  # one of another package that cannot be used: the others can
            if task_class(plugin).side_by_side:
                having.append(plugin)
    if len(having) != 1:
        found = ", ".join(plugin.name for plugin in having) or "none"
        raise InputError(f"name a task, --task NAME; those that name models to compare: {found}")
    return having[0]


def in_turn(variants: Sequence[Variant]) -> list[Variant]:
    """The columns in the order of their work: what others are put together from before them."""
    return sorted(variants, key=lambda one: len(one.prepared.plan.cells[0].part_keys))


def _columns(plugin: Plugin, pairs: Sequence[tuple[str, str]]) -> list[tuple[Pairs, Pairs]]:
    """All settings of each column, and those of them that differ between columns."""
    cls: type[Task] = plugin.load()
    several = [(key, values) for key, text in pairs if len(values := _values(text)) > 1]
    if not several:
        own = parse_pairs([cls.side_by_side] if cls.side_by_side else [])
        several = [(key, _values(text)) for key, text in own if key not in dict(pairs)]
    if not several:
        raise InputError(f"{plugin.name}: name a setting with several values, --set task.NAME=A,B")
    fixed = [(key, text) for key, text in pairs if key not in dict(several)]
    names = [key for key, _ in several]
    chosen = [list(zip(names, values, strict=True)) for values in product(*(values for _, values in several))]
    if len(chosen) > MOST:
        raise InputError(f"{plugin.name}: {len(chosen)} models; at most {MOST} stand side by side")
    return [([*fixed, *one], one) for one in chosen]


def _values(text: str) -> list[str]:
    """The values between commas; a JSON list is one value."""
    if text.startswith(("[", "{", '"')):
        return [text]
    return [value.strip() for value in text.split(",") if value.strip()] or [text]


def _label(chosen: Pairs) -> str:
    if len(chosen) == 1:
        return chosen[0][1]
    return ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in chosen)


def _planned(request: ModelsRequest, plugin: Plugin, task: Task, progress: Progress | None) -> Plan:
    name, settings = request.data or task.default_data, task.settings
    data = find_dataset(name, settings.resolution, progress, verify=request.verify)
    check_films(task, data)
    known = list(dict.fromkeys(slot.size for slot in task.slots(data) if slot.arm is ArmName.REAL))
    sizes = list(request.sizes or ([FULL] if FULL in known else known[:1]))
    for size in sizes:
        if size not in (*known, *task.curve_sizes(data)):
            raise unknown("size", size, [*known, *task.curve_sizes(data)])
    return make_curve_plan(
        task=task,
        task_plugin=plugin,
        data=data,
        fit_data=find_dataset(name, settings.fit_resolution, progress, verify=request.verify),
        preset=request.preset,
        seeds=range(request.seeds),
        sizes=sizes,
        arms=[ArmName.REAL],
        device=resolve_device(request.device),
    )


def _with_parts(plan: Plan, plans: Sequence[Plan]) -> Plan:
    """The plan with the keys of those cells of other plans that its models are put together from."""
    phantom = plan.data.info.phantom
    parts = {name: part.settled(phantom=phantom) for name, part in plan.task.parts().items()}
    by_settings = {_settings_of(other.task): other for other in plans}
    there = {name: by_settings[_settings_of(part)] for name, part in parts.items() if _settings_of(part) in by_settings}
    keys = {name: {cell.slot: cell.key for cell in other.cells} for name, other in there.items()}
    cells = [
        cell.model_copy(update={"part_keys": {name: of[cell.slot] for name, of in keys.items() if cell.slot in of}})
        for cell in plan.cells
    ]
    return replace(plan, cells=tuple(cells))


def _settings_of(task: Task) -> str:
    return str(keyed(task.settings))
