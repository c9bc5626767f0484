"""The VAE against the counts of its paper and torch's distributions, and the provider on small films."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from cxrbench.baselines.priors import normal_nats
from cxrbench.baselines.vae import VAE, Decoder, Encoder, Heads, VAERecipe, VAESettings, divergence, reconstruction_loss
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.training.loop import make_fabric, seeded
from cxrbench.benchmark.training.recipe import Step

PAPER = VAE.presets["paper"]
SIDE = 32
TINY = VAESettings(
    side=SIDE,
    equalise=False,
    encoder_maps=(4, 8, 16),
    decoder_maps=(32, 16, 8),
    latent=4,
    recon_reduction="sum",
    beta=1.0,
    batch_size=8,
    least_steps=160,
    most_steps=160,
    learning_rate=2e-3,
    timeline=2,
)


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def discs(films: int = 48) -> Dataset:
    """A light disc of one of two sizes on a dark ground."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    radii = np.where(np.arange(films) % 2, 12, 6)
    images = np.where(rows**2 + columns**2 < radii[:, None, None] ** 2, 200, 30).astype(np.uint8)
    ids = [f"case{index}" for index in range(films)]
    return Dataset(DatasetInfo(name="discs", resolution=SIDE), images, pd.DataFrame({"id": ids, "patient": ids}))


def test_the_paper_networks_have_the_exact_parameter_counts():
    encoder, decoder = Encoder(PAPER.encoder_maps), Decoder(PAPER.side, PAPER.latent, PAPER.decoder_maps)
    heads = Heads(8192, PAPER.latent)
    assert count(encoder) == 4_711_648
    assert count(decoder) == 11_184_033
    assert count(heads.mean) == count(heads.log_variance) == 8_389_632
    assert count(encoder) + count(decoder) + count(heads) == 32_674_945


def test_a_film_of_128_pixels_becomes_8192_features_and_a_code_becomes_a_film():
    assert Encoder(PAPER.encoder_maps)(torch.zeros(1, 1, 128, 128)).shape == (1, 8192)
    film = Decoder(128, 1024, PAPER.decoder_maps)(torch.randn(2, 1024))
    assert film.shape == (2, 1, 128, 128) and film.min() >= 0 and film.max() <= 1


def test_the_divergence_is_that_of_torch_distributions():
    rng = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(5, 7, generator=rng), torch.randn(5, 7, generator=rng)
    nats = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0))
    ours = normal_nats(mean, log_variance)
    assert torch.allclose(ours, nats)
    assert torch.allclose(divergence(ours.sum(1), 7, "sum"), nats.sum(1).mean())
    assert torch.allclose(divergence(ours.sum(1), 7, "mean"), nats.mean())


def test_the_squared_error_of_a_film_is_averaged_or_summed():
    films = torch.zeros(2, 1, 2, 2)
    made = torch.tensor([[[[1.0, 0.0], [0.0, 3.0]]], [[[0.0, 2.0], [0.0, 0.0]]]])
    assert reconstruction_loss(made, films, "sum") == (10 + 4) / 2
    assert reconstruction_loss(made, films, "mean") == (10 + 4) / 8


def test_the_paper_preset_is_the_literal_reading():
    assert (PAPER.beta, PAPER.recon_reduction, PAPER.kl_reduction, PAPER.equalise) == (0.1, "mean", "sum", True)
    assert (PAPER.learning_rate, PAPER.batch_size, PAPER.epochs, PAPER.side) == (1e-4, 64, 1.0, 128)
    assert {VAE.presets[name].recon_reduction for name in ("quick", "standard")} == {"sum"}


def test_a_step_goes_down_the_beta_elbo():
    films = discs(8).images
    for beta in (1.0, 0.002):
        with seeded(0):
            trained, by_hand = (VAERecipe(films, replace(TINY, beta=beta)) for _ in range(2))
        for one, other in zip(trained.networks().values(), by_hand.networks().values(), strict=True):
            one.load_state_dict(other.state_dict())
        trained.optimizers()
        with seeded(1):
            trained.step({"rows": torch.arange(8)}, Step(0, 160, make_fabric("cpu", float32=True)))
        real = torch.from_numpy(films)[:, None].float() / 255
        mean, log_variance = by_hand.heads(by_hand.encoder(real))
        with seeded(1):
            codes = mean + torch.randn(8, 4) * (log_variance / 2).exp()
        error = (by_hand.decoder(codes) - real).square().sum() / 8
        posterior = Normal(mean, (log_variance / 2).exp())
        loss = error + beta * kl_divergence(posterior, Normal(0.0, 1.0)).sum() / 8
        expected = torch.autograd.grad(loss, list(by_hand.heads.parameters()))
        for weight, gradient in zip(trained.heads.parameters(), expected, strict=True):
            assert torch.allclose(weight.grad, gradient, rtol=1e-3, atol=1e-5)


@cache
def fitted() -> VAE:
    provider = VAE(TINY)
    provider.fit(discs(), seed=0, progress=Progress())
    return provider


def sampled(provider: VAE, n: int = 40, seed: int = 0) -> Dataset:
    return collect("vae", provider, discs(), n, seed=seed, progress=Progress())


def test_samples_are_light_discs_of_different_sizes():
    images = sampled(fitted()).images
    assert images[:, 13:19, 13:19].mean() > 150 and images[:, :4, :4].mean() < 60
    areas = (images > 115).sum(axis=(1, 2))
    assert areas.min() < 220 and areas.max() > 330  # 113 and 452 pixels are the two discs


def test_the_seed_decides_the_films_and_a_loaded_provider_draws_the_same(tmp_path):
    films = sampled(fitted())
    assert films.digest == sampled(fitted()).digest != sampled(fitted(), seed=1).digest
    fitted().save(tmp_path)
    loaded = VAE.load(tmp_path, TINY)
    assert sampled(loaded).digest == films.digest
    assert loaded.parameter_count() == fitted().parameter_count() == count(Decoder(SIDE, 4, (32, 16, 8)))
    assert set(loaded.histories()["films"].rows[-1]) == {"step", "reconstruction", "divergence"}
    assert loaded.histories()["films"].steps == 160


def test_timeline_of_the_last_moment_is_that_of_the_finished_network():
    steps, films = fitted().timeline()
    assert list(steps) == [80, 160]
    drawn = fitted().draw(torch.Generator().manual_seed(0))[0].detach().numpy()
    assert np.abs(films[-1] / 255 - drawn[: films.shape[1]]).max() < 0.01


def test_a_side_that_cannot_be_halved_so_often_is_an_input_error():
    with pytest.raises(InputError, match="multiple of 8, found side=36"):
        VAE(replace(TINY, side=36)).fit(discs(), seed=0, progress=Progress())
