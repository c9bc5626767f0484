"""`cxrbench.curve`: what ever more real films score, the ruler that worths are read from, as `cxrbench curve` makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cli.working import plan_line, say, watched
from ..data.dataset import Dataset
from ..home import home
from ..registry import TASKS
from ..results.curve import curve_of, keep_curve
from ..results.gains import PlaceboCurve
from ..results.rows import MetricInfo
from ..runs.lock import working
from ..runs.request import CurveRequest, prepare_curve
from ..settings import parse_pairs
from .carried import pairs_of, words_of
from .markup import said, table_markup
from .run import dataset_words, names
from .watching import preparing, watcher_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class CopiesCurve:
    """The scores of copies of ever more real films: `found` is all that is kept of them, `metric` what they are of."""

    found: PlaceboCurve
    metric: MetricInfo

    def table(self) -> pd.DataFrame:
        """A row for each number of real films, the most first; for each arm whose copies were trained the `mean`, the `sd`
        over seeds and the number of `seeds`, in the metric's own range (0 to 1 for Dice)."""
        import pandas as pd

        points = pd.DataFrame([point.model_dump() for point in self.found.points])
        points["films"] = points.groupby(["arm", "size"])["films"].transform("mean")
        means = points.groupby(["films", "arm"])["value"].agg(mean="mean", sd="std", seeds="count")
        wide = means.unstack("arm").swaplevel(axis=1)
        return wide[self.found.arms].sort_index(ascending=False)

    def figure(self) -> Figure:
        """The curve, with the scores of all seeds."""
        from ..report.ladder import curve_figure

        return curve_figure(self.found, self.metric)

    def __str__(self) -> str:
        from ..report.ladder import curve_lines

        return "\n".join(curve_lines(self.found, self.metric))

    def _repr_html_(self) -> str:
        from ..report.gain_words import curve_failures
        from ..report.ladder import curve_heading, curve_table

        head, rows = curve_table(self.found, self.metric)
        notes = said(curve_failures(self.found, self.metric))
        return (
            f"<p><b>{escape(curve_heading(self.found, self.metric))}</b></p>{table_markup(head, rows, texts=0)}{notes}"
        )


def curve(
    task: Any,
    data: str | Path | Dataset | None = None,
    *,
    preset: str = "quick",
    settings: Mapping[str, Any] | None = None,
    seeds: int = 5,
    sizes: Sequence[str | int] = (),
    arms: Sequence[str] = (),
    device: str = "auto",
    jobs: int | None = None,
    engine: str = "processes",
    address: str | None = None,
    time_limit: float | None = None,
    progress: bool = True,
) -> CopiesCurve:
    """Train a task on ever more real films: what `cxrbench curve` does. The curve is kept in the store, and every later run
    on the same films, also one whose cells are there already, reads its worths from it.

    task, data, preset, device, jobs, engine, address, time_limit, progress: as of `cxrbench.run`. settings: `{"task.key":
    value}` or `{"task": {"key": value}}`. seeds: repetitions; one gives no interval, 5 or more allow a
    claim. sizes: numbers or names of real films, by default the task's, each half of the one before. arms: those whose
    copies are trained, by default the headline's and synthetic. Raises InputError (one line) for wrong input, before any
    work.
    """
    name, of_task = words_of("task", task, TASKS, preset, "task.")
    asked = dict(parse_pairs([*of_task, *pairs_of(settings or {})]))
    request = CurveRequest(
        task=name,
        data=None if data is None else dataset_words(data),
        preset=preset,
        overrides=tuple(f"{key}={value}" for key, value in asked.items()),
        seeds=seeds,
        sizes=names("sizes", sizes),
        arms=names("arms", arms),
        device=device,
        jobs=jobs,
        engine=engine,
        address=address,
        time_limit=time_limit,
    )
    with working(home() / "store"):
        return _curve(request, shown=progress)


def _curve(request: CurveRequest, *, shown: bool) -> CopiesCurve:
    with preparing(shown=shown) as progress:
        prepared = prepare_curve(request, progress)
    if shown:
        say(plan_line(prepared))
    for line in dict.fromkeys(one.error for one in watched(prepared, watcher_of(prepared, shown=shown))):
        say(f"error: {line}")
    found = curve_of(prepared.plan, prepared.store)
    keep_curve(prepared.plan, prepared.store, found)
    metric = next(one for one in prepared.plan.task.metrics if one.name == found.metric)
    return CopiesCurve(found, MetricInfo.model_validate(asdict(metric)))
