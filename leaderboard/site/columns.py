"""Tables of the site: a column is one object that has its heading, its hint, and what it says of a row.

`board_columns` are those of a board's page; `throughput` has those of the cost board, `exports` those of Markdown and CSV.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ...benchmark.report.words import amount, duration, memory, probability, rate
from ...benchmark.results.rows import CostRow
from ...benchmark.significance.worth import in_films
from ..arms import REAL, SYNTHETIC
from ..fidelity import NUMBERS, SPACES, Number, why_none
from ..standings import Board, Place, Standing
from . import words

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
    folded: bool = False
    """Whether it is one of the films' own numbers, which a switch shows and hides."""
    glance: bool = False
    """Whether a telephone shows it at once; the others are behind a button of each row."""


Columns = list[Column[Standing]]


def board_columns(board: Board) -> Columns:
    """The columns of a board's table, after rank and system."""
    metric, where = board.protocol.primary, _where(board, board.size)
    about = f"{metric.label} of the arm that ranks, ± over seeds"
    scores: Columns = [
        Column("arm", f"{board.arm.upper()}{where}", arm_of(board), about, glance=board.ruler(board.arm) is None),
        Column("real", f"REAL{where}", real_of(board), f"{metric.label} of the model trained on real films alone"),
    ]
    return [
        *(_gain_columns(board) if board.with_placebos else _reason_column()),
        *scores,
        *(_other_gains(board) if board.with_placebos else []),
        *_difference_columns(board),
        Column("seeds", "Seeds", seeds),
        *_cost_columns(board),
        *fidelity_columns(board),
        Column(
            "date", "Date", lambda one: Cell(one.attempt.created[:10], one.attempt.created), "of the run", text=True
        ),
    ]


def _where(board: Board, size: str) -> str:
    """`, 31`: the size of a column, where a board has several."""
    return f", {size}" if len(board.sizes) > 1 else ""


def _reason_column() -> Columns:
    return [Column("verdict", "Not ranked", verdict, "why", text=True, glance=True)]


def _gain_columns(board: Board) -> Columns:
    metric, where = board.protocol.primary, _where(board, board.size)
    arm, alone = board.arm.upper(), (board.size, SYNTHETIC)
    ruler = board.ruler(board.arm)
    holm = "against copies of the real films, Holm over the board"
    found: Columns = [
        Column("gain", f"Gain{' (points)' if metric.percent else ''}", gain_of(board), gain_hint(board), glance=True),
        Column("verdict", "Verdict", verdict, holm, text=True, glance=True),
    ]
    if ruler is not None:
        hint = f"real films whose copies score as much as {arm}, with {in_films(ruler.films)} real films; 95 % interval"
        found.append(Column("worth", "Worth (real films)", worth_at(board.size, board.arm), hint, glance=True))
    hint = "of the gain over seeds: a failed training does not move it"
    found += [
        Column("median", "Median gain", median_of(board), hint),
        Column("copies", f"Copies{where}", copies_of(board), f"{metric.label} of the placebo: {arm} with copies"),
    ]
    if any(one.headline.gain.failed or one.headline.gain.failed_placebo for one in board.all):
        hint = "trainings that scored far below the others: kept in the mean, named here"
        found.append(Column("failed", "Failed", failed, hint, text=True))
    if board.arm != SYNTHETIC and alone in board.places:
        hint = f"gain of synthetic films alone over copies alone{_at(where)}: shown, not ranked"
        found.append(Column("alone", f"SYNTHETIC gain{where}", gain_at(board, *alone), hint))
        if board.ruler(SYNTHETIC) is not None:
            found.append(Column("alone-worth", "SYNTHETIC worth", worth_at(*alone), "alone, in real films"))
    return found


def _other_gains(board: Board) -> Columns:
    """Gains of other sizes and arms, those of the arm that ranks first."""
    shown: set[Place] = {(board.size, board.arm), (board.size, SYNTHETIC)}
    others = [place for place in board.places if place[1] != REAL and place not in shown]
    others.sort(key=lambda place: place[1] != board.arm)
    return [
        Column(
            f"gain-{size}-{arm}",
            f"{arm.upper()} gain{_where(board, size)}",
            gain_at(board, size, arm),
            f"gain of {board.protocol.primary.label} over copies: shown, not ranked",
        )
        for size, arm in others
    ]


def _difference_columns(board: Board) -> Columns:
    """Differences from REAL at the size that ranks (those at others are in the CSV and on the entries' pages); without
    placebos, at all sizes."""
    return [
        Column(
            f"{size}-{arm}",
            words.difference_label(arm, _where(board, size)),
            difference_at(board, size, arm),
            f"difference of {board.protocol.primary.label} from REAL: shown, not ranked",
        )
        for size, arm in board.places
        if arm != REAL and (size == board.size or not board.with_placebos)
    ]


def _cost_columns(board: Board) -> Columns:
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


def fidelity_columns(board: Board) -> Columns:
    """The films' own numbers at the size that ranks: distances in every space, shares in the first of these that an entry
    has, diversity, agreement, repeats, copies. A number that no entry has is no column."""
    there = {
        one.name: [found for other in board.all if (found := one.value(other.attempt, board.size))] for one in NUMBERS
    }
    spaces = [space for space in SPACES if there[f"fd_ratio:{space}"]]
    return [
        Column(
            f"films-{one.name.replace(':', '-').replace(' ', '-')}",
            one.label(found.films for found in there[one.name] if found.films and not one.counted),
            number_of(one, board.size),
            one.about,
            folded=True,
        )
        for one in NUMBERS
        if there[one.name] and (not one.share or one.space in spaces[:1])
    ]


# ----------------------------------------------------------------------------------------------- cells of a standing


def _at(where: str) -> str:
    """` at 31`, in a sentence."""
    return where.replace(", ", " at ")


def gain_hint(board: Board) -> str:
    """What the gain that ranks is, in a line."""
    metric, where = board.protocol.primary, _where(board, board.size)
    return f"{metric.label} of {board.arm.upper()} minus that of its copies{_at(where)}: paired by seed, 95 % interval"


def gain_of(board: Board) -> Callable[[Standing], Cell]:
    """The gain that ranks, with its interval."""
    return gain_at(board, board.size, board.arm)


def gain_at(board: Board, size: str, arm: str) -> Callable[[Standing], Cell]:
    """The gain of an arm at a size, with its interval."""
    metric = board.protocol.primary

    def value(one: Standing) -> Cell:
        if (size, arm) not in one.arms:
            return NONE
        found = one.arms[size, arm].gain
        return Cell(words.signed(found.value, metric), found.value, words.interval(found, metric))

    return value


def median_of(board: Board) -> Callable[[Standing], Cell]:
    """The median gain."""
    metric = board.protocol.primary
    return lambda one: Cell(words.signed(one.headline.gain.median, metric), one.headline.gain.median, kind="quiet")


def copies_of(board: Board) -> Callable[[Standing], Cell]:
    """The score of the placebo of the arm that ranks."""
    metric = board.protocol.primary
    return lambda one: Cell(words.score(one.headline.gain.placebo, metric), one.headline.gain.placebo, kind="quiet")


def worth_at(size: str, arm: str) -> Callable[[Standing], Cell]:
    """What an arm is worth, with its interval. Beyond the curve it is sorted beyond its end; not identified, last."""

    def value(one: Standing) -> Cell:
        found = one.arms[size, arm].worth if (size, arm) in one.arms else None
        if found is None:
            return NONE
        beyond = {"above": 2 * found.largest, "below": found.smallest / 2}.get(found.censored)
        sort = beyond if beyond is not None else found.films
        return Cell(words.worth_films(found), sort, words.worth_interval(found), "" if found.identified else "quiet")

    return value


def failed(one: Standing) -> Cell:
    """The seeds whose training scored far below the others."""
    text = words.failed_words(one.headline.gain)
    return Cell(text or "–", text, kind="worse" if text else "")


def difference_at(board: Board, size: str, arm: str) -> Callable[[Standing], Cell]:
    """An arm minus REAL at a size, with its interval."""
    metric = board.protocol.primary

    def value(one: Standing) -> Cell:
        if (size, arm) not in one.arms:
            return NONE
        found = one.arms[size, arm].difference
        return Cell(words.signed(found.value, metric), found.value, words.interval(found, metric))

    return value


def number_of(number: Number, size: str) -> Callable[[Standing], Cell]:
    """A number of the films of a size, with its interval; copies and repeats in per cent of films."""

    def value(one: Standing) -> Cell:
        found = number.value(one.attempt, size)
        if found is None:
            return Cell("–", None, why_none(number, one.attempt, size), "quiet")
        if number.counted:
            of = f"of {found.films:,}" if found.films else ""
            return Cell(f"{100 * found.value:.3g} %", found.value, of, "worse" if found.value > 0.02 else "")
        small = "" if found.low is None or found.high is None else f"{found.low:.3g} to {found.high:.3g}"
        return Cell(f"{found.value:.3g}", found.value, small)

    return value


def verdict(one: Standing) -> Cell:
    """What may be claimed against copying, and its p."""
    p_holm = one.rank.p_holm if one.rank else None
    small = f"p {probability(p_holm)}" if p_holm is not None else ""
    return Cell(one.verdict, one.verdict, small, words.kind(one))


def real_of(board: Board) -> Callable[[Standing], Cell]:
    """The primary metric of REAL at the size that ranks."""

    def value(one: Standing) -> Cell:
        real = one.arms.get((board.size, REAL))
        return Cell(words.mean(real, board.protocol.primary), real.mean, kind="quiet") if real else NONE

    return value


def arm_of(board: Board) -> Callable[[Standing], Cell]:
    """The primary metric of the arm that ranks."""
    return lambda one: Cell(words.mean(one.headline, board.protocol.primary), one.headline.mean)


def seeds(one: Standing) -> Cell:
    """The seeds of the arm that ranks, with its placebo where it has one."""
    count = len(one.headline.gain.by_seed) or one.headline.seeds
    return Cell(str(count), count)
