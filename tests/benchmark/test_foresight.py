"""What the planned seeds can tell, said before they are trained."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cxrbench.benchmark.contracts.task import ArmName, Headline
from cxrbench.benchmark.report.foresight import foresight
from cxrbench.benchmark.results.curve import FoundCurve
from cxrbench.benchmark.results.gains import CurvePoint, PlaceboCurve
from cxrbench.benchmark.runs.record import DataIdentity
from cxrbench.benchmark.significance.power import least_gain, power
from cxrbench.tasks.scr_official import ScrOfficial


def curve(spread: float = 0.004, per_doubling: float = 0.01, sizes: tuple[int, ...] = (8, 16, 32, 64)) -> FoundCurve:
    """Scores that rise by so much with every doubling; differences of two sizes have a deviation of `spread` over seeds."""
    noise = np.array([-1.0, 1.0, 0.0, 0.5, -0.5])
    noise *= spread / (2 * noise.std(ddof=1))
    points = [
        CurvePoint(
            arm="mixed",
            size="31" if films == 32 else str(films),
            films=films,
            seed=seed,
            value=0.8 + per_doubling * place + (noise[seed] if place % 2 else -noise[seed]),
        )
        for place, films in enumerate(sizes)
        for seed in range(5)
    ]
    made = PlaceboCurve(
        task="scr_official",
        version=3,
        code="",
        settings={},
        data=DataIdentity(name="films", digest=""),
        preset="quick",
        device="cpu",
        metric="dsc",
        points=points,
        environments=[],
        created="2026-01-01T00:00:00Z",
    )
    return FoundCurve(made, "store")


def test_the_gain_that_is_told_follows_from_the_spread_of_differences_and_the_slope():
    said = foresight(ScrOfficial(), curve(), 5)
    variance = stats.chi2.median(4) / 4  # the spread of five seeds is unbiased in the median
    gain = least_gain(0.004 / np.sqrt(variance), 5)
    assert said.startswith(
        f"with 5 seeds a gain of {gain * 100:.2g} points of DSC ({gain / 0.01:.2g} doublings of the real films)"
    )
    assert "; with 8 seeds one of " in said and power(gain, 0.004 / np.sqrt(variance), 5) == pytest.approx(0.8)


def test_fewer_than_five_seeds_allow_no_claim():
    assert foresight(ScrOfficial(), curve(), 1) == "one seed allows no claim about the generator (use --seeds 5)"
    assert foresight(ScrOfficial(), curve(), 4).startswith("4 seeds allow no claim")


def test_without_a_curve_or_its_headline_nothing_is_invented(monkeypatch):
    assert foresight(ScrOfficial(), None, 5) == "how small a gain 5 seeds can show is not known yet"
    monkeypatch.setattr(ScrOfficial, "headline", Headline(ArmName.MIXED, "tiny"))
    assert "the curve has no mixed at tiny" in foresight(ScrOfficial(), curve(), 5)


def test_without_a_curve_the_command_that_makes_it_is_told_where_there_is_one():
    said = foresight(ScrOfficial(), None, 5, ["cxrbench", "curve", "--set", "task.model=a b"])
    assert said.split("\n") == [
        "how small a gain 5 seeds can show is not known yet; this measures it:",
        "cxrbench curve --set 'task.model=a b'",
    ]


def test_a_flat_curve_has_no_doublings():
    assert "doublings" not in foresight(ScrOfficial(), curve(per_doubling=0.0), 12)
    assert "doublings" not in foresight(ScrOfficial(), curve(per_doubling=1e-5), 12)
