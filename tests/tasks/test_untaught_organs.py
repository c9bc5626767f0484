"""Synthetic films with masks of some organs alone: what they do not show is not learnt as background, and not scored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from cxrbench.benchmark.contracts.task import Arm, ArmName, Predictions
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.progress import Progress
from cxrbench.tasks.examples import Examples, paint
from cxrbench.tasks.models.segmenter import predict_labels, probability_joined, untaught_joined
from cxrbench.tasks.scr_official import QUICK, ScrOfficial

from ..organs import with_organs
from .test_scr_official import chests

STRUCTURES = ("left_lung", "heart", "right_lung")
LUNGS = ("left_lung", "right_lung")
FAST = replace(QUICK, resolution=16, fit_resolution=16, crop=9, batch=4, steps=3, check_every=2)


def films(n: int, prefix: str, *, lungs_alone: bool = False) -> Dataset:
    made = chests([f"{prefix}{index}" for index in range(n)], ["train"] * n)
    made.cases["source_ids"] = [[case] for case in made.ids]
    return with_organs(made, LUNGS) if lungs_alone else made


def arm(name: ArmName, **sets) -> Arm:
    return Arm(name, structures=STRUCTURES, **sets)


def test_the_loss_of_an_unlabelled_pixel_is_that_of_background_or_heart():
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 3, 3, requires_grad=True)
    taught = torch.tensor([[True, True, False, True], [True, True, True, True]])
    labels = torch.tensor([[[0, 1, 3]] * 3, [[0, 1, 2]] * 3])
    loss = functional.cross_entropy(untaught_joined(logits, taught), labels, reduction="none")
    p = logits.softmax(dim=1)
    assert torch.allclose(loss[0, :, 0], -(p[0, 0, :, 0] + p[0, 2, :, 0]).log())  # background or heart
    assert torch.allclose(loss[0, :, 1], -p[0, 1, :, 1].log())
    assert torch.allclose(loss[1], functional.cross_entropy(logits, labels, reduction="none")[1])


def test_a_film_without_hearts_does_not_push_the_heart_down_against_background():
    logits = torch.zeros(1, 4, 1, 1, requires_grad=True)
    taught = torch.tensor([[True, True, False, True]])
    functional.cross_entropy(untaught_joined(logits, taught), torch.zeros(1, 1, 1, dtype=torch.long)).backward()
    gradient = logits.grad.flatten()
    assert gradient[0] == gradient[2] < 0  # background and heart rise alike
    assert gradient[1] > 0 and gradient[3] > 0
    assert torch.isfinite(gradient).all()


def test_joined_probabilities_are_those_of_joined_logits():
    torch.manual_seed(1)
    logits = torch.randn(2, 4, 2, 2)
    taught = torch.tensor([True, False, False, True])
    joined = probability_joined(logits.softmax(dim=1), taught)
    assert torch.allclose(joined, untaught_joined(logits, taught.expand(2, 4)).softmax(dim=1), atol=1e-6)


class Heart(nn.Module):
    """Says heart everywhere, background next."""

    def __init__(self, taught):
        super().__init__()
        self.register_buffer("taught", torch.tensor(taught))

    def forward(self, films):
        return torch.tensor([2.0, 0, 3, 0]).reshape(1, 4, 1, 1).expand(len(films), 4, *films.shape[-2:])


def test_an_untaught_organ_is_never_predicted():
    images = np.zeros((2, 8, 8), np.uint8)
    every = predict_labels(Heart([True] * 4), images, crop=8, batch=2, device="cpu")
    lungs = predict_labels(Heart([True, True, False, True]), images, crop=8, batch=2, device="cpu")
    assert (every == 2).all() and (lungs == 0).all()


def test_mixed_films_keep_what_each_can_teach():
    task = ScrOfficial(FAST)
    training, held = task.examples(
        arm(ArmName.MIXED, real=films(10, "r"), synthetic=films(6, "s", lungs_alone=True)), seed=0
    )
    assert held.taught is None  # real films alone
    assert training.taught.shape == (9 + 6, 4)
    assert training.taught[:9].all() and (training.taught[9:] == [True, True, False, True]).all()
    assert not (training.labels[9:] == 2).any() and (training.labels[:9] == 2).any()
    whole = Examples(training.images, training.labels)
    assert (whole + whole).taught is None


def test_synthetic_lungs_teach_lungs_and_finetuning_on_real_films_teaches_the_heart():
    task, real = ScrOfficial(FAST), films(10, "r")
    synthetic = films(8, "s", lungs_alone=True)
    first = task.train(arm(ArmName.SYNTHETIC, synthetic=synthetic), seed=0, device="cpu", progress=Progress())
    assert first.model.taught.tolist() == [True, True, False, True]
    tuned = task.train(arm(ArmName.FINETUNE, real=real, start=first.model), seed=0, device="cpu", progress=Progress())
    assert tuned.model.taught.all()
    assert first.model.taught.tolist() == [True, True, False, True]
    mixed = task.train(arm(ArmName.MIXED, real=real, synthetic=synthetic), seed=0, device="cpu", progress=Progress())
    assert mixed.model.taught.all()


def test_what_a_model_was_taught_survives_the_disk(tmp_path):
    task = ScrOfficial(FAST)
    synthetic = films(8, "s", lungs_alone=True)
    model = task.train(arm(ArmName.SYNTHETIC, synthetic=synthetic), seed=0, device="cpu", progress=Progress()).model
    task.save_model(model, tmp_path / "model.safetensors")
    loaded = task.load_model(tmp_path / "model.safetensors", films(2, "r"))
    predictions = task.predict(loaded, films(2, "t"), device="cpu")
    predictions.save(tmp_path / "predictions.npz")
    assert Predictions.load(tmp_path / "predictions.npz").arrays["taught"].tolist() == [True, False, True]


def test_scores_of_an_untaught_organ_are_absent_and_so_is_the_average():
    task, test = ScrOfficial(FAST), films(3, "t")
    labels = paint(test, STRUCTURES)
    labels[labels == 2] = 0
    taught = np.array([True, False, True])
    scores = task.score(Predictions(tuple(test.ids), {"labels": labels, "taught": taught}), test)
    assert scores.loc[scores["structure"] == "heart", "value"].isna().all()
    assert scores.loc[scores["structure"] != "heart", "value"].notna().all()
    table = task.summarise(scores)
    assert set(table["structure"]) == set(LUNGS)
    assert table["value"].notna().all()
    all_taught = task.summarise(task.score(Predictions(tuple(test.ids), {"labels": labels}), test))
    assert all_taught.set_index(["metric", "structure"])["value"]["dsc", "heart"] == 0  # missed, which is not absent


def test_a_heart_is_learnt_from_real_films_after_synthetic_lungs():
    settings = replace(FAST, resolution=32, fit_resolution=32, crop=25, steps=60, batch=8, rate=5e-3, check_every=20)
    task = ScrOfficial(settings)

    def shown(data: Dataset) -> Dataset:
        data = data.resized(32)
        return replace(data, images=(paint(data, STRUCTURES) * 60 + 30).astype(np.uint8))

    real, synthetic, test = shown(films(12, "r")), with_organs(shown(films(12, "s")), LUNGS), shown(films(3, "t"))
    start = task.train(arm(ArmName.SYNTHETIC, synthetic=synthetic), seed=0, device="cpu", progress=Progress()).model
    tuned = task.train(arm(ArmName.FINETUNE, real=real, start=start), seed=0, device="cpu", progress=Progress()).model
    tables = [
        task.summarise(task.score(task.predict(model, test, device="cpu"), test)).set_index(["metric", "structure"])
        for model in (start, tuned)
    ]
    assert ("dsc", "heart") not in tables[0].index and tables[0].value["dsc", "left_lung"] > 0.7
    assert tables[1].value["dsc", "heart"] > 0.7
