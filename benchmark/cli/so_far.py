"""The first table of a run that goes on: the scores, gain and worth by which its task ranks, as soon as they are there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..errors import CxrbenchError

if TYPE_CHECKING:
    from ..runs.job import Cell
    from ..runs.plan import Plan
    from ..runs.request import Prepared

WORTH_A_TABLE = 30.0
"""Seconds that the rest of the run takes at least: before shorter ones the whole table is there soon."""


@dataclass
class FirstTable:
    """Printed on stderr once, before the run ends: the last table is what counts, and goes to stdout."""

    prepared: Prepared
    shown: bool = False
    _over: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._needed = {cell.key for cell in headline_cells(self.prepared.plan)}
        self._over |= self.prepared.done
        self.shown = self.shown or not self._needed or len(self._needed) == len(self.prepared.plan.cells)

    def take(self, keys: Sequence[str] = ()) -> None:
        """Print it where steps with these keys were the last that it needs."""
        self._over.update(keys)
        if self.shown or not self._needed <= self._over:
            return
        self.shown = True
        if self._seconds_left() >= WORTH_A_TABLE:
            with suppress(CxrbenchError):  # a file that cannot be read is said at the end: the run goes on
                self._print()

    def _seconds_left(self) -> float:
        """Of all steps one after another; endless where one of them was never done before."""
        left = [step for step in self.prepared.left if step.key not in self._over]
        seconds = [self.prepared.schedule.expected[step.key] for step in left]
        return sum(float("inf") if one is None else one for one in seconds) / self.prepared.jobs

    def _print(self) -> None:
        from rich.console import Console

        from ..console_tables import tell
        from ..report.text_tables import print_table, shortly
        from ..results.assemble import assemble
        from ..results.curve import curve_words, find_curve

        plan, store, request = self.prepared.plan, self.prepared.store, self.prepared.request
        part = replace(plan, cells=headline_cells(plan))
        makes = curve_words(request, plan)
        results = assemble(
            part, store, [], curve=find_curve(plan, store), curve_command=makes, overrides=request.overrides
        )
        if not results.complete:
            return  # what failed is said at the end
        size = results.sizes[0].size
        tell(
            f"\nso far  size {size}, by which {plan.task.name} ranks; the whole table, with its notes, comes last",
            sys.stderr,
        )
        print_table(results, Console(stderr=True), shortly)


def headline_cells(plan: Plan) -> tuple[Cell, ...]:
    """The cells by which a run is ranked: REAL, the headline arm and its copies, at the headline's size."""
    from ..contracts.task import ArmName
    from ..runs.schedule import headline_of
    from ..runs.smoke import is_smoke

    place = headline_of(plan)
    if place is None or is_smoke(plan.preset):
        return ()
    arm, size = place
    wanted = [cell for cell in plan.cells if cell.slot.size == size and cell.slot.arm in (ArmName.REAL, arm)]
    return tuple(cell for cell in wanted if cell.identity.synthetic is None)
