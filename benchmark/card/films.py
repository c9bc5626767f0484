"""The synthetic films of a finished run, by the keys that its cells name, and what an audit says of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..audit.faithful import with_agreement
from ..audit.sources import open_sides
from ..errors import CxrbenchError, InputError, StoreError, unknown
from ..fidelity.audit import Audit, make_audit
from ..results.rows import Results, Status
from ..runs.store import Level, Store

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..progress import Progress
    from ..runs.record import Record


@dataclass(frozen=True)
class RunFilms:
    """A set of synthetic films of a run, and the record of a cell that was trained with them."""

    record: Record
    films: Dataset

    @property
    def words(self) -> str:
        """Of which size, fold and seed they are."""
        cell = self.record.cell
        return f"size {cell.size}, fold {cell.fold}, seed {cell.seed}"


def run_films(results: Results, store: Store, size: str = "", seed: int | None = None) -> RunFilms:
    """The films of a run at a size (default: that of its headline, else the first that the store has) and of a seed
    (default: the first), of the task's own number. InputError where the run has no such size or seed, or the store not the
    films."""
    sizes = [one.size for one in results.sizes]
    if size and size not in sizes:
        raise unknown("size of this run", size, sizes)
    if seed is not None and seed not in results.seeds:
        raise InputError(f"this run has no seed {seed}; it has {', '.join(map(str, results.seeds))}")
    found = [one for one in _records(results, store) if size in ("", one.cell.size) and seed in (None, one.cell.seed)]
    wanted = "" if results.headline is None else results.headline[0]
    found.sort(key=lambda one: (one.cell.size != wanted, sizes.index(one.cell.size), one.cell.seed))
    for record in found:
        if store.sound(Level.SYNTHETIC, str(record.synthetic_key)):
            return RunFilms(record, store.synthetic(str(record.synthetic_key)))
    raise InputError(
        f"the store has not the films of this run of {results.provider.title}; run it again "
        f"(`{' '.join(results.command)}`): what is there is not trained again"
    )


def _records(results: Results, store: Store) -> Iterator[Record]:
    """The records of a run whose cells have synthetic films, of the task's own number of them."""
    for row in results.cells:
        if row.status is Status.DONE:
            try:
                record = store.record(row.key)
            except StoreError:  # gone, or on another machine
                continue
            if record.synthetic_key and record.cell.provider is not None and record.cell.synthetic is None:
                yield record


def audit_of(results: Results, found: RunFilms, progress: Progress) -> tuple[Audit | None, str]:
    """The audit of a run's films against the real ones of the run, or None and why there is none."""
    try:
        folder, data = found.films.folder, results.data.name
        opened = open_sides(str(folder), data, None, progress.part("films", 0.0, 0.1))
        opened = replace(opened, cell=found.record.cell)
        made_by = f"{results.provider.title}, {found.words}"
        audit = make_audit(opened.sides, made_by, (), progress.part("", 0.1, 0.9))
        return with_agreement(audit, opened, progress.part("annotations", 0.9, 1.0)), ""
    except CxrbenchError as error:
        return None, str(error)
