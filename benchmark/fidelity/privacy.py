"""Three tests of memorisation besides copies (`memorisation`): are films nearer to training films than new real
films are (C_T), do they show training patients to a network that knows patients again, do they tell who was learnt
from (membership)?

Each compares with real films of other patients, one film a patient, which nothing was learnt from; each raises its
alarm in at most 1 % of clean generators; and each is run again with planted copies (`planted`), so that its silence
has a meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import special, stats

from ..data.dataset import Dataset
from ..data.film_rows import Films
from ..data.gathered import changed
from ..data.near_copies import SIDE
from ..data.resize import resize_films
from ..errors import InputError
from ..metrics.classification import placements
from ..metrics.neighbours import squared_distances
from .memorisation import COPIES, NEXT, PLANTED, cropped, tails
from .planted import DRAWS, Planted, planted

LEVEL = 0.01
"""False alarms of each test, over clean generators."""
FALSE_ALARM = 0.01
"""Held-out patients above the threshold of re-identification."""
SHAPE = 0.3
"""Of the tail of held-out patients in a network's space: with an exponential one 11 % of clean generators alarm."""
LEAST = 20
CELL = 30  # held-out films, and films, that a cell has at least on average
FEWEST = 10  # of either, or the cell is left out
CELLS = 10
MOST = 5000  # training patients, for membership, and training films that cells are made of
BLOCK = 512

Vectors = Callable[[Films], np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """A test's number, its p-value for a clean generator, and how often it sees planted copies."""

    value: float
    p: float
    planted: list[Planted] = field(default_factory=list)

    @property
    def alarm(self) -> bool:
        """Whether it is conspicuous: below the level of 1 %."""
        return self.p < LEVEL


def one_a_patient(films: Dataset) -> np.ndarray:
    """Rows of the first film of each patient, by id: films of one patient are not independent."""
    order = films.cases.assign(row=np.arange(len(films))).sort_values("id", kind="stable")
    rows: np.ndarray = order.drop_duplicates("patient")["row"].to_numpy()
    return np.sort(rows)


def pixels(images: Films) -> np.ndarray:
    """Films as they are compared: float32 (N, P) of 32 x 32 pixels at most; distances are root-mean-square grey
    levels."""
    side = min(SIDE, images.shape[1])
    small = changed(images, lambda block: resize_films(block, side), (side, side))
    return np.asarray(small, dtype=np.float32).reshape(len(images), -1) / np.float32(255.0 * side)


def copies_of(training: Films, count: int = PLANTED) -> dict[str, np.ndarray]:
    """Copies of so many training films, by kind: uint8 (n, H, W)."""
    rows = np.linspace(0, len(training) - 1, min(count, len(training))).round().astype(int)
    originals = np.asarray(training[rows])
    return {kind: copy(originals) for kind, copy in COPIES.items()}


def _apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sqrt(squared_distances(a, b))


# ---------------------------------------------------------------------- C_T


@dataclass(frozen=True)
class Cells:
    """Training films (M, P) in cells around centres (k, P); a film belongs to the cell of the nearest centre."""

    centres: np.ndarray
    training: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, training: np.ndarray, count: int, seed: int = 0) -> Cells:
        """By k-means (k-means++ starts) of at most 5,000 of the films."""
        if count < 2:
            return cls(training.mean(axis=0, keepdims=True), (training,))
        from scipy.cluster.vq import kmeans2

        rows = np.random.default_rng(seed).permutation(len(training))[:MOST]
        centres, _ = kmeans2(training[rows].astype(np.float64), count, minit="++", seed=seed, missing="warn")
        cells = squared_distances(training, centres).argmin(axis=1)
        kept = [cell for cell in range(count) if (cells == cell).any()]
        return cls(centres[kept], tuple(training[cells == cell] for cell in kept))

    def distances(self, films: np.ndarray) -> np.ndarray:
        """(N, 2): the cell of each film, and the distance to the nearest training film of that cell."""
        cells = squared_distances(films, self.centres).argmin(axis=1)
        found = np.column_stack([cells, np.zeros(len(films))])
        for cell, training in enumerate(self.training):
            rows = np.flatnonzero(cells == cell)
            for start in range(0, len(rows), BLOCK):
                part = rows[start : start + BLOCK]
                found[part, 1] = _apart(films[part], training).min(axis=1)
        return found


def cell_count(held_out: int, films: int) -> int:
    """How many cells so many films are enough for."""
    return int(np.clip(min(held_out, films) // CELL, 1, CELLS))


def copying_of(held_out: np.ndarray, films: np.ndarray) -> tuple[float, float]:
    """C_T and its p-value (one-sided: nearer) of what `Cells.distances` says of held-out and of synthetic films.

    C_T is the mean over cells of the z-score of Mann and Whitney's U, weighted by the share of held-out films in
    the cell (Meehan et al. 2020, section 3.3); cells with fewer than ten films of either are left out (their tau).
    Each z-score has a deviation of 1 for a clean generator, so the mean's is that of the weights. InputError where
    no cell is left.
    """
    scores, weights = [], []
    for cell in np.unique(held_out[:, 0]):
        real, made = (side[side[:, 0] == cell, 1] for side in (held_out, films))
        if min(len(real), len(made)) < FEWEST:
            continue
        scores.append(_z(real, made))
        weights.append(len(real))
    if not scores:
        raise InputError(f"C_T: no cell has {FEWEST} held-out and {FEWEST} synthetic films")
    shares = np.array(weights) / np.sum(weights)
    value = float(shares @ scores)
    return value, float(stats.norm.cdf(value / np.sqrt(shares @ shares)))


def _z(real: np.ndarray, made: np.ndarray) -> float:
    from ..metrics.neighbours import copying_score

    return copying_score(real, made)


def copying(
    films: np.ndarray, training: np.ndarray, held_out: np.ndarray, copies: Mapping[str, np.ndarray], draws: int = DRAWS
) -> tuple[Outcome, int]:
    """C_T of `pixels` of films, and in how many cells."""
    cells = Cells.of(training, cell_count(len(held_out), len(films)))
    real, made = cells.distances(held_out), cells.distances(films)
    value, p = copying_of(real, made)

    seen = _Planting(real, made).seen
    rows = {kind: cells.distances(some) for kind, some in copies.items()} if draws else {}
    return Outcome(value, p, planted(len(films), rows, seen, draws=draws)), len(cells.centres)


class _Planting:
    """C_T again and again with other films beside the same ones: the sums of U by cell (ties are halves)."""

    def __init__(self, real: np.ndarray, made: np.ndarray) -> None:
        self.count = int(max(real[:, 0].max(), made[:, 0].max())) + 1
        self.real = [np.sort(real[real[:, 0] == cell, 1]) for cell in range(self.count)]
        self.held = np.array([len(some) for some in self.real])
        self.sums, self.films = self._of(made)

    def _of(self, films: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """By cell: pairs in which the synthetic film is the farther one, and synthetic films."""
        sums, counts = np.zeros(self.count), np.zeros(self.count)
        for cell in np.unique(films[:, 0]).astype(int):
            if cell >= self.count:
                continue
            some, real = films[films[:, 0] == cell, 1], self.real[cell]
            sums[cell] = (np.searchsorted(real, some) + np.searchsorted(real, some, "right")).sum() / 2
            counts[cell] = len(some)
        return sums, counts

    def seen(self, rows: np.ndarray) -> bool:
        """Whether C_T with these films beside is below the level."""
        sums, counts = self._of(rows)
        u, n, m = self.sums + sums, self.films + counts, self.held
        kept = np.minimum(n, m) >= FEWEST
        u, n, m = u[kept], n[kept], m[kept]
        if not len(m):
            return False
        z = (u - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12)
        shares = m / m.sum()
        return bool(special.ndtr(shares @ z / np.sqrt(shares @ shares)) < LEVEL)


# ---------------------------------------------------------------------- re-identification


@dataclass(frozen=True)
class Patients:
    """Vectors of training films (M, D), as they are and with 2.5 % cut off at every edge, and whose each is, as numbers
    0 to P - 1."""

    versions: tuple[np.ndarray, ...]
    patients: np.ndarray

    @classmethod
    def of(cls, training: Films, patients: np.ndarray, vectors: Vectors) -> Patients:
        """Of films, and whose each is (M,), by a network that knows patients again."""
        cut = changed(training, cropped, training.shape[1:])
        _, whose = np.unique(patients.astype(str), return_inverse=True)
        return cls((vectors(training), vectors(cut)), whose)

    def nearness(self, films: Films, vectors: Vectors) -> tuple[np.ndarray, np.ndarray]:
        """Of each film, as it is and mirrored: the logarithm of the distance to the nearest training patient over
        the mean of that to the next fifty (low: it shows one of them), and that patient's nearest film's row."""
        found, rows = np.full(len(films), np.inf), np.zeros(len(films), dtype=np.int64)
        plain = np.asarray(films)
        order = np.argsort(self.patients, kind="stable")
        starts = np.unique(self.patients[order], return_index=True)[1]
        for shown in (plain, np.ascontiguousarray(plain[:, :, ::-1])):
            said = vectors(shown)
            for start in range(0, len(said), BLOCK):
                block = slice(start, start + BLOCK)
                apart = np.minimum.reduce([_apart(said[block], version) for version in self.versions])
                nearest = np.minimum.reduceat(apart[:, order], starts, axis=1)
                count = min(NEXT, nearest.shape[1])
                lowest = np.partition(nearest, count - 1, axis=1)[:, :count]
                first = lowest.min(axis=1)
                others = (lowest.sum(axis=1) - first) / max(count - 1, 1)
                ratio = np.log(np.maximum(first, 1e-6) / np.maximum(others, 1e-6))
                better = ratio < found[block]
                found[block][better] = ratio[better]
                rows[block][better] = apart.argmin(axis=1)[better]
        return found, rows


@dataclass(frozen=True)
class Shown:
    """Films that show a training patient: how many of the films lie beyond the threshold that `rate` of held-out
    patients pass, the rows of the films that show one for certain, with the row of the training film."""

    outcome: Outcome
    rate: float
    above: int
    pairs: tuple[tuple[int, int], ...]


def patients_shown(
    films: Films,
    training: Patients,
    held_out: Films,
    vectors: Vectors,
    copies: Mapping[str, np.ndarray],
    draws: int = DRAWS,
) -> Shown:
    """Do films show training patients? `vectors` is a network that knows patients again (`reidentify`); `held_out`:
    one film of each of other patients.

    Twice, each at half of the level: whether more films than chance allows are beyond the threshold that 1 % of the
    held-out patients pass (of n real and N synthetic films alike, how many of the N lie beyond the r-th of the n is
    beta-binomial); and whether one lies so far out in the tail of the held-out films that N clean ones would not
    (`memorisation.tails`).
    """
    real, _ = training.nearness(held_out, vectors)
    made, nearest = training.nearness(films, vectors)
    r = max(1, int(FALSE_ALARM * (len(real) + 1)))
    threshold = np.sort(real)[r - 1]

    def p_of(values: np.ndarray) -> tuple[float, float]:
        beyond, n = int((values < threshold).sum()), len(values)
        rate = float(stats.betabinom.sf(beyond - 1, n, r, len(real) + 1 - r)) if beyond else 1.0
        return rate, float(min(1.0, tails(values, real, shape=SHAPE).min() * n))

    def seen(rows: np.ndarray) -> bool:
        return 2 * min(p_of(np.concatenate([made, rows]))) < LEVEL

    said = {kind: training.nearness(some, vectors)[0] for kind, some in copies.items()} if draws else {}
    found = tails(made, real, shape=SHAPE)
    certain = np.flatnonzero(found < LEVEL / 2 / len(made))
    order = certain[np.argsort(found[certain], kind="stable")]
    p = min(1.0, 2 * min(p_of(made)))
    outcome = Outcome(float((made < threshold).mean()), p, planted(len(made), said, seen, draws=draws))
    pairs = tuple((int(row), int(nearest[row])) for row in order)
    return Shown(outcome, r / (len(real) + 1), int((made < threshold).sum()), pairs)


# ---------------------------------------------------------------------- membership


@dataclass(frozen=True)
class Membership:
    """Are training patients told from others by how near films lie? `outcome.value` is the AUC; `control` that of
    the same score with other real films in place of the synthetic ones, which know of no member: what it reaches
    too is how the two groups differ (`split_bias`)."""

    outcome: Outcome
    control: float
    members: int
    others: int
    split_bias: bool


def membership(
    films: np.ndarray,
    members: np.ndarray,
    held_out: np.ndarray,
    copies: Mapping[str, np.ndarray],
    draws: int = DRAWS,
    seed: int = 0,
) -> Membership:
    """Of `pixels` of films, of training patients and of other patients, one film each. Half of the others are asked
    about, half are the control. The score of a person: how much nearer the nearest film is than the next fifty (as
    of copies; Chen et al., "GAN-Leaks", 2020, take the distance alone). The alarm takes an AUC above one half and
    above the control's (DeLong), each below the level. InputError for fewer than 40 other patients."""
    if len(members) < LEAST or len(held_out) < 2 * LEAST:
        raise InputError(
            f"membership: {len(members)} training and {len(held_out)} other patients; expected {LEAST} and {2 * LEAST}"
        )
    draw = np.random.default_rng(seed)
    rows = draw.permutation(len(held_out))
    asked, control = held_out[rows[::2]], held_out[rows[1::2]][: len(films)]
    films = films[draw.permutation(len(films))[: len(control)]]
    members = members[draw.permutation(len(members))[:MOST]]
    people = np.concatenate([members, asked])
    truth = np.r_[np.ones(len(members)), np.zeros(len(asked))]
    first, others = _two(people, films)
    base = -_score(*_two(people, control))

    reached, known = placements(truth, base)

    def tested(nearest: np.ndarray) -> tuple[float, float, float]:
        """The AUC, its p-value against one half (Mann and Whitney) and against the control's (DeLong), one-sided."""
        up, down = placements(truth, -_score(nearest, others))
        n, m = len(up), len(down)
        half = (up.mean() - 0.5) / np.sqrt((n + m + 1) / (12 * n * m))
        error = np.sqrt((up - reached).var(ddof=1) / n + (down - known).var(ddof=1) / m)
        more = (up - reached).mean() / max(error, 1e-12)
        return float(up.mean()), float(special.ndtr(-half)), float(special.ndtr(-more))

    value, p_half, p_more = tested(first)

    def seen(nearer: np.ndarray) -> bool:
        return max(tested(np.minimum(first, nearer.min(axis=0)))[1:]) < LEVEL

    said = {kind: _nearest_each(some, people) for kind, some in copies.items()} if draws else {}
    outcome = Outcome(value, max(p_half, p_more), planted(len(films), said, seen, draws=draws))
    return Membership(outcome, float(reached.mean()), len(members), len(asked), p_half < LEVEL <= p_more)


def _score(first: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(first, 1e-6) / np.maximum(others, 1e-6))


def _nearest_each(films: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Distances (N, people) of films, as they are and mirrored."""
    side = round(films.shape[1] ** 0.5)
    turned = films.reshape(-1, side, side)[:, :, ::-1].reshape(films.shape)
    return np.minimum(_apart(films, people), _apart(turned, people)).astype(np.float32)


def _two(people: np.ndarray, films: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each person the distance to the nearest film, and the mean of that to the next fifty."""
    first, others = np.empty(len(people)), np.empty(len(people))
    for start in range(0, len(people), BLOCK):
        block = slice(start, start + BLOCK)
        apart = _nearest_each(films, people[block]).T
        count = min(NEXT, apart.shape[1])
        lowest = np.partition(apart, count - 1, axis=1)[:, :count].astype(np.float64)
        first[block] = lowest.min(axis=1)
        others[block] = (lowest.sum(axis=1) - first[block]) / max(count - 1, 1)
    return first, others
