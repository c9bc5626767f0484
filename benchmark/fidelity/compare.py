"""The numbers of synthetic films in one space: distances, their floors, neighbours, with intervals, and what is
conspicuous."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ..errors import InputError
from ..metrics.frechet import LEAST, frechet_to_floor, same_count
from ..metrics.kernel_distance import kernel_distance
from ..metrics.neighbours import Neighbours, neighbours, resampled
from ..schema import Strict

SEEN = 1.5
"""A ratio to the floor above this, with an interval that is above 1, is an alarm."""


ALL = "all"
"""Of an `Agreement`: all structures together."""


class Share(Strict):
    """A mean with its 95 % bootstrap interval, and the same of other real films against the real ones."""

    value: float
    low: float
    high: float
    real: float
    real_low: float
    real_high: float

    @property
    def worse(self) -> bool:
        """Whether it is below that of real films, by intervals that do not touch."""
        return self.high < self.real_low


class Distance(Strict):
    """Fréchet distance of so many films on either side, the floor, and the ratio with its interval (`metrics.frechet`)."""

    films: int
    distance: float
    floor: float
    ratio: float
    low: float
    high: float
    limit: float | None = None

    @property
    def seen(self) -> bool:
        """Whether the films are told from real ones."""
        return self.ratio > SEEN and self.low > 1


class Agreement(Strict):
    """A REAL model on the films' own annotations, beside held-out real films: mean and 95 % interval of a metric."""

    task: str
    metric: str
    structure: str
    films: int
    value: float
    low: float
    high: float
    real_films: int
    real: float
    real_low: float
    real_high: float
    odd: float | None = None
    """Share of the films below what 1 % of the held-out real films lie below, where each film has a value."""
    odd_p: float | None = None

    @property
    def worse(self) -> bool:
        """Whether the annotations agree less with the films than those of real films do: by intervals that do not
        touch, or more films than chance allows (p < 0.01) are below what real ones reach."""
        return self.high < self.real_low or (self.odd_p is not None and self.odd_p < 0.01)


class InSpace(Strict):
    """All numbers in a space. `parts`: the distance of films with a finding, or of one organ, by name."""

    space: str
    about: str
    dimensions: int
    frechet: Distance
    kernel: float
    kernel_error: float
    kernel_real: float
    precision: Share
    recall: Share
    density: Share
    coverage: Share
    parts: dict[str, Distance] = Field(default_factory=dict)

    @property
    def title(self) -> str:
        """How its distance is called: never without the space and the number of films."""
        return f"FD ({self.space}, {self.frechet.films:,} films)"

    def alarms(self) -> list[str]:
        """What is conspicuous, a line each."""
        found = []
        fd = self.frechet
        if fd.seen:
            found.append(f"{self.title}: {fd.ratio:.2f} times the distance of real films from real ones")
        worse = [
            f"{name} {share.value:.2f} (real films {share.real:.2f})"
            for name in ("precision", "recall", "coverage")
            if (share := getattr(self, name)).worse
        ]
        if worse:
            found.append(f"{self.space}: {', '.join(worse)}")
        found += [
            f"FD ({self.space}, {name}, {part.films:,} films): {part.ratio:.2f} times that of real films"
            for name, part in self.parts.items()
            if part.seen
        ]
        return found


def compare(
    space: str,
    about: str,
    real: np.ndarray,
    synthetic: np.ndarray,
    *,
    columns: dict[str, slice] | None = None,
    groups: dict[str, tuple[np.ndarray, np.ndarray]] | None = None,
    seed: int = 0,
) -> InSpace:
    """Numbers of features (M, D) of real and (N, D) of synthetic films, the same number of films on both sides in each.

    `columns`: parts of the features by name (an organ's). `groups`: rows of both sides by name (those with a finding); one
    with too few films is left out. InputError for too few films."""
    first, second, chosen = same_count(len(real), len(synthetic), seed=seed)
    a, b, films = real[first], real[second], synthetic[chosen]
    ours, theirs = neighbours(a, films), neighbours(a, b)
    kernel, error = kernel_distance(a, films)
    return InSpace(
        space=space,
        about=about,
        dimensions=real.shape[1],
        frechet=_distance(real, synthetic, seed),
        kernel=kernel,
        kernel_error=error,
        kernel_real=kernel_distance(a, b)[0],
        **{name: _share(ours, theirs, name) for name in ("precision", "recall", "density", "coverage")},
        parts=_parts(real, synthetic, columns or {}, groups or {}, seed),
    )


def _distance(real: np.ndarray, synthetic: np.ndarray, seed: int) -> Distance:
    return Distance(**vars(frechet_to_floor(real, synthetic, seed=seed)))


def _share(ours: Neighbours, theirs: Neighbours, name: str) -> Share:
    mine, real = getattr(ours, name), getattr(theirs, name)
    low, high = resampled(mine)
    real_low, real_high = resampled(real)
    return Share(
        value=float(mine.mean()),
        low=low,
        high=high,
        real=float(real.mean()),
        real_low=real_low,
        real_high=real_high,
    )


def _parts(
    real: np.ndarray,
    synthetic: np.ndarray,
    columns: dict[str, slice],
    groups: dict[str, tuple[np.ndarray, np.ndarray]],
    seed: int,
) -> dict[str, Distance]:
    found = {name: _distance(real[:, part], synthetic[:, part], seed) for name, part in columns.items()}
    for name, (rows, others) in groups.items():
        if len(others) >= LEAST and len(rows) >= 2 * LEAST:
            try:
                found[name] = _distance(real[rows], synthetic[others], seed)
            except InputError:  # all of its films are alike: no distance
                continue
    return found
