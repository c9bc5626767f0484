"""A smoke run a day: which provider, task and preset has its turn, of those that fit into the time and memory of CI.

What a pair takes is what `tests/benchmarks/smoke.json` measured, else what `tests/benchmarks/presets.json` counted; one of
which neither is known waits for its count.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from cxrbench.benchmark.contracts.provider import Provider
from cxrbench.benchmark.contracts.task import ArmName, Task
from cxrbench.benchmark.data.catalogue import find_dataset
from cxrbench.benchmark.data.dataset import Annotation, Dataset
from cxrbench.benchmark.registry import PROVIDERS, TASKS, plugins
from cxrbench.benchmark.runs.few_films import few_rows
from cxrbench.benchmark.runs.smoke import FILMS, STEPS
from cxrbench.benchmark.speed.counted import GB, SPARE, Count
from cxrbench.leaderboard.regression.rerun import in_turn

from .benchmarks.smoke_presets import Pair, pairs
from .toys.toy_films import chests

MOST_SECONDS = 600.0
"""Of a core."""
MOST_BYTES = 6 * GB
SPEED = 25e9
"""FLOP/s of a training on one thread of a core, all its time counted: `noise` on `scr_3fold` at `standard` took 76 s of one
thread of an AMD EPYC, of which 20 s are the same at `quick`."""
START_SECONDS = 40.0
"""Of a core: command, description, two counts, server and report; 20 s of it, measured at `quick`, which counts nothing."""
LOOKING_SECONDS = {"nih_classification": 370.0}
"""Of a core: the network that finds lung regions, which no count has; by its 68 GFLOP a film, forward, as counted."""
PROCESS_BYTES = GB
"""Stated: a process with torch and films."""
SIZE = "full"
MEASURED, COUNTED = (Path(__file__).parent / "benchmarks" / name for name in ("smoke.json", "presets.json"))


@cache
def small_films(task: str) -> Dataset:
    """A few films of what a task needs, as a smoke run takes them; their pixels are brought to the side of a preset."""
    cls: type[Task] = plugins(TASKS)[task].load()
    if cls.needs is Annotation.MASKS:
        films = chests()
        films.cases["fold"] = [row % 3 + 1 for row in range(len(films))]
    else:
        films = find_dataset("phantom_nih-500" if cls.needs is Annotation.LABELS else "phantom_boxes", 64)
    return films.select(few_rows(films, cls.needs))


def films_of(pair: Pair, folder: Path) -> Path:
    """These films as a dataset folder, as large as the preset asks for."""
    settings = plugins(TASKS)[pair.task].load().presets[pair.preset]
    small_films(pair.task).resized(max(settings.resolution, settings.fit_resolution)).save(folder)
    return folder


def expected(pair: Pair, measured: Mapping[str, Any], counted: Mapping[str, Any]) -> tuple[float, int] | None:
    """(seconds of a core, bytes) of the smoke run of a pair: measured, or by its counts; None where neither is known, and
    where the measured one did not finish."""
    if pair.key in measured:
        found = measured[pair.key]
        return None if found.keys() & {"failed", "ended"} else (found["core_seconds"], found["most_bytes"])
    cls: type[Task] = plugins(TASKS)[pair.task].load()
    provider: type[Provider] = plugins(PROVIDERS)[pair.provider].load()
    name = pair.provider if provider.home_task == pair.task else f"{pair.provider}@{pair.task}"
    keys = [f"cell/{pair.task}/{pair.preset}"]
    if provider.build is not Provider.build:
        keys.append(f"fit/{name}/{pair.preset}")
    if any(key not in counted for key in keys):
        return None
    cell, *fit = (Count.model_validate(counted[key]) for key in keys)
    films = small_films(pair.task)
    task = cls(cls.presets[pair.preset])
    every = [slot for slot in task.slots(films) if slot.size == SIZE]
    slots = [replace(every[0], arm=ArmName.SYNTHETIC)]
    looked_at = max(len(task.test_set(films, slot)) + len(task.validation_set(films, slot) or ()) for slot in slots)
    forward = sum(one.step_flops / 3 / max(1, one.batch) for one in cell.trainings)
    trained = STEPS * sum(one.step_flops for one in cell.trainings) + looked_at * forward
    made = sum(STEPS * sum(one.step_flops for one in count.trainings) + FILMS * count.sampling_flops for count in fit)
    arms = 1 if provider.produces else 2  # REAL where its model annotates the films
    seconds = START_SECONDS + LOOKING_SECONDS.get(pair.task, 0.0) + (arms * trained + made) / SPEED
    return seconds, int(SPARE * max(one.device_bytes for one in (cell, *fit))) + PROCESS_BYTES


def fitting(every: Iterable[Pair], measured: Mapping[str, Any], counted: Mapping[str, Any]) -> list[Pair]:
    """Those that fit into the time and memory of CI."""
    known = [(pair, expected(pair, measured, counted)) for pair in every]
    return [pair for pair, cost in known if cost is not None and cost[0] <= MOST_SECONDS and cost[1] <= MOST_BYTES]


def those_that_fit() -> list[Pair]:
    """By the kept table and counts."""
    read = [json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {} for file in (MEASURED, COUNTED)]
    return fitting(pairs(), *read)


def of_day(fit: Iterable[Pair], day: int) -> Pair:
    """Whose turn it is on a day."""
    ((_, (provider, task, preset)),) = in_turn([(one.provider, one.task, one.preset) for one in fit], day)
    return Pair(provider, task, preset)


def run_smoke(pair: Pair, folder: Path, *, provider: str = "") -> dict[str, Any]:
    """`cxrbench run --smoke` of a pair in a home of its own: its results. AssertionError where it does not finish with what
    it promises: every cell of SYNTHETIC, its films, a report, and its name."""
    home = folder / "home"
    found: type[Provider] | None = None if provider else plugins(PROVIDERS)[pair.provider].load()
    words = [sys.executable, "-m", "cxrbench.benchmark.cli", "run", "--provider", provider or pair.provider]
    words += ["--task", pair.task, "--preset", pair.preset, "--data", str(films_of(pair, folder / "films"))]
    words += ["--arms", ArmName.SYNTHETIC.value, "--sizes", SIZE, "--smoke", "--json", "--jobs", "1", "--device", "cpu"]
    words += ["--out", str(folder / "out")]
    if found is not None and not found.produces:
        words += ["--label-by", "teacher"]
    done = subprocess.run(
        words, capture_output=True, text=True, env={**os.environ, "CXRBENCH_HOME": str(home)}, cwd=folder, check=False
    )
    assert done.returncode == 0, f"{pair.key}: exit {done.returncode}: {done.stderr[-2000:]}"
    results: dict[str, Any] = json.loads(done.stdout)
    assert results["preset"] == f"{pair.preset}-smoke" and results["from_scratch"][0].startswith("SMOKE RUN")
    cells = {(cell["arm"], cell["status"]) for cell in results["cells"]}
    assert {status for _, status in cells} == {"done"}, cells
    assert ArmName.SYNTHETIC.value in {arm for arm, _ in cells}
    assert {size["synthetic_films"] for size in results["sizes"]} == {FILMS}
    assert (folder / "out" / "report.html").stat().st_size > 1000
    return results
