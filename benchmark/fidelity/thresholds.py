"""Thresholds that fail an audit: `copies>0,fd_ratio>3,coverage<0.5`, for the CI of a generator.

A number with an interval is past a threshold where its whole interval is: `fd_ratio>3` fails where the lower end is above
3, `coverage<0.5` where the upper end is below 0.5. What lies on both sides is no failure, and is said.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import InputError, unknown

_SIGNS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM = re.compile(r"([a-z_]+(?::[^<>=,]+)?)\s*(>=|<=|>|<)\s*(-?[0-9.]+(?:e-?[0-9]+)?)", re.IGNORECASE)
NAMES = (
    *("alarms", "agreement", "authentic", "copies", "copying", "coverage", "density", "fd_ratio", "ms_ssim"),
    *("membership", "patients", "patients_share", "precision", "recall", "repeats"),
)
Intervals = Mapping[str, tuple[float, float]]
"""Lower and upper ends by the name of a number; a number without one is as it is."""


@dataclass(frozen=True)
class Threshold:
    """A number by name, and what it must not be."""

    name: str
    sign: str
    limit: float

    def broken(self, value: float) -> bool:
        """Whether a value is what it must not be."""
        return _SIGNS[self.sign](value, self.limit)

    def __str__(self) -> str:
        return f"{self.name}{self.sign}{self.limit:g}"


def parse_thresholds(text: str) -> list[Threshold]:
    """The thresholds of `--fail-if`. InputError for another form or a name that is none."""
    found = []
    for part in filter(None, (one.strip() for one in text.split(","))):
        form = _FORM.fullmatch(part)
        if form is None:
            raise InputError(f"--fail-if {part}: expected NAME>NUMBER or NAME<NUMBER, like copies>0,fd_ratio>3")
        name, sign, limit = form.groups()
        if name.partition(":")[0] not in NAMES:
            raise unknown("number of --fail-if", name, NAMES, "fd_ratio:SPACE for one space")
        try:
            found.append(Threshold(name, sign, float(limit)))
        except ValueError:
            raise InputError(f"--fail-if {part}: '{limit}' is no number") from None
    return found


def broken(thresholds: list[Threshold], numbers: Mapping[str, float], intervals: Intervals | None = None) -> list[str]:
    """A line for each threshold that the numbers break, with their whole interval where they have one, or that names a
    number which this audit has not, or cannot tell."""
    lines = []
    for one in thresholds:
        if one.name not in numbers:
            lines.append(f"{one}: this audit has no number {one.name} (it has {', '.join(sorted(numbers))})")
        elif math.isnan(numbers[one.name]):
            lines.append(f"{one}: {one.name} could not be computed for these films")
        elif one.broken(_nearest(one, numbers, intervals or {})):
            lines.append(f"{one}: found {_found(one, numbers, intervals or {})}")
    return lines


def untold(thresholds: list[Threshold], numbers: Mapping[str, float], intervals: Intervals) -> list[str]:
    """A line for each threshold that a number is past, but not its whole interval: more films would tell."""
    return [
        f"{one}: found {_found(one, numbers, intervals)}: these films are too few to decide, so this is not a failure"
        for one in thresholds
        if one.name in intervals and one.broken(numbers[one.name]) and not one.broken(_nearest(one, numbers, intervals))
    ]


def _nearest(threshold: Threshold, numbers: Mapping[str, float], intervals: Intervals) -> float:
    """The end of the interval that is nearest to being no failure."""
    low, high = intervals.get(threshold.name, (numbers[threshold.name],) * 2)
    return low if threshold.sign.startswith(">") else high


def _found(threshold: Threshold, numbers: Mapping[str, float], intervals: Intervals) -> str:
    value = f"{numbers[threshold.name]:.4g}"
    if threshold.name not in intervals:
        return value
    low, high = intervals[threshold.name]
    return f"{value} ({low:.4g} to {high:.4g})"
