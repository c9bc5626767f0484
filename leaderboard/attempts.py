"""What the leaderboard knows of an entry: who sent it, and what it reached on one board (an *attempt*).

Plain values of plain types, made from the results of a run by `from_results`; the standings and the site read nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..benchmark import digest
from ..benchmark.metrics.scores import AVERAGE
from ..benchmark.registry import TASKS, find_task, plugins
from ..benchmark.report.elsewhere_words import besides
from ..benchmark.report.words import check_notes, rules_alone
from ..benchmark.results.fidelity_rows import FidelityRow
from ..benchmark.results.rows import CostRow, MetricInfo, Results, Status
from ..benchmark.runs.record import OTHER_FILMS, ProviderIdentity, Record
from .entry import Entry

NATIVE = "native"

Place = tuple[str, str, str, str]
"""size, arm, metric, structure."""


class Division(StrEnum):
    """Who made the numbers: the maintainers by running it, or its authors (checked from their predictions)."""

    REPRODUCED = "reproduced"
    CLAIMED = "claimed"


@dataclass(frozen=True)
class Entrant:
    """One entry as its authors describe it. `name` is its folder; nothing here is trusted to be safe text."""

    name: str
    division: Division
    version: str = ""
    description: str = ""
    authors: tuple[str, ...] = ()
    licence: str = ""
    paper: str = ""
    paper_url: str = ""
    code: str = ""
    commit: str = ""
    hardware: str = ""
    training_data: tuple[str, ...] = ()
    contact: str = ""
    command: str = ""
    readme: str = ""
    samples: tuple[Path, ...] = ()
    """Pictures of its films (PNG or JPEG)."""
    control: bool = False
    """A system whose worth is known beforehand: a mark of the scale."""
    reproduces: str = ""
    """The claimed entry that this one is the twin of."""


@dataclass(frozen=True, order=True)
class BoardKey:
    """What must be the same for two numbers to stand in one table. `settings` is the digest of the task's settings."""

    task: str
    version: int
    data: str
    preset: str
    digest: str
    settings: str

    @property
    def slug(self) -> str:
        """A name for files and addresses: letters, digits, dashes."""
        plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in f"{self.task}-{self.data}-{self.preset}")
        return f"{plain[:80]}-v{self.version}-{digest.of_json([self.task, self.data, self.digest, self.settings])[:8]}"


@dataclass(frozen=True)
class Protocol:
    """How a task's numbers are shown; `primary` is what ranks."""

    summary: str
    primary: MetricInfo
    metrics: tuple[MetricInfo, ...]
    published_data: str = ""
    """The films that its papers' numbers, and the counts in the summary, are of; empty: any."""

    def on(self, *data: str) -> str:
        """The summary for films of these names: without its papers' counts where they are others."""
        alone = not self.published_data or set(data) == {self.published_data}
        return self.summary if alone else rules_alone(self.summary)

    def metric(self, name: str) -> MetricInfo:
        """How a metric is shown; one that is not known is shown as it is."""
        return next((one for one in self.metrics if one.name == name), MetricInfo(name=name, label=name))


@dataclass(frozen=True)
class Copied:
    """How many of the films of an entry are copies of training films."""

    copies: int
    films: int


@dataclass(frozen=True)
class Attempt:
    """One entry on one board. `values[place][seed]` holds the folds of a seed together, and exists for whole seeds alone.

    `cells` are (size, fold, arm, seed) of what is there, placebos among the arms; `seeds` those that were planned; `films`
    the real training films of each size, most first; `headline` the (size, arm) that its task ranks by.
    """

    entrant: Entrant
    key: BoardKey
    protocol: Protocol
    label_by: str
    provider: ProviderIdentity
    phantom: bool
    films: Mapping[str, int]
    cells: frozenset[tuple[str, str, str, int]]
    seeds: tuple[int, ...]
    values: Mapping[Place, Mapping[int, float]]
    structures: tuple[str, ...]
    created: str
    costs: tuple[CostRow, ...] = ()
    checks: tuple[tuple[str, str, bool], ...] = ()
    """Label, sentence, alarm."""
    elsewhere: tuple[tuple[tuple[str, ...], tuple[tuple[str, ...], ...]], ...] = ()
    """Fidelity, further test sets and groups, as its results say: headings and lines of each table. Its cells hold no films
    and no predictions of these, so that nobody has computed them again."""
    fidelity: tuple[FidelityRow, ...] = ()
    """The same of fidelity, as numbers."""
    copied: Mapping[str, Copied] = field(default_factory=dict)
    """Copies of training films among the films of each size, as its cells say."""
    unranked: tuple[str, ...] = ()
    """Why it may not be ranked, as far as its own plan says."""
    headline: tuple[str, str] | None = None
    device: str = "cpu"
    """The kind of device that its cells were trained on."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the task, the same for a whole board."""
    known: str = field(default="", init=False, repr=False, compare=False)
    """The digest of all that it says, where it was handed over so (`handed_over`): what follows from it may be kept under
    that. Empty for any other, `dataclasses.replace` of one among them."""

    @property
    def title(self) -> str:
        """The system's name with what tables must not hide."""
        said = [] if self.label_by == NATIVE else [f"labels by {self.label_by}"]
        said += [OTHER_FILMS] if self.provider.rest else []
        return f"{self.entrant.name} ({'; '.join(said)})" if said else self.entrant.name

    @cached_property
    def fidelity_at(self) -> dict[str, FidelityRow]:
        """Its numbers of the films by size: the first that it says of each."""
        return {row.size: row for row in reversed(self.fidelity)}

    def average(self, size: str, arm: str, metric: str) -> dict[int, float]:
        """The average of a metric by seed; empty where some structure was not taught."""
        found = self.values.get((size, arm, metric, AVERAGE))
        if found is not None:
            return dict(found)
        parts = [self.values.get((size, arm, metric, name), {}) for name in self.structures]
        seeds = set.intersection(*(set(part) for part in parts)) if parts else set()
        return {seed: float(np.mean([part[seed] for part in parts])) for seed in sorted(seeds)}


# ------------------------------------------------------------------------------------------------- from results


def from_entry(entry: Entry) -> list[Attempt]:
    """An attempt for every run of an entry."""
    said, code, paper = entry.submission, entry.submission.code, entry.submission.paper
    entrant = Entrant(
        name=said.name,
        division=Division(said.division),
        version=said.version,
        description=said.description,
        authors=tuple(said.authors),
        licence=said.licence,
        paper=paper.title if paper else "",
        paper_url=paper.url if paper else "",
        code=code.url if code else "",
        commit=code.commit if code else "",
        hardware=said.hardware,
        training_data=tuple(said.training_data),
        contact=said.contact,
        command=said.command,
        readme=entry.readme or "",
        samples=tuple(entry.samples),
        control=said.control,
        reproduces=said.reproduces or "",
    )
    return [
        from_results(entrant, run.results, unranked=entry.unranked(run), records=run.records.values())
        for run in entry.runs
    ]


def from_results(
    entrant: Entrant, results: Results, *, unranked: Sequence[str] = (), records: Iterable[Record] = ()
) -> Attempt:
    """What an entry reached on one board, from the results of its run.

    The metrics are those of the installed task of that name, and the results' own where there is none.
    """
    values: dict[Place, dict[int, float]] = {}
    for one in results.seed_values:
        values.setdefault((one.size, one.arm, one.metric, one.structure), {})[one.seed] = one.value
    done = [cell for cell in results.cells if cell.status is Status.DONE]
    return Attempt(
        entrant=entrant,
        key=BoardKey(
            task=results.task.name,
            version=results.task.version,
            data=results.data.name,
            preset=results.preset,
            digest=results.data.digest,
            settings=digest.of_json(results.task.settings),
        ),
        protocol=protocol_of(results.task.name) or _own_protocol(results),
        label_by=results.provider.label_by,
        provider=results.provider,
        phantom=results.data.phantom,
        films={info.size: info.films for info in sorted(results.sizes, key=lambda info: -info.films)},
        cells=frozenset((cell.size, cell.fold, cell.arm, cell.seed) for cell in done),
        seeds=tuple(sorted({cell.seed for cell in results.cells})),
        values=values,
        structures=tuple(results.task.structures),
        created=results.created,
        costs=tuple(results.cost),
        checks=tuple(
            check_notes(results.model_copy(update={"film_checks": []}))
        ),  # its own word, which `check` reviews
        elsewhere=tuple((tuple(headings), tuple(lines)) for headings, lines in besides(results)),
        fidelity=tuple(results.fidelity),
        copied=copied_of(records),
        unranked=tuple(unranked),
        headline=None if results.task.headline is None else (results.task.headline.size, results.task.headline.arm),
        device=results.device.split(":")[0],
        settings=results.task.settings,
    )


def _own_protocol(results: Results) -> Protocol:
    task = results.task
    return Protocol(
        summary=task.summary,
        primary=task.metric(task.primary),
        metrics=tuple(task.metrics),
        published_data=task.published_data,
    )


@cache
def protocol_of(task: str) -> Protocol | None:
    """What an installed task says of its metrics (tasks import no torch); None when there is none of that name."""
    if task not in plugins(TASKS):
        return None
    cls = find_task(task).load()
    metrics = tuple(MetricInfo(**asdict(metric)) for metric in cls.metrics)
    primary = next(metric for metric in metrics if metric.name == cls.primary)
    return Protocol(summary=cls.summary, primary=primary, metrics=metrics, published_data=cls.published_data)


def copied_of(records: Iterable[Record]) -> dict[str, Copied]:
    """How many films of each size are copies of training films, of all sets of films that an entry made; a set is counted
    once, whatever it was trained in."""
    sets: dict[tuple[str, str], Copied] = {}
    for record in records:
        found: Any = record.checks.get("near_train")
        if record.cost is None or record.synthetic_key is None or record.cell.synthetic is not None:
            continue
        copies, films = (found.get("copies"), found.get("films")) if isinstance(found, Mapping) else (None, None)
        if isinstance(copies, int) and isinstance(films, int) and 0 <= copies <= films:
            sets[record.cell.size, record.synthetic_key] = Copied(copies, films)
    totals: dict[str, Copied] = {}
    for (size, _), one in sets.items():
        before = totals.get(size, Copied(0, 0))
        totals[size] = Copied(before.copies + one.copies, before.films + one.films)
    return totals
