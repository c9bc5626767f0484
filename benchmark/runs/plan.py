"""The plan of a run: every cell with its key, and what each needs. Made without torch; the store decides what is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import digest
from ..contracts.initial_weights import from_scratch
from ..contracts.label_by import LabelBy
from ..contracts.task import ArmName, Slot, Task
from ..data.copies import originals
from ..data.dataset import Dataset
from ..data.sizes import FULL, film_count
from ..errors import InputError, unknown
from ..registry import Plugin
from ..settings import keyed, plain
from .examine import Said
from .few_films import said as few_said
from .job import Cell
from .record import CellIdentity, DataIdentity, ProviderIdentity, TaskIdentity
from .rest import sizes_with_rest
from .smoke import SAID, is_smoke

STEPS = Path(__file__).with_name("steps.py")


@dataclass(frozen=True)
class Generator:
    """The provider of a run: who it is in keys, its class, its settings, and the seconds that fit and sampling took at a
    preset, as it says."""

    identity: ProviderIdentity
    plugin: Plugin
    settings: Mapping[str, Any]
    reference_seconds: Mapping[str, float] = field(default_factory=dict)
    from_scratch: tuple[str, ...] = ()
    """What starts from scratch where its paper starts from weights; first, of a control that is given other real films,
    that it is one."""


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
    films: int = 0
    """Films of the set, of which a smoke run looks at a few; 0 where that is not told."""

    @property
    def provider(self) -> ProviderIdentity:
        """The provider of a run that has one."""
        if self.generator is None:
            raise ValueError("a curve has no provider")
        return self.generator.identity

    @property
    def from_scratch(self) -> tuple[str, ...]:
        """What starts from scratch where its paper starts from weights: of the provider, then of the task. Of a smoke run
        first that it is one."""
        own = () if self.generator is None else self.generator.from_scratch
        smoke: tuple[str, ...] = (SAID,) if is_smoke(self.preset) else ()
        if smoke and self.films > len(self.data):
            smoke = (*smoke, few_said(len(self.data), self.films))
        return (*smoke, *own, *from_scratch(self.task.initial_weights, plain(self.task.settings)))


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
    entry: str = "",
    ratios: Sequence[float] = (),
    kept: Mapping[str, int] | None = None,
    sizes: Sequence[str] = (),
    films: int = 0,
) -> Plan:
    """Plan a run. `entry`: the leaderboard's entry in whose name the provider draws. `ratios`: synthetic films to real ones
    that the headline arm is trained with besides the task's own. `kept`: steps of the provider's trainings that a person
    chose (`of_size`). `sizes`: those of the task that are run, all by default. `films`: of the whole set, where
    `data` has a few of it. A smoke run has the first fold alone and no placebos. InputError when the dataset cannot carry
    the task, when no cell is left, and for ratios without a headline."""
    task = task.settled(phantom=data.info.phantom)
    check_films(task, data)
    if task.validates_on_synthetic and label_by is LabelBy.TEACHER:
        raise InputError(
            f"{task.name}: its REAL model is stopped by synthetic films, which it would have to annotate first: give a "
            "provider that makes masks, or leave the validation as it is"
        )
    provider = ProviderIdentity(
        name=provider_plugin.name,
        spec=provider_plugin.spec,
        code=provider_plugin.code_digest(),
        settings=said.keyed,
        label_by=label_by.value,
        entry=entry,
        kept=dict(kept or {}),
        rest=said.takes_rest,
    )
    common = _common(task, task_plugin, data, fit_data, preset, device)
    every, notes = _of_sizes(task, data, sizes), said.from_scratch
    if said.takes_rest:
        every, control = sizes_with_rest(provider.name, task, data, every)
        notes = (control, *notes)
    if is_smoke(preset):
        every = [slot for slot in every if slot.fold == every[0].fold]
    slots = [slot for slot in every if arms is None or slot.arm in arms]
    if arms:
        known = {slot.arm for slot in slots}
        missing = [arm for arm in arms if arm not in known]
        extra = {(slot.fold, slot.size) for slot in every}
        slots += [Slot(fold, size, arm) for arm in missing for fold, size in sorted(extra)]
    planned = [
        cell
        for seed in seeds
        for slot in slots
        for cell in _plan_cells(task, data, replace(slot, seed=seed), common, provider)
        if not (cell.identity.placebo and is_smoke(preset))  # it trains as its arm does, and no gain is asked for
    ]
    if ratios:
        planned += _plan_ratios(task, data, fit_data, slots, seeds, ratios, common, provider)
    if not planned:
        raise InputError(f"{task.name}: no cell is left to run; check --arms")
    return Plan(
        task=task,
        task_plugin=task_plugin,
        generator=Generator(provider, provider_plugin, said.settings, said.reference_seconds, notes),
        data=data,
        fit_data=fit_data,
        preset=preset,
        seeds=tuple(seeds),
        device=device,
        cells=tuple(planned),
        films=films,
    )


def check_films(task: Task, data: Dataset) -> None:
    """`Task.check`; where the films have no split or fold, which an import can draw, the error says how."""
    try:
        task.check(data)
    except InputError as error:
        drawn = {"split": "patients:0.5", "fold": "patients:3"}
        lacks = next((one for one in drawn if one not in data.cases and f"no column '{one}'" in str(error)), None)
        if lacks is None:
            raise
        alone = data.cases["patient"].astype(str).is_unique
        who = " (and --patient-from id, where every film is of another person)" if alone else ""
        raise InputError(f"{error}; import the films again with --{lacks} {drawn[lacks]} --force added{who}") from None


def _of_sizes(task: Task, data: Dataset, sizes: Sequence[str]) -> list[Slot]:
    """The slots of some sizes, all where none is named; InputError for a size that the task does not have on these films."""
    slots = task.slots(data)
    known = {slot.size: slot for slot in slots}
    for size in sizes:
        if size not in known:
            count = film_count(size)
            most = (
                0 if count is None or FULL not in known else len(set(originals(task.training_set(data, known[FULL]))))
            )
            if count is not None and most and count >= most:
                raise InputError(f"--sizes {size}: {size} needs more than {size} training films, there are {most}")
            raise unknown("size", size, known)
    return [slot for slot in slots if not sizes or slot.size in sizes]


def few_sizes(task: Task, data: Dataset, few: Dataset, sizes: Sequence[str]) -> tuple[str, ...]:
    """The sizes of a smoke run, which has a few of the films: for one that needs more of them, the smallest. InputError for
    a size that the task does not have on all films."""
    task = task.settled(phantom=data.info.phantom)
    if not sizes or few is data:
        return tuple(sizes)
    check_films(task, data)
    _of_sizes(task, data, sizes)
    known = list(dict.fromkeys(slot.size for slot in task.slots(few)))
    return tuple(dict.fromkeys(size if size in known else known[-1] for size in sizes))


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
    task = task.settled(phantom=data.info.phantom)
    check_films(task, data)
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


def _plan_ratios(
    task: Task,
    data: Dataset,
    fit_data: Dataset,
    slots: Sequence[Slot],
    seeds: Sequence[int],
    ratios: Sequence[float],
    common: dict[str, Any],
    provider: ProviderIdentity,
) -> list[Cell]:
    """The headline arm with other numbers of synthetic films, the same for every fold and seed, and its placebos with as
    many copies."""
    headline = task.headline
    places = [slot for slot in slots if headline is not None and (slot.arm, slot.size) == (headline.arm, headline.size)]
    if not places:
        raise InputError(
            f"--ratios: {task.name} on {data.info.name} has no headline arm and size in this run to try them at"
        )
    places = [replace(slot, seed=seed) for seed in seeds for slot in places]
    sets = [task.learnt_from(task.training_set(fit_data, slot)) for slot in places]
    real = sum(len(set(originals(films))) for films in sets) / len(sets)
    own = {task.synthetic_count(data, slot) for slot in places}
    counts = sorted({max(1, round(ratio * real)) for ratio in ratios} - own)
    return [
        cell
        for slot in places
        for count in counts
        for cell in (_plan_provided(task, data, slot, common, provider, count), _plan_copies(slot, common, count))
    ]


def _cell_key(
    common: dict[str, Any],
    slot: Slot,
    provider: ProviderIdentity | None,
    *,
    placebo: bool = False,
    synthetic: int | None = None,
) -> tuple[str, CellIdentity]:
    identity = CellIdentity(
        **common,
        fold=slot.fold,
        size=slot.size,
        arm=slot.arm.value,
        seed=slot.seed,
        provider=provider,
        placebo=placebo,
        synthetic=synthetic,
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
        provider = identity["provider"]
        names = ["code", "settings", "label_by", *(name for name in ("entry", "kept") if provider[name])]
        identity["provider"] = {name: provider[name] for name in names}
    return identity


def _plan_cells(
    task: Task, data: Dataset, slot: Slot, common: dict[str, Any], provider: ProviderIdentity
) -> tuple[Cell, ...]:
    """The cell of a slot, and its placebo where it has synthetic films to train on."""
    if not slot.arm.uses_provider:
        real = task.validates_on_synthetic
        return (_plan_provided(task, data, slot, common, provider) if real else _plan_copies(slot, common),)
    return _plan_provided(task, data, slot, common, provider), _plan_copies(slot, common)


def _plan_copies(slot: Slot, common: dict[str, Any], synthetic: int | None = None) -> Cell:
    """The cell that knows no provider: REAL, or a placebo, with copies of real films in place of synthetic ones."""
    key, identity = _cell_key(common, slot, None, placebo=slot.arm.uses_provider, synthetic=synthetic)
    start_key = None
    if slot.arm is ArmName.FINETUNE:
        start = replace(slot, arm=ArmName.SYNTHETIC)
        start_key = _cell_key(common, start, None, placebo=True, synthetic=synthetic)[0]
    return Cell(key=key, identity=identity, start_key=start_key)


def _plan_provided(
    task: Task,
    data: Dataset,
    slot: Slot,
    common: dict[str, Any],
    provider: ProviderIdentity,
    synthetic: int | None = None,
) -> Cell:
    provider = provider.model_copy(update={"kept": of_size(provider.kept, slot.size)})
    key, identity = _cell_key(common, slot, provider, synthetic=synthetic)
    fit_key = _fit_key(task, identity)
    whole = identity.model_copy(update={"provider": provider.model_copy(update={"kept": {}})})
    teacher_key = None
    if provider.label_by == LabelBy.TEACHER:
        teacher_key = _cell_key(common, replace(slot, arm=ArmName.REAL), None)[0]
    count = task.synthetic_count(data, slot) if synthetic is None else synthetic
    synthetic_key = digest.of_json(["synthetic", fit_key, count, teacher_key])
    start_key = None
    if slot.arm is ArmName.FINETUNE:
        start_key = _cell_key(common, replace(slot, arm=ArmName.SYNTHETIC), provider, synthetic=synthetic)[0]
    return Cell(
        key=key,
        identity=identity,
        fit_key=fit_key,
        synthetic_key=synthetic_key,
        start_key=start_key,
        teacher_key=teacher_key,
        whole_key=_fit_key(task, whole),
    )


def _fit_key(task: Task, identity: CellIdentity) -> str:
    fitted = _without_labels(identity.model_dump(mode="json"))
    del fitted["arm"]
    fitted.pop("synthetic", None)  # one fit gives any number of films
    settings = fitted["task"]["settings"]
    del fitted["task"]["depends_on"]  # providers are fitted on films alone
    fitted["task"]["settings"] = {k: v for k, v in settings.items() if k not in task.downstream_only}
    return digest.of_json(["fit", fitted])


def of_size(kept: Mapping[str, int], size: str) -> dict[str, int]:
    """The steps that are kept of a size's trainings: `films` is for every size, `tiny/films` for one, and counts more."""
    general = {name: step for name, step in kept.items() if "/" not in name}
    own = {name.removeprefix(f"{size}/"): step for name, step in kept.items() if name.startswith(f"{size}/")}
    return dict(sorted((general | own).items()))
