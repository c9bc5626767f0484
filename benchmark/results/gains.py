"""What results.json says of placebos: the gain of every arm over its placebo, its worth in real films, and the curve of the
placebo that the worth is read from."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from .. import digest
from ..runs.record import DataIdentity, Environment
from ..schema import Strict
from ..significance.gain import failed_seeds

SCHEMA = 1


class GainRow(Strict):
    """One arm against its placebo over seeds, paired by seed, on the primary metric's average: `gain` is the mean of
    `score` minus `placebo` over the seeds that both have, with its 95 % interval and p (`gain.GainTest`: what decides, and
    the t-test and sign flips that it is made of). `median`: of the differences. `failed`: seeds whose training found nothing
    (kept in the mean). `verdict`: `gain.Verdict`, empty where nothing may be claimed; `sentence` says why."""

    size: str
    arm: str
    metric: str
    seeds: int
    score: float | None = None
    placebo: float | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_t: float | None = None
    p_permutation: float | None = None
    median: float | None = None
    failed: list[int] = Field(default_factory=list)
    failed_placebo: list[int] = Field(default_factory=list)
    verdict: str = ""
    sentence: str


class WorthRow(Strict):
    """What an arm with `real` and `synthetic` films is worth in real films: `films` where the placebo curve has its score,
    `doublings` log2(films / real), each with its 95 % interval. None where it is not identified or lies beyond the curve
    (`censored`: above or below); `low_censored`, `high_censored`: that end lies beyond the number given for it.
    `smallest`, `largest`: sizes between which the curve says something."""

    size: str
    arm: str
    real: float
    synthetic: int | None
    seeds: int
    identified: bool
    censored: str = ""
    films: float | None = None
    low: float | None = None
    high: float | None = None
    doublings: float | None = None
    low_doublings: float | None = None
    high_doublings: float | None = None
    low_censored: bool = False
    high_censored: bool = False
    smallest: float | None = None
    largest: float | None = None
    sentence: str


class RatioRow(Strict):
    """The gain and worth of one arm of one size with `synthetic` films for `real` ones. `own`: it is the task's number."""

    ratio: float
    synthetic: int
    own: bool
    gain: GainRow
    worth: WorthRow | None = None


class CurvePoint(Strict):
    """The score of one placebo: the average of the primary metric of one arm (`mixed`), size and seed, over all folds.
    `films`: different real films of the size, the mean over folds."""

    arm: str
    size: str
    films: float
    seed: int
    value: float


class PlaceboCurve(Strict):
    """The points of a curve and what they were computed with. `code` is that of the task's cells."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    task: str
    version: int
    code: str
    settings: dict[str, Any]
    depends_on: dict[str, str] = Field(default_factory=dict)
    data: DataIdentity
    preset: str
    device: str
    metric: str
    points: list[CurvePoint]
    environments: list[Environment]
    created: str

    @property
    def seeds(self) -> list[int]:
        """The seeds that it has points of."""
        return sorted({point.seed for point in self.points})

    @property
    def arms(self) -> list[str]:
        """The arms whose placebo it has."""
        return list(dict.fromkeys(point.arm for point in self.points))

    def scores(self, arm: str) -> dict[float, dict[int, float]]:
        """By the number of real films of a size (the mean over its seeds) the score of every seed."""
        sizes: dict[str, list[CurvePoint]] = {}
        for point in self.points:
            if point.arm == arm:
                sizes.setdefault(point.size, []).append(point)
        return {
            sum(point.films for point in points) / len(points): {point.seed: point.value for point in points}
            for points in sizes.values()
        }

    def failed(self, arm: str, *, higher_is_better: bool = True) -> dict[float, list[int]]:
        """By the number of real films of a size the seeds that scored far below its others (`gain.failed_seeds`)."""
        found = {}
        for films, by_seed in self.scores(arm).items():
            lost = failed_seeds(list(by_seed.values()), higher_is_better=higher_is_better)
            if lost.any():
                found[films] = [seed for seed, one in zip(by_seed, lost.tolist(), strict=True) if one]
        return found

    @property
    def digest(self) -> str:
        """sha256 of the points."""
        return digest.of_json([point.model_dump(mode="json") for point in self.points])


class CurveRow(Strict):
    """The curve that the worths of a run are read from, and where it is from: `store` or `shipped`."""

    source: str
    curve: PlaceboCurve
