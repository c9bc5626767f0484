"""A provider's films give the same scores whichever way they come: a dataset folder, pictures, a program, a table."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrbench.benchmark.data.catalogue import keep
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.data.importers.manifest import import_manifest
from cxrbench.benchmark.data.importers.manifest_options import ManifestOptions
from cxrbench.benchmark.data.phantom.dataset import phantom_dataset
from cxrbench.benchmark.home import home
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.runs import asked, chains
from cxrbench.benchmark.runs.chains import Outcome
from cxrbench.benchmark.runs.request import Request, execute, prepare
from cxrbench.benchmark.runs.store import Level
from cxrbench.benchmark.runs.worker import perform

TASK = f"{Path(__file__).parents[1] / 'toys' / 'toy_task.py'}:ToyTask"
COUNT, SIDE = 8, 64  # the films that the task asks for, twice its size


@pytest.fixture
def made() -> Dataset:
    """Films of a generator: phantoms that are darker than the task's own, with their masks."""
    films = phantom_dataset(SIDE).select(range(COUNT))
    films.images[:] = films.images // 2
    films.cases["id"] = films.cases["patient"] = [f"made{number}" for number in range(COUNT)]
    return Dataset(films.info, films.images, films.cases[["id", "patient"]], films.masks)


def pictures_of(films: Dataset, folder: Path) -> Path:
    """images/ and masks/<organ>/ of the films, and a table that lists them."""
    organs = films.organ_masks()
    for row, name in enumerate(films.ids):
        for place, pixels in (
            ("images", films.images[row]),
            *((f"masks/{organ}", organs[row, bit].astype(np.uint8) * 255) for bit, organ in enumerate(films.organs)),
        ):
            (folder / place).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / place / f"{name}.png")
    pd.DataFrame({"id": films.ids, "patient": films.ids}).to_csv(folder.with_suffix(".csv"), index=False)
    return folder


def by_table(folder: Path, organs: tuple[str, ...]) -> Path:
    """The films as the table lists them, imported and kept."""
    masks = [f"{organ}=masks/{organ}/{{id}}.png" for organ in organs]
    options = ManifestOptions(root=folder, path="images/{id}.png", masks=masks)
    keep(import_manifest(folder.with_suffix(".csv"), SIDE, name="made", options=options))
    return home() / "datasets" / "made"


def copying(dataset: Path, folder: Path) -> str:
    program = folder / "copy.py"
    program.write_text(
        f"import os, shutil\nshutil.copytree({str(dataset)!r}, os.environ['CXRBENCH_OUT'], dirs_exist_ok=True)\n"
    )
    return f"{sys.executable} {program}"


@pytest.fixture
def at_once(monkeypatch):
    """Every job in this process."""

    def run_job(job, time_limit):
        return Outcome(getattr(job, "key", ""), job.label, value=perform(job, Progress()))

    monkeypatch.setattr(asked, "run_job", run_job)
    monkeypatch.setattr(chains, "run_job", run_job)


def scores(provider: str) -> dict[str, list[float]]:
    """Every score of the cells that are learnt from a provider's films, by cell."""
    prepared = prepare(Request(provider=provider, task=TASK, device="cpu", arms=("synthetic",), jobs=1))
    assert [outcome.error for outcome in execute(prepared)] == [""] * len(prepared.left)
    cells = {f"{cell.slot.size}/{cell.slot.arm}": cell.key for cell in prepared.plan.cells}
    assert all(prepared.store.sound(Level.RECORDS, key) for key in cells.values())
    return {name: prepared.store.scores(key)["value"].tolist() for name, key in cells.items()}


def test_a_generators_films_give_the_same_scores_by_four_ways(made, tmp_path, at_once):
    made.save(tmp_path / "dataset")
    pictures = pictures_of(made, tmp_path / "pictures")
    ways = {
        "dataset folder": f"folder:{tmp_path / 'dataset'}",
        "pictures": f"folder:{pictures}",
        "command": f"command:{copying(tmp_path / 'dataset', tmp_path)}",
        "table": f"folder:{by_table(pictures, made.organs)}",
    }
    found = {way: scores(provider) for way, provider in ways.items()}
    first = found["dataset folder"]
    assert set(first) == {"full/synthetic", "tiny/synthetic"}
    assert len(set(first["full/synthetic"])) > 1 and max(first["full/synthetic"]) > 0.1
    assert {way: one for way, one in found.items() if one != first} == {}
