"""How many films a second a provider samples: without the warm-up, and waiting for the device."""

from __future__ import annotations

import statistics
import time

from ..contracts.provider import Provider
from ..device import synchronise

ROUNDS = 5
ROUND_FILMS = 64
BUDGET_SECONDS = 60.0


def sampling_rate(provider: Provider, n: int, *, first_seconds: float) -> tuple[float, int]:
    """(films per second, rounds): the median of five rounds of up to 64 films after a first sampling of `n` films took
    `first_seconds`, which was the warm-up; where five rounds would take over a minute, that first sampling alone."""
    films = min(ROUND_FILMS, n)
    if first_seconds / n * films * ROUNDS > BUDGET_SECONDS:
        return n / first_seconds, 1
    rates = []
    for seed in range(ROUNDS):
        synchronise(provider.device)
        start = time.perf_counter()
        made = sum(len(batch.images) for batch in provider.sample(films, seed=seed))
        synchronise(provider.device)
        rates.append(made / (time.perf_counter() - start))
    return statistics.median(rates), ROUNDS
