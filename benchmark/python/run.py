"""`cxrbench.run`, `load`, `compare` and `datasets`: what the command line does, with the same store and the same keys."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cli.elsewhere import with_elsewhere, with_fidelity, with_film_checks, with_precision
from ..cli.run import check_writable
from ..cli.working import plan_line, say, watched
from ..errors import InputError
from ..home import home
from ..processes import MARK
from ..registry import PROVIDERS, TASKS
from ..report.comparison import Run as Opened
from ..report.comparison import compare as compared
from ..report.comparison import find_pair
from ..report.comparison_words import in_words
from ..report.gain_words import headline_sentences, no_worth
from ..report.text_tables import FORMATS, terminal
from ..report.write import write_run
from ..results.assemble import assemble
from ..results.curve import curve_words, find_curve
from ..results.folder import REPORT, in_an_entry, load_run, load_scores
from ..results.written import not_as_written
from ..runs.lock import working
from ..runs.own_store import home_store
from ..runs.request import Request, prepare
from ..settings import parse_pairs
from . import tables
from .carried import FOLDER, pairs_of, words_of
from .markup import results_markup, said, table_markup
from .watching import preparing, show_figures, watcher_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ..contracts.provider import Provider
    from ..contracts.task import Task
    from ..data.dataset import Dataset
    from ..report.comparison import ComparisonResults
    from ..results.rows import Results


def run(
    provider: str | Path | type[Provider] | Provider,
    *,
    task: str | Path | type[Task] | Task | None = None,
    data: str | Path | Dataset | None = None,
    seeds: int = 1,
    preset: str = "quick",
    settings: Mapping[str, Any] | None = None,
    arms: Sequence[str] = (),
    sizes: Sequence[str | int] = (),
    label_by: str | None = None,
    entry: str | Path = "",
    ratios: Sequence[str | int] = (),
    also_test: Sequence[str] = (),
    groups: Sequence[str] = (),
    device: str = "auto",
    jobs: int | None = None,
    engine: str = "processes",
    address: str | None = None,
    time_limit: float | None = None,
    smoke: bool = False,
    out: str | Path | None = None,
    progress: bool = True,
) -> Run:
    """Measure how useful a provider's synthetic films are: what `cxrbench run` does, with its store.

    provider: a name (`cxrbench list providers`), `file.py:Class`, `folder:PATH`, `command:PROGRAM ...`, a class, or an
    object of one with settings of its own. task: the same; by default the provider's home task. data: a dataset's name
    or folder, or a `Dataset`. seeds: repetitions, 5 or more for a claim. settings: `{"key": value}` of the provider,
    `{"task.key": value}` or `{"task": {"key": value}}` of the task. arms, sizes: some of the task's. also_test: further
    real sets that every model is tested on. groups: columns of the films whose groups have scores of their own.
    entry: the leaderboard's entry that the run is for, by name or folder. ratios: synthetic films to real ones, tried
    besides (`["1:1", "4:1"]`). smoke: a handful of steps and films, to see that all of it finishes; no result. out: the
    folder of the results, by default `runs/<time>-<provider>`. progress: whether it is shown.

    What the store has is not computed again. Cells that failed are absent from the tables, and said. Raises InputError (one
    line) for wrong input, before any work.
    """
    if MARK in os.environ:
        raise InputError(
            "cxrbench.run was called while a step imported the provider's file: put it below `if __name__ == '__main__':`"
        )
    name, of_provider = words_of("provider", provider, PROVIDERS, preset)
    task_name, of_task = (None, []) if task is None else words_of("task", task, TASKS, preset, "task.")
    asked = dict(parse_pairs([*of_provider, *of_task, *pairs_of(settings or {})]))
    request = Request(
        provider=name,
        task=task_name,
        data=None if data is None else dataset_words(data),
        preset=preset,
        overrides=tuple(f"{key}={value}" for key, value in asked.items()),
        seeds=seeds,
        arms=names("arms", arms),
        sizes=names("sizes", sizes),
        label_by=label_by,
        entry=str(entry),
        ratios=names("ratios", ratios),
        smoke=smoke,
        also_test=names("also_test", also_test),
        groups=names("groups", groups),
        device=device,
        jobs=jobs,
        engine=engine,
        address=address,
        time_limit=time_limit,
    )
    with working(home() / "store"):
        return _run(request, None if out is None else Path(out), shown=progress)


def _run(request: Request, out: Path | None, *, shown: bool) -> Run:
    with preparing(shown=shown) as progress:
        prepared = prepare(request, progress)
    check_writable(out)
    if shown:
        say(plan_line(prepared))
    for line in dict.fromkeys(one.error for one in watched(prepared, watcher_of(prepared, shown=shown))):
        say(f"error: {line}")
    plan = prepared.plan
    found, makes = find_curve(plan, prepared.store), curve_words(request, plan)
    words, pairs = _command(request), request.overrides
    results = assemble(plan, prepared.store, words, curve=found, curve_command=makes, overrides=pairs)
    with preparing(shown=shown) as progress:
        results = with_precision(prepared, with_fidelity(prepared, results, progress), progress)
        results = with_elsewhere(prepared, with_film_checks(prepared, results, progress), progress)
    folder = out or Path("runs") / f"{datetime.now().strftime('%Y-%m-%d-%H%M%S')}-{plan.provider.name}"
    write_run(folder, results, plan, prepared.store)
    return Run(folder, results)


def _command(request: Request) -> list[str]:
    """The words that do the same on the command line."""
    found = ["cxrbench", "run", "--provider", request.provider, "--preset", request.preset]
    found += [word for pair in request.overrides for word in ("--set", pair)]
    texts = {"task": request.task, "data": request.data}
    texts |= {"arms": ",".join(request.arms), "sizes": ",".join(request.sizes), "seeds": str(request.seeds)}
    texts |= {"groups": ",".join(request.groups), "label-by": request.label_by, "entry": request.entry}
    texts |= {"ratios": ",".join(request.ratios)}
    found += [word for one in request.also_test for word in ("--also-test", one)]
    found += [word for name, text in texts.items() if text for word in (f"--{name}", text)]
    return [*found, *(["--smoke"] if request.smoke else [])]


def names(what: str, given: Sequence[str | int]) -> tuple[str, ...]:
    """Names as the command line has them; a size like 31 may be a number."""
    listed: Sequence[object] = given.split(",") if isinstance(given, str) else given
    found = [f"{one}" for one in listed if isinstance(one, str) or type(one) is int]
    if len(found) < len(listed):
        odd = next(one for one in listed if not isinstance(one, str) and type(one) is not int)
        raise InputError(f"{what}: expected names, found {odd!r}")
    return tuple(name.strip() for name in found if name.strip())


def dataset_words(data: str | Path | Dataset) -> str:
    """The name or folder of a dataset; one that was made here is kept once, by its content."""
    if isinstance(data, str | Path):
        return str(data)
    if data.folder is not None:
        return str(data.folder)
    folder = home() / FOLDER / "datasets" / data.digest[:16]
    if not folder.is_dir():
        data.save(folder)
    return str(folder)


@dataclass(frozen=True)
class Run:
    """A finished run: where its folder is, and its `results` (all that `results.json` holds)."""

    folder: Path
    results: Results

    def table(self, *, long: bool = False, every: bool = False) -> pd.DataFrame:
        """The table: a row for every metric and structure, a column for every size and arm, percent metrics in percent.

        every: all metrics, not only those that are tested film by film. long: a row a number instead, exact.
        """
        return tables.long_frame(self.results) if long else tables.table_frame(self.results, every=every)

    def gain(self) -> pd.DataFrame:
        """A row for every size and arm with synthetic films: its score, that of copies in their place, and the gain with its
        95 % interval (`low`, `high`), p and verdict; in points where the metric is in percent. A gain is claimed from five
        seeds on."""
        return tables.gain_frame(self.results)

    def worth(self) -> pd.DataFrame:
        """A row for every arm whose score the curve of copies has: it acts like `films` real ones (95 % interval `low` to
        `high`), where it was trained on `real` real and `synthetic` synthetic films. Empty where there is no curve for these
        films (`cxrbench curve` makes one), which is said."""
        if not self.results.worths and (line := no_worth(self.results)):
            say(line)
        return tables.worth_frame(self.results)

    def average_precision(self) -> pd.DataFrame:
        """A row for every size and arm whose models detect: COCO's mean average precision, by which nothing is ranked. Empty
        for other tasks."""
        return tables.precision_frame(self.results)

    def scores(self) -> pd.DataFrame:
        """The scores of every test film: size, fold, arm, seed, case, structure, metric, value."""
        return load_scores(self.folder)

    def claims(self) -> list[str]:
        """The sentences that may be said of the headline arm."""
        return headline_sentences(self.results)

    def figure(self, kind: str | None = None, *, size: str | None = None, arm: str | None = None) -> Figure:
        """A matplotlib figure: `worth`, `scores`, `differences`, `ratios`, `training`, `sampler` or `films` (default: the
        first of them that this run has), of a size and arm (default: those of the headline). InputError where the run has
        nothing to draw."""
        from ..report.drawing import drawn

        show_figures()
        return drawn(self.results, self.folder, kind, size, arm)

    def report(self) -> Page:
        """The report: the path of an HTML page, which a notebook shows below the cell."""
        return Page(self.folder / REPORT)

    def card(self, *, audit: bool = True) -> CardPage:
        """The run on one page, as `cxrbench card` writes it into the run's folder: what may be claimed, films, protocol,
        and with `audit` what the films are like and whether they are copies."""
        from ..card.rows import make_card
        from ..card.write import as_latex, as_markdown, write_card
        from ..cli.card import audited, films_of
        from ..runs.own_store import home_store

        if in_an_entry(self.folder):
            raise InputError(f"{self.folder} is part of an entry, which holds what was packed and nothing else")
        found, why = films_of(self.results, home_store(), "", None, needed=False)
        made, why = audited(self.results, found, why, None) if audit else (None, "audit=False")
        one = make_card(self.results, found, made, why)
        write_card(one, self.folder)
        return CardPage(self.folder / "card.md", as_markdown(one), as_latex(one))

    def text(self, kind: str = "md") -> str:
        """The table as `md`, `tex`, `csv` or `json`, as `cxrbench report --format` writes it."""
        if kind not in FORMATS:
            raise InputError(f"unknown form '{kind}': expected {', '.join(FORMATS)}")
        return FORMATS[kind](self.results)

    def __str__(self) -> str:
        return terminal(self.results, 120).plain

    def __repr__(self) -> str:
        cells = self.results.cells
        done = sum(cell.status == "done" for cell in cells)
        what = f"{self.results.provider.name} on {self.results.task.name}"
        return f"<run of {what}: {done} of {len(cells)} cells, {self.folder}>"

    def _repr_html_(self) -> str:
        return results_markup(self.results)


@dataclass(frozen=True)
class CardPage:
    """A run on one page: where it lies, its text in Markdown, and its row for a paper in LaTeX."""

    path: Path
    text: str
    row: str

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text


@dataclass(frozen=True)
class Page:
    """A page on disk: a path, shown by a notebook in a frame."""

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def _repr_html_(self) -> str:
        from html import escape

        text = escape(self.path.read_text(encoding="utf-8"), quote=True)
        return f'<iframe title="report" style="width:100%;height:700px;border:1px solid #ccc" srcdoc="{text}"></iframe>'


def load(folder: str | Path) -> Run:
    """A finished run from its folder (`runs/...`, or what `--out` named), with a warning where it is not as the run wrote
    it. InputError where there is none."""
    place = Path(folder).expanduser()
    found = Run(place.parent if place.is_file() else place, load_run(place))
    if line := not_as_written(found.folder, found.results, home_store()):
        warnings.warn(line, stacklevel=2)
    return found


@dataclass(frozen=True)
class Compared:
    """Two runs on the same task, films and preset: `found` is a minus b everywhere, with tests."""

    found: ComparisonResults
    results: Results

    def table(self) -> pd.DataFrame:
        """A row for every number that both have, exact: `a`, `b`, `difference`, and the paired test."""
        return tables.compared_frame(self.found)

    def gain(self) -> pd.DataFrame:
        """A row for every size and arm in which the gains of both are compared over seeds, exact."""
        return tables.compared_gains_frame(self.found)

    def __str__(self) -> str:
        return in_words(self.found, self.results)

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"


def compare(
    a: Run | str | Path,
    b: Run | str | Path,
    *,
    runs: str | Path = "runs",
    task: str | None = None,
    preset: str | None = None,
) -> Compared:
    """Two runs against each other: what `cxrbench compare` says.

    a, b: runs, their folders, or providers, of which the newest runs below the folder `runs` are taken (of `task` and
    `preset`). InputError where they do not belong in one table.
    """
    if isinstance(a, Run) and isinstance(b, Run):
        first, second = Opened(a.folder, a.results), Opened(b.folder, b.results)
    else:
        words = [str(one.folder) if isinstance(one, Run) else str(one) for one in (a, b)]
        first, second = find_pair(*words, root=Path(runs), task=task, preset=preset)
    return Compared(compared(first, second), first.results)


class Datasets(tuple[Any, ...]):
    """The lines of the catalogue; a notebook shows them as a table."""

    def table(self) -> pd.DataFrame:
        """A row a dataset: name, films, pixels (None: drawn at any size), organs, findings, about."""
        import pandas as pd

        names = ["name", "films", "resolution", "organs", "findings", "about"]
        return pd.DataFrame([{name: getattr(entry, name) for name in names} for entry in self], columns=names)

    def _repr_html_(self) -> str:
        rows = [
            [
                one.name,
                "" if one.films is None else str(one.films),
                "any" if one.resolution is None else str(one.resolution),
                ", ".join(one.organs),
                one.about,
            ]
            for one in self
        ]
        return table_markup(["dataset", "films", "pixels", "masks", "about"], rows) + said(
            ["import others with cxrbench data import"]
        )


def datasets() -> Datasets:
    """The datasets that are here: those that come with the package, and the imported ones."""
    from ..data.catalogue import list_datasets

    return Datasets(list_datasets())
