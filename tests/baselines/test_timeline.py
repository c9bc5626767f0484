"""Samples along a training: at which moments, what they show, and that taking them changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from cxrbench.baselines.dcgan_pair import DCGANPair, DCGANRecipe
from cxrbench.baselines.lsgan import LSGAN, LSGANRecipe
from cxrbench.baselines.multi_stage import MultiStage, ThreeStage
from cxrbench.baselines.pggan import PGGANRecipe
from cxrbench.baselines.pix2pixhd import Pairs, Pix2PixHDRecipe
from cxrbench.baselines.timeline import NO_TIMELINE, Moments, as_shown
from cxrbench.baselines.vae import VAE, VAERecipe
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.settings import keyed
from cxrbench.benchmark.training.loop import seeded, train
from cxrbench.benchmark.training.recipe import Recipe, RowNumbers, Source

from ..stopped import stopped_after
from .test_dcgan_pair import TINY as PAIR
from .test_lsgan import TINY as GAN
from .test_multi_stage import FILMS, GROWTH, SMALL, chests
from .test_vae import TINY as CODER
from .test_vae import discs

SIDE, STEPS = 32, 6


@pytest.mark.parametrize(
    ("settings", "steps", "moments"),
    [
        (Moments(), 16, [2, 4, 6, 8, 10, 12, 14, 16]),
        (Moments(timeline=3), 10, [4, 8, 10]),
        (Moments(timeline=0), 10, []),
        (Moments(timeline_every=200), 500, [200, 400, 500]),
        (Moments(timeline=0, timeline_every=4), 8, [4, 8]),
        (Moments(moments=(0, 100, 250)), 1217, [0, 100, 250]),
        (Moments(moments=(0, 400, -1)), 6084, [0, 400, 6084]),
        (Moments(moments=(0, 400, -1)), 90, [0, 90]),
        (Moments(moments=(250, 0, 100)), 100, [0, 100]),
    ],
)
def test_moments_are_spread_at_a_distance_or_chosen(settings, steps, moments):
    assert settings.chosen(steps) == moments


def test_moments_before_the_start_are_refused():
    with pytest.raises(InputError, match="from 0 on, or -1 for the last one, found -2"):
        Moments(moments=(0, -2)).chosen(10)


def test_the_papers_own_moments_are_those_of_their_presets():
    pair = DCGANPair.presets["paper"]
    assert pair.chosen(pair.steps) == list(range(200, 12_001, 200))
    assert VAE.presets["paper"].chosen(1217) == [0, 100, 250, 1217]
    assert LSGAN.presets["paper"].chosen(6084) == [0, 400, 6084]
    for cls in (VAE, LSGAN, DCGANPair):
        assert not {"moments", "timeline_every"} & set(keyed(cls.presets["quick"]))
    assert "timeline" in keyed(VAE.presets["quick"]) and "timeline" not in keyed(ThreeStage.presets["quick"])["dots"]


def made(kind: str, moments: dict[str, object]) -> tuple[Recipe, Source, int]:
    """A recipe of a few steps, its films, and how many steps."""
    films = np.random.default_rng(0).integers(0, 256, (12, SIDE, SIDE)).astype(np.uint8)
    short = {"least_steps": STEPS, "most_steps": STEPS}
    with seeded(0):
        if kind == "vae":
            return VAERecipe(films, replace(CODER, **short, **moments)), RowNumbers(12), STEPS
        if kind == "lsgan":
            return LSGANRecipe(films, replace(GAN, **short, **moments)), RowNumbers(12), STEPS
        if kind == "dcgan":
            pairs = np.stack([films, films], axis=1)
            return DCGANRecipe(pairs, replace(PAIR, **moments)), RowNumbers(12), STEPS
        if kind == "pggan":
            recipe = PGGANRecipe(np.stack([films, films], axis=1), replace(GROWTH, **moments))
            return recipe, RowNumbers(12), recipe.steps
        source = Pairs(films // 128, films)
        settings = replace(FILMS, steps=STEPS, **moments)
        return Pix2PixHDRecipe(12, 2, settings, shown=source.codes[:3]), source, STEPS


KINDS = ("vae", "lsgan", "dcgan", "pggan", "pix2pixhd")


@pytest.mark.parametrize("kind", KINDS)
def test_samples_at_every_step_change_no_weight_and_no_loss(kind):
    trained = []
    for moments in (NO_TIMELINE, {"moments": tuple(range(100))}):
        recipe, source, steps = made(kind, moments)
        history = train(recipe, source, steps=steps, seed=0)
        trained.append((recipe, history))
    (bare, without), (shown, along) = trained
    assert without.rows == along.rows
    for name in set(bare.networks()) - {"timeline"}:
        for key, value in bare.networks()[name].state_dict().items():
            assert torch.equal(value, shown.networks()[name].state_dict()[key]), (name, key)
    assert bare.timeline.until(steps) is None
    moments, films = shown.timeline.until(steps)
    assert moments == list(range(steps + 1)) and len(films) == steps + 1
    assert (films[0] != films[-1]).any()  # step 0 is before the training
    assert np.array_equal(shown.samples_after(2), films[2])
    assert np.array_equal(shown.timeline.until(2)[1], films[:3])


@pytest.mark.parametrize("kind", ["vae", "dcgan", "pggan", "pix2pixhd"])
def test_step_0_is_what_an_untrained_network_draws(kind):
    recipe, source, steps = made(kind, {"moments": (0,)})
    train(recipe, source, steps=steps, seed=0)
    fresh, _, _ = made(kind, {"moments": (0,)})
    fresh.begins(torch.device("cpu"))
    assert fresh.timeline.films.any() and torch.equal(recipe.timeline.films, fresh.timeline.films)


@pytest.mark.parametrize("kind", ["pggan", "pix2pixhd"])
def test_a_training_that_was_stopped_goes_on_with_the_samples_it_had(kind, tmp_path):
    moments = {"moments": (0, 2, 4, -1)}
    whole, source, steps = made(kind, moments)
    train(whole, source, steps=steps, seed=0)
    stopped, _, _ = made(kind, moments)
    stopped_after(3, stopped, source, tmp_path, steps=steps)
    resumed, _, _ = made(kind, moments)
    train(resumed, source, steps=steps, seed=0, checkpoints=tmp_path)
    assert whole.timeline.films.flatten(1).any(dim=1).all()
    assert torch.equal(whole.timeline.films, resumed.timeline.films)


@pytest.mark.parametrize("kind", SMALL)
def test_every_part_of_a_chain_has_samples_along_its_training(kind: Callable[..., MultiStage]):
    provider = kind(SMALL[kind])
    provider.fit(chests(), seed=0, progress=Progress())
    along = provider.timeline()
    assert list(along) == list(kind.part_types)
    for name, (steps, films) in along.items():
        assert steps[-1] == provider.curves[name].steps and len(films) == len(steps)
        assert films.dtype == np.uint8 and films.shape[1] == 6 and films.shape[2] == films.shape[3]
        assert films[-1].std() > 0, name


def test_the_last_films_of_a_timeline_are_the_fitted_generators():
    provider = ThreeStage(SMALL[ThreeStage])
    train_set = chests()
    provider.fit(train_set, seed=0, progress=Progress())
    from cxrbench.baselines.organ_maps import paint

    classes = paint(train_set.organ_masks(), train_set.organs)
    rows = np.unique(np.linspace(0, len(classes) - 1, 6).round().astype(int))
    expected = np.rint((provider.parts["films"].translate(classes[rows])[:, 0] + 1) * 127.5)
    assert np.abs(provider.timeline()["films"][1][-1] - expected).max() <= 1


def test_pictures_of_small_and_large_films_have_the_side_of_the_timeline():
    small = as_shown(torch.tensor([[[[-1.0, 1.0], [1.0, 3.0]]]]), 4)
    assert small.shape == (1, 1, 4, 4) and small[0, 0, :2, 2:].eq(1).all() and small.max() == 1
    large = as_shown(torch.arange(16.0).view(1, 1, 4, 4) / 16, 2)
    assert torch.allclose(large[0, 0], torch.tensor([[2.5, 4.5], [10.5, 12.5]]) / 16)
    two = as_shown(torch.stack([torch.zeros(2, 4, 4), torch.ones(2, 4, 4)]), 4)
    assert two[:, 0, 0, 0].tolist() == [0, 0, 1, 1]  # the channels of a film by turns


def test_a_coder_shows_what_its_decoder_draws_at_the_moment():
    provider = VAE(replace(CODER, moments=(0, 5), least_steps=5, most_steps=5))
    provider.fit(discs(), seed=0, progress=Progress())
    steps, films = provider.timeline()
    drawn = provider.draw(torch.Generator().manual_seed(0))[0].detach().numpy()
    assert list(steps) == [0, 5] and np.abs(films[-1] / 255 - drawn[: films.shape[1]]).max() < 0.01
