"""Boards for programs: JSON (everything), CSV (a row an entry and arm), Markdown (the table)."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

from ...benchmark.report.words import probability
from ..attempts import REAL, Attempt
from ..standings import Arm, Board, Standing
from .words import interval, mean, rank, rank_range, signed, slug

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings that spreadsheets take for a formula."""
COLUMNS = [
    "division",
    "rank",
    "rank_last",
    "entry",
    "system",
    "version",
    "label_by",
    "size",
    "arm",
    "metric",
    "seeds",
    "mean",
    "sd",
    "difference",
    "low",
    "high",
    "p",
    "p_holm",
    "verdict",
    "parameters",
    "fit_seconds",
    "samples_per_second",
    "peak_memory_bytes",
    "device",
    "created",
]


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


def board_csv(board: Board) -> bytes:
    """A row for each entry, size and arm."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for one in board.all:
        attempt = one.attempt
        for arm in one.arms.values():
            cost = next((row for row in attempt.costs if row.size == arm.size), None)
            ranks = (arm.size, arm.arm) == (board.size, board.arm)
            rows.writerow(
                [
                    attempt.entrant.division.value,
                    one.rank.first if one.rank and ranks else "",
                    one.rank.last if one.rank and ranks else "",
                    _plain(attempt.entrant.name),
                    _plain(attempt.title),
                    _plain(attempt.entrant.version),
                    attempt.label_by,
                    _plain(arm.size),
                    arm.arm,
                    board.protocol.primary.name,
                    arm.seeds,
                    *(_cell(v) for v in (arm.mean, arm.sd, arm.difference.value, arm.difference.low)),
                    *(_cell(v) for v in (arm.difference.high, arm.difference.p)),
                    _cell(one.rank.p_holm) if one.rank and ranks else "",
                    _plain(one.verdict) if ranks else "",
                    *((cost.parameters, cost.fit_seconds, cost.sample_images_per_second) if cost else ("", "", "")),
                    *((cost.peak_memory_bytes, _plain(cost.device)) if cost else ("", "")),
                    attempt.created,
                ]
            )
    return text.getvalue().encode()


def _cell(value: float | None) -> float | str:
    return "" if value is None else value


def _plain(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def board_markdown(board: Board) -> bytes:
    """The table of a board, a section a division."""
    metric = board.protocol.primary
    lines = [f"# {markdown(board.title)}", "", f"{board.arm.upper()} − REAL, {metric.label}, {board.size}.", ""]
    for division, standings in board.standings.items():
        lines += [f"## {division.value.capitalize()}", ""]
        lines += ["| rank | range | system | utility | 95 % interval | p (Holm) | verdict | REAL | arm | seeds |"]
        lines += ["|---:|---:|---|---:|---:|---:|---|---:|---:|---:|"]
        for one in standings:
            real = one.arms.get((board.size, REAL))
            cells = [
                rank(one),
                rank_range(one),
                markdown(one.attempt.title),
                signed(one.headline.difference.value, metric),
                interval(one.headline.difference, metric),
                probability(one.rank.p_holm if one.rank else None),
                markdown(one.verdict),
                mean(real, metric) if real else "–",
                mean(one.headline, metric),
                str(one.headline.seeds),
            ]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines).encode()


def markdown(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    flat = re.sub(r"\s+", " ", text)
    return re.sub(r"([\\`*_{}\[\]()<>#+!|&~-])", r"\\\1", flat).replace(r"\-", "-")
