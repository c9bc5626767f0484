"""The command line. Commands import what they need when they run, so that help is quick; those of what stands above this
package (leaderboard, tasks) are found by their entry points.

Exit codes: 0 complete; 1 some cells failed; 2 wrong input, nothing was changed; 130 interrupted, resumable.
"""

from __future__ import annotations

import importlib
import os
import sys

import typer

from ..console_tables import tell
from ..disk import trouble
from ..errors import CxrbenchError, InputError, one_line, require_utf8
from ..home import home
from ..registry import COMMANDS, plugins
from .audit import audit
from .card import card
from .check import check
from .cost import cost
from .curve import curve
from .data import app as data_app
from .fit import fit
from .init import init
from .listing import list_
from .models import models
from .numeric import worded
from .offers import plugins_
from .reader_study import app as reader_study_app
from .reidentify import reidentify
from .report import compare, report
from .run import run
from .store import app as store_app
from .table import table
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
app.command("init")(init)
app.command("fit")(fit)
app.command("list")(list_)
app.command("curve")(curve)
app.command("models")(models)
app.command("audit")(audit)
app.command("reidentify")(reidentify)
app.command("report")(report)
app.command("card")(card)
app.command("compare")(compare)
app.command("table")(table)
app.command("check")(check)
app.command("cost")(cost)
app.command("throughput")(throughput)
app.command("plugins", hidden=True)(plugins_)
app.add_typer(data_app, name="data")
app.add_typer(store_app, name="store")
app.add_typer(reader_study_app, name="reader-study")
for command in plugins(COMMANDS).values():
    try:
        found = command.load()
    except CxrbenchError as error:  # of another package: the other commands work without it
        tell(f"warning: the command {command.name} is left out: {error}", sys.stderr)
        continue
    if not callable(found):
        tell(
            f"warning: the command {command.name} is left out: {command.module} has no function for it", file=sys.stderr
        )
    elif isinstance(found, typer.Typer):
        app.add_typer(found, name=command.name)
    else:
        app.command(command.name)(found)
worded(app)


def main() -> None:
    """Entry point: errors become one line and an exit code."""
    try:
        try:
            require_utf8(*sys.argv[1:])
            app()
        finally:
            _flush()
    except InputError as error:
        _end(trouble(error) or str(error), 2)
    except CxrbenchError as error:
        _end(trouble(error) or str(error), 1)
    except OSError as error:
        line = trouble(error)
        if not line and isinstance(error, PermissionError) and error.filename is not None:
            line = f"{error.filename}: {error.strerror}; see who may read and write there (CXRBENCH_HOME is {home()})"
        if not line:
            raise
        _end(line, 2)
    except MemoryError as error:
        _end(f"not enough memory: {one_line(error) or 'no more is given'}; ask for fewer or smaller films", 2)


def _flush() -> None:
    """What was printed goes out here, where a full disk below a redirected output gets its line; to a reader that is gone
    nothing is said."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else it is tried again when Python ends
        if not isinstance(error, BrokenPipeError):
            raise InputError(f"cannot write the output: {error.strerror or error}") from error


def _end(line: str, code: int) -> None:
    tell(f"error: {line}", sys.stderr)
    raise SystemExit(code) from None


@app.callback(invoke_without_command=True)
def root(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    """How useful are synthetic chest X-rays? Fit a generator, train on its films, test on real ones."""
    if version:
        tell(f"cxrbench {importlib.import_module('...', __package__).__version__}")
        raise typer.Exit
