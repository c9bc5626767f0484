"""The table of a run for people and programs: terminal, CSV, JSON, Markdown and LaTeX, all from `Results` alone.

CSV and JSON are long and exact (a row a number, fractions as they are); the others are laid out like the multi-stage
paper's tables: rows are metric and structure, columns are sizes and arms. Missing cells say so in their place.
"""

from __future__ import annotations

import csv
import io
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .results import AVERAGE, MetricInfo, Results, words
from .statistics import stars
from .wording import (
    absence,
    absent,
    check_notes,
    cost_sentence,
    header_sentence,
    legend,
    metric_title,
    shown,
    size_title,
)

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console
    from rich.text import Text

GAP = 3  # blanks between columns of the terminal table


# ------------------------------------------------------------------------------------------------------- wide layout


@dataclass(frozen=True)
class Entry:
    """One place of the wide table. `mark` is the stars of the paired test; `present` is False for a missing cell."""

    text: str
    mark: str = ""
    present: bool = True


@dataclass(frozen=True)
class Line:
    """One line of the wide table: `entries[size][arm]`. `first` is True on a metric's first line."""

    metric: MetricInfo
    structure: str
    first: bool
    entries: dict[str, dict[str, Entry]]


def headline_metrics(results: Results) -> list[MetricInfo]:
    """The metrics of the terminal table: those that are tested case by case, or all where none is."""
    tested = [metric for metric in results.shown_metrics if metric.name in results.task.paired]
    return tested or results.shown_metrics


def wide(results: Results, metrics: Sequence[MetricInfo] | None = None) -> list[Line]:
    """The table with a line per metric and structure, and an entry per size and arm."""
    present = {(row.metric, row.structure) for row in results.table}
    lines = []
    for metric in results.shown_metrics if metrics is None else metrics:
        structures = [name for name in results.structures if (metric.name, name) in present]
        for structure in structures:
            entries = {
                info.size: {arm: _entry(results, info.size, arm, metric, structure) for arm in results.arms}
                for info in results.sizes
            }
            lines.append(Line(metric, structure, structure == structures[0], entries))
    return lines


def _entry(results: Results, size: str, arm: str, metric: MetricInfo, structure: str) -> Entry:
    row = results.row(size, arm, metric.name, structure)
    if row is None or row.value is None:
        return Entry(row.note or "–" if row else "–", present=False)
    text = shown(row.value, metric)
    if row.sd is not None:
        text += f" ± {shown(row.sd, metric)}"
    test = results.test(size, arm, metric.name, structure)
    return Entry(text, stars(test.p_t_holm) if test else "")


# ------------------------------------------------------------------------------------------------------- terminal


def terminal(results: Results, width: int = 100) -> Text:
    """The table, its legend, cost, checks and missing cells as styled text; `.plain` is what a file or pipe gets.

    Sizes stand side by side as far as `width` columns allow, else below each other.
    """
    from rich.text import Text

    text = Text()
    for block in _blocks(results, width):
        text.append_text(block)
        text.append("\n")
    for sentence in legend(results):
        text.append(textwrap.fill(_clean(sentence), width, subsequent_indent="  ") + "\n", style="dim")
    notes = [("cost", f"{results.provider.name} {row.size}", cost_sentence(row), "") for row in results.cost]
    notes += [
        ("check", place, sentence, "bold red" if alarm else "") for place, sentence, alarm in check_notes(results)
    ]
    notes += [(str(cell.status), "", absence(cell), "red") for cell in absent(results)]
    if notes:
        text.append("\n")
    for word, subject, sentence, style in notes:
        separator = "   " if word == "cost" else ": "
        text.append(f"{word:<7}", style="bold")
        text.append(_clean(f"{subject}{separator if subject else ''}{sentence}") + "\n", style=style)
    return text


def print_table(results: Results, console: Console) -> None:
    """Print `terminal` on a rich console: colours on a terminal, plain lines elsewhere."""
    width = console.width if console.is_terminal else 120
    console.print(terminal(results, width), soft_wrap=True, highlight=False)


def _clean(text: str) -> str:
    """Text without control characters, so that a name cannot steer the terminal."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text)


def _blocks(results: Results, width: int) -> Iterable[Text]:
    lines = wide(results, headline_metrics(results))
    labels = [_clean(metric_title(line.metric)) if line.first else "" for line in lines]
    left = max((len(label) for label in labels), default=0) + 2
    label_width = left + max((len(_clean(words(line.structure))) for line in lines), default=0)
    sizes = [info.size for info in results.sizes]
    widths = {size: {arm: _column(lines, size, arm) for arm in results.arms} for size in sizes}
    spans = {size: sum(widths[size].values()) + GAP * len(results.arms) for size in sizes}
    row: list[str] = []
    for size in sizes:
        if row and label_width + sum(spans[name] for name in [*row, size]) + 2 * len(row) > width:
            yield _block(results, lines, labels, left, label_width, row, widths)
            row = []
        row.append(size)
    if row:
        yield _block(results, lines, labels, left, label_width, row, widths)


def _column(lines: Sequence[Line], size: str, arm: str) -> int:
    return max([len(arm) + 3, *(len(line.entries[size][arm].text) + 3 for line in lines)])


def _block(
    results: Results,
    lines: Sequence[Line],
    labels: Sequence[str],
    left: int,
    label_width: int,
    sizes: Sequence[str],
    widths: dict[str, dict[str, int]],
) -> Text:
    """One block of the terminal table: a column of numbers ends where its arm's name ends, three blanks for the marks."""
    from rich.text import Text

    text = Text(" " * label_width)
    for size in sizes:
        span = sum(widths[size].values()) + GAP * len(widths[size])
        text.append("  " + _clean(size_title(results, size)).center(span), style="bold")
    text.rstrip()
    text.append("\n" + " " * label_width)
    for size in sizes:
        text.append("  ")
        for arm in results.arms:
            text.append(" " * GAP + arm.upper().rjust(widths[size][arm] - 3) + "   ", style="bold")
    text.rstrip()
    text.append("\n")
    for line, label in zip(lines, labels, strict=True):
        style = "bold" if line.structure == AVERAGE else ""
        row = Text(label.ljust(left), style="bold")
        row.append(_clean(words(line.structure)).ljust(label_width - left), style=style or "not bold")
        for size in sizes:
            row.append("  ")
            for arm in results.arms:
                entry = line.entries[size][arm]
                row.append(" " * GAP + entry.text.rjust(widths[size][arm] - 3), style=style or "not bold")
                row.append(f" {entry.mark:<2}", style="bold yellow" if entry.present else "red")
        row.rstrip()
        text.append_text(row)
        text.append("\n")
    return text


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
        "task": results.task.name,
        "version": results.task.version,
        "preset": results.preset,
        "data": results.data.name,
    }
    return csv_of([constant | row for row in long_rows(results)])


def tests_csv(results: Results) -> str:
    """The paired tests as CSV, exact."""
    return models_csv(results.paired)


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
    """The wide table in Markdown, with its legend."""
    head = ["metric", "structure"]
    head += [f"{size_title(results, info.size)} {arm.upper()}" for info in results.sizes for arm in results.arms]
    lines = [_markdown_row(map(_markdown, head)), _markdown_row(["---"] * 2 + ["---:"] * (len(head) - 2))]
    for line in wide(results):
        cells = [_markdown(metric_title(line.metric)), _markdown(words(line.structure))]
        for info in results.sizes:
            for arm in results.arms:
                entry = line.entries[info.size][arm]
                cells.append(_markdown(f"{entry.text} {entry.mark}".rstrip()))
        lines.append(_markdown_row(cells))
    notes = [header_sentence(results), *legend(results), *(absence(cell) for cell in absent(results))]
    return "\n".join([*lines, "", *(f"- {_markdown(note)}" for note in notes)]) + "\n"


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", _clean(text)).replace(r"\<", "&lt;").replace(r"\>", "&gt;")


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "–": "--",
    "·": r"$\cdot$",
}


def latex_escaped(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_LATEX.get(letter, letter) for letter in _clean(text))


def as_latex(results: Results) -> str:
    """The wide table in LaTeX (package booktabs), with its legend as the caption."""
    arms = len(results.arms)
    columns = "ll" + "r" * (arms * len(results.sizes))
    groups = [f"\\multicolumn{{{arms}}}{{c}}{{{latex_escaped(size_title(results, i.size))}}}" for i in results.sizes]
    rules = [f"\\cmidrule(lr){{{3 + k * arms}-{2 + (k + 1) * arms}}}" for k in range(len(results.sizes))]
    names = [latex_escaped(arm.upper()) for _ in results.sizes for arm in results.arms]
    body: list[str] = []
    for line in wide(results):
        if line.first and body:
            body.append("\\midrule")
        cells = [latex_escaped(metric_title(line.metric)) if line.first else "", latex_escaped(words(line.structure))]
        for info in results.sizes:
            for arm in results.arms:
                entry = line.entries[info.size][arm]
                mark = f"$^{{{entry.mark}}}$" if entry.mark else ""
                cells.append(latex_escaped(entry.text) + mark)
        body.append(" & ".join(cells) + r" \\")
    caption = ". ".join(latex_escaped(sentence) for sentence in [header_sentence(results), *legend(results)])
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{caption}.}}",
            f"\\begin{{tabular}}{{{columns}}}",
            "\\toprule",
            " & ".join([" & ", *groups]).replace(" &  & ", " & & ", 1) + r" \\",
            "".join(rules),
            " & ".join([" & ", *names]).replace(" &  & ", " & & ", 1) + r" \\",
            "\\midrule",
            *body,
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
            "",
        ]
    )


FORMATS: dict[str, Callable[[Results], str]] = {
    "csv": as_csv,
    "json": as_json,
    "md": as_markdown,
    "tex": as_latex,
}
"""Table file formats by the name of their ending."""
