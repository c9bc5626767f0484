"""The regression check: are the reproduced numbers still what this code gives? (`cxrbench regress`)

Two tiers on the numbers of `numbers`, and one on `fingerprints`:
- re-scoring: every kept number is computed again from the committed predictions, exact to 1e-6, in seconds, by every CI run;
- a rerun of a part (one system, size and seed) in a store of its own: bit for bit where machine, packages and threads are
  those that the numbers were made on, else within each number's tolerance. Which part is a function of an index (a day, a
  CI run's number) alone; every part has its turn before one comes again.
A number without a counterpart, a system without kept numbers and a comparison of nothing are failures, too.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...benchmark.contracts.task import ArmName
from ...benchmark.errors import InputError, unknown
from ...benchmark.metrics.scores import finite
from ...benchmark.results.rows import Results, SeedValue, Status
from ...benchmark.runs.record import DataIdentity, Environment
from ..arms import REAL, is_shared, parsed
from ..checks.subject import Sources, Subject
from ..entry import Entry, EntryRun, load_entries
from ..films import films_moved
from .numbers import Kept, Number, Place, exactly, read_kept

if TYPE_CHECKING:
    from ...benchmark.runs.request import Prepared, Step
    from ...benchmark.runs.store import Store

PRESET = "quick"
SHOWN = 5
EXACTLY = "exact to 1e-6"
BITS = "bit for bit (the machine, packages and threads of the kept values)"
WITHIN = "within tolerances (another machine, or other packages)"
NOT_RESCORED = "scores of kept predictions are the same everywhere: no processor explains it"
SAME_PROCESSOR = "on the kind of processor that they were made on, which therefore does not explain it"
OTHER_PROCESSOR = "beyond the tolerance, which is what another processor or other packages explain"


@dataclass(frozen=True)
class Verdict:
    """What became of one comparison. `tier`: rescore, rerun or fingerprint; `how`: what was asked of the numbers;
    `moved`: a sentence for each that is not what was kept; `films`: how the films differ, if they do; `why`: whether the
    processor explains moved numbers; `note`: why there was nothing to compare."""

    name: str
    tier: str
    compared: int
    how: str = ""
    moved: tuple[str, ...] = ()
    films: str = ""
    why: str = ""
    note: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing moved."""
        return not (self.moved or self.films)

    @property
    def summary(self) -> str:
        """One line: which of the two things moved, and whether the processor explains it."""
        if self.passed:
            return ""
        numbers = "numbers moved" if self.moved else "no number moved"
        why = f" ({self.why})" if self.moved and self.why else ""
        return f"{self.films or 'films: the same'}; {numbers}{why}"

    def to_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return asdict(self) | {"passed": self.passed, "summary": self.summary}

    def lines(self) -> Iterator[str]:
        """What the terminal shows."""
        state = "ok" if self.passed else "MOVED"
        yield f"{state:<6} {self.tier:<12} {self.name}: {self.note or f'{self.compared} numbers, {self.how}'}"
        if not self.passed:
            yield f"       {self.summary}"
        yield from (f"       {words}" for words in self.moved[:SHOWN])
        if len(self.moved) > SHOWN:
            yield f"       ... and {len(self.moved) - SHOWN} more"


# ------------------------------------------------------------------------------------------------------------ re-scoring


@dataclass(frozen=True)
class Reproduced:
    """A run of an entry whose division is `reproduced`."""

    entry: Entry
    run: EntryRun
    subject: Subject

    def values(self, arms: Iterable[str]) -> list[SeedValue]:
        """Its numbers by seed, computed from the predictions of all folds: what `results.seed_values` says."""
        import pandas as pd

        protocol, results = self.subject.protocol(self.run), self.run.results
        if protocol is None:
            raise InputError(f"{self.run.path.name}: its task is not installed with this version and these settings")
        found = []
        for (size, arm, seed), keys in _cells(results, set(arms)).items():
            parts = [self.subject.scores(self.run, key) for key in keys if key in self.run.records]
            if len(parts) < len(keys):
                continue  # a seed counts when all its folds are there
            table = protocol.task.summarise(pd.concat(parts, ignore_index=True))
            for metric, structure, value in zip(table["metric"], table["structure"], table["value"], strict=True):
                if (number := finite(value)) is not None:
                    place = Place(size, arm, str(metric), str(structure))
                    found.append(SeedValue(**place._asdict(), seed=seed, value=number))
        return found

    def films_moved(self) -> str | None:
        """How the films differ from those that the predictions are of; None where they do not, or are not at hand."""
        protocol = self.subject.protocol(self.run)
        if protocol is None or protocol.films is None or protocol.fit_films is None:
            return None
        moved = films_moved(self.run.results.data, protocol.films, protocol.fit_films)
        return None if moved is None else moved.words


def _cells(results: Results, arms: set[str]) -> dict[tuple[str, str, int], list[str]]:
    """The keys of the cells (of all folds) of each size, arm and seed, where all of them are done."""
    found: dict[tuple[str, str, int], list[str]] = {}
    absent = set()
    for cell in results.cells:
        if cell.arm in arms:
            found.setdefault((cell.size, cell.arm, cell.seed), []).append(cell.key)
            if cell.status is not Status.DONE:
                absent.add((cell.size, cell.arm, cell.seed))
    return {place: keys for place, keys in found.items() if place not in absent}


def reproduced_runs(root: Path, sources: Sources | None = None) -> list[Reproduced]:
    """The runs of all reproduced entries of a folder on a phantom at quick, by name; none where there is no such folder."""
    if not root.is_dir():
        return []
    found = []
    for entry in load_entries(root):
        if entry.submission.division == "reproduced":
            subject = Subject(entry, sources or Sources())
            runs = [run for run in entry.runs if is_kept(run.results)]
            found += [Reproduced(entry, run, subject) for run in runs]
    return found


def is_kept(results: Results) -> bool:
    """Whether the numbers of a run belong here: those that anyone can make again in minutes."""
    return results.preset == PRESET and results.data.phantom


def is_of(kept: Kept, one: Reproduced) -> bool:
    """Whether a file's numbers are those of a run (or of its cells without a provider)."""
    said, system = one.run.results, kept.provider
    board = (said.task.name, said.data.name, said.preset) == (kept.task, kept.data, kept.preset)
    same = system is None or (system.name, system.label_by) == (said.provider.name, said.provider.label_by)
    return board and same and one.entry.name == kept.entry


def rescore(numbers: Path, entries: Path, sources: Sources | None = None) -> list[Verdict]:
    """Compute every kept number again from the predictions of the entry that it was taken from; a verdict a file, and one
    for every reproduced run that has no file."""
    files, runs = read_kept(numbers), reproduced_runs(entries, sources)
    verdicts = [_rescored(kept, runs) for kept in files.values()]
    for one in runs:
        for what in _not_kept(one, files):
            words = f"no numbers of {what} are kept of {one.run.path.name}; take them with `cxrbench regress --update`"
            verdicts.append(Verdict(one.entry.name, "rescore", 0, EXACTLY, (words,)))
    return verdicts


def _not_kept(one: Reproduced, files: Mapping[str, Kept]) -> Iterator[str]:
    """The arms of a run that no file has numbers of."""
    arms = one.run.results.arms
    if set(arms) - {REAL} and not any(kept.provider is not None and is_of(kept, one) for kept in files.values()):
        yield "its arms"
    if REAL in arms and real_name(one.run.results.task.name) not in files:
        yield "REAL"


def _rescored(kept: Kept, runs: Sequence[Reproduced]) -> Verdict:
    start = time.perf_counter()
    if kept.entry is None:
        return Verdict(
            kept.name, "rescore", 0, note="not re-scored: the numbers of a run, whose predictions are not here"
        )
    one = next((one for one in runs if is_of(kept, one)), None)
    if one is None:
        words = f"its predictions are not there: no reproduced entry {kept.entry} with a run of {kept.task}"
        return Verdict(kept.name, "rescore", 0, EXACTLY, (words,))
    moved = []
    if (version := one.run.results.task.version) != kept.version:
        moved.append(f"the entry is of {kept.task} v{version}, the numbers are of v{kept.version}")
    found: list[SeedValue] = []
    try:
        found = one.values({number.arm for number in kept.numbers})
    except InputError as error:  # its predictions are not what its task expects, or its task is another one
        moved.append(str(error))
    seeds = {seed: place for place, seed in enumerate(kept.seeds)}
    expected = {(number.place, seed): number.values[place] for number in kept.numbers for seed, place in seeds.items()}
    again = {(_place(value), value.seed): value.value for value in found if value.seed in seeds}
    moved += _differences(expected, again)
    found_films, seconds = one.films_moved() or "", time.perf_counter() - start
    return Verdict(
        kept.name, "rescore", len(expected), EXACTLY, tuple(moved), found_films, NOT_RESCORED, seconds=seconds
    )


def _place(value: SeedValue) -> Place:
    return Place(value.size, value.arm, value.metric, value.structure)


def _differences(
    expected: Mapping[tuple[Place, int], float], found: Mapping[tuple[Place, int], float]
) -> Iterator[str]:
    places = {place for place, _ in expected}
    for (place, seed), value in expected.items():
        if (place, seed) not in found:
            yield f"{place}, seed {seed}: kept {value:.9g}, now absent"
        elif not exactly(found[place, seed], value):
            yield f"{place}, seed {seed}: kept {value:.9g}, now {found[place, seed]:.9g}"
    for place in dict.fromkeys(place for place, _ in found if place not in places):
        yield f"{place}: not kept, and now there"


# -------------------------------------------------------------------------------------------------------------- rerunning


class Part(NamedTuple):
    """What one rerun does again."""

    name: str
    size: str
    seed: int


def parts_of(kept: Kept, index: int) -> list[Part]:
    """All sizes of a system, with the seed whose turn it is."""
    return [Part(kept.name, size, kept.seeds[index % len(kept.seeds)]) for size in kept.sizes]


def in_turn(every: Iterable[tuple[str, ...]], index: int, count: int = 1) -> list[tuple[int, tuple[str, ...]]]:
    """Whose turn it is at an index (from 0), and how often all have had theirs before: in an order that mixes them (by the
    sha256 of their names), whatever order they are given in."""
    known = sorted(every, key=lambda one: hashlib.sha256("/".join(one).encode()).digest())
    turns = range(index, index + min(count, len(known)))
    return [(turn // len(known), known[turn % len(known)]) for turn in turns]


def rotating(files: Mapping[str, Kept], index: int, count: int = 1) -> list[Part]:
    """The parts whose turn it is at an index (from 0): all systems and sizes once (`in_turn`), then all of them again with
    their next seed."""
    every = [(name, size) for name, kept in files.items() for size in kept.sizes]
    if not every:
        raise InputError("there are no numbers to rerun; take them with `cxrbench regress --update`")
    return [
        Part(name, size, files[name].seeds[before % len(files[name].seeds)])
        for before, (name, size) in in_turn(every, index, count)
    ]


def today() -> int:
    """The index of this day."""
    return date.today().toordinal()


def rerun(files: Mapping[str, Kept], part: Part, *, jobs: int | None = None) -> Verdict:
    """Do one part again, in a store that is empty before and gone after it, and compare. Costs what a run costs."""
    from ...benchmark.results.assemble import seed_values
    from ...benchmark.results.finished import Harvest
    from ...benchmark.runs.request import execute
    from ...benchmark.runs.store import Store
    from .take import processor

    if part.name not in files:
        raise unknown("system", part.name, files)
    start, kept = time.perf_counter(), files[part.name]
    name = f"{part.name}, {part.size}, seed {part.seed}"
    with tempfile.TemporaryDirectory(prefix="cxrbench-regress-") as scratch:
        prepared = _prepared(kept, part, jobs, Store(Path(scratch) / "store"))
        films, moved = _films_moved(kept, prepared), list(_protocol_moved(kept, prepared))
        moved += [f"{outcome.label}: {outcome.error}" for outcome in execute(prepared) if outcome.error]
        harvest = Harvest(prepared.plan, prepared.store)
        found = {_place(value): value.value for value in seed_values(harvest)}
        environments = [record.environment for record in harvest.records.values()]
    numbers = [number for number in kept.numbers if number.size == part.size]
    same = kept.processor == processor() and made_in(kept.environments, environments)
    moved += _moved(numbers, found, kept.seeds.index(part.seed) if same else None)
    how, why = (BITS, SAME_PROCESSOR) if same else (WITHIN, OTHER_PROCESSOR)
    return Verdict(name, "rerun", len(numbers), how, tuple(moved), films, why, seconds=time.perf_counter() - start)


def _moved(numbers: Sequence[Number], found: Mapping[Place, float], column: int | None) -> Iterator[str]:
    """A sentence for each number that is not the kept value of a seed (`column`), or, where that is None, not within its
    tolerance."""
    for number in numbers:
        if number.place not in found:
            yield f"{number.place}: kept {number.mean:.6g}, now absent"
            continue
        value = found[number.place]
        if column is not None and value != number.values[column]:
            yield f"{number.place}: kept {number.values[column]!r}, now {value!r}"
        elif column is None and not number.allows(value, number.mean):
            yield f"{number.place}: kept {number.mean:.6g} +- {number.tolerance:.2g}, now {value:.6g}"
    kept = {number.place for number in numbers}
    yield from (f"{place}: not kept, and now there" for place in found if place not in kept)


def made_in(kept: Sequence[Environment], found: Sequence[Environment]) -> bool:
    """Whether trainings from one seed should give the same bits on one kind of processor: all that was kept was made in one
    environment, and all that was found in the same: system, packages, threads."""
    names = ("python", "platform", "device", "threads", "packages")
    return len(kept) == 1 and all(getattr(one, name) == getattr(kept[0], name) for one in found for name in names)


def _prepared(kept: Kept, part: Part, jobs: int | None, store: Store) -> Prepared:
    """The run of a part alone, with a store of its own."""
    from ...benchmark.runs.request import Request, prepare

    system = kept.provider
    wanted = {parts.arm for number in kept.numbers if (parts := parsed(number.arm)) is not None}
    arms = [arm.value for arm in ArmName if arm in wanted]
    request = Request(
        provider="copy_train" if system is None else system.spec,  # REAL and placebos know no provider
        task=kept.task,
        data=kept.data,
        preset=kept.preset,
        seeds=part.seed + 1,
        arms=tuple(arms),
        jobs=jobs,
        label_by=None if system is None or system.label_by == "native" else system.label_by,
    )
    prepared = prepare(request)
    cells = [
        cell
        for cell in prepared.plan.cells
        if (cell.slot.size, cell.seed) == (part.size, part.seed) and is_shared(cell.arm) is (system is None)
    ]
    plan = replace(prepared.plan, seeds=(part.seed,), cells=tuple(cells))
    keys = {cell.key for cell in cells}
    chains = [
        tuple(_moved_to(step, store.root.resolve()) for step in chain)
        for chain in prepared.schedule.chains
        if any(step.key in keys for step in chain)
    ]
    schedule = replace(prepared.schedule, chains=tuple(chains))
    return replace(prepared, plan=plan, store=store, schedule=schedule, done=frozenset())


def _moved_to(step: Step, root: Path) -> Step:
    """A step that works in another store."""
    return step.model_copy(update={"work": step.work.model_copy(update={"store": root})})


def _films_moved(kept: Kept, prepared: Prepared) -> str:
    """How the films differ from those of the kept numbers; empty where they do not."""
    said = DataIdentity(name=kept.data, digest=kept.data_digest, truth=kept.data_truth)
    moved = films_moved(said, prepared.plan.data, prepared.plan.fit_data)
    return "" if moved is None else moved.words


def _protocol_moved(kept: Kept, prepared: Prepared) -> Iterator[str]:
    """What is not the same in the protocol, so that numbers cannot be."""
    plan = prepared.plan
    if plan.task.version != kept.version:
        yield f"{kept.task} is at v{plan.task.version}, the numbers are of v{kept.version}"
    if kept.provider is not None and plan.provider.settings != kept.provider.settings:
        yield f"the settings of {kept.provider.name} at preset {kept.preset} are others"


def real_name(task: str) -> str:
    """The name of the file of what all systems of a task share."""
    return f"{task}-{REAL}"
