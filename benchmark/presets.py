"""The settings of a provider or task at every preset, with what each means: as its class says."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import is_dataclass
from itertools import pairwise
from typing import Any

from .settings import plain

SETTINGS = "settings.json"
"""Beside the modules of a package's plugins: what `table_of` says of each, so that it is shown without importing them."""
Table = dict[str, dict[str, Any]]
"""By setting, dotted as `--set` knows it: its value by preset, and under `about` what it means."""
ABOUT = "about"


def table_of(cls: type[Any]) -> Table:
    """The settings of a class with `presets`."""
    table: Table = {}
    for preset, settings in cls.presets.items():
        meanings = meanings_of(settings)
        for key, value in _flat(plain(settings), settings).items():
            table.setdefault(key, {ABOUT: meanings.get(key, "")})[preset] = value
    return table


def _flat(values: dict[str, Any], settings: Any, prefix: str = "") -> dict[str, Any]:
    """JSON values by dotted key; a dictionary that is the value of one setting stays whole."""
    found: dict[str, Any] = {}
    for name, value in vars(settings).items():
        if is_dataclass(value) and not isinstance(value, type):
            found |= _flat(values[name], value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = values[name]
    return found


def meanings_of(settings: Any, prefix: str = "") -> dict[str, str]:
    """What the docstrings below the fields of a dataclass say, by dotted key; fields without one are left out."""
    found: dict[str, str] = {}
    for cls in reversed(type(settings).__mro__):
        if is_dataclass(cls):
            found |= {f"{prefix}{name}": text for name, text in _docstrings(cls).items()}
    for name, value in vars(settings).items():
        if is_dataclass(value) and not isinstance(value, type):
            found |= meanings_of(value, f"{prefix}{name}.")
    return found


def _docstrings(cls: type[Any]) -> dict[str, str]:
    try:
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, ValueError, SyntaxError):
        return {}  # a class without its source
    body = node.body if isinstance(node, ast.ClassDef) else []
    found = {}
    for field, after in pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[field.target.id] = " ".join(str(after.value.value).split())
    return found
