"""A card as Markdown, as a row of a LaTeX table and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ..audit.words import SHARES, facts, with_real
from ..fidelity.audit import Audit
from ..fidelity.compare import InSpace
from ..files import write_bytes
from ..report.gain_words import HEADINGS
from ..report.latex import latex_escaped
from ..report.text_tables import markdown_escaped, markdown_said
from ..report.words import amount, duration, films, preset_words, protocol_words
from ..results.rows import words
from .rows import Card, cost_lines

NAME = "card"
SPACES = ("space, films", "distance", "floor", "ratio (95 %)", "KID ± se", *SHARES)
ROW = (
    *(
        "generator",
        "films",
        "preset",
        "seeds",
        "real + synthetic",
        "score",
        "copies",
        "gain over copies",
        "95 % interval",
    ),
    *("p", "worth", "largest FD ratio", "annotations", "copies found", "parameters", "fit"),
)
"""The columns of the row in LaTeX. `annotations`: agreement of a REAL model with those of the films, in brackets with those
of held-out real films."""


def as_json(card: Card) -> str:
    """The card with all its numbers."""
    return card.model_dump_json(by_alias=True, indent=1) + "\n"


# ------------------------------------------------------------------------------------------------------- Markdown


def as_markdown(card: Card) -> str:
    """The card as a page."""
    parts = [
        [f"# {markdown_escaped(card.title)}", ""],
        ["## What may be claimed", "", *_list(card.claims or ["nothing yet: no arm of this run is finished"]), ""],
        ["## Gain and worth", "", *_table(HEADINGS, [list(line.cells.values()) for line in card.scores]), ""]
        if card.scores
        else [],
        ["## Besides the scores", ""] if card.tables else [],
        *([*_table(headings, lines), ""] for headings, lines in card.tables),
        ["## Films and protocol", "", *_list(_protocol(card)), ""],
        ["## Fidelity, annotations, copies", "", *_audit(card), ""],
        ["## Cost", "", *_list(cost_lines(card)), ""],
        ["## Read with care", "", *_list(card.cautions), ""] if card.cautions else [],
        [f"Made by cxrbench {card.cxrbench} on {card.created[:10]} of a run of {card.run_created[:10]}: "],
        ["", "```", shlex.join(card.command), "```"],
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def _list(lines: Iterable[str]) -> list[str]:
    return [f"- {markdown_said(line)}" for line in lines]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [list(map(markdown_escaped, row)) for row in (headings, *rows)]
    lines.insert(1, ["---", *["---:"] * (len(headings) - 1)])
    return [f"| {' | '.join(line)} |" for line in lines]


def _protocol(card: Card) -> list[str]:
    """What was trained and tested on what, by whose seeds."""
    data, task, provider = card.data, card.task, card.provider
    shows = [", ".join(words(name) for name in names) for names in (data.organs, data.findings) if names]
    version = f" {data.version}" if data.version else ""
    from_entry = f" of the entry {provider.entry}" if provider.entry else ""
    lines = [
        f"real films: {data.name}{version}, {data.n:,} of {data.resolution} pixels ({'; '.join(shows)}); {data.provenance}; "
        f"digest at {data.resolution} pixels {data.digest[:16]}",
        f"protocol: {task.name} v{task.version} at {preset_words(card.preset, card.changed)}, "
        f"{protocol_words(task, card.data)}; "
        f"code {task.code[:16]}",
        f"generator: {provider.title}, code {provider.code[:16]}, fitted at {data.fit_resolution} pixels",
        f"seeds: {', '.join(map(str, card.seeds))}{from_entry}, on {card.device}",
    ]
    for size in card.sizes:
        folds = "" if len(size.folds) == 1 else f" in each of {len(size.folds)} folds"
        made = "" if size.synthetic_films is None else f", {films(size.synthetic_films)} made of them"
        tested = "" if size.test_films is None else f", tested on {films(size.test_films)}"
        lines.append(f"{size.size}: {films(size.films)} learnt from{folds}{made}{tested}")
    if (found := card.films) is not None:
        lines.append(
            f"synthetic films of this card: {found.count:,} of {found.resolution} pixels, size {found.size}, fold "
            f"{found.fold}, seed {found.seed}; digest {found.digest[:16]}"
        )
    return lines


def _audit(card: Card) -> list[str]:
    """The spaces as a table, then annotations, copies and the checks of every run."""
    lines: list[str] = []
    if (audit := card.audit) is not None:
        lines += [*_table(SPACES, [_space(one) for one in audit.spaces]), ""]
        lines += ["In brackets the same of other real films; a distance is of its space and number of films.", ""]
        lines += _list(f"{name}: {value}" for name, value in facts(audit))
        lines += _list(f"conspicuous: {line}" for line in audit.alarms)
        if not audit.alarms:
            lines += _list(["nothing is conspicuous"])
    if card.films is not None and card.films.of_real_pixels:
        lines += _list([f"{card.films.of_real_pixels} of {card.films.count} films show pixels of real cases"])
    return lines + _list(f"{name}: {said}{' (alarm)' * alarm}" for name, said, alarm in card.checks)


def _space(one: InSpace) -> list[str]:
    fd = one.frechet
    return [
        one.title,
        f"{fd.distance:.4g}",
        f"{fd.floor:.4g}",
        f"{fd.ratio:.2f} ({fd.low:.2f} to {fd.high:.2f})",
        f"{one.kernel:.3g} ± {one.kernel_error:.1g}",
        *(with_real(getattr(one, name)) for name in SHARES),
    ]


# ------------------------------------------------------------------------------------------------------- LaTeX


def as_latex(card: Card) -> str:
    """One row of a table, so that the cards of several generators make one; the columns stand above it as a comment."""
    heads = " & ".join(map(latex_escaped, ROW))
    said = [f"% {latex_escaped(line)}" for line in (card.title, *card.cautions)]
    row = " & ".join(map(latex_escaped, row_cells(card)))
    return "\n".join([*said, f"% {heads} \\\\", f"{row} \\\\", ""])


def row_cells(card: Card) -> list[str]:
    """The texts of the row, one for each of `ROW`."""
    line = {} if card.headline is None else card.headline.cells
    cost = next((row for row in card.cost if row.size == line.get("size")), next(iter(card.cost), None))
    films_said = f"{card.data.name}{' (phantom)' * card.data.phantom}"
    cells = [card.provider.title, films_said, preset_words(card.preset, card.changed), str(len(card.seeds))]
    cells += [line.get(name, "–") for name in HEADINGS[2:]]
    cells += _audit_cells(card.audit)
    return [*cells, *(("–", "–") if cost is None else (amount(cost.parameters), duration(cost.fit_seconds)))]


def _audit_cells(audit: Audit | None) -> list[str]:
    if audit is None:
        return ["–"] * 3
    worst = max(audit.spaces, key=lambda one: one.frechet.ratio)
    fd = worst.frechet
    whole = next(iter(audit.agreement), None)
    return [
        f"{fd.ratio:.2f} ({worst.space}, {fd.films:,} films)",
        "–" if whole is None else f"{whole.value:.3f} ({whole.real:.3f})",
        "–" if audit.copies is None else f"{audit.copies.copies} of {audit.copies.films}",
    ]


FORMATS: dict[str, Callable[[Card], str]] = {"md": as_markdown, "tex": as_latex, "json": as_json}
"""Forms of a card by the ending of their file."""


def write_card(card: Card, folder: Path) -> list[Path]:
    """`card.md`, `card.tex` and `card.json` in a folder; their paths."""
    paths = []
    for ending, write in FORMATS.items():
        paths.append(folder / f"{NAME}.{ending}")
        write_bytes(paths[-1], write(card).encode())
    return paths
