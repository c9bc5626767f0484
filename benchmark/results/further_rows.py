"""What results.json says of further test sets and of groups of films: optional parts, which runs without them have not."""

from __future__ import annotations

from pydantic import Field

from ..runs.record import DataIdentity
from ..schema import Strict
from .gains import GainRow


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


class Elsewhere(Strict):
    """Further test sets and groups of a run; `left_out`: what could not be told, a line each."""

    further: list[FurtherRow] = Field(default_factory=list)
    groups: list[GroupRow] = Field(default_factory=list)
    left_out: list[str] = Field(default_factory=list)
