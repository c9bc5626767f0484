"""Are training films among the synthetic ones, and how few copies would have been seen?

A film is a copy where its nearest training film is far nearer than the next fifty are (Carlini et al., "Extracting training
data from diffusion models", 2023, compare with the nearest fifty in the same way). How near is far too near is told by real
films of other patients, which no generator has learnt from: the lowest tenth of the logarithms of that ratio is continued as
an exponential tail, and a film whose tail is below 5 % over the number of films is a copy. Films are compared at 32 x 32
pixels, as they are and mirrored, with the training films as they are and with 2.5 % cut off at every edge.

How few copies would have been seen is measured on copies of the same training films: plain, cropped, mirrored, blurred and
noised. It needs no assumption on the generator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..data.film_rows import Films
from ..data.gathered import changed
from ..data.near_copies import SIDE
from ..data.resize import resize_films
from ..errors import InputError
from ..metrics.neighbours import squared_distances

NEXT = 50  # neighbours that the nearest is compared with
LEAST = 20  # held-out films, and training films
TAIL = 10  # held-out films that the tail is read from, at least
LEVEL = 0.05
POWER = 0.95
CUT = 0.025  # of the side, at every edge of a film cropped to 95 %
PLANTED = 200  # training films of which copies are made to measure the power
BLOCK = 256


@dataclass(frozen=True)
class Power:
    """Of copies of one kind: the share that is told from new films, and the smallest share of the audited films that would
    have been seen with 95 % power; None where copies of this kind are not seen."""

    kind: str
    told: float
    share: float | None


@dataclass(frozen=True)
class Memorised:
    """How many of the films are copies of training films, the rows of these with their training film, the tail of the least
    likely film over all films (`p`), and what would have been seen."""

    films: int
    held_out: int
    training: int
    copies: int
    pairs: tuple[tuple[int, int], ...]
    p: float
    power: tuple[Power, ...]

    def sentence(self) -> str:
        """The line that may be claimed: of the worst kind of plain, cropped, mirrored, blurred and noised copies."""
        found = f"found {self.copies}"
        unseen = [one.kind for one in self.power if one.share is None]
        seen = [one for one in self.power if one.share is not None]
        if not seen:
            return f"copies of training films cannot be told here; {found}"
        worst = max(seen, key=lambda one: one.share or 0.0)
        blind = f" (not {', '.join(unseen)} ones)" if unseen else ""
        return f"would have seen {100 * (worst.share or 0):.2g} % of copies with 95 % power{blind}; {found}"


def blurred(images: np.ndarray) -> np.ndarray:
    """Films (N, H, W) through a binomial filter of five pixels, along both axes."""
    found = images.astype(np.float64)
    for axis in (1, 2):
        padded = np.pad(found, [(2, 2) if one == axis else (0, 0) for one in range(3)], mode="edge")
        size = found.shape[axis]
        weights = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
        parts = [weight * np.take(padded, np.arange(size) + shift, axis=axis) for shift, weight in enumerate(weights)]
        found = np.sum(parts, axis=0)
    return np.rint(found).astype(np.uint8)


def cropped(images: np.ndarray) -> np.ndarray:
    """Films with 2.5 % of the side cut off at every edge, at their size again (linear)."""
    height, width = images.shape[1:]
    places = [(np.arange(size) + 0.5) * (1 - 2 * CUT) + CUT * size - 0.5 for size in (height, width)]
    found = images.astype(np.float64)
    for axis, place in zip((1, 2), places, strict=True):
        low = np.clip(np.floor(place).astype(int), 0, images.shape[axis] - 2)
        part = (place - low).reshape([-1 if one == axis else 1 for one in range(3)])
        found = np.take(found, low, axis=axis) * (1 - part) + np.take(found, low + 1, axis=axis) * part
    return np.rint(found.clip(0, 255)).astype(np.uint8)


def mirrored(images: np.ndarray) -> np.ndarray:
    """Films with left and right exchanged."""
    return np.ascontiguousarray(images[:, :, ::-1])


def noised(images: np.ndarray) -> np.ndarray:
    """Films with noise of a deviation of 10 grey levels."""
    noise = np.random.default_rng(0).normal(0, 10, images.shape)
    return np.rint((images + noise).clip(0, 255)).astype(np.uint8)


COPIES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "plain": lambda images: images,
    "cropped": cropped,
    "mirrored": mirrored,
    "blurred": blurred,
    "noised": noised,
}


def _small(images: Films) -> np.ndarray:
    side = min(SIDE, images.shape[1])
    return changed(images, lambda block: resize_films(block, side), (side, side))


@dataclass(frozen=True)
class _References:
    """Training films as they are compared, float64 (M, P), in two versions."""

    versions: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, training: Films) -> _References:
        def cut(block: np.ndarray) -> np.ndarray:
            return resize_films(cropped(block), min(SIDE, block.shape[1]))

        side = min(SIDE, training.shape[1])
        both = (_small(training), changed(training, cut, (side, side)))
        return cls(tuple(np.asarray(one).reshape(len(training), -1) / 255.0 for one in both))

    def ratios(self, films: Films) -> tuple[np.ndarray, np.ndarray]:
        """Logarithm of the distance to the nearest training film over the mean of that to the next, (N,), the least over the
        versions; and that film's row."""
        small = np.asarray(_small(films))
        found, rows = np.full(len(small), np.inf), np.zeros(len(small), dtype=np.int64)
        for queries in (small, small[:, :, ::-1]):
            flat = queries.reshape(len(small), -1) / 255.0
            for version in self.versions:
                for start in range(0, len(flat), BLOCK):
                    block = slice(start, start + BLOCK)
                    ratio, nearest = _nearer(np.sqrt(squared_distances(flat[block], version)))
                    nearer = ratio < found[block]
                    found[block][nearer] = ratio[nearer]
                    rows[block][nearer] = nearest[nearer]
        return found, rows


def _nearer(apart: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    count = min(NEXT, apart.shape[1])
    nearest = np.partition(apart, count - 1, axis=1)[:, :count]
    first = nearest.min(axis=1)
    others = (nearest.sum(axis=1) - first) / (count - 1)
    return np.log(np.maximum(first, 1e-6) / np.maximum(others, 1e-6)), apart.argmin(axis=1)


def tails(values: np.ndarray, held_out: np.ndarray, *, shape: float = 0.0) -> np.ndarray:
    """Probability of a value as low as each, for one more film like the held-out ones; a value that is no lower than the
    tail has at least the tail's share. The tail is that of the lowest tenth (ten films or more), taken for exponential, as a
    prediction from so many: Pareto's. `shape` (below 1): of a heavier tail, a generalised Pareto one with the same mean."""
    ordered = np.sort(held_out)
    count = min(len(ordered) // 2, max(TAIL, len(ordered) // 10))
    edge = ordered[count]
    scale = max(float((edge - ordered[:count]).sum()), 1e-9)  # count times the mean excess
    share = count / len(ordered)
    if shape * count > 1:
        scale, power = scale / count * (1 - shape) / shape, 1 / shape
    else:
        power = float(count)
    return np.asarray(share * (1 + np.maximum(edge - values, 0) / scale) ** -power)


def memorised(films: Films, training: Films, held_out: Films, *, planted: int = PLANTED) -> Memorised:
    """Copies of training films among films, all uint8 (N, H, W) of one size. `held_out`: real films of other patients than
    those of `training`.
    `planted`: of so many training films copies of each kind are made to measure the power. InputError says how many films
    are enough."""
    if min(len(training), len(held_out)) < LEAST:
        raise InputError(
            f"copies: {len(training)} training and {len(held_out)} held-out films; expected at least {LEAST} of each"
        )
    references = _References.of(training)
    real = references.ratios(held_out)[0]
    values, rows = references.ratios(films)
    level = LEVEL / len(films)
    found = tails(values, real)
    copies = np.flatnonzero(found < level)
    chosen = np.linspace(0, len(training) - 1, min(planted, len(training))).round().astype(int)
    originals = np.asarray(training[chosen])
    power = []
    for kind, copy in COPIES.items() if planted else ():
        told = float((tails(references.ratios(copy(originals))[0], real) < level).mean())
        power.append(Power(kind, told, smallest_share(told, len(films))))
    order = copies[np.argsort(found[copies], kind="stable")]
    pairs = tuple((int(row), int(rows[row])) for row in order)
    p = float(min(1.0, found.min() * len(films))) if len(films) else 1.0
    return Memorised(len(films), len(held_out), len(training), len(copies), pairs, p, tuple(power))


def smallest_share(told: float, films: int) -> float | None:
    """The smallest share of copies among so many films of which at least one is told with 95 % probability, where one
    copy is told with the probability `told`; None where all of them together are not."""
    if told <= 0:
        return None
    needed = 1 if told >= POWER else int(np.ceil(np.log(1 - POWER) / np.log1p(-told)))
    return needed / films if needed <= films else None
