"""The table of a run for people and programs: terminal, CSV, JSON, Markdown and LaTeX, all from `Results` alone.

CSV and JSON are long and exact (a row a number, fractions as they are); the others are laid out as `layout` says.
Missing cells say so in their place.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from ..console_tables import as_text, cell, clean, side_by_side, table, terminal_width, width_of, wrapped
from ..metrics.scores import AVERAGE
from ..results.rows import FoldRow, PairedRow, Results
from .elsewhere_words import besides, besides_notes
from .gain_words import (
    HEADINGS,
    RATIO_HEADINGS,
    GainLine,
    gain_lines,
    headline_sentences,
    placebo_notes,
    ratio_lines,
)
from .latex import as_latex
from .precision_words import precision_line, precision_notes, precision_tables
from .table_shapes import REAL_FILMS, SYNTHETIC_FILMS, ArmTable, Entry, Line, arm_tables, headline_metrics, wide
from .words import absence, absent, check_notes, cost_sentence, header_sentence, legend, metric_title, size_title

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


SCORES = ("score", "copies")
"""Columns of gains that are left out where the room does not hold all: the first is the average of the table above, the
other is that without the gain."""
FD_OF = re.compile(r"FD \((.+), ([\d,]+ films)\)")

# ------------------------------------------------------------------------------------------------------- terminal


def terminal(results: Results, width: int = 100) -> Text:
    """The table, its legend, cost, checks and missing cells as styled text; `.plain` is what a file or pipe gets.

    Sizes stand side by side as far as `width` columns allow, else below each other.
    """
    text = _scores(results, width)
    text.append_text(_gain_block(results, width))
    for headings, lines in besides(results):
        text.append_text(_lines(headings, [GainLine(line, headline=False) for line in lines], width))
        text.append("\n")
    text.append_text(_headline(results, width))
    for sentence in [*placebo_notes(results), *besides_notes(results), *precision_line(results), *legend(results)]:
        text.append(wrapped(clean(sentence), width) + "\n", style="dim")
    notes = [("cost", f"{results.provider.title} {row.size}", cost_sentence(row), "") for row in results.cost]
    notes += [
        ("check", place, sentence, "bold red" if alarm else "") for place, sentence, alarm in check_notes(results)
    ]
    notes += [(str(cell.status), "", absence(cell), "red") for cell in absent(results)]
    if notes:
        text.append("\n")
    for word, subject, sentence, style in notes:
        separator = "   " if word == "cost" else ": "
        said = wrapped(clean(f"{word:<7}{subject}{separator if subject else ''}{sentence}"), width, below=7)
        text.append(said[:7], style="bold")
        text.append(said[7:] + "\n", style=style)
    return text


def shortly(results: Results, width: int = 100) -> Text:
    """The scores, the gain over copies and the sentences of the headline alone, as `terminal` has them."""
    text = _scores(results, width)
    text.append_text(_gain_block(results, width))
    text.append_text(_headline(results, width))
    return text


def print_table(results: Results, console: Console, shape: Callable[[Results, int], Text] = terminal) -> None:
    """Print `terminal`, or another `shape`, on a rich console: colours on a terminal, plain lines elsewhere."""
    width = terminal_width(console.file) or (console.width if console.is_terminal else 120)
    console.print(shape(results, width), soft_wrap=True, highlight=False)


def _scores(results: Results, width: int) -> Text:
    """The tables of scores, each with an empty line behind it."""
    from rich.text import Text

    text, tables = Text(), arm_tables(results)
    for block in (_arm_block(one, width) for one in tables) if tables else _blocks(results, width):
        text.append_text(block)
        text.append("\n")
    return text


def _headline(results: Results, width: int) -> Text:
    """What may be said of the headline arm, a line or more each."""
    from rich.text import Text

    text = Text()
    for sentence in headline_sentences(results):
        text.append(wrapped("\n".join(map(clean, sentence.split("\n"))), width) + "\n", style="bold")
    return text


def _arm_block(shown: ArmTable, width: int) -> Text:
    """The table of one size with a row an arm, each number followed by its marks."""
    headings = [text for heading in shown.headings for text in (heading, "")]
    made = table(["", REAL_FILMS, SYNTHETIC_FILMS, *headings], title=shown.title)
    made.title_justify = "left"
    for row in shown.rows:
        films = [str(row.real), "–" if row.synthetic is None else str(row.synthetic)]
        entries = [one for entry in row.entries for one in _entry(entry)]
        made.add_row(cell(row.arm.upper(), "bold"), *map(cell, films), *entries)
    return as_text(made, width)


def _gain_block(results: Results, width: int) -> Text:
    """The table of gains over copies; nothing where no arm has its placebo."""
    from rich.text import Text

    text = Text()
    for headings, lines in ((HEADINGS, gain_lines(results)), (RATIO_HEADINGS, ratio_lines(results))):
        if lines:
            text.append_text(_lines(headings, lines, width))
            text.append("\n")
    return text


def _lines(headings: Sequence[str], lines: Sequence[GainLine], width: int) -> Text:
    """A table of which the headline's line is bold; where it is wider than the terminal its cells take several lines."""
    made = _table_of(headings, lines)
    if width_of(made) > width:
        made = _table_of(*_shortened(headings, lines))
    return as_text(made, width)


def _table_of(headings: Sequence[str], lines: Sequence[GainLine]) -> Table:
    made = table(headings, left=2)
    for line in lines:
        made.add_row(*(cell(text, "bold" if line.headline else "") for text in line.cells))
    return made


def _shortened(headings: Sequence[str], lines: Sequence[GainLine]) -> tuple[Sequence[str], Sequence[GainLine]]:
    """A table for little room: without scores, and with the number of films that all rows have said once."""
    order = [place for place, heading in enumerate(headings) if heading not in SCORES]
    rows = [(tuple(line.cells[place] for place in order), line.headline) for line in lines]
    names = [FD_OF.fullmatch(cells[0]) for cells, _ in rows]
    found = [name for name in names if name is not None]
    heading = [headings[place] for place in order]
    if len(found) == len(rows) and len({name[2] for name in found}) == 1:
        heading[0] = f"FD ({found[0][2]})"
        rows = [((name[1], *cells[1:]), bold) for name, (cells, bold) in zip(found, rows, strict=True)]
    return heading, [GainLine(cells, bold) for cells, bold in rows]


def _blocks(results: Results, width: int) -> Iterable[Text]:
    """Metrics and structures, and beside them as many sizes as fit; the others below, with metrics and structures again."""
    lines = wide(results, headline_metrics(results))
    yield from side_by_side(_labels(lines), [_numbers(results, lines, info.size) for info in results.sizes], width)


def _labels(lines: Sequence[Line]) -> Table:
    made = table(["", ""], left=2, title=" ")
    for line in lines:
        metric = metric_title(line.metric) if line.first else ""
        made.add_row(cell(metric, "bold"), cell(line.label, _weight(line)))
    return made


def _numbers(results: Results, lines: Sequence[Line], size: str) -> Table:
    """The numbers of a size, a column an arm, each followed by its marks."""
    made = table(
        [text for arm in results.arms_of(size) for text in (arm.upper(), "")], left=0, title=size_title(results, size)
    )
    for line in lines:
        made.add_row(*(one for arm in results.arms_of(size) for one in _entry(line.entries[size][arm], _weight(line))))
    return made


def _weight(line: Line) -> str:
    return "bold" if line.structure == AVERAGE else ""


def _entry(entry: Entry, style: str = "") -> tuple[Text, Text]:
    """A number and its marks, which stand in a column of their own."""
    return cell(entry.text, style if entry.present else "red"), cell(entry.mark, "bold yellow")


# ------------------------------------------------------------------------------------------------------- files


def long_rows(results: Results) -> list[dict[str, object]]:
    """The table in long form, exact: a row a number."""
    return [row.model_dump(mode="json") for row in results.table]


def as_json(results: Results) -> str:
    """The table in long form as JSON."""
    return json.dumps(long_rows(results), indent=1, allow_nan=False) + "\n"


def as_csv(results: Results) -> str:
    """The table in long form as CSV, with what it is a table of in every row."""
    constant = {
        "provider": results.provider.name,
        "label_by": results.provider.label_by,
        "task": results.task.name,
        "version": results.task.version,
        "preset": results.preset,
        "data": results.data.name,
    }
    return csv_of([constant | row for row in long_rows(results)])


def tests_csv(results: Results) -> str:
    """The tests against REAL as CSV, exact: paired over the cases and, in columns `folds_...`, over folds and seeds."""
    rows = [row.model_dump(mode="json") for row in results.paired]
    if results.fold_tests:
        over_folds = {_place(row): _fold_columns(row) for row in results.fold_tests}
        empty = dict.fromkeys(_fold_columns(results.fold_tests[0]))
        rows = [row | over_folds.get(_place(test), empty) for row, test in zip(rows, results.paired, strict=True)]
    return csv_of(rows)


def _place(row: PairedRow | FoldRow) -> tuple[str, str, str, str]:
    return row.size, row.arm, row.metric, row.structure


def _fold_columns(row: FoldRow) -> dict[str, object]:
    values = row.model_dump(mode="json", exclude={"size", "arm", "metric", "structure"})
    return {f"folds_{name}": value for name, value in values.items()}


def models_csv(rows: Sequence[BaseModel]) -> str:
    """Models of one kind as CSV."""
    return csv_of([row.model_dump(mode="json") for row in rows])


def csv_of(rows: Sequence[dict[str, object]]) -> str:
    """Rows with the same keys as CSV; None is an empty field, floats keep every digit."""
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_markdown(results: Results) -> str:
    """The table in Markdown, with its legend."""
    said = [*headline_sentences(results), *placebo_notes(results), *besides_notes(results)]
    said += [*precision_notes(results), *legend(results)]
    notes = [header_sentence(results), *said, *(absence(cell) for cell in absent(results))]
    listed = [f"- {markdown_said(note)}" for note in notes]
    if results.task.layout is not None:
        blocks = [line for table in arm_tables(results) for line in [*_markdown_arms(table), ""]]
        return "\n".join([*blocks, *_markdown_gains(results), *listed]) + "\n"
    head = ["metric", "structure"]
    head += [
        f"{size_title(results, info.size)} {arm.upper()}"
        for info in results.sizes
        for arm in results.arms_of(info.size)
    ]
    lines = [_markdown_row(map(markdown_escaped, head)), _markdown_row(["---"] * 2 + ["---:"] * (len(head) - 2))]
    for line in wide(results):
        cells = [markdown_escaped(metric_title(line.metric)), markdown_escaped(line.label)]
        for info in results.sizes:
            for arm in results.arms_of(info.size):
                entry = line.entries[info.size][arm]
                cells.append(markdown_escaped(f"{entry.text} {entry.mark}".rstrip()))
        lines.append(_markdown_row(cells))
    return "\n".join([*lines, "", *_markdown_gains(results), *listed]) + "\n"


def _markdown_gains(results: Results) -> list[str]:
    """The table of gains and those of further sets and groups, with a blank line after each; nothing without."""
    gains = [line.cells for line in gain_lines(results)]
    found: list[str] = []
    for headings, lines in [*([(HEADINGS, gains)] if gains else []), *besides(results), *precision_tables(results)]:
        rule = _markdown_row(["---"] * 2 + ["---:"] * (len(headings) - 2))
        head = _markdown_row(map(markdown_escaped, headings))
        found += [head, rule, *(_markdown_row(map(markdown_escaped, line)) for line in lines), ""]
    return found


def _markdown_arms(table: ArmTable) -> list[str]:
    """The table of one size, its title above it."""
    head = ["arm", REAL_FILMS, SYNTHETIC_FILMS, *table.headings]
    lines = [f"**{markdown_escaped(table.title)}**", "", _markdown_row(map(markdown_escaped, head))]
    lines.append(_markdown_row(["---"] + ["---:"] * (len(head) - 1)))
    for row in table.rows:
        cells = [row.arm.upper(), str(row.real), "–" if row.synthetic is None else str(row.synthetic)]
        cells += [f"{one.text} {one.mark}".rstrip() for one in row.entries]
        lines.append(_markdown_row(map(markdown_escaped, cells)))
    return lines


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def markdown_escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", clean(text)).replace(r"\<", "&lt;").replace(r"\>", "&gt;")


def markdown_said(sentence: str) -> str:
    """A sentence in Markdown, and as code the command on its second line."""
    said, _, command = sentence.partition("\n")
    return f"{markdown_escaped(said)} `{clean(command)}`" if command else markdown_escaped(said)


FORMATS: dict[str, Callable[[Results], str]] = {
    "csv": as_csv,
    "json": as_json,
    "md": as_markdown,
    "tex": as_latex,
}
"""Table file formats by the name of their ending."""
