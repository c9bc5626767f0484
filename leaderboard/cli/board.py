"""`cxrbench leaderboard`: the standings of all entries as a static site."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

THROUGHPUT = Path(__file__).parents[1] / "throughput"  # comes with the package

app = typer.Typer(no_args_is_help=True, help="The leaderboard: build its site from the entries.")


@app.callback()
def leaderboard() -> None:
    """The leaderboard: build its site from the entries."""


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="The folder to write; a site that was built there is replaced.")] = Path(
        "site"
    ),
    entries: Annotated[Path, typer.Option(help="The folder of entries.")] = Path("submissions"),
    throughput: Annotated[
        list[Path] | None,
        typer.Option(
            help="Rates for the cost board: a throughput.json, or a folder of such files; default: those of the package."
        ),
    ] = None,
) -> None:
    """Write the site: open its index.html, or put the folder on any web server. Exit status 1 where an entry cannot be read
    and is left out."""
    from .. import site

    built = site.build(entries, out, throughput or [THROUGHPUT])
    entries_word = "entry" if built.entries == 1 else "entries"
    boards_word = "board" if built.boards == 1 else "boards"
    print(f"{built.entries} {entries_word} on {built.boards} {boards_word}, {built.pages} pages: {out / 'index.html'}")
    for line in built.left_out:
        print(f"error: left out: {line}", file=sys.stderr)
    if built.left_out:
        raise SystemExit(1)
