"""Records: one JSON per cell, which anyone can re-score without a GPU. The schema is numbered; unknown keys are refused."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ..schema import Strict

SCHEMA = 1
OTHER_FILMS = "given other real films"
"""What every name says of a provider that is given real training films outside of the size."""


class ProviderIdentity(Strict):
    """Which generator, exactly. `code` is the sha256 of the source that defines it; `label_by` says where the annotations
    of its films come from (`label_by.LabelBy`); `entry`: the name of the leaderboard's entry that the seeds of its fits and
    samples come from, so that nobody can choose them (empty: from the cell alone). `kept`: the step of a training, by its
    name, at which a person who looked at its samples ended it (none: every training is whole)."""

    name: str
    spec: str
    code: str
    settings: dict[str, Any]
    label_by: str = "native"
    entry: str = ""
    kept: dict[str, int] = Field(default_factory=dict)
    rest: bool = False
    """Whether it is given the real training films outside of the size (`Provider.takes_rest`), which its code says."""

    @property
    def title(self) -> str:
        """The name with what tables must not hide: `lsgan (labels by teacher)`."""
        steps = ", ".join(f"{name} {step}" for name, step in self.kept.items())
        said = [] if self.label_by == "native" else [f"labels by {self.label_by}"]
        said += [OTHER_FILMS] if self.rest else []
        said += [f"kept by eye at {steps}"] if steps else []
        return f"{self.name} ({'; '.join(said)})" if said else self.name


class TaskIdentity(Strict):
    """Which protocol, exactly. `depends_on`: digests of what else its numbers depend on (`Task.depends_on`)."""

    name: str
    version: int
    code: str
    settings: dict[str, Any]
    depends_on: dict[str, str] = Field(default_factory=dict)


class DataIdentity(Strict):
    """Which films, exactly (at the resolutions of fitting and of testing). `truth`: digest of what the test is scored
    against, without the pixels of the films; empty in records from before it was kept."""

    name: str
    digest: str
    provenance: str = ""
    version: str = ""
    truth: str = ""


class CellIdentity(Strict):
    """One downstream training, named completely; its key is the sha256 of its canonical JSON.

    `placebo`: it has copies of its real films in place of synthetic ones; then there is no provider. `synthetic`: how many
    synthetic films (or copies) it has, where that is not the number that its task says.
    """

    task: TaskIdentity
    data: DataIdentity
    preset: str
    fold: str
    size: str
    arm: str
    seed: int
    device: str
    packages: dict[str, str]
    provider: ProviderIdentity | None = None
    placebo: bool = False
    synthetic: int | None = None


class Cost(Strict):
    """What a provider costs (design: issue of cost in every record). Rates are images per second."""

    parameters: int
    fit_seconds: float
    train_images_per_second: float | None = None
    sample_images_per_second: float
    peak_memory_bytes: int
    device: str
    precision: str
    threads: int
    weights: str = "none"


class Curve(Strict):
    """A training curve: rows of step and losses."""

    rows: list[dict[str, float]]
    images_per_second: float | None = None
    precision: str | None = None


class Value(Strict):
    """One number of a cell's table."""

    metric: str
    structure: str
    value: float


class Environment(Strict):
    """Where the numbers were made."""

    cxrbench: str
    python: str
    platform: str
    device: str
    threads: int
    packages: dict[str, str]


class Downstream(Strict):
    """The downstream training of a cell."""

    seconds: float
    train_films: int
    test_films: int
    synthetic_films: int
    real_films: int | None = None
    """Different real films of its size, before augmentation; None in records from before it was kept."""
    curves: dict[str, Curve] = Field(default_factory=dict)
    weights: str = "none"
    peak_memory_bytes: int


class Fit(Strict):
    """What a fit took and left: the `fit.json` beside a fitted provider."""

    seconds: float
    train_images_per_second: float | None = None
    parameters: int
    peak_memory_bytes: int
    precision: str
    weights: str
    curves: dict[str, Curve] = Field(default_factory=dict)
    kept: dict[str, int] = Field(default_factory=dict)
    """The step of a training at which a person ended it, by its name; `kept_by` says so."""
    kept_by: str = ""


class Sampled(Strict):
    """How a synthetic dataset was sampled and what was found in it: the `synthetic.json` beside its films."""

    checks: dict[str, Any]
    sample_images_per_second: float
    rounds: int
    """Over which the rate is the median."""
    seconds: float
    peak_memory_bytes: int


class Record(Strict):
    """The result of one cell. `files` names the case scores, predictions and model beside it with their sha256."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    key: str
    cell: CellIdentity
    table: list[Value]
    train_ids: str
    """sha256 over the sorted ids of the training films."""
    test_ids: str
    """sha256 over the sorted ids of the test films."""
    downstream: Downstream
    cost: Cost | None = None
    environment: Environment
    synthetic_key: str | None = None
    fit_key: str | None = None
    checks: dict[str, Any] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)
    created: str


class Failure(Strict):
    """A step that failed: shown, retried by the next run, never taken for a result."""

    key: str
    step: str
    message: str
    detail: str = ""
    created: str
