"""Results, comparisons and datasets as a notebook shows them: small HTML without style sheets or scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from ..report.gain_words import HEADINGS, gain_lines, headline_sentences, placebo_notes
from ..report.table_shapes import REAL_FILMS, SYNTHETIC_FILMS, arm_tables, headline_metrics, wide
from ..report.words import absence, absent, header_sentence, legend, metric_title, size_title
from ..results.rows import words

if TYPE_CHECKING:
    from ..results.rows import Results

Row = Sequence[str]


def table_markup(head: Row, rows: Iterable[Row], *, texts: int = 1) -> str:
    """A table; the first `texts` columns are texts, the others numbers."""

    def line(cells: Row, tag: str) -> str:
        sides = ["left" if number < texts else "right" for number in range(len(cells))]
        made = (
            f'<{tag} style="text-align:{side}">{escape(one)}</{tag}>' for one, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{''.join(made)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f'<div style="overflow-x:auto"><table><thead>{line(head, "th")}</thead><tbody>{body}</tbody></table></div>'


def said(lines: Iterable[str]) -> str:
    """Sentences, one below the other."""
    return "".join(f"<p>{escape(line)}</p>".replace("\n", "<br>") for line in lines)


def results_markup(results: Results) -> str:
    """A run: what it is, its table, gains and worths, and what may be said."""
    parts = [f"<p><b>{escape(header_sentence(results))}</b></p>", *_tables(results)]
    if lines := gain_lines(results):
        parts.append(table_markup(HEADINGS, [line.cells for line in lines], texts=3))
    parts.append(said([*headline_sentences(results), *placebo_notes(results)]))
    parts.append(f"<details><summary>legend</summary>{said(legend(results))}</details>")
    parts.append(said(absence(cell) for cell in absent(results)))
    return "".join(parts)


def _tables(results: Results) -> Iterable[str]:
    if results.task.layout is not None:
        for table in arm_tables(results):
            rows = [
                [row.arm.upper(), str(row.real), "–" if row.synthetic is None else str(row.synthetic)]
                + [f"{one.text} {one.mark}".rstrip() for one in row.entries]
                for row in table.rows
            ]
            yield f"<p>{escape(table.title)}</p>"
            yield table_markup(["arm", REAL_FILMS, SYNTHETIC_FILMS, *table.headings], rows)
        return
    for info in results.sizes:
        arms = results.arms_of(info.size)
        rows = [
            [metric_title(line.metric) if line.first else "", words(line.structure)]
            + [f"{one.text} {one.mark}".rstrip() for one in (line.entries[info.size][arm] for arm in arms)]
            for line in wide(results, headline_metrics(results))
        ]
        yield f"<p>{escape(size_title(results, info.size))}</p>"
        yield table_markup(["", "", *(arm.upper() for arm in arms)], rows, texts=2)
