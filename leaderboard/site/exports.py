"""Boards for programs and papers: JSON (everything), CSV (a row an entry and arm), Markdown and LaTeX (the table)."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ...benchmark.python.markup import said, table_markup
from ...benchmark.report.latex import latex_escaped
from ...benchmark.report.words import PHANTOM, probability
from ...benchmark.results.rows import CostRow
from ...benchmark.significance.worth import Worth
from ..arms import REAL, SYNTHETIC, placebo_of
from ..attempts import Attempt
from ..fidelity import NUMBERS, Found, Number
from ..gains import Gain
from ..reached import Arm
from ..standings import Board, Rank, Standing
from .columns import Cell, Column, arm_of, copies_of, gain_of, real_of, seeds, verdict, worth_at
from .words import points, rank, rank_range, slug

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings that spreadsheets take for a formula."""


def board_json(board: Board) -> bytes:
    """Everything of a board, an entry a line; numbers in the task's units."""
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
        "ranked_by": ranked_by(board),
        "curve": None if board.curve is None else board.curve.model_dump(mode="json", by_alias=True),
    }
    head = json.dumps(content, ensure_ascii=True, allow_nan=False, indent=1).removesuffix("\n}")
    entries = ",\n".join(json.dumps(_standing(board, one), ensure_ascii=True, allow_nan=False) for one in board.all)
    return f'{head},\n "entries": [\n{entries}\n]\n}}'.encode()


def ranked_by(board: Board) -> dict[str, str] | None:
    """What ranks; None where nothing does."""
    if not board.with_placebos:
        return None
    return {"size": board.size, "arm": board.arm, "minus": placebo_of(board.arm)}


def _standing(board: Board, one: Standing) -> dict[str, Any]:
    attempt = one.attempt
    return {
        "entry": attempt.entrant.name,
        "page": f"../providers/{slug(attempt.entrant.name)}.html",
        "system": attempt.title,
        "version": attempt.entrant.version,
        "division": attempt.entrant.division.value,
        "control": one.control,
        "label_by": attempt.label_by,
        "created": attempt.created,
        "rank": one.rank and one.rank.first,
        "rank_last": one.rank and one.rank.last,
        "p_holm": one.rank and one.rank.p_holm,
        "verdict": one.verdict,
        "arms": [_arm(arm) for arm in one.arms.values()],
        "structures": {name: structure_gain(board, attempt, name) for name in board.structures},
        "cost": [row.model_dump() for row in attempt.costs],
        "fidelity": [row.model_dump(by_alias=True) for row in attempt.fidelity],
        "copies": {size: {"copies": one.copies, "films": one.films} for size, one in attempt.copied.items()},
    }


def _arm(arm: Arm) -> dict[str, Any]:
    numbers = {"size": arm.size, "arm": arm.arm, "seeds": arm.seeds, "mean": arm.mean, "sd": arm.sd}
    if arm.arm == REAL:
        return numbers
    found = arm.difference
    real = {"difference": found.value, "low": found.low, "high": found.high, "p": found.p}
    return numbers | {
        "gain": _gain(arm.gain),
        "worth": None if arm.worth is None else _worth(arm.worth),
        "minus_real": real,
    }


def _gain(gain: Gain) -> dict[str, Any] | None:
    if not gain.by_seed:
        return None
    return {
        "by_seed": {str(seed): value for seed, value in gain.by_seed.items()},
        "placebo": gain.placebo,
        "value": gain.value,
        "low": gain.low,
        "high": gain.high,
        "p": gain.p,
        "median": gain.median,
        "failed_seeds": list(gain.failed),
        "failed_placebo_seeds": list(gain.failed_placebo),
    }


def _worth(worth: Worth) -> dict[str, Any]:
    names = ("films", "low_films", "high_films", "doublings", "low_doublings", "high_doublings")
    return {name: getattr(worth, name) for name in names} | {
        "identified": worth.identified,
        "censored": worth.censored,
        "low_censored": worth.low_censored,
        "high_censored": worth.high_censored,
        "note": worth.note,
    }


def structure_gain(board: Board, attempt: Attempt, structure: str) -> float | None:
    """The arm that ranks minus its placebo (before placebos: REAL) for one organ or finding: the mean over shared seeds."""
    metric = board.protocol.primary.name
    other = placebo_of(board.arm) if board.with_placebos else REAL
    ours, theirs = (attempt.values.get((board.size, arm, metric, structure), {}) for arm in (board.arm, other))
    shared = ours.keys() & theirs.keys()
    return sum(ours[seed] - theirs[seed] for seed in sorted(shared)) / len(shared) if shared else None


class _Line(NamedTuple):
    """A row of the CSV: an entry with one size and arm. `cost` is that of the size; `ranks`: whether this arm ranks;
    `films`: numbers of the films of the size by name, none of REAL."""

    board: Board
    one: Standing
    arm: Arm
    cost: CostRow | None
    ranks: bool
    films: Mapping[str, Found | None]


def _of_rank(show: Callable[[Rank], float | None]) -> Callable[[_Line], object]:
    return lambda line: show(line.one.rank) if line.one.rank and line.ranks else None


def _of_cost(show: Callable[[CostRow], object]) -> Callable[[_Line], object]:
    return lambda line: show(line.cost) if line.cost else None


def _of_worth(show: Callable[[Worth], object]) -> Callable[[_Line], object]:
    return lambda line: show(line.arm.worth) if line.arm.worth else None


def _of_films(number: Number, show: Callable[[Found], object]) -> Callable[[_Line], object]:
    """A number of the films of a line's size; REAL has no films."""

    def value(line: _Line) -> object:
        found = line.films.get(number.name)
        return show(found) if found else None

    return value


def _film_columns() -> dict[str, Callable[[_Line], object]]:
    """Each number of the films: its value, its interval, and how many films it is of."""
    found = {}
    for number in NUMBERS:
        name = number.name.replace(":", "_").replace(" ", "_")
        found[name] = _of_films(number, lambda one: one.value)
        if not number.counted:
            found[f"{name}_low"] = _of_films(number, lambda one: one.low)
            found[f"{name}_high"] = _of_films(number, lambda one: one.high)
        if not number.share:  # those of a space are of as many films as its distance
            found[f"{name}_films"] = _of_films(number, lambda one: one.films)
    return found


CSV: dict[str, Callable[[_Line], object]] = {
    "division": lambda line: line.one.attempt.entrant.division.value,
    "rank": _of_rank(lambda rank: rank.first),
    "rank_last": _of_rank(lambda rank: rank.last),
    "entry": lambda line: _plain(line.one.attempt.entrant.name),
    "system": lambda line: _plain(line.one.attempt.title),
    "version": lambda line: _plain(line.one.attempt.entrant.version),
    "control": lambda line: int(line.one.control),
    "label_by": lambda line: line.one.attempt.label_by,
    "size": lambda line: _plain(line.arm.size),
    "arm": lambda line: line.arm.arm,
    "metric": lambda line: line.board.protocol.primary.name,
    "seeds": lambda line: line.arm.seeds,
    "mean": lambda line: line.arm.mean,
    "sd": lambda line: line.arm.sd,
    "placebo": lambda line: line.arm.gain.placebo,
    "gain": lambda line: line.arm.gain.value,
    "gain_low": lambda line: line.arm.gain.low,
    "gain_high": lambda line: line.arm.gain.high,
    "gain_p": lambda line: line.arm.gain.p,
    "p_holm": _of_rank(lambda rank: rank.p_holm),
    "verdict": lambda line: _plain(line.one.verdict) if line.ranks else None,
    "gain_median": lambda line: line.arm.gain.median,
    "failed_seeds": lambda line: " ".join(map(str, line.arm.gain.failed)),
    "failed_placebo_seeds": lambda line: " ".join(map(str, line.arm.gain.failed_placebo)),
    "worth_films": _of_worth(lambda worth: worth.films),
    "worth_low": _of_worth(lambda worth: worth.low_films),
    "worth_high": _of_worth(lambda worth: worth.high_films),
    "worth_doublings": _of_worth(lambda worth: worth.doublings),
    "worth_identified": _of_worth(lambda worth: int(worth.identified)),
    "worth_censored": _of_worth(lambda worth: worth.censored),
    "minus_real": lambda line: line.arm.difference.value,
    "minus_real_low": lambda line: line.arm.difference.low,
    "minus_real_high": lambda line: line.arm.difference.high,
    "minus_real_p": lambda line: line.arm.difference.p,
    "parameters": _of_cost(lambda cost: cost.parameters),
    "fit_seconds": _of_cost(lambda cost: cost.fit_seconds),
    "samples_per_second": _of_cost(lambda cost: cost.sample_images_per_second),
    "peak_memory_bytes": _of_cost(lambda cost: cost.peak_memory_bytes),
    "device": _of_cost(lambda cost: _plain(cost.device)),
    "created": lambda line: line.one.attempt.created,
    **_film_columns(),
}
"""The columns of the CSV by their headings; None is an empty cell."""


def board_csv(board: Board) -> bytes:
    """A row for each entry, size and arm."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(CSV)
    for one in board.all:
        sizes = {arm.size for arm in one.arms.values()}
        films = {size: {number.name: number.value(one.attempt, size) for number in NUMBERS} for size in sizes}
        for arm in one.arms.values():
            cost = next((row for row in one.attempt.costs if row.size == arm.size), None)
            ranks, of_films = (arm.size, arm.arm) == (board.size, board.arm), {} if arm.arm == REAL else films[arm.size]
            line = _Line(board, one, arm, cost, ranks, of_films)
            rows.writerow(["" if (cell := value(line)) is None else cell for value in CSV.values()])
    return text.getvalue().encode()


def _plain(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _table_columns(board: Board) -> list[Column[Standing]]:
    """The columns of Markdown and LaTeX."""
    gain, worth, alone = gain_of(board), worth_at(board.size, board.arm), worth_at(board.size, SYNTHETIC)
    columns = [
        Column("rank", "rank", lambda one: Cell(rank(one))),
        Column("range", "range", lambda one: Cell(rank_range(one))),
        Column("system", "system", lambda one: Cell(_named(one)), text=True),
        Column("gain", "gain", gain),
        Column("interval", "95 % interval", lambda one: Cell(gain(one).small)),
        Column("p", "p (Holm)", lambda one: Cell(probability(one.rank.p_holm if one.rank else None))),
        Column("verdict", "verdict", lambda one: Cell(verdict(one).text), text=True),
        Column("worth", "worth (real films)", lambda one: _with_interval(worth(one))),
        Column("arm", board.arm.upper(), arm_of(board)),
        Column("copies", "copies", copies_of(board)),
        Column("real", "REAL", real_of(board)),
        Column("seeds", "seeds", seeds),
    ]
    if board.arm != SYNTHETIC and (board.size, SYNTHETIC) in board.places:
        columns.insert(8, Column("alone", "worth alone", lambda one: _with_interval(alone(one))))
    return columns


def _named(one: Standing) -> str:
    return f"{one.attempt.title}{' (control)' if one.control else ''}"


def _with_interval(cell: Cell) -> Cell:
    return Cell(f"{cell.text} ({cell.small})" if cell.small else cell.text)


def table_sentence(board: Board) -> str:
    """What the table shows."""
    said = (
        f"Gain of {board.arm.upper()} over copies of the real films at {board.size}, {points(board.protocol.primary)}"
    )
    if not board.with_placebos:
        said = f"{board.arm.upper()} and REAL at {board.size}, {board.protocol.primary.label}; no ranks: no placebos"
    return said + (f"; {PHANTOM}" if board.phantom else "")


def board_markdown(board: Board) -> bytes:
    """The table of a board, a section a division."""
    columns = _table_columns(board)
    lines = [f"# {markdown(board.title)}", "", f"{markdown(table_sentence(board))}."]
    for division, standings in board.standings.items():
        lines += ["", f"## {division.value.capitalize()}", ""]
        lines.append(f"| {' | '.join(column.label for column in columns)} |")
        lines.append(f"|{'|'.join('---' if column.text else '---:' for column in columns)}|")
        for one in standings:
            lines.append(f"| {' | '.join(markdown(column.value(one).text) for column in columns)} |")
    return "\n".join([*lines, ""]).encode()


def markdown(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    flat = re.sub(r"\s+", " ", text)
    return re.sub(r"([\\`*_{}\[\]()<>#+!|&~-])", r"\\\1", flat).replace(r"\-", "-")


def board_latex(board: Board) -> bytes:
    """The table of a board in LaTeX (package booktabs), a table a division."""
    columns = _table_columns(board)
    kinds = "".join("l" if column.text else "r" for column in columns)
    lines = ["% needs \\usepackage{booktabs}"]
    for division, standings in board.standings.items():
        caption = (
            f"{board.title}, {division.value}. {table_sentence(board)}. Worth: real films whose copies score as much"
        )
        lines += [
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{latex_escaped(caption)}.}}",
            f"\\begin{{tabular}}{{{kinds}}}",
            "\\toprule",
            " & ".join(latex_escaped(column.label) for column in columns) + r" \\",
            "\\midrule",
        ]
        for one in standings:
            lines.append(" & ".join(latex_escaped(column.value(one).text) for column in columns) + r" \\")
        lines += ["\\bottomrule", "\\end{tabular}", "\\end{table}", ""]
    return "\n".join(lines).encode()


def board_markup(board: Board) -> str:
    """The table of a board as a notebook shows it, a table a division."""
    columns = sorted(_table_columns(board), key=lambda column: not column.text)  # texts first: they are set to the left
    texts = sum(column.text for column in columns)
    parts = [said([board.title, f"{table_sentence(board)}."])]
    for division, standings in board.standings.items():
        rows = [[column.value(one).text for column in columns] for one in standings]
        parts += [said([division.value]), table_markup([column.label for column in columns], rows, texts=texts)]
    return "".join(parts)


def board_rows(board: Board) -> list[dict[str, str]]:
    """The table of a board as texts, a dictionary an entry."""
    columns = _table_columns(board)
    return [
        {"division": division.value} | {column.label: column.value(one).text for column in columns}
        for division, standings in board.standings.items()
        for one in standings
    ]
