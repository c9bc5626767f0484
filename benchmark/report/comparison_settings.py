"""Runs whose task settings differ: what differs, and what may still stand in one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..results.finished import REAL
from ..results.rows import Results


def differing_settings(a: Results, b: Results) -> dict[str, tuple[str, str]]:
    """The task settings that differ between two runs, by their dotted names, as both have them."""
    ours, theirs = _flat(a.task.settings), _flat(b.task.settings)
    names = sorted(ours.keys() | theirs.keys())
    return {name: (ours.get(name, "–"), theirs.get(name, "–")) for name in names if ours.get(name) != theirs.get(name)}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in settings.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": str(value)}
    return found


def settings_in(results: Results, a: Results, b: Results) -> str:
    """The task settings that differ between two runs, as one of them has them."""
    side = 0 if results is a else 1
    return ", ".join(f"{name}={values[side]}" for name, values in differing_settings(a, b).items())


def both_real(a: Results, b: Results) -> bool:
    """Whether two runs have REAL at a size of both."""
    sizes = {info.size for info in a.sizes} & {info.size for info in b.sizes}
    return any(REAL in a.arms_of(size) and REAL in b.arms_of(size) for size in sizes)
