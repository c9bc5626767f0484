"""What results.json says of further test sets, of groups of films and of mean average precision: optional parts, which runs
without them have not."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..runs.record import DataIdentity
from ..schema import Strict
from .gains import GainRow

Fraction = Annotated[float | None, Field(ge=0, le=1)]
Spread = Annotated[float | None, Field(ge=0)]


class FurtherRow(Strict):
    """One arm of one size on a further test set: the mean over `seeds` of the primary metric's average over `structures`,
    its deviation over seeds, and the gain over the placebo on the same films (None for REAL)."""

    data: DataIdentity
    phantom: bool
    films: int
    structures: list[str]
    size: str
    arm: str
    seeds: list[int]
    score: float
    sd: float | None = None
    gain: GainRow | None = None


class GroupRow(Strict):
    """The test films of a group (`sex` F) under one arm of one size: the mean over seeds of the primary metric's average,
    and the gap to the group of most films, this group minus that (None for that group itself).

    `low`, `high`: 95 % interval of the gap, by leaving out each tenth of the patients in turn (jackknife). `change`: the
    gap minus the placebo's, paired by seed, with its interval over seeds (None below five seeds, or where there is no
    placebo). `data`: the name of a further test set; empty for the run's own."""

    data: str = ""
    column: str
    group: str
    reference: str
    films: int
    patients: int
    size: str
    arm: str
    seeds: int
    score: float
    gap: float | None = None
    low: float | None = None
    high: float | None = None
    change: float | None = None
    change_low: float | None = None
    change_high: float | None = None
    change_p: float | None = None


class PrecisionRow(Strict):
    """Mean average precision of one arm and size (placebos too), 0 to 1, over IoU 0.50 to 0.95 (`map`), at 0.50 (`map_50`)
    and at the `overlap` of the task's own rule (`map_own`): means over `seeds` (of each the mean over folds), with their
    deviations over seeds. `note`: why there is no number."""

    size: str
    arm: str
    seeds: int = Field(ge=0)
    map: Fraction = None
    sd: Spread = None
    map_50: Fraction = None
    sd_50: Spread = None
    map_own: Fraction = None
    sd_own: Spread = None
    overlap: Fraction = None
    note: str = ""


class Elsewhere(Strict):
    """Further test sets and groups of a run; `left_out`: what could not be told, a line each."""

    further: list[FurtherRow] = Field(default_factory=list)
    groups: list[GroupRow] = Field(default_factory=list)
    left_out: list[str] = Field(default_factory=list)
