"""A comparison of two runs as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..console_tables import as_text, cell, table, terminal_width, wrapped
from ..results.rows import Results, words
from ..significance.paired_tests import stars
from .comparison import ComparisonResults
from .comparison_gains import gain_table
from .table_shapes import headline_metrics
from .words import metric_title, probability, shown, size_title, with_minus


def in_words(comparison: ComparisonResults, results: Results, width: int | None = None) -> str:
    """The comparison as plain lines of `width` (default: the terminal's); `results`, of either run, say how metrics and
    sizes are shown."""
    a, b = comparison.a.label, comparison.b.label
    phantom = "; phantom, not comparable with published numbers" if comparison.phantom else ""
    lines = [
        f"{a} against {b} · {comparison.task} v{comparison.version} · {comparison.preset} · "
        f"data: {comparison.data}{phantom}"
    ]
    metrics = headline_metrics(results)
    folds = any(row.folds_n for row in comparison.rows)
    for size, arm in dict.fromkeys((row.size, row.arm) for row in comparison.rows):
        lines += ["", f"{size_title(results, size)}, {arm.upper()}"]
        lines_of = [["", "", a, b, "difference", "paired, 95 % interval", "p (Holm)"]]
        if folds:
            lines_of[0].append("p (folds, Holm)")
        for metric in metrics:
            rows = [r for r in comparison.rows if (r.size, r.arm, r.metric) == (size, arm, metric.name)]
            for row in rows:
                bounds = ""
                if row.low is not None and row.high is not None:
                    low, high = (shown(value, metric, signed=True) for value in (row.low, row.high))
                    bounds = f"{shown(row.case_difference, metric, signed=True)} ({low} to {high})"
                p = probability(row.p_holm) if row.p_holm is not None else row.note or "–"
                lines_of.append(
                    [
                        metric_title(metric) if row is rows[0] else "",
                        words(row.structure),
                        shown(row.a, metric),
                        shown(row.b, metric),
                        shown(row.difference, metric, signed=True),
                        bounds or "–",
                        f"{p} {stars(row.p_holm)}".rstrip(),
                        *([probability(row.folds_p_holm)] if folds else []),
                    ]
                )
        lines += _aligned(lines_of, width)
    lines += [
        "",
        f"difference: of the table's numbers; p, on the same films: {results.task.rule.marks}; ** p < 0.01",
    ]
    if folds:
        lines.append("p (folds): corrected t-test over folds and seeds (Nadeau-Bengio), Holm")
    if comparison.gains:
        lines += ["", *_aligned(list(gain_table(comparison.gains, results, (a, b))), width), ""]
        lines += _once((f"{row.size} {row.arm}", with_minus(row.sentence)) for row in comparison.gains)
    gained = {(row.size, row.arm) for row in comparison.gains}
    others = [claim for claim in comparison.claims if (claim.size, claim.arm) not in gained]
    sentences = _once((f"{claim.size} {claim.arm}", with_minus(claim.sentence)) for claim in others)
    for sentence in [*sentences, *(f"note: {note}" for note in comparison.notes)]:
        lines += wrapped(sentence, width or terminal_width() or 110).splitlines()
    return wrapped("\n".join(lines), width) + "\n"


def _once(said: Iterable[tuple[str, str]]) -> list[str]:
    """Sentences with their places; without a place where all are the same."""
    pairs = list(said)
    different = list(dict.fromkeys(sentence for _, sentence in pairs))
    return different if len(different) == 1 else [f"{place}: {sentence}" for place, sentence in pairs]


def _aligned(rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """Columns side by side, headings first: the first two to the left, the numbers to the right."""
    made = table(rows[0], left=2)
    for row in rows[1:]:
        made.add_row(*map(cell, row))
    return as_text(made, width).plain.splitlines()
