"""Elements of a DICOM file as they come: missing, empty, of several values, or not of the form they should have."""

from __future__ import annotations

import math
from typing import Any


def numbers(data: Any, *keywords: str) -> tuple[float, ...]:
    """The finite numbers of elements, in order; those that are missing, empty or no numbers are left out."""
    return tuple(one for one in loose_numbers(data, *keywords) if one is not None)


def loose_numbers(data: Any, *keywords: str) -> tuple[float | None, ...]:
    """As `numbers`, with None in the place of a value that is empty or no number."""
    found: list[float | None] = []
    for keyword in keywords:
        value = element(data, keyword)
        if value is None:
            continue
        single = isinstance(value, (str, bytes, int, float)) or not hasattr(value, "__iter__")
        found += [_number(one) for one in ([value] if single else value)]
    return tuple(found)


def word(data: Any, keyword: str) -> str:
    """An element as one word in capitals; "" where it is missing or empty. Of several values the first."""
    value = element(data, keyword)
    if value is None:
        return ""
    if not isinstance(value, (str, bytes)) and hasattr(value, "__iter__"):
        value = next(iter(value), "")
    return " ".join(str(value).upper().split())


def element(data: Any, keyword: str) -> Any:
    """The value of an element, or None where it is missing, empty or cannot be made out."""
    try:
        value = data.get(keyword)
        empty = value is None or (hasattr(value, "__len__") and len(value) == 0)
    except Exception:  # pydicom makes values when they are asked for, and raises anything for a damaged one
        return None
    return None if empty else value


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
