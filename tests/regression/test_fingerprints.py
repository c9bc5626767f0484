"""The third guard: the first two batches of every training are those that were kept, and no loss can change a little
without it going red."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from cxrbench.benchmark.registry import PROVIDERS, TASKS, plugins
from cxrbench.leaderboard.regression.films import fingerprint_films
from cxrbench.leaderboard.regression.fingerprints import (
    check_fingerprints,
    moved_numbers,
    own_subjects,
    read_fingerprints,
)
from cxrbench.leaderboard.regression.take import take

KEPT = Path(__file__).parent
LITTLE = 1.001


@pytest.fixture(scope="module")
def kept():
    return read_fingerprints(KEPT)


def test_every_training_is_the_kept_one():
    """All of this package, in a process of its own: bit for bit on the same processor and packages."""
    verdicts = check_fingerprints(KEPT)
    assert [line for verdict in verdicts if not verdict.passed for line in verdict.lines()] == []
    assert {verdict.name for verdict in verdicts} >= set(own_subjects())


def test_every_provider_and_task_has_a_fingerprint(kept):
    names = {subject.split()[0] for subject in kept.subjects}
    assert {f"provider:{name}" for name in plugins(PROVIDERS)} | {f"task:{name}" for name in plugins(TASKS)} <= names
    assert all(len(one.numbers) >= 6 for one in kept.subjects.values())


def test_no_tolerance_is_wide(kept):
    """A guard with wide tolerances cannot fail: losses and weights within a thousandth, gradients within two hundredths."""
    for subject, one in kept.subjects.items():
        for name, (_, tolerance) in one.numbers.items():
            assert tolerance <= (2e-2 if ": gradient" in name else 1e-3), (subject, name)


def test_the_films_show_every_finding_alone():
    films = fingerprint_films()
    alone = films.labels()[films.labels().sum(axis=1) == 1].sum(axis=0)
    assert (alone >= 2).all() and (films.labels().sum(axis=1) == 0).sum() == 16
    assert np.array_equal(films.images, fingerprint_films().images)


# ---------------------------------------------------------------------------------------------------------------- mutants


def moved(kept, subject: str, changed: str = "") -> list[str]:
    """What moved of the fingerprint of a subject, taken with changed settings."""
    found = take(f"{subject} {changed}")
    assert not found.error, found.error
    return list(moved_numbers(kept.subjects[subject], found))


LOSSES = [
    ("provider:dcgan_pair", "cxrbench.baselines.dcgan_pair", "cross_entropy", "discriminator"),
    ("provider:lsgan", "cxrbench.baselines.lsgan", "d_loss", "discriminator"),
    ("provider:lsgan_224", "cxrbench.baselines.lsgan", "g_loss", "generator"),
    ("provider:single_stage", "cxrbench.baselines.pggan", "gradient_penalty", "penalty"),
    ("provider:two_stage", "cxrbench.baselines.pix2pixhd", "lsgan_loss", "adversarial"),
    ("provider:three_stage", "cxrbench.baselines.pix2pixhd", "feature_matching", "features"),
    ("provider:vae", "cxrbench.baselines.vae", "reconstruction_loss", "reconstruction"),
    ("provider:vae", "cxrbench.baselines.vae", "divergence", "divergence"),
    ("provider:gmvae_v3", "cxrbench.baselines.gmvae", "reconstruction_loss", "reconstruction"),
    ("provider:gmvae_v4", "cxrbench.baselines.gmvae", "gaussian", "divergence"),
    ("provider:fs_gmvae_v1", "cxrbench.baselines.gmvae", "gaussian", "divergence"),
    ("provider:stargan", "cxrbench.baselines.stargan", "gradient_penalty", "penalty"),
    ("provider:stargan", "torch.nn.functional", "cross_entropy", "target"),
    ("provider:stargan", "torch.nn.functional", "l1_loss", "cycle"),
    ("provider:pix2pix", "cxrbench.baselines.pix2pix", "judged", "discriminator"),
    ("provider:pix2pix_n", "torch.nn.functional", "l1_loss", "l1"),
    ("task:scr_official", "torch.nn.functional", "cross_entropy", "cross_entropy"),
    ("task:scr_official", "cxrbench.tasks.models.segmenter", "held_out_loss", "validation"),
    ("task:scr_3fold", "torch.nn.functional", "cross_entropy", "cross_entropy"),
    ("task:nih_classification", "torch.nn.functional", "binary_cross_entropy_with_logits", "cross_entropy"),
    ("task:nih_localisation", "torch.nn.functional", "cross_entropy", "loss_classifier"),
]


@pytest.mark.parametrize(
    ("subject", "module", "name", "loss"), LOSSES, ids=[f"{one[0]}-{one[2]}-{one[3]}" for one in LOSSES]
)
def test_a_loss_that_is_a_thousandth_larger_is_red(subject, module, name, loss, kept, monkeypatch):
    home = importlib.import_module(module)
    whole = getattr(home, name)
    monkeypatch.setattr(home, name, lambda *args, **options: whole(*args, **options) * LITTLE)
    assert any(f": {loss} " in words for words in moved(kept, subject))


WEIGHTS = [
    ("provider:single_stage", "films.gradient_penalty=10.01", "penalty"),
    ("provider:single_stage", "films.drift=0.00101", "drift"),
    ("provider:stargan", "class_weight=0.6006", "class"),
    ("provider:pix2pix", "l1_weight=100.1", "l1"),
    ("provider:two_stage", "films.feature_weight=10.01", "features"),
    ("provider:vae", "beta=2.02", "gradient"),
    ("provider:gmvae_v8", "beta=126", "gradient"),
    ("provider:dcgan_pair", "learning_rate=0.00201", "lr"),
    ("provider:lsgan", "leak=0.201", "discriminator"),
    ("task:scr_official", "rate=0.00401", "lr"),
    ("task:scr_official", "width=0.25", "weights of network"),
    ("task:scr_3fold", "momentum=0.991", "momentum"),
    ("task:scr_3fold", "weight_decay=5.01e-4", "weight_decay"),
    ("task:nih_localisation", "detector.location_weight=2.02", "gradient"),
    ("task:nih_localisation", "detector.box_samples=31", "loss_box_reg"),
]


@pytest.mark.parametrize(("subject", "changed", "number"), WEIGHTS, ids=[" ".join(one[:2]) for one in WEIGHTS])
def test_a_setting_of_a_training_that_is_a_little_other_is_red(subject, changed, number, kept):
    assert any(f": {number}" in words for words in [f": {one}" for one in moved(kept, subject, changed)])


@pytest.mark.parametrize(("provider", "number"), [("copy_train", "grey"), ("noise", "contrast")])
def test_a_control_whose_films_are_a_little_other_is_red(provider, number, kept, monkeypatch):
    controls = importlib.import_module("cxrbench.baselines.controls")
    whole = controls.Films.batch

    def mutant(self, *args):
        batch = whole(self, *args)
        batch.images = batch.images * np.float32(0.99)
        return batch

    monkeypatch.setattr(controls.Films, "batch", mutant)
    assert any(number in words for words in moved(kept, f"provider:{provider}"))


def test_trainings_are_whole_again_after_a_fingerprint():
    training = importlib.import_module("cxrbench.benchmark.training.loop")
    hooks = importlib.import_module("torch.optim.optimizer")._global_optimizer_pre_hooks
    before = training._train, len(hooks)
    take("provider:vae")
    assert (training._train, len(hooks)) == before


def test_a_fingerprint_is_the_same_again(kept):
    assert take("provider:gmvae_v7") == take("provider:gmvae_v7")
    assert take("provider:vae latent=17").digest != kept.subjects["provider:vae"].digest
