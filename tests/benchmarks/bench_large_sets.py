"""Time and memory of a run on a large set: planning, one downstream cell, and sampling, each against its count of films.

    python tests/benchmarks/bench_large_sets.py make --films 112120 --side 64   # once: a dataset `made` below CXRBENCH_HOME
    python tests/benchmarks/bench_large_sets.py plan                            # nih_classification on it, two seeds
    python tests/benchmarks/bench_large_sets.py cell --arm mixed --steps 20     # one cell with a placebo's copies
    python tests/benchmarks/bench_large_sets.py sample --films 600 --side 1024 --kept 512

Memory is what belongs to the process alone (`RssAnon` of /proc/self/status, looked at fifty times a second): pages of
memory maps can be given back at any time and are not counted. Linux only. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from cxrbench.benchmark.contracts.collector import Collector, fill
from cxrbench.benchmark.contracts.provider import Batch, Provider
from cxrbench.benchmark.data.catalogue import keep
from cxrbench.benchmark.data.dataset import Annotation, Dataset, DatasetInfo, load_dataset
from cxrbench.benchmark.data.findings import FINDINGS
from cxrbench.benchmark.data.gathered import Gathered
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.runs.request import Request, prepare

NAME = "made"
TESTED = 25_596 / 112_120  # share of the films of ChestX-ray14
PER_PATIENT = 3.64


def private_megabytes() -> float:
    """Memory of this process that is its own."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise OSError("no line RssAnon")


@contextmanager
def measured(what: str) -> Iterator[None]:
    """Print seconds and the peak of private memory above where the block began."""
    before, peak, over = private_megabytes(), [0.0], threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            peak[0] = max(peak[0], private_megabytes())

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    start, user = time.perf_counter(), time.process_time()
    yield
    seconds, user = time.perf_counter() - start, time.process_time() - user
    over.set()
    watcher.join()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{what}: {seconds:.1f} s ({user:.1f} s of the processor), private memory {before:.0f} MB before, "
        f"{peak[0]:.0f} MB at most (+{peak[0] - before:.0f}); resident with mapped pages {most:.0f} MB",
        flush=True,
    )


def make(films: int, side: int) -> None:
    """Films of blurred noise with the counts, patients and findings' rates of ChestX-ray14, as a dataset `made`."""
    rng = np.random.default_rng(0)
    images = Gathered((side, side))
    for start in range(0, films, 1024):
        coarse = rng.integers(40, 200, (min(1024, films - start), 8, 8), dtype=np.uint8)
        block = coarse.repeat(side // 8, axis=1).repeat(side // 8, axis=2)
        images.add(block + rng.integers(0, 16, block.shape, dtype=np.uint8))
    people = np.sort(rng.integers(0, round(films / PER_PATIENT), films))
    tested = people >= np.quantile(people, 1 - TESTED)
    cases = pd.DataFrame(
        {"id": [f"made{row:06d}" for row in range(films)], "patient": [f"p{one:05d}" for one in people]}
    )
    cases["split"] = np.where(tested, "test", "train")
    for finding in FINDINGS:
        cases[finding] = (rng.random(films) < 0.05).astype(np.uint8)
    info = DatasetInfo(name=NAME, resolution=side, findings=tuple(FINDINGS), provenance="made for a benchmark")
    with measured("make and keep"):
        keep(Dataset(info=info, images=images.array(), cases=cases), force=True)


def request(*overrides: str, seeds: int = 1) -> Request:
    """A run of a control on the made set."""
    task = "nih_classification"
    return Request(provider="copy_train", task=task, data=NAME, seeds=seeds, overrides=overrides, device="cpu")


def plan(seeds: int) -> None:
    """Plan twice: the second time nothing of the set is read again."""
    for what in ("first plan, all files read", "plan"):
        with measured(what):
            prepared = prepare(request(seeds=seeds))
        print(f"  {len(prepared.plan.cells)} cells, {len(prepared.schedule.steps)} steps")


def cell(arm: str, steps: int, size: str, *overrides: str) -> None:
    """One cell of a run, in this process: training cut to some steps, everything else whole."""
    from cxrbench.benchmark.runs.steps import run_cell

    prepared = prepare(request(f"task.classifier.most_steps={steps}", *overrides))
    wanted = "real" if arm == "real" else f"placebo_{arm}"
    job = next(
        step
        for step in prepared.schedule.steps
        if step.kind == "cell" and step.cell.arm == wanted and step.cell.identity.size == size
    )
    with measured(f"cell {wanted} {size}, {steps} steps"):
        run_cell(job, Progress())


class Trivial(Provider):
    """Films and masks of one noise, as many as are asked for."""

    produces = frozenset({Annotation.MASKS})

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        self.side, self.organs = train.resolution, len(train.organs)

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        rng = np.random.default_rng(seed)
        film = rng.random((1, 1, self.side, self.side), dtype=np.float32)
        masks = rng.random((1, self.organs, self.side, self.side)) < 0.3
        for start in range(0, n, 16):
            size = min(16, n - start)
            yield Batch(images=np.repeat(film, size, axis=0), masks=np.repeat(masks, size, axis=0))


def sample(films: int, side: int, kept: int) -> None:
    """Sample as `scr_official` at the preset paper does, and save."""
    info = DatasetInfo(name="train", resolution=side, organs=("left_lung", "right_lung", "heart"))
    cases = pd.DataFrame({"id": ["a", "b"], "patient": ["a", "b"]})
    empty = np.zeros((2, side, side), dtype=np.uint8)
    train = Dataset(info=info, images=empty, masks=empty, cases=cases)
    provider = Trivial()
    provider.fit(train, seed=0, progress=Progress())
    with measured(f"sample {films} films of {side} at {kept}"), tempfile.TemporaryDirectory() as folder:
        collector = Collector("trivial", train, frozenset({Annotation.MASKS}), films, resolution=kept)
        made = fill(collector, provider, seed=0, progress=Progress()).save(Path(folder) / "films")
        written = sum(path.stat().st_size for path in (Path(folder) / "films").iterdir()) / 2**20
        print(
            f"  {len(load_dataset(Path(folder) / 'films'))} films of {made.resolution}, {written:.0f} MB in the folder"
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make", "plan", "cell", "sample"])
    parser.add_argument("--films", type=int, default=112_120)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--kept", type=int, default=512, help="side at which samples are kept")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--arm", default="mixed")
    parser.add_argument("--size", default="full")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--set", nargs="*", default=[], help="task.key=value")
    given = parser.parse_args()
    if given.what == "make":
        make(given.films, given.side)
    elif given.what == "plan":
        plan(given.seeds)
    elif given.what == "cell":
        cell(given.arm, given.steps, given.size, *given.set)
    else:
        sample(given.films, given.side, given.kept)


if __name__ == "__main__":
    main()
