"""The synthetic films of a finished run, by the keys that its cells name: which of them a card, an audit and the run itself
speak of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError, StoreError, unknown
from ..results.rows import Results, Status
from ..runs.store import Level, Store

if TYPE_CHECKING:
    from ..data.dataset import Dataset
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
