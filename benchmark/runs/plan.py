"""The plan of a run: every cell with its key, and what each needs. Made without torch; the store decides what is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import digest
from ..contracts.label_by import LabelBy
from ..contracts.task import ArmName, Slot, Task
from ..data.dataset import Dataset
from ..errors import InputError
from ..registry import Plugin
from ..settings import keyed
from .examine import Said
from .job import Cell
from .record import CellIdentity, DataIdentity, ProviderIdentity, TaskIdentity

STEPS = Path(__file__).with_name("steps.py")


@dataclass(frozen=True)
class Generator:
    """The provider of a run: who it is in keys, its class, its settings, and the seconds that fit and sampling took at a
    preset, as it says."""

    identity: ProviderIdentity
    plugin: Plugin
    settings: Mapping[str, Any]
    reference_seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """All cells of a run. `data` is the dataset at the resolution of the test; `fit_data` at that of the providers.

    `generator` is None for a curve, which has real films and copies of them alone.
    """

    task: Task
    task_plugin: Plugin
    generator: Generator | None
    data: Dataset
    fit_data: Dataset
    preset: str
    seeds: tuple[int, ...]
    device: str
    cells: tuple[Cell, ...]

    @property
    def provider(self) -> ProviderIdentity:
        """The provider of a run that has one."""
        if self.generator is None:
            raise ValueError("a curve has no provider")
        return self.generator.identity


def make_plan(
    *,
    task: Task,
    task_plugin: Plugin,
    provider_plugin: Plugin,
    said: Said,
    data: Dataset,
    fit_data: Dataset,
    preset: str,
    seeds: Sequence[int],
    arms: Sequence[ArmName] | None,
    device: str,
    label_by: LabelBy = LabelBy.NATIVE,
) -> Plan:
    """Plan a run. InputError when the dataset cannot carry the task, or when no cell is left."""
    task.check(data)
    provider = ProviderIdentity(
        name=provider_plugin.name,
        spec=provider_plugin.spec,
        code=provider_plugin.code_digest(),
        settings=said.keyed,
        label_by=label_by.value,
    )
    common = _common(task, task_plugin, data, fit_data, preset, device)
    slots = [slot for slot in task.slots(data) if arms is None or slot.arm in arms]
    if arms:
        known = {slot.arm for slot in slots}
        missing = [arm for arm in arms if arm not in known]
        extra = {(slot.fold, slot.size) for slot in task.slots(data)}
        slots += [Slot(fold, size, arm) for arm in missing for fold, size in sorted(extra)]
    planned = [
        cell
        for seed in seeds
        for slot in slots
        for cell in _plan_cells(task, data, replace(slot, seed=seed), common, provider)
    ]
    if not planned:
        raise InputError(f"{task.name}: no cell is left to run; check --arms")
    return Plan(
        task=task,
        task_plugin=task_plugin,
        generator=Generator(provider, provider_plugin, said.settings, said.reference_seconds),
        data=data,
        fit_data=fit_data,
        preset=preset,
        seeds=tuple(seeds),
        device=device,
        cells=tuple(planned),
    )


def make_curve_plan(
    *,
    task: Task,
    task_plugin: Plugin,
    data: Dataset,
    fit_data: Dataset,
    preset: str,
    seeds: Sequence[int],
    sizes: Sequence[str],
    arms: Sequence[ArmName],
    device: str,
) -> Plan:
    """Plan the placebos of a learning curve: sizes x arms x folds x seeds. InputError for films that cannot carry the task,
    and for a size that they do not have."""
    task.check(data)
    common = _common(task, task_plugin, data, fit_data, preset, device)
    folds = list(dict.fromkeys(slot.fold for slot in task.slots(data)))
    slots = [Slot(fold, size, arm) for size in sizes for arm in arms for fold in folds]
    for slot in slots:
        task.training_set(data, slot)  # InputError for a size that these films do not have
    cells = [_plan_copies(replace(slot, seed=seed), common) for seed in seeds for slot in slots]
    return Plan(
        task=task,
        task_plugin=task_plugin,
        generator=None,
        data=data,
        fit_data=fit_data,
        preset=preset,
        seeds=tuple(seeds),
        device=device,
        cells=tuple(cells),
    )


def _common(
    task: Task, task_plugin: Plugin, data: Dataset, fit_data: Dataset, preset: str, device: str
) -> dict[str, Any]:
    """What the identities of all cells of a plan have in common."""
    return {
        "task": TaskIdentity(
            name=task.name,
            version=task.version,
            code=digest.of_json([task_plugin.code_digest(), digest.of_code(STEPS)]),
            settings=keyed(task.settings),
            depends_on=dict(task.depends_on(device)),
        ),
        "data": DataIdentity(
            name=data.info.name,
            digest=digest.of_json([data.digest, fit_data.digest]),
            provenance=data.info.provenance,
            version=data.info.version,
            truth=data.truth,
        ),
        "preset": preset,
        "device": device.split(":")[0],
        "packages": digest.of_packages(),
    }


def _cell_key(
    common: dict[str, Any], slot: Slot, provider: ProviderIdentity | None, *, placebo: bool = False
) -> tuple[str, CellIdentity]:
    identity = CellIdentity(
        **common,
        fold=slot.fold,
        size=slot.size,
        arm=slot.arm.value,
        seed=slot.seed,
        provider=provider,
        placebo=placebo,
    )
    return key_of(identity), identity


def key_of(identity: CellIdentity) -> str:
    """The key of a cell: the same wherever it is computed from the same identity."""
    return digest.of_json(_without_labels(identity.model_dump(mode="json")))


def _without_labels(identity: dict[str, Any]) -> dict[str, Any]:
    """What a key is made of: names that say nothing about the numbers (a dataset's name, a path) are left out."""
    identity["data"] = identity["data"]["digest"]
    for later, nothing in (("placebo", False), ("synthetic", None)):  # so that older keys stay
        if identity[later] == nothing:
            del identity[later]
    if identity["provider"] is not None:
        identity["provider"] = {name: identity["provider"][name] for name in ("code", "settings", "label_by")}
    return identity


def _plan_cells(
    task: Task, data: Dataset, slot: Slot, common: dict[str, Any], provider: ProviderIdentity
) -> tuple[Cell, ...]:
    """The cell of a slot, and its placebo where it has synthetic films."""
    if not slot.arm.uses_provider:
        return (_plan_copies(slot, common),)
    return _plan_provided(task, data, slot, common, provider), _plan_copies(slot, common)


def _plan_copies(slot: Slot, common: dict[str, Any]) -> Cell:
    """The cell that knows no provider: REAL, or a placebo, with copies of real films in place of synthetic ones."""
    key, identity = _cell_key(common, slot, None, placebo=slot.arm.uses_provider)
    start_key = None
    if slot.arm is ArmName.FINETUNE:
        start_key = _cell_key(common, replace(slot, arm=ArmName.SYNTHETIC), None, placebo=True)[0]
    return Cell(key=key, identity=identity, start_key=start_key)


def _plan_provided(task: Task, data: Dataset, slot: Slot, common: dict[str, Any], provider: ProviderIdentity) -> Cell:
    key, identity = _cell_key(common, slot, provider)
    fitted = _without_labels(identity.model_dump(mode="json"))
    del fitted["arm"]
    settings = fitted["task"]["settings"]
    del fitted["task"]["depends_on"]  # providers are fitted on films alone
    fitted["task"]["settings"] = {k: v for k, v in settings.items() if k not in task.downstream_only}
    fit_key = digest.of_json(["fit", fitted])
    teacher_key = None
    if provider.label_by == LabelBy.TEACHER:
        teacher_key = _cell_key(common, replace(slot, arm=ArmName.REAL), None)[0]
    synthetic_key = digest.of_json(["synthetic", fit_key, task.synthetic_count(data, slot), teacher_key])
    start_key = None
    if slot.arm is ArmName.FINETUNE:
        start_key = _cell_key(common, replace(slot, arm=ArmName.SYNTHETIC), provider)[0]
    return Cell(
        key=key,
        identity=identity,
        fit_key=fit_key,
        synthetic_key=synthetic_key,
        start_key=start_key,
        teacher_key=teacher_key,
    )
