"""Priors of the VAE's latents against values by hand, torch's distributions, and Monte Carlo; and fits with each."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Cauchy, Dirichlet, Normal, kl_divergence

from cxrbench.baselines.priors import (
    HeavyTailed,
    Mixture,
    OnSimplex,
    cauchy_nats,
    dirichlet_nats,
    make_prior,
    normal_nats,
)
from cxrbench.baselines.vae import VAE, make_networks
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.settings import keyed
from cxrbench.benchmark.training.loop import seeded

from .test_vae import TINY, discs, sampled

NAMES = ("normal", "mixture", "dirichlet", "cauchy")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_normal_divergence_by_hand():
    # N(1, 1): 1/2; N(0, e^2): (e^2 - 1 - 2) / 2; N(0, 1): 0
    nats = normal_nats(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 2.0, 0.0]))
    assert nats.tolist() == pytest.approx([0.5, (math.e**2 - 3) / 2, 0.0])


def test_the_cauchy_divergence_by_hand_and_by_torch():
    # Cauchy(0, 3): ln(16 / 12); Cauchy(2, 1): ln(8 / 4); Cauchy(0, 1): 0
    nats = cauchy_nats(torch.tensor([0.0, 2.0, 0.0]), torch.tensor([3.0, 1.0, 1.0]))
    assert nats.tolist() == pytest.approx([math.log(4 / 3), math.log(2), 0.0], abs=1e-6)
    place, scale = random(5, 3), random(5, 3, seed=1).exp()
    expected = kl_divergence(Cauchy(place, scale), Cauchy(torch.zeros(5, 3), torch.ones(5, 3)))
    assert torch.allclose(cauchy_nats(place, scale), expected, atol=1e-5)


def test_the_dirichlet_divergence_by_hand_and_by_torch():
    # Dir(2, 1) has the density 2x: its divergence from Dir(1, 1), even on [0, 1], is the mean of ln 2x, ln 2 - 1/2
    assert float(dirichlet_nats(torch.tensor([2.0, 1.0]), torch.ones(2))) == pytest.approx(math.log(2) - 0.5, abs=1e-6)
    posterior, prior = random(4, 6).exp(), random(4, 6, seed=1).exp()
    expected = kl_divergence(Dirichlet(posterior), Dirichlet(prior))
    assert torch.allclose(dirichlet_nats(posterior, prior), expected, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_mean_of_many_draws_of_ln_q_less_ln_p_is_the_divergence(name):
    prior = make_prior(name, 3, components=4, concentration=1.5)
    raw = [0.5 * random(1, 3, seed=seed).double().expand(40_000, 3) for seed in range(prior.outputs)]
    with seeded(0):
        codes = prior.codes(*raw)
    if name == "normal":
        ratio = Normal(raw[0], (raw[1] / 2).exp()).log_prob(codes) - Normal(0.0, 1.0).log_prob(codes)
        found = ratio.sum(1)
    elif name == "mixture":
        means, variances = prior.gaussians()
        log_p = torch.stack([Normal(m, v.sqrt()).log_prob(codes).sum(1) for m, v in zip(means, variances, strict=True)])
        found = Normal(raw[0], (raw[1] / 2).exp()).log_prob(codes).sum(1) - (log_p.logsumexp(0) - math.log(4))
    elif name == "cauchy":
        found = (Cauchy(raw[0], raw[1].exp()).log_prob(codes) - Cauchy(0.0, 1.0).log_prob(codes)).sum(1)
    else:
        points = codes / codes.sum(1, keepdim=True)
        posterior = torch.nn.functional.softplus(raw[0]) + 0.01
        found = Dirichlet(posterior).log_prob(points) - Dirichlet(torch.full_like(posterior, 1.5)).log_prob(points)
    error = 4 * float(found.std()) / 200 + 1e-6
    assert float(prior.nats(codes, *raw).mean()) == pytest.approx(float(found.mean()), abs=error)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_a_draw_reach_the_posterior(name):
    prior = make_prior(name, 3, components=2, concentration=1.0)
    raw = [random(5, 3, seed=seed).requires_grad_() for seed in range(prior.outputs)]
    prior.codes(*raw).square().sum().backward()
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in raw)


def test_codes_of_a_prior_follow_it_and_the_generator_alone():
    def drawn(prior: OnSimplex | HeavyTailed | Mixture, seed: int = 0) -> Tensor:
        return prior.draw(4000, torch.Generator().manual_seed(seed)).detach()

    simplex = OnSimplex(5, 2.0)
    codes = drawn(simplex)
    assert torch.allclose(codes.mean(1), torch.ones(4000), atol=1e-5) and codes.min() >= 0
    # the variance of a part of Dir(2, ..., 2) over 5 is (1/5)(4/5) / 11; codes are 5 times a part
    assert float(codes.var()) == pytest.approx(25 * 0.16 / 11, rel=0.05)
    tailed = drawn(HeavyTailed(5))
    quartiles = torch.quantile(tailed.flatten(), torch.tensor([0.25, 0.5, 0.75]))
    assert quartiles.tolist() == pytest.approx([-1, 0, 1], abs=0.06) and tailed.abs().max() > 100
    for prior in (simplex, HeavyTailed(5), Mixture(3, 5)):
        torch.manual_seed(7)
        state = torch.get_rng_state()
        first = drawn(prior)
        assert torch.equal(state, torch.get_rng_state())
        assert torch.equal(first, drawn(prior)) and not torch.equal(first, drawn(prior, 1))


def test_a_concentration_of_nothing_is_refused():
    with pytest.raises(InputError, match="concentration=0: expected a number above 0"):
        make_prior("dirichlet", 4, components=1, concentration=0.0)


def test_the_prior_is_in_keys_only_where_it_is_not_the_papers():
    assert not {"prior", "components", "concentration"} & set(keyed(TINY))
    assert keyed(replace(TINY, prior="cauchy"))["prior"] == "cauchy"


def test_networks_of_the_mixture_have_its_weights_and_a_dirichlet_one_head():
    def weights(prior: str) -> dict[str, int]:
        parts = VAE(replace(TINY, prior=prior)).parameter_parts(discs().info)
        return {name: parts[name] for name in ("mean and logvar heads", "prior") if name in parts}

    head = (16 * 4 * 4 + 1) * 4
    assert weights("normal") == weights("cauchy") == {"mean and logvar heads": 2 * head}
    assert weights("dirichlet") == {"mean and logvar heads": head}
    assert weights("mixture") == {"mean and logvar heads": 2 * head, "prior": 2 * 50 * 4}
    with seeded(0):
        normal = make_networks(TINY)[0]
    with seeded(0):
        other = make_networks(replace(TINY, prior="dirichlet"))[0]
    assert torch.equal(next(normal.parameters()), next(other.parameters()))


@pytest.mark.parametrize("name", ["mixture", "dirichlet", "cauchy"])
def test_a_fit_with_each_prior_learns_discs_and_is_kept(name, tmp_path):
    provider = VAE(replace(TINY, prior=name, components=4))
    provider.fit(discs(), seed=0, progress=Progress())
    rows = provider.curves["films"].rows
    assert rows[-1]["reconstruction"] < 0.5 * rows[0]["reconstruction"]
    films = sampled(provider)
    assert films.images[:, 13:19, 13:19].mean() > films.images[:, :4, :4].mean() + 60
    provider.save(tmp_path)
    loaded = VAE.load(tmp_path, provider.settings)
    assert np.array_equal(sampled(loaded).images, films.images)
