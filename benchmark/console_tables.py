"""Tables of the terminal, laid out by rich: as styled text, so that a file or pipe gets the same lines without colours."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

ENDLESS = 10_000  # columns: a table is never broken, it is made of fewer columns instead


def clean(text: str) -> str:
    """Text without control characters, so that a name cannot steer the terminal."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text)


def table(headings: Sequence[str], *, left: int = 1, title: str | None = None, wrap: bool = False) -> Table:
    """A table without lines: the first `left` columns begin below each other, the others end so. With `wrap` cells take
    several lines where the table would be too wide."""
    from rich.table import Table
    from rich.text import Text

    name = None if title is None else Text(clean(title), style="bold")
    made = Table(title=name, box=None, pad_edge=False, header_style="bold")
    made.min_width = 0 if name is None else name.cell_len
    for number, heading in enumerate(headings):
        made.add_column(Text(clean(heading)), justify="left" if number < left else "right", no_wrap=not wrap)
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


def cell(text: str, style: str = "") -> Text:
    """What stands in a cell, as it is: no markup is read in it."""
    from rich.text import Text

    return Text(clean(text), style=style)


def width_of(shown: RenderableType) -> int:
    """Columns of the terminal that something needs."""
    from rich.measure import Measurement

    console = _console()
    return Measurement.get(console, console.options, shown).maximum


def as_text(shown: RenderableType, width: int = ENDLESS) -> Text:
    """Something that rich lays out, as styled lines of at most `width` columns without blanks at their ends."""
    from rich.text import Text

    console, text = _console(), Text()
    for line in console.render_lines(shown, console.options.update(width=min(width, width_of(shown))), pad=False):
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
