"""Organs by their names: which are lungs."""

from __future__ import annotations

from collections.abc import Sequence


def lung_organs(organs: Sequence[str]) -> tuple[str, ...]:
    """Of the names of organs those that are lungs (`left_lung`, `right_lung`, `lungs`), in their order."""
    return tuple(name for name in organs if "lung" in name.lower())
