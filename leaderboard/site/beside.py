"""The papers' printed numbers beside those of a board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...benchmark.metrics.scores import AVERAGE
from ...benchmark.results.rows import words
from ..attempts import Attempt, Division
from ..published import Published, on_board, why_not_beside
from ..standings import Board, Standing
from .words import slug


@dataclass(frozen=True)
class PublishedRow:
    """A printed average."""

    paper: str
    table: str
    system: str
    size: str
    arm: str
    metric: str
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


def printed_on(board: Board) -> list[Published]:
    """The printed numbers that are of a board's kind; none on phantoms, and none of another preset, size or split."""
    if board.phantom or why_not_beside(board.key, board.settings):
        return []
    return on_board(board.key.task, board.key.data)


def why_none(board: Board) -> str:
    """Why a board of real films shows no printed numbers, where its task has some for them."""
    return "" if board.phantom else why_not_beside(board.key, board.settings)


def published_rows(board: Board) -> list[PublishedRow]:
    """The papers' averages of the primary metric, or of the metrics that they print where that is none of them."""
    averages = [one for one in printed_on(board) if one.structure == AVERAGE]
    primary = [one for one in averages if one.metric == board.protocol.primary.name]
    return [
        PublishedRow(
            one.paper.name,
            one.table,
            one.system,
            one.size,
            one.arm,
            board.protocol.metric(one.metric).label,
            one.printed,
        )
        for one in primary or averages
    ]


def beside_rows(board: Board, standings: Sequence[Standing]) -> list[BesideRow]:
    """Every printed number of a system that was reproduced, with ours and the difference."""
    numbers: dict[str, list[Published]] = {}
    for number in printed_on(board):
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
