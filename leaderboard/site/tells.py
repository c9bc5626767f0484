"""What the page "what this board can tell" is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...benchmark.report.words import probability, shown
from ...benchmark.significance.worth import in_films
from ..arms import SYNTHETIC
from ..curves import Step
from ..standings import Board
from ..telling import Told, telling
from .ladder import curve_drawing
from .sibling import Held, siblings
from .words import signed

LEVELS = {True: "rises", False: "flat within its noise", None: "too few seeds to tell"}


def tells_name(board: Board) -> str:
    """The page's file, without its ending."""
    return f"{board.key.slug}-tells"


def tells_page(board: Board, found: Sequence[Board] = (), held: Held | None = None) -> dict[str, Any]:
    """The context of the page; `found`: all boards, for those that this one may predict or be predicted by; `held`: pairs
    that were held together already, to which others are added."""
    metric, told = board.protocol.primary, telling(board)
    arms = [arm for arm in dict.fromkeys((board.arm, SYNTHETIC)) if board.ruler(arm) is not None]
    return {
        "board": board,
        "telling": told,
        "unit": "points" if metric.percent else metric.unit or metric.label,
        "spread": shown(told.spread, metric),
        "doubling": None if told.doubling is None else shown(abs(told.doubling), metric),
        "told": [_told(row, board) for row in told.told],
        "drawing": curve_drawing(board, arms),
        "curves": arms,
        "steps": [_step(step, board) for step in told.steps],
        "about": _about(board),
        "siblings": siblings(board, found, held),
    }


def _told(row: Told, board: Board) -> dict[str, str]:
    metric = board.protocol.primary
    doublings = "–"
    if row.alone_doublings is not None and row.board_doublings is not None:
        doublings = f"{row.alone_doublings:.2g}; {row.board_doublings:.2g}"
    return {
        "seeds": str(row.seeds),
        "alone": shown(row.alone, metric),
        "board": shown(row.board, metric),
        "doublings": doublings,
    }


def _step(step: Step, board: Board) -> dict[str, str]:
    return {
        "span": f"{in_films(step.low)} to {in_films(step.high)}",
        "rise": signed(step.rise, board.protocol.primary),
        "p": probability(step.p),
        "said": LEVELS[step.rises],
    }


def _about(board: Board) -> str:
    """What the curve was made with."""
    curve = board.curve
    if curve is None:
        return ""
    machines = ", ".join(dict.fromkeys(f"{one.device}, cxrbench {one.cxrbench}" for one in curve.environments))
    return (
        f"{len(curve.seeds)} seeds, made {curve.created[:10]} on {machines or curve.device}; the same for every entry."
    )
