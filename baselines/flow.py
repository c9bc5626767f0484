"""Flow matching on straight paths: Lipman et al., "Flow Matching for Generative Modeling" (ICLR 2023), section 4.1 with
optimal transport paths and sigma_min of 0; no network is known here, and no film.

A film x1 and noise x0 of N(0, 1) are joined by x_t = (1 - t) x0 + t x1. A network is trained to give the velocity
x1 - x0 of the paths through a point, and films are drawn by following it from t = 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..benchmark.errors import InputError
from .diffusion_base import FilmBase
from .diffusion_training import Network

Velocity = Callable[[Tensor, Tensor], Tensor]
"""Points (B, ...) and the time of each (B,) to their velocity."""


def between(start: Tensor, end: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
    """x_t and the velocity there (equations 22 and 23), of noise and films (B, ...) at times (B,)."""
    at = time.view(-1, *(1,) * (end.ndim - 1))
    return (1 - at) * start + at * end, end - start


def follow(velocity: Velocity, start: Tensor, steps: int) -> Tensor:
    """The point at t = 1 of the path from `start` at t = 0, in equal steps of the midpoint method (two velocities each).
    InputError for fewer than one step."""
    if steps < 1:
        raise InputError(f"sampler_steps: expected at least one step, found {steps}")
    x, size = start, 1 / steps

    def at(time: float, point: Tensor) -> Tensor:
        return velocity(point, torch.full((len(point),), time, device=point.device))

    for step in range(steps):
        half = x + size / 2 * at(step * size, x)
        x = x + size * at((step + 0.5) * size, half)
    return x


@dataclass(frozen=True)
class Flow:
    """Flow matching on standard values of films, of standard deviation 1 here. Where the base has principal axes, the
    network adds to the velocity that the paths would have were the films Gaussian, (t v - (1 - t)) / (t^2 v + (1 - t)^2) x
    along an axis of variance v, as much as that leaves, v / (t^2 v + (1 - t)^2) (a mean over pixels)."""

    base: FilmBase
    steps: int = 16

    def velocity(self, network: Network, x: Tensor, time: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        """Of points (B, C, H, W) at times (B,)."""
        noise = 4 * time - 2  # the range of c_noise, which the network's embedding is made for
        if not self.base.components:
            return network(x, noise, **known).float()
        guess, left = self.gaussian(x, time)
        beside = torch.cat([guess, known["beside"]], 1) if "beside" in known else guess
        made = network(x, noise, **(dict(known) | {"beside": beside})).float()
        return guess + left.view(-1, 1, 1, 1) * made

    def gaussian(self, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """The velocity at points (B, C, H, W), were films Gaussian, and the spread (B,) of what it leaves."""
        t = time[:, None]
        variances, rest = (4 * value.double() for value in (self.base.variances, self.base.rest))  # of SIGMA_DATA 0.5

        def slope(v: Tensor) -> Tensor:
            return (t * v - (1 - t)) / (t**2 * v + (1 - t) ** 2)

        def left(v: Tensor) -> Tensor:
            return v / (t**2 * v + (1 - t) ** 2)

        guess = self.base.filtered(x, slope(variances).float(), slope(rest).float()[:, 0])
        pixels, axes = self.base.mean.numel(), self.base.components
        spread = (left(variances).sum(1) + (pixels - axes) * left(rest)[:, 0]) / pixels
        return guess, spread.sqrt().float()

    def loss(self, network: Network, films: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        values, time = 2 * self.base(films), torch.rand(len(films), device=films.device)
        x, wanted = between(torch.randn_like(values), values, time)
        return (self.velocity(network, x, time, known) - wanted).square()

    def draw(self, network: Network, start: Tensor, known: Mapping[str, Tensor], steps: int | None = None) -> Tensor:
        made = follow(lambda x, t: self.velocity(network, x, t, known), start, self.steps if steps is None else steps)
        return self.base.back(made / 2)
