"""Priors of a VAE's latents, each with the posterior that goes with it: what Kumar and Triana Martinez name as future work
("other priors like Dirichlet or Cauchy") beside their standard normal one.

    normal      q = N(m, s^2), p = N(0, 1)                     divergence in closed form
    mixture     q = N(m, s^2), p = K Gaussians that are learnt  Monte Carlo, one draw (as the GMVAE has it)
    dirichlet   q = Dir(a),    p = Dir(c, ..., c)               closed form
    cauchy      q = Cauchy(m, s), p = Cauchy(0, 1)              closed form

A prior has `outputs`: how many raw values (B, Z) its posterior is; `codes`: a draw (B, Z) of a posterior, along which
gradients flow; `nats`: the divergence (B,) of the posterior that codes were drawn from, summed over latents; `draw`: codes
of the prior itself, whose chance comes from a generator on the CPU.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Cauchy, Dirichlet

from ..benchmark.errors import InputError
from ..benchmark.training.loop import seeded
from .gmvae_networks import MixturePrior, gaussian

PriorName = Literal["normal", "mixture", "dirichlet", "cauchy"]
LEAST_CONCENTRATION = 0.01  # of a posterior: below it draws in single precision are ones and zeros


def normal_nats(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) of every latent (Kingma and Welling 2014, appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def dirichlet_nats(posterior: Tensor, prior: Tensor) -> Tensor:
    """KL(Dir(a) || Dir(c)) of concentrations (..., Z), summed over latents: ln B(c) - ln B(a) + sum_k (a_k - c_k)
    (psi(a_k) - psi(sum a)), with ln B(a) = sum_k ln Gamma(a_k) - ln Gamma(sum a) (Minka 2000, "Estimating a Dirichlet
    distribution"; as a VAE's prior: Joo et al. 2020, "Dirichlet Variational Autoencoder")."""
    total = posterior.sum(-1, keepdim=True)
    expected_log = torch.digamma(posterior) - torch.digamma(total)
    return _log_beta(prior) - _log_beta(posterior) + ((posterior - prior) * expected_log).sum(-1)


def _log_beta(concentration: Tensor) -> Tensor:
    return torch.lgamma(concentration).sum(-1) - torch.lgamma(concentration.sum(-1))


def cauchy_nats(place: Tensor, scale: Tensor) -> Tensor:
    """KL(Cauchy(m, s) || Cauchy(0, 1)) = ln(((s + 1)^2 + m^2) / (4 s)) of every latent (Chyzak and Nielsen 2019, "A
    closed-form formula for the Kullback-Leibler divergence between Cauchy distributions")."""
    return ((scale + 1).square() + place.square()).log() - (4 * scale).log()


class Normal(nn.Module):
    """N(0, 1)."""

    outputs = 2

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent

    def codes(self, *raw: Tensor) -> Tensor:
        mean, log_variance = raw
        return mean + torch.randn_like(mean) * (0.5 * log_variance).exp()

    def nats(self, codes: Tensor, *raw: Tensor) -> Tensor:
        return normal_nats(*raw).sum(1)

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        return torch.randn(count, self.latent, generator=rng)


class Mixture(MixturePrior):
    """K Gaussians that are learnt. Their divergence from one Gaussian has no closed form (Hershey and Olsen 2007): one draw
    z ~ q gives ln q(z) - ln p(z), unbiased, as in the course exercise that the GMVAE started from (CS236)."""

    outputs = 2

    def codes(self, *raw: Tensor) -> Tensor:
        mean, log_variance = raw
        return mean + torch.randn_like(mean) * (0.5 * log_variance).exp()

    def nats(self, codes: Tensor, *raw: Tensor) -> Tensor:
        mean, log_variance = raw
        return gaussian(codes, mean, log_variance.exp()) - self.log_density(codes)


class OnSimplex(nn.Module):
    """Dir(c, ..., c): codes of positive values whose mean is 1 (a point of the simplex, times Z). Gradients of a draw are
    the implicit ones of torch (Figurnov et al. 2018)."""

    outputs = 1

    def __init__(self, latent: int, concentration: float) -> None:
        super().__init__()
        if concentration <= 0:
            raise InputError(f"concentration={concentration:g}: expected a number above 0")
        self.latent, self.concentration = latent, concentration

    def codes(self, *raw: Tensor) -> Tensor:
        drawn: Tensor = Dirichlet(self._posterior(*raw)).rsample()
        return drawn * self.latent

    def nats(self, codes: Tensor, *raw: Tensor) -> Tensor:
        posterior = self._posterior(*raw)
        return dirichlet_nats(posterior, torch.full_like(posterior, self.concentration))

    def _posterior(self, raw: Tensor) -> Tensor:
        return F.softplus(raw) + LEAST_CONCENTRATION

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        seed = int(torch.randint(2**31 - 1, (1,), generator=rng))
        with seeded(seed):  # torch's Dirichlet takes no generator
            drawn: Tensor = Dirichlet(torch.full((count, self.latent), self.concentration)).sample()
        return drawn * self.latent


class HeavyTailed(nn.Module):
    """Cauchy(0, 1): codes far from 0 are far likelier than a Gaussian has them."""

    outputs = 2

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent

    def codes(self, *raw: Tensor) -> Tensor:
        place, log_scale = raw
        drawn: Tensor = Cauchy(place, log_scale.exp()).rsample()
        return drawn

    def nats(self, codes: Tensor, *raw: Tensor) -> Tensor:
        place, log_scale = raw
        return cauchy_nats(place, log_scale.exp()).sum(1)

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        # the quantile function at even draws, kept off 0 and 1
        even = torch.rand(count, self.latent, generator=rng).clamp(1e-6, 1 - 1e-6)
        return torch.tan(math.pi * (even - 0.5))


Prior = Normal | Mixture | OnSimplex | HeavyTailed


def make_prior(name: PriorName, latent: int, *, components: int, concentration: float) -> Prior:
    """The prior of that name for codes of `latent` values. Only the mixture draws random numbers and has weights."""
    if name == "mixture":
        return Mixture(components, latent)
    if name == "dirichlet":
        return OnSimplex(latent, concentration)
    return HeavyTailed(latent) if name == "cauchy" else Normal(latent)
