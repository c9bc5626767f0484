"""Whether the folder of a run is as the run wrote it: `tables/written.json` has the sha256 of what its numbers are read
from, and the store the records that they come from."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .. import digest
from ..errors import StoreError, one_line
from ..files import write_text
from ..plain_files import read_plain
from ..runs.store import Level, Store
from .folder import CURVES, PLOTS, RESULTS, SCORES
from .rows import Results, SeedValue, Status

WRITTEN = "tables/written.json"
READ_FROM = (RESULTS, SCORES, CURVES, PLOTS)
CLOSE = 1e-9


def keep_digests(folder: Path) -> None:
    """Write down what the files of a run are, once all of them are there."""
    there = [name for name in READ_FROM if (folder / name).is_file()]
    write_text(folder / WRITTEN, json.dumps({name: digest.of_file(folder / name) for name in there}, indent=1) + "\n")


def changed_files(folder: Path) -> list[str]:
    """The files of a run that are not what it wrote; none where nothing is written down, as in runs from before it was."""
    try:
        said = json.loads(read_plain(folder / WRITTEN))
        known = {name: said[name] for name in READ_FROM if name in said}
        return [name for name, kept in known.items() if not _is(folder / name, kept)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, RecursionError):
        return [WRITTEN]


def _is(path: Path, kept: object) -> bool:
    return path.is_file() and digest.of_file(path) == kept


def not_as_written(folder: Path, results: Results, store: Store) -> str:
    """One line on what of a run's folder is not what the run wrote; empty where nothing is known to be. Asked are the
    digests of its files, its table, which is the mean over its seeds, and the records of its cells in the store."""
    changed, again = changed_files(folder), "`cxrbench run` writes it again"
    odd, other = next(_not_of_seeds(results), ""), next(_not_of_records(results, store), "")
    if changed or odd:
        said = f" ({odd or other})" if odd or other else ""
        return f"{one_line(folder)}: {', '.join(changed) or RESULTS} changed after the run wrote it{said}; {again}"
    return f"{one_line(folder)}: {RESULTS} was changed, or computed elsewhere: {other}; {again}" if other else ""


def _not_of_seeds(results: Results) -> Iterator[str]:
    """Numbers of the table that are not the mean over its seeds, in words."""
    values: dict[tuple[str, str, str, str], list[float]] = {}
    for one in results.seed_values:
        values.setdefault((one.size, one.arm, one.metric, one.structure), []).append(one.value)
    for row in results.table:
        found = values.get((row.size, row.arm, row.metric, row.structure), [])
        if row.value is not None and not (found and _close(row.value, float(np.mean(found)))):
            mean = f"the mean of its seeds is {np.mean(found):.4g}" if found else "no seed has it"
            yield f"{row.size} {row.arm} {row.metric} {row.structure} is {row.value:.4g}, {mean}"


def _not_of_records(results: Results, store: Store) -> Iterator[str]:
    """Numbers of a seed that are not those of its record; with several folds a number is of several records, and is not
    asked about."""
    cells: dict[tuple[str, str, int], list[str]] = {}
    for cell in results.cells:
        if cell.status is Status.DONE:
            cells.setdefault((cell.size, cell.arm, cell.seed), []).append(cell.key)
    said: dict[tuple[str, str, int], list[SeedValue]] = {}
    for one in results.seed_values:
        said.setdefault((one.size, one.arm, one.seed), []).append(one)
    for place, keys in cells.items():
        if len(keys) != 1 or place not in said:
            continue
        try:
            store_has = store.path(Level.RECORDS, keys[0]).is_dir()
            table = store.record(keys[0]).table if store_has else []
        except (StoreError, OSError):  # damaged: a run makes it again
            continue
        kept = {(row.metric, row.structure): row.value for row in table}
        for one in said[place] if kept else ():
            value = kept.get((one.metric, one.structure))
            if value is None or not _close(one.value, value):
                told = "has none" if value is None else f"has {value:.4g}"
                yield (
                    f"{one.size} {one.arm} seed {one.seed} {one.metric} {one.structure} is {one.value:.4g}, its record in "
                    f"the store {told}"
                )


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=CLOSE, abs_tol=CLOSE)
