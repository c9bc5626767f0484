"""Two providers or two runs against each other, on the same task, films, preset and version.

Runs whose task settings differ share their REAL arms alone: these compare downstream models, and the table says what
differs. Paired tests over films say whether the trained models differ on these films; only tests over seeds say anything
about the generators: paired by seed where both have gains over one placebo, else Welch's. Everything comes from the two
run folders: neither the store nor torch is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..errors import InputError, unknown
from ..results.against_real import fold_sizes, over_seeds
from ..results.averages import primary_by_seed
from ..results.finished import REAL
from ..results.folder import RESULTS, SUBMISSION, load_run, load_scores
from ..results.models import FEW_SEEDS
from ..results.rows import Results
from ..schema import Strict
from ..significance.paired_tests import MIN_SEEDS
from ..significance.pairs import Comparison, FoldComparison, compare_folds, folds_with_holm, with_holm
from .comparison_gains import ComparedGain, compared_gains
from .comparison_settings import both_real, differing_settings, settings_in

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1


@dataclass(frozen=True)
class Run:
    """A finished run: its results and where they lie."""

    folder: Path
    results: Results

    @classmethod
    def open(cls, folder: Path) -> Run:
        """The run in a folder (or the folder of a `results.json`)."""
        home = folder.parent if folder.is_file() else folder
        return cls(home, load_run(home))

    def scores(self) -> pd.DataFrame:
        """Its case scores in long form."""
        return load_scores(self.folder)


class Side(Strict):
    """One of the two that are compared."""

    label: str
    provider: str
    folder: str
    seeds: list[int]
    settings: dict[str, Any]


class ComparedRow(Strict):
    """One number of both tables, `a` and `b`, and (for a case score) the paired comparison of a minus b.

    `difference` is that of the table's numbers; `case_difference` the paired one, with its 95 % interval.
    """

    size: str
    arm: str
    metric: str
    structure: str
    a: float | None
    b: float | None
    difference: float | None
    n: int = 0
    case_difference: float | None = None
    low: float | None = None
    high: float | None = None
    test: str = ""
    p: float | None = None
    p_holm: float | None = None
    second: str = ""
    p_second: float | None = None
    p_second_holm: float | None = None
    folds_n: int = 0
    """Pairs of the corrected test over folds and seeds (Nadeau-Bengio); 0 where the task has one fold."""
    folds_low: float | None = None
    folds_high: float | None = None
    folds_p: float | None = None
    folds_p_holm: float | None = None
    note: str = ""


class ClaimRow(Strict):
    """What may be said about the two generators from one size and arm: Welch over seeds of the primary average."""

    size: str
    arm: str
    metric: str
    seeds_a: int
    seeds_b: int
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    sentence: str


class ComparisonResults(Strict):
    """a minus b, everywhere."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    task: str
    version: int
    preset: str
    data: str
    phantom: bool
    a: Side
    b: Side
    differing: dict[str, tuple[str, str]] = Field(default_factory=dict)
    """Task settings of a and of b where they differ; then REAL is compared, and nothing else."""
    rows: list[ComparedRow]
    gains: list[ComparedGain]
    claims: list[ClaimRow]
    notes: list[str]


def compare(a: Run, b: Run) -> ComparisonResults:
    """Compare two runs. InputError (one line) when they do not belong in one table."""
    differing = differing_settings(a.results, b.results)
    require_comparable(a.results, b.results, settings=not both_real(a.results, b.results))
    labels = _labels(a, b, by_folder=bool(differing))
    sides = [
        Side(
            label=label,
            provider=run.results.provider.name,
            folder=run.folder.name,
            seeds=run.results.seeds,
            settings=run.results.provider.settings,
        )
        for label, run in zip(labels, (a, b), strict=True)
    ]
    places = [
        (i.size, arm)
        for i in a.results.sizes
        for arm in a.results.arms_of(i.size)
        if (arm == REAL) == bool(differing) and _shared(b, i.size, arm)
    ]
    if not places:
        raise InputError(
            f"{labels[0]} and {labels[1]} have no training size and arm in common; run both with the same --arms"
        )
    return ComparisonResults(
        task=a.results.task.name,
        version=a.results.task.version,
        preset=a.results.preset,
        data=a.results.data.name,
        phantom=a.results.data.phantom,
        a=sides[0],
        b=sides[1],
        differing=differing,
        rows=_rows(a, b, places),
        gains=[] if differing else compared_gains(a.results, b.results, labels),
        claims=[_claim(a.results, b.results, size, arm, labels) for size, arm in places],
        notes=_notes(a, b),
    )


def require_comparable(a: Results, b: Results, *, settings: bool = True) -> None:
    """InputError naming the first thing in which two runs differ that must be the same in one table; `settings`: whether
    the task's belong to that."""
    facts: list[tuple[str, Callable[[Results], object]]] = [
        ("task", lambda r: r.task.name),
        ("task version", lambda r: r.task.version),
        ("preset", lambda r: r.preset),
        ("dataset", lambda r: r.data.name if a.data.name != b.data.name else f"{r.data.name} ({r.data.digest[:12]})"),
        ("structures", lambda r: ", ".join(r.task.structures)),
        ("task settings", lambda r: settings_in(r, a, b)),
    ]
    for what, value in facts:
        ours, theirs = value(a), value(b)
        if (what == "dataset" and a.data.digest == b.data.digest) or (what == "task settings" and not settings):
            continue
        if ours != theirs:
            raise InputError(
                f"{what} {ours} and {what} {theirs} cannot be compared: different presets or datasets never share a table"
            )


def _labels(a: Run, b: Run, *, by_folder: bool = False) -> tuple[str, str]:
    names = a.results.provider.title, b.results.provider.title
    if names[0] != names[1] and not by_folder:
        return names
    folders = a.folder.resolve().name, b.folder.resolve().name
    return folders if folders[0] != folders[1] else (f"{names[0]} (a)", f"{names[1]} (b)")


def _shared(run: Run, size: str, arm: str) -> bool:
    return any(info.size == size for info in run.results.sizes) and arm in run.results.arms_of(size)


def _rows(a: Run, b: Run, places: Sequence[tuple[str, str]]) -> list[ComparedRow]:
    tests, over_folds = _paired(a, b, places), _over_folds(a, b, places)
    rows = []
    for size, arm in places:
        for ours in (row for row in a.results.table if (row.size, row.arm) == (size, arm)):
            theirs = b.results.row(size, arm, ours.metric, ours.structure)
            other = theirs.value if theirs else None
            test = tests.get((size, arm, ours.metric, ours.structure))
            found = asdict(test) if test else {}
            found["case_difference"] = found.pop("difference", None)
            found.pop("structure", None)
            folds = over_folds.get((size, arm, ours.metric, ours.structure))
            if folds:
                low, high, p = folds.test.low, folds.test.high, folds.test.p
                found |= {"folds_n": folds.test.n, "folds_low": low, "folds_high": high, "folds_p": p}
                found["folds_p_holm"] = folds.p_holm
            lack = ours.note or (theirs.note if theirs else "not there")
            if lack:
                found["note"] = lack
            rows.append(
                ComparedRow(
                    size=size,
                    arm=arm,
                    metric=ours.metric,
                    structure=ours.structure,
                    a=ours.value,
                    b=other,
                    difference=None if ours.value is None or other is None else ours.value - other,
                    **found,
                )
            )
    return rows


def _paired(a: Run, b: Run, places: Sequence[tuple[str, str]]) -> dict[tuple[str, str, str, str], Comparison]:
    """Paired comparisons by size, arm, metric and structure, on the seeds that both have; Holm per size and metric."""
    seeds = sorted(set(a.results.seeds) & set(b.results.seeds))
    ours, theirs = a.scores(), b.scores()
    ours, theirs = ours[ours["seed"].isin(seeds)], theirs[theirs["seed"].isin(seeds)]
    structures, found = a.results.task.structures, {}
    rule = a.results.task.rule
    for size in dict.fromkeys(size for size, _ in places):
        for metric in a.results.task.paired:
            arms, tests = [], []
            for arm in (
                arm for place, arm in places if place == size and _whole(a, size, arm) and _whole(b, size, arm)
            ):
                one = rule.compare(_of(ours, size, arm), _of(theirs, size, arm), structures, metric)
                arms += [arm] * len(one)
                tests += one if seeds else [replace(test, note="no seed in common: no test") for test in one]
            for arm, test in zip(arms, with_holm(tests), strict=True):
                found[size, arm, metric, test.structure] = test
    return found


def _over_folds(a: Run, b: Run, places: Sequence[tuple[str, str]]) -> dict[tuple[str, str, str, str], FoldComparison]:
    """Tests over folds and seeds by size, arm, metric and structure, where there are folds; Holm per size and metric."""
    ours, theirs, found = a.scores(), b.scores(), {}
    for info in (info for info in a.results.sizes if len(info.folds) > 1):
        n_train, n_test = fold_sizes(info)
        arms = [arm for size, arm in places if size == info.size]
        arms = [arm for arm in arms if _whole(a, info.size, arm) and _whole(b, info.size, arm)]
        for metric in a.results.task.paired:
            tests = [
                (arm, one)
                for arm in arms
                for one in compare_folds(
                    _of(ours, info.size, arm),
                    _of(theirs, info.size, arm),
                    a.results.task.structures,
                    metric,
                    n_train,
                    n_test,
                )
            ]
            for (arm, _), one in zip(tests, folds_with_holm(one for _, one in tests), strict=True):
                found[info.size, arm, metric, one.structure] = one
    return found


def _whole(run: Run, size: str, arm: str) -> bool:
    return all(cell.status == "done" for cell in run.results.cells if (cell.size, cell.arm) == (size, arm))


def _of(scores: pd.DataFrame, size: str, arm: str) -> pd.DataFrame:
    return scores[(scores["size"] == size) & (scores["arm"] == arm)]


def _claim(a: Results, b: Results, size: str, arm: str, labels: tuple[str, str]) -> ClaimRow:
    metric = a.task.metric(a.task.primary)
    structures = a.task.structures
    ours = list(primary_by_seed(a.seed_values, metric.name, size, arm, structures).values())
    theirs = list(primary_by_seed(b.seed_values, metric.name, size, arm, structures).values())
    numbers = over_seeds(ours, theirs, labels, percent=metric.percent)
    if arm == REAL and numbers["p"] is None and min(len(ours), len(theirs)) < MIN_SEEDS:
        numbers["sentence"] = f"{labels[0]} and {labels[1]}: {FEW_SEEDS}"
    return ClaimRow(size=size, arm=arm, metric=metric.name, seeds_a=len(ours), seeds_b=len(theirs), **numbers)


def _notes(a: Run, b: Run) -> list[str]:
    notes = []
    differing = differing_settings(a.results, b.results)
    if differing:
        said = "; ".join(f"{name}: {ours} and {theirs}" for name, (ours, theirs) in differing.items())
        notes.append(f"task settings differ ({said}): REAL is compared with REAL, no synthetic film is in this table")
    for run in (a, b):
        notes += [f"{run.folder.name}: {line}" for line in run.results.task.remarks]
    if a.results.task.code != b.results.task.code:
        notes.append("the task's code differs between the two runs: run the older one again to be sure")
    if a.results.device.split(":")[0] != b.results.device.split(":")[0]:
        notes.append(f"devices differ: {a.results.device} and {b.results.device}")
    for run in (a, b):
        missing = sum(cell.status != "done" for cell in run.results.cells)
        if missing:
            notes.append(f"{run.folder.name}: {missing} of {len(run.results.cells)} cells are not there")
    seeds = sorted(set(a.results.seeds) & set(b.results.seeds))
    if seeds and (seeds != sorted(a.results.seeds) or seeds != sorted(b.results.seeds)):
        notes.append(f"paired tests on the seeds that both have: {', '.join(map(str, seeds))}")
    return notes


# ------------------------------------------------------------------------------------------------------- finding runs


def find_pair(a: str, b: str, *, root: Path, task: str | None = None, preset: str | None = None) -> tuple[Run, Run]:
    """The runs meant by two words: folders of runs, or providers whose newest runs below `root` fit each other.

    For providers only complete runs count, of `task` and `preset` where given. Where no two fit, the newest ones are
    returned, and `compare` says in what they differ. InputError when there is no such run.
    """
    ours = _candidates(a, root, task, preset)
    theirs = _candidates(b, root, task, preset)
    for first in ours:
        for second in theirs:
            if first.folder.resolve() != second.folder.resolve() and _fits(first, second):
                return first, second
    return ours[0], theirs[0]


def find_runs(names: Sequence[str], *, root: Path, task: str | None = None, preset: str | None = None) -> list[Run]:
    """The runs meant by words as in `find_pair`: the newest of the first, of every other the newest that fits it."""
    first, *others = [_candidates(name, root, task, preset) for name in names]
    found = [first[0]]
    for candidates in others:
        fitting = (one for one in candidates if _fits(found[0], one))
        found.append(next(fitting, candidates[0]))
    return found


def _fits(a: Run, b: Run) -> bool:
    try:
        require_comparable(a.results, b.results)
    except InputError:
        return False
    return True


def _candidates(word: str, root: Path, task: str | None, preset: str | None) -> list[Run]:
    """Runs that a word can mean, newest first."""
    path = Path(word).expanduser()
    if (path / RESULTS).is_file() or path.name == RESULTS or (path / SUBMISSION).is_file():
        return [Run.open(path)]
    runs = [run for run in _runs_below(root) if run.results.complete]
    wanted = [(task, lambda run: run.results.task.name), (preset, lambda run: run.results.preset)]
    mine = [run for run in runs if run.results.provider.name == word]
    fitting = [run for run in mine if all(value in (None, get(run)) for value, get in wanted)]
    if fitting:
        return sorted(fitting, key=lambda run: run.results.created, reverse=True)
    if mine:
        had = ", ".join(sorted({f"{run.results.task.name} {run.results.preset}" for run in mine}))
        asked = " ".join(value for value in (task, preset) if value)
        raise InputError(f"{root}: no complete run of {word} on {asked}; it has {had}")
    known = {run.results.provider.name for run in runs}
    if not known:
        raise InputError(f"'{word}' is neither the folder of a run nor a provider with a complete run below {root}/")
    raise unknown("run", word, known, f"providers with a complete run below {root}/")


def _runs_below(root: Path) -> Iterable[Run]:
    """The readable runs below a folder; others (older schemas, foreign files) are passed over."""
    for path in sorted(root.glob(f"*/{RESULTS}")):
        try:
            yield Run.open(path)
        except InputError:
            continue
