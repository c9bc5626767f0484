"""A card: what a paper's supplement or a model card says of a run. Everything on it is of `results.json` and of an audit of
the run's films; nothing is computed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ..fidelity.audit import Audit
from ..report.elsewhere_words import elsewhere_notes, tables
from ..report.fidelity_words import fidelity_tables
from ..report.gain_words import HEADINGS, gain_lines, headline_sentences
from ..report.words import PHANTOM, absence, absent, check_notes, claims, cost_sentence, duration
from ..results.further_rows import Elsewhere
from ..results.gains import GainRow, WorthRow
from ..results.rows import CostRow, DataInfo, EnvironmentRow, Results, SizeInfo, TaskInfo
from ..runs.record import ProviderIdentity
from ..schema import Strict, utc_now
from ..significance.paired_tests import MIN_SEEDS

if TYPE_CHECKING:
    from ..audit.run_films import RunFilms

SCHEMA = 1


class ScoreLine(Strict):
    """An arm of a size as texts by the headings of the table of gains, and whether the run's sentence is about it."""

    cells: dict[str, str]
    headline: bool


class FilmsInfo(Strict):
    """The synthetic films that the card is about: how many, at how many pixels, of which size, fold and seed; how many show
    pixels of real cases, by the provider's own word."""

    count: int
    resolution: int
    digest: str
    size: str
    fold: str
    seed: int
    of_real_pixels: int


class Card(Strict):
    """The content of `card.json`. `claims`: the sentences that may be printed; `checks`: what the checks of films said, with
    whether that is an alarm; `cautions`: what a reader must know beside the numbers."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    cxrbench: str
    created: str
    run_created: str
    command: list[str]
    provider: ProviderIdentity
    task: TaskInfo
    preset: str
    changed: list[str] = Field(default_factory=list)
    data: DataInfo
    sizes: list[SizeInfo]
    seeds: list[int]
    device: str
    claims: list[str]
    scores: list[ScoreLine]
    gains: list[GainRow]
    worths: list[WorthRow]
    elsewhere: Elsewhere | None = None
    tables: list[tuple[list[str], list[list[str]]]] = Field(default_factory=list)
    """Further test sets, groups and, without an audit, the fidelity that the run has: headings and lines."""
    films: FilmsInfo | None
    audit: Audit | None
    checks: list[tuple[str, str, bool]]
    cost: list[CostRow]
    downstream_seconds: float
    environments: list[EnvironmentRow]
    cautions: list[str]

    @property
    def title(self) -> str:
        """What the card is of."""
        return f"{self.provider.title}, {self.task.name} v{self.task.version} on {self.data.name}"

    @property
    def headline(self) -> ScoreLine | None:
        """The line that the run's sentence is about."""
        return next((line for line in self.scores if line.headline), None)


def make_card(results: Results, found: RunFilms | None, audit: Audit | None, why: str) -> Card:
    """The card of a run. `found`: its films where the store has them; `why`: why there is no audit."""
    from ... import __version__

    shown = [*(fidelity_tables(results) if audit is None else []), *tables(results)]
    lines = [
        ScoreLine(cells=dict(zip(HEADINGS, line.cells, strict=True)), headline=line.headline)
        for line in gain_lines(results)
    ]
    return Card(
        cxrbench=__version__,
        created=utc_now(),
        run_created=results.created,
        command=results.command,
        provider=results.provider,
        task=results.task,
        preset=results.preset,
        changed=results.changed,
        data=results.data,
        sizes=results.sizes,
        seeds=results.seeds,
        device=results.device,
        claims=[*headline_sentences(results), *claims(results)],
        scores=lines,
        gains=results.gains,
        worths=results.worths,
        elsewhere=results.elsewhere,
        tables=[(list(headings), list(map(list, lines))) for headings, lines in shown],
        films=None if found is None else _films(found),
        audit=audit,
        checks=check_notes(results),
        cost=results.cost,
        downstream_seconds=sum(cell.seconds or 0.0 for cell in results.cells),
        environments=results.environments,
        cautions=_cautions(results, audit, why),
    )


def _films(found: RunFilms) -> FilmsInfo:
    cell, films = found.record.cell, found.films
    sources = films.cases.get("source_ids", ())
    return FilmsInfo(
        count=len(films),
        resolution=films.resolution,
        digest=films.digest,
        size=cell.size,
        fold=cell.fold,
        seed=cell.seed,
        of_real_pixels=sum(len(one) > 0 for one in sources),
    )


def _cautions(results: Results, audit: Audit | None, why: str) -> list[str]:
    """What a reader must know: phantom numbers, too few seeds, cells that are not there, what could not be asked."""
    said = [PHANTOM] if results.data.phantom else []
    if len(results.seeds) < MIN_SEEDS:
        said.append(
            f"{len(results.seeds)} of the {MIN_SEEDS} seeds that a sentence about the generator takes: "
            "the numbers compare trained models"
        )
    said += [*results.task.remarks, *results.from_scratch, *elsewhere_notes(results)]
    said += [absence(cell) for cell in absent(results)]
    if audit is None:
        said.append(f"fidelity, annotations and copies were not asked about: {why}")
    else:
        said += audit.left_out
    return said


def cost_lines(card: Card) -> list[str]:
    """What the generator and the trainings of models took, a line each."""
    lines = [f"{row.size}: {cost_sentence(row)} ({row.device})" for row in card.cost]
    return [*lines, f"trainings of models: {duration(card.downstream_seconds)} in all, on {card.device}"]
