"""What one process tells another of an entry that it has read: its attempts as a line of JSON, and back, to the same values.

A process of ours reads an entry and hands over plain values; nothing is pickled. The line holds no place of this machine: a
sample is named by its path in the entry's folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import from_json

from ..benchmark.registry import TASKS, plugins
from .attempts import Attempt, Entrant, Place, protocol_of
from .published import metrics_beside, published

APART = {"entrant", "values", "known"}
"""Fields that are not as pydantic would write them: the same for all attempts of an entry; mappings with keys of four; what
the line itself says."""


@cache
def _attempts() -> TypeAdapter[Attempt]:
    return TypeAdapter(Attempt)


@cache
def _entrants() -> TypeAdapter[Entrant]:
    return TypeAdapter(Entrant)


@cache
def _same(place: Place) -> Place:
    """One tuple for a place that many attempts have."""
    return place


def to_line(attempts: Sequence[Attempt], folder: Path) -> str:
    """The attempts of the entry in a folder, in one line."""
    entrant: dict[str, Any] = {}
    if attempts:
        one = attempts[0].entrant
        samples = [path.relative_to(folder).as_posix() for path in one.samples]
        entrant = asdict(replace(one, samples=())) | {"samples": samples}
    parts = [
        _attempts().dump_python(attempt, mode="json", exclude=APART) | {"values": _plain(attempt)}
        for attempt in attempts
    ]
    return json.dumps({"entrant": entrant, "attempts": parts}, separators=(",", ":"), allow_nan=False)


def for_site(attempt: Attempt) -> Attempt:
    """The attempt with those numbers alone that the site shows: of the metric that ranks, and of those that papers print
    beside it."""
    shown = {attempt.protocol.primary.name} | metrics_beside(attempt.key.task, attempt.key.data)
    return replace(attempt, values={place: found for place, found in attempt.values.items() if place[2] in shown})


def shown_metrics() -> list[list[str]]:
    """What `for_site` keeps by: the metric that ranks in each installed task, and those that papers print."""
    primary = [[task, "", found.primary.name] for task in plugins(TASKS) if (found := protocol_of(task)) is not None]
    return sorted([*primary, *map(list, {(one.task, one.data, one.metric) for one in published()})])


def from_line(line: str | bytes, folder: Path) -> list[Attempt]:
    """The attempts of a line, of an entry that lies in this folder. ValueError for what is no such line.

    The protocol is that of the installed task, as `from_results` has it.
    """
    said, seal = from_json(line), hashlib.sha256(line if isinstance(line, bytes) else line.encode()).hexdigest()
    try:
        if not said["attempts"]:
            return []
        samples = tuple(folder / name for name in said["entrant"]["samples"])
        entrant = replace(_entrants().validate_python(said["entrant"] | {"samples": []}), samples=samples)
        return [_attempt(part, entrant, f"{seal}-{place}") for place, part in enumerate(said["attempts"])]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no attempts of an entry: {error}") from None


def _attempt(part: dict[str, Any], entrant: Entrant, known: str) -> Attempt:
    values = {
        _same((size, arm, metric, structure)): dict(zip(seeds, numbers, strict=True))
        for size, arm, metric, structure, seeds, numbers in part["values"]
    }
    found = _attempts().validate_python(part | {"entrant": entrant, "values": {}})
    made = replace(found, values=values, protocol=protocol_of(found.key.task) or found.protocol)
    object.__setattr__(made, "known", known)
    return made


def _plain(attempt: Attempt) -> list[list[Any]]:
    return [[*place, list(by_seed), list(by_seed.values())] for place, by_seed in attempt.values.items()]
