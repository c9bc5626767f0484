"""What the engine costs beside the work: many cells of about one second, in one loop, by one worker, and by two.

    python -m tests.benchmarks.bench_overhead [--cells 200] [--seconds 1.0] [--rounds 3]

A cell is a training that does a fixed amount of work (hashes, so many as take the seconds asked for on this machine when it
begins), prediction and scores of the toy task of the tests. The loop does the same cells in this process, without a store.
Loop, one worker and two workers take turns, in ever new homes; printed are medians and their ratios to the loop. Nothing
here passes or fails; on a busy machine the ratio of two workers says how busy it is.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from cxrbench.benchmark.contracts.task import Arm, ArmName
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.runs.request import Request, execute, prepare

from ..toys.toy_task import Settings, ToyTask, work

TOYS = Path(__file__).parents[1] / "toys"
TASK = f"{TOYS / 'toy_task.py'}:ToyTask"
PROVIDER = f"{TOYS / 'toy_providers.py'}:Toy"
SIZES = 2
"""Cells of the arm REAL that the toy task has for every seed."""


def rounds_for(seconds: float) -> int:
    """Hashes that take so many seconds of one processor."""
    work(200)
    start = time.process_time()
    work(2000)
    return round(2000 * seconds / (time.process_time() - start))


def request(seeds: int, rounds: int, jobs: int) -> Request:
    """REAL alone, every seed a cell of each size."""
    return Request(
        provider=PROVIDER, task=TASK, seeds=seeds, arms=("real",), overrides=(f"task.rounds={rounds}",), jobs=jobs
    )


def by_engine(seeds: int, rounds: int, jobs: int) -> float:
    """Seconds of a run in a home of its own; planning and the phantom's films are not counted."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["CXRBENCH_HOME"] = home
        prepared = prepare(request(seeds, rounds, jobs))
        assert len(prepared.plan.cells) == SIZES * seeds
        start = time.perf_counter()
        failed = [outcome.error for outcome in execute(prepared) if outcome.error]
        seconds = time.perf_counter() - start
        assert not failed, failed
    return seconds


def by_loop(seeds: int, rounds: int) -> float:
    """Seconds of the same trainings, predictions and scores, one after the other in this process."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["CXRBENCH_HOME"] = home
        plan = prepare(request(seeds, rounds, 1)).plan
        task, data = ToyTask(Settings(rounds=rounds)), plan.data
        start = time.perf_counter()
        for cell in plan.cells:
            arm = Arm(ArmName.REAL, task.training_set(data, cell.slot), None, None, None, task.structures(data))
            trained = task.train(arm, seed=cell.slot.seed, device="cpu", progress=Progress())
            test = task.test_set(data, cell.slot)
            task.summarise(task.score(task.predict(trained.model, test, device="cpu"), test))
        return time.perf_counter() - start


def main() -> None:
    """Take turns, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    seeds, rounds = asked.cells // SIZES, rounds_for(asked.seconds)
    ways = {
        "loop in one process": lambda: by_loop(seeds, rounds),
        "one worker": lambda: by_engine(seeds, rounds, 1),
        "two workers": lambda: by_engine(seeds, rounds, 2),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    print(f"{SIZES * seeds} cells of {rounds} hashes, load {os.getloadavg()[0]:.1f}", flush=True)
    for turn in range(asked.rounds):
        for name, way in ways.items():
            found[name].append(way())
            print(f"  turn {turn + 1}: {name:20} {found[name][-1]:7.1f} s", flush=True)
    loop = statistics.median(found["loop in one process"])
    for name, seconds in found.items():
        median = statistics.median(seconds)
        print(f"{name:20} {median:7.1f} s, {median / loop:.3f} of the loop, {loop / median:.2f} times as fast")


if __name__ == "__main__":
    main()
