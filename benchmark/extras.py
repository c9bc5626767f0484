"""Packages that the extras of cxrbench bring (`pip install "cxrbench[diffusion]"`), by the names that code imports."""

from __future__ import annotations

import re
from functools import cache
from importlib import metadata

_REQUIRED = re.compile(r"([A-Za-z0-9._-]+).*;.*\bextra\s*==\s*['\"]([a-z]+)['\"]")
_NOT_FOR_RUNS = ("all", "docs", "test")


@cache
def brought() -> dict[str, str]:
    """The extra that brings a package, by the name that code imports; empty where cxrbench is not installed."""
    try:
        required = metadata.requires("cxrbench") or []
    except metadata.PackageNotFoundError:
        return {}
    found = [match.groups() for text in required if (match := _REQUIRED.match(text))]
    return {name.lower().replace("-", "_"): extra for name, extra in found if extra not in _NOT_FOR_RUNS}


def cure_for(error: Exception) -> str:
    """What to do about an error: `; pip install 'cxrbench[EXTRA]'` for a module that an extra brings, else nothing."""
    name = (error.name or "") if isinstance(error, ModuleNotFoundError) else ""
    extra = brought().get(name.partition(".")[0])
    return "" if extra is None else f"; pip install 'cxrbench[{extra}]'"
