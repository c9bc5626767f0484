"""`cxrbench leaderboard`: the standings of all entries as a static site."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...benchmark.cli.options import Json
from ...benchmark.console_tables import tell
from ...benchmark.errors import InputError

if TYPE_CHECKING:
    from ..agreement import Agreement
    from ..standings import Board

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
    tell(f"{built.entries} {entries_word} on {built.boards} {boards_word}, {built.pages} pages: {out / 'index.html'}")
    for line in built.left_out:
        tell(f"error: left out: {line}", sys.stderr)
    if built.left_out:
        raise SystemExit(1)


@app.command()
def agreement(
    task: Annotated[str, typer.Option(help="The task of both boards.")] = "scr_official",
    first: Annotated[str, typer.Option(help="The films of the board that is to predict.")] = "phantom_hard",
    second: Annotated[str, typer.Option(help="The films of the board that is to be predicted.")] = "kermany_lungs",
    preset: Annotated[str, typer.Option(help="The preset of both boards.")] = "quick",
    entries: Annotated[Path, typer.Option(help="The folder of entries.")] = Path("submissions"),
    as_json: Json = False,
) -> None:
    """Does one board predict another? The rank correlation of gains and of worths over the providers that both have."""
    from ..agreement import of_boards
    from ..attempts import from_entry
    from ..entry import load_entries
    from ..sealed import require_sealed
    from ..standings import boards

    made = boards([attempt for entry in load_entries(entries) for attempt in from_entry(require_sealed(entry))])
    found = [_of_films(made, task, films, preset) for films in (first, second)]
    gains, worths = of_boards(*found)
    if as_json:
        print(json.dumps({"gains": _as_json(gains), "worths": _as_json(worths)}, indent=1))
        return
    tell(f"{found[0].title} and {found[1].title}")
    tell(f"gains   {gains.sentence}")
    tell(f"worths  {worths.sentence}")


def _of_films(made: Sequence[Board], task: str, films: str, preset: str) -> Board:
    """The newest board of a task on some films. InputError names those that there are."""
    mine = [board for board in made if (board.key.task, board.key.data, board.key.preset) == (task, films, preset)]
    if not mine:
        known = ", ".join(board.title for board in made) or "none"
        raise InputError(f"no board of {task} on {films} at {preset}; there are: {known}")
    return max(mine, key=lambda board: board.key.version)


def _as_json(found: Agreement) -> dict[str, Any]:
    """The numbers, without infinities, which JSON does not have: worths beyond the curve are null."""
    values = asdict(found) | {"sentence": found.sentence}
    for side in ("first", "second"):
        values[side] = [value if math.isfinite(value) else None for value in values[side]]
    return values
