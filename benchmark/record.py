"""Records: one JSON per cell, which anyone can re-score without a GPU. The schema is numbered; unknown keys are refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import StoreError

SCHEMA = 1


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)


class ProviderIdentity(Strict):
    """Which generator, exactly. `code` is the sha256 of the source that defines it; `label_by` says where the annotations
    of its films come from (`adapters.LabelBy`)."""

    name: str
    spec: str
    code: str
    settings: dict[str, Any]
    label_by: str = "native"

    @property
    def title(self) -> str:
        """The name with what tables must not hide: `lsgan (labels by teacher)`."""
        return self.name if self.label_by == "native" else f"{self.name} (labels by {self.label_by})"


class TaskIdentity(Strict):
    """Which protocol, exactly. `depends_on`: digests of what else its numbers depend on (`Task.depends_on`)."""

    name: str
    version: int
    code: str
    settings: dict[str, Any]
    depends_on: dict[str, str] = {}


class DataIdentity(Strict):
    """Which films, exactly (at the resolutions of fitting and of testing). `truth`: digest of what the test is scored
    against, without the pixels of the films; empty in records from before it was kept."""

    name: str
    digest: str
    provenance: str = ""
    version: str = ""
    truth: str = ""


class CellIdentity(Strict):
    """One downstream training, named completely; its key is the sha256 of its canonical JSON."""

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
    curves: dict[str, Curve] = {}
    weights: str = "none"
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
    checks: dict[str, Any] = {}
    files: dict[str, str] = {}
    created: str


class Failure(Strict):
    """A step that failed: shown, retried by the next run, never taken for a result."""

    key: str
    step: str
    message: str
    detail: str = ""
    created: str


def utc_now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Model = TypeVar("Model", bound=BaseModel)


def read_json(path: Path, model: type[Model], schema: int | None = None) -> Model:
    """A model from a JSON file; StoreError says what is wrong, with separate words for too old and too new."""
    try:
        raw = path.read_bytes()
        found = model.model_validate_json(raw)
    except FileNotFoundError:
        raise StoreError(f"{path} is missing") from None
    except (OSError, ValidationError) as error:
        detail = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise StoreError(f"{path} is not a valid {model.__name__}: {detail}") from None
    version: Any = getattr(found, "schema_version", schema)
    if schema is not None and version != schema:
        age = "newer than this version reads; update cxrbench" if version > schema else "too old; run it again"
        raise StoreError(f"{path} has schema {version}, which is {age} (expected {schema})")
    return found
