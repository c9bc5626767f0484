"""What is kept of a lung region generator: what made it, and how well it finds lungs."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ...benchmark.runs.record import DataIdentity
from ...benchmark.schema import Strict

SCHEMA = 1


class Spread(Strict):
    """Mean and sample standard deviation over films."""

    mean: float
    stddev: float


class CrossValidation(Strict):
    """How well the U-Net finds the lungs of films it was not trained on: every film is tested once."""

    folds: int
    films: int
    dice: Spread
    iou: Spread
    fold_dice: list[float]
    fold_iou: list[float]
    seconds: float


class LungRecord(Strict):
    """What a kept generator is and what made it."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    key: str
    settings: dict[str, Any]
    data: DataIdentity
    films: int
    held_out_films: int
    held_out_loss: float
    parameters: int
    code: str
    packages: dict[str, str]
    device: str
    precision: str
    seconds: float
    weights_sha256: str
    created: str
    cross_validation: CrossValidation | None = None
