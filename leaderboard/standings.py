"""The standings: who ranks where on a board, and what may be said of it.

**What is ranked.** The gain of an entry: the average of the task's primary metric of its headline arm minus that of the
arm's placebo, paired by seed, at its headline size (`Task.headline`; films without that size: the largest). A placebo is the
same training with copies of the real films in place of synthetic ones, so that a gain is what the films add and not what
longer training does. Divisions are ranked apart, and so are entries whose films were labelled in another way.

**Who is ranked.** Entries with every cell of the board, placebos among them, for at least five seeds. The others are shown
with the reason. A protocol without placebos (before they were there) has no ranks.

**The rule** is `ranking.compare_paired`: all comparisons of a board and division, of entries with copying and with each
other, are one family under Holm at 5 %; equal ranks are ties.

**Beside it**, not ranked: the worth in real films, read from the curve that the task ships for these films, the same for
all; gains of other arms and sizes; differences from REAL, which for FINETUNE include longer training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..benchmark.contracts.task import ArmName
from ..benchmark.results.gains import PlaceboCurve
from ..benchmark.significance.gain import Verdict
from ..benchmark.significance.paired_tests import MIN_SEEDS
from .arms import REAL, SYNTHETIC, WITHOUT_PLACEBOS, in_order, is_placebo, placebo_of
from .attempts import Attempt, BoardKey, Division, Protocol
from .curves import FindCurve, Ruler, shipped
from .differences import differences
from .gains import Gain, gains
from .ranking import Rank, compare_paired
from .reached import NO_DIFFERENCE, Arm, Before

FIRST = (ArmName.MIXED.value, ArmName.FINETUNE.value, SYNTHETIC)
"""The arm that is shown first where the task names none: the first of these that the board has."""
Place = tuple[str, str]
"""Size and arm."""


@dataclass
class Standing:
    """One attempt on its board. `rank` is None where it is not ranked, and `reason` says why."""

    attempt: Attempt
    arms: dict[Place, Arm]
    headline: Arm
    rank: Rank | None = None
    reason: str = ""

    @property
    def verdict(self) -> str:
        """What may be claimed against copying."""
        return self.reason if self.rank is None else Verdict.of(self.rank.told).value

    @property
    def control(self) -> bool:
        """Whether it is a mark of the scale."""
        return self.attempt.entrant.control


@dataclass
class Board:
    """One table: all attempts at one protocol. `standings` by division, ranked ones first, in order.

    `size` and `arm` are the headline; `with_placebos`: whether there are gains to rank by; `places`: (size, arm) of what the
    board has, placebos left out; `curve`: what worths are read from.
    """

    key: BoardKey
    protocol: Protocol
    phantom: bool
    sizes: list[str]
    arms: list[str]
    places: list[Place]
    size: str
    arm: str
    with_placebos: bool
    structures: list[str]
    curve: PlaceboCurve | None = None
    standings: dict[Division, list[Standing]] = field(default_factory=dict)
    apart: dict[Division, npt.NDArray[np.bool_]] = field(default_factory=dict)
    """Which of the ranked standings are told apart, in their order."""

    @property
    def all(self) -> list[Standing]:
        """Every standing, division after division."""
        return [one for found in self.standings.values() for one in found]

    @property
    def settings(self) -> Mapping[str, Any]:
        """The task's, which all of its attempts share."""
        return next((one.attempt.settings for one in self.all), {})

    @property
    def title(self) -> str:
        """`scr_official v1 · phantom · quick`."""
        return f"{self.key.task} v{self.key.version} · {self.key.data} · {self.key.preset}"

    def ruler(self, arm: str) -> Ruler | None:
        """The curve of an arm at the size that ranks; None where there is none."""
        if self.curve is None:
            return None
        higher = self.protocol.primary.higher_is_better
        return Ruler.of(self.curve, arm, self.size, self.films, higher_is_better=higher)

    @property
    def films(self) -> int | None:
        """The most real films that an attempt had at the size that ranks."""
        return _most_films([one.attempt for one in self.all], self.size)


def _most_films(attempts: Sequence[Attempt], size: str) -> int | None:
    return max((attempt.films[size] for attempt in attempts if size in attempt.films), default=None)


def boards(attempts: Sequence[Attempt], find_curve: FindCurve = shipped) -> list[Board]:
    """The boards of all attempts, each ranked; those on real films first."""
    groups: dict[BoardKey, list[Attempt]] = {}
    for attempt in attempts:
        groups.setdefault(attempt.key, []).append(attempt)
    return sorted((board(groups[key], find_curve) for key in sorted(groups)), key=lambda made: made.phantom)


def board(attempts: Sequence[Attempt], find_curve: FindCurve = shipped) -> Board:
    """The board of attempts that have one key."""
    plan, first = _plan(attempts), attempts[0]
    made = _empty(attempts, plan)
    device = Counter(attempt.device for attempt in attempts).most_common(1)[0][0]
    made.curve = find_curve(first.key, device)
    before = Before(*_asked(made, attempts))
    known = [_known(made, attempt, before) for attempt in attempts]
    new = _standings(made, [attempt for attempt, one in zip(attempts, known, strict=True) if one is None])
    waiting = iter(new)
    everyone = [next(waiting) if one is None else one for one in known]
    for standing in everyone:
        standing.reason = _reason(standing, made, plan)
    for division in Division:
        mine = [one for one in everyone if one.attempt.entrant.division is division]
        if mine:
            made.standings[division], made.apart[division] = _ranked(mine, made)
    _add_worths(made, new)
    before.keep([(one.attempt, list(one.arms.values())) for one in everyone])
    return made


def _asked(made: Board, attempts: Sequence[Attempt]) -> list[Any]:
    """All that `_standings` and `_add_worths` look at beside an attempt itself."""
    curve = None if made.curve is None else made.curve.model_dump(mode="json", by_alias=True)
    metric, films = made.protocol.primary, _most_films(attempts, made.size)
    return [astuple(made.key), made.places, made.size, made.arm, metric.name, metric.higher_is_better, curve, films]


def _known(made: Board, attempt: Attempt, before: Before) -> Standing | None:
    """The standing of an attempt whose arms were worked out before."""
    arms = before.of(attempt)
    by_place = None if arms is None else {(one.size, one.arm): one for one in arms}
    return None if by_place is None else Standing(attempt, by_place, by_place[made.size, made.arm])


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


def _empty(attempts: Sequence[Attempt], plan: Mapping[str, set[tuple[str, str]]]) -> Board:
    """The board without its standings."""
    sizes = list(dict.fromkeys(size for attempt in attempts for size in attempt.films if size in plan))
    there = {(size, arm) for size, cells in plan.items() for _, arm in cells}
    arms = sorted({arm for size, arm in there if size in sizes and not is_placebo(arm)}, key=in_order)
    said = next((attempt.headline for attempt in attempts if attempt.headline is not None), None)
    size = said[0] if said is not None and said[0] in sizes else sizes[0]
    first = [arm for arm in FIRST if (size, arm) in there]
    arm = said[1] if said is not None else (first or [SYNTHETIC])[0]
    return Board(
        key=attempts[0].key,
        protocol=attempts[0].protocol,
        phantom=any(attempt.phantom for attempt in attempts),
        sizes=sizes,
        arms=arms,
        places=[(size, arm) for size in sizes for arm in arms if (size, arm) in there],
        size=size,
        arm=arm,
        with_placebos=(size, placebo_of(arm)) in there,
        structures=list(dict.fromkeys(name for attempt in attempts for name in attempt.structures)),
    )


def _standings(made: Board, attempts: Sequence[Attempt]) -> list[Standing]:
    metric = made.protocol.primary
    places = list(dict.fromkeys([*made.places, (made.size, made.arm)]))
    scores = [{place: attempt.average(*place, metric.name) for place in places} for attempt in attempts]
    where = [(i, place) for i in range(len(attempts)) for place in places if place[1] != REAL]
    tested = [(i, place) for i, place in where if scores[i][place] and scores[i].get((place[0], REAL))]
    against_real = differences(
        [(tuple(scores[i][place].values()), tuple(scores[i][place[0], REAL].values())) for i, place in tested]
    )
    pairs = [
        (scores[i][size, arm], attempts[i].average(size, placebo_of(arm), metric.name)) for i, (size, arm) in where
    ]
    by_place = dict(zip(tested, against_real, strict=True))
    gained = dict(zip(where, gains(pairs, higher_is_better=metric.higher_is_better), strict=True))
    found = []
    for i, attempt in enumerate(attempts):
        arms = {}
        for (size, arm), by_seed in scores[i].items():
            values = np.array(list(by_seed.values()))
            arms[size, arm] = Arm(
                size=size,
                arm=arm,
                seeds=len(values),
                mean=float(values.mean()) if len(values) else None,
                sd=float(values.std(ddof=1)) if len(values) > 1 else None,
                difference=by_place.get((i, (size, arm)), NO_DIFFERENCE),
                gain=gained.get((i, (size, arm)), Gain()),
            )
        found.append(Standing(attempt, arms, arms[made.size, made.arm]))
    return found


def _add_worths(made: Board, new: Sequence[Standing]) -> None:
    """What the arm that ranks and synthetic films alone are worth, for these standings of a board, in their arms."""
    metric = made.protocol.primary.name
    for arm in dict.fromkeys((made.arm, SYNTHETIC)):
        ruler, place = made.ruler(arm), (made.size, arm)
        for one in new:
            if ruler is None or place not in one.arms:
                continue
            found = ruler.worth(one.attempt.average(*place, metric))
            old = one.arms[place]
            one.arms[place] = Arm(**(vars(old) | {"worth": found}))
            if one.headline is old:
                one.headline = one.arms[place]


def _reason(standing: Standing, made: Board, plan: Mapping[str, set[tuple[str, str]]]) -> str:
    """Why an attempt is not ranked; empty where it is."""
    attempt = standing.attempt
    if attempt.unranked:
        return "; ".join(attempt.unranked)
    if not any(is_placebo(arm) for _, _, arm, _ in attempt.cells):
        return WITHOUT_PLACEBOS
    seeds = attempt.seeds
    if len(seeds) < MIN_SEEDS:
        return f"{'1 seed' if len(seeds) == 1 else f'{len(seeds)} seeds'}, {MIN_SEEDS} needed"
    wanted = {(size, fold, arm, seed) for size, cells in plan.items() for fold, arm in cells for seed in seeds}
    missing = sorted(wanted - attempt.cells)
    if missing:
        size, fold, arm, seed = missing[0]
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return f"missing cells: {size} {arm} seed {seed} fold {fold}{more}, of {len(wanted)}"
    gain = standing.headline.gain
    if len(gain.by_seed) < MIN_SEEDS:
        untaught = not standing.headline.seeds
        lack = "was not taught every structure" if untaught else f"has {len(gain.by_seed)} seeds with its placebo"
        return f"no gain in {made.protocol.primary.label}: {made.arm.upper()} {lack}"
    if gain.p is None:
        return "every seed gained the same: no variance, no claim"
    return ""


def _ranked(standings: Sequence[Standing], made: Board) -> tuple[list[Standing], npt.NDArray[np.bool_]]:
    """Standings of one division in order: by rank, range, then gain; those that are not ranked last."""
    metric = made.protocol.primary
    complete = [one for one in standings if not one.reason]
    found = compare_paired([one.headline.gain.by_seed for one in complete], higher_is_better=metric.higher_is_better)
    for one, its_rank in zip(complete, found.ranks, strict=True):
        one.rank = its_rank
    sign = -1.0 if metric.higher_is_better else 1.0

    def order(one: Standing) -> tuple[float, float, float, str]:
        value = one.headline.gain.value if made.with_placebos else one.headline.difference.value
        first, last = (one.rank.first, one.rank.last) if one.rank else (np.inf, np.inf)
        return first, last, np.inf if value is None else sign * value, one.attempt.title

    places = sorted(range(len(complete)), key=lambda i: order(complete[i]))
    others = sorted((one for one in standings if one.reason), key=order)
    return [*(complete[i] for i in places), *others], found.apart[np.ix_(places, places)]
