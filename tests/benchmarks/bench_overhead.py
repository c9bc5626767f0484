"""What the engine costs beside the work: many cells of about one second, in one loop, by one worker, and by two.

    python -m tests.benchmarks.bench_overhead [--cells 200] [--seconds 1.0] [--rounds 3]

A cell is a training that does a fixed amount of work (hashes, so many as take the seconds asked for on this machine when it
begins), prediction and scores of the toy task of the tests. The loop does the same cells in this process, without a store.
Loop, one worker and two workers take turns, in ever new homes; printed are medians and their ratios to the loop, of the
clock and of the processor (children too), which holds better on a busy machine; there the ratio of two workers says how
busy it is. Nothing here passes or fails.

Every step imports the file of the task anew. Python keeps it compiled beside it, also where the surroundings forbid that
(`PYTHONDONTWRITEBYTECODE`): to compile it for each cell is no cost of the engine.
"""

from __future__ import annotations

import argparse
import os
import resource
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


def processor() -> float:
    """Seconds of the processor that this process and its children have taken, those that have ended."""
    said = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in said)


Taken = tuple[float, float]
"""Seconds of the clock and of the processor."""


def by_engine(seeds: int, rounds: int, jobs: int) -> Taken:
    """What a run takes in a home of its own; planning and the phantom's films are not counted."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["CXRBENCH_HOME"] = home
        prepared = prepare(request(seeds, rounds, jobs))
        assert len(prepared.plan.cells) == SIZES * seeds
        start, used = time.perf_counter(), processor()
        failed = [outcome.error for outcome in execute(prepared) if outcome.error]
        taken = time.perf_counter() - start, processor() - used
        assert not failed, failed
    return taken


def by_loop(seeds: int, rounds: int) -> Taken:
    """What is taken by the same trainings, predictions and scores, one after the other in this process."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["CXRBENCH_HOME"] = home
        plan = prepare(request(seeds, rounds, 1)).plan
        task, data = ToyTask(Settings(rounds=rounds)), plan.data
        start, used = time.perf_counter(), processor()
        for cell in plan.cells:
            arm = Arm(ArmName.REAL, task.training_set(data, cell.slot), None, None, None, task.structures(data))
            trained = task.train(arm, seed=cell.slot.seed, device="cpu", progress=Progress())
            test = task.test_set(data, cell.slot)
            task.summarise(task.score(task.predict(trained.model, test, device="cpu"), test))
        return time.perf_counter() - start, processor() - used


def main() -> None:
    """Take turns, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    seeds, rounds = asked.cells // SIZES, rounds_for(asked.seconds)
    ways = {
        "loop in one process": lambda: by_loop(seeds, rounds),
        "one worker": lambda: by_engine(seeds, rounds, 1),
        "two workers": lambda: by_engine(seeds, rounds, 2),
    }
    found: dict[str, list[Taken]] = {name: [] for name in ways}
    print(f"{SIZES * seeds} cells of {rounds} hashes, load {os.getloadavg()[0]:.1f}", flush=True)
    for turn in range(asked.rounds):
        for name, way in ways.items():
            found[name].append(way())
            print(
                f"  turn {turn + 1}: {name:20} {found[name][-1][0]:7.1f} s, {found[name][-1][1]:7.1f} s of the processor",
                flush=True,
            )
    middle = {name: [statistics.median(part) for part in zip(*taken, strict=True)] for name, taken in found.items()}
    loop, loop_used = middle["loop in one process"]
    for name, (seconds, used) in middle.items():
        said = f"{seconds:7.1f} s, {seconds / loop:.3f} of the loop, {loop / seconds:.2f} times as fast"
        print(f"{name:20} {said}; {used:7.1f} s of the processor, {used / loop_used:.3f} of the loop")


if __name__ == "__main__":
    main()
