"""The conformance suite: does a provider keep the contract? Run on a few phantom films before a long run does."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .dataset import Dataset
from .errors import CxrbenchError
from .progress import Progress
from .provider import Provider, collect
from .registry import Plugin

FILMS = 24
SAMPLES = 12


@dataclass(frozen=True)
class Finding:
    """One checked claim: whether it holds, and what was seen."""

    claim: str
    holds: bool
    seen: str


def _same(a: Dataset, b: Dataset) -> bool:
    masks = a.masks is None or (b.masks is not None and np.array_equal(a.masks, b.masks))
    return np.array_equal(a.images, b.images) and masks


def check_provider(plugin: Plugin, settings: Any, train: Dataset, *, device: str, progress: Progress) -> list[Finding]:
    """Fit on `train` and check: contract and ranges, same seed same films, other seed other films, save and load, time.

    What cannot be checked because an earlier claim failed is left out.
    """
    findings: list[Finding] = []

    def claim(text: str, action: Callable[[], str]) -> bool:
        try:
            findings.append(Finding(text, True, action()))
        except CxrbenchError as error:
            findings.append(Finding(text, False, str(error)))
        except Exception as error:
            findings.append(Finding(text, False, f"{type(error).__name__}: {error}"))
        return findings[-1].holds

    def films(provider: Provider, seed: int) -> Dataset:
        return collect(plugin.name, provider, train, SAMPLES, seed=seed, progress=Progress())

    provider: Provider = plugin.make(settings, device=device)

    def fit() -> str:
        start = time.perf_counter()
        provider.fit(train, seed=0, progress=progress.part("fit", 0.0, 0.8))
        return f"{time.perf_counter() - start:.1f} s"

    if not claim(f"fit() ends on {len(train)} films", fit):
        return findings
    made: list[Dataset] = []

    def sample() -> str:
        start = time.perf_counter()
        made.append(films(provider, 1))
        return f"{SAMPLES / (time.perf_counter() - start):.0f} films/s"

    if not claim(f"sample({SAMPLES}) gives {SAMPLES} films of the right shape, type and range", sample):
        return findings

    def same_seed() -> str:
        if not _same(made[0], films(provider, 1)):
            raise CxrbenchError("two calls with seed 1 gave different films: draw everything random from `seed`")
        return "equal bit for bit"

    def other_seed() -> str:
        if _same(made[0], films(provider, 2)):
            raise CxrbenchError("seeds 1 and 2 gave the same films: `seed` is not used")
        return "different"

    def reload() -> str:
        with tempfile.TemporaryDirectory() as folder:
            provider.save(Path(folder))
            again = plugin.load().load(Path(folder), settings, device=device)
            if not _same(made[0], films(again, 1)):
                raise CxrbenchError("the loaded provider gave other films than the saved one")
        return "equal bit for bit"

    def sources() -> str:
        known = {str(source) for row in train.cases["source_ids"] for source in row} | set(train.ids)
        used = {str(source) for row in made[0].cases["source_ids"] for source in row}
        if used - known:
            raise CxrbenchError(f"source_ids name cases that are not in the training set: {sorted(used - known)[:3]}")
        return f"{len(used)} training cases are shown"

    claim("same seed, same films", same_seed)
    claim("other seed, other films", other_seed)
    claim("save() and load() keep the provider", reload)
    claim("source_ids name training cases", sources)
    return findings
