"""The command line. Commands import what they need when they run, so that help is quick; those of what stands above this
package (leaderboard, tasks) are found by their entry points.

Exit codes: 0 complete; 1 some cells failed; 2 wrong input, nothing was changed; 130 interrupted, resumable.
"""

from __future__ import annotations

import importlib
import sys

import typer

from ..errors import CxrbenchError, InputError
from ..registry import COMMANDS, plugins
from .check import check
from .cost import cost
from .curve import curve
from .data import app as data_app
from .listing import list_
from .offers import plugins_
from .reader_study import app as reader_study_app
from .report import compare, report
from .run import run
from .throughput import throughput

app = typer.Typer(
    name="cxrbench",
    help="How useful are synthetic chest X-rays? Fit a generator, train on its films, test on real ones.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run)
app.command("list")(list_)
app.command("curve")(curve)
app.command("report")(report)
app.command("compare")(compare)
app.command("check")(check)
app.command("cost")(cost)
app.command("throughput")(throughput)
app.command("plugins", hidden=True)(plugins_)
app.add_typer(data_app, name="data")
app.add_typer(reader_study_app, name="reader-study")
for command in plugins(COMMANDS).values():
    try:
        found = command.load()
    except CxrbenchError as error:  # of another package: the other commands work without it
        print(f"warning: the command {command.name} is left out: {error}", file=sys.stderr)
        continue
    if not callable(found):
        print(
            f"warning: the command {command.name} is left out: {command.module} has no function for it", file=sys.stderr
        )
    elif isinstance(found, typer.Typer):
        app.add_typer(found, name=command.name)
    else:
        app.command(command.name)(found)


def main() -> None:
    """Entry point: errors become one line and an exit code."""
    try:
        app()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except CxrbenchError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


@app.callback(invoke_without_command=True)
def root(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    """How useful are synthetic chest X-rays? Fit a generator, train on its films, test on real ones."""
    if version:
        print(f"cxrbench {importlib.import_module('...', __package__).__version__}")
        raise typer.Exit
