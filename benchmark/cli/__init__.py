"""The command line, `program`. It is made when it is asked for: a command of what stands above this package is found by its
entry point, and its module imports from here."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """`app` and `main` of `program`."""
    if name in ("app", "main"):
        from . import program

        return getattr(program, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
