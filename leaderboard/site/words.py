"""Standings in words and short numbers, for pages, Markdown and drawings alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from ...benchmark import digest
from ...benchmark.report.words import shown
from ...benchmark.results.rows import MetricInfo
from ..attempts import Attempt, Division
from ..standings import Arm, Board, Difference, Standing

DIVISIONS = {
    Division.REPRODUCED: ("Reproduced", "run by the maintainers from the entry's code"),
    Division.CLAIMED: ("Claimed", "run by its authors; re-scored here from their predictions, not rerun"),
}
WEB = ("http", "https")


def slug(name: str) -> str:
    """An entry's name as a file name: itself where it is plain, else plain letters and a digest."""
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
        return name
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-") or "entry"
    return f"{plain}-{digest.of_json(name)[:8]}"


def web_address(text: str) -> str | None:
    """The text where it is an address of the web that a page may link to; None for anything else (javascript:, ...)."""
    try:
        parts = urlsplit(text.strip())
    except ValueError:
        return None
    return text.strip() if parts.scheme in WEB and parts.netloc else None


def rank(standing: Standing) -> str:
    """`1`, or a dash where an entry is not ranked."""
    return "–" if standing.rank is None else str(standing.rank.first)


def rank_range(standing: Standing) -> str:
    """`1 to 4`: the confidence set of the rank."""
    if standing.rank is None:
        return ""
    first, last = standing.rank.first, standing.rank.last
    return f"{first}" if first == last else f"{first} to {last}"


def mean(arm: Arm, metric: MetricInfo) -> str:
    """`97.1 ± 0.2`."""
    if arm.mean is None:
        return "–"
    return shown(arm.mean, metric) + (f" ± {shown(arm.sd, metric)}" if arm.sd is not None else "")


def interval(difference: Difference, metric: MetricInfo) -> str:
    """`−0.4 to +0.2`."""
    if difference.low is None or difference.high is None:
        return ""
    return f"{shown(difference.low, metric, signed=True)} to {shown(difference.high, metric, signed=True)}"


def signed(value: float | None, metric: MetricInfo) -> str:
    """A difference of a metric."""
    return shown(value, metric, signed=True)


def summary(board: Board) -> str:
    """One line about a board."""
    ranked = sum(one.rank is not None for one in board.all)
    entries = len(board.all)
    return f"{entries} {'entry' if entries == 1 else 'entries'}, {ranked} ranked"


def by_entry(attempts: list[Attempt], key: Callable[[Attempt], str]) -> dict[str, list[Attempt]]:
    """Attempts in groups, in order."""
    groups: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        groups.setdefault(key(attempt), []).append(attempt)
    return groups
