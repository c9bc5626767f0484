"""Mixed arms of half and half: half of every batch is real, half synthetic, in as many steps as REAL takes.

So that more synthetic films buy no longer training, and what a mixed arm adds is what its films add.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from cxrbench.benchmark.contracts.task import Arm, ArmName
from cxrbench.benchmark.data.copies import copies
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.training.observer import Observer, watched_by
from cxrbench.tasks.models import sdfn
from cxrbench.tasks.models.sdfn import Flipped, FlippedFeatures, fit_classifier, new_classifier
from cxrbench.tasks.models.segmenter import Crops
from cxrbench.tasks.nih_classification import NihClassification
from cxrbench.tasks.scr_official import ScrOfficial

from . import test_nih_classification as nih
from . import test_scr_official as scr
from . import test_sdfn as networks

torch.set_num_threads(1)

DARK, BRIGHT = 10, 240  # real, synthetic


def painted(films: Dataset, grey: int) -> Dataset:
    return replace(films, images=np.full_like(films.images, grey))


@dataclass
class Seen(Observer):
    """The steps of every training, and of every batch that it took which films were bright."""

    steps: list[int] = field(default_factory=list)
    images: list[int] = field(default_factory=list)
    batches: list[np.ndarray] = field(default_factory=list)

    def begins(self, steps, device):
        self.steps.append(steps)

    def after_step(self, step, images):
        self.images.append(images)


@pytest.fixture
def see(monkeypatch) -> Callable[..., Seen]:
    """Train and see it. `source`: the class whose batches the training takes; `of`: their films' name."""

    def watch(train: Callable[[], object], source: type, of: str) -> Seen:
        seen, batch = Seen(), source.batch

        def noted(self, rows, rng):
            made = batch(self, rows, rng)
            middle = 125 if made[of].dtype is torch.uint8 else 0.0
            seen.batches.append((made[of].float().flatten(1).mean(1) > middle).numpy())
            return made

        with monkeypatch.context() as patch, watched_by(seen):
            patch.setattr(source, "batch", noted)
            train()
        return seen

    return watch


# ------------------------------------------------------------------------------------------- segmentation


def segment(settings, name: ArmName, count: int = 30, start=None) -> Callable[[], object]:
    task = ScrOfficial(settings)
    real = painted(task.training_set(scr.few(), scr.slot()), DARK)  # 84 films, of which 12 are held out
    made = painted(scr.chests([f"s{row}" for row in range(count)], ["train"] * count), BRIGHT)
    arm = Arm(
        name,
        real=None if name is ArmName.SYNTHETIC else real,
        synthetic=made if name in (ArmName.SYNTHETIC, ArmName.MIXED) else None,
        start=start,
    )
    return lambda: task.train(arm, seed=0, device="cpu", progress=Progress()).model


@pytest.mark.parametrize("count", [8, 30, 200])
@pytest.mark.parametrize("length", [{"steps": 10}, {"steps": 0, "epochs": 2}], ids=["steps", "epochs"])
def test_scr_official_takes_half_of_every_batch_from_each_in_the_steps_of_real(see, count, length):
    settings = replace(scr.FAST, batch=8, patience=100, **length)
    mixed = see(segment(settings, ArmName.MIXED, count), Crops, "film")
    real = see(segment(settings, ArmName.REAL), Crops, "film")
    assert mixed.steps == real.steps == [10 if "epochs" not in length else 18]  # 72 real films are 9 batches of 8
    assert mixed.images == real.images
    bright = [(len(batch), int(batch.sum())) for batch in mixed.batches]
    assert bright == [(8, 4)] * len(bright) and len(bright) == mixed.steps[0]
    assert not any(batch.any() for batch in real.batches)


def test_scr_official_sees_every_film_of_both_kinds_in_time(see, monkeypatch):
    rows: list[np.ndarray] = []
    batch = Crops.batch

    def noted(self, taken, rng):
        rows.append(taken)
        return batch(self, taken, rng)

    monkeypatch.setattr(Crops, "batch", noted)
    segment(replace(scr.FAST, batch=8, steps=100, check_every=50), ArmName.MIXED, 30)()
    counts = np.bincount(np.concatenate(rows), minlength=102)
    assert len(counts) == 102 and counts.min() > 0  # 72 and 30
    assert counts[:72].sum() == counts[72:].sum() == 400


def test_an_epoch_of_the_synthetic_arm_is_its_own(see):
    settings = replace(scr.FAST, batch=8, patience=100, steps=0, epochs=2)
    assert see(segment(settings, ArmName.SYNTHETIC, 64), Crops, "film").steps == [12]  # 48 of 64 train: 6 batches


# ------------------------------------------------------------------------------------------- classification


def classify(name: ArmName, count: int, **settings) -> Callable[[], object]:
    classifier = replace(nih.FAST.classifier, batch=8, most_steps=0, **settings)
    task, data = NihClassification(replace(nih.FAST, classifier=classifier)), nih.hospital()
    some = task.training_set(data, nih.slot())
    made = copies(some, count, seed=0)
    arm = Arm(
        name,
        real=painted(some, DARK),
        synthetic=painted(made, BRIGHT) if name is ArmName.MIXED else None,
        validation=task.validation_set(data, nih.slot()),
    )
    return lambda: task.train(arm, seed=0, device="cpu", progress=Progress())


@pytest.mark.parametrize("count", [9, 72, 150])
@pytest.mark.parametrize(("settings", "steps"), [({"epochs": 2}, 18), ({"epochs": 1, "least_steps": 13}, 13)])
def test_nih_classification_takes_half_of_every_batch_from_each_in_the_steps_of_real(see, count, settings, steps):
    mixed, real = (see(classify(name, count, **settings), Flipped, "input") for name in (ArmName.MIXED, ArmName.REAL))
    assert mixed.steps == real.steps == [steps]  # 72 real films are 9 batches of 8
    assert mixed.images == real.images
    bright = [(len(batch), int(batch.sum())) for batch in mixed.batches]
    assert bright == [(8, 4)] * steps
    assert not any(batch.any() for batch in real.batches)


def test_lung_regions_and_the_fusion_are_trained_by_halves_too(monkeypatch):
    """All three trainings of a fused classifier: 16 real films of 48 are two batches of 8 a pass."""
    taken: dict[str, list[np.ndarray]] = {}
    for source in (Flipped, FlippedFeatures):

        def noted(self, rows, rng, batch=source.batch, name=source.__name__):
            taken.setdefault(name, []).append(rows)
            return batch(self, rows, rng)

        monkeypatch.setattr(source, "batch", noted)
    settings, given = replace(networks.TINY, kind=sdfn.Kind.SDFN), networks.films(48)
    histories = {}
    for first in (0, 16):
        taken.clear()
        histories[first] = fit_classifier(
            new_classifier(2, settings, seed=0),
            replace(given, first=first),
            networks.films(16, seed=1),
            settings,
            seed=0,
            device="cpu",
            progress=Progress(),
        )
    assert {name: history.steps for name, history in histories[0].items()} == {"entire": 24, "lung": 24, "fusion": 24}
    assert {name: history.steps for name, history in histories[16].items()} == {"entire": 8, "lung": 8, "fusion": 8}
    assert {name: len(rows) for name, rows in taken.items()} == {"Flipped": 16, "FlippedFeatures": 8}
    assert all((rows < 16).sum() == 4 == (rows >= 16).sum() for batches in taken.values() for rows in batches)
