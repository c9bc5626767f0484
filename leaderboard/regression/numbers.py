"""Reproduced numbers as `tests/regression` keeps them: of every system on its board, by seed, with the tolerance of each.

One file a system, `TASK-PROVIDER.json`, and one for what all systems of a task share, `TASK-real.json`: REAL and placebos.
A file is written by `cxrbench regress --update` from a committed entry or a finished run, never by hand: what follows from
the values (mean, sd) is checked when it is read.

A rerun on the machine, packages and code that made the values gives them bit for bit. Elsewhere a training goes another way
from the first rounding on, so that a rerun is one more draw of the same system: it must lie in the prediction interval of
one more seed, mean +- t(1 - ALPHA / 2, n - 1) x sd x sqrt(1 + 1 / n). With five seeds that is 9.4 sd. As sd stands the
larger of a number's own and the root mean square over the structures of its size, arm and metric, since five equal values
are no proof of a spread of 0; a count (a metric without decimals) may always differ by COUNT.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from ...benchmark.errors import InputError
from ...benchmark.files import write_text
from ...benchmark.results.rows import Results, SeedValue
from ...benchmark.runs.record import Environment
from ...benchmark.schema import Strict
from ..arms import REAL, is_shared

SCHEMA = 1
ALPHA = 0.001
"""Of reruns elsewhere, the share whose single number is beyond its tolerance by chance, at the most."""
COUNT = 3.0
"""Of a rare event that five seeds did not show, the next shows no more in 99.97 of 100 cases (Poisson, Jeffreys prior)."""
EXACT = 1e-6
"""How far a number that is computed again from the same predictions may be from the kept one, as a share (of 1 at least)."""
FEWEST = 5
FINGERPRINTS = "fingerprints.json"


class Place(NamedTuple):
    """Where a number stands in a system's table."""

    size: str
    arm: str
    metric: str
    structure: str

    def __str__(self) -> str:
        return f"{self.arm} {self.size} {self.metric} of {self.structure}"


class Number(Strict):
    """One number: its values in the order of the file's seeds, their mean and standard deviation (n - 1), how far the value
    of one more seed may be from the mean, and the mean when it was last allowed to move (`anchor`)."""

    size: str
    arm: str
    metric: str
    structure: str
    values: list[float] = Field(min_length=FEWEST)
    mean: float
    sd: float = Field(ge=0)
    tolerance: float = Field(ge=0)
    anchor: float

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.size, self.arm, self.metric, self.structure)

    def allows(self, value: float, about: float) -> bool:
        """Whether a value is within the tolerance of `about`, the mean or the anchor. Both are kept rounded: where nothing
        was spread the tolerance is 0, and the same value is allowed."""
        return exactly(value, about) or abs(value - about) <= self.tolerance

    @model_validator(mode="after")
    def _follows(self) -> Self:
        mean, sd = _mean_and_sd(self.values)
        if not math.isclose(mean, self.mean, rel_tol=1e-7, abs_tol=1e-12):
            raise ValueError(f"{self.place}: the mean of its values is {mean:.8g}, the file says {self.mean:.8g}")
        if not math.isclose(sd, self.sd, rel_tol=1e-6, abs_tol=1e-12):
            raise ValueError(f"{self.place}: the sd of its values is {sd:.8g}, the file says {self.sd:.8g}")
        return self


class System(Strict):
    """The provider of a file, and the settings (as they are in keys) that its numbers stand for."""

    name: str
    spec: str
    label_by: str
    settings: dict[str, Any]


class Change(Strict):
    """One time that a file was written, and why."""

    created: str
    cxrbench: str
    version: int
    reason: str


class Kept(Strict):
    """A file of numbers. `provider` is None for REAL and placebos. `entry` has the predictions, None where the numbers are a
    run's; `environments`: where the values were made, and `processor` the kind of chip, where the update was made there too
    (None elsewhere); `lines`: digests of the changelog's lines that named this protocol then."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    task: str
    version: int
    data: str
    data_digest: str
    data_truth: str = ""
    preset: str
    provider: System | None
    entry: str | None
    seeds: list[int]
    environments: list[Environment]
    processor: str | None = None
    lines: list[str]
    history: list[Change]
    numbers: list[Number]

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        system = REAL if self.provider is None else self.provider.name
        if self.provider is not None and self.provider.label_by != "native":
            system += f"-{self.provider.label_by}"
        return re.sub(r"[^a-z0-9_.-]", "_", f"{self.task}-{system}".lower())

    @property
    def sizes(self) -> list[str]:
        """The sizes that it has numbers of."""
        return list(dict.fromkeys(number.size for number in self.numbers))

    @property
    def by_place(self) -> dict[Place, Number]:
        """Its numbers by their place."""
        return {number.place: number for number in self.numbers}

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.numbers or len(self.by_place) < len(self.numbers):
            raise ValueError("it has no numbers, or one of them twice")
        if lacking := [number for number in self.numbers if len(number.values) != len(self.seeds)]:
            raise ValueError(f"{lacking[0].place} has {len(lacking[0].values)} values for {len(self.seeds)} seeds")
        return self


# ------------------------------------------------------------------------------------------------ from results to numbers


def numbers_of(results: Results, values: Iterable[SeedValue], *, real: bool) -> list[Number]:
    """The numbers of REAL and placebos (`real`), or those of all other arms, of a whole run: a number that is absent in a
    seed is left out.

    InputError where there are too few seeds for a spread.
    """
    if len(results.seeds) < FEWEST:
        raise InputError(
            f"{results.provider.title} on {results.task.name}: {len(results.seeds)} seeds; a tolerance is measured over "
            f"{FEWEST} seeds at least: run it again with --seeds 5"
        )
    found: dict[Place, dict[int, float]] = {}
    for one in values:
        if is_shared(one.arm) is real:
            place = Place(one.size, one.arm, one.metric, one.structure)
            found.setdefault(place, {})[one.seed] = one.value
    rows = {
        place: [by_seed[seed] for seed in results.seeds]
        for place, by_seed in found.items()
        if set(by_seed) == set(results.seeds)
    }
    return [_number(place, rows, count=results.task.metric(place.metric).decimals == 0) for place in rows]


def _number(place: Place, rows: Mapping[Place, list[float]], *, count: bool) -> Number:
    values = rows[place]
    mean, sd = _mean_and_sd(values)
    alike = [_mean_and_sd(other)[1] for there, other in rows.items() if there[:3] == place[:3]]
    return Number(
        **place._asdict(),
        values=values,
        mean=_short(mean),
        sd=_short(sd),
        tolerance=_short(tolerance(sd, alike, len(values), count=count)),
        anchor=_short(mean),
    )


def tolerance(sd: float, alike: Sequence[float], seeds: int, *, count: bool = False) -> float:
    """How far the value of one more seed may be from the mean of `seeds` values with standard deviation `sd`; `alike` are
    the standard deviations of all structures of its size, arm and metric (see above)."""
    from scipy.stats import t

    spread = max(sd, math.sqrt(float(np.mean(np.square(alike)))) if len(alike) else 0.0)
    found = float(t.ppf(1 - ALPHA / 2, seeds - 1)) * spread * math.sqrt(1 + 1 / seeds)
    return max(found, COUNT) if count else found


def _mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1))


def _short(value: float) -> float:
    return float(f"{value:.9g}")


def exactly(found: float, kept: float) -> bool:
    """Whether a number is the kept one but for rounding."""
    return abs(found - kept) <= EXACT * max(1.0, abs(kept))


# ------------------------------------------------------------------------------------------------------------- the files


def read_kept(folder: Path) -> dict[str, Kept]:
    """The files of a folder by name; none where there is no such folder. InputError says what is wrong with one."""
    return {path.stem: _read(path) for path in sorted(folder.glob("*.json")) if path.name != FINGERPRINTS}


def _read(path: Path) -> Kept:
    try:
        raw = json.loads(path.read_bytes())
        if isinstance(raw, dict) and raw.get("schema") != SCHEMA:
            raise InputError(f"{path} has schema {raw.get('schema')}, this version reads {SCHEMA}")
        kept = Kept.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(f"{path}: {where}: {first['msg']}; write it with `cxrbench regress --update`") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if kept.name != path.stem:
        raise InputError(f"{path} holds the numbers of {kept.name}; name it {kept.name}.json")
    return kept


def write_kept(folder: Path, kept: Kept) -> Path:
    """Write a file, one number a line, so that a change of it can be read."""
    value = kept.model_dump(mode="json", by_alias=True)
    lines = [json.dumps(number, allow_nan=False) for number in value.pop("numbers")]
    head = json.dumps(value, indent=1, allow_nan=False)
    text = head.removesuffix("\n}") + ',\n "numbers": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n"
    path = folder / f"{kept.name}.json"
    write_text(path, text)
    return path
