"""`cxrbench report` and `cxrbench compare`: what was found, again, from the folders of finished runs."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console_tables import tell
from ..errors import InputError

if TYPE_CHECKING:
    from ..report.comparison import Run
    from ..results.rows import Results

RUNS = Path("runs")


class Format(StrEnum):
    """What a table can be written as."""

    CSV = "csv"
    JSON = "json"
    MD = "md"
    TEX = "tex"
    HTML = "html"


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run, for example runs/2026-01-31-three_stage.")],
    format: Annotated[
        Format | None, typer.Option("--format", "-f", help="Print the table in this format instead of the report.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write to this file; its ending says the format.")
    ] = None,
    latex: Annotated[
        Path | None,
        typer.Option(help="Write the row that the task ranks by to this file, as `cxrbench run --latex` does."),
    ] = None,
    figure: Annotated[
        str,
        typer.Option(
            help="Write one figure to --out (svg, png or pdf): worth, scores, differences, ratios, training, sampler, films."
        ),
    ] = "",
    size: Annotated[
        str | None, typer.Option(help="With --figure: of this size; default: that of the headline.")
    ] = None,
    arm: Annotated[str | None, typer.Option(help="With --figure: of this arm.")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Make a run's tables, figures and report.html again, its table in one format, or the row for a paper."""
    from ..files import write_bytes
    from ..report.latex import headline_latex
    from ..report.write import write_views
    from ..results.folder import load_run

    results = load_run(run)
    run = run.parent if run.is_file() else run
    tell_changed(run, results)
    if latex is not None:
        if format or out or figure:
            raise InputError("--latex writes one table: leave out --format, --out and --figure, or --latex")
        write_bytes(latex, headline_latex(results).encode())
        tell(f"wrote  {latex}")
        return
    if figure:
        _draw(run, results, figure, out, size, arm)
        return
    chosen = format or _format_of(out)
    if chosen is None:
        page = write_views(run, results)
        tell(f"report {page}")
    else:
        text = _written(run, chosen)
        if out is None:
            typer.echo(text, nl=False)
            return
        write_bytes(out, text.encode())
        page = out
        tell(f"wrote  {out}")
    if open_page:
        typer.launch(str(page))


def tell_changed(run: Path, results: Results) -> None:
    """A warning where the folder of a run is not what the run wrote."""
    from ..results.written import not_as_written
    from ..runs.own_store import home_store

    if line := not_as_written(run, results, home_store()):
        tell(f"warning: {line}", sys.stderr)


def _draw(run: Path, results: Results, kind: str, out: Path | None, size: str | None, arm: str | None) -> None:
    from ..files import write_bytes
    from ..report.drawing import drawn, figure_bytes

    target = out or Path(f"{kind}.svg")
    write_bytes(target, figure_bytes(drawn(results, run, kind, size, arm), target.suffix.lstrip(".").lower()))
    tell(f"wrote  {target}")


def _format_of(out: Path | None) -> Format | None:
    if out is None:
        return None
    ending = out.suffix.lstrip(".").lower()
    try:
        return Format({"markdown": "md", "latex": "tex", "htm": "html"}.get(ending, ending))
    except ValueError:
        raise InputError(
            f"--out {out}: expected a file that ends in {', '.join(f'.{one}' for one in Format)}, or name a --format"
        ) from None


def _written(run: Path, chosen: Format) -> str:
    from ..report.text_tables import FORMATS
    from ..results.folder import load_run

    results = load_run(run)
    if chosen is Format.HTML:
        from ..report import build

        return build(run, results).html
    return FORMATS[chosen.value](results)


def compare(
    a: Annotated[str, typer.Argument(help="A provider, or the folder of a run.")],
    b: Annotated[str, typer.Argument(help="The provider or run that a is compared with.")],
    more: Annotated[list[str] | None, typer.Argument(help="Further ones, with --curves.")] = None,
    task: Annotated[str | None, typer.Option("--task", "-t", help="Only runs of this task.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", "-p", help="Only runs of this preset.")] = None,
    runs: Annotated[Path, typer.Option("--runs", help="Where the runs of a provider are looked for.")] = RUNS,
    curves: Annotated[
        Path | None, typer.Option(help="Lay the training losses of all runs over each other instead: into this folder.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="With --curves: of this training set; default: the first.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Compare two providers or runs: differences with intervals, paired tests, and the sentence that may be claimed.

    With --curves FOLDER two runs or more: their training losses in one drawing (curves.svg, .png) and its data (.csv).
    """
    from ..report import comparison

    if curves is not None:
        _overlay(
            comparison.find_runs([a, b, *(more or [])], root=runs, task=task, preset=preset), curves, size, as_json
        )
        return
    if more or size:
        raise InputError("two runs are compared; more of them, and --size, belong to --curves FOLDER")
    from ..report.comparison_words import in_words

    first, second = comparison.find_pair(a, b, root=runs, task=task, preset=preset)
    for folder, results in {first.folder: first.results, second.folder: second.results}.items():
        tell_changed(folder, results)
    found = comparison.compare(first, second)
    if as_json:
        typer.echo(found.model_dump_json(by_alias=True, indent=1))
    else:
        typer.echo(in_words(found, first.results), nl=False)


def _overlay(runs: list[Run], folder: Path, size: str | None, as_json: bool) -> None:
    from ..files import write_bytes
    from ..report.figures import png, svg
    from ..report.overlay import overlay

    for one in runs:
        tell_changed(one.folder, one.results)
    rows, figure = overlay(runs, size)
    write_bytes(folder / "curves.csv", rows.to_csv(index=False).encode())
    write_bytes(folder / "curves.svg", svg(figure))
    write_bytes(folder / "curves.png", png(figure))
    if as_json:
        typer.echo(rows.to_json(orient="records"))
        return
    for label in dict.fromkeys(rows["run"]):
        mine = rows[rows["run"] == label]
        tell(f"{label}: {', '.join(dict.fromkeys(mine['loss']))} to step {mine['step'].max():,.0f}")
    tell(f"curves {folder / 'curves.svg'}, curves.png, curves.csv")
