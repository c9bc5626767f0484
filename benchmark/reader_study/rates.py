"""Shares with exact intervals, and agreement of readers, as results and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..schema import Strict
from .agreement import clopper_pearson, cohen_kappa, fleiss_kappa


class Rate(Strict):
    """k of n films; `value` and the exact 95 % interval are None of no films."""

    k: int
    n: int
    value: float | None
    low: float | None
    high: float | None


class Agreement(Strict):
    """Agreement of readers beyond chance on the films that all of them answered; None where it is not defined."""

    question: str
    kappa: str
    films: int
    value: float | None


def rate(k: int, n: int) -> Rate:
    """k of n with its exact 95 % interval."""
    if not n:
        return Rate(k=0, n=0, value=None, low=None, high=None)
    low, high = clopper_pearson(k, n)
    return Rate(k=k, n=n, value=k / n, low=low, high=high)


def agreement(question: str, said: Sequence[Mapping[str, str]], answers: Sequence[str]) -> Agreement:
    """Cohen's kappa of two readers, Fleiss' of more, over the films that all answered; `said`: answers by film."""
    common = sorted(set.intersection(*(set(one) for one in said)))
    value = None
    if len(said) == 2 and common:
        value = cohen_kappa(*([one[item] for item in common] for one in said))
    elif common:
        value = fleiss_kappa([[sum(one[item] == answer for one in said) for answer in answers] for item in common])
    return Agreement(question=question, kappa="Cohen" if len(said) == 2 else "Fleiss", films=len(common), value=value)


def interval(value: Rate) -> str:
    """A share, its interval and its counts in words."""
    if value.value is None or value.low is None or value.high is None:
        return "no film"
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]  {value.k}/{value.n}"


def counted(count: int, noun: str) -> str:
    """`1 film`, `2 films`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
