"""A run's results again, from its cells: the table over seeds, every test with its p-values and claims, cost, findings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...benchmark.data.dataset import Dataset, DatasetInfo
from ...benchmark.errors import InputError
from ...benchmark.registry import Plugin
from ...benchmark.results.assemble import assemble
from ...benchmark.results.curve import FoundCurve
from ...benchmark.results.finished import Harvest
from ...benchmark.results.rows import DataInfo, Results
from ...benchmark.runs.job import Cell
from ...benchmark.runs.plan import Generator, Plan
from ...benchmark.runs.record import Failure, Record
from ...benchmark.runs.store import Level as StoreLevel
from ...benchmark.runs.store import Store
from ..arms import is_shared, parsed
from ..entry import EntryRun
from ..untrusted import Refused, shown
from .finding import Finding, Level
from .subject import Protocol, Subject

NAME = "aggregates"
RECOMPUTES = True
RELATIVE, ABSOLUTE = 1e-5, 1e-9
RECOMPUTED = (
    *("table", "seed_values", "paired", "fold_tests", "seed_tests", "gains", "worths", "paired_placebo"),
    *("cost", "checks", "environments"),
)
TASK = ("name", "version", "code", "settings", "metrics", "paired", "structures", "primary", "pairing", "headline")


def check(subject: Subject) -> Iterator[Finding]:
    """An error for every part of the results that its cells do not give."""
    for run in subject.entry.runs:
        protocol = subject.protocol(run)
        if protocol is None or not run.records:
            continue  # `cells` has said why
        try:
            found = recomputed(subject, run, protocol)
        except Exception as error:  # numbers of another form than the task's make the statistics raise anything
            words = str(error) if isinstance(error, InputError) else type(error).__name__
            yield Finding(Level.ERROR, NAME, run.path.name, f"cannot be recomputed from its cells: {shown(words)}")
            continue
        if run.results.elsewhere is not None or run.results.fidelity or run.results.average_precision:
            words = (
                "fidelity, mAP, further test sets and groups are its own word: an entry holds neither films nor all "
                "predictions"
            )
            yield Finding(Level.NOTE, NAME, run.path.name, words)
        if said := [row for row in run.results.film_checks if row.alarm]:
            words = f"its run said of {len(said)} sets of films: {shown(said[0].name)}: {shown(said[0].sentence)}"
            yield Finding(Level.REVIEW, NAME, run.path.name, words)
        for part, said, again in _parts(run.results, found, protocol):
            if (lack := difference(said, again)) is not None:
                yield Finding(Level.ERROR, NAME, run.path.name, f"{part} {lack}")


def _parts(said: Results, found: Results, protocol: Protocol) -> Iterator[tuple[str, Any, Any]]:
    a, b = said.model_dump(mode="json"), found.model_dump(mode="json")
    yield from ((name, a[name], b[name]) for name in RECOMPUTED)
    yield from ((f"task.{name}", a["task"][name], b["task"][name]) for name in TASK)
    if protocol.films is not None:
        yield "sizes", a["sizes"], b["sizes"]
        yield "data", a["data"], b["data"]
    else:
        yield "data.phantom", a["data"]["phantom"], b["data"]["phantom"]


def difference(said: Any, found: Any, where: str = "", *, relative: float = RELATIVE) -> str | None:
    """The first place where two JSON values differ, in words; numbers may differ by rounding (`relative`)."""
    if isinstance(said, dict) and isinstance(found, dict) and said.keys() == found.keys():
        parts = [(f"{where}.{key}".lstrip("."), said[key], found[key]) for key in said]
    elif isinstance(said, list) and isinstance(found, list) and len(said) == len(found):
        parts = [(f"{where}[{index}]", a, b) for index, (a, b) in enumerate(zip(said, found, strict=True))]
    elif _equal(said, found, relative):
        return None
    else:
        sizes = f" ({len(said)} and {len(found)} rows)" if isinstance(said, list) and isinstance(found, list) else ""
        return f"{where}: the entry says {shown(said)}, its cells give {shown(found)}{sizes}"
    deeper = (difference(a, b, name, relative=relative) for name, a, b in parts)
    return next((words for words in deeper if words is not None), None)


def _equal(said: Any, found: Any, relative: float) -> bool:
    numbers = [isinstance(one, int | float) and not isinstance(one, bool) for one in (said, found)]
    if all(numbers):
        return math.isclose(said, found, rel_tol=relative, abs_tol=ABSOLUTE)
    return type(said) is type(found) and said == found


# --------------------------------------------------------------------------------------------------- the run again


def recomputed(subject: Subject, run: EntryRun, protocol: Protocol) -> Results:
    """The results that the cells of a run give, by the code that made them; worths are read from the curve that it has."""
    said = run.results
    curve = None if said.curve is None else FoundCurve(said.curve.curve, said.curve.source)
    harvest = harvest_of(subject, run, protocol)
    sizes = None if protocol.films is not None else said.sizes
    return assemble(harvest.plan, harvest.store, said.command, sizes, curve)


def harvest_of(subject: Subject, run: EntryRun, protocol: Protocol) -> Harvest:
    """The plan of a run and its cells, as a store has them; Refused for a cell of an arm that there is not."""
    said = run.results
    films = protocol.films if protocol.films is not None else without_films(said.data)
    fit_films = protocol.fit_films if protocol.fit_films is not None else films
    nowhere = Plugin(said.provider.name, said.provider.spec, "", "")
    plan = Plan(
        task=protocol.task,
        task_plugin=nowhere,
        generator=Generator(said.provider, nowhere, {}),
        data=films,
        fit_data=fit_films,
        preset=said.preset,
        seeds=tuple(said.seeds),
        device=said.device,
        cells=tuple(_cells(run)),
    )
    return Harvest(plan, _EntryStore(subject, run))


def _cells(run: EntryRun) -> Iterator[Cell]:
    some = next(iter(run.records.values())).cell
    for row in run.results.cells:
        record = run.records.get(row.key)
        parts = parsed(row.arm)
        if parts is None:
            raise Refused(f"results.json has a cell of an arm that there is not: {shown(row.arm)}")
        place = parts._asdict() | {"fold": row.fold, "size": row.size, "arm": parts.arm.value, "seed": row.seed}
        provider = None if is_shared(row.arm) else run.results.provider
        identity = record.cell if record else some.model_copy(update=place | {"provider": provider})
        yield Cell(
            key=row.key,
            identity=identity,
            fit_key=record.fit_key if record else None,
            synthetic_key=record.synthetic_key if record else None,
        )


def without_films(data: DataInfo) -> Dataset:
    """A dataset with the names of one whose films are not at hand, and no film."""
    info = DatasetInfo(
        name=data.name,
        resolution=data.resolution,
        organs=tuple(data.organs),
        findings=tuple(data.findings),
        pixel_mm=data.pixel_mm,
        provenance=data.provenance,
        digest=data.digest,
        truth=data.truth,
        version=data.version or "1",
    )
    nothing = np.zeros((0, data.resolution, data.resolution), np.uint8)
    cases = pd.DataFrame({name: pd.Series(dtype=object) for name in ("id", "patient", *data.findings)})
    return Dataset(info=info, images=nothing, cases=cases, masks=nothing if data.organs else None)


@dataclass
class _EntryStore(Store):
    """The cells of an entry as the store that `assemble` reads."""

    subject: Subject
    run: EntryRun

    def path(self, level: StoreLevel, key: str) -> Path:
        return self.run.path if key in self.run.records else self.run.path / "nothing"

    def record(self, key: str) -> Record:
        return self.run.records[key]

    def scores(self, key: str) -> pd.DataFrame:
        return self.subject.scores(self.run, key)

    def failure(self, key: str) -> Failure | None:
        return None
