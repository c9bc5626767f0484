"""Trainings that a person ends by looking at samples: the weights, the curves, and chains whose parts are ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cxrbench.baselines.dcgan_pair import DCGANPair
from cxrbench.baselines.multi_stage import SingleStage, ThreeStage, TwoStage
from cxrbench.baselines.pggan import growth
from cxrbench.baselines.pix2pix import Pix2Pix
from cxrbench.baselines.stargan import StarGAN
from cxrbench.baselines.vae import VAE
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.training.by_eye import ByEye, by_eye, shown
from cxrbench.benchmark.training.history import History
from cxrbench.benchmark.training.loop import train
from cxrbench.benchmark.training.recipe import Recipe

from . import test_dcgan_pair, test_pix2pix, test_stargan, test_vae
from .test_multi_stage import GROWTH, SIDE, SMALL, chests, sample
from .test_timeline import made

KINDS = ("vae", "dcgan", "pggan", "pix2pixhd")
MOMENTS = {"moments": (0, 2, 4, -1)}


def ended(kind: str, eye: ByEye) -> tuple[Recipe, History, int]:
    recipe, source, steps = made(kind, MOMENTS)
    with by_eye(eye):
        history = train(recipe, source, steps=steps, seed=0, name="films")
    return recipe, history, steps


def same(one: Recipe, other: Recipe) -> bool:
    """Whether two recipes have the same weights, samples along the training aside."""
    return all(
        torch.equal(value, other.networks()[name].state_dict()[key])
        for name, network in one.networks().items()
        if name != "timeline"
        for key, value in network.state_dict().items()
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_that_is_ended_is_the_whole_one_at_that_step_taken_from_its_moment_or_done_again(
    kind, tmp_path, monkeypatch
):
    whole, history, steps = ended(kind, ByEye(tmp_path, keeps=True))
    plain, _, _ = ended(kind, ByEye())
    assert same(whole, plain)  # to keep moments changes nothing
    assert shown(tmp_path) == {"films": [0, 2, 4, steps]}
    again, short, _ = ended(kind, ByEye(None, {"films": 4}))
    assert short.steps == 4 and not same(again, whole)
    assert [row for row in short.rows if row["step"] < 4] == [row for row in history.rows if row["step"] < 4]
    assert again.timeline.until(4)[0] == [0, 2, 4]

    def no_step(*_: object) -> None:
        raise AssertionError("a step was done that the folder has")

    monkeypatch.setattr(type(again), "step", no_step)
    taken, kept, _ = ended(kind, ByEye(tmp_path, {"films": 4}))
    assert same(taken, again) and kept.rows == short.rows and kept.images_seen == short.images_seen
    assert np.array_equal(taken.timeline.until(4)[1], again.timeline.until(4)[1])
    last, _, _ = ended(kind, ByEye(tmp_path))  # a whole one is there, too
    assert same(last, whole)


def test_a_moment_of_another_training_or_a_damaged_one_is_not_taken(tmp_path):
    ended("vae", ByEye(tmp_path, keeps=True))
    fresh, _, _ = ended("vae", ByEye(None, {"films": 4}))
    recipe, source, steps = made("vae", MOMENTS)
    with by_eye(ByEye(tmp_path, {"films": 4})):
        train(recipe, source, steps=steps, seed=1, name="films")
    assert not same(recipe, fresh)
    for path in tmp_path.glob("*.safetensors"):
        content = bytearray(path.read_bytes())
        content[-3] ^= 1
        path.write_bytes(content)
    assert same(ended("vae", ByEye(tmp_path, {"films": 4}))[0], fresh)


@pytest.mark.parametrize("step", [0, 7, 99])
def test_a_step_that_a_training_has_not_is_refused(step):
    with pytest.raises(InputError, match=f"step {step} of training 'films' cannot be kept: it has 6 steps"):
        ended("vae", ByEye(None, {"films": step}))


def test_a_part_of_a_chain_is_ended_and_the_others_are_whole(tmp_path):
    eye = ByEye(tmp_path, {"labels": 40})
    provider = ThreeStage(SMALL[ThreeStage])
    with by_eye(eye):
        provider.fit(chests(), seed=0, progress=Progress())
    assert eye.done == ["dots", "labels", "films"]
    assert {name: curve.steps for name, curve in provider.curves.items()} | {"dots": 0} == {
        "dots": 0, "labels": 40, "films": 100}  # fmt: skip
    assert max(provider.timeline()["labels"][0]) <= 40


def test_a_network_that_was_ended_while_it_grew_draws_what_it_had_grown_to(tmp_path: Path):
    phases = growth(SIDE, GROWTH)
    fade = next(phase for phase in phases if phase.fading and phase.level == 2)
    step = fade.first_step + 1 + (fade.steps > 1)
    provider = SingleStage(SMALL[SingleStage])
    with by_eye(ByEye(None, {"films": step})):
        provider.fit(chests(), seed=0, progress=Progress())
    assert provider.grown["films"][0] == 2
    drawn = provider.parts["films"].sample(3, torch.Generator().manual_seed(0))
    assert drawn.shape == (3, 2, SIDE, SIDE)
    small = drawn[:, :, ::2, ::2]  # level 2 has 16 pixels
    assert np.array_equal(np.repeat(np.repeat(small, 2, 2), 2, 3), drawn)
    provider.save(tmp_path)
    loaded = SingleStage.load(tmp_path, SMALL[SingleStage])
    assert loaded.grown == provider.grown
    np.testing.assert_array_equal(sample(loaded, 5, seed=1)[0], sample(provider, 5, seed=1)[0])
    whole = SingleStage(SMALL[SingleStage])
    whole.fit(chests(), seed=0, progress=Progress())
    assert whole.grown == {}


@pytest.mark.parametrize("family", ["vae", "dcgan", "stargan", "pix2pix", "two_stage"])
def test_a_training_is_called_as_its_curve_is_and_has_samples(family, tmp_path):
    provider, films = {
        "vae": lambda: (VAE(replace(test_vae.TINY, least_steps=4, most_steps=4)), test_vae.discs()),
        "dcgan": lambda: (DCGANPair(replace(test_dcgan_pair.TINY, steps=4)), test_dcgan_pair.chests()),
        "stargan": lambda: (StarGAN(replace(test_stargan.TINY, steps=4, timeline=2)), test_stargan.films()),
        "pix2pix": lambda: (Pix2Pix(replace(test_pix2pix.TINY, steps=4, timeline=2)), test_pix2pix.films()),
        "two_stage": lambda: (TwoStage(SMALL[TwoStage]), chests()),
    }[family]()
    eye = ByEye(tmp_path, keeps=True)
    with by_eye(eye):
        provider.fit(films, seed=0, progress=Progress())
    assert eye.done == list(provider.curves) == list(shown(tmp_path))
    timeline = provider.timeline()
    assert timeline is not None
