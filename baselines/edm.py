"""The mathematics of diffusion that the providers share: Karras et al., "Elucidating the Design Space of Diffusion-Based
Generative Models" (NeurIPS 2022), as its table 1 (column "Ours"), algorithm 1 and section 5 have it.

A film x of standard deviation sigma_data is seen under noise, x + n with n from N(0, sigma^2). A network F is trained to
take the noise away, D(x; sigma) = c_skip x + c_out F(c_in x, c_noise); a film is drawn by following the probability flow
dx / dsigma = (x - D(x; sigma)) / sigma from sigma_max down to 0. No network is known here, and no film.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..benchmark.errors import InputError

SIGMA_DATA = 0.5
Denoiser = Callable[[Tensor, Tensor], Tensor]
"""Noisy x (B, ...) and the sigma of each (B,) to what they are without noise."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Noise of training and sampling; defaults are the paper's (table 1)."""

    p_mean: float = -1.2
    """Mean of ln sigma in training."""
    p_std: float = 1.2
    """Standard deviation of ln sigma in training."""
    sampler_steps: int = 18
    """Steps of Heun's method; each but the last asks the network twice."""
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0
    """Bends the levels of the sampler towards small ones."""


class Scales(NamedTuple):
    """The four factors of the preconditioning, each shaped as the sigma they are for."""

    skip: Tensor
    out: Tensor
    input: Tensor
    noise: Tensor


def scales(sigma: Tensor, sigma_data: float = SIGMA_DATA) -> Scales:
    """c_skip, c_out, c_in and c_noise (table 1): the input and the target of F have unit variance at every sigma."""
    total = sigma.square() + sigma_data**2
    return Scales(
        skip=sigma_data**2 / total,
        out=sigma * sigma_data / total.sqrt(),
        input=1 / total.sqrt(),
        noise=sigma.log() / 4,
    )


def denoised(network: Denoiser, noisy: Tensor, sigma: Tensor, sigma_data: float = SIGMA_DATA) -> Tensor:
    """D(x; sigma) of equation 7: `network` is F, which gets c_in x (B, ...) and c_noise (B,); float32."""
    factors = scales(sigma.float(), sigma_data)
    skip, out, scale = (_beside(factor, noisy) for factor in factors[:3])
    return skip * noisy + out * network(scale * noisy, factors.noise).float()


def loss_weight(sigma: Tensor, sigma_data: float = SIGMA_DATA) -> Tensor:
    """lambda(sigma) = 1 / c_out^2 (table 1): every sigma weighs the same in the loss of an untrained F."""
    return (sigma.square() + sigma_data**2) / (sigma * sigma_data).square()


def draw_sigma(count: int, noise: Noise, device: torch.device | str = "cpu") -> Tensor:
    """Training noise (count,): ln sigma from N(p_mean, p_std^2), of torch's own random numbers."""
    return (torch.randn(count, device=device) * noise.p_std + noise.p_mean).exp()


def loss(network: Denoiser, clean: Tensor, sigma: Tensor, sigma_data: float = SIGMA_DATA) -> Tensor:
    """lambda(sigma) (D(x + n; sigma) - x)^2 of equation 8, (B, ...) as `clean` and not averaged; n from torch's own random
    numbers."""
    noisy = clean + _beside(sigma, clean) * torch.randn_like(clean)
    error = (denoised(network, noisy, sigma, sigma_data) - clean).square()
    return _beside(loss_weight(sigma, sigma_data), clean) * error


def levels(noise: Noise, steps: int | None = None) -> Tensor:
    """The sigmas of a sampling (steps + 1,), from sigma_max to sigma_min and then 0 (equation 5); float64 as in the paper.
    InputError for fewer than one step."""
    count = noise.sampler_steps if steps is None else steps
    if count < 1:
        raise InputError(f"sampler_steps: expected at least one step, found {count}")
    top, low = noise.sigma_max ** (1 / noise.rho), noise.sigma_min ** (1 / noise.rho)
    share = torch.arange(count, dtype=torch.float64) / max(1, count - 1)
    return torch.cat([(top + share * (low - top)) ** noise.rho, torch.zeros(1, dtype=torch.float64)])


def heun(
    denoise: Denoiser, start: Tensor, sigmas: Tensor, after: Callable[[Tensor, int], Tensor] | None = None
) -> Tensor:
    """Algorithm 1: `start` (B, ...) from N(0, 1), along `sigmas` (K + 1,) that end at 0, to what it becomes, float32.

    `after`: changes what there is after step i, given i (for a region that is known).
    """
    x = start.double() * sigmas[0].to(start.device)
    for step, (sigma, lower) in enumerate(zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True)):
        slope = _slope(denoise, x, sigma)
        moved = x + (lower - sigma) * slope
        if lower > 0:
            moved = x + (lower - sigma) * (slope + _slope(denoise, moved, lower)) / 2
        x = moved if after is None else after(moved, step)
    return x.float()


def _slope(denoise: Denoiser, x: Tensor, sigma: float) -> Tensor:
    """dx / dsigma at x (equation 3 with sigma(t) = t)."""
    at = torch.full((len(x),), sigma, dtype=torch.float32, device=x.device)
    return (x - denoise(x.float(), at).double()) / sigma


def _beside(values: Tensor, films: Tensor) -> Tensor:
    """Values (B,) shaped to multiply (B, ...)."""
    return values.view(-1, *(1,) * (films.ndim - 1))


def average_decay(batch: int, seen: int, half_life: float, ramp: float) -> float:
    """Decay of the running mean of weights in a step of `batch` films: its half-life in films, but no more than `ramp`
    times the `seen` ones, so that the first weights are soon forgotten (0 for no such limit)."""
    life = min(half_life, max(1.0, ramp * seen)) if ramp else half_life
    return float(0.5 ** (batch / life))


@torch.no_grad()
def average_into(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the running mean of a network's weights towards them; its buffers are taken over."""
    for mean, weight in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)
    for kept, value in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(value)
