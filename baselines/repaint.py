"""Films of which a part is known, drawn by diffusion: Lugmayr et al., "RePaint: Inpainting Using Denoising Diffusion
Probabilistic Models" (CVPR 2022), with the noise and the sampler of Karras et al. (2022; `edm`).

The paper adds noise by x_t = sqrt(1 - beta) x_{t-1} + sqrt(beta) n. Here films keep their size and only the noise grows, so
its three steps are, with levels sigma that fall to 0 and fresh n of N(0, 1) each time:

    known   = x0 + sigma n                           equation 8a: the known film under the noise that is left
    drawn   = a Heun step of the whole film          equation 8b (Karras et al., algorithm 1)
    x       = m known + (1 - m) drawn                equation 8c; m is 1 where the film is known
    x       = x + sqrt(s^2 - sigma^2) n              line 10 of algorithm 1: back up to the level s > sigma

Section 4.2 ("Resampling"): the last one lets what is drawn become one with what is known, since noise is taken away again
from both together; `runs` says when it is done. No network is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ..benchmark.errors import InputError
from . import edm


class Run(NamedTuple):
    """Steps of the sampler without a jump: from level `first` of the noise (0 is the highest) to level `last`."""

    first: int
    last: int


def runs(steps: int, jump: int, times: int) -> list[Run]:
    """The way down the levels 0 to `steps`: at every `jump`-th level, counted from the last one with noise, it goes back by
    `jump` levels (none above level 0), until the steps between are taken `times` times. InputError for a jump or times below
    1."""
    if jump < 1 or times < 1:
        raise InputError(f"jump and resamplings: expected 1 or more of each, found {jump} and {times}")
    made, level = [], 0
    for turn in sorted(range(steps - 1, jump - 1, -jump)):
        made += [Run(level, turn), *[Run(turn - jump, turn)] * (times - 1)]
        level = turn
    return [*made, Run(level, steps)]


def repaint(
    denoise: edm.Denoiser,
    start: Tensor,
    sigmas: Tensor,
    way: Sequence[Run],
    known: Tensor,
    drawn: Tensor,
    noise: Callable[[], Tensor],
) -> Tensor:
    """Algorithm 1: `known` (B, C, H, W), bit for bit but where `drawn` (B, 1, H, W) is true; there it is drawn.

    start: of N(0, 1), as `known`; sigmas: levels (K + 1,) that end at 0; way: as `runs` has it; noise: N(0, 1), new each
    time.
    """

    def joined(x: Tensor, sigma: float) -> Tensor:
        return torch.where(drawn, x, known + sigma * noise() if sigma else known)

    def after(first: int, x: Tensor, step: int) -> Tensor:
        return joined(x, float(sigmas[first + step + 1]))

    x, level = joined(start * float(sigmas[0]), float(sigmas[0])), 0
    for first, last in way:
        high, low = float(sigmas[first]), float(sigmas[level])
        if first < level:
            x = x + (high**2 - low**2) ** 0.5 * noise()
        x = edm.heun(denoise, x / high, sigmas[first : last + 1], partial(after, first))
        level = last
    return x
