"""What a board can tell: the gains that some seeds find there, its curve, and what it says nothing about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..benchmark.report.words import shown
from ..benchmark.significance.paired_tests import MIN_SEEDS
from ..benchmark.significance.power import LEVEL, least_gain, typical_spread
from ..benchmark.significance.worth import in_films
from .arms import SYNTHETIC
from .curves import Ruler, Step, steps
from .standings import Board

SEEDS = (5, 8, 12)


@dataclass(frozen=True)
class Told:
    """The least true gains over copying that some seeds find in four of five boards, in units of the score: one comparison
    alone, and as the first of all comparisons of the board (Holm). In doublings of the real films: by the curve, None
    without one that rises."""

    seeds: int
    alone: float
    board: float
    alone_doublings: float | None = None
    board_doublings: float | None = None


@dataclass(frozen=True)
class Telling:
    """`spread`: the deviation over seeds that a gain of this board typically has, of `entries` entries; None without any.
    `comparisons`: of the largest division."""

    spread: float | None
    entries: int
    comparisons: int
    told: tuple[Told, ...]
    doubling: float | None
    """What twice the real films add to the score at the size that ranks."""
    steps: tuple[Step, ...]
    ruler: Ruler | None
    cannot: tuple[str, ...]


def telling(board: Board) -> Telling:
    """What a board with gains can tell."""
    gains = [list(one.headline.gain.by_seed.values()) for one in board.all]
    there = [row for row in gains if len(row) >= MIN_SEEDS] or [row for row in gains if len(row) > 1]
    spread = typical_spread(there)
    ranked = max((sum(one.rank is not None for one in found) for found in board.standings.values()), default=0)
    family = max(1, ranked * (ranked + 1) // 2)
    ruler = board.ruler(board.arm)
    doubling = None if ruler is None else ruler.doubling()
    told = tuple(_told(seeds, spread, family, doubling) for seeds in SEEDS) if spread else ()
    found = tuple(steps(ruler)) if ruler is not None else ()
    cannot = tuple(_cannot(board, told, ruler, found, doubling))
    return Telling(spread, len(there), family, told, doubling, found, ruler, cannot)


def _told(seeds: int, spread: float, family: int, doubling: float | None) -> Told:
    alone, board = (least_gain(spread, seeds, level=LEVEL / count) for count in (1, family))
    if doubling is None:
        return Told(seeds, alone, board)
    return Told(seeds, alone, board, alone / abs(doubling), board / abs(doubling))


def _cannot(
    board: Board, told: tuple[Told, ...], ruler: Ruler | None, found: tuple[Step, ...], doubling: float | None
) -> Iterator[str]:
    metric = board.protocol.primary
    unit = "points" if metric.percent else metric.unit or metric.label
    if board.phantom:
        yield "Anything about real films. Its films are drawn: the numbers compare generators, not with published numbers."
    if told:
        least = told[0]
        yield (
            f"Gains below {shown(least.alone, metric)} {unit} with {least.seeds} seeds: they are missed more often than one "
            "time in five. “Not told from copying” is no proof that films add nothing."
        )
        if ruler is not None and abs(doubling or 0.0) < told[-1].alone:
            yield (
                f"Whether films are worth twice the real ones: that would add {shown(abs(doubling or 0.0), metric)} {unit}, "
                f"less than {told[-1].seeds} seeds tell."
            )
    else:
        yield f"Any gain yet: no entry has two seeds with their placebo at {board.size}."
    yield from _of_curve(board, ruler, found)
    yield (
        f"The order for another downstream model, preset or size: it is that of {board.key.preset}, with "
        f"{board.arm.upper()} at {board.size}. Other sizes and arms stand beside it."
    )
    yield "Whether films look real or give a patient away: what they teach is ranked. Each entry's checks look for copies."


def _of_curve(board: Board, ruler: Ruler | None, found: tuple[Step, ...]) -> Iterator[str]:
    if ruler is None:
        yield "What films are worth in real ones: the task ships no curve for these films (cxrbench curve makes one)."
        return
    sizes = sorted(ruler.points)
    yield (
        f"Worths beyond the curve: below {in_films(sizes[0])} and above {in_films(sizes[-1])} real films they are told as "
        "less or more than that."
    )
    if level := [step for step in found if step.rises is False]:
        spans = ", ".join(f"{in_films(step.low)} to {in_films(step.high)}" for step in level)
        yield f"Worths from {spans} real films: there the curve does not rise by more than its noise."
    if board.arm != SYNTHETIC and board.ruler(SYNTHETIC) is None:
        yield "What synthetic films are worth alone: the curve that the task ships is without that arm."
