"""How few copies a test would have seen: copies of training films of every kind are put among the audited films,
and the test is asked again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..schema import Strict
from .memorisation import POWER

SHARES = (0.005, 0.01, 0.02, 0.05)
DRAWS = 100


class Planted(Strict):
    """Of so many copies of a kind among the films (`share` of them), put there again and again: how often the test
    sees them, 0 to 1."""

    kind: str
    share: float
    copies: int
    seen: float


def planted(
    films: int,
    copies: Mapping[str, np.ndarray],
    seen: Callable[[np.ndarray], bool],
    *,
    shares: Sequence[float] = SHARES,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Planted]:
    """`copies`: what the test measures of each copy of a kind, a row each, by kind. `seen`: whether it raises its
    alarm with some of these rows beside the `films` audited ones."""
    draw = np.random.default_rng(seed)
    found = []
    for kind, rows in copies.items():
        for share in shares:
            count = max(1, round(share * films))
            hits = [seen(rows[draw.choice(len(rows), count, replace=count > len(rows))]) for _ in range(draws)]
            found.append(Planted(kind=kind, share=share, copies=count, seen=float(np.mean(hits))))
    return found


def planted_told(films: int, told: Mapping[str, float], *, shares: Sequence[float] = SHARES) -> list[Planted]:
    """The same of a test that tells every copy by itself, a copy of a kind with a probability of `told`."""
    counts = {share: max(1, round(share * films)) for share in shares}
    return [
        Planted(kind=kind, share=share, copies=count, seen=float(1 - (1 - part) ** count))
        for kind, part in told.items()
        for share, count in counts.items()
    ]


def power_sentence(rows: Sequence[Planted], found: str) -> str:
    """The line that may be claimed: the smallest share of copies that is seen with 95 % power whatever its kind, or
    which kinds are not."""
    shares = sorted({one.share for one in rows})
    for share in shares:
        missed = [one.kind for one in rows if one.share == share and one.seen < POWER]
        if not missed:
            return f"would have seen {100 * share:.2g} % of copies with 95 % power; found {found}"
    if not shares:
        return f"its power is not known; found {found}"
    kinds = list(dict.fromkeys(one.kind for one in rows))
    least = {
        kind: min((one.share for one in rows if one.kind == kind and one.seen >= POWER), default=None) for kind in kinds
    }
    seen = [f"{100 * share:.2g} % of {kind} ones" for kind, share in least.items() if share is not None]
    most = f"{100 * shares[-1]:.2g} %"
    unseen = [kind for kind, share in least.items() if share is None]
    if not seen:
        return f"would not have seen {most} of copies with 95 % power; found {found}"
    return f"would have seen {', '.join(seen)} with 95 % power, not {most} of {', '.join(unseen)} ones; found {found}"
