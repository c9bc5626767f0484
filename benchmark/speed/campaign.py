"""Plans and runs the measurements of `cxrbench throughput`: a process for each provider and batch size, rows kept as they
come. A second call with the same folder measures what is missing, what failed, and what has changed since."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from .. import digest
from ..device import device_name
from ..errors import CxrbenchError, InputError, unknown
from ..files import write_text
from ..processes import run_apart
from ..progress import Progress
from ..registry import PROVIDERS, Plugin, find_provider, find_task, plugins
from ..runs.job import Synthesise
from ..runs.request import PRESETS, Request, resolve_device
from ..runs.store import Level, Store
from ..schema import utc_now
from .cost_table import Subject, prepare_subject
from .question import Ask, steps_needed
from .rates import FILE, SCHEMA, Row, Throughput, read_throughput
from .variants import variants_of

ALL = "all"
PROBE = f"{__package__}.probe"


@dataclass(frozen=True)
class Plan:
    """What is asked of every provider. `batches` are measured besides the preset's own; `rounds` of `films` sampled films
    and of ten training steps."""

    request: Request
    batches: tuple[int, ...] = ()
    rounds: int = 8
    films: int = 128


@dataclass(frozen=True)
class Point:
    """One row to be: what its process is asked for, or why it cannot be measured."""

    row: Row
    ask: Ask | None = None
    time_limit: float = 0.0


@dataclass
class Campaign:
    """Points in the order of their rows, and the folder that keeps the rows."""

    points: Sequence[Point]
    folder: Path
    device: str
    kept: dict[str, Row] = field(default_factory=dict)

    @property
    def left(self) -> list[Point]:
        """The points that have no row yet."""
        return [point for point in self.points if point.row.key not in self.kept]


def names_of(text: str) -> list[str]:
    """The providers of `--provider`: all that are installed, or those named; InputError for an unknown one."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if names == [ALL]:
        return sorted(plugins(PROVIDERS))
    if not names or ALL in names:
        raise InputError(f"--provider {text}: expected names, comma-separated, or {ALL}; see cxrbench list providers")
    return names


def prepare(names: Sequence[str], plan: Plan, folder: Path, progress: Progress) -> Campaign:
    """All points of the named providers, and the rows that the folder has of them. InputError for a name that nobody knows
    and a folder with rows of another machine; what stops one provider alone becomes its row."""
    request = plan.request
    if request.preset not in PRESETS:
        raise unknown("preset", request.preset, PRESETS)
    if request.task is not None:
        find_task(request.task)
    found = [find_provider(name) for name in names]
    device = resolve_device(request.device)
    before = _rows_before(folder, device)
    points: list[Point] = []
    for number, plugin in enumerate(found):
        part = progress.part(plugin.name, number / len(found), (number + 1) / len(found))
        points += _points(plugin, replace(plan, request=replace(request, provider=plugin.spec)), device, part)
    sound = {row.key: row for row in before if not row.error}
    return Campaign(points, folder, device, sound)


def _rows_before(folder: Path, device: str) -> Sequence[Row]:
    if not (folder / FILE).exists():
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--out {folder}: expected a folder, found a file")
        return []
    kept = read_throughput(folder)
    if kept.machine != machine(device):
        raise InputError(
            f"--out {folder} has rows of {kept.device or 'another machine'} ({kept.asked_device}); choose another folder"
        )
    return kept.rows


@cache
def machine(device: str) -> str:
    """sha256 over processor, number of processors and the asked device."""
    return digest.of_json([device_name("cpu"), os.cpu_count(), device])


def _points(plugin: Plugin, plan: Plan, device: str, progress: Progress) -> list[Point]:
    """The points of one provider: its own batch size, then those of the sweep that change a setting."""
    request = plan.request
    blank = Row(
        key=digest.of_json([plugin.name, request.preset, request.task, request.data]),
        provider=plugin.name,
        preset=request.preset,
        task=request.task or "",
        data=request.data or "",
        created=utc_now(),
        threads=1,
    )
    try:
        return _points_of(blank, prepare_subject(request, progress), plan, device)
    except CxrbenchError as error:
        return [Point(blank.model_copy(update={"error": str(error)}))]


def _points_of(blank: Row, subject: Subject, plan: Plan, device: str) -> list[Point]:
    """The points of a provider that is ready. ProviderError where its class fails to say its settings."""
    job, prepared = subject.jobs[0], subject.prepared
    limit = plan.request.time_limit or PRESETS[plan.request.preset]
    blank = blank.model_copy(
        update={"task": prepared.plan.task.name, "data": prepared.plan.data.info.name, "threads": job.threads}
    )
    side, steps = prepared.plan.fit_data.info.resolution, steps_needed(plan.rounds)
    points = []
    for variant in variants_of(job, plan.batches, steps=steps, side=side, time_limit=limit):
        ask = Ask(
            work=job.work.model_copy(update={"provider_settings": variant.short, "device": device}),
            cell=job.cell,
            rounds=plan.rounds,
            films=plan.films,
            fit="" if variant.batch is not None else _stored_fit(subject.jobs, prepared.store.root),
            shortened=variant.shortened,
        )
        points.append(Point(blank.model_copy(update={"key": _key(ask), "batch": variant.batch}), ask, limit))
    return points


def _key(ask: Ask) -> str:
    """sha256 over what is measured, of whom, and by which code."""
    work = ask.work
    how = [SCHEMA, digest.of_code(Path(__file__).with_name("probe.py")), digest.of_packages()]
    what = [ask.cell.fit_key, work.provider_settings, work.device, work.threads, machine(work.device)]
    return digest.of_json([*how, *what, ask.rounds, ask.films, Path(ask.fit).parent.name])


def _stored_fit(jobs: Iterable[Synthesise], root: Path) -> str:
    """The folder of the first fit of these settings that the store has; empty where it has none."""
    store = Store(root)
    for job in jobs:
        if store.sound(Level.FITS, str(job.cell.fit_key)):
            return str((store.path(Level.FITS, str(job.cell.fit_key)) / "provider").resolve())
    return ""


# ------------------------------------------------------------------------------------------- running


def run(campaign: Campaign, progress: Progress) -> Throughput:
    """Measure what is left and write the rows after each; all rows of the points, then what the folder had of others."""
    left = campaign.left
    for number, point in enumerate(left):
        progress.update(number / len(left), point.row.title)
        campaign.kept[point.row.key] = measure(point)
        write(campaign)
    return write(campaign)


def measure(point: Point) -> Row:
    """The row of a point, from a process of its own; one with its reason where that failed."""
    if point.ask is None:
        return point.row
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    start = time.monotonic()
    try:
        found = run_apart(
            PROBE,
            point.ask.model_dump_json() + "\n",
            threads=point.ask.work.threads,
            time_limit=point.time_limit,
            label=point.row.title,
            hint="raise it with --time-limit, or ask for fewer --films",
        )
    except CxrbenchError as error:
        found = {"error": str(error)}
    seconds = round(time.monotonic() - start, 2)
    return Row.model_validate(
        point.row.model_dump(mode="json") | found | {"seconds": seconds, "load": load, "created": utc_now()}
    )


def write(campaign: Campaign) -> Throughput:
    """Write `throughput.json`: rows in the order of the points, then others that the folder had, except stale ones."""
    from ... import __version__

    mine = [campaign.kept[point.row.key] for point in campaign.points if point.row.key in campaign.kept]
    planned = {_place(point.row) for point in campaign.points}
    keys = {row.key for row in mine}
    others = [row for row in campaign.kept.values() if row.key not in keys and _place(row) not in planned]
    found = Throughput(
        cxrbench=__version__,
        machine=machine(campaign.device),
        asked_device=campaign.device,
        rows=(*mine, *others),
    )
    write_text(campaign.folder / FILE, found.to_json())
    return found


def _place(row: Row) -> tuple[object, ...]:
    return row.provider, row.preset, row.task, row.data, row.batch
