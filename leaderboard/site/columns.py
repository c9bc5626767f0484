"""Tables of the site: a column is one object that has its heading, its hint, and what it says of a row.

`board_columns` are those of a board's page; `throughput` has those of the cost board, `exports` those of Markdown and CSV.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ...benchmark.report.words import amount, duration, memory, probability, rate
from ...benchmark.results.rows import CostRow
from ..attempts import REAL
from ..standings import Board, Standing
from .words import interval, mean, signed

Of = TypeVar("Of")


@dataclass(frozen=True)
class Cell:
    """`sort` is what the table is sorted by; None goes last. `small` is the second, quieter part."""

    text: str
    sort: float | str | None = None
    small: str = ""
    kind: str = ""


NONE = Cell("–")


@dataclass(frozen=True)
class Column(Generic[Of]):
    """A column: `value` gives the cell of a row, `hint` explains the heading. Text columns are aligned left."""

    key: str
    label: str
    value: Callable[[Of], Cell]
    hint: str = ""
    text: bool = False


def board_columns(board: Board) -> list[Column[Standing]]:
    """The columns of a board's table, after rank and system."""
    metric = board.protocol.primary
    several = len(board.sizes) > 1
    where = f", {board.size}" if several else ""
    utility = f"{metric.label} of {board.arm.upper()} minus REAL{where}, 95 % interval"
    places = [(size, arm) for size in board.sizes for arm in board.arms if arm != REAL]
    others = [place for place in places if place != (board.size, board.arm)]
    return [
        Column("utility", f"Utility{' (points)' if metric.percent else ''}", utility_of(board), utility),
        Column("verdict", "Verdict", verdict, "against REAL over seeds (Welch, Holm over the board)", text=True),
        Column("real", "REAL", real_of(board), f"{metric.label} of the model trained on real films{where}"),
        Column("arm", board.arm.upper(), arm_of(board), f"{metric.label} of the arm that ranks{where}"),
        *(
            Column(
                f"{size}-{arm}",
                f"{arm.upper()} − REAL" + (f", {size}" if several else ""),
                _difference_of(board, size, arm),
                f"difference of {metric.label}: shown, not ranked",
            )
            for size, arm in others
        ),
        Column("seeds", "Seeds", seeds),
        *_cost_columns(board),
        Column(
            "date", "Date", lambda one: Cell(one.attempt.created[:10], one.attempt.created), "of the run", text=True
        ),
    ]


def _cost_columns(board: Board) -> list[Column[Standing]]:
    """What an entry costs at the size that ranks."""

    def of(show: Callable[[CostRow], Cell], none: Cell = NONE) -> Callable[[Standing], Cell]:
        def value(one: Standing) -> Cell:
            cost = next((row for row in one.attempt.costs if row.size == board.size), None)
            return none if cost is None else show(cost)

        return value

    def sampled(cost: CostRow) -> Cell:
        return Cell(rate(cost.sample_images_per_second), cost.sample_images_per_second)

    def peak(cost: CostRow) -> Cell:
        return Cell(memory(cost.peak_memory_bytes), cost.peak_memory_bytes)

    return [
        Column("parameters", "Parameters", of(lambda cost: Cell(amount(cost.parameters), cost.parameters))),
        Column(
            "fit",
            "Fit",
            of(lambda cost: Cell(duration(cost.fit_seconds), cost.fit_seconds)),
            "time of a fit, mean over seeds",
        ),
        Column("sampling", "Films/s", of(sampled), "films sampled a second"),
        Column("memory", "Memory", of(peak), "peak of fitting and sampling"),
        Column("device", "Device", of(lambda cost: Cell(cost.device, cost.device), Cell("–", "")), text=True),
    ]


# ----------------------------------------------------------------------------------------------- cells of a standing


def utility_of(board: Board) -> Callable[[Standing], Cell]:
    """The arm that ranks minus REAL, with its interval."""
    return _difference_of(board, board.size, board.arm)


def _difference_of(board: Board, size: str, arm: str) -> Callable[[Standing], Cell]:
    metric = board.protocol.primary

    def value(one: Standing) -> Cell:
        if (size, arm) not in one.arms:
            return NONE
        found = one.arms[size, arm].difference
        return Cell(signed(found.value, metric), found.value, interval(found, metric))

    return value


def verdict(one: Standing) -> Cell:
    """What may be claimed against REAL, and its p."""
    kind = {1: "better", -1: "worse", 0: "even"}[one.rank.told] if one.rank else "unranked"
    p_holm = one.rank.p_holm if one.rank else None
    return Cell(one.verdict, one.verdict, f"p {probability(p_holm)}" if p_holm is not None else "", kind)


def real_of(board: Board) -> Callable[[Standing], Cell]:
    """The primary metric of REAL at the size that ranks."""

    def value(one: Standing) -> Cell:
        real = one.arms.get((board.size, REAL))
        return Cell(mean(real, board.protocol.primary), real.mean, kind="quiet") if real else NONE

    return value


def arm_of(board: Board) -> Callable[[Standing], Cell]:
    """The primary metric of the arm that ranks."""
    return lambda one: Cell(mean(one.headline, board.protocol.primary), one.headline.mean)


def seeds(one: Standing) -> Cell:
    """The seeds of the arm that ranks."""
    return Cell(str(one.headline.seeds), one.headline.seeds)
