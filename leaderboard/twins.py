"""A claimed entry beside its reproduced twin: their gains on their own films, and the difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..benchmark.report.words import shown
from .arms import placebo_of
from .attempts import Attempt
from .gains import Gain, gains


@dataclass(frozen=True)
class Comparison:
    """The gain of an entry's headline arm as claimed and as reproduced, each over its own seeds and on its own films; the
    difference, reproduced minus claimed, with its 95 % interval (Welch; None with fewer than two seeds a side)."""

    claim: Attempt
    twin: Attempt
    claimed: Gain
    reproduced: Gain
    difference: float
    low: float | None
    high: float | None

    @property
    def sentence(self) -> str:
        """Both gains and the difference, in the units of tables."""
        metric = self.claim.protocol.primary

        def said(value: float | None) -> str:
            return shown(value, metric, signed=True)

        words = (
            f"gain {said(self.reproduced.value)} on {self.twin.key.data}, run by the maintainers from its code; "
            f"{said(self.claimed.value)} claimed on {self.claim.key.data}: difference {said(self.difference)}"
        )
        if self.low is None or self.high is None:
            return f"{words} (too few seeds for an interval)"
        return f"{words} ({said(self.low)} to {said(self.high)})"


def compared(claims: Sequence[Attempt], twins: Sequence[Attempt]) -> Comparison | None:
    """The first pair of the same task and protocol, both with a gain; None where there is none."""
    for twin in twins:
        for claim in claims:
            same = (claim.key.task, claim.key.version, claim.key.preset, claim.headline, claim.label_by)
            if same == (twin.key.task, twin.key.version, twin.key.preset, twin.headline, twin.label_by):
                found = _compared(claim, twin)
                if found is not None:
                    return found
    return None


def _compared(claim: Attempt, twin: Attempt) -> Comparison | None:
    claimed, reproduced = (_gain(one) for one in (claim, twin))
    if claimed is None or reproduced is None or claimed.value is None or reproduced.value is None:
        return None
    x, y = (np.array(list(one.by_seed.values())) for one in (reproduced, claimed))
    low = high = None
    if min(len(x), len(y)) > 1 and (x.std() > 0 or y.std() > 0):
        from scipy import stats

        interval = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.95)
        low, high = float(interval.low), float(interval.high)
    return Comparison(claim, twin, claimed, reproduced, float(x.mean() - y.mean()), low, high)


def _gain(one: Attempt) -> Gain | None:
    if one.headline is None:
        return None
    (size, arm), metric = one.headline, one.protocol.primary
    pair = (one.average(size, arm, metric.name), one.average(size, placebo_of(arm), metric.name))
    (found,) = gains([pair], higher_is_better=metric.higher_is_better)
    return found
