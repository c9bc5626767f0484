"""Placebos of the real tasks with short trainings: the run of a provider that gives the same copies, to the last bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from cxrbench.benchmark.contracts.task import Arm
from cxrbench.benchmark.data.copies import originals, sources
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.runs.job import Cell
from cxrbench.benchmark.runs.request import Prepared, Request, prepare
from cxrbench.benchmark.runs.store import Level
from cxrbench.benchmark.runs.worker import perform
from cxrbench.tasks.examples import Examples
from cxrbench.tasks.nih_classification import NihClassification
from cxrbench.tasks.nih_localisation import NihLocalisation
from cxrbench.tasks.segmentation import SegmentationTask

from ..toys.toy_films import run_here
from . import test_nih_classification as nih
from . import test_nih_localisation as boxes
from .test_scr_official import few, weights

torch.set_num_threads(1)

TOYS = Path(__file__).parents[1] / "toys" / "toy_providers.py"
SEGMENT = ("resolution=16", "fit_resolution=16", "synthetic=24", "crop=9", "batch=4", "steps=4", "check_every=2")
PROVIDED = ("synthetic", "mixed", "finetune")
data = boxes.data  # the films with boxes, a fixture


@pytest.fixture(autouse=True)
def here(monkeypatch):
    run_here(monkeypatch)


def asked_for(task: str, films: Dataset, folder: Path, settings, provider: str, **values) -> Request:
    if not folder.exists():
        films.save(folder)
    overrides = (*(f"task.{one}" for one in settings), *values.pop("more", ()))
    return Request(provider=provider, task=task, data=str(folder), overrides=overrides, jobs=1, **values)


def cells(prepared: Prepared) -> Mapping[tuple[str, str], Cell]:
    return {(cell.slot.size, cell.arm): cell for cell in prepared.plan.cells}


# ------------------------------------------------------------------------------------------- segmentation


@dataclass(frozen=True)
class Fitted:
    """What a training of the segmentation task began with."""

    start: torch.Tensor
    training: Examples
    held: Examples
    seed: int
    steps: int


@pytest.fixture
def fits(monkeypatch) -> list[Fitted]:
    seen: list[Fitted] = []
    fit = SegmentationTask.fit

    def noted(self, network, training, held, *, seed, device, progress):
        start = weights(network).clone()
        history = fit(self, network, training, held, seed=seed, device=device, progress=progress)
        seen.append(Fitted(start, training, held, seed, history.steps))
        return history

    monkeypatch.setattr(SegmentationTask, "fit", noted)
    return seen


def segmented(tmp_path: Path, provider: str, **values) -> Prepared:
    """The official split's tiny size: 11 of 14 training films, six-fold."""
    return prepare(asked_for("scr_official", few(), tmp_path / "films", SEGMENT, provider, **values))


def done_alone(prepared: Prepared, size: str, *arms: str) -> None:
    """The steps of one size that end in these arms, and what they need."""
    wanted = {cells(prepared)[size, arm].key for arm in arms}
    for step in prepared.schedule.steps:
        if step.key in wanted or (step.kind == "synthesise" and step.cell.slot.size == size):
            perform(step, Progress())


def test_scr_official_with_copies_differs_from_the_run_of_copy_train_in_the_draw_of_copies_alone(tmp_path, fits):
    prepared = segmented(tmp_path, "copy_train", arms=("synthetic", "mixed", "finetune"))
    found: dict[str, Fitted] = {}
    for arm in ("synthetic", "mixed", "placebo_synthetic", "placebo_mixed"):
        done_alone(prepared, "tiny", arm)
        found[arm] = fits.pop()
    for arm in ("synthetic", "mixed"):
        ours, placebo = found[arm], found[f"placebo_{arm}"]
        assert torch.equal(ours.start, placebo.start)
        assert (ours.seed, ours.steps) == (placebo.seed, placebo.steps) == (ours.seed, 4)
    ours, placebo = found["mixed"], found["placebo_mixed"]
    assert np.array_equal(ours.held.images, placebo.held.images)
    assert ours.training.first == placebo.training.first == 54  # of 66 films two patients, twelve films, are held out
    assert np.array_equal(ours.training.images[:54], placebo.training.images[:54])
    assert not np.array_equal(ours.training.images[54:60], placebo.training.images[54:60])
    every = {one.tobytes() for one in (*ours.training.images[:54], *ours.held.images)}
    for made in (ours.training.images[54:], placebo.training.images[54:], found["placebo_synthetic"].training.images):
        assert len(made) and {one.tobytes() for one in made} <= every
    hidden = {one.tobytes() for one in ours.held.images}
    assert not {one.tobytes() for one in placebo.training.images} & hidden
    alone = found["placebo_synthetic"]
    assert len(alone.training) + len(alone.held) == 24 and len(alone.held) >= 6
    assert not {one.tobytes() for one in alone.training.images} & {one.tobytes() for one in alone.held.images}


def test_scr_official_with_the_copies_of_a_provider_is_the_run_of_that_provider(tmp_path):
    """When both draw alike, every score of every arm is the same, to the last bit."""
    draw = cells(segmented(tmp_path, f"{TOYS}:Copies"))["tiny", "placebo_mixed"].draw("placebo")
    prepared = segmented(tmp_path, f"{TOYS}:Copies", more=(f"draw={draw}",))
    for arms in (("synthetic", "placebo_synthetic"), ("mixed", "placebo_mixed", "finetune", "placebo_finetune")):
        done_alone(prepared, "tiny", *arms)
    found = cells(prepared)
    for arm in PROVIDED:
        one, other = (prepared.store.scores(found["tiny", name].key) for name in (arm, f"placebo_{arm}"))
        assert len(one) == 3 * 3 * 7 and one.equals(other)
    records = [prepared.store.record(found["tiny", f"placebo_{arm}"].key).downstream for arm in PROVIDED]
    assert [(one.real_films, one.synthetic_films) for one in records] == [(11, 24)] * 3
    assert [one.train_films for one in records] == [24, 66 + 24, 66]


# ------------------------------------------------------------------------------------------- findings and boxes


class Stopped(Exception):
    """Nothing is trained."""


def told(monkeypatch, cls, prepared: Prepared, size: str, arm: str) -> Arm:
    """What the cell of a size is to be trained on."""
    seen: list[Arm] = []

    def noted(self, arm, *, seed, device, progress):
        seen.append(arm)
        raise Stopped

    (step,) = [one for one in prepared.schedule.steps if one.key == cells(prepared)[size, arm].key]
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(cls, "train", noted)
        perform(step, Progress())
    return seen[0]


def apart(arm: Arm, task, films: Dataset, cell: Cell) -> None:
    """Its copies are of its training films, and of none that is tested or validates."""
    shown = set(originals(arm.synthetic))
    train = task.training_set(films, cell.slot)
    others = [task.test_set(films, cell.slot), task.validation_set(films, cell.slot)]
    assert shown <= set(originals(task.learnt_from(train)))
    for other in others:
        assert not shown & {*originals(other), *other.ids}
        patients = films.cases.set_index("id")["patient"].astype(str)
        assert not set(patients[list(shown)]) & set(other.cases["patient"].astype(str))


def test_nih_classification_has_labelled_copies_of_its_training_films_alone(tmp_path, monkeypatch):
    films = nih.hospital(100, 10)
    settings = ("resolution=16", "fit_resolution=16", "fractions=[0.5]")
    request = asked_for("nih_classification", films, tmp_path / "films", settings, "copy_train")
    prepared = prepare(request)
    task = prepared.plan.task
    for size, patients in (("full", 90), ("50%", 45)):
        for arm in ("placebo_synthetic", "placebo_mixed"):
            cell = cells(prepared)[size, arm]
            found = told(monkeypatch, NihClassification, prepared, size, arm)
            assert len(found.synthetic) == task.synthetic_count(films, cell.slot)
            apart(found, task, films, cell)
            train = task.training_set(films, cell.slot)
            assert train.cases["patient"].nunique() == patients
            rows = [train.ids.index(one) for one in originals(found.synthetic)]
            assert np.array_equal(found.synthetic.labels(), train.labels()[rows])
            assert (found.real is None) == (arm == "placebo_synthetic")


@pytest.fixture
def boxed(data, tmp_path) -> Prepared:
    """Short trainings; sizes of all boxes and of those of three quarters of the patients."""
    detector = {"width": 0.125, "side": 64, "steps": 2, "batch": 2, "check_every": 2, "warmup": 0, "proposals": 10}
    settings = ("resolution=32", "fit_resolution=32", "healthy=5", "fractions=[0.75]")
    settings = (*settings, *(f"detector.{name}={value}" for name, value in detector.items()))
    request = asked_for("nih_localisation", data, tmp_path / "films", settings, "copy_train")
    return prepare(request)


@pytest.mark.parametrize("size", ["full", "75%"])
def test_nih_localisation_has_copies_with_the_boxes_of_its_training_films_alone(boxed, data, monkeypatch, size):
    task, cell = boxed.plan.task, cells(boxed)[size, "placebo_mixed"]
    arm = told(monkeypatch, NihLocalisation, boxed, size, "placebo_mixed")
    made, real = arm.synthetic, arm.real
    assert len(made) == task.synthetic_count(data, cell.slot)
    apart(arm, task, data, cell)
    learnt = task.learnt_from(real)
    assert set(originals(made)) <= set(originals(learnt)) < set(originals(real))  # healthy films are not copied
    for name, (source,) in zip(made.ids, sources(made), strict=True):
        own, theirs = (
            films.boxes[films.boxes["id"] == case].sort_values(["finding", "x", "y"])
            for films, case in ((made, name), (learnt, source))
        )
        assert len(own) and np.array_equal(own[["x", "y", "w", "h"]], theirs[["x", "y", "w", "h"]])
        assert own["finding"].tolist() == theirs["finding"].tolist()
    assert len(set(made.boxes["id"])) == len(made)


def test_a_placebo_of_nih_localisation_is_trained_scored_and_kept(boxed):
    key = cells(boxed)["75%", "placebo_mixed"].key
    (step,) = [one for one in boxed.schedule.steps if one.key == key]
    perform(step, Progress())
    record = boxed.store.record(key)
    films = boxed.plan.task.training_set(boxed.plan.fit_data, step.cell.slot)
    assert record.downstream.real_films == len(boxed.plan.task.learnt_from(films))
    assert record.downstream.synthetic_films == boxed.plan.task.synthetic_count(boxed.plan.data, step.cell.slot)
    assert {row.metric for row in record.table} >= {"cl", "boxes"} and record.cost is None
    assert boxed.store.sound(Level.RECORDS, key)
