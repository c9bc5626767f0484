"""Gains of many arms over their placebos at once: what `benchmark.significance.gain` says of one, for a board of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..benchmark.significance.gain import FAILED_BY, agreed, failed_seeds, sign_flip_p
from ..benchmark.significance.paired_tests import MIN_SEEDS

Values = npt.NDArray[np.float64]
Scores = Mapping[int, float]
"""By seed."""


@dataclass(frozen=True)
class Gain:
    """An arm minus its placebo over the seeds that both have, paired by seed: in units of the score. `p` decides of this
    comparison alone (`GainTest.p`), the interval is that of t; None where no test may be made. `failed`: seeds whose
    training found nothing; they count in the mean."""

    by_seed: Scores = field(default_factory=dict)
    placebo: float | None = None
    """Mean of the placebo over these seeds."""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    median: float | None = None
    failed: tuple[int, ...] = ()
    failed_placebo: tuple[int, ...] = ()


def gains(pairs: Sequence[tuple[Scores, Scores]], *, higher_is_better: bool = True) -> list[Gain]:
    """The gain of each arm over its placebo, in the order given: scores by seed of both."""
    seeds = [tuple(sorted(arm.keys() & placebo.keys())) for arm, placebo in pairs]
    found = [Gain()] * len(pairs)
    for count in sorted({len(one) for one in seeds} - {0}):
        rows = [i for i, one in enumerate(seeds) if len(one) == count]
        x, y = (np.array([[pairs[i][side][seed] for seed in seeds[i]] for i in rows]) for side in (0, 1))
        for i, numbers in zip(rows, _tested(x, y), strict=True):
            lost = [_failed(tuple(pairs[i][side].items()), higher_is_better) for side in (0, 1)]
            arm, placebo = pairs[i]
            by_seed = {seed: arm[seed] - placebo[seed] for seed in seeds[i]}
            found[i] = Gain(by_seed=by_seed, failed=lost[0], failed_placebo=lost[1], **numbers)
    return found


def _tested(x: Values, y: Values) -> list[dict[str, Any]]:
    """Of each row of arms (C, S) and placebos the numbers of a `Gain`, None for those that there are not."""
    from scipy import special

    seeds, d = x.shape[1], x - y
    mean, nothing = d.mean(axis=1), np.full(len(d), np.nan)
    low, high, p = nothing.copy(), nothing.copy(), nothing.copy()
    rounding = 8 * np.finfo(np.float64).eps * np.maximum(np.abs(x), np.abs(y)).max(axis=1)
    usable = np.flatnonzero(np.ptp(d, axis=1) > 2 * rounding) if seeds >= MIN_SEEDS else np.zeros(0, np.int64)
    if len(usable):
        error = d[usable].std(axis=1, ddof=1) / np.sqrt(seeds)
        t_p = 2 * special.stdtr(seeds - 1, -np.abs(mean[usable]) / error)
        half = special.stdtrit(seeds - 1, 0.975) * error
        low[usable], high[usable] = mean[usable] - half, mean[usable] + half
        p[usable] = agreed(t_p, sign_flip_p(d[usable]), seeds)
    table = np.stack([y.mean(axis=1), mean, low, high, p, np.median(d, axis=1)], axis=1)
    names = ("placebo", "value", "low", "high", "p", "median")
    return [
        {name: None if np.isnan(value) else float(value) for name, value in zip(names, row, strict=True)}
        for row in table
    ]


@lru_cache(maxsize=4096)
def _failed(scores: tuple[tuple[int, float], ...], higher_is_better: bool) -> tuple[int, ...]:
    """The seeds whose training found nothing, by all scores of an arm."""
    lost = failed_seeds([value for _, value in scores], higher_is_better=higher_is_better, by=FAILED_BY)
    return tuple(seed for (seed, _), failed in zip(scores, lost.tolist(), strict=True) if failed)
