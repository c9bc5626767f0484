"""What the pages are given: boards, providers, and the papers' tables as plain rows of cells.

Names and texts of entries reach a page through the templates' escaping alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

from ...benchmark import report
from ...benchmark.contracts.task import ArmName
from ...benchmark.data.organs import KNOWN_ORGANS
from ...benchmark.metrics.scores import AVERAGE
from ...benchmark.report.words import amount, duration, memory, probability, rate, shown
from ...benchmark.results.rows import CostRow, MetricInfo, words
from ..arms import REAL
from ..reached import Arm
from ..standings import Board, Standing
from .beside import BesideRow, beside_rows, published_rows, why_none
from .columns import Cell, Column, board_columns
from .drawings import critical_difference, gain_against_cost
from .exports import structure_gain
from .ladder import worth_drawing
from .tells import tells_name
from .words import (
    DIVISIONS,
    LEGEND,
    LONGER,
    failed_words,
    interval,
    mean,
    rank,
    rank_range,
    signed,
    slug,
    summary,
    web_address,
    worth_films,
    worth_interval,
)

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

HEAT_ROWS = 60
"""Entries that a heat map shows."""
HEAT_STEPS = 4


@dataclass(frozen=True)
class Row:
    """A row of a board's table: an entry (`page` is the file of its provider page) or a published number."""

    name: str
    note: str
    page: str
    cells: list[Cell]
    rank: Cell
    ranked: bool = False
    control: bool = False


@dataclass
class Section:
    """One division of a board."""

    name: str
    about: str
    rows: list[Row] = field(default_factory=list)
    diagram: Any = None
    worth: Any = None


POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""The content-security policy of every page: its own script, style sheet and pictures, and nothing else."""


def environment() -> Environment:
    """The templates, with everything escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader(__name__.rpartition(".")[0], "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(words=words, slug=slug, web=web_address, summary=summary, tells=tells_name)
    found.globals.update(policy=POLICY, legend=LEGEND, longer=LONGER)
    return found


def asset(name: str) -> str:
    """The text of `site.css`, with the rules that reports have too, or `site.js`, with that of cards."""
    first = {"site.css": resources.files(report) / "shade.css", "site.js": resources.files(__package__) / "cards.js"}
    return "".join(one.read_text(encoding="utf-8") for one in (first[name], resources.files(__package__) / name))


# ------------------------------------------------------------------------------------------------------- boards


def board_page(board: Board) -> dict[str, Any]:
    """The context of a board's page."""
    columns = board_columns(board)
    sections = [
        Section(
            *DIVISIONS[division],
            rows=[_row(columns, one) for one in standings],
            diagram=critical_difference(board, division),
            worth=worth_drawing(board, division),
        )
        for division, standings in board.standings.items()
    ]
    return {
        "board": board,
        "sections": sections,
        "columns": columns,
        "published": published_rows(board),
        "why_none": why_none(board),
        "beside": beside_rows(board, board.all),
        "cost_drawing": gain_against_cost(board),
        "controls": any(one.control for one in board.all),
        "heat": _heat(board),
        "real": REAL,
        "average": AVERAGE,
    }


def _row(columns: Sequence[Column[Standing]], one: Standing) -> Row:
    span = rank_range(one)
    position = one.rank.first if one.rank else None
    return Row(
        name=one.attempt.title,
        note=one.attempt.entrant.version,
        page=f"../providers/{slug(one.attempt.entrant.name)}.html",
        cells=[column.value(one) for column in columns],
        rank=Cell(rank(one), position, span if "to" in span else ""),
        ranked=one.rank is not None,
        control=one.control,
    )


# ------------------------------------------------------------------------------------------------------- heat map


@dataclass(frozen=True)
class HeatRow:
    """One entry: a cell for each organ or finding."""

    name: str
    page: str
    cells: list[Cell]


def _heat(board: Board) -> dict[str, Any] | None:
    """Gains (before placebos: differences from REAL) for each organ or finding, coloured by their size (full colour from the
    largest sixth on); None with one structure."""
    structures = [name for name in board.structures if name != AVERAGE]
    if len(structures) < 2:
        return None
    metric = board.protocol.primary
    entries = board.all[:HEAT_ROWS]
    values = {
        (i, name): structure_gain(board, one.attempt, name) for i, one in enumerate(entries) for name in structures
    }
    sign = 1 if metric.higher_is_better else -1
    sizes = sorted(abs(value) for value in values.values() if value is not None)
    most = (
        sizes[int(0.85 * (len(sizes) - 1))] if sizes else 0.0
    ) or 1.0  # a generator of noise does not pale the others
    rows = []
    for i, one in enumerate(entries):
        cells = []
        for name in structures:
            value = values[i, name]
            step = 0 if value is None else round(sign * max(-1.0, min(1.0, value / most)) * HEAT_STEPS)
            kind = "none" if value is None else f"up{step}" if step > 0 else f"down{-step}" if step < 0 else "level"
            cells.append(Cell(signed(value, metric), value, kind=kind))
        rows.append(HeatRow(one.attempt.title, f"../providers/{slug(one.attempt.entrant.name)}.html", cells))
    of = "organ" if set(structures) & set(KNOWN_ORGANS) else "finding"
    return {"of": of, "structures": structures, "rows": rows, "left": max(0, len(board.all) - len(entries))}


# ------------------------------------------------------------------------------------------------------- providers


@dataclass(frozen=True)
class ArmLine:
    """An arm on the page of its provider, in words. `longer`: its difference from REAL includes longer training."""

    arm: Arm
    mean: str
    copies: str
    gain: str
    interval: str
    median: str
    p: str
    failed: str
    worth: str
    worth_interval: str
    difference: str
    longer: bool


@dataclass(frozen=True)
class OnBoard:
    """One attempt on the page of its provider; `body`: what does not hang on the others of the board, rendered."""

    board: Board
    standing: Standing
    body: Markup

    @property
    def rank(self) -> str:
        """As on the board."""
        return rank(self.standing)

    @property
    def range(self) -> str:
        """Of its rank."""
        return rank_range(self.standing)


@dataclass(frozen=True)
class Reached:
    """What an attempt reached on a board, in words."""

    board: Board
    standing: Standing
    arms: list[ArmLine]
    structures: list[tuple[str, list[str]]]
    heads: list[str]
    costs: list[list[str]]
    beside: list[BesideRow]
    why_none: str


def reached(board: Board, one: Standing) -> Reached:
    """What a provider's page says of one board, but for the rank."""
    places = [place for place in board.places if one.attempt.films and place in one.arms]
    several, structures = len(board.sizes) > 1, _structures(board, one, places)
    return Reached(
        board=board,
        standing=one,
        arms=[_arm(arm, board.protocol.primary) for arm in one.arms.values() if arm.mean is not None],
        structures=structures if len(structures) > 1 else [],
        heads=[f"{arm.upper()}, {size}" if several else arm.upper() for size, arm in places],
        costs=[_costs(row) for row in one.attempt.costs],
        beside=beside_rows(board, [one]),
        why_none=why_none(board),
    )


def _arm(arm: Arm, metric: MetricInfo) -> ArmLine:
    gain, real = arm.gain, arm.arm == REAL
    return ArmLine(
        arm=arm,
        mean=mean(arm, metric),
        copies="" if real else shown(gain.placebo, metric),
        gain="" if real else signed(gain.value, metric),
        interval=interval(gain, metric),
        median="" if real else signed(gain.median, metric),
        p="" if real else probability(gain.p),
        failed=failed_words(gain),
        worth="" if arm.worth is None else worth_films(arm.worth),
        worth_interval=worth_interval(arm.worth),
        difference="" if real else signed(arm.difference.value, metric),
        longer=arm.arm.startswith(ArmName.FINETUNE),
    )


def _structures(board: Board, one: Standing, places: Sequence[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Of every organ or finding the mean over seeds at each (size, arm)."""
    metric, found = board.protocol.primary, []
    for name in one.attempt.structures:
        texts = []
        for size, arm in places:
            by_seed = one.attempt.values.get((size, arm, metric.name, name))
            value = sum(by_seed.values()) / len(by_seed) if by_seed else None
            texts.append(signed(value, metric).lstrip("+") if value is not None else "–")
        found.append((words(name), texts))
    return found


def _costs(row: CostRow) -> list[str]:
    return [
        row.size,
        str(row.fits),
        amount(row.parameters),
        duration(row.fit_seconds),
        rate(row.train_images_per_second),
        rate(row.sample_images_per_second),
        memory(row.peak_memory_bytes),
        row.device,
        row.precision,
        row.weights,
    ]
