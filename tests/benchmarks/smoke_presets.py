"""Whether every provider starts and finishes on every task it can serve at `standard` and `paper`: a smoke run of each.

    python -m tests.benchmarks.smoke_presets [--hours 8] [--seconds 240] [--gigabytes 16] [NAME[@TASK][/PRESET] ...]

The networks and sizes are the preset's own, every training has two steps, twelve films are sampled and a handful of real
ones is looked at; arms REAL and SYNTHETIC of the first size and fold. Each runs within a limit of time of a core and of
memory, and what does not end is kept with how far it came. What was found is kept beside this file (`smoke.json`), so that
a later call goes on with what is missing and names given are made again; `count_presets --write` puts the table into
`docs/presets.md`. Peak memory is the resident set of the largest process of a stage.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cxrbench.benchmark.contracts.label_by import LabelBy
from cxrbench.benchmark.device import device_name
from cxrbench.benchmark.errors import CxrbenchError, raised
from cxrbench.benchmark.home import home
from cxrbench.benchmark.registry import PROVIDERS, TASKS, plugins
from cxrbench.benchmark.runs.record import Curve
from cxrbench.benchmark.runs.request import Request, execute, prepare, resolve_device

from .limited import limited

KEPT = Path(__file__).with_name("smoke.json")
PRESETS = ("standard", "paper")
SMALL = {"phantom_nih": "phantom_nih-500"}
"""Data that stand for a task's own, by its name: the number of films changes neither networks nor the memory of a step."""


@dataclass(frozen=True)
class Pair:
    """A provider on a task at a preset."""

    provider: str
    task: str
    preset: str

    @property
    def key(self) -> str:
        return f"{self.provider}@{self.task}/{self.preset}"

    @classmethod
    def of(cls, key: str) -> Pair:
        """What has a key."""
        place, _, preset = key.partition("/")
        provider, _, task = place.partition("@")
        return cls(provider, task, preset)

    def asked(self, *names: str) -> bool:
        """Whether one of the names is it, or what it belongs to."""
        return any(
            name.partition("/")[0] in (self.provider, f"{self.provider}@{self.task}")
            and name.partition("/")[2] in ("", self.preset)
            for name in names
        )


def pairs() -> list[Pair]:
    """All that make what a task needs, by themselves or by the REAL model's annotations; the small presets first."""
    found = []
    for preset in PRESETS:
        for task, plugin in plugins(TASKS).items():
            needs = plugin.load().needs
            for provider, other in plugins(PROVIDERS).items():
                cls = other.load()
                if needs in cls.produces or (not cls.produces and cls.home_task == task):
                    found.append(Pair(provider, task, preset))
    return found


def smoke(pair: Pair) -> dict[str, Any]:
    """Seconds and peak bytes of the stages of one smoke run, or the line that it failed with."""
    task, provider = plugins(TASKS)[pair.task].load(), plugins(PROVIDERS)[pair.provider].load()
    data = SMALL.get(task.default_data, task.default_data)
    request = Request(
        provider=pair.provider,
        task=pair.task,
        data=data,
        preset=pair.preset,
        smoke=True,
        arms=("real", "synthetic"),
        label_by=None if provider.produces else LabelBy.TEACHER.value,
        jobs=1,
    )
    first = prepare(request).plan.cells[0].slot.size
    prepared = prepare(replace(request, sizes=(first,)))
    for outcome in execute(prepared):
        if outcome.error:
            return {"failed": outcome.error.splitlines()[0][:300]}
    found: dict[str, Any] = {"data": data, "on": device_name(resolve_device("auto")), "cores": os.cpu_count()}
    found["load"] = round(os.getloadavg()[1], 1)
    for cell in prepared.plan.cells:
        record = prepared.store.record(cell.key)
        of = record.downstream
        stage = "real" if record.cost is None else "synthetic"
        took = {"seconds": round(of.seconds, 1), "bytes": of.peak_memory_bytes}
        found.setdefault(stage, took | _slowest(of.curves))
        if record.cost is not None:
            cost = record.cost
            curves = prepared.store.fit(str(record.fit_key)).curves
            took = {"seconds": round(cost.fit_seconds, 1), "bytes": cost.peak_memory_bytes}
            found["fit"] = took | _slowest(curves)
            found["sample"] = {"films_per_second": float(f"{cost.sample_images_per_second:.3g}")}
    return found


def _slowest(curves: Mapping[str, Curve]) -> dict[str, float]:
    """Films a second in the second step of the slowest training."""
    rates = [one.images_per_second for one in curves.values() if one.images_per_second]
    return {"films_per_second": float(f"{min(rates):.3g}")} if rates else {}


def within(pair: Pair, *, seconds: float, clock: float, gigabytes: float) -> dict[str, Any]:
    """The smoke run of a pair in a process of its own, within limits: what `smoke` gives, and seconds of a core; or why it
    was ended and how far it came."""
    begun = time.time()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        words = [
            sys.executable,
            "-m",
            "cxrbench.tests.benchmarks.smoke_presets",
            "--alone",
            pair.key,
            "--kept",
            str(file),
        ]
        ended = limited(words, core_seconds=seconds, clock_seconds=clock, most_bytes=int(gigabytes * 1e9))
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if ended.limit:
        found |= {"ended": ended.limit, "reached": _reached(home() / "store" / "progress", begun)}
    elif not found:
        found = {"failed": f"exit {ended.status}"}
    return found | {"core_seconds": round(ended.core_seconds), "most_bytes": ended.most_bytes}


def _reached(folder: Path, begun: float) -> str:
    """What the newest step that was not done was at."""
    files = [file for file in folder.glob("*.json") if file.stat().st_mtime >= begun]
    if not files:
        return "films, plan and start of processes"
    newest = max(files, key=lambda file: file.stat().st_mtime)
    return str(json.loads(newest.read_text(encoding="utf-8"))[1])


def alone(key: str, file: Path) -> None:
    """One pair in this process."""
    try:
        found = smoke(Pair.of(key))
    except CxrbenchError as error:
        found = {"failed": raised(error)}
    file.write_text(json.dumps(found), encoding="utf-8")


def main() -> None:
    """Smoke what is asked for, or all that is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--seconds", type=float, default=240.0, help="of a core, for one smoke run")
    parser.add_argument("--clock", type=float, default=1200.0, help="seconds of the clock, for one smoke run")
    parser.add_argument("--gigabytes", type=float, default=16.0, help="of memory, for one smoke run")
    parser.add_argument("--kept", type=Path, default=KEPT, help="the file that keeps what was found")
    parser.add_argument("--alone", default="", help="one pair, in this process")
    asked = parser.parse_args()
    file: Path = asked.kept
    if asked.alone:
        alone(asked.alone, file)
        return
    kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    end = time.monotonic() + 3600 * asked.hours
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("CXRBENCH_HOME", folder)
        for pair in pairs():
            if not (pair.asked(*asked.names) if asked.names else pair.key not in kept):
                continue
            if time.monotonic() > end:
                break
            start = time.perf_counter()
            kept[pair.key] = within(pair, seconds=asked.seconds, clock=asked.clock, gigabytes=asked.gigabytes)
            found = kept[pair.key]
            said = f"ended at {found['reached']}" if "ended" in found else found.get("failed", "finished")
            took = f"{time.perf_counter() - start:.0f} s, {found['core_seconds']} s of a core"
            print(pair.key, took, said, flush=True)
            file.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
