"""How many films a second a provider samples: without the warm-up, and waiting for the device."""

from __future__ import annotations

import statistics
import time

import numpy as np

from ..contracts.provider import Provider
from ..device import synchronise

ROUNDS = 5
ROUND_FILMS = 64
BUDGET_SECONDS = 60.0


def sampling_rate(provider: Provider, n: int, *, first_seconds: float) -> tuple[float, int, bool]:
    """(films per second, rounds, whether a seed gave the same films twice): the median of five rounds of up to 64 films,
    the first two of one seed, after a first sampling of `n` films took `first_seconds`, which was the warm-up; where five
    rounds would take over a minute, that first sampling alone, and nothing is said against its steadiness."""
    films = min(ROUND_FILMS, n)
    if first_seconds / n * films * ROUNDS > BUDGET_SECONDS:
        return n / first_seconds, 1, True
    rates: list[float] = []
    seen: list[np.ndarray] = []
    for seed in (0, *range(ROUNDS - 1)):
        synchronise(provider.device)
        start = time.perf_counter()
        made = [np.asarray(batch.images) for batch in provider.sample(films, seed=seed)]
        synchronise(provider.device)
        rates.append(sum(map(len, made)) / (time.perf_counter() - start))
        if len(seen) < 2:
            seen.append(np.round(np.concatenate(made) * 255))  # as films are kept
    return statistics.median(rates), ROUNDS, np.array_equal(seen[0], seen[1])
