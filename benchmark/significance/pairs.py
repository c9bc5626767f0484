"""Case scores side by side: the same test cases under two arms or in two runs.

Scores are kept in long form (`COLUMNS`), one file a run, so that a run folder can be compared without its store. With
several seeds a case's score is its mean over the seeds; the cases of several folds are taken together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..metrics.scores import NOT_TAUGHT, case_scores, finite
from .paired_tests import ResampledTest, holm, nadeau_bengio, paired_comparison

if TYPE_CHECKING:
    import pandas as pd

PAIRED_T, WILCOXON = "paired t-test", "Wilcoxon"


@dataclass(frozen=True)
class Comparison:
    """Two models on the same `n` cases: difference with a 95 % interval, the test that marks a table with its p-value and
    Holm's, and a second test beside it (empty where there is none)."""

    structure: str
    n: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    test: str = ""
    p: float | None = None
    p_holm: float | None = None
    second: str = ""
    p_second: float | None = None
    p_second_holm: float | None = None
    note: str = ""


def compare_cases(ours: pd.DataFrame, theirs: pd.DataFrame, structures: Sequence[str], metric: str) -> list[Comparison]:
    """`ours` minus `theirs` for every structure and the average, on the same cases; no Holm values yet.

    Both are scores in long form of one size and arm. Where the cases are not the same there is a note and no number.
    """
    a, b = case_scores(ours, structures, metric), case_scores(theirs, structures, metric)
    if not a.index.equals(b.index):
        note = f"not the same cases ({len(a)} and {len(b)}): no test"
        return [Comparison(structure, 0, note=note) for structure in a.columns]
    found = []
    for structure in a.columns:
        if a[structure].isna().all() or b[structure].isna().all():
            found.append(Comparison(str(structure), 0, note=NOT_TAUGHT))
            continue
        test = paired_comparison(a[structure].to_numpy(), b[structure].to_numpy())
        found.append(
            Comparison(
                structure=str(structure),
                n=test.n,
                difference=finite(test.difference),
                low=finite(test.low),
                high=finite(test.high),
                test=PAIRED_T,
                p=finite(test.t_p),
                second=WILCOXON,
                p_second=finite(test.wilcoxon_p),
                note=test.note,
            )
        )
    return found


@dataclass(frozen=True)
class FoldComparison:
    """Two models over folds and seeds: the corrected t-test of `statistics.nadeau_bengio`."""

    structure: str
    test: ResampledTest
    p_holm: float | None = None


def compare_folds(
    ours: pd.DataFrame, theirs: pd.DataFrame, structures: Sequence[str], metric: str, n_train: int, n_test: int
) -> list[FoldComparison]:
    """`ours` minus `theirs` for every structure and the average: a pair is the mean over the test films of a fold and seed.

    Both are scores in long form of one size and arm; only folds and seeds that both have are pairs. Empty where there
    is one fold alone. A structure that one of them was never taught has no row.
    """
    if min(one["fold"].nunique() for one in (ours, theirs)) < 2:
        return []
    a, b = (_fold_means(one, structures, metric) for one in (ours, theirs))
    shared = a.index.intersection(b.index)
    if shared.get_level_values("fold").nunique() < 2:
        return []
    differences = a.loc[shared] - b.loc[shared]
    taught = [name for name in differences if not (a[name].isna().all() or b[name].isna().all())]
    return [FoldComparison(str(name), nadeau_bengio(differences[name].to_numpy(), n_train, n_test)) for name in taught]


def _fold_means(scores: pd.DataFrame, structures: Sequence[str], metric: str) -> pd.DataFrame:
    """A row per (seed, fold), a column per structure and `average`: means over the cases."""
    import pandas as pd

    parts = {
        seed: case_scores(of_seed, structures, metric).groupby(level="fold").mean()
        for seed, of_seed in scores.groupby("seed", sort=True)
    }
    return pd.concat(parts, names=["seed", "fold"]) if parts else pd.DataFrame(columns=list(structures))


def folds_with_holm(comparisons: Iterable[FoldComparison]) -> list[FoldComparison]:
    """The same comparisons with Holm's p-values over all of them: one table."""
    rows = list(comparisons)
    adjusted = holm([row.test.p for row in rows])
    return [replace(row, p_holm=p) for row, p in zip(rows, adjusted, strict=True)]


def with_holm(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """The same comparisons with Holm's p-values over all of one table that have the same test."""
    rows = list(comparisons)
    first = _holm_by([row.test for row in rows], [row.p for row in rows])
    second = _holm_by([row.second for row in rows], [row.p_second for row in rows])
    return [replace(row, p_holm=first[i], p_second_holm=second[i]) for i, row in enumerate(rows)]


def _holm_by(tests: Sequence[str], values: Sequence[float | None]) -> list[float | None]:
    """Holm's p-values, each over the values of the same test."""
    adjusted: list[float | None] = [None] * len(values)
    for kind in dict.fromkeys(tests):
        places = [place for place, test in enumerate(tests) if test == kind]
        for place, p in zip(places, holm([values[place] for place in places]), strict=True):
            adjusted[place] = p
    return adjusted
