"""What a board knows of the films of an entry, before anything is trained on them: numbers, each with its name.

A distance is never named without its space and its number of films. Rows of before a number was kept have none of it; the
counts of copies are of every entry, since each of its cells has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..benchmark.fidelity.compare import ALL, InSpace
from ..benchmark.fidelity.spaces import ANATOMY, GREY, TEXTURE
from ..benchmark.results.fidelity_rows import FidelityRow
from .attempts import Attempt

SPACES = (ANATOMY.name, TEXTURE.name, GREY.name)
"""The spaces of every run, what the organs look like first."""
SHARES = ("precision", "recall", "density", "coverage")
NOT_THERE = "not in its record"
"""Of an entry that is older than the number, or whose films were not there to ask."""
MOST_WORDS = 80
"""Letters of a row's own note that are shown."""


@dataclass(frozen=True)
class Found:
    """A number with its 95 % interval and how many films it is of, where it has these."""

    value: float
    low: float | None = None
    high: float | None = None
    films: int | None = None


@dataclass(frozen=True)
class Number:
    """One number of the films of an entry. `name` is a key; `what` and `space` make its label; `value` takes an attempt and
    a size. `better`: which way is nearer to real films (1: higher, -1: lower)."""

    name: str
    what: str
    space: str
    about: str
    better: int
    value: Callable[[Attempt, str], Found | None]
    share: bool = False
    """Whether it is one of the four shares of a space."""
    counted: bool = False
    """Whether it is a share of films that were counted, without an interval."""

    def label(self, films: Iterable[int]) -> str:
        """`FD (anatomy, 123 films) / floor`, of all numbers of films that there are."""
        counts = sorted(set(films))
        span = "" if not counts else f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
        place = ", ".join(part for part in (self.space, span and f"{span} films") if part)
        return self.what.format(f" ({place})" if place else "")


def row_of(attempt: Attempt, size: str) -> FidelityRow | None:
    """What an attempt says of its films of a size."""
    return attempt.fidelity_at.get(size)


def in_space(attempt: Attempt, size: str, space: str) -> InSpace | None:
    """Its numbers in a space."""
    row = row_of(attempt, size)
    for one in row.spaces if row else ():
        if one.space == space:
            return one
    return None


def why_none(number: Number, attempt: Attempt, size: str) -> str:
    """Why an attempt has no such number, in a few words."""
    row = row_of(attempt, size)
    if row is None or not row.spaces:
        return row.note[:MOST_WORDS] if row is not None and row.note else NOT_THERE
    if number.space and in_space(attempt, size, number.space) is None:
        return "no masks on both sides" if number.space == ANATOMY.name else NOT_THERE
    return NOT_THERE


def _ratio(space: str) -> Number:
    def value(attempt: Attempt, size: str) -> Found | None:
        one = in_space(attempt, size, space)
        return None if one is None else Found(one.frechet.ratio, one.frechet.low, one.frechet.high, one.frechet.films)

    about = "Fréchet distance from real films over that of real films from real ones; about 1 for real films"
    return Number(f"fd_ratio:{space}", "FD{} / floor", space, about, -1, value)


ABOUT = {
    "precision": "share of the films that lie among real ones",
    "recall": "share of the real films that lie among these",
    "density": "how densely the films lie among real ones; about 1 for real films",
    "coverage": "share of the real films that have one of these near",
}


def _share(name: str, space: str) -> Number:
    def value(attempt: Attempt, size: str) -> Found | None:
        one = in_space(attempt, size, space)
        if one is None:
            return None
        share = getattr(one, name)
        return Found(share.value, share.low, share.high, one.frechet.films)

    return Number(f"{name}:{space}", f"{name.capitalize()}{{}}", space, ABOUT[name], 1, value, share=True)


def _alike(attempt: Attempt, size: str) -> Found | None:
    row = row_of(attempt, size)
    if row is None or row.alike is None:
        return None
    films = row.spaces[0].frechet.films if row.spaces else None
    return Found(row.alike.value, row.alike.low, row.alike.high, films)


def _agreement(attempt: Attempt, size: str) -> Found | None:
    row = row_of(attempt, size)
    one = next((one for one in row.agreement if one.structure == ALL), None) if row else None
    return None if one is None else Found(one.value, one.low, one.high, one.films)


def _repeats(attempt: Attempt, size: str) -> Found | None:
    row = row_of(attempt, size)
    return None if row is None or row.repeats is None else Found(row.repeats, films=row.films)


def _copies(attempt: Attempt, size: str) -> Found | None:
    found = attempt.copied.get(size)
    return None if found is None or not found.films else Found(found.copies / found.films, films=found.films)


NUMBERS: tuple[Number, ...] = (
    *(_ratio(space) for space in SPACES),
    *(_share(name, space) for space in SPACES for name in SHARES),
    Number(
        "ms_ssim", "MS-SSIM of pairs{}", "", "how alike the films are to each other; higher: less diverse", -1, _alike
    ),
    Number(
        "agreement",
        "Agreement of REAL{}",
        "",
        "what a model trained on real films reaches on the films' own annotations: are they faithful?",
        1,
        _agreement,
    ),
    Number(
        "repeats",
        "Shown again{}",
        "",
        "share of the films that are shown more than once",
        -1,
        _repeats,
        counted=True,
    ),
    Number(
        "copies",
        "Copies found{}",
        "",
        "share of the films, of all seeds, that are copies of training films",
        -1,
        _copies,
        counted=True,
    ),
)
