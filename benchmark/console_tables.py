"""Tables and sentences of the terminal, laid out by rich as styled text, so that a file or pipe gets the same lines without
colours.

Nothing is wider than the terminal, and no word is broken: cells of many words take several lines, then the columns of a
table fold into blocks below each other (its first columns begin each of them), and at last every row becomes a list. A word
that is longer than a line, such as a path, stands whole, so that it can be copied. A pipe has no width: lines are as long
as they are, unless the environment sets COLUMNS.
"""

from __future__ import annotations

import io
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

ENDLESS = 10_000
"""Columns of a pipe."""
NARROWEST = 20
"""Columns of the narrowest terminal that is laid out for."""
SHORT = 24
"""Characters of a cell that is kept on one line; longer ones take several where the table would be too wide."""
GAP = 2


def terminal_width(file: IO[str] | None = None) -> int | None:
    """Columns of what `file` (standard output) is shown on: COLUMNS, else those of the terminal; None for a pipe or file."""
    said = os.environ.get("COLUMNS", "")
    if said.isascii() and said.isdigit() and int(said):
        return max(int(said), NARROWEST)
    try:
        return max(os.get_terminal_size((file or sys.stdout).fileno()).columns, NARROWEST)
    except (OSError, ValueError, AttributeError):
        return None


def clean(text: str) -> str:
    """Text without control characters, so that a name cannot steer the terminal."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text)


# ------------------------------------------------------------------------------------------------------- sentences


def wrapped(text: str, width: int | None = None, *, below: int | None = None) -> str:
    """Text of one or several lines, each broken between words where it is wider than `width` (default: the terminal's).

    What goes on begins in column `below`; default: below the text behind a label and two blanks (`plan   9 cells`), else
    two columns further than the line itself. A command goes on behind a backslash, so that it can be copied.
    """
    width = terminal_width() if width is None else width
    if width is None:
        return text
    lines = []
    for line in text.split("\n"):
        start = _start(line, width) if below is None else below
        lines += [line] if len(line) <= width else _broken(line, width, " " * start)
    return "\n".join(lines)


LABEL = re.compile(r"\s*\S[^.,;]{0,30}? {2,}(?=\S)")
COMMAND = re.compile(r"\s*(\w+  +)?cxrbench [a-z]")
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def _start(line: str, width: int) -> int:
    label = LABEL.match(line)
    return len(label[0]) if label is not None and len(label[0]) <= width // 3 else len(line) - len(line.lstrip()) + 2


def _broken(line: str, width: int, below: str) -> list[str]:
    """A line as several; blanks inside of it stay as they are, and a command is not broken within quotes."""
    end = " \\" if COMMAND.match(line) else ""
    rest, found, start = line, [], len(line) - len(line.lstrip())
    while len(rest) > width:
        shown = QUOTED.sub(lambda quoted: "x" * len(quoted[0]), rest) if end else rest
        cut = shown.rfind(" ", start + 1, width + 1 - len(end))
        cut = cut if cut > start else shown.find(" ", width)  # one word is wider: it stands whole
        if cut < 0:
            break
        found.append(rest[:cut].rstrip() + end)
        rest, start = below + rest[cut:].lstrip(), len(below)
    return [*found, rest] if rest.strip() else found


def tell(text: str = "", file: IO[str] | None = None, *, below: int | None = None) -> None:
    """Print sentences for a person: no line is wider than the terminal. `below`: as `wrapped` has it."""
    file = file or sys.stdout
    width = terminal_width(file)
    print(text if width is None else wrapped(text, width, below=below), file=file, flush=file is sys.stderr)


# ------------------------------------------------------------------------------------------------------- tables


def table(headings: Sequence[str], *, left: int = 1, title: str | None = None) -> Table:
    """A table without lines: the first `left` columns begin below each other, the others end so. A column without a heading
    goes with the one before it."""
    from rich.table import Table
    from rich.text import Text

    name = None if title is None else Text(clean(title), style="bold")
    made = Table(title=name, box=None, pad_edge=False, header_style="bold")
    made.min_width = 0 if name is None else name.cell_len
    for number, heading in enumerate(headings):
        made.add_column(Text(clean(heading)), justify="left" if number < left else "right", no_wrap=True)
    return made


def beside(tables: Iterable[Table]) -> Table:
    """Tables side by side."""
    from rich.table import Table

    tables = list(tables)
    made = Table.grid(padding=(0, 3))
    for _ in tables:
        made.add_column(no_wrap=True)
    made.add_row(*tables)
    return made


def side_by_side(labels: Table, others: Sequence[Table], width: int | None = None) -> list[Text]:
    """`others` to the right of `labels`, as many as `width` (default: the terminal's) allows; the rest below, with the
    labels again. Rows stand for the same in all of them."""
    width = width or terminal_width() or ENDLESS
    blocks: list[list[Table]] = []
    for one in others:
        if blocks and width_of(beside([labels, *blocks[-1], one])) <= width:
            blocks[-1].append(one)
        else:
            blocks.append([one])
    return [
        as_text(beside([labels, *block]) if len(block) > 1 else _joined(labels, block[0], width), width)
        for block in blocks
    ]


def _joined(labels: Table, other: Table, width: int) -> Table:
    """Two tables side by side or, where that is too wide, the columns of both as one table."""
    from rich.table import Table

    if width_of(made := beside([labels, other])) <= width:
        return made
    made = Table(title=other.title, box=None, pad_edge=False, header_style="bold")
    for column in (*labels.columns, *other.columns):
        made.add_column(column.header, justify=column.justify, no_wrap=True)
    for row in range(len(labels.rows)):
        made.add_row(*(column._cells[row] for column in (*labels.columns, *other.columns)))
    return made


def cell(text: str, style: str = "") -> Text:
    """What stands in a cell, as it is: no markup is read in it."""
    from rich.text import Text

    return Text(clean(text), style=style)


def width_of(shown: RenderableType) -> int:
    """Columns of the terminal that something needs."""
    from rich.measure import Measurement

    console = _console()
    return Measurement.get(console, console.options, shown).maximum


def as_text(shown: RenderableType, width: int | None = None) -> Text:
    """Something that rich lays out, as styled lines of at most `width` columns (default: the terminal's) without blanks at
    their ends. A table that is wider is made of several lines a cell, of blocks of columns, or of a list a row."""
    from rich.table import Table

    width = width or terminal_width() or ENDLESS
    needed = width_of(shown)
    if needed > width and isinstance(shown, Table) and all(map(_is_text, _cells(shown))):
        return _folded(shown, width)
    return _lines(shown, min(width, needed))


def show(shown: RenderableType, file: IO[str] | None = None, width: int | None = None) -> None:
    """Print a table: fitted to the terminal (or `width`), in its colours; plain lines elsewhere."""
    from rich.console import Console

    text = as_text(shown, width or terminal_width(file) or ENDLESS)
    Console(file=file, soft_wrap=True).print(text, soft_wrap=True, end="", highlight=False)


def _lines(shown: RenderableType, width: int) -> Text:
    from rich.text import Text

    console, text = _console(), Text()
    for line in console.render_lines(shown, console.options.update(width=width), pad=False):
        row = Text()
        for part in line:
            row.append(part.text, style=part.style)
        row.rstrip()
        text.append_text(row)
        text.append("\n")
    return text


def _console() -> Console:
    from rich.console import Console

    return Console(file=io.StringIO(), width=ENDLESS, color_system=None)


# ------------------------------------------------------------------------------------------------------- too wide


def _cells(shown: Table) -> list[RenderableType]:
    return [one for column in shown.columns for one in (column.header, *column._cells)]


def _is_text(one: object) -> bool:
    from rich.text import Text

    return isinstance(one, str | Text)


def _folded(shown: Table, width: int) -> Text:
    """A table of texts that is too wide: in blocks of columns, or as a list of rows."""
    from rich.text import Text

    text = Text()
    if shown.title is not None and (title := str(shown.title).strip()):
        text.append("".join(f"{line}\n" for line in textwrap.wrap(title, width, break_long_words=False)), style="bold")
    blocks = _blocks(shown, width)
    if blocks is None:
        return text.append_text(_listed(shown, width))
    for number, block in enumerate(blocks):
        text.append("\n" if number else "")
        text.append_text(_lines(_block(shown, block, width), width))
    return text


def _blocks(shown: Table, width: int) -> list[list[int]] | None:
    """The columns of each block by number; None where a column does not fit beside the first ones."""
    least = [_least(shown, number) for number in range(len(shown.columns))]
    begun = next((n for n, column in enumerate(shown.columns) if column.justify != "left"), len(least))
    for keys in dict.fromkeys((begun if begun < len(least) else 1, 1)):
        groups: list[list[int]] = []
        for number in range(keys, len(least)):
            if groups and not str(shown.columns[number].header).strip():
                groups[-1].append(number)
            else:
                groups.append([number])
        blocks = [list(range(keys))]
        for group in groups:
            if _width([least[one] for one in (*blocks[-1], *group)]) > width and len(blocks[-1]) > keys:
                blocks.append(list(range(keys)))
            blocks[-1] += group
        if all(_width([least[one] for one in block]) <= width for block in blocks):
            return blocks
    return None


def _width(columns: Sequence[int]) -> int:
    return sum(columns) + GAP * (len(columns) - 1)


def _least(shown: Table, number: int) -> int:
    """Columns of the terminal that a column needs where its long cells take several lines."""
    from rich.cells import cell_len

    head, *texts = _texts(shown, number)
    longest = max((cell_len(word) for word in head.split()), default=0)
    for text in texts:
        words = max((cell_len(word) for word in text.split()), default=0)
        longest = max(longest, cell_len(text) if cell_len(text) <= SHORT else max(SHORT, words))
    return longest


def _texts(shown: Table, number: int) -> list[str]:
    column = shown.columns[number]
    return [str(one) for one in (column.header, *column._cells)]


def _block(shown: Table, numbers: Sequence[int], width: int) -> Table:
    """The columns of a block as a table of their own, with what is free shared out from the left."""
    from rich.cells import cell_len
    from rich.table import Table

    given = {number: _least(shown, number) for number in numbers}
    free = width - _width(list(given.values()))
    for number in sorted(
        numbers, key=lambda one: max(map(cell_len, _texts(shown, one)))
    ):  # the short ones whole, if any
        more = min(free, max(map(cell_len, _texts(shown, number))) - given[number])
        given[number], free = given[number] + more, free - more
    made = Table(box=None, pad_edge=False, header_style=shown.header_style)
    for number in numbers:
        made.add_column(
            _wrapped_cell(shown.columns[number].header, given[number]), justify=shown.columns[number].justify
        )
    for place, row in enumerate(shown.rows):
        texts = [_wrapped_cell(shown.columns[number]._cells[place], given[number]) for number in numbers]
        elsewhere = [str(one._cells[place]) for n, one in enumerate(shown.columns) if n and n not in numbers]
        if any(one.plain for one in texts[1:]) or not any(elsewhere):  # a row that says something only in another block
            made.add_row(*texts, style=row.style)
    return made


def _wrapped_cell(one: RenderableType, width: int) -> Text:
    from rich.text import Text

    style = one.style if isinstance(one, Text) else ""
    lines = textwrap.wrap(str(one), max(width, 1), break_long_words=False, break_on_hyphens=False)
    return Text("\n".join(lines), style=style)


def _listed(shown: Table, width: int) -> Text:
    """A row after the other: its first cell, below it a line for every other one."""
    from rich.text import Text

    text = Text()
    heads = [str(column.header).strip() for column in shown.columns]
    for place in range(len(shown.rows)):
        texts = [str(column._cells[place]).strip() for column in shown.columns]
        text.append("\n" if place else "")
        text.append(wrapped(f"{heads[0]} {texts[0]}".strip(), width) + "\n", style="bold")
        for head, value in zip(heads[1:], texts[1:], strict=True):
            if value:
                text.append(wrapped(f"  {head}: {value}" if head else f"  {value}", width) + "\n")
    return text
