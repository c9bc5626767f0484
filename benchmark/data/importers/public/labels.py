"""The labels of a public set to 0 and 1: what -1 and nothing mean by the user's policy, and which findings are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ....errors import InputError, unknown
from ...finding_lists import spellings
from ...findings import NO_FINDING, word_key
from ...parts import films_in_words
from ...reading.tables import is_blank
from .listing import PublicFilm, PublicOptions

POLICIES = {"zeros": 0, "ones": 1, "ignore": None}
_VALUES = {"1": 1, "1.0": 1, "0": 0, "0.0": 0, "-1": -1, "-1.0": -1}
_NO_DISEASE = ("supportdevices",)  # what a film of CheXpert may show besides "No Finding"


@dataclass(frozen=True)
class Labelled:
    """The films whose labels are known, findings in order with 0/1 a film, and the set's name of a finding to ours."""

    films: list[PublicFilm]
    findings: dict[str, list[int]]
    names: dict[str, str]
    remarks: list[str]


def known_labels(which: str, films: Sequence[PublicFilm], labels: Sequence[str], options: PublicOptions) -> Labelled:
    """Films with every kept finding as 0 or 1. A film without a single label is left out: it is not known to be healthy.

    InputError where there is a -1 and no policy, and for what is no label.
    """
    if options.uncertain is not None and options.uncertain not in POLICIES:
        raise unknown("--uncertain", options.uncertain, POLICIES)
    names, remarks = spellings(labels)
    wanted = _wanted(which, names, options.findings)
    if set(wanted) < {name for name in names if names[name] != NO_FINDING}:
        remarks.append(f"findings kept: {', '.join(names[name] for name in wanted)} (of {len(labels)} columns)")
    kept: list[PublicFilm] = []
    flags: dict[str, list[int]] = {names[name]: [] for name in wanted}
    taken: Counter[str] = Counter()
    without = ignored = blank = 0
    healthy = [name for name in labels if names[name] == NO_FINDING]
    for film in films:
        if labels and all(is_blank(film.labels.get(name, "0")) for name in labels):
            without += 1
            continue
        values = {name: _value(which, film, name) for name in wanted}
        unsure = [name for name, value in values.items() if value == -1]
        if unsure and options.uncertain is None:
            raise InputError(
                f"{which}: {film.id} has -1 (uncertain) for {unsure[0]}: say what that is by --uncertain zeros, ones, or "
                "ignore, which leaves the film out"
            )
        if unsure and options.uncertain == "ignore":
            ignored += 1
            continue
        taken.update(unsure)
        blank += None in values.values()
        kept.append(film)
        for name, value in values.items():
            flags[names[name]].append(POLICIES[str(options.uncertain)] or 0 if value == -1 else value or 0)
    if without:
        remarks.append(f"{films_in_words(without)} without any label left out")
    if ignored:
        remarks.append(f"{films_in_words(ignored)} with an uncertain finding (-1) left out")
    remarks += [
        f"finding {names[name]}: {taken[name]} uncertain (-1) taken for {POLICIES[str(options.uncertain)]}"
        for name in wanted
        if taken[name]
    ]
    if blank:
        remarks.append(f"{films_in_words(blank)} with a finding that is not mentioned (blank), taken for 0")
    remarks += _against_no_finding(kept, healthy, flags)
    return Labelled(kept, flags, names, remarks)


def _wanted(which: str, names: dict[str, str], asked: Sequence[str]) -> list[str]:
    """The set's names of the findings to keep, in the set's order."""
    columns = [name for name in names if names[name] != NO_FINDING]
    if not asked:
        return columns
    by_key = {word_key(word): name for name in columns for word in (name, names[name])}
    for one in asked:
        if word_key(one) not in by_key:
            raise unknown("finding", one, [names[name] for name in columns], f"of {which} for --findings")
    chosen = {by_key[word_key(one)] for one in asked}
    return [name for name in columns if name in chosen]


def _value(which: str, film: PublicFilm, name: str) -> int | None:
    """1, 0, -1, or None where nothing is said."""
    text = film.labels.get(name, "0")
    if text in _VALUES:
        return _VALUES[text]
    if is_blank(text):
        return None
    raise InputError(f"{which}: {film.id}: '{name}' must be 1, 0, -1 or blank, found '{text}'")


def _against_no_finding(films: Sequence[PublicFilm], healthy: Sequence[str], flags: dict[str, list[int]]) -> list[str]:
    """What to say of films with "No Finding" and a finding at once: machine-read reports have such."""
    diseases = [values for name, values in flags.items() if word_key(name) not in _NO_DISEASE]
    both = [
        film.id
        for row, film in enumerate(films)
        if any(_VALUES.get(film.labels.get(name, "0")) == 1 for name in healthy) and any(one[row] for one in diseases)
    ]
    if not both:
        return []
    return [f"{films_in_words(len(both))} with '{NO_FINDING}' and a finding: the finding kept (the first: {both[0]})"]
