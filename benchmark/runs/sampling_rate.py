"""How many films a second a provider samples: without the warm-up, and waiting for the device."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Sequence

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
    seen: list[bytes] = []
    for seed in (0, *range(ROUNDS - 1)):
        synchronise(provider.device)
        start = time.perf_counter()
        made = [np.asarray(batch.images) for batch in provider.sample(films, seed=seed)]
        synchronise(provider.device)
        rates.append(sum(map(len, made)) / (time.perf_counter() - start))
        if len(seen) < 2:
            seen.append(_digest(made))
    return statistics.median(rates), ROUNDS, seen[0] == seen[1]


def _digest(batches: Sequence[np.ndarray]) -> bytes:
    """Of films float32 (B, 1, H, W) in [0, 1], in grey levels as they are kept; however they come in batches."""
    found = hashlib.sha256()
    for batch in batches:
        for film in batch:
            found.update(np.rint(film * 255).clip(0, 255).astype(np.uint8).tobytes())
    return found.digest()
