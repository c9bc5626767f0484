"""From the store to what a run says of further test sets and of groups of its test films. Trains and predicts nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from ..contracts.task import Task
from ..data.dataset import Dataset, is_phantom
from ..metrics.scores import AVERAGE, finite
from ..runs.further import Further, FurtherScore, further_scores, kept_score
from ..runs.job import PLACEBO, Cell
from ..runs.record import Value
from .against_placebo import gain_of
from .finished import REAL, Harvest
from .further_rows import Elsewhere, FurtherRow, GroupRow

AGE = "age"
AGES = (0, 18, 40, 60, 80)
"""The years that bands of age begin with."""
LEAST = 10
"""Patients of a group that is told."""
PARTS = 10
"""Parts of the patients, each left out in turn for an interval."""
FILM = "film"
"""The column of case scores that names the film."""


@dataclass(frozen=True)
class Scored:
    """The case scores of one arm and size on one set of films, by seed and fold."""

    size: str
    arm: str
    by_seed: Mapping[int, Sequence[pd.DataFrame]]


def elsewhere(
    harvest: Harvest, sets: Sequence[Further], columns: Sequence[str], headline: tuple[str, str] | None
) -> Elsewhere:
    """Every arm on further sets, and the groups that columns make of the run's own test films and of theirs. Gaps have
    intervals for REAL and the headline arm, at the size of the headline."""
    further: list[FurtherRow] = []
    groups: list[GroupRow] = []
    left_out: list[str] = []
    asked: list[tuple[str, Dataset, list[Scored]]] = []
    if columns:
        asked.append(("", harvest.plan.data, [_own(harvest, size, arm) for size, arm in _places(harvest)]))
    for one in sets:
        found = {place: _kept(harvest, one, *place) for place in _places(harvest)}
        further += _further_rows(harvest, one, found)
        scored = [_of_further(harvest, place, kept) for place, kept in found.items() if kept]
        asked.append((one.name, one.films, scored))
    for name, films, scored in asked:
        rows, lines = group_rows(harvest.plan.task, name, films, scored, columns, headline)
        groups += rows
        left_out += lines
    return Elsewhere(further=further, groups=groups, left_out=left_out)


def _places(harvest: Harvest) -> list[tuple[str, str]]:
    """(size, arm) of all that are finished, arms and placebos."""
    return [
        (size, arm)
        for size in harvest.sizes
        for arm in (*harvest.arms, *harvest.placebos)
        if harvest.done(harvest.cells(size, arm))
    ]


# ------------------------------------------------------------------------------------------------------- further sets


def _kept(harvest: Harvest, one: Further, size: str, arm: str) -> list[tuple[Cell, FurtherScore]]:
    """The scores of all cells of an arm and size on a set; none where one is missing."""
    cells = harvest.cells(size, arm)
    found = [(cell, kept_score(harvest.store, cell.key, one)) for cell in cells]
    return [(cell, kept) for cell, kept in found if kept is not None] if all(kept for _, kept in found) else []


def _further_rows(
    harvest: Harvest, one: Further, found: Mapping[tuple[str, str], list[tuple[Cell, FurtherScore]]]
) -> Iterator[FurtherRow]:
    task = harvest.plan.task
    averages = {place: _averages(task, one, kept) for place, kept in found.items()}
    for (size, arm), kept in found.items():
        by_seed = averages[size, arm]
        if arm.startswith(PLACEBO) or not by_seed:
            continue
        values = list(by_seed.values())
        yield FurtherRow(
            data=kept[0][1].data,
            phantom=is_phantom(kept[0][1].data.name, kept[0][1].data.provenance),
            films=kept[0][1].films,
            structures=kept[0][1].structures,
            size=size,
            arm=arm,
            seeds=sorted(by_seed),
            score=float(np.mean(values)),
            sd=float(np.std(values, ddof=1)) if len(values) > 1 else None,
            gain=gain_of(task, size, arm, by_seed, averages.get((size, PLACEBO + arm), {})),
        )


def _averages(task: Task, one: Further, kept: Sequence[tuple[Cell, FurtherScore]]) -> dict[int, float]:
    """The average of the primary metric by seed, the mean over folds, whose models are all tested on the same films."""
    found: dict[int, list[float]] = {}
    for cell, score in kept:
        value = average(task, score.table, one.structures)
        if value is not None:
            found.setdefault(cell.seed, []).append(value)
    return {seed: float(np.mean(values)) for seed, values in found.items()}


def average(task: Task, table: Sequence[Value], structures: Sequence[str]) -> float | None:
    """The average of the primary metric in a table: its row of that name, else the mean over all structures; None where one
    is missing."""
    values = {row.structure: row.value for row in table if row.metric == task.primary}
    if AVERAGE in values:
        return values[AVERAGE]
    return float(np.mean([values[name] for name in structures])) if set(structures) <= values.keys() else None


# ------------------------------------------------------------------------------------------------------- groups


def _own(harvest: Harvest, size: str, arm: str) -> Scored:
    found: dict[int, list[pd.DataFrame]] = {}
    for cell in harvest.cells(size, arm):
        found.setdefault(cell.seed, []).append(harvest.store.scores(cell.key))
    of_folds = {seed: [pd.concat(parts, ignore_index=True)] for seed, parts in found.items()}
    return _with_films(Scored(size, arm, of_folds), set(harvest.plan.data.ids))


def _with_films(scored: Scored, ids: set[str]) -> Scored:
    """The same with the film of every case; a case may be one of several boxes of a film (`<film>/<finding>`)."""
    return replace(
        scored, by_seed={seed: [_named(part, ids) for part in parts] for seed, parts in scored.by_seed.items()}
    )


def _named(scores: pd.DataFrame, ids: set[str]) -> pd.DataFrame:
    cases = scores["case"].astype(str)
    return scores.assign(**{FILM: cases.where(cases.isin(ids), cases.str.rpartition("/")[0])})


def _of_further(harvest: Harvest, place: tuple[str, str], kept: Sequence[tuple[Cell, FurtherScore]]) -> Scored:
    found: dict[int, list[pd.DataFrame]] = {}
    for cell, score in kept:
        found.setdefault(cell.seed, []).append(further_scores(harvest.store, score))
    films = {case for one in found.values() for part in one for case in part["case"].astype(str)}
    return _with_films(Scored(*place, found), films | {case.rpartition("/")[0] for case in films})


def group_rows(
    task: Task,
    data: str,
    films: Dataset,
    scored: Sequence[Scored],
    columns: Sequence[str],
    headline: tuple[str, str] | None,
) -> tuple[list[GroupRow], list[str]]:
    """The groups that columns make of the films that have scores, of each column as far as there are two with patients
    enough, and a line for what is too small or not there."""
    rows: list[GroupRow] = []
    left_out: list[str] = []
    where = f" of {data}" if data else ""
    tested = {film for one in scored for parts in one.by_seed.values() for part in parts for film in part[FILM]}
    cases = films.cases[films.cases["id"].astype(str).isin(tested)]
    for column in columns:
        if column not in cases:
            left_out.append(f"{column}{where}: the films have no such column")
            continue
        names = in_groups(cases[column], column)
        patients = cases["patient"].astype(str)
        counts = {str(name): patients[names == name].nunique() for name in sorted(set(names.dropna()))}
        small = [f"{name} ({count})" for name, count in counts.items() if count < LEAST]
        if small:
            left_out.append(f"{column}{where}: too few patients for a number, {', '.join(small)}; expected {LEAST}")
        told = [name for name, count in counts.items() if count >= LEAST]
        if len(told) > 1:
            members = {name: cases[(names == name).fillna(False).to_numpy(dtype=bool)] for name in told}
            rows += _column_rows(task, data, column, members, scored, headline)
        elif len(counts) > 1 or not small:
            left_out.append(f"{column}{where}: one group alone, {', '.join(told) or 'none'}: no gap")
    return rows, left_out


def in_groups(values: pd.Series, column: str) -> pd.Series:
    """The group of every film: bands of age in years, other columns as they are; None where it is not known."""
    if column != AGE:
        texts = values.astype("string").str.strip()
        return texts.where(texts.notna() & (texts != ""), None)
    years = pd.to_numeric(values, errors="coerce")
    bands = [f"{low} to {high - 1}" for low, high in itertools.pairwise(AGES)] + [f"{AGES[-1]} or more"]
    found = pd.cut(years, [*AGES, np.inf], right=False, labels=bands)
    return found.astype("string")


def _column_rows(
    task: Task,
    data: str,
    column: str,
    members: Mapping[str, pd.DataFrame],
    scored: Sequence[Scored],
    headline: tuple[str, str] | None,
) -> Iterator[GroupRow]:
    reference = max(members, key=lambda name: (len(members[name]), name))
    gaps = {(one.size, one.arm): _Gaps(task, one, members, reference) for one in scored}
    for (size, arm), found in gaps.items():
        if arm.startswith(PLACEBO):
            continue
        placebo = gaps.get((size, PLACEBO + arm))
        for name, cases in members.items():
            scores = found.scores(name)
            if not scores:
                continue
            row = GroupRow(
                data=data,
                column=column,
                group=name,
                reference=reference,
                films=len(cases),
                patients=cases["patient"].astype(str).nunique(),
                size=size,
                arm=arm,
                seeds=len(scores),
                score=float(np.mean(list(scores.values()))),
            )
            if name == reference:
                yield row
                continue
            told = headline is not None and size == headline[0] and arm in (REAL, headline[1])
            gap = found.gap(name, interval=told or headline is None)
            yield row.model_copy(update=gap | _change(task, found, placebo, row))


class _Gaps:
    """The groups of a column under one arm and size."""

    def __init__(self, task: Task, scored: Scored, members: Mapping[str, pd.DataFrame], reference: str) -> None:
        self.task, self.scored, self.members, self.reference = task, scored, members, reference
        self._known: dict[str, dict[int, float]] = {}
        self._less: dict[tuple[str, int], float | None] = {}

    def scores(self, name: str) -> dict[int, float]:
        """The average of the primary metric of a group's films, by seed."""
        if name not in self._known:
            self._known[name] = self._by_seed(set(self.members[name]["id"].astype(str)))
        return self._known[name]

    def by_seed(self, name: str) -> dict[int, float]:
        """The gap of a group by seed."""
        ours, theirs = self.scores(name), self.scores(self.reference)
        return {seed: value - theirs[seed] for seed, value in ours.items() if seed in theirs}

    def gap(self, name: str, *, interval: bool) -> dict[str, float | None]:
        """The gap, with its interval where that is asked for."""
        by_seed = self.by_seed(name)
        if not by_seed:
            return {}
        gap = float(np.mean(list(by_seed.values())))
        if not interval:
            return {"gap": gap}
        leaves = [(self._without(name, part), self._without(self.reference, part)) for part in range(PARTS)]
        known = [(mine, other) for mine, other in leaves if mine is not None and other is not None]
        if len(known) < PARTS:
            return {"gap": gap}
        values = np.array([mine - other for mine, other in known], dtype=np.float64)
        error = float(np.sqrt((PARTS - 1) / PARTS * np.square(values - values.mean()).sum()))
        reach = float(stats.t.ppf(0.975, PARTS - 1)) * error
        return {"gap": gap, "low": gap - reach, "high": gap + reach}

    def _without(self, name: str, part: int) -> float | None:
        """The mean over seeds of a group's score without one part of its patients."""
        if (name, part) not in self._less:
            cases = self.members[name]
            patients = sorted(set(cases["patient"].astype(str)))
            place = {one: number % PARTS for number, one in enumerate(patients)}
            kept = cases["patient"].astype(str).map(place) != part
            found = self._by_seed(set(cases["id"][kept].astype(str)))
            self._less[name, part] = float(np.mean(list(found.values()))) if found else None
        return self._less[name, part]

    def _by_seed(self, ids: set[str]) -> dict[int, float]:
        found = {}
        for seed, parts in self.scored.by_seed.items():
            values = [value for part in parts if (value := self._average(part, ids)) is not None]
            if values and len(values) == len(parts):
                found[seed] = float(np.mean(values))
        return found

    def _average(self, scores: pd.DataFrame, ids: set[str]) -> float | None:
        some = scores[scores[FILM].isin(ids)].drop(columns=FILM)
        if some.empty:
            return None
        table = self.task.summarise(some.reset_index(drop=True))
        values = [
            Value(metric=str(metric), structure=str(structure), value=value)
            for metric, structure, value in zip(
                table["metric"], table["structure"], table["value"].astype(float), strict=True
            )
            if finite(value) is not None
        ]
        return average(self.task, values, sorted(set(some["structure"].astype(str))))


def _change(task: Task, found: _Gaps, placebo: _Gaps | None, row: GroupRow) -> dict[str, float | None]:
    """The change of a gap against the placebo, over seeds."""
    if placebo is None or row.arm == REAL:
        return {}
    change = gain_of(task, row.size, row.arm, found.by_seed(row.group), placebo.by_seed(row.group))
    if change is None:
        return {}
    return {"change": change.gain, "change_low": change.low, "change_high": change.high, "change_p": change.p}
