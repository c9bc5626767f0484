"""What `cxrbench throughput` writes: how many films a second providers train on and sample, on one device.

Numbers are medians over rounds in which the work and a reference kernel took turns in one process (`kernels.Reference`):
rates say something about the device they were measured on; films per reference call hardly depend on how busy it was, and
FLOPs a film on neither. The schema is numbered; unknown keys are refused. Read without torch, by the leaderboard too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from ..bounds import TooMuch, check_json, validator
from ..errors import InputError
from ..schema import Strict

SCHEMA: Literal[1] = 1
FILE = "throughput.json"

Source = Literal["short training", "whole fit", "stored fit"]
"""Whose networks were sampled: where films are drawn again until they are good, trained ones need fewer draws."""


class Spread(Strict):
    """The median over rounds, and the quartiles around it."""

    median: float = Field(ge=0)
    low: float = Field(ge=0)
    high: float = Field(ge=0)
    rounds: int = Field(ge=1)

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """The spread of at least one value."""
        low, median, high = (float(value) for value in np.quantile(np.asarray(values), [0.25, 0.5, 0.75]))
        return cls(median=median, low=low, high=high, rounds=len(values))

    @property
    def relative(self) -> float:
        """The distance of the quartiles as a share of the median."""
        return (self.high - self.low) / self.median if self.median else 0.0


class Peak(Strict):
    """The most floating-point operations that a large product or convolution reached, a second and in the time of one call
    of the reference kernel."""

    flops_per_second: float = Field(gt=0)
    flops_per_reference: float = Field(gt=0)


class Rate(Strict):
    """Films a second of one kind of work. `flops_per_film` and `share_of_peak` are None where nothing was counted: a
    provider without networks."""

    films_per_second: Spread
    films_per_reference: Spread
    """Films in the time of one call of the reference kernel."""
    flops_per_film: float | None = Field(default=None, gt=0)
    share_of_peak: float | None = Field(default=None, ge=0)
    """FLOPs in the time of a call of the reference, as a share of the peak in that time: load slows both alike."""
    precision: str


class TrainingPart(Rate):
    """One training of a fit: the steps that were timed had `batch` films each."""

    name: str
    batch: int = Field(ge=1)
    steps: int = Field(ge=1)
    """Steps of a round."""
    first_step_seconds: float = Field(ge=0)


class Sampling(Rate):
    """Rounds of `films` films each."""

    films: int = Field(ge=1)
    source: Source


class Row(Strict):
    """One provider at one batch size (None: its preset's own). A row with an `error` has no rates."""

    key: str
    """sha256 over code, settings, data and how it was measured."""
    provider: str
    preset: str
    task: str
    data: str
    batch: int | None = Field(default=None, ge=1)
    created: str
    seconds: float = Field(default=0.0, ge=0)
    """What measuring took."""
    training_films: int = Field(default=0, ge=0)
    resolution: int = Field(default=0, ge=0)
    parameters: int = Field(default=0, ge=0)
    training: Rate | None = None
    """Of an epoch in which every part is trained once on every film."""
    parts: tuple[TrainingPart, ...] = ()
    sampling: Sampling | None = None
    peak_memory_bytes: int = Field(default=0, ge=0)
    reference_seconds: float = Field(default=0.0, ge=0)
    """One call of the reference kernel, median."""
    peaks: dict[str, Peak] = Field(default_factory=dict)
    """By type of number: float32, bfloat16."""
    device: str = ""
    threads: int = Field(ge=1)
    load: float | None = None
    """Processes that wanted a processor over the last minute before."""
    packages: dict[str, str] = Field(default_factory=dict)
    python: str = ""
    notes: tuple[str, ...] = ()
    error: str = ""

    @property
    def title(self) -> str:
        """`vae`, or `vae, batch 8`."""
        return self.provider if self.batch is None else f"{self.provider}, batch {self.batch}"


class Throughput(Strict):
    """All rows of one device."""

    schema_: Literal[1] = Field(default=SCHEMA, alias="schema")
    cxrbench: str
    machine: str
    """sha256 over the machine's description, so that rows of two do not mix."""
    asked_device: str
    rows: tuple[Row, ...]

    @model_validator(mode="after")
    def _one_device(self) -> Self:
        devices = {row.device for row in self.rows if row.device}
        if len(devices) > 1:
            raise ValueError(f"rows of several devices: {', '.join(sorted(devices))}")
        return self

    @property
    def device(self) -> str:
        """The name of the chip; empty where no row has rates."""
        return next((row.device for row in self.rows if row.device), "")

    def to_json(self) -> str:
        """As it is written."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"


def read_throughput(path: Path) -> Throughput:
    """The rates of a file, or of a folder with `throughput.json`. InputError: missing, too old, too new or wrong."""
    file = path / FILE if path.is_dir() else path
    try:
        text = file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}; expected what throughput writes") from None
    try:
        check_json(text.decode("utf-8", "replace"))
    except TooMuch as error:
        raise InputError(f"{file} {error}; measure again") from None
    try:
        found: Throughput = validator(Throughput).validate_json(text)
        return found
    except ValidationError as error:
        raise InputError(f"{file}: {_why(text, error)}") from None


def _why(text: bytes, error: ValidationError) -> str:
    found = _schema_of(text)
    if found is not None and found > SCHEMA:
        return f"schema {found} is newer than this cxrbench, which reads {SCHEMA}: update it"
    if found is not None and found < SCHEMA:
        return f"schema {found} is too old, expected {SCHEMA}: measure again"
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"not rates as throughput writes them ({where}: {first['msg']})"


class _Head(Strict, extra="ignore"):
    schema_: int = Field(alias="schema")


def _schema_of(text: bytes) -> int | None:
    try:
        return _Head.model_validate_json(text).schema_
    except ValidationError:
        return None
