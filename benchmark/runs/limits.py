"""What the numbers of a request may be."""

from __future__ import annotations

import math

from ..errors import InputError

MOST_SEEDS = 10_000
"""A plan names every cell of every seed: more would take hours to write down, and no test has use for them."""


def check_numbers(*, seeds: int, jobs: int | None, seconds: float | None) -> None:
    """InputError for a number of seeds or of steps at a time, or for seconds of a step, that cannot be."""
    if seeds < 1:
        raise InputError(f"--seeds: expected at least 1, found {seeds}")
    if seeds > MOST_SEEDS:
        raise InputError(f"--seeds: expected at most {MOST_SEEDS:,}, found {seeds:,}; 5 or more allow a claim")
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs: expected at least 1, found {jobs}")
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise InputError(
            f"--time-limit: expected seconds above 0, found {seconds:g}; without it the preset's limit holds"
        )
