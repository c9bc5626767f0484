"""A worth in words: the sentence that a paper may print, with its range and what is not known."""

from __future__ import annotations

from .worth import Worth, in_films


def sentence(found: Worth, n: float, *, alone: bool = False) -> str:
    """What may be said: "with 31 real films, these synthetic ones act like 50 (36 to 71): ×1.6".

    `alone`: the arm saw synthetic films only, and its curve is that of real films alone.
    """
    if not found.identified:
        return found.note
    start = "alone they are worth" if alone else f"with {in_films(n)} real films, these synthetic ones act like"
    unit = " real films" if alone else ""
    if found.censored:
        above = found.censored == "above"
        edge = f"more than {in_films(found.largest)}" if above else f"less than {in_films(found.smallest)}"
        said = f"{start} {edge}{unit}{_range(found)}"
    else:
        films, doublings = found.films, found.doublings
        assert films is not None and doublings is not None
        ratio = "" if alone else f": ×{2**doublings:.2g}"
        said = f"{start} {in_films(films)}{unit}{_range(found)}{ratio}"
    return f"{said} ({found.note})" if found.note else said


def _range(found: Worth) -> str:
    """` (36 to 71)`, with open ends in words; empty without an interval or where it says no more than the answer."""
    low, high = found.low_films, found.high_films
    if low is None or high is None or (found.censored and low == high):
        return ""
    if found.low_censored:
        return f" (less than {in_films(low)} to {in_films(high)})"
    return f" ({in_films(low)} to {'more than ' if found.high_censored else ''}{in_films(high)})"
