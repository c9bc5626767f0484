"""Samples of the same inputs at moments of a training, for the report's timeline."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..benchmark.training.loop import seeded


class Timeline(nn.Module):
    """Pictures kept after every `steps / moments` training steps. A module, so that checkpoints keep it.

    films: uint8 (moments, samples, side, side); moments: training steps done, int64 (moments,).
    """

    films: Tensor
    moments: Tensor

    def __init__(self, moments: int, *, steps: int, samples: int, side: int) -> None:
        super().__init__()
        self.steps = steps
        self.every = -(-steps // max(1, moments))
        done = [min(step, steps) for step in range(self.every, steps + self.every, self.every)] if moments else []
        self.register_buffer("moments", torch.tensor(done, dtype=torch.int64))
        self.register_buffer("films", torch.zeros(len(done), samples, side, side, dtype=torch.uint8))

    def place(self, done: int) -> int | None:
        """Which moment it is after that many steps; None where it is none."""
        due = len(self.moments) and (done % self.every == 0 or done == self.steps)
        return -(-done // self.every) - 1 if due else None

    @torch.no_grad()
    def after(self, done: int, draw: Callable[[], Tensor]) -> None:
        """Keep the films (samples, 1, side, side) in [-1, 1] that `draw` makes, if `done` steps are one of the moments.

        `draw` gets the same random numbers at every moment, and takes none from the training.
        """
        place = self.place(done)
        if place is not None:
            with seeded(0):
                films = draw()[:, 0].float()
            self.films[place] = ((films + 1) * 127.5).round().to(torch.uint8)
