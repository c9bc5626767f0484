"""Mean average precision of detections in words: a table beside the primary metric, a line, and what stands below them."""

from __future__ import annotations

from collections.abc import Sequence

from ..metrics.scores import AVERAGE
from ..results.further_rows import PrecisionRow
from ..results.rows import Results
from ..runs.job import PLACEBO
from .words import metric_title, shown

LEAST = 0.001
"""What the decimals of a number can show."""
MEANING = (
    "mAP (COCO): mean over findings of the average precision of all detections, by torchmetrics with pycocotools, over IoU "
    "0.50 to 0.95, at 0.50, and at the overlap of the task's own rule; nothing is ranked by it"
)


def precision_tables(results: Results) -> list[tuple[Sequence[str], list[tuple[str, ...]]]]:
    """The table, in the form of those of further sets; none where there is no number."""
    rows = _told(results)
    if not rows:
        return []
    metric = results.task.metric(results.task.primary)
    structure = AVERAGE if AVERAGE in results.structures else next(iter(results.structures), AVERAGE)
    overlaps = dict.fromkeys(row.overlap for row in rows if row.overlap is not None)
    headings = ("mAP", "size", metric_title(metric), "IoU 0.50:0.95", "IoU 0.50")
    lines = []
    for row in rows:
        score = results.row(row.size, row.arm, results.task.primary, structure)
        lines.append(
            (
                _arm(row),
                row.size,
                "–" if score is None else shown(score.value, metric),
                _number(row.map, row.sd),
                _number(row.map_50, row.sd_50),
                *(_number(row.map_own, row.sd_own) if row.overlap == one else "–" for one in overlaps),
                str(row.seeds),
            )
        )
    return [((*headings, *(f"IoU {one:.2f}" for one in overlaps), "seeds"), lines)]


def precision_notes(results: Results) -> list[str]:
    """What the table means, and why a number is not there, a line for each reason."""
    said = [MEANING] if _told(results) else []
    reasons: dict[str, list[str]] = {}
    for row in results.average_precision:
        if row.note:
            reasons.setdefault(row.note, []).append(f"{row.size} {_arm(row)}")
    every = len(results.average_precision)
    return [*said, *(note if len(of) == every else f"{', '.join(of)}: {note}" for note, of in reasons.items())]


def precision_line(results: Results) -> list[str]:
    """The numbers of the arms in one line, and why others are not there: for the terminal."""
    rows = [row for row in _told(results) if not row.arm.startswith(PLACEBO)]
    numbers = [f"{row.size} {_arm(row)} {_number(row.map, row.sd)} ({_at(row)})" for row in rows]
    own = dict.fromkeys(f", at {row.overlap:.2f}" for row in rows if row.overlap is not None)
    over = f"mAP over IoU 0.50 to 0.95 (at 0.50{''.join(own)}), which ranks nothing"
    said = [f"{over}: {', '.join(numbers)}"] if numbers else []
    return [*said, *(line for line in precision_notes(results) if line != MEANING)]


def _at(row: PrecisionRow) -> str:
    numbers = [row.map_50] if row.overlap is None else [row.map_50, row.map_own]
    return ", ".join(_number(one, None) for one in numbers)


def _told(results: Results) -> list[PrecisionRow]:
    return [row for row in results.average_precision if row.map is not None]


def _arm(row: PrecisionRow) -> str:
    """The arm's name; a placebo is named as copies of its arm."""
    own = row.arm.removeprefix(PLACEBO)
    return own.upper() if own == row.arm else f"{own.upper()}, copies"


def _number(value: float | None, spread: float | None) -> str:
    """With three decimals; what these would show as nothing is told as less than they can."""
    if value is None:
        return "–"
    if 0 < value < LEAST / 2:
        return f"< {LEAST}"
    return f"{value:.3f}" if spread is None else f"{value:.3f} ± {spread:.3f}"
