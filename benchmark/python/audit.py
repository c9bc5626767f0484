"""`cxrbench.audit`: films beside real ones in Python, as `cxrbench audit` compares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ..audit.page import write_audit
from ..audit.words import SHARES, facts, heading, spaces_table, with_real
from ..cli.audit import made
from ..console_tables import as_text
from ..data.dataset import Dataset
from .markup import said, table_markup
from .run import Page, dataset_words
from .watching import preparing

if TYPE_CHECKING:
    import pandas as pd

    from ..audit.sources import Opened
    from ..fidelity.audit import Audit


@dataclass(frozen=True)
class Audited:
    """What was found of some films: `found` is all that `audit.json` holds, `opened` the films of both sides."""

    found: Audit
    opened: Opened

    def numbers(self) -> pd.DataFrame:
        """A row for every number that `--fail-if` may name: `value` (distances as ratios to the floor of real films, shares
        from 0 to 1, counts of films), and the ends of its 95 % interval, `low` and `high`, NaN where it has none."""
        import pandas as pd

        ends = self.found.intervals()
        rows = {name: (value, *ends.get(name, (None, None))) for name, value in self.found.numbers().items()}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"], dtype=float)

    @property
    def alarms(self) -> list[str]:
        """What is conspicuous, a sentence each; empty where nothing is."""
        return list(self.found.alarms)

    @property
    def notes(self) -> list[str]:
        """What was left out, and what was noticed of the files."""
        return [*self.found.left_out, *self.opened.noticed]

    def page(self, out: str | Path) -> Page:
        """Write `audit.html` and `audit.json` into a folder; a notebook shows the page below the cell."""
        return Page(write_audit(self.found, self.opened.sides.films, self.opened.sides.real, Path(out)))

    def __str__(self) -> str:
        table = as_text(spaces_table(self.found), 120).plain.rstrip()
        return "\n".join([heading(self.found), table, *self._said()])

    def _said(self) -> list[str]:
        alarms = [f"alarm: {line}" for line in self.found.alarms] or ["nothing is conspicuous"]
        return [*(f"{name}: {value}" for name, value in facts(self.found)), *alarms]

    def _repr_html_(self) -> str:
        head = ["distance", "ratio to the floor", "95 %", *SHARES]
        rows = [
            [one.title, f"{one.frechet.ratio:.2f}", f"{one.frechet.low:.2f} to {one.frechet.high:.2f}"]
            + [with_real(getattr(one, name)) for name in SHARES]
            for one in self.found.spaces
        ]
        return f"<p><b>{escape(heading(self.found))}</b></p>{table_markup(head, rows)}{said(self._said())}"


def audit(
    films: str | Path | Dataset,
    against: str | Path | Dataset | None = None,
    *,
    weights: Sequence[str] = (),
    resolution: int | None = None,
    progress: bool = True,
) -> Audited:
    """Distances, diversity, copies and annotations of synthetic films beside real ones: what `cxrbench audit` says. Nothing
    is trained.

    films: a folder of pictures, an .npz file, a dataset, its name or folder, a provider by name, or the folder of a run.
    against: the real films, a dataset, its name or folder; by default what a provider was fitted on. weights: spaces of
    local networks, `NAME=FILE` each. resolution: pixels a side at which films are compared, by default the smaller of both
    sides'. Raises InputError (one line) for films that cannot be read or compared.
    """
    real = None if against is None else _words(against)
    with preparing(shown=progress) as watched:
        return Audited(*made(_words(films), real, list(weights), resolution, watched))


def _words(films: str | Path | Dataset) -> str:
    return dataset_words(films) if isinstance(films, Dataset) else str(films)
