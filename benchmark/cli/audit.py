"""`cxrbench audit`: what can be said of films before anything is trained on them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console_tables import show, tell
from ..errors import CxrbenchError
from .options import Json

if TYPE_CHECKING:
    from ..audit.sources import Opened
    from ..fidelity.audit import Audit
    from ..progress import Progress


def audit(
    films: Annotated[
        str,
        typer.Argument(
            help="A folder of pictures, an .npz file, a dataset or its folder, a provider by name, or the folder of a run."
        ),
    ],
    against: Annotated[
        str | None,
        typer.Option(help="The real films: a dataset or its folder; default: what a provider was fitted on."),
    ] = None,
    fail_if: Annotated[
        str,
        typer.Option(
            "--fail-if",
            help="Exit with 1 where a number is past these, with its whole interval where it has one: "
            "copies>0,fd_ratio>3 (a lower end above 3).",
        ),
    ] = "",
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="One more space, of local weights: NAME=FILE (TorchScript), TIMM_NAME=FILE. May be repeated."
        ),
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Pixels at which films are compared; default: the smaller of both sides'.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for audit.html and audit.json.")] = None,
    as_json: Json = False,
) -> None:
    """Distances, diversity, copies and annotations of synthetic films beside real ones. Nothing is trained."""
    from ..audit.page import write_audit
    from ..fidelity.thresholds import broken, parse_thresholds, untold
    from .progress_bar import shown_progress

    thresholds = parse_thresholds(fail_if)
    with shown_progress("audit") as progress:
        found, opened = made(films, against, weights or [], resolution, progress)
    page = None if out is None else write_audit(found, opened.sides.films, opened.sides.real, out)
    failed = broken(thresholds, found.numbers(), found.intervals())
    if as_json:
        print(json.dumps(found.model_dump(mode="json", by_alias=True) | {"failed": failed}, indent=1))
    else:
        _tell(found, opened)
        if page is not None:
            tell(f"page   {page}")
    for line in untold(thresholds, found.numbers(), found.intervals()):
        tell(f"note: {line}", sys.stderr)
    for line in failed:
        tell(f"failed: {line}", sys.stderr)
    if failed:
        raise typer.Exit(1)


def made(
    films: str, against: str | None, weights: list[str], resolution: int | None, progress: Progress
) -> tuple[Audit, Opened]:
    """The audit of films, and the films of both sides: of a provider that the store has none of they are made. InputError
    for films that cannot be read or compared."""
    from ..audit.faithful import with_agreement
    from ..audit.own_spaces import own_spaces
    from ..audit.patient_net import recogniser_for
    from ..audit.sources import open_sides
    from ..fidelity.audit import make_audit
    from ..fidelity.networks import local_space

    more = [local_space(text) for text in weights]
    opened = open_sides(films, against, resolution, progress.part("films", 0.0, 0.1), make=_sampled)
    own, missing = own_spaces(opened)
    found = make_audit(
        opened.sides,
        opened.made_by,
        [*own, *more],
        progress.part("", 0.1, 0.9),
        recogniser=recogniser_for(opened.sides.real.info.name),
    )
    found = found.model_copy(update={"left_out": [*found.left_out, *missing]})
    return with_agreement(found, opened, progress.part("annotations", 0.9, 1.0)), opened


def _sampled(provider: str, data: str) -> Path:
    """The folder of a provider's films that the store had not, made in two minutes at most."""
    from ..home import home
    from ..reader_study.make import films_only, folder_of_films
    from ..runs.lock import working
    from ..runs.request import Request
    from .working import work

    with working(home() / "store"):
        prepared = films_only(Request(provider=provider, data=data, time_limit=120))
        for outcome in work(prepared):
            raise CxrbenchError(
                f"{outcome.error}; films that take longer are made by `cxrbench run --provider {provider}`"
            )
    return folder_of_films(prepared)


def _tell(found: Audit, opened: Opened) -> None:
    from ..audit.words import facts, heading, spaces_table

    tell(heading(found))
    show(spaces_table(found))
    tell("in brackets: the same of other real films")
    for name, value in facts(found):
        tell(f"{name}: {value}")
    for line in found.alarms:
        tell(f"alarm: {line}")
    if not found.alarms:
        tell("nothing is conspicuous")
    for line in (*found.left_out, *opened.noticed):
        tell(f"note: {line}", sys.stderr)
