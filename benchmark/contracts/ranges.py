"""Values of generated films: a hair outside of 0 to 1 they are cut there, the rest is refused with the cure."""

from __future__ import annotations


def is_inside(low: float, high: float, hair: float) -> bool:
    """Whether films from `low` to `high` are in [0, 1], or outside by no more than `hair`."""
    return low >= -hair and high <= 1 + hair


def cure_of(low: float, high: float) -> str:
    """What to do with films of another range, where it is one that generators have; else nothing."""
    if -1.1 <= low < 0 and high <= 1.1:
        return "films from -1 to 1? Make them (x + 1) / 2"
    if low >= 0 and 1 < high <= 256:
        return "films from 0 to 255? Make them x / 255"
    return ""


def cut_words(low: float, high: float) -> tuple[str, ...]:
    """What is to be said of films that were cut; nothing where they lay inside."""
    if low >= 0 and high <= 1:
        return ()
    return (f"values {low:.5g} to {high:.5g}, a hair outside of 0 to 1, were cut there",)
