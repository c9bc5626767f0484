"""The steps of a plan in chains: what needs each other, in order, with the time each is expected to take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..contracts.task import ArmName
from ..data.dataset import Dataset
from ..errors import CxrbenchError, InputError
from ..home import home
from ..registry import Plugin
from ..settings import plain
from .job import Cell, Fitting, Step, Synthesise, Train, Work
from .plan import Plan
from .store import Store
from .timings import Timings

Chain = tuple[Step, ...]


@dataclass(frozen=True)
class Schedule:
    """All steps of a plan. `expected`: seconds of a step by its key, None where nothing is known."""

    chains: tuple[Chain, ...]
    expected: Mapping[str, float | None]

    @classmethod
    def of(cls, plan: Plan, store: Store) -> Schedule:
        """Steps grouped by what needs each other: all arms of one fold, size and seed that use the provider are one chain,
        every other cell is a chain of its own. REAL first, as in the table; then what ranks, that its numbers may be read
        while the rest is done; then long chains."""
        chains = _Builder(plan, store).chains()
        timings = Timings.read(home() / "timings.json")
        expected = {step.key: expected_of(step, plan, timings) for chain in chains for step in chain}
        return cls(chains, expected)

    @property
    def steps(self) -> list[Step]:
        """All steps, chain by chain."""
        return [step for chain in self.chains for step in chain]

    def fits_of_first_size(self, plan: Plan) -> tuple[Synthesise, ...]:
        """The steps that fit the provider at the size its plan names first, the task's largest; one a seed and fold. What
        is done first is another matter."""
        sizes = [cell.slot.size for cell in plan.cells if cell.synthetic_key is not None]
        steps = (step for step in self.steps if isinstance(step, Synthesise))
        return tuple(step for step in steps if step.cell.slot.size == sizes[0])


@dataclass(frozen=True)
class _Builder:
    plan: Plan
    store: Store

    @cached_property
    def headline(self) -> tuple[ArmName, str] | None:
        return headline_of(self.plan)

    def chains(self) -> tuple[Chain, ...]:
        groups: dict[tuple[str, str, int], list[Cell]] = {}
        started: dict[str, list[Cell]] = {}
        for cell in self.plan.cells:
            if cell.synthetic_key is None:
                started.setdefault(cell.start_key or cell.key, []).append(cell)
            else:
                groups.setdefault((cell.slot.fold, cell.slot.size, cell.seed), []).append(cell)
        provided = [self.provided(cells) for cells in sorted(groups.values(), key=lambda cells: not self.ranks(cells))]
        taught = {cells[0].teacher_key for cells in groups.values()}
        alone = [tuple(self.trained(_by_arm(cells))) for cells in started.values()]
        alone = [chain for chain in alone if chain[0].key not in taught]
        alone.sort(key=len, reverse=True)
        real = [chain for chain in alone if chain[0].cell.arm == ArmName.REAL]
        copies = [chain for chain in alone if chain[0].cell.arm != ArmName.REAL]
        if not provided:  # a curve
            return (*real, *copies)
        first = [chain for chain in copies if self.ranks([step.cell for step in chain])]
        begun = [chain for chain in provided if self.ranks([step.cell for step in chain])]
        return (*real, *begun, *first, *provided[len(begun) :], *(chain for chain in copies if chain not in first))

    def ranks(self, cells: Sequence[Cell]) -> bool:
        """Whether the headline is among them."""
        return any((cell.slot.arm, cell.slot.size) == self.headline for cell in cells)

    def provided(self, cells: Sequence[Cell]) -> Chain:
        """The teacher where one is needed, the films, and the cells that use them."""
        cells = _by_arm(cells)
        steps: list[Step] = []
        if cells[0].teacher_key is not None:
            steps.append(self.train(_other_arm(cells[0], cells[0].teacher_key, ArmName.REAL)))
        by_films: dict[str | None, list[Cell]] = {}
        for cell in cells:
            by_films.setdefault(cell.synthetic_key, []).append(cell)
        for number, same in enumerate(by_films.values()):  # the first fits, the others sample what it has fitted
            what = f"{'sample' if number else 'fit'} {self.plan.provider.name}"
            count = same[0].identity.synthetic
            label = self.label(same[0], what if count is None else f"{what} ({count})")
            steps.append(Synthesise(work=self.work, cell=same[0], label=label))
            steps += self.trained(same)
        return tuple(steps)

    def trained(self, cells: Sequence[Cell]) -> Iterator[Train]:
        """The cells in order. A finetune cell that was asked for alone gets the synthetic cell it starts from before it."""
        keys = {cell.key for cell in cells}
        for cell in cells:
            if cell.start_key is not None and cell.start_key not in keys:
                yield self.train(_other_arm(cell, cell.start_key, ArmName.SYNTHETIC))
            yield self.train(cell)

    def train(self, cell: Cell) -> Train:
        return Train(work=self.work, cell=cell, label=self.label(cell, cell.arm.replace("_", " ")))

    def label(self, cell: Cell, what: str) -> str:
        label = f"{what} {cell.slot.size}"
        if any(other.slot.fold != cell.slot.fold for other in self.plan.cells):
            label += f" fold {cell.slot.fold}"
        return label + (f" seed {cell.seed}" if len(self.plan.seeds) > 1 else "")

    @property
    def work(self) -> Work:
        return work_of(self.plan, self.store)


def headline_of(plan: Plan) -> tuple[ArmName, str] | None:
    """The arm and size by which the task of a plan ranks, the first size with that arm where the films do not have the
    task's; None where no such arm is planned."""
    said = plan.task.headline
    sizes = [cell.slot.size for cell in plan.cells if said is not None and cell.slot.arm is said.arm]
    if said is None or not sizes:
        return None
    return said.arm, said.size if said.size in sizes else sizes[0]


def work_of(plan: Plan, store: Store) -> Work:
    """What every step of a plan needs."""
    generator = plan.generator
    return Work(
        store=store.root.resolve(),
        data=_folder(plan.data),
        fit_data=_folder(plan.fit_data),
        task=portable(plan.task_plugin),
        task_settings=plain(plan.task.settings),
        provider="" if generator is None else portable(generator.plugin),
        provider_settings={} if generator is None else dict(generator.settings),
        preset=plan.preset,
        device=plan.device,
        threads=plan.task.settings.threads,
    )


def _by_arm(cells: Sequence[Cell]) -> list[Cell]:
    """Cells in the order of their arms: what finetune starts from before it."""
    order = list(ArmName)
    return sorted(cells, key=lambda cell: order.index(cell.slot.arm))


def _folder(films: Dataset) -> Path:
    if films.folder is None:
        raise InputError(f"dataset {films.info.name} lies in no folder: save it, then name the folder")
    return films.folder


def _other_arm(cell: Cell, key: str, arm: ArmName) -> Cell:
    """The cell of another arm that a cell needs, where it was not asked for."""
    if arm.uses_provider:
        identity = cell.identity.model_copy(update={"arm": arm.value})
        return cell.model_copy(update={"key": key, "identity": identity, "start_key": None})
    return Cell(key=key, identity=cell.identity.model_copy(update={"arm": arm.value, "provider": None}))


def timing_name(step: Step, steps: int = 0) -> str:
    """Under which name the duration of a step is remembered. `steps`: as if its training had so many."""
    cell, provider = step.cell.identity, ""
    if step.cell.synthetic_key is not None and cell.provider is not None:
        provider = f"{cell.provider.name}/{cell.provider.label_by}"
    words = [step.kind, provider, cell.task.name, cell.data.name, cell.preset, cell.size, step.cell.arm, cell.device]
    if isinstance(step, Train) and (steps := steps or _whole(cell.task.settings.get("steps"))):
        words.append(f"{steps} steps")
    return "/".join(words)


def expected_of(step: Step, plan: Plan, timings: Timings) -> float | None:
    """Seconds; of a training of other steps than at its preset their share of what those take, unless it is remembered."""
    if isinstance(step, Synthesise) and plan.generator is not None:
        return timings.expect(timing_name(step), plan.generator.reference_seconds, plan.preset)
    reference, name = plan.task.reference_seconds, timing_name(step)
    preset = plan.task.presets.get(plan.preset)
    asked, usual = (_whole(getattr(one, "steps", 0)) for one in (plan.task.settings, preset))
    if name in timings.seconds or asked == usual or not (asked and usual):
        return timings.expect(name, reference, plan.preset)
    whole = timings.expect(timing_name(step, usual), reference, plan.preset)
    return None if whole is None else whole * asked / usual


def _whole(steps: object) -> int:
    """A number of steps; 0 for a task that counts otherwise."""
    return steps if isinstance(steps, int) else 0


def remember(steps: Sequence[Step], store: Store) -> None:
    """Keep how long steps took, for later estimates."""
    timings = Timings.read(home() / "timings.json")
    for step in steps:
        try:
            if isinstance(step, Fitting):
                continue  # without sampling
            if isinstance(step, Synthesise):
                seconds = store.fit(str(step.cell.fit_key)).seconds + store.sampled(step.key).seconds
            else:
                seconds = store.record(step.key).downstream.seconds
        except CxrbenchError:
            continue  # the step failed: nothing to remember
        timings.add(timing_name(step), seconds)


def portable(plugin: Plugin) -> str:
    """The spec by which another process finds the same provider, whatever its working folder."""
    if plugin.file is not None:
        return f"{plugin.file}:{plugin.attribute}"
    if plugin.kind:
        return f"{plugin.spec.partition(':')[0]}:{plugin.argument}"
    return plugin.spec
