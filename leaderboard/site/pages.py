"""What the pages are given: boards, providers, and the papers' tables as plain rows of cells.

Names and texts of entries reach a page through the templates' escaping alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

from ...benchmark.metrics.scores import AVERAGE
from ...benchmark.report.words import amount, duration, memory, probability, rate
from ...benchmark.results.rows import CostRow, words
from ..attempts import REAL, Attempt, Division
from ..published import Published, on_board
from ..standings import Arm, Board, Standing
from .drawings import critical_difference, utility_against_cost
from .exports import structure_difference
from .words import DIVISIONS, interval, mean, rank, rank_range, signed, slug, summary, web_address

if TYPE_CHECKING:
    from jinja2 import Environment

HEAT_ROWS = 60
"""Entries that a heat map shows."""
HEAT_STEPS = 4


@dataclass(frozen=True)
class Column:
    """A column of a board's table; `title` explains it. Text columns are aligned left."""

    key: str
    label: str
    title: str = ""
    text: bool = False


@dataclass(frozen=True)
class Cell:
    """`sort` is what the table is sorted by; None goes last. `small` is the second, quieter part."""

    text: str
    sort: float | str | None = None
    small: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Row:
    """A row of a board's table: an entry (`page` is the file of its provider page) or a published number."""

    name: str
    note: str
    page: str
    cells: list[Cell]
    rank: Cell
    ranked: bool = False


@dataclass
class Section:
    """One division of a board."""

    name: str
    about: str
    rows: list[Row] = field(default_factory=list)
    diagram: Any = None


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
    found.filters.update(words=words, slug=slug, web=web_address, summary=summary)
    found.globals.update(policy=POLICY)
    return found


def asset(name: str) -> str:
    """The text of `site.css` or `site.js`."""
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------------- boards


def board_page(board: Board) -> dict[str, Any]:
    """The context of a board's page."""
    sections = [
        Section(
            *DIVISIONS[division],
            rows=[_row(board, one) for one in standings],
            diagram=critical_difference(board, division),
        )
        for division, standings in board.standings.items()
    ]
    return {
        "board": board,
        "sections": sections,
        "columns": _columns(board),
        "published": published_rows(board),
        "beside": beside_rows(board, board.all),
        "cost_drawing": utility_against_cost(board),
        "heat": _heat(board),
        "real": REAL,
        "average": AVERAGE,
    }


def _others(board: Board) -> list[tuple[str, str]]:
    """(size, arm) of every difference but the one that ranks."""
    places = [(size, arm) for size in board.sizes for arm in board.arms if arm != REAL]
    return [place for place in places if place != (board.size, board.arm)]


def _columns(board: Board) -> list[Column]:
    metric = board.protocol.primary
    unit = " (points)" if metric.percent else ""
    several = len(board.sizes) > 1
    where = f", {board.size}" if several else ""
    columns = [
        Column("utility", f"Utility{unit}", f"{metric.label} of {board.arm.upper()} minus REAL{where}, 95 % interval"),
        Column("verdict", "Verdict", "against REAL over seeds (Welch, Holm over the board)", text=True),
        Column("real", "REAL", f"{metric.label} of the model trained on real films{where}"),
        Column("arm", board.arm.upper(), f"{metric.label} of the arm that ranks{where}"),
    ]
    columns += [
        Column(
            f"{size}-{arm}",
            f"{arm.upper()} − REAL" + (f", {size}" if several else ""),
            f"difference of {metric.label}: shown, not ranked",
        )
        for size, arm in _others(board)
    ]
    columns += [
        Column("seeds", "Seeds"),
        Column("parameters", "Parameters"),
        Column("fit", "Fit", "time of a fit, mean over seeds"),
        Column("sampling", "Films/s", "films sampled a second"),
        Column("memory", "Memory", "peak of fitting and sampling"),
        Column("device", "Device", text=True),
    ]
    return [*columns, Column("date", "Date", "of the run", text=True)]


def _row(board: Board, one: Standing) -> Row:
    metric, attempt, headline = board.protocol.primary, one.attempt, one.headline
    real = one.arms.get((board.size, REAL))
    p_holm = one.rank.p_holm if one.rank else None
    kind = {1: "better", -1: "worse", 0: "even"}[one.rank.told] if one.rank else "unranked"
    cost = next((row for row in attempt.costs if row.size == board.size), None)
    cells = [
        _difference(headline, board),
        Cell(one.verdict, one.verdict, f"p {probability(p_holm)}" if p_holm is not None else "", kind),
        Cell(mean(real, metric), real.mean, kind="quiet") if real else Cell("–"),
        Cell(mean(headline, metric), headline.mean),
    ]
    cells += [_difference(one.arms[place], board) if place in one.arms else Cell("–") for place in _others(board)]
    cells += [Cell(str(headline.seeds), headline.seeds), *_cost(cost)]
    cells.append(Cell(attempt.created[:10], attempt.created))
    span = rank_range(one)
    position = one.rank.first if one.rank else None
    return Row(
        name=attempt.title,
        note=attempt.entrant.version,
        page=f"../providers/{slug(attempt.entrant.name)}.html",
        cells=cells,
        rank=Cell(rank(one), position, span if "to" in span else ""),
        ranked=one.rank is not None,
    )


def _difference(arm: Arm, board: Board) -> Cell:
    metric = board.protocol.primary
    found = arm.difference
    return Cell(signed(found.value, metric), found.value, interval(found, metric))


def _cost(cost: CostRow | None) -> list[Cell]:
    if cost is None:
        return [Cell("–")] * 4 + [Cell("–", "")]
    return [
        Cell(amount(cost.parameters), cost.parameters),
        Cell(duration(cost.fit_seconds), cost.fit_seconds),
        Cell(rate(cost.sample_images_per_second), cost.sample_images_per_second),
        Cell(memory(cost.peak_memory_bytes), cost.peak_memory_bytes),
        Cell(cost.device, cost.device),
    ]


# ------------------------------------------------------------------------------------------------------- heat map


@dataclass(frozen=True)
class HeatRow:
    """One entry: a cell for each organ or finding."""

    name: str
    page: str
    cells: list[Cell]


def _heat(board: Board) -> dict[str, Any] | None:
    """Differences from REAL for each organ or finding, coloured by their size (full colour from the largest
    sixth on); None with one structure."""
    structures = [name for name in board.structures if name != AVERAGE]
    if len(structures) < 2:
        return None
    metric = board.protocol.primary
    shown = board.all[:HEAT_ROWS]
    values = {
        (i, name): structure_difference(board, one.attempt, name) for i, one in enumerate(shown) for name in structures
    }
    sign = 1 if metric.higher_is_better else -1
    sizes = sorted(abs(value) for value in values.values() if value is not None)
    most = (
        sizes[int(0.85 * (len(sizes) - 1))] if sizes else 0.0
    ) or 1.0  # a generator of noise does not pale the others
    rows = []
    for i, one in enumerate(shown):
        cells = []
        for name in structures:
            value = values[i, name]
            step = 0 if value is None else round(sign * max(-1.0, min(1.0, value / most)) * HEAT_STEPS)
            kind = "none" if value is None else f"up{step}" if step > 0 else f"down{-step}" if step < 0 else "level"
            cells.append(Cell(signed(value, metric), value, kind=kind))
        rows.append(HeatRow(one.attempt.title, f"../providers/{slug(one.attempt.entrant.name)}.html", cells))
    return {"structures": structures, "rows": rows, "left": max(0, len(board.all) - len(shown))}


# ------------------------------------------------------------------------------------------------------- published


@dataclass(frozen=True)
class PublishedRow:
    """A printed average of the primary metric."""

    paper: str
    table: str
    system: str
    size: str
    arm: str
    printed: str


@dataclass(frozen=True)
class BesideRow:
    """A printed number beside the reproduced one."""

    system: str
    page: str
    size: str
    arm: str
    structure: str
    printed: str
    ours: str
    difference: str


def published_rows(board: Board) -> list[PublishedRow]:
    """The papers' averages of the primary metric on the films of this board; none on phantoms."""
    if board.phantom:
        return []
    metric = board.protocol.primary
    return [
        PublishedRow(one.paper.name, one.table, one.system, one.size, one.arm, one.printed)
        for one in on_board(board.key.task, board.key.data)
        if one.metric == metric.name and one.structure == AVERAGE
    ]


def beside_rows(board: Board, standings: Sequence[Standing]) -> list[BesideRow]:
    """Every printed number of a system that was reproduced, with ours and the difference."""
    if board.phantom:
        return []
    numbers: dict[str, list[Published]] = {}
    for number in on_board(board.key.task, board.key.data):
        numbers.setdefault(number.system, []).append(number)
    rows = []
    for one in standings:
        attempt = one.attempt
        if attempt.entrant.division is not Division.REPRODUCED:
            continue
        for number in numbers.get(attempt.provider.name, []):
            ours = _ours(attempt, number)
            if ours is not None:
                metric = board.protocol.metric(number.metric)
                scale = 100 if metric.percent else 1
                decimals = len(number.printed.partition(".")[2])
                rows.append(
                    BesideRow(
                        system=attempt.title,
                        page=f"../providers/{slug(attempt.entrant.name)}.html",
                        size=number.size,
                        arm=number.arm,
                        structure=f"{metric.label} {words(number.structure)}",
                        printed=f"{number.printed} ({number.paper.name})",
                        ours=f"{ours * scale:.{max(decimals, 2)}f}",
                        difference=f"{(ours - number.value) * scale:+.{max(decimals, 2)}f}".replace("-", "−"),
                    )
                )
    return rows


def _ours(attempt: Attempt, number: Published) -> float | None:
    """The mean over seeds of the same number."""
    if number.structure == AVERAGE:
        found: Mapping[int, float] = attempt.average(number.size, number.arm, number.metric)
    else:
        found = attempt.values.get((number.size, number.arm, number.metric, number.structure), {})
    return sum(found.values()) / len(found) if found else None


# ------------------------------------------------------------------------------------------------------- providers


@dataclass(frozen=True)
class OnBoard:
    """One attempt on the page of its provider."""

    board: Board
    standing: Standing
    rank: str
    range: str
    arms: list[tuple[Arm, str, str, str, str]]
    """Arm, mean, difference, interval, p."""
    structures: list[tuple[str, list[str]]]
    heads: list[str]
    costs: list[list[str]]
    beside: list[BesideRow]


def on_board_of(board: Board, one: Standing) -> OnBoard:
    """What a provider's page says of one board."""
    metric = board.protocol.primary
    arms = [
        (
            arm,
            mean(arm, metric),
            "" if arm.arm == REAL else signed(arm.difference.value, metric),
            interval(arm.difference, metric),
            "" if arm.arm == REAL else probability(arm.difference.p),
        )
        for arm in one.arms.values()
        if arm.mean is not None
    ]
    places = [
        (size, arm) for size in board.sizes for arm in board.arms if one.attempt.films and (size, arm) in one.arms
    ]
    structures = []
    for name in one.attempt.structures:
        texts = []
        for size, arm in places:
            found = one.attempt.values.get((size, arm, metric.name, name))
            value = sum(found.values()) / len(found) if found else None
            texts.append(signed(value, metric).lstrip("+") if value is not None else "–")
        structures.append((words(name), texts))
    several = len(board.sizes) > 1
    return OnBoard(
        board=board,
        standing=one,
        rank=rank(one),
        range=rank_range(one),
        arms=arms,
        structures=structures if len(structures) > 1 else [],
        heads=[f"{arm.upper()}, {size}" if several else arm.upper() for size, arm in places],
        costs=[
            [
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
            for row in one.attempt.costs
        ],
        beside=beside_rows(board, [one]),
    )
