"""A run: from what the user asked for to a plan, chains of steps, and results. Knows no provider and no metric by name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..contracts.label_by import LabelBy
from ..contracts.task import ArmName, Task
from ..data.catalogue import find_dataset
from ..data.dataset import Annotation, Dataset
from ..disk import free
from ..errors import CxrbenchError, InputError, unknown
from ..progress import Progress
from ..registry import TASKS, Plugin, find_task, plugins
from ..settings import override, parse_pairs
from .asked import ask_provider
from .chains import Outcome, run_chains, step_done
from .chosen import known_trainings, named, parse_keep, require_kept
from .cluster import check_engine
from .examine import Said, task_class
from .few_films import few_films, few_rows
from .further import Further, further_set
from .job import Step
from .limits import check_numbers
from .lock import working
from .named_provider import named_provider
from .needed_packages import check_packages
from .own_store import home_store
from .plan import Plan, check_films, few_sizes, make_curve_plan, make_plan
from .schedule import Schedule
from .smoke import FILMS, STEPS, smoke_of
from .store import Store

PRESETS = {"quick": 1800.0, "standard": 86400.0, "paper": 7 * 86400.0}
"""The presets, with the seconds one step may take before it is stopped."""
TASK_PREFIX = "task."
ENTRY = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
"""The names that an entry of the leaderboard may have."""


@dataclass(frozen=True, kw_only=True)
class Common:
    """What a user asked for, of a run or of a curve."""

    data: str | None = None
    preset: str = "quick"
    overrides: tuple[str, ...] = ()
    seeds: int = 1
    arms: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    """The sizes of the task; all of them where none is named."""
    device: str = "cpu"
    jobs: int | None = None
    engine: str = "processes"
    address: str | None = None
    time_limit: float | None = None
    smoke: bool = False
    """Whether every training is cut to a handful of steps, to see that all of it starts and finishes (`smoke`)."""
    verify: bool = False
    """Whether all files of the films are read, though nothing looks changed (`data.unchanged`)."""


@dataclass(frozen=True, kw_only=True)
class Request(Common):
    """What a user asked for of a provider."""

    provider: str
    task: str | None = None
    label_by: str | None = None
    entry: str = ""
    """The leaderboard's entry that the seeds of fits and samples come from: its name, or its folder."""
    ratios: tuple[str, ...] = ()
    """Synthetic films to real ones at the headline size, `4:1`: cells beside those of the task's own number."""
    keep: tuple[str, ...] = ()
    """Steps of the provider's trainings that a person chose by eye, as `chosen.parse_keep` reads them."""
    also_test: tuple[str, ...] = ()
    """Further real sets that the models are tested on, by name or folder (`further`): no part of any key."""
    groups: tuple[str, ...] = ()
    """Columns of cases that test films are told apart by, each group with its own score: no part of any key."""


@dataclass(frozen=True, kw_only=True)
class CurveRequest(Common):
    """What a user asked for of a task's curve."""

    task: str


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to start: `done` are the keys of the steps that the store has a result for."""

    request: Common
    plan: Plan
    store: Store
    schedule: Schedule
    done: frozenset[str]
    jobs: int
    further: tuple[Further, ...] = ()

    @property
    def left(self) -> list[Step]:
        """Steps without a result in the store."""
        return [step for step in self.schedule.steps if step.key not in self.done]

    def expected_seconds(self) -> float | None:
        """Estimated time of what is left, spread over the jobs; None where a step's duration is not known."""
        known = None not in (self.schedule.expected[step.key] for step in self.left)
        return self.least_seconds() if known else None

    def least_seconds(self) -> float:
        """As `expected_seconds`, of the steps whose duration is known."""
        seconds = {step.key: self.schedule.expected[step.key] or 0.0 for step in self.left}
        longest = max(
            (sum(seconds.get(step.key, 0.0) for step in chain) for chain in self.schedule.chains), default=0.0
        )
        return max(longest, sum(seconds.values()) / self.jobs)


def divided(overrides: Sequence[str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The pairs of `--set` for the task and those for the provider."""
    pairs = parse_pairs(overrides)
    of_task = [(key.removeprefix(TASK_PREFIX), value) for key, value in pairs if key.startswith(TASK_PREFIX)]
    return of_task, [(key, value) for key, value in pairs if not key.startswith(TASK_PREFIX)]


def choose_task(provider: Plugin, said: Said, name: str | None) -> Plugin:
    """The named task, else the provider's home task, else the first that its annotations suit (a first choice before
    others)."""
    if name or said.home_task:
        return find_task(name or said.home_task)
    known = []
    for plugin in plugins(TASKS).values():
        with suppress(CxrbenchError):  # one of another package that cannot be used: the others can
            known.append((plugin, task_class(plugin)))
    for plugin, cls in sorted(known, key=lambda one: not one[1].first_choice):
        if cls.needs.value in said.produces:
            return plugin
    raise InputError(
        f"no task suits {provider.name}, which produces {', '.join(said.produces) or 'films alone'}; name one with --task"
    )


def resolve_device(device: str) -> str:
    """`auto` is a CUDA device where the driver shows one, else the CPU."""
    if device == "auto":
        return "cuda" if Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidia0").exists() else "cpu"
    if device.split(":")[0] not in ("cpu", "cuda", "mps"):
        raise InputError(f"unknown device '{device}': expected cpu, cuda, cuda:N, mps or auto")
    return device


def chosen_task(request: Common, plugin: Plugin, pairs: Sequence[tuple[str, str]]) -> Task:
    cls = task_class(plugin)
    if request.preset not in cls.presets:
        raise unknown("preset", request.preset, cls.presets)
    try:
        return cls(override(cls.presets[request.preset], pairs, plugin.name))
    except InputError as error:
        several = next((f"--set {TASK_PREFIX}{key}={text}" for key, text in pairs if "," in text), "")
        more = f"; for several values side by side: cxrbench models --task {plugin.name} {several}" if several else ""
        raise InputError(f"{error}{more}") from None


def smoked(task: Task) -> Task:
    """A task of a smoke run."""
    return type(task)(task.smoke(task.settings, STEPS, films=FILMS))


def chosen_arms(names_given: Sequence[str]) -> list[ArmName] | None:
    if not names_given:
        return None
    known = {arm.value: arm for arm in ArmName}
    for name in names_given:
        if name not in known:
            raise unknown("arm", name, known)
    return [known[name] for name in names_given]


def prepare(request: Request, progress: Progress | None = None, *, made_now: bool = False) -> Prepared:
    """Check everything that can be checked before work begins, and plan. InputError in one line; nothing is changed. Fits
    that a person chose must be in the store, unless they are `made_now`."""
    check_counts(request)
    provider_plugin = named_provider(request.provider)
    task_plugin = None if request.task is None else find_task(request.task)
    task_pairs, provider_pairs = divided(request.overrides)
    arms = chosen_arms(request.arms)
    device = resolve_device(request.device)
    store = home_store()
    ask = partial(ask_provider, provider_plugin, request.preset, provider_pairs, store)
    if task_plugin is None or not request.smoke:  # each time it is asked is a process with torch
        said = ask()
        task_plugin = choose_task(provider_plugin, said, request.task)
    task = chosen_task(request, task_plugin, task_pairs)
    if request.smoke:
        task = smoked(task)
        said = ask(smoke_side=task.settings.fit_resolution)
    external = bool(provider_plugin.argument)
    label_by = choose_label_by(request.label_by, provider_plugin.name, said.produces, task, external=external)
    name = request.data or task.default_data
    settings, kept = task.settings, parse_keep(request.keep)
    if kept and request.entry:
        raise InputError(
            "--keep with --entry: an entry's fits are what its code makes of a seed; a person's choice is not"
        )
    data = find_dataset(name, settings.resolution, progress, verify=request.verify)
    fit_data = find_dataset(name, settings.fit_resolution, progress, verify=request.verify)
    check_groups(request.groups, data)
    whole = data
    if request.smoke:
        rows = few_rows(data, task.needs, request.groups)
        data, fit_data = few_films(data, rows), few_films(fit_data, rows)
    planned = partial(
        make_plan,
        task=task,
        task_plugin=task_plugin,
        provider_plugin=provider_plugin,
        said=said,
        data=data,
        fit_data=fit_data,
        films=len(whole),
        preset=smoke_of(request.preset) if request.smoke else request.preset,
        seeds=range(request.seeds),
        arms=arms,
        device=device,
        label_by=label_by,
        entry=entry_name(request.entry),
        ratios=[_ratio(text) for text in request.ratios],
        sizes=few_sizes(task, whole, data, request.sizes),
    )
    plan = planned()
    if kept:
        plan = planned(kept=named(kept, known_trainings(plan, store)))
        if not made_now:
            require_kept(plan, store)
    further = tuple(further_set(plan.task, data, one, progress) for one in request.also_test)
    prepared = replace(prepared_plan(request, plan, store), further=further)
    if any(step.cell.identity.provider is not None for step in prepared.left):
        check_packages(provider_plugin.source(), f"provider {provider_plugin.name}")
    return prepared


def check_groups(columns: Sequence[str], data: Dataset) -> None:
    """InputError for a column that the films have not."""
    for name in columns:
        if name not in data.cases:
            known = [str(one) for one in data.cases if one not in ("id", "patient", "source_ids")]
            raise unknown(f"column of {data.info.name}", name, known)


def prepare_curve(request: CurveRequest, progress: Progress | None = None) -> Prepared:
    """The same for a task's curve: the placebos of the arms asked for (the headline's and the one of synthetic films alone,
    where the task has them) at every size. InputError for a task or films without nested sizes, and for a size out of
    range."""
    check_counts(request)
    task_plugin = find_task(request.task)
    task_pairs, others = divided(request.overrides)
    if others:
        raise InputError(f"--set {others[0][0]}: a curve has no provider; expected task.key=value")
    task = chosen_task(request, task_plugin, task_pairs)
    name, settings = request.data or task.default_data, task.settings
    data = find_dataset(name, settings.resolution, progress, verify=request.verify)
    check_films(task, data)
    known = tuple(task.curve_sizes(data))
    if len(known) < 2 and not request.sizes:
        raise InputError(
            f"{task.name}: {data.info.name} is too small for a curve: it has the sizes {', '.join(known) or 'none'}"
        )
    arms = chosen_arms(request.arms) or curve_arms(task, data)
    if wrong := [arm for arm in arms if not arm.uses_provider]:
        raise InputError(f"--arms {wrong[0]}: a curve is of arms with synthetic films, which copies stand for")
    plan = make_curve_plan(
        task=task,
        task_plugin=task_plugin,
        data=data,
        fit_data=find_dataset(name, settings.fit_resolution, progress, verify=request.verify),
        preset=request.preset,
        seeds=range(request.seeds),
        sizes=request.sizes or known,
        arms=arms,
        device=resolve_device(request.device),
    )
    return prepared_plan(request, plan, home_store())


def curve_arms(task: Task, data: Dataset) -> list[ArmName]:
    """The arms whose worth is read: the headline's, and that of synthetic films alone where the task has it."""
    planned = dict.fromkeys(slot.arm for slot in task.slots(data))
    headline = next((arm for arm in planned if arm.uses_provider), None) if task.headline is None else task.headline.arm
    return [arm for arm in ArmName if arm is headline or (arm is ArmName.SYNTHETIC and arm in planned)]


def check_counts(request: Common) -> None:
    """InputError for a preset, a number of seeds or seconds, or an engine that cannot be, before any work, and where none is
    done."""
    check_engine(request.engine, request.address)
    if request.preset not in PRESETS:
        raise unknown("preset", request.preset, PRESETS)
    check_numbers(seeds=request.seeds, jobs=request.jobs, seconds=request.time_limit)


def prepared_plan(request: Common, plan: Plan, store: Store) -> Prepared:
    schedule = Schedule.of(plan, store)
    every = {step.key: (step, chain) for chain in schedule.chains for step in chain}
    done = frozenset(key for key, (step, chain) in every.items() if step_done(step, chain))
    _check_room([step for key, (step, _) in every.items() if key not in done], plan, store)
    return Prepared(request, plan, store, schedule, done, _job_count(request, plan))


def _check_room(left: Sequence[Step], plan: Plan, store: Store) -> None:
    """InputError where the disk has no room for the pixels of the synthetic films, or copies, of one step that is left."""
    side, room = plan.data.resolution, free(store.root)
    cells = [step.cell for step in left if step.cell.slot.arm.uses_provider]
    most = max((cell.synthetic_count(plan.task, plan.data) for cell in cells), default=0)
    if (needed := most * side * side) > room:
        raise InputError(
            f"{most:,} synthetic films of {side} x {side} pixels take {needed / 1e9:,.1f} GB, but {store.root} has "
            f"{room / 1e9:,.1f} GB free; ask for fewer (task.synthetic, --ratios) or set CXRBENCH_HOME to a larger disk"
        )


def entry_name(text: str) -> str:
    """The name of an entry, from itself or from its folder. InputError for what can be none."""
    name = Path(text).name if text else ""
    if text and not ENTRY.fullmatch(name):
        raise InputError(f"--entry {text}: expected the name or folder of an entry: small letters, digits, '_' and '-'")
    return name


def _ratio(text: str) -> float:
    """Synthetic films for each real one, from `4:1`, `1:4` or `4`."""
    synthetic, _, real = text.partition(":")
    try:
        ratio = float(synthetic) / float(real or 1)
    except (ValueError, ZeroDivisionError):
        ratio = 0.0
    if not 0 < ratio < 1000:
        raise InputError(f"--ratios {text}: expected synthetic films to real ones, like 4:1 or 1:4")
    return ratio


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


def _job_count(request: Common, plan: Plan) -> int:
    if request.jobs is not None:
        return request.jobs
    if not plan.device.startswith("cpu"):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(plan.task.settings.threads))


def execute(prepared: Prepared) -> Iterator[Outcome]:
    """Do what is left and yield the outcome of every step as its chain ends."""
    chains = [chain for chain in prepared.schedule.chains if any(step.key not in prepared.done for step in chain)]
    if not chains:
        return
    request = prepared.request
    limit = request.time_limit or PRESETS[request.preset]
    with working(prepared.store.root):
        for outcomes in run_chains(
            chains, jobs=prepared.jobs, engine=request.engine, address=request.address, time_limit=limit
        ):
            yield from outcomes
