"""The ruler of a board: the placebo curve that its task ships for these films, the same for every entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import scipy  # loads its parts when they are asked for

from ..benchmark import digest
from ..benchmark.registry import TASKS, plugins
from ..benchmark.results.curve import shipped_curves
from ..benchmark.results.gains import PlaceboCurve
from ..benchmark.significance.worth import Curve, Worth, aligned, worth
from .attempts import BoardKey

FindCurve = Callable[[BoardKey, str], PlaceboCurve | None]
"""(board, device) to its curve."""

DOUBLING = 1.6
"""How many times the films of the one before a size of the curve must have to be its next step."""
LEVEL = 0.05


def shipped(key: BoardKey, device: str) -> PlaceboCurve | None:
    """The curve that the installed task ships for a board and a kind of device; None where there is none."""
    for curve in _shipped(key.task):
        of_films = (curve.version, curve.data.digest, curve.preset) == (key.version, key.digest, key.preset)
        if of_films and curve.device == device and digest.of_json(curve.settings) == key.settings:
            return curve
    return None


@cache
def _shipped(task: str) -> tuple[PlaceboCurve, ...]:
    plugin = plugins(TASKS).get(task)
    return () if plugin is None else tuple(shipped_curves(plugin.load()))


def real_films(curve: PlaceboCurve, arm: str, size: str) -> float | None:
    """Different real films of a size, the mean over seeds, as the curve has it; None for a size that it does not have."""
    counts = [point.films for point in curve.points if (point.arm, point.size) == (arm, size)]
    return float(np.mean(counts)) if counts else None


@dataclass(frozen=True)
class Ruler:
    """The curve of one arm at one size of a board: what scores are held against. `films`: real films of the size."""

    points: Mapping[float, Mapping[int, float]]
    films: float
    higher_is_better: bool
    _ladders: dict[tuple[int, ...], Curve] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The curve in columns, by the seeds of arms."""

    @classmethod
    def of(
        cls, curve: PlaceboCurve, arm: str, size: str, films: float | None, *, higher_is_better: bool
    ) -> Ruler | None:
        """None where the curve does not have the arm at two sizes. `films`: where it does not have the size."""
        points = curve.scores(arm)
        there = real_films(curve, arm, size) or films
        return cls(points, there, higher_is_better) if len(points) > 1 and there else None

    def worth(self, scores: Mapping[int, float]) -> Worth | None:
        """What scores by seed are worth in real films; None without a score."""
        if not scores:
            return None
        seeds = tuple(sorted(scores))
        if seeds not in self._ladders:
            self._ladders[seeds] = aligned(scores, self.points, higher_is_better=self.higher_is_better)[1]
        columns = sorted(set(seeds).union(*self.points.values()))
        mine = np.array([scores.get(seed, np.nan) for seed in columns], np.float64)
        return worth(mine, self.films, self._ladders[seeds])

    @property
    def line(self) -> tuple[list[float], list[float]]:
        """Sizes, ascending, and mean scores over seeds, made monotone: weighted by seeds."""
        sizes = sorted(self.points)
        means = [float(np.mean(list(self.points[size].values()))) for size in sizes]
        weights = [float(len(self.points[size])) for size in sizes]
        return sizes, scipy.optimize.isotonic_regression(
            means, weights=weights, increasing=self.higher_is_better
        ).x.tolist()

    def doubling(self) -> float | None:
        """What twice the real films add to the score where the board ranks (at the end of the curve: what they added);
        None where that is nothing."""
        sizes, means = self.line
        x = np.log2(sizes)
        start = min(np.log2(self.films), x[-1] - 1)
        if start < x[0] - 1e-9:
            return None
        low, high = np.interp([start, start + 1], x, means)
        return float(high - low) if high != low else None


@dataclass(frozen=True)
class Step:
    """From one size of a curve to the next, about a doubling: what the score rises by, and whether that is more than its
    noise (one-sided paired t-test over the seeds of both, 5 %). `rises` is None where fewer than two seeds are shared."""

    low: float
    high: float
    rise: float
    p: float | None
    rises: bool | None


def steps(ruler: Ruler) -> list[Step]:
    """The steps of a curve, from the smallest size up."""
    sizes, found = sorted(ruler.points), []
    low = sizes[0]
    for high in sizes[1:]:
        if high < DOUBLING * low:
            continue
        found.append(_step(ruler, low, high))
        low = high
    return found


def _step(ruler: Ruler, low: float, high: float) -> Step:
    below, above = ruler.points[low], ruler.points[high]
    sign = 1.0 if ruler.higher_is_better else -1.0
    rise = float(np.mean(list(above.values())) - np.mean(list(below.values())))
    d = np.array([sign * (above[seed] - below[seed]) for seed in sorted(above.keys() & below.keys())])
    if len(d) < 2:
        return Step(low, high, rise, None, None)
    if np.ptp(d) == 0:
        return Step(low, high, rise, None, bool(d[0] > 0))
    p = float(scipy.stats.ttest_1samp(d, 0.0, alternative="greater").pvalue)
    return Step(low, high, rise, p, p <= LEVEL)
