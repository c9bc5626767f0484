"""Samples of the same inputs at moments of a training: for the report, and for who ends a training by eye."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..benchmark.errors import InputError
from ..benchmark.settings import added
from ..benchmark.training.loop import seeded
from ..benchmark.training.recipe import Recipe

LAST = -1
"""Stands for the last step among chosen moments."""
MOST_SIDE = 256
"""Pixels of a side of the pictures of networks that draw larger ones."""
Along = tuple[Sequence[int], np.ndarray] | None
"""Training steps (K) and the samples after them, uint8 (K, S, H, W); None where none were kept."""
NO_TIMELINE: dict[str, Any] = {"timeline": 0, "timeline_every": 0, "moments": ()}
"""Settings of a training without samples."""


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Settings: after which steps of a training samples are kept."""

    timeline: int = 8
    """So many moments, evenly spread."""
    timeline_every: int = added(0)
    """Where not 0: after so many steps each, and at the end, instead."""
    moments: tuple[int, ...] = added(())
    """Where there are some: after these numbers of steps instead. 0 is before the first step, -1 the end; steps that the
    training does not reach are left out."""

    def chosen(self, steps: int) -> list[int]:
        """The moments of a training of that many steps, ascending. InputError for numbers below -1."""
        if wrong := [step for step in (*self.moments, self.timeline_every) if step < LAST]:
            raise InputError(
                f"moments of a timeline: expected steps from 0 on, or -1 for the last one, found {wrong[0]}"
            )
        if self.moments:
            return sorted({steps if step == LAST else step for step in self.moments if step <= steps})
        every = self.timeline_every or -(-steps // max(1, self.timeline))
        wanted = self.timeline_every > 0 or self.timeline > 0
        return [min(step, steps) for step in range(every, steps + every, every)] if wanted else []


class Timeline(nn.Module):
    """Pictures kept after some steps of a training. A module, so that checkpoints may keep it.

    films: uint8 (moments, samples, side, side); moments: training steps done, int64 (moments,).
    """

    films: Tensor
    moments: Tensor

    def __init__(self, moments: Moments, *, steps: int, samples: int, side: int) -> None:
        super().__init__()
        self.done = moments.chosen(steps)
        self.register_buffer("moments", torch.tensor(self.done, dtype=torch.int64))
        self.register_buffer("films", torch.zeros(len(self.done), samples, side, side, dtype=torch.uint8))

    def place(self, done: int) -> int | None:
        """Which moment it is after that many steps; None where it is none."""
        return self.done.index(done) if done in self.done else None

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

    def until(self, steps: int) -> Along:
        """The moments of a training that ended after so many steps, and their films; None where there are none."""
        kept = [place for place, step in enumerate(self.done) if step <= steps]
        return ([self.done[place] for place in kept], self.films[kept].cpu().numpy()) if kept else None


class ShownRecipe(Recipe):
    """A recipe whose samples along the training a timeline keeps."""

    timeline: Timeline

    def samples_after(self, done: int) -> np.ndarray | None:
        place = self.timeline.place(done)
        return None if place is None else self.timeline.films[place].cpu().numpy()


class BesideRecipe(ShownRecipe):
    """One whose timeline is none of its networks: checkpoints keep it as the recipe's own state."""

    def state(self) -> dict[str, Tensor]:
        return {"timeline": self.timeline.films.cpu().clone()}

    def restore(self, state: Any) -> None:
        if "timeline" in state:
            self.timeline.films.copy_(state["timeline"])


def shown_side(side: int) -> int:
    """The side of the pictures of films of `side` pixels."""
    return min(side, MOST_SIDE)


def as_shown(films: Tensor, side: int) -> Tensor:
    """Films (B, C, H, H) in [-1, 1] as pictures (B x C, 1, side, side): the channels of a film by turns; small films in
    whole pixels, large ones by the mean of what a pixel covers."""
    flat = films.float().clamp(-1, 1).flatten(0, 1)[:, None]
    if flat.shape[-1] == side:
        return flat
    mode = "nearest" if flat.shape[-1] < side else "area"
    return F.interpolate(flat, size=(side, side), mode=mode)
