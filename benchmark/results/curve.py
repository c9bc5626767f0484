"""The placebo curve of a protocol on some films: what copies of ever more real films score, seed by seed.

`cxrbench curve` makes it in the store. The curves that a task ships lie in a folder `curves` beside its module; a run takes
the one of the store, else that.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import digest
from ..errors import StoreError
from ..files import write_text
from ..plain_files import FILE, read_plain_json, remove_odd
from ..runs.plan import Plan
from ..runs.request import TASK_PREFIX, Common, curve_arms, divided
from ..runs.store import Store
from ..schema import utc_now
from ..significance.paired_tests import MIN_SEEDS
from .averages import averages
from .finished import Harvest
from .gains import SCHEMA, CurvePoint, PlaceboCurve

FOLDER = "curves"


@dataclass(frozen=True)
class FoundCurve:
    """A curve and where it is from: `store` or `shipped`."""

    curve: PlaceboCurve
    source: str


def curve_of(plan: Plan, store: Store) -> PlaceboCurve:
    """The curve of a plan as far as its placebos are in the store."""
    harvest = Harvest(plan, store)
    task = plan.cells[0].identity.task
    environments = {record.environment.model_dump_json(): record.environment for record in harvest.records.values()}
    return PlaceboCurve(
        task=task.name,
        version=task.version,
        code=task.code,
        settings=task.settings,
        depends_on=task.depends_on,
        data=plan.cells[0].identity.data,
        preset=plan.preset,
        device=plan.cells[0].identity.device,
        metric=plan.task.primary,
        points=list(_points(harvest)),
        environments=list(environments.values()),
        created=utc_now(),
    )


def _points(harvest: Harvest) -> Iterator[CurvePoint]:
    placebos = list(dict.fromkeys((cell.identity.arm, cell.arm) for cell in harvest.plan.cells))
    for arm, label in placebos:
        for size in harvest.sizes:
            for seed, value in averages(harvest, size, label).items():
                counts = [harvest.records[cell.key].downstream.real_films for cell in harvest.cells(size, label, seed)]
                known = [count for count in counts if count is not None]
                yield CurvePoint(arm=arm, size=size, films=sum(known) / len(known), seed=seed, value=value)


def curve_key(plan: Plan) -> str:
    """What two runs must have in common to share a curve: protocol with its settings, films, preset and kind of device."""
    cell = plan.cells[0].identity
    return _key(cell.task.name, cell.task.version, cell.task.settings, cell.data.digest, plan.preset, cell.device)


def _key(task: str, version: int, settings: dict[str, Any], data: str, preset: str, device: str) -> str:
    return digest.of_json(["curve", task, version, settings, data, preset, device])


def keep_curve(plan: Plan, store: Store, curve: PlaceboCurve) -> Path:
    """Keep a curve in the store, where runs find it. Points of other sizes, arms and seeds that are kept there, of the same
    code, stay."""
    path = _place(plan, store)
    remove_odd(path, FILE)
    with suppress(StoreError):  # not there, or damaged
        kept = read_plain_json(path, PlaceboCurve, SCHEMA)
        if (kept.code, kept.depends_on) == (curve.code, curve.depends_on):
            curve = _joined(kept, curve)
    write_text(path, curve.model_dump_json(by_alias=True, indent=1) + "\n")
    return path


def _joined(kept: PlaceboCurve, curve: PlaceboCurve) -> PlaceboCurve:
    """The points of both, those of `curve` where both have one."""
    points = {(point.arm, point.size, point.seed): point for point in [*kept.points, *curve.points]}
    environments = {one.model_dump_json(): one for one in [*kept.environments, *curve.environments]}
    return curve.model_copy(update={"points": list(points.values()), "environments": list(environments.values())})


def _place(plan: Plan, store: Store) -> Path:
    return store.root / FOLDER / f"{curve_key(plan)}.json"


def find_curve(plan: Plan, store: Store) -> FoundCurve | None:
    """The curve that fits a run: that of the store, else one that the task ships. None where there is neither."""
    with suppress(StoreError):  # not there, or damaged: `cxrbench curve` writes it again
        found = read_plain_json(_place(plan, store), PlaceboCurve, SCHEMA)
        if found.points:
            return FoundCurve(found, "store")
    shipped = [curve for curve in shipped_curves(type(plan.task)) if _fits(plan, curve)]
    return FoundCurve(shipped[0], "shipped") if shipped else None


def curve_words(request: Common, plan: Plan) -> list[str]:
    """The command that makes the curve which a run of this request looks for: the same task with its settings, films, preset
    and device, and as many seeds, five at the least. Empty where the films have no curve."""
    task = plan.task
    if len(task.curve_sizes(plan.data)) < 2:
        return []
    said = {"--task": plan.task_plugin.spec, "--data": request.data or task.default_data, "--preset": request.preset}
    words = ["cxrbench", "curve", *(word for pair in said.items() for word in pair)]
    settings = dict(divided(request.overrides)[0])
    words += [word for key, value in settings.items() for word in ("--set", f"{TASK_PREFIX}{key}={value}")]
    if arms := _arms_besides(plan):
        words += ["--arms", ",".join(arms)]
    words += ["--seeds", str(max(MIN_SEEDS, len(plan.seeds)))]
    return words if request.device == "auto" else [*words, "--device", request.device]


def _arms_besides(plan: Plan) -> list[str]:
    """The arms to name where the arm that the run's sentence is about is not among those that a curve has by itself."""
    planned = list(dict.fromkeys(cell.slot.arm for cell in plan.cells if cell.slot.arm.uses_provider))
    known = curve_arms(plan.task, plan.data)
    if not planned or any(arm in known for arm in planned):
        return []
    return [arm.value for arm in planned]


def _fits(plan: Plan, curve: PlaceboCurve) -> bool:
    key = _key(curve.task, curve.version, curve.settings, curve.data.digest, curve.preset, curve.device)
    return key == curve_key(plan)


def shipped_curves(task: type) -> list[PlaceboCurve]:
    """The curves beside a task's module, one a file; those that cannot be read are left out."""
    found = []
    for path in _files(task):
        try:
            found.append(read_plain_json(path, PlaceboCurve, SCHEMA))
        except StoreError:
            continue
    return found


def _files(task: type) -> Sequence[Path]:
    try:
        folder = Path(inspect.getfile(task)).with_name(FOLDER)
    except (OSError, TypeError):  # a class that has no file
        return ()
    return sorted(folder.glob("*.json"))
