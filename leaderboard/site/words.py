"""Standings in words and short numbers, for pages, Markdown and drawings alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from ...benchmark import digest
from ...benchmark.contracts.task import ArmName
from ...benchmark.report.words import shown
from ...benchmark.results.rows import MetricInfo
from ...benchmark.significance.gain import Verdict
from ...benchmark.significance.worth import Worth, in_films
from ..attempts import Attempt, Division
from ..differences import Difference
from ..gains import Gain
from ..reached import Arm
from ..standings import Board, Standing

DIVISIONS = {
    Division.REPRODUCED: ("Reproduced", "run by the maintainers from the entry's code"),
    Division.CLAIMED: (
        "Claimed",
        "run by its authors; consistent with their predictions, as the entry’s check computes again, and not reproduced",
    ),
}
WEB = ("http", "https")
KINDS = {1: "better", -1: "worse", 0: "even"}
"""The page's class for what is told of an entry."""
LEGEND = [("better", Verdict.MORE.value), ("worse", Verdict.HARMS.value), ("even", Verdict.NOT_TOLD.value)]
"""Class and meaning of the colours of verdicts."""
LONGER = "includes longer training"


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


def kind(standing: Standing) -> str:
    """The page's class for an entry's verdict."""
    return KINDS[standing.rank.told] if standing.rank else "unranked"


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


def interval(found: Difference | Gain, metric: MetricInfo) -> str:
    """`−0.4 to +0.2`."""
    if found.low is None or found.high is None:
        return ""
    return f"{shown(found.low, metric, signed=True)} to {shown(found.high, metric, signed=True)}"


def signed(value: float | None, metric: MetricInfo) -> str:
    """A difference of a metric."""
    return shown(value, metric, signed=True)


def score(value: float | None, metric: MetricInfo) -> str:
    """A value of a metric."""
    return shown(value, metric)


def points(metric: MetricInfo) -> str:
    """The unit of a difference: `points of DSC`, `HD mm`."""
    return f"points of {metric.label}" if metric.percent else f"{metric.label} {metric.unit}".strip()


def worth_films(worth: Worth | None) -> str:
    """A worth in real films: `50`, `> 124`, `not identified`; a dash without a curve."""
    if worth is None:
        return "–"
    if not worth.identified:
        return "not identified"
    if worth.censored:
        above = worth.censored == "above"
        return f"{'>' if above else '<'} {in_films(worth.largest if above else worth.smallest)}"
    assert worth.films is not None
    return in_films(worth.films)


def worth_interval(worth: Worth | None) -> str:
    """`36 to 71`, with an open end as `> 124`; empty where there is no interval, or where it says no more."""
    if worth is None or worth.low_films is None or worth.high_films is None:
        return ""
    if worth.censored and worth.low_films == worth.high_films:
        return ""
    low = f"{'< ' if worth.low_censored else ''}{in_films(worth.low_films)}"
    return f"{low} to {'> ' if worth.high_censored else ''}{in_films(worth.high_films)}"


def failed_words(gain: Gain) -> str:
    """`seed 3; placebo: seeds 1, 4`: the trainings that scored far below the others; empty without any."""
    parts = [
        f"{before}{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
        for before, seeds in (("", gain.failed), ("placebo: ", gain.failed_placebo))
        if seeds
    ]
    return "; ".join(parts)


def difference_label(arm: str, where: str = "") -> str:
    """`FINETUNE − REAL, 31 (includes longer training)`."""
    longer = f" ({LONGER})" if arm.startswith(ArmName.FINETUNE) else ""
    return f"{arm.upper()} − REAL{where}{longer}"


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
