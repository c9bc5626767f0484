"""What the commands that train have in common: the plan in words, the work with its progress, and Ctrl-C."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from ..console_tables import cell, show, table, tell
from ..errors import InputError

if TYPE_CHECKING:
    from ..runs.chains import Outcome
    from ..runs.plan import Plan
    from ..runs.request import Prepared
    from .display import Watcher

COMPLETE, INCOMPLETE = 0, 1
SEED_OR_FOLD = re.compile(r" (?:seed|fold) \S+")


def say(line: str) -> None:
    """A line on stderr."""
    tell(line, sys.stderr)


def plan_line(prepared: Prepared) -> str:
    """How many cells are planned, and how long they take."""
    from .display import long

    plan, left = prepared.plan, prepared.left
    sizes = list(dict.fromkeys(cell.slot.size for cell in plan.cells))
    arms = list(dict.fromkeys(cell.arm.replace("_", " ") for cell in plan.cells))
    if plan.generator is not None:
        arms = [arm for arm in arms if not arm.startswith("placebo")]
    seeds = "seed 0" if len(plan.seeds) == 1 else f"seeds 0 to {len(plan.seeds) - 1}"
    note = exchanged_sizes(prepared.request.sizes, sizes) if prepared.request.smoke else ""
    note += read_from_curve(plan) if plan.generator is None else without_arms(plan) + not_run(prepared)
    if not left:
        return f"plan   {len(plan.cells)} cells in the store, nothing to do{note}"
    expected = prepared.expected_seconds()
    least = prepared.least_seconds()
    unknown = f"more than {long(least)}" if least else "no estimate yet"
    about = unknown if expected is None else f"about {long(expected)}"
    kept = len(plan.cells) - sum(step.kind == "cell" for step in left)
    stored = f" ({kept} in the store)" if kept > 0 else ""
    return (
        f"plan   {len(plan.cells)} cells{stored}: {', '.join(sizes)} x {', '.join(arms)} · {seeds} · {about} on "
        f"{plan.device} ({prepared.jobs} at a time, {plan.task.settings.threads} thread each){note}"
    )


def exchanged_sizes(asked: Sequence[str], planned: Sequence[str]) -> str:
    """A line on the sizes of a smoke run that its few films cannot have; empty where all are planned."""
    lacking = [size for size in asked if size not in planned]
    if not lacking:
        return ""
    return f"\nnote   size {', '.join(lacking)} needs more films than a smoke run looks at: {planned[-1]} in its place"


def without_arms(plan: Plan) -> str:
    """A line on what a run cannot tell for want of an arm; empty where nothing is lacking."""
    from ..contracts.task import ArmName
    from ..runs.smoke import is_smoke

    planned = {cell.slot.arm for cell in plan.cells}
    if is_smoke(plan.preset):
        return ""
    if not any(arm.uses_provider for arm in planned):
        return "\nnote   no arm has synthetic films: no gain and no worth"
    if ArmName.REAL not in planned:
        return (
            "\nnote   without the arm real: gain and worth need copies alone; differences from REAL are not told (--arms "
            f"real,{','.join(arm.value for arm in ArmName if arm in planned)})"
        )
    return ""


def not_run(prepared: Prepared) -> str:
    """A line on asked arms that the protocol has at other asked sizes alone, and the run that has them; else empty."""
    plan, request = prepared.plan, prepared.request
    if plan.provider.rest:  # a size may have no cells for want of films
        return ""
    planned = {(cell.slot.arm.value, cell.slot.size) for cell in plan.cells}
    slots = plan.task.slots(plan.data)
    known = {slot.size for slot in slots}
    lines = []
    for arm in request.arms:
        own = list(dict.fromkeys(slot.size for slot in slots if slot.arm.value == arm))
        lacking = [size for size in request.sizes if size in known and (arm, size) not in planned and size not in own]
        if lacking:
            what = f"{arm} at {', '.join(lacking)} is not run"
            where = f"{plan.task.name} has {arm} at {' and '.join(own)}"
            lines.append(f"\nnote   {what}: {where}; a run of its own has it: --sizes {','.join(lacking)} --arms {arm}")
    return "".join(lines)


def read_from_curve(plan: Plan) -> str:
    """A line on what a run's worth takes of the sizes of a curve, and the size that ranks."""
    headline, sizes = plan.task.headline, {slot.size for slot in plan.task.slots(plan.data)}
    has = headline is not None and headline.size in sizes
    ranked = f"boards rank {headline.arm.value} at {headline.size}; " if headline is not None and has else ""
    return f"\nnote   {ranked}a run's worth needs sizes here that score less than its arm, and sizes that score more"


def planned_steps(prepared: Prepared) -> list[dict[str, Any]]:
    """The steps of a plan with their keys and expected time."""
    return [
        {
            "step": step.label,
            "key": step.key,
            "in_store": step.key in prepared.done,
            "expected_seconds": prepared.schedule.expected[step.key],
        }
        for step in prepared.schedule.steps
    ]


def show_plan(prepared: Prepared, as_json: bool, counted: dict[str, Any] | None = None) -> None:
    """Print the steps of a plan (`--dry-run`): a line for those that differ in seed and fold alone; in JSON every step, and
    what was `counted` of them."""
    steps = planned_steps(prepared)
    if as_json:
        said = {"steps": steps, "expected_seconds": prepared.expected_seconds(), **(counted or {})}
        print(json.dumps(said, indent=1))
        return
    made = table(("step", "steps", "in the store", "expected"), left=1)
    for row in plan_summary(steps):
        made.add_row(*map(cell, row))
    show(made)
    say("each step with its key: --json")


def plan_summary(steps: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str, str]]:
    """(what, how many steps, how many of them in the store, time that those to do take one after another) of the steps of a
    kind, arm and size, over seeds and folds."""
    from .display import long

    groups: dict[str, list[Mapping[str, Any]]] = {}
    for step in steps:
        groups.setdefault(SEED_OR_FOLD.sub("", step["step"]), []).append(step)
    rows = []
    for what, own in groups.items():
        left = [step["expected_seconds"] for step in own if not step["in_store"]]
        expected = "unknown" if None in left else long(sum(left)) if left else "–"
        rows.append((what, str(len(own)), str(len(own) - len(left)), expected))
    return rows


def work(prepared: Prepared) -> list[Outcome]:
    """Do what is left and show it; the outcomes that failed. Ctrl-C stops all steps and leaves the store resumable."""
    from .display import Watcher

    try:
        return watched(prepared, Watcher(prepared))
    except KeyboardInterrupt:
        say("interrupted: finished steps are in the store; the same command goes on from here")
        raise SystemExit(130) from None


def watched(prepared: Prepared, watcher: Watcher) -> list[Outcome]:
    """Do what is left, shown by a watcher; the outcomes that failed. InputError where one needs more memory than there is;
    KeyboardInterrupt once all steps are stopped."""
    from ..runs.chains import stop_all
    from ..runs.cluster import await_workers, minded
    from ..runs.request import execute
    from ..runs.schedule import remember
    from ..speed.forecast import refuse_before_it_starts
    from .so_far import FirstTable

    failures: list[Outcome] = []
    if not prepared.left:
        return failures
    refuse_before_it_starts(prepared, say)
    minds: AbstractContextManager[None] = nullcontext()
    if prepared.request.engine == "dask":
        address, device = prepared.request.address, prepared.plan.device
        await_workers(address, device, say)
        minds = minded(address, device, say)
    first = FirstTable(prepared, shown=not watcher.shows_tables)
    try:
        with minds, watcher.showing():
            first.take()
            for outcome in execute(prepared):
                watcher.finish([outcome.key])
                first.take([outcome.key])
                if outcome.error:
                    failures.append(outcome)
    except KeyboardInterrupt:
        stop_all()
        raise
    with suppress(InputError):  # a full disk: the next estimate is rougher
        remember(prepared.left, prepared.store)
    return failures
