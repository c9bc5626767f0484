"""What the worth interval covers, and what the rank rule on gains over placebo claims falsely and finds.

Run it with `python -m cxrbench.leaderboard.worth_simulation [trials] [boards]`; 1,000 and 1,000 gave the tables below (two
to three minutes of one core).

**Worth.** Curves and deviations as measured on the 247 real films and the phantom (n = 31, deviations of 0.15 to 0.6 points,
luck shared by seed), S seeds, an arm truly worth w doublings. `half` is the median half-width of intervals closed at both
ends, `plain` and `inflated` what the two bootstraps over seeds cover instead (of 250). All w of an S meet the same luck.

    curve        seeds     w  identified  closed  covers    bias  half  plain  inflated
    real films       5  -1.0      100.0%  100.0%   95.0%  +0.003  0.37  87.2%     93.6%
    real films       5  -0.5      100.0%  100.0%   94.3%  -0.003  0.38  85.6%     92.8%
    real films       5  +0.0      100.0%  100.0%   95.7%  +0.024  0.38  86.4%     94.4%
    real films       5  +0.5      100.0%  100.0%   95.0%  +0.004  0.41  83.2%     93.6%
    real films       5  +1.0      100.0%   99.6%   95.0%  +0.015  0.34  83.6%     96.0%
    real films       8  -1.0      100.0%  100.0%   95.1%  -0.000  0.26  86.8%     92.8%
    real films       8  -0.5      100.0%  100.0%   94.7%  -0.006  0.25  86.4%     92.4%
    real films       8  +0.0      100.0%  100.0%   94.1%  +0.009  0.26  88.8%     93.2%
    real films       8  +0.5      100.0%  100.0%   94.1%  -0.004  0.27  88.4%     94.8%
    real films       8  +1.0      100.0%  100.0%   95.8%  +0.011  0.24  88.8%     94.8%
    real films      10  -1.0      100.0%  100.0%   94.7%  +0.005  0.23  89.6%     93.6%
    real films      10  -0.5      100.0%  100.0%   94.6%  +0.002  0.22  88.8%     95.2%
    real films      10  +0.0      100.0%  100.0%   95.8%  +0.018  0.23  91.2%     95.6%
    real films      10  +0.5      100.0%  100.0%   94.8%  +0.002  0.23  91.6%     94.8%
    real films      10  +1.0      100.0%  100.0%   94.7%  +0.010  0.21  90.4%     92.4%
    phantom          5  -1.0      100.0%  100.0%   95.0%  +0.012  0.30  87.2%     94.4%
    phantom          5  -0.5      100.0%  100.0%   94.1%  -0.004  0.33  85.2%     93.2%
    phantom          5  +0.0      100.0%  100.0%   95.7%  +0.006  0.26  86.4%     94.4%
    phantom          5  +0.5      100.0%   99.9%   94.4%  +0.004  0.25  83.2%     92.4%
    phantom          5  +1.0       89.1%   57.2%   95.0%  +0.091  0.41  83.2%     95.6%
    phantom          8  -1.0      100.0%  100.0%   95.1%  +0.006  0.21  86.4%     93.6%
    phantom          8  -0.5      100.0%  100.0%   95.1%  -0.006  0.22  85.6%     92.4%
    phantom          8  +0.0      100.0%  100.0%   94.1%  -0.002  0.18  88.8%     93.2%
    phantom          8  +0.5      100.0%  100.0%   94.4%  -0.001  0.17  89.2%     94.8%
    phantom          8  +1.0       99.3%   88.0%   95.8%  +0.074  0.35  88.8%     95.2%
    phantom         10  -1.0      100.0%  100.0%   94.7%  +0.009  0.18  89.2%     94.8%
    phantom         10  -0.5      100.0%  100.0%   94.2%  +0.001  0.19  88.8%     94.0%
    phantom         10  +0.0      100.0%  100.0%   95.8%  +0.005  0.16  91.6%     95.6%
    phantom         10  +0.5      100.0%  100.0%   94.8%  +0.002  0.15  91.6%     95.2%
    phantom         10  +1.0       99.9%   95.1%   94.7%  +0.066  0.31  90.4%     92.0%
    saturated        5  -1.0      100.0%  100.0%   95.0%  +0.005  0.37  87.2%     93.6%
    saturated        5  +0.0       10.6%    5.5%   93.9%       -     -      -         -
    saturated        8  +0.0       10.5%    4.2%   93.5%       -     -      -         -
    saturated       10  +0.0        8.2%    2.8%   94.4%       -     -      -         -

The bias of the phantom at +1 is that of the answers inside the curve, which flattens there: it is 0.2 points high from 62 to
124. On the saturated curve, flat from 31 on, an arm that is as good as 31 films is rightly "not identified" in nine of ten
(`covers` counts 31; every answer from there on would be as right).

**False claims.** Boards of null providers that share one placebo. Unequal: a provider's spread is a quarter to four times
that of the placebo. Heavy: Student's t, three degrees. Skewed: a gamma distribution of shape 2, bad scores far out. Failing:
one training in ten loses ten deviations. The share of boards with any false claim, 5, 8 and 10 seeds (20 boards of 1,000):

                          8 providers           20 providers     1,000
    normal             1.4%   4.1%   5.2%     0.1%   2.2%   4.0%   0.0%
    normal, unequal    2.4%   2.3%   2.5%     1.4%   1.7%   2.4%   0.0%
    heavy              0.2%   2.4%   1.5%     0.0%   1.0%   1.0%   0.0%
    heavy, unequal     1.0%   1.9%   1.4%     0.8%   1.2%   0.7%   0.0%
    skewed             1.0%   1.8%   2.2%     0.0%   1.0%   1.8%   0.0%
    skewed, unequal    3.3%   5.3%   6.5%     1.9%   5.1%   7.6%   0.0%
    failing            0.1%   0.4%   0.0%     0.2%   0.0%   0.1%   0.0%
    failing, unequal   0.9%   0.3%   0.6%     0.3%   0.3%   0.3%   0.0%

Without the floor under the spread (`ranking.QUIET`) skewed, unequal boards made 6 to 9 % at 5, 8 and 10 seeds. What is above
5 % are means of unlike skew: no test of few seeds sees those, the permutation as little (alone, joint over the board, 10 to
16 % at 8 and 10 seeds).

**Found.** Copies on a board of `CONTROLS` told better and worse; a gain of 1.2 and of 2.0 deviations (of a difference paired
by seed; half a doubling at n = 31 of the real films is 1.2 with the luck shared as above) told alone and on a board of
eight:

    seeds  copies better, worse   1.2: alone, board   2.0: alone, board
        5         0.0%    0.1%       48.3%    3.7%       86.2%   16.0%
        6         0.0%    0.1%       46.6%    7.8%       86.1%   32.1%
        8         0.0%    0.1%       82.1%   18.7%       99.6%   72.3%
       10         0.2%    0.1%       90.9%   33.8%      100.0%   92.1%
       12         0.3%    0.2%       96.2%   52.6%      100.0%   98.2%
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from ..benchmark.significance.gain import Verdict, paired_over_seeds
from ..benchmark.significance.worth import Curve, worth
from .ranking import compare_paired

Values = npt.NDArray[np.float64]

# ------------------------------------------------------------------------------------------------ worth

SHARED, FADES = 0.6, 0.7
"""Correlation over seeds of an arm with the placebo of its size; per doubling of distance it fades by the second."""


@dataclass(frozen=True)
class Truth:
    """A curve: sizes, mean scores and deviations over seeds, (K,) each."""

    sizes: Values
    means: Values
    spreads: Values

    def draw(self, rng: np.random.Generator, seeds: int, n: float, doublings: float) -> tuple[Values, Values]:
        """Scores of an arm (S,) that is worth n * 2**doublings, and of the curve (K, S), drawn with shared luck."""
        x = np.log2(self.sizes)
        own = np.log2(n) + doublings
        places = np.append(x, np.log2(n))
        shared = SHARED * FADES ** np.abs(places[:, None] - places)
        np.fill_diagonal(shared, 1.0)
        means = np.append(self.means, np.interp(own, x, self.means))
        spreads = np.append(self.spreads, np.interp(own, x, self.spreads))
        luck = np.linalg.cholesky(shared) @ rng.normal(size=(len(places), seeds))
        scores = means[:, None] + spreads[:, None] * luck
        return scores[-1], scores[:-1]


_SIZES = np.array([4.0, 8, 16, 31, 62, 124])
REAL_FILMS = Truth(
    _SIZES, np.array([0.862, 0.882, 0.897, 0.9105, 0.921, 0.9295]), np.array([6.0, 5, 5, 5, 3, 1.5]) / 1000
)
PHANTOM = Truth(_SIZES, np.array([0.939, 0.951, 0.962, 0.969, 0.976, 0.978]), np.array([4.0, 3, 2.5, 2, 1.5, 1]) / 1000)
SATURATED = Truth(_SIZES, np.minimum(REAL_FILMS.means, 0.9105), np.array([6.0, 5, 5, 5, 4, 4]) / 1000)
"""The real films' curve if it were flat from 31 on."""
TRUTHS = {"real films": REAL_FILMS, "phantom": PHANTOM, "saturated": SATURATED}


@dataclass(frozen=True)
class Found:
    """Of many worths: the shares identified, of intervals closed at both ends, and of intervals that hold the truth."""

    identified: float
    closed: float
    covered: float
    bias: float
    """Mean of the worth less the truth, where a number is given, in doublings."""
    half: float
    """Median half-width of the closed intervals, in doublings."""
    percentile: float
    """Share of plain bootstrap intervals, seeds resampled, that hold the truth."""
    inflated: float
    """The same, widened by sqrt(S / (S - 1)) and by t over the normal quantile."""


def coverage(
    truth: Truth, *, seeds: int, doublings: float, n: float = 31, trials: int = 1000, resampled: int = 0
) -> Found:
    """Draw arms of a known worth and look at their intervals; for the first `resampled`, at the bootstrap's too."""
    rng, draws = np.random.default_rng(0), np.random.default_rng(1)
    own = np.log2(n) + doublings
    rows, held, differences, halves = [], [], [], []
    for trial in range(trials):
        arm, scores = truth.draw(rng, seeds, n, doublings)
        one = worth(arm, n, Curve(truth.sizes, scores))
        assert one.low_films is not None and one.high_films is not None
        closed = not (one.low_censored or one.high_censored)
        above, below = one.low_films >= one.largest, one.high_films <= one.smallest  # the whole of it is outside
        low = -np.inf if one.low_censored and not above else np.log2(one.low_films)
        high = np.inf if one.high_censored and not below else np.log2(one.high_films)
        rows.append((one.identified, closed, low <= own + 1e-9 and own <= high + 1e-9))
        if one.doublings is not None:
            differences.append(one.doublings - doublings)
        if closed:
            halves.append((high - low) / 2)
        if trial < resampled:
            held.append(_bootstrap(draws, truth.sizes, arm, scores, own))
    identified, shut, covered = np.mean(np.array(rows, np.float64), axis=0).tolist()
    return Found(
        identified=identified,
        closed=shut,
        covered=covered,
        bias=float(np.mean(differences)) if differences else np.nan,
        half=float(np.median(halves)) if halves else np.nan,
        percentile=float(np.mean([one for one, _ in held])) if held else np.nan,
        inflated=float(np.mean([one for _, one in held])) if held else np.nan,
    )


def _bootstrap(
    rng: np.random.Generator, sizes: Values, arm: Values, scores: Values, own: float, draws: int = 500
) -> tuple[bool, bool]:
    """Whether the percentile interval and the inflated one hold `own`; seeds resampled, arm and curve together."""
    k, seeds = scores.shape
    rows = rng.integers(0, seeds, (draws, seeds))
    rows[0] = np.arange(seeds)
    sums = np.cumsum(scores[:, rows].mean(axis=2).T, axis=1)
    sums = np.hstack([np.zeros((draws, 1)), sums])
    means = np.full((draws, k, k), np.inf)
    for i in range(k):
        means[:, i, i:] = (sums[:, i + 1 :] - sums[:, i : i + 1]) / np.arange(1, k - i + 1)
    # isotonic regression in closed form: the largest, over starts, of the smallest mean, over ends
    fitted = np.stack([means[:, : i + 1, i:].min(axis=2).max(axis=1) for i in range(k)], axis=1)
    x = np.log2(sizes)
    level = arm[rows].mean(axis=1)
    at = np.array([np.interp(y, line + 1e-12 * np.arange(k), x) for y, line in zip(level, fitted, strict=True)])
    low, high = np.quantile(at, [0.025, 0.975])
    wider = np.sqrt(seeds / (seeds - 1)) * stats.t.isf(0.025, seeds - 1) / stats.norm.isf(0.025)
    centre = at[0]
    return bool(low <= own <= high), bool(centre + wider * (low - centre) <= own <= centre + wider * (high - centre))


# ------------------------------------------------------------------------------------------------ boards

Draw = Callable[[np.random.Generator, int, int], Values]
"""(rng, providers, seeds) to gains (P, S) of null providers, over one placebo that all of them share."""

_SPREAD = 0.005
"""Of a score over seeds with the luck that all trainings of a seed share taken out."""


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    return rng.normal(size=shape)


def _heavy(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Student's t with three degrees of freedom, of deviation 1."""
    return rng.standard_t(3, size=shape) / np.sqrt(3)


def _skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """A long tail of bad scores: a gamma distribution of shape 2, of deviation 1."""
    return (2 - rng.gamma(2, size=shape)) / np.sqrt(2)


def _failing(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """One training in ten finds nothing: it loses ten deviations."""
    return rng.normal(size=shape) - 10.0 * (rng.random(shape) < 0.1)


def _scenario(noise: Callable[[np.random.Generator, tuple[int, ...]], Values], *, unequal: bool) -> Draw:
    """Every score has this noise; unequal: a provider's is a quarter to four times that of the placebo."""

    def draw(rng: np.random.Generator, providers: int, seeds: int) -> Values:
        spread = 4 ** rng.uniform(-1, 1, (providers, 1)) if unequal else 1.0
        return _SPREAD * (noise(rng, (providers, seeds)) * spread - noise(rng, (seeds,)))

    return draw


SCENARIOS: dict[str, Draw] = {
    f"{name}{', unequal' if unequal else ''}": _scenario(noise, unequal=unequal)
    for name, noise in (("normal", _normal), ("heavy", _heavy), ("skewed", _skewed), ("failing", _failing))
    for unequal in (False, True)
}


def false_claims(draw: Draw, *, boards: int, providers: int, seeds: int = 5, seed: int = 0) -> float:
    """The share of null boards on which any pair is ranked apart or any provider told from copying."""
    rng = np.random.default_rng(seed)
    wrong = 0
    for _ in range(boards):
        ranks = compare_paired(draw(rng, providers, seeds)).ranks
        wrong += any(found.told or found.first != 1 for found in ranks)
    return wrong / boards


EFFECTS = (1.2, 2.0)
"""Gains to be told, in deviations of a difference that is paired by seed."""

CONTROLS = np.array([0.0, 0.5, -0.2, -1.5, -0.5, -0.2, 0.0, 0.3]) / 100
"""A board of eight: copies, classical, noise, degraded and four generators; gains in shares of 1."""


def copies_told(*, boards: int, seeds: int, seed: int = 0) -> tuple[float, float]:
    """The shares of boards of `CONTROLS` on which copies are told to add more than copying, and to harm."""
    rng = np.random.default_rng(seed)
    told = np.array(
        [compare_paired(CONTROLS[:, None] + SCENARIOS["normal"](rng, 8, seeds)).ranks[0].told for _ in range(boards)]
    )
    return float(np.mean(told == 1)), float(np.mean(told == -1))


def power(effect: float, *, seeds: int, boards: int, seed: int = 0) -> tuple[float, float]:
    """How often a gain of `effect` deviations (of a difference paired by seed) is told from copying.

    By `paired_over_seeds` alone, and on a board of eight whose other seven are copies.
    """
    rng = np.random.default_rng(seed)
    alone = board = 0
    for _ in range(boards):
        gains = SCENARIOS["normal"](rng, 8, seeds)
        gains[0] += effect * np.sqrt(2) * _SPREAD
        alone += paired_over_seeds(gains[0], np.zeros(seeds)).verdict is Verdict.MORE
        board += compare_paired(gains).ranks[0].told == 1
    return alone / boards, board / boards


# ------------------------------------------------------------------------------------------------ tables


def worth_table(trials: int) -> None:
    """Print what the worth's interval covers."""
    print("curve        seeds     w  identified  closed  covers    bias  half  plain  inflated")
    for name, truth in TRUTHS.items():
        for seeds in (5, 8, 10):
            for doublings in (-1.0, -0.5, 0.0, 0.5, 1.0) if name != "saturated" else (-1.0, 0.0):
                one = coverage(truth, seeds=seeds, doublings=doublings, trials=trials, resampled=trials // 4)
                print(
                    f"{name:<11}  {seeds:>5}  {doublings:>+4.1f}  {one.identified:>10.1%}  {one.closed:>6.1%}"
                    f"  {one.covered:>6.1%}  {one.bias:>+6.3f}  {one.half:>4.2f}  {one.percentile:>5.1%}"
                    f"  {one.inflated:>8.1%}",
                    flush=True,
                )


def board_tables(boards: int) -> None:
    """Print the false claims of the rank rule, and what it finds."""
    for providers, many, count in (
        (8, (5, 8, 10), boards),
        (20, (5, 8, 10), boards),
        (1000, (5,), max(1, boards // 50)),
    ):
        for name, draw in SCENARIOS.items():
            shares = [false_claims(draw, boards=count, providers=providers, seeds=seeds) for seeds in many]
            print(f"{providers:>4} providers  {name:<16}", *(f"{share:>6.1%}" for share in shares), flush=True)
    for seeds in (5, 6, 8, 10, 12):
        more, less = copies_told(boards=boards, seeds=seeds)
        found = [share for effect in EFFECTS for share in power(effect, seeds=seeds, boards=boards)]
        print(f"{seeds:>5}  {more:>6.1%}  {less:>6.1%} ", *(f"{share:>6.1%}" for share in found), flush=True)


def main(trials: int = 1000, boards: int = 1000) -> None:
    """Print the tables of the module's docstring."""
    worth_table(trials)
    board_tables(boards)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
