"""What attempts reached with each arm, and what of it was worked out before: by attempt as it was handed over, under the
digest of what a board asks of every attempt. It does not hang on the other attempts; ranks do, and are not kept here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from pydantic_core import from_json

from ..benchmark.significance.worth import Worth
from . import kept
from .attempts import Attempt
from .differences import Difference
from .gains import Gain

KIND = "arms"
NO_DIFFERENCE = Difference(None)


@dataclass(frozen=True)
class Arm:
    """What an attempt reached with one arm at one size: the primary metric's mean and deviation over `seeds`, its difference
    from REAL, its gain over its placebo, and what it is worth (at the size that ranks, for arms that the curve has)."""

    size: str
    arm: str
    seeds: int
    mean: float | None
    sd: float | None
    difference: Difference = NO_DIFFERENCE
    gain: Gain = field(default_factory=Gain)
    worth: Worth | None = None


class Before:
    """The arms of attempts for one question (`asked`, plain values): those that were kept, and a place for new ones."""

    def __init__(self, *asked: Any) -> None:
        self.key = kept.key_of(KIND, *asked)

    @cached_property
    def _found(self) -> dict[str, list[list[Any]]]:
        content = kept.find(KIND, self.key)
        return {} if content is None else from_json(content)

    def of(self, attempt: Attempt) -> list[Arm] | None:
        """Those of an attempt; None where they are not known."""
        said = self._found.get(attempt.known) if attempt.known else None
        return None if said is None else [_arm(*one) for one in said]

    def keep(self, found: Sequence[tuple[Attempt, Sequence[Arm]]]) -> None:
        """Keep the arms of these attempts alone, where one of them was not known."""
        there = {attempt.known: arms for attempt, arms in found if attempt.known}
        if there.keys() - self._found.keys():
            lines = {known: self._found.get(known) or [_plain(arm) for arm in arms] for known, arms in there.items()}
            kept.keep(KIND, self.key, json.dumps(lines, separators=(",", ":")).encode())


_GAIN, _DIFFERENCE, _WORTH = (tuple(one.name for one in fields(cls)) for cls in (Gain, Difference, Worth))


def _plain(arm: Arm) -> list[Any]:
    gain, worth = arm.gain, arm.worth
    return [
        arm.size,
        arm.arm,
        arm.seeds,
        arm.mean,
        arm.sd,
        [getattr(arm.difference, name) for name in _DIFFERENCE],
        [list(gain.by_seed), list(gain.by_seed.values()), *(getattr(gain, name) for name in _GAIN[1:])],
        None if worth is None else [getattr(worth, name) for name in _WORTH],
    ]


def _arm(
    size: str,
    arm: str,
    seeds: int,
    mean: float | None,
    sd: float | None,
    difference: list[Any],
    gain: list[Any],
    worth: list[Any] | None,
) -> Arm:
    by_seed: Mapping[int, float] = dict(zip(gain[0], gain[1], strict=True))
    numbers = dict(zip(_GAIN[1:], gain[2:], strict=True))
    numbers |= {name: tuple(numbers[name]) for name in ("failed", "failed_placebo")}
    return Arm(
        size,
        arm,
        seeds,
        mean,
        sd,
        Difference(*difference),
        Gain(by_seed=by_seed, **numbers),
        None if worth is None else Worth(*worth),
    )
