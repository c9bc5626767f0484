"""Tables of a run in LaTeX (package booktabs): all of it, and the row that its task ranks by, for a paper."""

from __future__ import annotations

import re

from ..console_tables import clean
from ..contracts.task import ArmName
from ..metrics.scores import AVERAGE
from ..results.rows import Results
from .gain_words import HEADINGS, NO_CURVE, gain_lines, headline_sentences, placebo_notes, without_command
from .table_shapes import REAL_FILMS, SYNTHETIC_FILMS, ArmTable, arm_tables, wide
from .words import (
    PHANTOM,
    claims,
    data_words,
    kept_larger,
    meaning,
    metric_title,
    preset_words,
    shown,
    size_title,
)

GAIN = "the gain is over the same training, seed by seed, with copies of its real films in place of the synthetic ones"
WORTH = "worth is the number of real films whose copies score as much"
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
    "×": r"$\times$",
    "\N{MINUS SIGN}": r"$-$",
}


def latex_escaped(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_LATEX.get(letter, letter) for letter in clean(text))


def as_latex(results: Results) -> str:
    """The table in LaTeX (package booktabs), with its legend as the caption."""
    caption = latex_escaped(" ".join(caption_sentences(results)))
    if results.task.layout is not None:
        body = [line for table in arm_tables(results) for line in _latex_arms(table)]
    else:
        body = _latex_wide(results)
    head = ["% needs \\usepackage{booktabs}", "\\begin{table}", "\\centering", f"\\caption{{{caption}}}"]
    return "\n".join([*head, *body, *_latex_gains(results), "\\end{table}", ""])


def headline_latex(results: Results) -> str:
    """The row of the arm and size that the task ranks by: REAL, copies, the arm, gain and worth. Of a run without a gain the
    whole table."""
    line = next((one for one in gain_lines(results) if one.headline), None)
    if line is None:
        return as_latex(results)
    cells, metric = dict(zip(HEADINGS, line.cells, strict=True)), results.task.metric(results.task.primary)
    real = results.row(cells["size"], ArmName.REAL.value, metric.name, AVERAGE)
    gain = cells["gain over copies"]
    row = {
        "generator": results.provider.title,
        "REAL": "–" if real is None or real.value is None else shown(real.value, metric),
        "copies": cells["copies"],
        cells["arm"]: cells["score"],
        "gain (95 % interval)": gain if cells["95 % interval"] == "–" else f"{gain} ({cells['95 % interval']})",
        "p": cells["p"],
    }
    if results.curve is not None:
        row["worth in real films"] = cells["worth"]
    scores = f"scores are {metric_title(metric)}{' in per cent' if metric.percent else ''}, means over seeds"
    longer = placebo_notes(results)[1:] if cells["arm"].lower().startswith(ArmName.FINETUNE) else []
    said = [*_what_was_run(results), *_what_was_gained(results), scores, *longer]
    said += [*results.task.remarks, *kept_larger(results.data)]
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}; the whole table: cxrbench report RUN --format tex",
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{latex_escaped(' '.join(_sentence(results, one) for one in said))}}}",
            f"\\begin{{tabular}}{{l{'r' * (len(row) - 1)}}}",
            "\\toprule",
            " & ".join(map(latex_escaped, row)) + r" \\",
            "\\midrule",
            " & ".join(map(latex_escaped, row.values())) + r" \\",
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
            "",
        ]
    )


def caption_sentences(results: Results) -> list[str]:
    """What must be said of a table in a paper: what was run on what, with which settings; what may be claimed, with
    the seeds that failed; what gains, worths and marks are."""
    notes = placebo_notes(results)[1 if results.gains else 0 :]
    said = [*_what_was_run(results), *_what_was_gained(results), *notes, *meaning(results), *claims(results)]
    return [_sentence(results, line) for line in said]


def _what_was_run(results: Results) -> list[str]:
    task, data = results.task, results.data
    phantom = f"; {PHANTOM}" if data.phantom else ""
    return [
        f"{results.provider.title} on {task.name} v{task.version} of cxrbench {results.cxrbench}, preset "
        f"{preset_words(results.preset, results.changed)}, real films of {data_words(data)}{phantom}"
    ]


def _what_was_gained(results: Results) -> list[str]:
    lines = map(without_command, headline_sentences(results))
    said = [line for line in lines if not line.startswith(NO_CURVE)]
    if results.gains:
        said.append(GAIN)
        said.append("worth was not measured" if results.curve is None else WORTH)
    return said


def _sentence(results: Results, line: str) -> str:
    """A line with a capital and a full stop; a name at its beginning stays as it is."""
    first = re.split(r"[ ,:]", line, maxsplit=1)[0]
    names = {results.provider.title.split(" ")[0], *(info.size for info in results.sizes)}
    return f"{line if first in names else line[:1].upper() + line[1:]}."


def _latex_gains(results: Results) -> list[str]:
    """The tabular of gains, below the table; nothing without gains."""
    lines = gain_lines(results)
    if not lines:
        return []
    return [
        r"\\[6pt]",
        f"\\begin{{tabular}}{{ll{'r' * (len(HEADINGS) - 2)}}}",
        "\\toprule",
        " & ".join(map(latex_escaped, HEADINGS)) + r" \\",
        "\\midrule",
        *(" & ".join(map(latex_escaped, line.cells)) + r" \\" for line in lines),
        "\\bottomrule",
        "\\end{tabular}",
    ]


def _latex_arms(table: ArmTable) -> list[str]:
    """The tabular of one size, its title above it."""
    head = ["", REAL_FILMS, SYNTHETIC_FILMS, *table.headings]
    body = []
    for row in table.rows:
        cells = [row.arm.upper(), str(row.real), "–" if row.synthetic is None else str(row.synthetic)]
        cells = [latex_escaped(cell) for cell in cells]
        cells += [latex_escaped(one.text) + (f"$^{{{one.mark}}}$" if one.mark else "") for one in row.entries]
        body.append(" & ".join(cells) + r" \\")
    return [
        rf"{latex_escaped(table.title)}\\[2pt]",
        f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        "\\toprule",
        " & ".join(map(latex_escaped, head)) + r" \\",
        "\\midrule",
        *body,
        "\\bottomrule",
        r"\end{tabular}\\[6pt]",
    ]


def _latex_wide(results: Results) -> list[str]:
    """The tabular with sizes and arms side by side."""
    counts = [len(results.arms_of(info.size)) for info in results.sizes]
    ends = [2 + sum(counts[: k + 1]) for k in range(len(counts))]
    columns = "ll" + "r" * sum(counts)
    groups = [
        f"\\multicolumn{{{count}}}{{c}}{{{latex_escaped(size_title(results, info.size))}}}"
        for info, count in zip(results.sizes, counts, strict=True)
    ]
    rules = [f"\\cmidrule(lr){{{end - count + 1}-{end}}}" for end, count in zip(ends, counts, strict=True)]
    names = [latex_escaped(arm.upper()) for info in results.sizes for arm in results.arms_of(info.size)]
    body: list[str] = []
    for line in wide(results):
        if line.first and body:
            body.append("\\midrule")
        cells = [latex_escaped(metric_title(line.metric)) if line.first else "", latex_escaped(line.label)]
        for info in results.sizes:
            for arm in results.arms_of(info.size):
                entry = line.entries[info.size][arm]
                mark = f"$^{{{entry.mark}}}$" if entry.mark else ""
                cells.append(latex_escaped(entry.text) + mark)
        body.append(" & ".join(cells) + r" \\")
    return [
        f"\\begin{{tabular}}{{{columns}}}",
        "\\toprule",
        " & ".join([" & ", *groups]).replace(" &  & ", " & & ", 1) + r" \\",
        "".join(rules),
        " & ".join([" & ", *names]).replace(" &  & ", " & & ", 1) + r" \\",
        "\\midrule",
        *body,
        "\\bottomrule",
        "\\end{tabular}",
    ]
