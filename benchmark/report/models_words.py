"""Models side by side in words: the table (terminal, Markdown, LaTeX, CSV) and the sentences below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..console_tables import as_text, cell, clean, table, wrapped
from ..metrics.scores import AVERAGE
from ..results.models import Models, ModelTest
from ..results.rows import MetricInfo, words
from ..significance.paired_tests import stars
from .latex import latex_escaped
from .text_tables import csv_of, markdown_escaped
from .words import films, kept_larger, metric_title, probability, shown, with_minus

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Line:
    """A row: metric (on its first row) and structure, then a text a model, the best of which is `best`, then a difference
    for each pair with its stars."""

    metric: str
    structure: str
    values: list[str]
    best: list[bool]
    differences: list[tuple[str, str]]
    average: bool


def shown_metrics(models: Models) -> list[MetricInfo]:
    """The metrics that are compared case by case, or all where none is."""
    there = dict.fromkeys(row.metric for column in models.columns for row in column.table)
    known = [metric for metric in models.task.metrics if metric.name in there]
    return [metric for metric in known if metric.name in models.task.paired] or known


def pairs_of(models: Models, size: str) -> list[tuple[str, str]]:
    """The pairs that were compared at a size, in their order."""
    return list(dict.fromkeys((test.a, test.b) for test in models.tests if test.size == size))


def pair_title(pair: tuple[str, str]) -> str:
    """`sdfn − entire`."""
    return f"{pair[0]} {MINUS} {pair[1]}"


def test_of(models: Models, size: str, pair: tuple[str, str], metric: str, structure: str) -> ModelTest | None:
    """The test of a pair in a row."""
    place = (size, *pair, metric, structure)
    return next((one for one in models.tests if (one.size, one.a, one.b, one.metric, one.structure) == place), None)


def lines_of(models: Models, size: str) -> Iterator[Line]:
    """The rows of the table of a size."""
    for metric in shown_metrics(models):
        first = True
        for structure in models.structures:
            rows = [models.value(column, size, metric.name, structure) for column in models.columns]
            if all(row is None for row in rows):
                continue
            values = [None if row is None else row.value for row in rows]
            known = [value for value in values if value is not None]
            best = (max if metric.higher_is_better else min)(known, default=None)
            texts = [
                shown(value, metric) + (f" ± {shown(row.sd, metric)}" if row is not None and row.sd is not None else "")
                for value, row in zip(values, rows, strict=True)
            ]
            tests = [test_of(models, size, pair, metric.name, structure) for pair in pairs_of(models, size)]
            yield Line(
                metric=metric_title(metric) if first else "",
                structure=words(structure),
                values=texts,
                best=[value is not None and value == best for value in values],
                differences=[
                    ("–", "") if one is None else (shown(one.difference, metric, signed=True), stars(one.p_holm))
                    for one in tests
                ],
                average=structure == AVERAGE,
            )
            first = False


def size_title(models: Models, size: str) -> str:
    """A size with its real films."""
    return f"{size} ({films(models.sizes[size])}, real)" if models.sizes[size] else size


def headings(models: Models, size: str) -> list[str]:
    """What stands above the columns."""
    return ["", "", *(column.label for column in models.columns), *map(pair_title, pairs_of(models, size))]


def header(models: Models) -> str:
    """What was compared, on what."""
    phantom = "; phantom, not comparable with published numbers" if models.data.phantom else ""
    names = ", ".join(column.label for column in models.columns)
    return (
        f"{names} · {models.task.name} v{models.task.version} · {models.preset} · data: {models.data.name}{phantom} · "
        "all trained on the same real films"
    )


def averages(models: Models) -> list[str]:
    """A sentence for every pair on the average: the difference with its interval, its test, and that of the papers."""
    said = []
    for metric in shown_metrics(models):
        for test in models.tests:
            if (test.metric, test.structure) != (metric.name, AVERAGE):
                continue
            text = f"{test.size}, {pair_title((test.a, test.b))}: mean {metric_title(metric)} "
            text += shown(test.difference, metric, signed=True)
            if test.low is not None and test.high is not None:
                low, high = (shown(value, metric, signed=True) for value in (test.low, test.high))
                text += f" ({low} to {high})"
            for name, p, adjusted in (
                (test.test, test.p, test.p_holm),
                (test.second, test.p_second, test.p_second_holm),
            ):
                if name and p is not None:
                    text += f"; {name}: {_equals(p)}, {_equals(adjusted)} (Holm)"
            said.append(text + (f"; {test.note}" if test.note else ""))
    return said


def _equals(p: float | None) -> str:
    text = probability(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def notes(models: Models) -> list[str]:
    """What the stars mean, what each model is, what may be claimed, and what is missing."""
    rule = models.task.rule
    said = [
        f"differences on the same {rule.unit}: ** p < 0.01, * p < 0.05 ({rule.marks}: over all pairs and rows of a metric)"
    ]
    if len(models.seeds) > 1:
        said.append(f"numbers are means over {len(models.seeds)} seeds; ± is the deviation over seeds")
    remarks: dict[str, list[str]] = {}
    for column in models.columns:
        for line in column.task.remarks:
            remarks.setdefault(line, []).append(column.label)
    said += [f"{', '.join(labels)}: {line}" for line, labels in remarks.items()]
    said += kept_larger(models.data)
    said += list(dict.fromkeys(with_minus(claim.sentence) for claim in models.claims))
    for column in models.columns:
        absent = [one for one in column.cells if one.status != "done"]
        said += [f"{column.label}, {one.size} seed {one.seed}: {one.message or 'not computed yet'}" for one in absent]
    return said


def terminal(models: Models, width: int = 110) -> str:
    """All of it as plain lines."""
    blocks = [wrapped(header(models), width)]
    for size in models.sizes:
        made = table(headings(models, size), left=2, title=size_title(models, size))
        made.title_justify = "left"
        for line in lines_of(models, size):
            marked = [f"{text}{mark:<2}" for text, mark in line.differences]
            style = "bold" if line.average else ""
            made.add_row(*(cell(text, style) for text in [line.metric, line.structure, *line.values, *marked]))
        blocks += ["", as_text(made, width).plain.rstrip("\n")]
    blocks.append("")
    for sentence in [*averages(models), *notes(models)]:
        blocks.append(wrapped(clean(sentence), width))
    return "\n".join(blocks) + "\n"


def as_markdown(models: Models) -> str:
    """The tables, the best number of a row bold, and the sentences as a list."""
    text = []
    for size in models.sizes:
        head = headings(models, size)
        text += [f"**{markdown_escaped(size_title(models, size))}**", "", _row(map(markdown_escaped, head))]
        text.append(_row(["---"] * 2 + ["---:"] * (len(head) - 2)))
        for line in lines_of(models, size):
            values = [
                f"**{one}**" if best else one
                for one, best in zip(map(markdown_escaped, line.values), line.best, strict=True)
            ]
            marked = [markdown_escaped(f"{value} {mark}".rstrip()) for value, mark in line.differences]
            text.append(_row([line.metric, markdown_escaped(line.structure), *values, *marked]))
        text.append("")
    return (
        "\n".join(
            [*text, *(f"- {markdown_escaped(one)}" for one in [header(models), *averages(models), *notes(models)])]
        )
        + "\n"
    )


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def as_latex(models: Models) -> str:
    """The tables in LaTeX (package booktabs), the sentences as the caption."""
    caption = ". ".join(map(latex_escaped, [header(models), *averages(models), *notes(models)]))
    text = ["% needs \\usepackage{booktabs}", "\\begin{table}", "\\centering", f"\\caption{{{caption}.}}"]
    for size in models.sizes:
        head = headings(models, size)
        text += [f"\\begin{{tabular}}{{ll{'r' * (len(head) - 2)}}}", "\\toprule"]
        text += [" & ".join(map(latex_escaped, head)) + r" \\", "\\midrule"]
        for line in lines_of(models, size):
            values = [
                f"\\textbf{{{one}}}" if best else one
                for one, best in zip(map(latex_escaped, line.values), line.best, strict=True)
            ]
            marked = [latex_escaped(value) + (f"$^{{{mark}}}$" if mark else "") for value, mark in line.differences]
            text.append(
                " & ".join([latex_escaped(line.metric), latex_escaped(line.structure), *values, *marked]) + r" \\"
            )
        text += ["\\bottomrule", "\\end{tabular}", ""]
    return "\n".join([*text, "\\end{table}", ""])


def as_csv(models: Models) -> str:
    """The table in long form, exact: a row a number of a model."""
    constant = {
        "task": models.task.name,
        "version": models.task.version,
        "preset": models.preset,
        "data": models.data.name,
    }
    return csv_of(
        [
            constant | {"model": column.label} | row.model_dump(mode="json", exclude={"arm"})
            for column in models.columns
            for row in column.table
        ]
    )


def tests_csv(models: Models) -> str:
    """Every test as CSV, exact."""
    return csv_of([test.model_dump(mode="json") for test in models.tests])


def table_files(models: Models) -> dict[str, str]:
    """The files of `tables/` that hold text, by name."""
    return {
        "table.csv": as_csv(models),
        "table.md": as_markdown(models),
        "table.tex": as_latex(models),
        "tests.csv": tests_csv(models),
    }
