"""A smoke run: the code, networks and sizes of a preset with a handful of steps, to see that it starts and finishes.

Its preset has a name of its own, which no task knows: no record of one has the key of a result, no table shows it beside
results, and no board takes it.
"""

from __future__ import annotations

STEPS = 2
"""Steps of every training."""
FILMS = 12
"""Synthetic films."""
ENDING = "-smoke"
SAID = "SMOKE RUN: every training was cut to a handful of steps; these numbers are no result"


def smoke_of(preset: str) -> str:
    """The name of a preset's smoke run."""
    return preset + ENDING


def is_smoke(name: str) -> bool:
    """Whether a record's preset names a smoke run."""
    return name.endswith(ENDING)


def options_of(name: str) -> str:
    """What asks `cxrbench run` for the name that a record has: `--preset quick`, and `--smoke` of a smoke run."""
    return f"--preset {preset_of(name)}{' --smoke' if is_smoke(name) else ''}"


def preset_of(name: str) -> str:
    """The preset whose networks and sizes were used, of the name that a record has."""
    return name.removesuffix(ENDING)
