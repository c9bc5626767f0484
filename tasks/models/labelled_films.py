"""Labelled films as a classifier's training takes them: in batches, flipped at random (Liu et al., SDFN, section B.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...benchmark.data.film_rows import Films
from ...benchmark.data.originals import Originals
from ...benchmark.errors import InputError


@dataclass(frozen=True)
class LabelledFilms:
    """Films uint8 (N, H, W), their labels 0/1 (N, findings), and the boxes of their lung regions, where they are known
    (see `lungs.rules.boxes_of`). Where `first` is not 0, the first so many are real films and the others synthetic ones, and
    every batch takes half of each. `originals`: what lung regions are cut from where there are some."""

    images: Films
    labels: np.ndarray
    boxes: np.ndarray | None = None
    first: int = 0
    originals: Originals | None = None

    def __post_init__(self) -> None:
        counts = {len(self.images), len(self.labels)} | ({len(self.boxes)} if self.boxes is not None else set())
        if len(counts) != 1:
            raise InputError(f"films, labels and boxes must be as many, found {sorted(counts)}")

    def __len__(self) -> int:
        return len(self.images)


def as_input(films: np.ndarray) -> Tensor:
    """uint8 (B, S, S) as a tensor uint8 (B, 1, S, S)."""
    return torch.from_numpy(np.require(films, requirements=("C", "W"))).unsqueeze(1)


class Flipped:
    """A training `Source`: films, every second one (at random) mirrored left to right."""

    def __init__(self, films: Films, labels: np.ndarray) -> None:
        self.films, self.labels = films, labels

    def __len__(self) -> int:
        return len(self.films)

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """`input` uint8 (B, 1, S, S), `labels` float32 (B, findings)."""
        films = self.films[rows]
        mirrored = rng.random(len(rows)) < 0.5
        films[mirrored] = films[mirrored, :, ::-1]
        return {"input": as_input(films), "labels": torch.from_numpy(self.labels[rows]).float()}


class FlippedFeatures:
    """The same for a head on frozen features: those of a film, or (at random) of its mirror image.

    `features`: float32 (2, N, K), of the films and of their mirror images, computed once.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray) -> None:
        self.features, self.labels = features, labels

    def __len__(self) -> int:
        return self.features.shape[1]

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """`input` float32 (B, K), `labels` float32 (B, findings)."""
        mirrored = (rng.random(len(rows)) < 0.5).astype(np.intp)
        return {
            "input": torch.from_numpy(np.ascontiguousarray(self.features[mirrored, rows])),
            "labels": torch.from_numpy(self.labels[rows]).float(),
        }
