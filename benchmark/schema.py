"""Records as JSON files: strict models with a schema number, and how they are read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import StoreError

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)


def utc_now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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
