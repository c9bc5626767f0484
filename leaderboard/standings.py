"""The standings: who ranks where on a board, and what may be said of it.

**What is ranked.** The utility of an entry: the average of the task's primary metric of one arm minus that of REAL, at the
size with the most real films. The arm is what a user would do with the films: `mixed` where the task has it, else
`finetune`, else `synthetic`. Divisions are ranked apart, and so are entries whose films were labelled in another way.

**Who is ranked.** Entries with every cell of the board for at least five seeds. The others are shown with the reason.

**The rule.** Every pair of ranked entries is compared over seeds by Welch's test of their utilities, and so is every
entry with REAL. All these comparisons of a board are one family under Holm (1979) at 5 %, so that on a board where all
are equal there is any false claim at most once in twenty. The rank of an entry is 1 + the number of entries that are
told to be better, and its range ends at the number of entries that are not told to be worse: a simultaneous confidence
set for the rank, as in Mogstad, Romano, Shaikh and Wilhelm, "Inference for Ranks" (2024). Equal ranks are ties.

REAL cells are shared: two entries measured against the same REAL cells are compared by their arms alone, because REAL
cancels in the difference. Against different REAL cells (another machine, other seeds) the spread of both counts too.
`simulation.py` measures the false claims.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..benchmark.contracts.task import ArmName
from ..benchmark.significance.paired_tests import MIN_SEEDS, holm_values
from .attempts import REAL, Attempt, BoardKey, Division, Protocol

Values = npt.NDArray[np.float64]

HEADLINE = (ArmName.MIXED.value, ArmName.FINETUNE.value, ArmName.SYNTHETIC.value)
"""The arm that ranks: the first of these that the board has."""
LEVEL = 0.05


# ------------------------------------------------------------------------------------------------- the ranking rule


@dataclass(frozen=True)
class Utility:
    """Scores over seeds: of an arm and of REAL, each at least two."""

    arm: tuple[float, ...]
    real: tuple[float, ...]


@dataclass(frozen=True)
class Difference:
    """An arm minus REAL over seeds by Welch's test, not corrected; None where no test may be made."""

    value: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class Rank:
    """Where an entry stands: `first` to `last` is the range of its rank, `first` the rank that is shown.

    `p_holm` is its comparison with REAL within the board's family; `told` says what may be claimed of it: 1 better than
    REAL, -1 worse, 0 it cannot be told.
    """

    first: int
    last: int
    p_holm: float | None
    told: int


@dataclass(frozen=True)
class _Moments:
    """Mean, squared standard error and degrees of freedom of many samples."""

    mean: Values
    error: Values
    freedom: Values
    noise: Values
    """What counts as no spread: rounding of the numbers themselves."""

    @classmethod
    def of(cls, samples: Sequence[Sequence[float]]) -> _Moments:
        columns = [
            (
                x.mean(),
                x.var(ddof=1) / len(x) if len(x) > 1 else np.nan,
                len(x) - 1.0,
                (8 * np.finfo(np.float64).eps * np.abs(x).max()) ** 2,
            )
            for x in (np.asarray(sample, np.float64) for sample in samples)
        ]
        return cls(*np.array(columns, np.float64).reshape(-1, 4).T)


@dataclass(frozen=True)
class Comparison:
    """Every entry against every other and against REAL, in the order given. `apart[i, j]`: i and j are told apart."""

    ranks: list[Rank]
    apart: npt.NDArray[np.bool_]


def compare(utilities: Sequence[Utility], *, higher_is_better: bool = True, level: float = LEVEL) -> Comparison:
    """The ranks of entries by the rule above, in the order given.

    A pair without any spread over seeds is never told apart. Raises ValueError for fewer than two scores.
    """
    n, sign = len(utilities), 1.0 if higher_is_better else -1.0
    if not n:
        return Comparison([], np.zeros((0, 0), np.bool_))
    if min(min(len(u.arm), len(u.real)) for u in utilities) < 2:
        raise ValueError("at least two seeds a side expected")
    arm, real = _Moments.of([u.arm for u in utilities]), _Moments.of([u.real for u in utilities])
    index: dict[tuple[float, ...], int] = {}
    group = np.array([index.setdefault(u.real, len(index)) for u in utilities])
    row, column = np.triu_indices(n, 1)
    different = group[row] != group[column]  # whether REAL does not cancel
    gain = arm.mean[row] - arm.mean[column] - np.where(different, real.mean[row] - real.mean[column], 0.0)
    parts = [(arm, row, 1.0), (arm, column, 1.0), (real, row, different), (real, column, different)]
    pairs = _two_tailed(gain, [(m.error[i] * w, m.freedom[i], m.noise[i] * w) for m, i, w in parts])
    to_real = arm.mean - real.mean
    alone = _two_tailed(to_real, [(m.error, m.freedom, m.noise) for m in (arm, real)])
    adjusted = holm_values(np.concatenate([alone, pairs]))
    told = adjusted[n:] <= level
    ahead = np.where(gain * sign > 0, row, column)[told]
    behind = np.where(gain * sign > 0, column, row)[told]
    better, worse = np.bincount(behind, minlength=n), np.bincount(ahead, minlength=n)
    apart = np.zeros((n, n), np.bool_)
    apart[ahead, behind] = apart[behind, ahead] = True
    ranks = [
        Rank(
            first=1 + int(better[i]),
            last=n - int(worse[i]),
            p_holm=None if np.isnan(adjusted[i]) else float(adjusted[i]),
            told=int(np.sign(to_real[i] * sign)) if adjusted[i] <= level else 0,
        )
        for i in range(n)
    ]
    return Comparison(ranks, apart)


def _two_tailed(gain: Values, parts: Iterable[tuple[Values, Values, Values]]) -> Values:
    """Two-tailed p of differences whose error is the sum of parts (Welch 1947, Satterthwaite's degrees of freedom)."""
    from scipy import special

    error, freedom = _combined(parts)
    with np.errstate(invalid="ignore", divide="ignore"):
        return 2 * special.stdtr(freedom, -np.abs(gain) / np.sqrt(error))


def _combined(parts: Iterable[tuple[Values, Values, Values]]) -> tuple[Values, Values]:
    """Squared standard error and degrees of freedom of a sum; NaN where there is no spread but rounding."""
    error, fourth, noise = (np.zeros(()) for _ in range(3))
    for squared, freedom, rounding in parts:
        error, noise = error + squared, noise + rounding
        with np.errstate(invalid="ignore", divide="ignore"):
            fourth = fourth + np.where(squared > 0, squared**2 / freedom, 0.0)
    error = np.where(error > noise, error, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return error, error**2 / fourth


def differences(pairs: Sequence[Utility]) -> list[Difference]:
    """Each arm minus REAL with its 95 % interval, by Welch's test alone; without a test below five seeds a side."""
    from scipy import special

    if not pairs:
        return []
    arm, real = _Moments.of([pair.arm for pair in pairs]), _Moments.of([pair.real for pair in pairs])
    value = arm.mean - real.mean
    error, freedom = _combined([(m.error, m.freedom, m.noise) for m in (arm, real)])
    with np.errstate(invalid="ignore"):
        p = 2 * special.stdtr(freedom, -np.abs(value) / np.sqrt(error))
        half = special.stdtrit(freedom, 0.975) * np.sqrt(error)
    found = []
    for i, pair in enumerate(pairs):
        if min(len(pair.arm), len(pair.real)) < MIN_SEEDS or np.isnan(p[i]):
            found.append(Difference(float(value[i])))
        else:
            low, high = float(value[i] - half[i]), float(value[i] + half[i])
            found.append(Difference(float(value[i]), low, high, float(p[i])))
    return found


# ------------------------------------------------------------------------------------------------- boards


@dataclass(frozen=True)
class Arm:
    """What an attempt reached with one arm at one size: the primary metric's mean and deviation over `seeds`."""

    size: str
    arm: str
    seeds: int
    mean: float | None
    sd: float | None
    difference: Difference


@dataclass
class Standing:
    """One attempt on its board. `rank` is None where it is not ranked, and `reason` says why."""

    attempt: Attempt
    arms: dict[tuple[str, str], Arm]
    headline: Arm
    rank: Rank | None = None
    reason: str = ""

    @property
    def verdict(self) -> str:
        """What may be claimed against REAL."""
        if self.rank is None:
            return self.reason
        return {1: "better than REAL", -1: "worse than REAL", 0: "not told from REAL"}[self.rank.told]


@dataclass
class Board:
    """One table: all attempts at one protocol. `standings` by division, ranked ones first, in order."""

    key: BoardKey
    protocol: Protocol
    phantom: bool
    sizes: list[str]
    arms: list[str]
    size: str
    arm: str
    structures: list[str]
    standings: dict[Division, list[Standing]] = field(default_factory=dict)
    apart: dict[Division, npt.NDArray[np.bool_]] = field(default_factory=dict)
    """Which of the ranked standings are told apart, in their order."""

    @property
    def all(self) -> list[Standing]:
        """Every standing, division after division."""
        return [one for found in self.standings.values() for one in found]

    @property
    def title(self) -> str:
        """`scr_official v1 · phantom · quick`."""
        return f"{self.key.task} v{self.key.version} · {self.key.data} · {self.key.preset}"


def boards(attempts: Sequence[Attempt]) -> list[Board]:
    """The boards of all attempts, each ranked."""
    groups: dict[BoardKey, list[Attempt]] = {}
    for attempt in attempts:
        groups.setdefault(attempt.key, []).append(attempt)
    return [board(groups[key]) for key in sorted(groups)]


def board(attempts: Sequence[Attempt]) -> Board:
    """The board of attempts that have one key."""
    plan = _plan(attempts)
    sizes = list(dict.fromkeys(size for attempt in attempts for size in attempt.films if size in plan))
    arms = [arm.value for arm in ArmName if any(cell[1] == arm.value for cells in plan.values() for cell in cells)]
    headline = next((arm for arm in HEADLINE if arm in arms), HEADLINE[-1])
    first = attempts[0]
    made = Board(
        key=first.key,
        protocol=first.protocol,
        phantom=any(attempt.phantom for attempt in attempts),
        sizes=sizes,
        arms=arms,
        size=sizes[0],
        arm=headline,
        structures=list(dict.fromkeys(name for attempt in attempts for name in attempt.structures)),
    )
    all_standings = _standings(made, attempts)
    for standing in all_standings:
        standing.reason = _reason(standing, made, plan)
    for division in Division:
        mine = [one for one in all_standings if one.attempt.entrant.division is division]
        if mine:
            made.standings[division], made.apart[division] = _ranked(mine, made)
    return made


def _plan(attempts: Sequence[Attempt]) -> Mapping[str, set[tuple[str, str]]]:
    """The (fold, arm) of every size that a complete attempt has: what at least half of the attempts have, so that neither
    a partial entry nor one with cells of its own invention changes what is asked of the others."""
    counts = Counter(
        cell for attempt in attempts for cell in {(size, fold, arm) for size, fold, arm, _ in attempt.cells}
    )
    kept = [cell for cell, count in counts.items() if 2 * count >= len(attempts)] or list(counts)
    plan: dict[str, set[tuple[str, str]]] = {}
    for size, fold, arm in kept:
        plan.setdefault(size, set()).add((fold, arm))
    return plan


def _standings(made: Board, attempts: Sequence[Attempt]) -> list[Standing]:
    metric = made.protocol.primary.name
    averages = [
        {(size, arm): attempt.average(size, arm, metric) for size in made.sizes for arm in made.arms}
        for attempt in attempts
    ]
    places = [(i, place) for i, found in enumerate(averages) for place in found if place[1] != REAL]
    pairs, tested = [], []
    for i, (size, arm) in places:
        mine, real = averages[i][size, arm], averages[i].get((size, REAL), {})
        if mine and real:
            tested.append((i, (size, arm)))
            pairs.append(Utility(tuple(mine.values()), tuple(real.values())))
    by_place = dict(zip(tested, differences(pairs), strict=True))
    found = []
    for i, attempt in enumerate(attempts):
        arms = {}
        for (size, arm), by_seed in averages[i].items():
            scores = np.array(list(by_seed.values()))
            arms[size, arm] = Arm(
                size=size,
                arm=arm,
                seeds=len(scores),
                mean=float(scores.mean()) if len(scores) else None,
                sd=float(scores.std(ddof=1)) if len(scores) > 1 else None,
                difference=by_place.get((i, (size, arm)), Difference(None)),
            )
        found.append(Standing(attempt, arms, arms[made.size, made.arm]))
    return found


def _reason(standing: Standing, made: Board, plan: Mapping[str, set[tuple[str, str]]]) -> str:
    """Why an attempt is not ranked; empty where it is."""
    attempt = standing.attempt
    if attempt.unranked:
        return "; ".join(attempt.unranked)
    seeds = attempt.seeds
    if len(seeds) < MIN_SEEDS:
        return f"{'1 seed' if len(seeds) == 1 else f'{len(seeds)} seeds'}, {MIN_SEEDS} needed"
    wanted = {(size, fold, arm, seed) for size, cells in plan.items() for fold, arm in cells for seed in seeds}
    missing = sorted(wanted - attempt.cells)
    if missing:
        size, fold, arm, seed = missing[0]
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return f"missing cells: {size} {arm} seed {seed} fold {fold}{more}, of {len(wanted)}"
    real = standing.arms.get((made.size, REAL))
    if real is None or min(standing.headline.seeds, real.seeds) < MIN_SEEDS:
        return f"no average of {made.protocol.primary.label}: {made.arm.upper()} was not taught every structure"
    if standing.headline.difference.p is None:
        return "every seed gave the same score: no variance, no claim"
    return ""


def _ranked(standings: Sequence[Standing], made: Board) -> tuple[list[Standing], npt.NDArray[np.bool_]]:
    """Standings of one division in order: by rank, range, then utility; those that are not ranked last."""
    metric = made.protocol.primary
    complete = [one for one in standings if not one.reason]
    utilities = [
        Utility(
            tuple(one.attempt.average(made.size, made.arm, metric.name).values()),
            tuple(one.attempt.average(made.size, REAL, metric.name).values()),
        )
        for one in complete
    ]
    found = compare(utilities, higher_is_better=metric.higher_is_better)
    for one, its_rank in zip(complete, found.ranks, strict=True):
        one.rank = its_rank
    sign = -1.0 if metric.higher_is_better else 1.0

    def order(one: Standing) -> tuple[float, float, float, str]:
        utility = one.headline.difference.value
        gain = sign * utility if utility is not None else np.inf
        first, last = (one.rank.first, one.rank.last) if one.rank else (np.inf, np.inf)
        return first, last, gain, one.attempt.title

    places = sorted(range(len(complete)), key=lambda i: order(complete[i]))
    others = sorted((one for one in standings if one.reason), key=order)
    return [*(complete[i] for i in places), *others], found.apart[np.ix_(places, places)]
