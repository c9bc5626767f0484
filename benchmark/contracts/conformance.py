"""The conformance suite: does a provider keep the contract? Run on a few phantom films before a long run does."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..data.catalogue import find_dataset
from ..data.dataset import Annotation, Dataset
from ..data.odd_films import ODD_FILMS, odd_films, odd_words
from ..errors import CxrbenchError, raised
from ..progress import Progress
from ..registry import Plugin
from .collector import collect
from .named_sources import named_sources
from .placed_organs import misplaced, misplaced_words, untrue
from .provider import Provider

FILMS = 24
SAMPLES = 12
RESOLUTION = 64


@dataclass(frozen=True)
class Finding:
    """One checked claim: whether it holds, and what was seen; `odd` where that breaks no contract, but a run would say it as
    an alarm."""

    claim: str
    holds: bool
    seen: str
    odd: bool = False


class Odd(str):
    """What a check saw where its claim holds and yet a look is worth it."""


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


def content(films: Dataset) -> str:
    """The digest of films as they are now."""
    return replace(films, info=films.info.changed(), folder=None).digest


def _same(a: Dataset, b: Dataset) -> bool:
    if a.annotations != b.annotations or not np.array_equal(a.images, b.images):
        return False
    masks = a.masks is None or b.masks is None or (a.organs == b.organs and np.array_equal(a.masks, b.masks))
    boxes = a.boxes is None or b.boxes is None or a.boxes.equals(b.boxes)
    return masks and boxes and np.array_equal(a.labels(), b.labels())


def check_provider(plugin: Plugin, settings: Any, train: Dataset, *, device: str, progress: Progress) -> list[Finding]:
    """Fit on `train` and check: contract and ranges, the training set left as it is, same seed same films, other seed other
    films, save and load, time.

    A provider that annotates nothing is checked on its films alone. What cannot be checked because an earlier claim
    failed is left out.
    """
    check = _Check(plugin, settings, train, device, progress)
    findings = []
    for first in (
        (f"fit() ends on {len(train)} films", check.fit),
        (f"sample({SAMPLES}) gives {SAMPLES} films of the right shape, type and range", check.sample),
    ):
        findings.append(_finding(*first))
        if not findings[-1].holds:
            return findings
    others: tuple[tuple[str, Callable[[], str]], ...] = (
        ("the training set is left as it was", check.untouched),
        ("same seed, same films", check.same_seed),
        ("other seed, other films", check.other_seed),
        ("save() and load() keep the provider", check.reload),
        ("source_ids name training cases", check.sources),
        ("source_ids name the films that are shown", check.shown),
        ("films and masks show something", check.something),
        ("masks lie where the organs of the training set do", check.places),
        ("trained_on() gives ids of real cases", check.learnt_from),
    )
    return findings + [_finding(*other) for other in others]


def _finding(claim: str, action: Callable[[], str]) -> Finding:
    """A claim holds where its action raises nothing."""
    try:
        seen = action()
        return Finding(claim, True, str(seen), isinstance(seen, Odd))
    except CxrbenchError as error:
        return Finding(claim, False, str(error))
    except Exception as error:
        return Finding(claim, False, raised(error))


class _Check:
    """What is checked of one provider; every check says what it saw, or raises."""

    def __init__(self, plugin: Plugin, settings: Any, train: Dataset, device: str, progress: Progress) -> None:
        self.plugin, self.settings, self.train, self.device, self.progress = plugin, settings, train, device, progress
        self.provider: Provider = plugin.make(settings, device=device)
        self.made: Dataset
        self.given = train.read_only()
        self.first = content(train)

    def films(self, provider: Provider, seed: int) -> Dataset:
        """Sampled films. A folder or a program can be annotated with anything, and need not be with everything."""
        wanted: frozenset[Annotation] | None = frozenset() if self.plugin.argument else None
        return collect(self.plugin.name, provider, self.train, SAMPLES, seed=seed, progress=Progress(), wanted=wanted)

    def fit(self) -> str:
        start = time.perf_counter()
        self.provider.fit(self.given, seed=0, progress=self.progress.part("fit", 0.0, 0.8))
        return f"{time.perf_counter() - start:.1f} s"

    def untouched(self) -> str:
        if content(self.train) != self.first or content(self.given) != self.first:
            raise CxrbenchError("fit() or sample() changed the training set it was given: change a copy")
        return "equal bit for bit"

    def sample(self) -> str:
        start = time.perf_counter()
        self.made = self.films(self.provider, 1)
        rate = SAMPLES / (time.perf_counter() - start)
        return f"{rate:.0f} films/s, annotated with {', '.join(sorted(self.made.annotations)) or 'nothing'}"

    def same_seed(self) -> str:
        if not _same(self.made, self.films(self.provider, 1)):
            raise CxrbenchError("two calls with seed 1 gave different films: draw everything random from `seed`")
        return "equal bit for bit"

    def other_seed(self) -> str:
        if _same(self.made, self.films(self.provider, 2)):
            raise CxrbenchError("seeds 1 and 2 gave the same films: `seed` is not used")
        return "different"

    def reload(self) -> str:
        with tempfile.TemporaryDirectory() as folder:
            self.provider.save(Path(folder))
            again = self.plugin.load().load(Path(folder), self.settings, device=self.device)
            if not _same(self.made, self.films(again, 1)):
                raise CxrbenchError("the loaded provider gave other films than the saved one")
        return "equal bit for bit"

    def sources(self) -> str:
        known = {str(source) for row in self.train.cases["source_ids"] for source in row} | set(self.train.ids)
        used = {str(source) for row in self.made.cases["source_ids"] for source in row}
        if used - known:
            raise CxrbenchError(f"source_ids name cases that are not in the training set: {sorted(used - known)[:3]}")
        return f"{len(used)} training cases are shown"

    def shown(self) -> str:
        found = named_sources(self.made, self.train)
        if found.wrong:
            raise CxrbenchError(found.words())
        if found.unnamed:
            return Odd(
                f"{found.unnamed} of {found.films} films are copies of training films (hash and pixels) and name no source: "
                "name it in source_ids"
            )
        return f"{found.copies} of {found.films} films are copies of training films"

    def something(self) -> str:
        said = odd_films(self.made).get(ODD_FILMS)
        return "nothing odd" if said is None else Odd("; ".join(odd_words(said)))

    def places(self) -> str:
        if self.made.masks is None or self.train.masks is None:
            return "no masks"
        found = misplaced(self.made, self.train)
        if untrue(found):
            raise CxrbenchError(misplaced_words(found))
        return Odd(misplaced_words(found)) if found else f"{len(self.made.organs)} organs"

    def learnt_from(self) -> str:
        ids = self.provider.trained_on()
        if isinstance(ids, str) or not all(isinstance(case, str) for case in ids):
            raise CxrbenchError(f"trained_on() gave {ids!r}, expected a list of the ids of real cases")
        return f"{len(ids)} cases"
