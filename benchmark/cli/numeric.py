"""Options that are numbers, in our words: what was expected and what was found, whichever library reads the command line."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from ..errors import one_line

NUMBERS: dict[Any, str] = {int: "whole number", float: "number"}
_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")


def worded(app: typer.Typer) -> typer.Typer:
    """A program whose options say in our words what is no number: those of its commands, and of its programs'."""
    for command in app.registered_commands:
        if command.callback is not None:
            _word(command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            worded(group.typer_instance)
    return app


def _word(function: Callable[..., Any]) -> None:
    """Give every option of a command that is a number, and has no reader of its own, one that says what it expects."""
    try:
        hints = get_type_hints(inspect.unwrap(function), include_extras=True)
    except (NameError, TypeError, AttributeError):  # of a plug-in: its own words then
        return
    for hint in hints.values():
        if get_origin(hint) is not Annotated:
            continue
        kinds = [kind for kind in (get_args(hint)[0], *get_args(get_args(hint)[0])) if kind in NUMBERS]
        for info in get_args(hint)[1:]:
            if kinds and isinstance(info, typer.models.ParameterInfo) and info.parser is None:
                info.parser, info.metavar = (
                    _reader(kinds[0], info.min, info.max),
                    info.metavar or f"<{kinds[0].__name__}>",
                )
    function.__annotations__ = hints


def _reader(kind: Any, low: float | None, high: float | None) -> Callable[[Any], Any]:
    return lambda text: _read(text, kind, low, high)


def _read(text: Any, kind: Any, low: float | None, high: float | None) -> Any:
    said = str(text).strip()
    try:
        found = kind(said) if kind is float or _WHOLE.fullmatch(said) else math.nan
    except ValueError:
        found = math.nan
    if (
        not math.isfinite(found)
        or "_" in said
        or (low is not None and found < low)
        or (high is not None and found > high)
    ):
        ends = [f"at least {low:g}"] if low is not None else []
        ends += [f"at most {high:g}"] if high is not None else []
        of = f" of {' and '.join(ends)}" if ends else ""
        raise typer.BadParameter(f"expected a {NUMBERS[kind]}{of}, found {one_line(text, 80)!r}")
    return found
