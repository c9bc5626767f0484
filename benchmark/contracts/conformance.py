"""The conformance suite: does a provider keep the contract? Run on a few phantom films before a long run does."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.catalogue import find_dataset
from ..data.dataset import Annotation, Dataset
from ..errors import CxrbenchError
from ..progress import Progress
from ..registry import Plugin
from .provider import Provider, collect

FILMS = 24
SAMPLES = 12
RESOLUTION = 64


@dataclass(frozen=True)
class Finding:
    """One checked claim: whether it holds, and what was seen."""

    claim: str
    holds: bool
    seen: str


def check_films(produces: frozenset[Annotation], progress: Progress) -> Dataset:
    """24 phantom films: with boxes and labels for a provider that makes boxes, with labels for one that makes labels, else
    with masks alone. Those with labels show every finding (that has boxes), for a provider that learns each by itself."""
    if Annotation.BOXES in produces:
        films = find_dataset("phantom_boxes", RESOLUTION, progress)
        boxed = set(films.boxes["id"].astype(str)) if films.boxes is not None else set()
        shown = films.labels().astype(bool) & np.isin(films.ids, sorted(boxed))[:, None]
        films = films.select(_a_few_of_each(shown, films.labels().astype(bool)))
    elif Annotation.LABELS in produces:
        films = find_dataset("phantom_nih-500", RESOLUTION, progress)
        films = films.select(_a_few_of_each(films.labels().astype(bool), films.labels().astype(bool)))
    else:
        films = find_dataset("phantom", RESOLUTION, progress).select(range(FILMS))
    films.cases["source_ids"] = [[case] for case in films.ids]
    return films


def _a_few_of_each(shown: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """At most 24 rows: two that show each finding (columns of bool (N, F)), as far as 16 go, then films without labels."""
    turns = [np.flatnonzero(column)[turn] for turn in range(2) for column in shown.T if column.sum() > turn]
    rows = list(dict.fromkeys(turns))[: 2 * FILMS // 3]
    return np.array([*rows, *np.flatnonzero(~labels.any(axis=1))[: FILMS - len(rows)]])


def _same(a: Dataset, b: Dataset) -> bool:
    if a.annotations != b.annotations or not np.array_equal(a.images, b.images):
        return False
    masks = a.masks is None or b.masks is None or (a.organs == b.organs and np.array_equal(a.masks, b.masks))
    boxes = a.boxes is None or b.boxes is None or a.boxes.equals(b.boxes)
    return masks and boxes and np.array_equal(a.labels(), b.labels())


def check_provider(plugin: Plugin, settings: Any, train: Dataset, *, device: str, progress: Progress) -> list[Finding]:
    """Fit on `train` and check: contract and ranges, same seed same films, other seed other films, save and load, time.

    A provider that annotates nothing is checked on its films alone. What cannot be checked because an earlier claim
    failed is left out.
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

    # A folder or a program can be annotated with anything, and need not be with everything.
    wanted: frozenset[Annotation] | None = frozenset() if plugin.argument else None

    def films(provider: Provider, seed: int) -> Dataset:
        return collect(plugin.name, provider, train, SAMPLES, seed=seed, progress=Progress(), wanted=wanted)

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
        rate = SAMPLES / (time.perf_counter() - start)
        return f"{rate:.0f} films/s, annotated with {', '.join(sorted(made[0].annotations)) or 'nothing'}"

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

    def learnt_from() -> str:
        ids = provider.trained_on()
        if isinstance(ids, str) or not all(isinstance(case, str) for case in ids):
            raise CxrbenchError(f"trained_on() gave {ids!r}, expected a list of the ids of real cases")
        return f"{len(ids)} cases"

    claim("same seed, same films", same_seed)
    claim("other seed, other films", other_seed)
    claim("save() and load() keep the provider", reload)
    claim("source_ids name training cases", sources)
    claim("trained_on() gives ids of real cases", learnt_from)
    return findings
