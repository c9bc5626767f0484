"""False claims of the ranking rule on boards where every provider is as good as REAL.

Run it with `python -m cxrbench.leaderboard.simulation [boards] [providers]`.

A board holds null providers, each with its seeds, and the REAL seeds that all of them share. A false claim is any pair
of providers ranked apart, or any provider told from REAL. What is counted:

- `boards`: the share of boards with any false claim. The rule promises at most 5 %.
- `providers`: the share of providers told from REAL.
- `plain`: the share of providers that Welch's test alone would tell from REAL, at 5 % and without Holm. On one board they
  all hang on the same REAL seeds, so that a board has many of them or none; the share over many boards is what counts.

1,000 providers, 5 seeds, 200 boards of each kind gave (about three minutes):

    scores       boards  providers    plain
    equal          2.0%     0.000%    4.76%
    together       0.0%     0.000%    1.25%
    unequal        1.0%     0.000%    4.57%
    heavy          0.5%     0.000%    4.09%
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .standings import LEVEL, Utility, compare, differences

Draw = Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]]
"""(rng, providers, seeds) to the scores of the providers (providers, seeds) and of REAL (seeds,)."""


def equal(rng: np.random.Generator, providers: int, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """All scores have one normal distribution."""
    return rng.normal(0.9, 0.01, (providers, seeds)), rng.normal(0.9, 0.01, seeds)


def together(rng: np.random.Generator, providers: int, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """A seed moves all models that are trained with it, half of the variance."""
    shift = rng.normal(0, 0.01, seeds)
    scores, real = equal(rng, providers, seeds)
    return scores + shift, real + shift


def unequal(rng: np.random.Generator, providers: int, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Every provider has a spread of its own, from a quarter to four times that of REAL."""
    spread = 0.01 * 4 ** rng.uniform(-1, 1, (providers, 1))
    return rng.normal(0.9, 1.0, (providers, seeds)) * spread + 0.9 * (1 - spread), rng.normal(0.9, 0.01, seeds)


def heavy(rng: np.random.Generator, providers: int, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Heavy tails: Student's t with three degrees of freedom (some trainings go astray)."""
    return 0.9 + 0.01 * rng.standard_t(3, (providers, seeds)), 0.9 + 0.01 * rng.standard_t(3, seeds)


SCENARIOS: dict[str, Draw] = {"equal": equal, "together": together, "unequal": unequal, "heavy": heavy}


@dataclass(frozen=True)
class FalseClaims:
    """Shares of false claims over all boards of one kind."""

    boards: float
    providers: float
    plain: float


def false_claims(draw: Draw, *, boards: int, providers: int, seeds: int = 5, seed: int = 0) -> FalseClaims:
    """Simulate null boards and count what the rule claims on them."""
    rng = np.random.default_rng(seed)
    wrong, told, plain = 0, 0, 0
    for _ in range(boards):
        scores, real = draw(rng, providers, seeds)
        utilities = [Utility(tuple(row), tuple(real)) for row in scores.tolist()]
        ranks = compare(utilities).ranks
        claims = sum(found.told != 0 for found in ranks)
        wrong += bool(claims) or any(found.first != 1 for found in ranks)
        told += claims
        plain += sum(one.p is not None and one.p <= LEVEL for one in differences(utilities))
    return FalseClaims(wrong / boards, told / (boards * providers), plain / (boards * providers))


def main(boards: int = 200, providers: int = 1000) -> None:
    """Print the table of the module's docstring."""
    print(f"{'scores':<10}  {'boards':>7}  {'providers':>9}  {'plain':>7}")
    for name, draw in SCENARIOS.items():
        found = false_claims(draw, boards=boards, providers=providers)
        print(f"{name:<10}  {found.boards:>7.1%}  {found.providers:>9.3%}  {found.plain:>7.2%}", flush=True)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
