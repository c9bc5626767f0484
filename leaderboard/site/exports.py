"""Boards for programs: JSON (everything), CSV (a row an entry and arm), Markdown (the table)."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from ...benchmark.report.words import probability
from ...benchmark.results.rows import CostRow
from ..attempts import REAL, Attempt
from ..standings import Arm, Board, Rank, Standing
from .columns import Cell, Column, arm_of, real_of, seeds, utility_of, verdict
from .words import rank, rank_range, slug

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings that spreadsheets take for a formula."""


def board_json(board: Board) -> bytes:
    """Everything of a board; numbers in the task's units."""
    key = board.key
    content = {
        "task": key.task,
        "version": key.version,
        "data": key.data,
        "data_digest": key.digest,
        "settings_digest": key.settings,
        "preset": key.preset,
        "phantom": board.phantom,
        "metric": board.protocol.primary.model_dump(),
        "ranked_by": {"size": board.size, "arm": board.arm, "minus": REAL},
        "entries": [_standing(board, one) for one in board.all],
    }
    return json.dumps(content, ensure_ascii=True, allow_nan=False, indent=1).encode()


def _standing(board: Board, one: Standing) -> dict[str, Any]:
    attempt = one.attempt
    return {
        "entry": attempt.entrant.name,
        "page": f"../providers/{slug(attempt.entrant.name)}.html",
        "system": attempt.title,
        "version": attempt.entrant.version,
        "division": attempt.entrant.division.value,
        "label_by": attempt.label_by,
        "created": attempt.created,
        "rank": one.rank and one.rank.first,
        "rank_last": one.rank and one.rank.last,
        "p_holm": one.rank and one.rank.p_holm,
        "verdict": one.verdict,
        "arms": [_arm(arm) for arm in one.arms.values()],
        "structures": {name: structure_difference(board, attempt, name) for name in board.structures},
        "cost": [row.model_dump() for row in attempt.costs],
    }


def _arm(arm: Arm) -> dict[str, Any]:
    numbers = {"size": arm.size, "arm": arm.arm, "seeds": arm.seeds, "mean": arm.mean, "sd": arm.sd}
    found = arm.difference
    return numbers | {"difference": found.value, "low": found.low, "high": found.high, "p": found.p}


def structure_difference(board: Board, attempt: Attempt, structure: str) -> float | None:
    """The ranking arm minus REAL for one organ or finding: the difference of the means over seeds."""
    metric = board.protocol.primary.name
    ours = attempt.values.get((board.size, board.arm, metric, structure))
    real = attempt.values.get((board.size, REAL, metric, structure))
    if not ours or not real:
        return None
    return sum(ours.values()) / len(ours) - sum(real.values()) / len(real)


class _Line(NamedTuple):
    """A row of the CSV: an entry with one size and arm. `cost` is that of the size; `ranks`: whether this arm ranks."""

    board: Board
    one: Standing
    arm: Arm
    cost: CostRow | None
    ranks: bool


def _of_rank(show: Callable[[Rank], float | None]) -> Callable[[_Line], object]:
    return lambda line: show(line.one.rank) if line.one.rank and line.ranks else None


def _of_cost(show: Callable[[CostRow], object]) -> Callable[[_Line], object]:
    return lambda line: show(line.cost) if line.cost else None


CSV: dict[str, Callable[[_Line], object]] = {
    "division": lambda line: line.one.attempt.entrant.division.value,
    "rank": _of_rank(lambda rank: rank.first),
    "rank_last": _of_rank(lambda rank: rank.last),
    "entry": lambda line: _plain(line.one.attempt.entrant.name),
    "system": lambda line: _plain(line.one.attempt.title),
    "version": lambda line: _plain(line.one.attempt.entrant.version),
    "label_by": lambda line: line.one.attempt.label_by,
    "size": lambda line: _plain(line.arm.size),
    "arm": lambda line: line.arm.arm,
    "metric": lambda line: line.board.protocol.primary.name,
    "seeds": lambda line: line.arm.seeds,
    "mean": lambda line: line.arm.mean,
    "sd": lambda line: line.arm.sd,
    "difference": lambda line: line.arm.difference.value,
    "low": lambda line: line.arm.difference.low,
    "high": lambda line: line.arm.difference.high,
    "p": lambda line: line.arm.difference.p,
    "p_holm": _of_rank(lambda rank: rank.p_holm),
    "verdict": lambda line: _plain(line.one.verdict) if line.ranks else None,
    "parameters": _of_cost(lambda cost: cost.parameters),
    "fit_seconds": _of_cost(lambda cost: cost.fit_seconds),
    "samples_per_second": _of_cost(lambda cost: cost.sample_images_per_second),
    "peak_memory_bytes": _of_cost(lambda cost: cost.peak_memory_bytes),
    "device": _of_cost(lambda cost: _plain(cost.device)),
    "created": lambda line: line.one.attempt.created,
}
"""The columns of the CSV by their headings; None is an empty cell."""


def board_csv(board: Board) -> bytes:
    """A row for each entry, size and arm."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(CSV)
    for one in board.all:
        for arm in one.arms.values():
            cost = next((row for row in one.attempt.costs if row.size == arm.size), None)
            line = _Line(board, one, arm, cost, (arm.size, arm.arm) == (board.size, board.arm))
            rows.writerow(["" if (cell := value(line)) is None else cell for value in CSV.values()])
    return text.getvalue().encode()


def _plain(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _markdown_columns(board: Board) -> list[Column[Standing]]:
    utility = utility_of(board)
    return [
        Column("rank", "rank", lambda one: Cell(rank(one))),
        Column("range", "range", lambda one: Cell(rank_range(one))),
        Column("system", "system", lambda one: Cell(markdown(one.attempt.title)), text=True),
        Column("utility", "utility", utility),
        Column("interval", "95 % interval", lambda one: Cell(utility(one).small)),
        Column("p", "p (Holm)", lambda one: Cell(probability(one.rank.p_holm if one.rank else None))),
        Column("verdict", "verdict", lambda one: Cell(markdown(verdict(one).text)), text=True),
        Column("real", "REAL", real_of(board)),
        Column("arm", "arm", arm_of(board)),
        Column("seeds", "seeds", seeds),
    ]


def board_markdown(board: Board) -> bytes:
    """The table of a board, a section a division."""
    columns = _markdown_columns(board)
    lines = [
        f"# {markdown(board.title)}",
        "",
        f"{board.arm.upper()} − REAL, {board.protocol.primary.label}, {board.size}.",
    ]
    for division, standings in board.standings.items():
        lines += ["", f"## {division.value.capitalize()}", ""]
        lines.append(f"| {' | '.join(column.label for column in columns)} |")
        lines.append(f"|{'|'.join('---' if column.text else '---:' for column in columns)}|")
        lines += [f"| {' | '.join(column.value(one).text for column in columns)} |" for one in standings]
    return "\n".join([*lines, ""]).encode()


def markdown(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    flat = re.sub(r"\s+", " ", text)
    return re.sub(r"([\\`*_{}\[\]()<>#+!|&~-])", r"\\\1", flat).replace(r"\-", "-")
