"""Whether an entry is as it was packed, as far as reading alone tells: what is shown of it is read from files that nothing
else holds against each other. `submission check` asks far more, and computes numbers again from predictions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from .checks import digests
from .checks.subject import Sources, Subject
from .entry import Entry, EntryRun
from .untrusted import Refused

RELATIVE, ABSOLUTE = 1e-5, 1e-9
"""Of numbers that were rounded when they were written."""


def require_sealed(entry: Entry) -> Entry:
    """The entry. Refused where a file is not that of `digests.json`, or results hold a number by seed that its cell's record
    does not have (where a seed has one fold: the scores of several are pooled)."""
    for found in digests.check(Subject(entry, Sources())):
        raise Refused(f"{found.where}: {found.message}")
    for run in entry.runs:
        for words in _odd_values(run):
            raise Refused(f"{run.path.name}/results.json: {words}; `cxrbench submission check` says more")
    return entry


def _odd_values(run: EntryRun) -> Iterator[str]:
    tables: dict[tuple[str, str, int], list[Mapping[tuple[str, str], float]]] = {}
    for cell in run.results.cells:
        if cell.key in run.records:
            rows = run.records[cell.key].table
            table = {(row.metric, row.structure): row.value for row in rows}
            tables.setdefault((cell.size, cell.arm, cell.seed), []).append(table)
    for one in run.results.seed_values:
        found = tables.get((one.size, one.arm, one.seed), [])
        if len(found) != 1:
            continue
        value = found[0].get((one.metric, one.structure))
        if value is None or not math.isclose(one.value, value, rel_tol=RELATIVE, abs_tol=ABSOLUTE):
            said = "none" if value is None else f"{value:.6g}"
            place = f"{one.metric} of {one.structure}, {one.arm} {one.size} seed {one.seed}"
            yield f"{place} is {one.value:.6g}, its cell has {said}"
