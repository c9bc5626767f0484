"""Masks by the REAL segmenter: what `--label-by teacher` gives a generator of films alone in the segmentation tasks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from cxrbench.benchmark.contracts.task import Arm, ArmName
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.organs import lung_organs
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.runs.request import Request, execute, prepare
from cxrbench.tasks.models.neff_unet import NeffUNet
from cxrbench.tasks.scr_3fold import ScrThreeFold
from cxrbench.tasks.scr_official import ScrOfficial
from cxrbench.tasks.segmentation import SegmentationTask

from ..toys.toy_films import run_here
from .test_scr_3fold import FAST as FAST_FOLDS
from .test_scr_3fold import chests as folded_chests
from .test_scr_official import FAST, chests

PROVIDERS = Path(__file__).parents[1] / "toys" / "toy_providers.py"
STRUCTURES = ("left_lung", "heart", "right_lung")


def bare(n: int = 6, side: int = 16) -> Dataset:
    """Synthetic films without annotations: noise, dark in the left half."""
    images = np.random.default_rng(4).integers(0, 256, (n, side, side), dtype=np.uint8)
    images[:, :, : side // 2] //= 4
    ids = [f"s{row}" for row in range(n)]
    info = DatasetInfo(name="synthetic", resolution=side, pixel_mm=2.0)
    return Dataset(info, images, pd.DataFrame({"id": ids, "patient": ids, "source_ids": [[]] * n}))


class ByGrey(nn.Module):
    """Class k where the grey is in the k-th of equal bands; it knows the classes of `taught`."""

    def __init__(self, taught: list[bool]) -> None:
        super().__init__()
        self.register_buffer("taught", torch.tensor(taught))

    def forward(self, films: Tensor) -> Tensor:
        classes = len(self.taught)
        band = ((films + 2) / 4 * classes).floor().clamp(0, classes - 1).long()[:, 0]
        return nn.functional.one_hot(band, classes).movedim(-1, 1).float() * 9


def annotated(task: SegmentationTask, model: nn.Module, films: Dataset, train: Dataset) -> Dataset:
    return task.annotate(model, films, train, seed=0, device="cpu")


def test_every_structure_becomes_an_organ_where_the_model_says_it_is():
    task, films, model = ScrOfficial(FAST), bare(), ByGrey([True] * 4)
    made = annotated(task, model, films, chests(["a", "b"], ["train"] * 2))
    labels = task.predict(model, films, device="cpu").arrays["labels"]
    assert made.organs == STRUCTURES and set(np.unique(labels)) == {0, 1, 2, 3}
    for code, organ in enumerate(STRUCTURES, start=1):
        assert np.array_equal(made.organ_masks([organ])[:, 0], labels == code)
    assert np.array_equal(task.label_maps(made, STRUCTURES), labels)  # what the SYNTHETIC arm trains on


def test_films_ids_and_sources_stay_what_they_were_and_the_given_films_are_left_alone():
    films = bare()
    made = annotated(ScrOfficial(FAST), ByGrey([True] * 4), films, chests(["a", "b"], ["train"] * 2))
    assert made.images is films.images and made.cases.equals(films.cases) and made.info.pixel_mm == 2.0
    assert films.masks is None and films.organs == ()
    assert made.digest != films.digest


def test_an_organ_that_the_model_was_never_taught_gets_no_masks():
    model = ByGrey([True, True, False, True])
    task, train = ScrOfficial(FAST), chests(["a", "b"], ["train"] * 2)
    made = annotated(task, model, bare(), train)
    assert made.organs == ("left_lung", "right_lung")
    examples = task.examples_of(made, STRUCTURES)
    assert examples.taught is not None and (examples.taught == [True, True, False, True]).all()
    assert np.array_equal(examples.labels, task.predict(model, bare(), device="cpu").arrays["labels"])


def test_chosen_organs_alone_are_annotated():
    task = ScrOfficial(replace(FAST, organs=("heart",)))
    made = annotated(task, ByGrey([True, True]), bare(), chests(["a", "b"], ["train"] * 2))
    assert made.organs == ("heart",) and made.organ_masks().any()


def test_annotated_films_survive_the_disk(tmp_path):
    made = annotated(ScrOfficial(FAST), ByGrey([True] * 4), bare(), chests(["a", "b"], ["train"] * 2))
    kept = made.save(tmp_path / "films")
    assert kept.organs == STRUCTURES and np.array_equal(np.asarray(kept.masks), made.masks)
    assert kept.digest == made.digest


def test_lungs_of_the_three_folds_are_one_organ_that_is_found_as_lungs():
    task, model = ScrThreeFold(FAST_FOLDS), NeffUNet(2, maps=2, depth=4)
    train = folded_chests(["a", "b", "c"], [0, 1, 2])
    films = bare()
    made = annotated(task, model, films, train)
    assert made.organs == ("lungs",) and lung_organs(made.organs) == ("lungs",)
    labels = task.predict(model, films, device="cpu").arrays["labels"]
    assert np.array_equal(task.label_maps(made, task.structures(train)), labels)
    trained = task.train(
        Arm(ArmName.SYNTHETIC, synthetic=made, validation=train, structures=("lungs",)),
        seed=0,
        device="cpu",
        progress=Progress(),
    )
    assert trained.histories["synthetic"].steps == 3


@pytest.mark.parametrize("task", ["scr_official", "scr_3fold"])
def test_a_generator_of_films_alone_runs_on_a_segmentation_task(task, tmp_path, monkeypatch):
    """From the request to the record; the steps run in this process."""
    run_here(monkeypatch)
    if task == "scr_official":
        films = chests([f"c{row:02d}" for row in range(14)], ["train"] * 9 + ["test"] * 5)
        settings = ("crop=9", "batch=4", "steps=3", "check_every=2")
    else:
        films = folded_chests([f"c{row:02d}" for row in range(12)], [row % 3 for row in range(12)])
        settings = ("maps=2", "batch=4", "steps=3", "check_every=1")
    films.save(tmp_path / "films")
    request = Request(
        provider=f"{PROVIDERS}:Bare",
        task=task,
        data=str(tmp_path / "films"),
        overrides=tuple(f"task.{one}" for one in ("resolution=16", "fit_resolution=16", "synthetic=6", *settings)),
        arms=("real", "synthetic", "mixed"),
        jobs=1,
        label_by="teacher",
    )
    prepared = prepare(request)
    assert not any(outcome.error for outcome in execute(prepared))
    expected = ("lungs",) if task == "scr_3fold" else STRUCTURES
    for cell in prepared.plan.cells:
        record = prepared.store.record(cell.key)
        assert {row.structure for row in record.table} - {"average"} == set(expected)
        if cell.synthetic_key is not None:
            assert record.cell.provider is not None and record.cell.provider.label_by == "teacher"
            assert prepared.store.synthetic(cell.synthetic_key).organs == expected
