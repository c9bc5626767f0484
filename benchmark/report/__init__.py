"""The report of a run: one HTML page that needs nothing else, made from a run's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .page import Report, build

__all__ = ["Report", "build"]


def __getattr__(name: str) -> Any:  # the words of a run are read without what draws it
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import page

    return getattr(page, name)
