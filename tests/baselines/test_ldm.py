"""Latent diffusion: the losses and the latent's scale by hand, resumed trainings, and both providers on small films."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from cxrbench.baselines import edm
from cxrbench.baselines.diffusion_base import FilmBase
from cxrbench.baselines.diffusion_provider import EDMSettings
from cxrbench.baselines.diffusion_training import EDM, as_values, energy_distance
from cxrbench.baselines.diffusion_unet import UNetSettings
from cxrbench.baselines.flow_maps import FlowSettings
from cxrbench.baselines.latent_diffusion import (
    Autoencoder,
    AutoencoderRecipe,
    AutoencoderSettings,
    Fitting,
    LatentFilms,
    LatentSettings,
    balance,
    encoded,
    hinge,
    kl,
    latent_base,
    make_networks,
)
from cxrbench.baselines.ldm_labels import LDMLabels, LDMLabelsSettings
from cxrbench.baselines.ldm_masks import PAPER, LDMMasks, LDMMasksSettings
from cxrbench.baselines.pix2pixhd import one_hot
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.training.loop import seeded, train
from cxrbench.benchmark.training.recipe import RowNumbers

from ..organs import with_organs
from ..stopped import stopped_after
from .test_dcgan_pair import chests
from .test_edm_labels import halves
from .test_edm_pair import UNET

AUTOENCODER = AutoencoderSettings(
    channels=(8, 16),
    res_blocks=1,
    latent_channels=3,
    norm_groups=4,
    attention=False,
    fold=2,
    steps=120,
    batch_size=12,
    learning_rate=4e-3,
    decay=True,
    adversarial_from=100,
    ndf=8,
    n_layers=1,
    timeline=2,
)
DIFFUSION = EDMSettings(
    noise=edm.Noise(sampler_steps=8),
    unet=UNetSettings(channels=(16, 16), res_blocks=1, attention=(False, False), norm_groups=4),
    steps=200,
    batch_size=16,
    learning_rate=4e-3,
    warm_up=64,
    decay=True,
    timeline=2,
    compared_steps=(2, 8),
)
MAPS = FlowSettings(
    unet=UNET, components=6, sampler_steps=3, steps=20, batch_size=8, warm_up=16, timeline=0, compared_steps=()
)
MASKS = LDMMasksSettings(autoencoder=AUTOENCODER, diffusion=DIFFUSION, labels=MAPS)
LABELS = LDMLabelsSettings(autoencoder=AUTOENCODER, diffusion=DIFFUSION, guidance=1.0)


# ------------------------------------------------------------------------------------------- the autoencoder


def test_the_divergence_from_a_standard_normal_by_hand():
    mean, sigma = torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]]), torch.tensor([[[1.0, 2.0]], [[1.0, 1.0]]])
    one = 0.5 * (1 + 1 - 1 - 0) + 0.5 * (0 + 4 - 1 - 2 * math.log(2))
    assert kl(mean, sigma).item() == pytest.approx((one + 0) / 2)
    assert kl(torch.zeros(2, 3), torch.ones(2, 3)).item() == 0


def test_the_discriminators_loss_by_hand():
    on_real, on_made = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 1.0])
    assert hinge(on_real, on_made).item() == pytest.approx(0.5 * ((0 + 0.5) / 2 + (0 + 2) / 2))


def test_both_losses_pull_the_last_weights_as_hard():
    last = nn.Parameter(torch.tensor([1.0, 1.0]))
    reconstruction, adversarial = (3 * last[0] + 4 * last[1]), 0.5 * last[0]
    assert balance(reconstruction, adversarial, last).item() == pytest.approx(5 / 0.5, rel=1e-4)
    assert balance(reconstruction, 0 * last.sum(), last).item() == 1e4


def test_the_last_weights_are_those_of_the_convolution_that_makes_films():
    assert Autoencoder(AUTOENCODER).last_weight().shape == (4, 8, 3, 3)  # 2 x 2 pixels of the first level


def test_a_latent_is_smaller_by_the_factor_and_a_film_comes_back_at_its_side():
    autoencoder = Autoencoder(AUTOENCODER)
    mean, sigma = autoencoder.posterior(torch.zeros(2, 1, 32, 32))
    assert AUTOENCODER.factor == 4 and mean.shape == sigma.shape == (2, 3, 8, 8)
    assert autoencoder.decode(mean).shape == (2, 1, 32, 32)


def test_attention_at_the_lowest_level_sees_the_whole_film():
    film = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    other = film.clone()
    other[..., :2, :2] += 1
    for attention in (False, True):
        with seeded(0):
            autoencoder = Autoencoder(replace(AUTOENCODER, attention=attention)).eval()
        for layer in autoencoder.modules():
            if isinstance(layer, nn.GroupNorm):
                layer.forward = lambda x: x  # it sees the whole film too
        with torch.no_grad():
            far = [autoencoder.posterior(one)[0][0, :, 7, 7] for one in (film, other)]
        assert torch.equal(*far) is not attention


def test_latents_of_the_training_films_have_unit_variance_and_decode_takes_them_back():
    autoencoder, films = Autoencoder(AUTOENCODER), torch.from_numpy(np.array(chests().images))[:, None]
    raw = encoded(autoencoder, films)
    autoencoder.learn_scale(torch.tensor([1.0, 3.0, 5.0, 7.0]))  # mean 4, variance (9 + 1 + 1 + 9) / 4
    assert autoencoder.centre.item() == 4 and autoencoder.spread.item() == pytest.approx(5**0.5)
    assert torch.allclose(encoded(autoencoder, films), (raw - 4) / 5**0.5, atol=1e-5)
    autoencoder.learn_scale(raw)
    latents = encoded(autoencoder, films)
    assert latents.mean().item() == pytest.approx(0, abs=1e-4)
    assert latents.std(correction=0).item() == pytest.approx(1, rel=1e-4)
    with torch.no_grad():
        assert torch.allclose(autoencoder.decode(latents), autoencoder.made(raw), atol=1e-4)


def test_a_wrong_scale_of_the_latent_is_seen_by_the_loss_of_a_network_that_adds_nothing():
    """With the right one input and target have unit variance at every noise (Karras et al., appendix B.6): the loss is 1."""
    latents, base = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0)), FilmBase(3, 8)
    process = EDM(latent_base(base, latents), edm.Noise())
    assert base(latents).std().item() == pytest.approx(edm.SIGMA_DATA, rel=0.02)

    def loss(scale: float) -> float:
        with seeded(0):
            return process.loss(lambda scaled, noise: torch.zeros_like(scaled), latents * scale, {}).mean().item()

    assert loss(1.0) == pytest.approx(1, abs=0.05)
    assert loss(3.0) > 2 and loss(0.2) < 0.8


def test_a_base_with_components_learns_the_latents_and_one_without_leaves_them():
    latents = 5 + torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    plain, learnt = latent_base(FilmBase(3, 8), latents), latent_base(FilmBase(3, 8, 4), latents)
    assert torch.allclose(plain(latents), latents / 2) and torch.allclose(plain.back(plain(latents)), latents)
    assert learnt(latents).mean().item() == pytest.approx(0, abs=1e-4) and learnt.axes.any()


def recipe(settings: AutoencoderSettings) -> AutoencoderRecipe:
    with seeded(0):
        built = make_networks(LatentSettings(autoencoder=settings, diffusion=DIFFUSION), 32)
        films = torch.from_numpy(np.array(chests().images))[:, None]
        return AutoencoderRecipe(built["autoencoder"], built["discriminator"], films, settings)


def test_the_discriminator_waits_for_its_step_and_then_both_learn():
    settings = replace(AUTOENCODER, steps=2, adversarial_from=1)
    made = recipe(settings)
    before = [weight.clone() for weight in made.discriminator.parameters()]
    history = train(made, RowNumbers(24), steps=2, seed=0)
    assert history.rows[0]["discriminator"] == history.rows[0]["adversarial"] == 0
    assert history.rows[1]["discriminator"] > 0 and history.rows[1]["adversarial"] != 0
    assert any((a != b).any() for a, b in zip(before, made.discriminator.parameters(), strict=True))
    never = recipe(replace(settings, adversarial_weight=0.0))
    train(never, RowNumbers(24), steps=2, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(before, never.discriminator.parameters(), strict=True))


def test_the_pull_towards_a_standard_normal_is_in_the_loss_of_a_pixel():
    made = recipe(replace(AUTOENCODER, steps=1, kl_weight=2.0, adversarial_from=1))
    with torch.no_grad():
        films = as_values(made.films[:12])
        wanted = 2 * kl(*made.autoencoder.posterior(films)) / 1024
    loss = made.step({"rows": torch.arange(12)}, Alone(made))["kl"]
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)


class Alone:
    """Stands for a step of the loop that changes no weight."""

    def __init__(self, recipe: AutoencoderRecipe) -> None:
        recipe.optimizers()
        self.index, self.device = 0, torch.device("cpu")

    def update(self, loss, optimizer):
        pass


def test_a_training_that_was_stopped_goes_on_to_the_same_weights_and_timeline(tmp_path):
    settings = replace(AUTOENCODER, steps=6, adversarial_from=2)
    whole, resumed = recipe(settings), recipe(settings)
    train(whole, RowNumbers(24), steps=6, seed=0)
    stopped_after(4, recipe(settings), RowNumbers(24), tmp_path, steps=6)
    train(resumed, RowNumbers(24), steps=6, seed=0, checkpoints=tmp_path)
    for name, network in whole.networks().items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, resumed.networks()[name].state_dict()[key]), (name, key)
    assert torch.equal(whole.timeline.films, resumed.timeline.films) and whole.timeline.films.any()


def test_a_shorter_training_has_the_same_share_against_the_discriminator():
    short = PAPER.shorter(8)
    assert (short.autoencoder.steps, short.autoencoder.adversarial_from) == (8, 2)
    assert short.diffusion.steps == short.labels.steps == 8 and short.autoencoder.timeline == 0
    assert PAPER.with_batch(3).autoencoder.batch_size == PAPER.with_batch(3).labels.batch_size == 3


def test_the_papers_denoiser_has_as_many_parameters_as_it_says():
    with torch.device("meta"):
        networks = make_networks(PAPER, 256)
    count = sum(weight.numel() for weight in networks["denoiser"].parameters())
    assert round(count / 1e6) == 274  # table 12, f = 4
    assert networks["base"].mean.shape == (3, 64, 64)


# ------------------------------------------------------------------------------------------- masks


@cache
def masks_fitted() -> LDMMasks:
    provider = LDMMasks(MASKS)
    provider.fit(chests(), seed=0, progress=Progress())
    return provider


def with_masks(provider: LDMMasks, n: int = 20, seed: int = 0) -> Dataset:
    return collect("ldm_masks", provider, chests(), n, seed=seed, progress=Progress())


def test_the_denoiser_is_told_the_share_of_every_class_at_every_place():
    codes = torch.zeros(1, 8, 8, dtype=torch.uint8)
    codes[0, :2, :4] = 1
    codes[0, 4:, 4:] = 3
    provider = LDMMasks(MASKS)
    provider.maps = masks_fitted().maps
    shares = provider.known(codes)["beside"]
    assert shares.shape == (1, 4, 2, 2)
    assert shares[0, :, 0, 0].tolist() == [0.5, 0.5, 0, 0] and shares[0, :, 1, 1].tolist() == [0, 0, 0, 1]
    assert torch.allclose(shares.sum(1), torch.ones(1, 2, 2)) and one_hot(codes, 4).shape == (1, 4, 8, 8)


def test_films_show_the_organs_that_they_are_labelled_with():
    films = with_masks(masks_fitted())
    assert films.organs == ("left_lung", "right_lung", "heart") and len(films) == 20
    masks = films.organ_masks()
    lungs, hearts = masks[:, :2].any(axis=1), masks[:, 2]
    within = [
        (film[~lung & ~heart].mean() - film[lung & ~heart].mean(), film[heart].mean() - film[lung & ~heart].mean())
        for film, lung, heart in zip(films.images.astype(float), lungs, hearts, strict=True)
        if (lung & ~heart).any() and heart.any()
    ]
    assert len(within) >= 15 and np.median([a for a, _ in within]) > 20 and np.median([b for _, b in within]) > 40


def test_other_masks_and_the_same_noise_make_other_films_and_the_film_follows_them():
    provider = masks_fitted()
    left, right = torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
    left[:, 8:24, 2:12], right[:, 8:24, 20:30] = 1, 1
    start = provider.films.start(1, torch.Generator().manual_seed(0))
    films = [
        provider.films.draw(provider.process(provider.films.base), start, provider.known(codes))[0, 0]
        for codes in (left, right)
    ]
    there = films[0][8:24, 2:12].mean() - films[1][8:24, 2:12].mean()
    assert there < -0.1 and films[1][8:24, 20:30].mean() - films[0][8:24, 20:30].mean() < -0.1


def test_the_seed_decides_the_films_with_masks_and_a_loaded_provider_draws_the_same(tmp_path):
    films = with_masks(masks_fitted())
    assert films.digest == with_masks(masks_fitted()).digest != with_masks(masks_fitted(), seed=1).digest
    masks_fitted().save(tmp_path)
    loaded = LDMMasks.load(tmp_path, MASKS)
    assert with_masks(loaded).digest == films.digest
    assert loaded.parameter_count() == masks_fitted().parameter_count() > 0


def test_what_a_fit_of_masks_tells():
    provider = masks_fitted()
    assert set(provider.curves) == {"labels", "autoencoder", "films"}
    assert list(provider.facts()) == ["energy_distance_at_2_steps", "energy_distance_at_8_steps"]
    shown = provider.timeline()
    assert shown["films"][1].shape == shown["autoencoder"][1].shape == (2, 4, 32, 32)
    assert "the same films by steps of the sampler" in shown


def test_films_without_masks_and_sides_that_cannot_be_divided_are_refused():
    with pytest.raises(InputError, match="learns from organ masks; dataset chests has none"):
        LDMMasks(MASKS).fit(with_organs(chests(), []), seed=0, progress=Progress())
    wide = replace(MASKS, autoencoder=replace(AUTOENCODER, fold=3))
    with pytest.raises(InputError, match="an autoencoder of factor 6 needs a side that is a multiple of it, found 32"):
        LDMMasks(wide).fit(chests(), seed=0, progress=Progress())


# ------------------------------------------------------------------------------------------- findings


@cache
def labels_fitted() -> LDMLabels:
    provider = LDMLabels(LABELS)
    provider.fit(halves(), seed=0, progress=Progress())
    return provider


def with_labels(provider: LDMLabels, n: int = 40, seed: int = 0) -> Dataset:
    return collect("ldm_labels", provider, halves(), n, seed=seed, progress=Progress())


def test_films_show_the_findings_that_they_are_labelled_with_several_at_once():
    films = with_labels(labels_fitted())
    labels = films.labels()
    assert {tuple(row) for row in labels.tolist()} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    for column, half in ((0, films.images[:, :, :8]), (1, films.images[:, :, 8:])):
        light = half.mean(axis=(1, 2))
        assert light[labels[:, column] == 1].mean() > light[labels[:, column] == 0].mean() + 40


def test_the_seed_decides_the_films_with_findings_and_a_loaded_provider_draws_the_same(tmp_path):
    films = with_labels(labels_fitted())
    assert films.digest == with_labels(labels_fitted()).digest != with_labels(labels_fitted(), seed=1).digest
    assert np.array_equal(with_labels(labels_fitted(), 5).images, films.images[:5])
    labels_fitted().save(tmp_path)
    loaded = LDMLabels.load(tmp_path, LABELS)
    assert with_labels(loaded).digest == films.digest
    guided = LDMLabels.load(tmp_path, replace(LABELS, guidance=3.0))
    assert not np.array_equal(with_labels(guided, 4).images, films.images[:4])


def test_a_latent_that_is_given_back_at_another_scale_makes_other_films():
    fitted = labels_fitted().films
    start, labels = fitted.start(16, torch.Generator().manual_seed(0)), np.zeros((16, 2), np.uint8)
    right = labels_fitted().draw(start, labels)
    wrong = LatentFilms(Scaled(fitted.autoencoder), fitted.denoiser, fitted.base)
    films = wrong.draw(labels_fitted().process(fitted.base), start, {"labels": torch.from_numpy(labels)})
    plain = halves()
    real = as_values(torch.from_numpy(plain.images[(plain.labels() == 0).all(axis=1)]))[:, None]
    assert 2 * energy_distance(right, real) < energy_distance(films, real)


class Scaled(nn.Module):
    """An autoencoder that forgets the spread of its latent."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder

    def decode(self, latents):
        return self.autoencoder.made(latents * self.autoencoder.spread * 4 + self.autoencoder.centre)


def test_films_without_findings_are_refused():
    films = halves()
    with pytest.raises(InputError, match="learns from findings; dataset halves has none"):
        LDMLabels(LABELS).fit(replace(films, info=films.info.changed(findings=())), seed=0, progress=Progress())


def test_purposes_have_seeds_of_their_own():
    fitting = Fitting(LABELS, 0, "cpu", None)
    assert len({fitting.seed_of(name) for name in ("autoencoder", "films", "shown")}) == 3
    assert fitting.seed_of("films") != Fitting(LABELS, 1, "cpu", None).seed_of("films")
