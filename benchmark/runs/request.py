"""A run: from what the user asked for to a plan, chains of steps, and results. Knows no provider and no metric by name."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import digest
from ..contracts.label_by import LabelBy
from ..contracts.task import ArmName, Task
from ..data.catalogue import find_dataset
from ..data.dataset import Annotation
from ..errors import CxrbenchError, InputError, unknown
from ..files import write_text
from ..home import home
from ..progress import Progress
from ..registry import TASKS, Plugin, describe, find_provider, find_task, plugins
from ..settings import override, parse_pairs, plain
from .chains import Outcome, run_chains, run_job, step_done
from .job import Job
from .plan import Plan, PlannedCell, make_plan
from .store import Level, Store
from .timings import Timings

PRESETS = {"quick": 1800.0, "standard": 4 * 3600.0, "paper": 7 * 86400.0}
"""The presets, with the seconds one step may take before it is stopped."""
TASK_PREFIX = "task."


@dataclass(frozen=True)
class Request:
    """What a user asked for."""

    provider: str
    task: str | None = None
    data: str | None = None
    preset: str = "quick"
    overrides: tuple[str, ...] = ()
    seeds: int = 1
    arms: tuple[str, ...] = ()
    device: str = "cpu"
    jobs: int | None = None
    engine: str = "processes"
    address: str | None = None
    time_limit: float | None = None
    label_by: str | None = None


@dataclass(frozen=True)
class Step:
    """A job of the plan with its expected duration in seconds (None where nothing is known)."""

    job: Job
    label: str
    timing: str
    expected: float | None


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to start: `left` are the chains of steps that the store has no result for."""

    request: Request
    plan: Plan
    store: Store
    chains: tuple[tuple[Step, ...], ...]
    done: frozenset[str]
    jobs: int

    @property
    def left(self) -> list[Step]:
        """Steps without a result in the store."""
        return [step for chain in self.chains for step in chain if step.job.key not in self.done]

    def expected_seconds(self) -> float | None:
        """Estimated time of what is left, spread over the jobs; None where a step's duration is not known."""
        seconds = [step.expected for step in self.left]
        longest = max(
            (sum(step.expected or 0 for step in chain if step.job.key not in self.done) for chain in self.chains),
            default=0.0,
        )
        known = [value for value in seconds if value is not None]
        return max(longest, sum(known) / self.jobs) if len(known) == len(seconds) else None


def choose_task(provider: Plugin, name: str | None) -> Plugin:
    """The named task, else the provider's home task, else the first that its annotations suit (a first choice before
    others)."""
    if name is not None:
        return find_task(name)
    said = describe(provider).values
    if said.get("home_task"):
        return find_task(str(said["home_task"]))
    produces = said.get("produces") or []
    tasks = sorted(plugins(TASKS).values(), key=lambda plugin: not describe(plugin).values.get("first_choice"))
    for plugin in tasks:
        if set(describe(plugin).values.get("needs") or []) <= set(produces):
            return plugin
    raise InputError(
        f"no task suits {provider.name}, which produces {', '.join(produces) or 'nothing'}; name one with --task"
    )


def resolve_device(device: str) -> str:
    """`auto` is a CUDA device where the driver shows one, else the CPU."""
    if device == "auto":
        return "cuda" if Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidia0").exists() else "cpu"
    if device.split(":")[0] not in ("cpu", "cuda", "mps"):
        raise InputError(f"unknown device '{device}': expected cpu, cuda, cuda:N, mps or auto")
    return device


def _ask_provider(request: Request, store: Store, pairs: Sequence[tuple[str, str]], plugin: Plugin) -> dict[str, Any]:
    """Settings and annotations of a provider, from a process of its own (so that no provider code runs here).

    Kept by the digest of its code, unless a setting names a file, whose content may change.
    """
    key = digest.of_json([plugin.code_digest(), digest.of_packages(), request.preset, pairs])
    kept = store.root / "described" / f"{key}.json"
    if kept.is_file():
        try:
            return dict(json.loads(kept.read_text(encoding="utf-8")))
        except ValueError:
            kept.unlink()
    job = Job(
        kind="describe",
        store=str(store.root),
        outcome=str(store.root / "outcomes" / f"{uuid.uuid4().hex}.json"),
        provider=plugin.spec,
        preset=request.preset,
        overrides=[list(pair) for pair in pairs],
    )
    outcome = run_job(job, time_limit=300)
    if outcome.error:
        raise InputError(outcome.error)
    if outcome.value["settings"] == outcome.value["keyed"]:
        write_text(kept, digest.canonical_json(outcome.value))
    return dict(outcome.value)


def _task_of(request: Request, plugin: Plugin, pairs: Sequence[tuple[str, str]]) -> Task:
    cls = plugin.load()
    if request.preset not in cls.presets:
        raise unknown("preset", request.preset, cls.presets)
    return cls(override(cls.presets[request.preset], pairs, plugin.name))


def _arms(names_given: Sequence[str]) -> list[ArmName] | None:
    if not names_given:
        return None
    known = {arm.value: arm for arm in ArmName}
    for name in names_given:
        if name not in known:
            raise unknown("arm", name, known)
    return [known[name] for name in names_given]


def prepare(request: Request, progress: Progress | None = None) -> Prepared:
    """Check everything that can be checked before work begins, and plan. InputError in one line; nothing is changed."""
    if request.preset not in PRESETS:
        raise unknown("preset", request.preset, PRESETS)
    if request.seeds < 1:
        raise InputError(f"--seeds: expected at least 1, found {request.seeds}")
    provider_plugin = find_provider(request.provider)
    task_plugin = choose_task(provider_plugin, request.task)
    pairs = parse_pairs(request.overrides)
    task_pairs = [(k.removeprefix(TASK_PREFIX), v) for k, v in pairs if k.startswith(TASK_PREFIX)]
    provider_pairs = [(k, v) for k, v in pairs if not k.startswith(TASK_PREFIX)]
    task = _task_of(request, task_plugin, task_pairs)
    arms = _arms(request.arms)
    device = resolve_device(request.device)
    store = Store(home() / "store")
    told = _ask_provider(request, store, provider_pairs, provider_plugin)
    external = bool(provider_plugin.argument)
    label_by = choose_label_by(request.label_by, provider_plugin.name, told["produces"], task, external=external)
    name = request.data or task.default_data
    settings = task.settings
    plan = make_plan(
        task=task,
        task_plugin=task_plugin,
        provider_plugin=provider_plugin,
        provider_settings=told["settings"],
        provider_keyed=told["keyed"],
        data=find_dataset(name, settings.resolution, progress),
        fit_data=find_dataset(name, settings.fit_resolution, progress),
        preset=request.preset,
        seeds=range(request.seeds),
        arms=arms,
        device=device,
        label_by=label_by,
    )
    chains = _chains(request, plan, store)
    every = {step.job.key: step.job for chain in chains for step in chain}
    done = frozenset(key for key, job in every.items() if step_done(job))
    return Prepared(request, plan, store, chains, done, _job_count(request, plan))


def choose_label_by(
    asked: str | None, provider: str, produces: Sequence[str], task: Task, *, external: bool = False
) -> LabelBy:
    """Native where the provider makes what the task needs; a generator of films alone is taught by the REAL model, unless
    the user asks otherwise; a generator of other annotations must be asked for it. An `external` one, a folder or a
    program, may hold films alone: nobody knows before it is asked, so the user says."""
    needed = task.needs.value
    if asked is not None and asked not in set(LabelBy):
        raise unknown("--label-by", asked, [LabelBy.PER_CLASS.value, LabelBy.TEACHER.value])
    if needed in produces and not (external and asked == LabelBy.TEACHER):
        if asked not in (None, LabelBy.NATIVE):
            raise InputError(f"{provider} makes {needed} itself; --label-by is for generators that do not")
        return LabelBy.NATIVE
    if asked == LabelBy.NATIVE or (asked is None and produces):
        ways = "teacher (the REAL model annotates)"
        if task.needs is Annotation.LABELS:
            ways += " or per_class (a generator per finding)"
        raise InputError(
            f"{provider} produces {', '.join(produces) or 'films alone'}, but {task.name} needs {needed}; "
            f"--label-by {ways} lets it take part"
        )
    if asked == LabelBy.PER_CLASS and task.needs is not Annotation.LABELS:
        raise InputError(f"--label-by per_class gives labels, but {task.name} needs {needed}; use --label-by teacher")
    if asked != LabelBy.PER_CLASS and type(task).annotate is Task.annotate:
        raise InputError(f"{provider} makes no {needed}, and the models of {task.name} cannot annotate films for it")
    return LabelBy(asked or LabelBy.TEACHER)


def _job_count(request: Request, plan: Plan) -> int:
    if request.jobs is not None:
        if request.jobs < 1:
            raise InputError(f"--jobs: expected at least 1, found {request.jobs}")
        return request.jobs
    if not plan.device.startswith("cpu"):
        return 1
    return max(1, (os.cpu_count() or 1) // plan.task.settings.threads)


def _chains(request: Request, plan: Plan, store: Store) -> tuple[tuple[Step, ...], ...]:
    """Steps grouped by what needs each other: all arms of one fold, size and seed that use the provider are one chain,
    every other cell is a chain of its own. Long chains first."""
    timings = Timings.read(home() / "timings.json")
    groups: dict[tuple[str, str, int], list[PlannedCell]] = {}
    single: list[tuple[Step, ...]] = []
    for cell in plan.cells:
        if cell.synthetic_key is None:
            single.append((_step(request, plan, store, cell, "cell", timings),))
        else:
            groups.setdefault((cell.slot.fold, cell.slot.size, cell.seed), []).append(cell)
    order = list(ArmName)
    chains: list[tuple[Step, ...]] = []
    taught: set[str] = set()
    for cells in groups.values():
        cells.sort(key=lambda cell: order.index(cell.slot.arm))
        steps = [_step(request, plan, store, cells[0], "synthesise", timings)]
        if cells[0].teacher_key is not None:
            teacher = _cell_of(cells[0], cells[0].teacher_key, ArmName.REAL)
            steps.insert(0, _step(request, plan, store, teacher, "cell", timings))
            taught.add(teacher.key)
        steps += [_step(request, plan, store, cell, "cell", timings) for cell in _with_starts(plan, cells)]
        chains.append(tuple(steps))
    return tuple(chains + [chain for chain in single if chain[0].job.key not in taught])


def _with_starts(plan: Plan, cells: Sequence[PlannedCell]) -> list[PlannedCell]:
    """The cells of a chain; a finetune cell that was asked for alone gets the synthetic cell it starts from before it."""
    keys = {cell.key for cell in cells}
    found = []
    for cell in cells:
        if cell.start_key is not None and cell.start_key not in keys:
            found.append(_cell_of(cell, cell.start_key, ArmName.SYNTHETIC))
        found.append(cell)
    return found


def _cell_of(cell: PlannedCell, key: str, arm: ArmName) -> PlannedCell:
    """The cell of another arm that a cell needs, where it was not asked for."""
    slot = replace(cell.slot, arm=arm)
    if arm.uses_provider:
        identity = cell.identity.model_copy(update={"arm": arm.value})
        return replace(cell, key=key, slot=slot, identity=identity, start_key=None)
    return PlannedCell(key, slot, cell.seed, cell.identity.model_copy(update={"arm": arm.value, "provider": None}))


def _step(request: Request, plan: Plan, store: Store, cell: PlannedCell, kind: str, timings: Timings) -> Step:
    provider = plan.provider.name if cell.synthetic_key is not None else ""
    what = provider if kind == "synthesise" else cell.slot.arm.value
    key = str(cell.synthetic_key) if kind == "synthesise" else cell.key
    if provider:
        provider += f"/{plan.provider.label_by}"
    parts = (kind, provider, plan.task.name, plan.data.info.name, plan.preset, cell.slot.size, cell.slot.arm.value)
    timing = "/".join((*parts, plan.device.split(":")[0]))
    source = describe(plan.provider_plugin if kind == "synthesise" else plan.task_plugin).values
    job = Job(
        kind=kind,
        store=str(store.root.resolve()),
        outcome=str(store.root.resolve() / "outcomes" / f"{key}-{uuid.uuid4().hex[:8]}.json"),
        progress=str(store.root.resolve() / "progress" / f"{key}.json"),
        provider=portable(plan.provider_plugin),
        provider_settings=dict(plan.provider_settings),
        preset=plan.preset,
        task=portable(plan.task_plugin),
        task_settings=plain(plan.task.settings),
        data=str(plan.data.folder),
        fit_data=str(plan.fit_data.folder),
        fold=cell.slot.fold,
        size=cell.slot.size,
        arm=cell.slot.arm.value,
        seed=cell.seed,
        device=plan.device,
        threads=plan.task.settings.threads,
        key=key,
        fit_key=cell.fit_key,
        synthetic_key=cell.synthetic_key,
        start_key=cell.start_key,
        teacher_key=cell.teacher_key,
        label_by=plan.provider.label_by,
        identity=cell.identity.model_dump(mode="json"),
    )
    label = f"{'fit ' if kind == 'synthesise' else ''}{what} {cell.slot.size}"
    if any(other.slot.fold != cell.slot.fold for other in plan.cells):
        label += f" fold {cell.slot.fold}"
    if len(plan.seeds) > 1:
        label += f" seed {cell.seed}"
    return Step(job, label, timing, timings.expect(timing, source.get("reference_seconds") or {}, plan.preset))


def portable(plugin: Plugin) -> str:
    """The spec by which another process finds the same provider, whatever its working folder."""
    if plugin.file is not None:
        return f"{plugin.file}:{plugin.attribute}"
    if plugin.argument and plugin.spec.startswith("folder:"):
        return f"folder:{plugin.argument}"
    return plugin.spec


def execute(prepared: Prepared) -> Iterator[Outcome]:
    """Do what is left and yield the outcome of every step as its chain ends."""
    chains = [
        [step.job for step in chain]
        for chain in prepared.chains
        if any(step.job.key not in prepared.done for step in chain)
    ]
    if not chains:
        return
    request = prepared.request
    limit = request.time_limit or PRESETS[request.preset]
    for outcomes in run_chains(
        chains, jobs=prepared.jobs, engine=request.engine, address=request.address, time_limit=limit
    ):
        yield from outcomes


def remember(prepared: Prepared, store: Store) -> None:
    """Keep how long the steps of this run took, for later estimates."""
    timings = Timings.read(home() / "timings.json")
    for step in prepared.left:
        folder = store.path(Level.SYNTHETIC if step.job.kind == "synthesise" else Level.RECORDS, step.job.key)
        try:
            if step.job.kind == "synthesise":
                fit = json.loads((store.path(Level.FITS, str(step.job.fit_key)) / "fit.json").read_bytes())
                made = json.loads((folder / "synthetic.json").read_bytes())
                timings.add(step.timing, fit["seconds"] + made["seconds"])
            else:
                timings.add(step.timing, store.record(step.job.key).downstream.seconds)
        except (OSError, CxrbenchError):
            continue  # the step failed: nothing to remember
