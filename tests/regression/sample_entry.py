"""The sample: predictions that no model made, small enough to be committed (`sample/TASK.npz`), and an entry made of them.

They are drawn from the truth with mistakes, so that every metric of the four tasks has something to count: label maps that
are shifted and holed, logits that rank most films rightly, boxes that meet the true one more or less, some by just above or
just below the least overlap of a hit. The numbers in `sample/*.json` are theirs. `python sample_entry.py REASON` writes both
again.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

import numpy as np

from cxrbench.benchmark import digest
from cxrbench.benchmark.contracts.task import ArmName, Predictions, Task
from cxrbench.benchmark.data.copies import copies, originals
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.data.findings import LOCALISED
from cxrbench.benchmark.registry import find_provider, find_task
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.folder import write_results
from cxrbench.benchmark.runs.examine import Said
from cxrbench.benchmark.runs.job import Cell
from cxrbench.benchmark.runs.plan import Plan, make_plan
from cxrbench.benchmark.runs.record import Cost, Downstream, Environment, Record, Value
from cxrbench.benchmark.runs.store import Level, Store
from cxrbench.leaderboard.checks import Sources
from cxrbench.leaderboard.checks.subject import installed_task
from cxrbench.leaderboard.pack import pack
from cxrbench.leaderboard.regression.films import fingerprint_films
from cxrbench.leaderboard.regression.renewal import renew

FOLDER = Path(__file__).parent / "sample"
ENTRY = "drawn_predictions"
SEEDS = 5
ARMS = {"scr_official": ("real", "synthetic")}
"""The arms of a task; REAL alone where it is not named."""


def sample_sources() -> Sources:
    """The installed tasks, and the films of the sample."""

    def films(name: str, resolution: int) -> Dataset | None:
        return fingerprint_films(resolution) if name == fingerprint_films(resolution).info.name else None

    return Sources(task=installed_task, films=films)


# ---------------------------------------------------------------------------------------------- models that nobody trained


def label_maps(task: Task, test: Dataset, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The true label maps, shifted by up to three pixels, with a rectangle of background in each; the heart missed once."""
    labels = task.label_maps(test, task.structures(test)).copy()
    for row, film in enumerate(labels):
        film[:] = np.roll(film, rng.integers(-3, 4, 2), (0, 1))
        x, y, w, h = (*rng.integers(8, 40, 2), *rng.integers(2, 12, 2))
        film[y : y + h, x : x + w] = 0
        if row == 0 and len(task.structures(test)) > 1:
            film[film == 2] = 0
    return {"labels": labels}


def logits(task: Task, test: Dataset, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Normal ones, a good one higher where the film has the finding."""
    truth = test.labels()
    return {"logits": (rng.normal(-1, 1, truth.shape) + 1.4 * truth).astype(np.float32)}


def detections(task: Task, test: Dataset, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """For every box one that is shifted sideways, so that they share a tenth of their union (a little more or less), of the
    shifted one's area, or half; every fifth with the least score that counts; and a small box that meets little."""
    assert test.boxes is not None
    rows = []
    for place, (case, finding, x, y, w, h) in enumerate(
        test.boxes[["id", "finding", "x", "y", "w", "h"]].itertuples(index=False)
    ):
        if finding not in LOCALISED:
            continue
        overlap = (0.1005, 0.0995, 0.5, 0.05293)[place % 4]
        shift = w * (1 - overlap) / (1 + overlap)
        image, number = test.ids.index(case), LOCALISED.index(finding)
        score = 0.5 if place % 5 == 0 else rng.uniform(0.3, 0.9)
        rows.append((image, number, score, x + shift, y, w, h))
        rows.append((image, number, rng.uniform(0.0, 0.6), *rng.uniform(0, 40, 2), 9.0, 9.0))
    table = np.array(rows)
    return {
        "step": np.zeros(len(table), np.int32),
        "image": table[:, 0].astype(np.int32),
        "finding": table[:, 1].astype(np.uint8),
        "score": table[:, 2].astype(np.float32),
        "box": table[:, 3:].astype(np.float32),
        "taught": np.arange(len(LOCALISED), dtype=np.uint8),
    }


SAYS: dict[str, Callable[[Task, Dataset, np.random.Generator], dict[str, np.ndarray]]] = {
    "scr_official": label_maps,
    "scr_3fold": label_maps,
    "nih_classification": logits,
    "nih_localisation": detections,
}


def draw_sample() -> None:
    """Write the predictions of all cells of a task to `sample/TASK.npz`."""
    FOLDER.mkdir(exist_ok=True)
    for name, says in SAYS.items():
        plan = made_plan(name)
        arrays = {}
        for number, cell in enumerate(plan.cells):
            test = plan.task.test_set(plan.data, cell.slot)
            said = says(plan.task, test, np.random.default_rng([cell.seed, number]))
            arrays |= {f"{key_in_sample(cell)}/{array}": values for array, values in said.items()}
        np.savez_compressed(FOLDER / f"{name}.npz", allow_pickle=False, **arrays)


def key_in_sample(cell: Cell) -> str:
    """What the arrays of a cell are called in the file."""
    return f"{cell.arm}/{cell.slot.fold}/{cell.seed}"


def sample_predictions(plan: Plan, cell: Cell) -> Predictions:
    """What is committed for a cell."""
    start = f"{key_in_sample(cell)}/"
    with np.load(FOLDER / f"{plan.task.name}.npz", allow_pickle=False) as stored:
        arrays = {name.removeprefix(start): stored[name] for name in stored.files if name.startswith(start)}
    return Predictions(tuple(plan.task.test_set(plan.data, cell.slot).ids), arrays)


# ------------------------------------------------------------------------------------------------------ as a run leaves it


def made_plan(name: str, seeds: int = SEEDS) -> Plan:
    """The plan of a run of the control `copy_train` on the first size of a task."""
    plugin = find_task(name)
    task = plugin.load()()
    films = fingerprint_films(task.settings.resolution)
    named = films.info.model_copy(update={"provenance": "procedural phantom: drawn for tests"})
    films = Dataset(named, films.images, films.cases, films.masks, films.boxes)
    plan = make_plan(
        task=task,
        task_plugin=plugin,
        provider_plugin=find_provider("copy_train"),
        said=Said(summary="", produces=(), home_task="", settings={}, keyed={}),
        data=films,
        fit_data=films,
        preset="quick",
        seeds=range(seeds),
        arms=[ArmName(arm) for arm in ARMS.get(name, ("real",))],
        device="cpu",
    )
    size = plan.cells[0].slot.size
    cells = tuple(cell for cell in plan.cells if cell.slot.size == size)
    return Plan(**(vars(plan) | {"cells": cells}))


def keep_cell(plan: Plan, store: Store, cell: Cell) -> None:
    """The record of a cell with its committed predictions."""
    task, test, said = plan.task, plan.task.test_set(plan.data, cell.slot), sample_predictions(plan, cell)
    scores = task.score(said, test)
    provided = cell.identity.provider is not None
    real = task.training_set(plan.fit_data, cell.slot).resized(task.settings.resolution)
    count = cell.synthetic_count(task, plan.data) if cell.slot.arm.uses_provider else 0
    trained_on = [] if cell.slot.arm is ArmName.SYNTHETIC else list(real.ids)
    if cell.identity.placebo:
        trained_on += copies(task.learnt_from(real), count, seed=cell.draw("placebo")).ids
    machine = {"device": "no machine", "threads": 1}
    cost = Cost(
        **machine,
        parameters=0,
        fit_seconds=1.0,
        sample_images_per_second=100.0,
        peak_memory_bytes=1 << 20,
        precision="32-true",
    )
    with store.adding(Level.RECORDS, cell.key) as draft:
        scores.to_parquet(draft / "scores.parquet", index=False)
        said.save(draft / "predictions.npz")
        record = Record(
            key=cell.key,
            cell=cell.identity,
            table=[Value.model_validate(row) for row in task.summarise(scores).to_dict("records")],
            train_ids=digest.of_json(sorted(trained_on)),
            test_ids=digest.of_json(sorted(test.ids)),
            downstream=Downstream(
                seconds=1.0,
                train_films=max(1, len(trained_on)),
                test_films=len(test),
                synthetic_films=count,
                real_films=len(set(originals(task.learnt_from(real)))),
                peak_memory_bytes=1 << 20,
            ),
            cost=cost if provided else None,
            environment=Environment(**machine, cxrbench="0.1.0", python="3", platform="none", packages={}),
            synthetic_key=cell.synthetic_key,
            fit_key=cell.fit_key,
            files={path.name: digest.of_file(path) for path in sorted(draft.iterdir())},
            created="2026-01-01T00:00:00Z",
        )
        (draft / "record.json").write_text(record.model_dump_json(by_alias=True), encoding="utf-8")


def make_run(folder: Path, name: str, *, seeds: int = SEEDS) -> tuple[Path, Store]:
    """A finished run of a task: its folder and its store."""
    plan, store = made_plan(name, seeds), Store(folder / "store")
    for cell in plan.cells:
        keep_cell(plan, store, cell)
    run = folder / f"run-{name}"
    write_results(run, assemble(plan, store, ["cxrbench", "run"]))
    return run, store


def make_entry(root: Path, *, tasks: Sequence[str] = tuple(SAYS), seeds: int = SEEDS) -> Path:
    """The entry of the sample in a folder of entries; without case scores, which follow from the predictions."""
    with tempfile.TemporaryDirectory() as scratch, mock.patch("cxrbench.leaderboard.pack.films_at_hand"):
        for name in tasks:
            run, store = make_run(Path(scratch), name, seeds=seeds)
            folder = pack(run, ENTRY, root, store)
    words = (folder / "submission.toml").read_text(encoding="utf-8")
    reproduced = words.replace('division = "claimed" ', 'division = "reproduced" ')
    (folder / "submission.toml").write_text(reproduced, encoding="utf-8")
    (folder / "README.md").write_text("# Drawn predictions\n\nNo model: see sample_entry.py.\n", encoding="utf-8")
    return folder


def copy_numbers(task: str, folder: Path) -> Path:
    """The committed numbers of a task's sample in a folder, which may be there."""
    folder.mkdir(exist_ok=True)
    for path in FOLDER.glob(f"{task}-*.json"):
        shutil.copy(path, folder)
    return folder


def write_sample(reason: str) -> None:
    """Draw the predictions again and keep their numbers."""
    draw_sample()
    for path in FOLDER.glob("*.json"):
        path.unlink()
    with tempfile.TemporaryDirectory() as scratch:
        make_entry(Path(scratch))
        renew(FOLDER, Path(scratch), [], Path(scratch) / "no changelog", reason, sample_sources())


if __name__ == "__main__":
    write_sample(sys.argv[1])
