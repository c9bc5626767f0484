"""What a diffusion knows of its films before its network learns anything: their mean at every pixel, the spread of every
channel, and, where asked for, the directions in which they differ most.

Karras et al. (2022) take films to be Gaussian with variance sigma_data^2 in every direction: c_skip x is then the best
guess of a film under noise, and c_out the spread of what that leaves (their appendix B.6). Films of chests differ in few
directions. With `components` of them (principal axes, a variance each; all other directions share one: Tipping and
Bishop 1999) the same two formulas hold along every axis, and the network has only to learn what is not Gaussian. That is
for trainings of a minute; with none of them all is as in the paper.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from . import edm

Network = Callable[..., Tensor]


class FilmBase(nn.Module):
    """Films (B, C, H, W) to standard values and back, and the preconditioned denoiser on standard values: mean 0 at every
    pixel, standard deviation `edm.SIGMA_DATA` in every channel."""

    mean: Tensor
    spread: Tensor
    axes: Tensor
    variances: Tensor
    rest: Tensor

    def __init__(self, channels: int, side: int, components: int = 0) -> None:
        super().__init__()
        self.components = components
        self.register_buffer("mean", torch.zeros(channels, side, side))
        self.register_buffer("spread", torch.ones(channels, 1, 1))
        self.register_buffer("axes", torch.zeros(components, channels * side * side))
        self.register_buffer("variances", torch.full((components,), edm.SIGMA_DATA**2))
        self.register_buffer("rest", torch.tensor(edm.SIGMA_DATA**2))

    @torch.no_grad()
    def learn(self, films: Tensor) -> None:
        """From training films (N, C, H, W); with `components`, at most half as many as films."""
        self.mean.copy_(films.mean(0))
        away = films - self.mean
        spread = away.square().mean(dim=(0, 2, 3)).sqrt()
        self.spread.copy_((spread.clamp_min(1e-3) / edm.SIGMA_DATA)[:, None, None])
        values = (away / self.spread).flatten(1).double()
        kept = min(self.components, len(films) // 2)
        if kept:
            shares, axes = torch.linalg.eigh(values @ values.T / len(values))  # of films: fewer than of pixels
            shares, axes = shares.flip(0)[:kept].clamp_min(0), axes.flip(1)[:, :kept]
            along = axes.T @ values
            self.axes[:kept].copy_(along / along.norm(dim=1, keepdim=True))
            self.variances[:kept].copy_(shares)
            left = (values.square().sum() / len(values) - shares.sum()) / (values.shape[1] - kept)
            self.rest.copy_(left)
            self.variances[kept:].copy_(left)

    def forward(self, films: Tensor) -> Tensor:
        return (films - self.mean) / self.spread

    def back(self, values: Tensor) -> Tensor:
        """Standard values (B, C, H, W) to films."""
        return values * self.spread + self.mean

    def filtered(self, values: Tensor, along: Tensor, rest: Tensor) -> Tensor:
        """Values (B, C, H, W), multiplied by `along` (B, K) along the axes and by `rest` (B,) across them."""
        plain = rest.view(-1, 1, 1, 1) * values
        if not self.components:
            return plain
        return plain + ((values.flatten(1) @ self.axes.T * (along - rest[:, None])) @ self.axes).view_as(values)

    def begin(self, start: Tensor, sigma: float) -> Tensor:
        """What a sampling from noise `sigma` starts from, over sigma: `start` (B, C, H, W) from N(0, 1), along every axis as
        much larger as films under that noise are. So a sampling may start where noise does not hide the axes yet."""
        wider = (self.variances + sigma**2).sqrt() / sigma
        return self.filtered(start, wider[None], torch.ones(1, device=start.device))

    def guess(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        """The best guess of standard values (B, C, H, W) under noise, were they Gaussian: c_skip x along every axis."""
        noise = sigma.square()
        along = self.variances / (self.variances + noise[:, None])
        return self.filtered(noisy, along, self.rest / (self.rest + noise))

    def left(self, sigma: Tensor) -> Tensor:
        """Standard deviation (B,) of what the guess leaves, a mean over pixels: c_out."""
        noise, pixels = sigma.square(), self.mean.numel()
        rest = self.rest * noise / (self.rest + noise)
        along = self.variances * noise[:, None] / (self.variances + noise[:, None])
        return ((along.sum(1) + (pixels - self.components) * rest) / pixels).sqrt()

    def denoised(self, network: Network, noisy: Tensor, sigma: Tensor, **known: Tensor) -> Tensor:
        """D(x; sigma): the guess, and what the network F adds to it. F gets c_in x, c_noise and, with components, the guess
        beside what is `known`."""
        sigma = sigma.float()
        factors, guess = edm.scales(sigma), self.guess(noisy, sigma)
        scaled = noisy * factors.input.view(-1, 1, 1, 1)
        if self.components:
            beside = guess / edm.SIGMA_DATA
            known = known | {"beside": torch.cat([beside, known["beside"]], 1) if "beside" in known else beside}
        return guess + self.left(sigma).view(-1, 1, 1, 1) * network(scaled, factors.noise, **known).float()

    def loss(self, network: Network, films: Tensor, sigma: Tensor, **known: Tensor) -> Tensor:
        """(D(x + n; sigma) - x)^2 / c_out^2 of standard values, (B, C, H, W) and not averaged (equation 8)."""
        noisy = films + sigma.view(-1, 1, 1, 1) * torch.randn_like(films)
        error = (self.denoised(network, noisy, sigma, **known) - films).square()
        return error / self.left(sigma).square().view(-1, 1, 1, 1)
