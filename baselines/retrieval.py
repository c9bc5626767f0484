"""A control: other real films where the dataset has more than the size uses, in place of synthetic ones.

Geng et al. ("The Unmet Promise of Synthetic Training Images", NeurIPS 2024) ask of a generator that it beat the real films
that could be had in its place. No generator can be told from this one by better films; one may by more of them. It is given
training films that other providers do not see, so it is a ceiling, marked as such, and never ranked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..benchmark.data.copies import originals
from ..benchmark.data.dataset import Dataset
from ..benchmark.data.sizes import first_patients
from ..benchmark.errors import InputError
from ..benchmark.progress import Progress
from .controls import CopyTrain, refuse_bare


@dataclass(frozen=True)
class RetrievalSettings:
    """How many other films are given."""

    films: int = 0
    """So many, whole patients in a drawn order until they have so many; 0: all that are left."""


class Retrieval(CopyTrain):
    """Other real films of the training split, outside of the size, in place of synthetic ones: a control, never ranked."""

    name = "retrieval"
    takes_rest = True
    presets: ClassVar[Mapping[str, RetrievalSettings]] = {
        name: RetrievalSettings() for name in ("quick", "standard", "paper")
    }

    def __init__(self, settings: RetrievalSettings | None = None, *, device: str = "cpu") -> None:
        super().__init__(settings, device=device)
        if self.settings.films < 0:
            raise InputError(f"retrieval: 'films' is a number of films, or 0 for all, found {self.settings.films}")

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        """Keep the films outside of the size. InputError where they are fewer than asked for, or have no annotations."""
        refuse_bare(self, train)
        rest = train if self.rest is None else self.rest
        self.films = rest.select(self.chosen(rest, seed)) if self.settings.films else rest

    def chosen(self, rest: Dataset, seed: int) -> np.ndarray:
        """Rows of so many films, and of the copies that the protocol's augmentation made of them."""
        shown, wanted = originals(rest), self.settings.films
        first = {case: row for row, case in reversed(list(enumerate(shown)))}
        if wanted > len(first):
            raise InputError(
                f"retrieval: {wanted} other real films asked for, {len(first)} are left: set fewer, or a smaller size"
            )
        kept = first_patients(rest, np.array(sorted(first.values())), wanted, f"retrieval/{seed}")
        cases = {shown[row] for row in kept}
        return np.array([row for row, case in enumerate(shown) if case in cases])

    def trained_on(self) -> list[str]:
        return sorted(set(originals(self.films)))

    def facts(self) -> Mapping[str, float | int | str]:
        return {"other_real_films": len(set(originals(self.films)))}
