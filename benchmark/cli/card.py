"""`cxrbench card`: a finished run on one page for a supplement or a model card, and its films as a set to share."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console_tables import tell
from ..errors import CxrbenchError, InputError, StoreError

if TYPE_CHECKING:
    from ..audit.run_films import RunFilms
    from ..fidelity.audit import Audit
    from ..results.rows import Results
    from ..runs.store import Store


class Form(StrEnum):
    """What a card can be printed as."""

    MD = "md"
    TEX = "tex"
    JSON = "json"


def card(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    format: Annotated[
        Form | None, typer.Option("--format", "-f", help="Print this form and write no file: md, tex (a row) or json.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for card.md, card.tex, card.json; default: the run's.")
    ] = None,
    audit: Annotated[
        Path | None, typer.Option(help="The audit.json of the run's films; default: they are audited now.")
    ] = None,
    no_audit: Annotated[bool, typer.Option("--no-audit", help="Say nothing of fidelity, annotations, copies.")] = False,
    size: Annotated[str, typer.Option(help="The size whose films are described; default: the headline's.")] = "",
    seed: Annotated[int | None, typer.Option(help="The seed whose films are described; default: the first.")] = None,
    share: Annotated[
        Path | None, typer.Option(help="Put the films into this new folder, with Croissant metadata and the card.")
    ] = None,
    licence: Annotated[str, typer.Option(help="With --share: the licence of the films, its name or address.")] = "",
    creator: Annotated[str, typer.Option(help="With --share: who made them.")] = "",
    url: Annotated[str, typer.Option(help="With --share: where the set will lie.")] = "",
    name: Annotated[str, typer.Option(help="With --share: what the set is called.")] = "",
) -> None:
    """One page of a run: what may be claimed, films, protocol, fidelity, copies, cost; with --share its films too."""
    from ..card.croissant import Sharing
    from ..card.rows import make_card
    from ..card.write import FORMATS, write_card
    from ..results.folder import in_an_entry, load_run
    from ..runs.own_store import home_store
    from .report import tell_changed

    if audit is not None and no_audit:
        raise InputError("--audit FILE or --no-audit, not both")
    if out is None and format is None and in_an_entry(run):
        raise InputError(f"{run} is part of an entry, which holds what was packed and nothing else: name --out FOLDER")
    given = {"--licence": licence, "--creator": creator, "--url": url}
    if share is not None and (missing := [option for option, text in given.items() if not text]):
        raise InputError(f"--share needs {', '.join(missing)}: only who shares the films can say it")
    if share is None and (odd := [option for option, text in {**given, "--name": name}.items() if text]):
        raise InputError(f"{', '.join(odd)}: goes with --share FOLDER")
    results, store = load_run(run), home_store()
    run = run.parent if run.is_file() else run
    tell_changed(run, results)
    found, why = films_of(results, store, size, seed, needed=share is not None)
    made, why = (None, "--no-audit") if no_audit else audited(results, found, why, audit)
    one = make_card(results, found, made, why)
    if format is not None:
        typer.echo(FORMATS[format.value](one), nl=False)
    else:
        for path in write_card(one, out or run):
            tell(f"wrote  {path}")
    if share is not None and found is not None:
        from ..card.share import share as shared

        folder = shared(one, found.films, Sharing(licence, creator, url, name), share)
        tell(f"shared {folder}: {len(found.films)} films, {found.words}", None if format is None else sys.stderr)
        if made is not None and made.copies is not None and made.copies.copies:
            tell(
                f"warning: {made.copies.copies} films are copies of training films: look before you share",
                file=sys.stderr,
            )


def films_of(
    results: Results, store: Store, size: str, seed: int | None, *, needed: bool
) -> tuple[RunFilms | None, str]:
    """The films of a run, or why they are not there; an error where they are needed."""
    from ..audit.run_films import run_films

    try:
        return run_films(results, store, size, seed), ""
    except InputError as error:
        if needed or size or seed is not None:
            raise
        return None, str(error)


def audited(results: Results, found: RunFilms | None, why: str, file: Path | None) -> tuple[Audit | None, str]:
    """The audit of a file, held against the run's films where these are there, or one that is made now."""
    from ..card.films import audit_of
    from ..fidelity.audit import SCHEMA, Audit
    from ..plain_files import read_plain_json
    from .progress_bar import shown_progress

    if file is None:
        if found is None:
            return None, why
        with shown_progress("audit") as progress:
            return audit_of(results, found, progress)
    try:
        made = read_plain_json(file, Audit, SCHEMA)
    except StoreError as error:
        raise InputError(
            f"--audit {file}: {error}; expected the audit.json that `cxrbench audit --out` writes"
        ) from None
    except CxrbenchError as error:
        raise InputError(f"--audit {file}: {error}") from None
    if made.real.name != results.data.name:
        raise InputError(f"--audit {file} is against {made.real.name}, this run was on {results.data.name}")
    if (
        found is not None
        and made.films.resolution == found.films.resolution
        and made.films.digest != found.films.digest
    ):
        raise InputError(
            f"--audit {file} is of other films ({made.films.digest[:12]}) than the run's ({found.films.digest[:12]}, "
            f"{found.words}); name their --size and --seed, or leave --audit out"
        )
    return made, ""
