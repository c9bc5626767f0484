"""The arms by their names in tables (`runs.job.Cell.arm`): those of the protocol; `placebo_mixed`, which has copies of real
films in place of synthetic ones; `mixed_62`, which has another number of them than the task says.

REAL and placebos know no provider: entries of a board share their cells.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..benchmark.contracts.task import ArmName
from ..benchmark.results.rows import Results
from ..benchmark.runs.job import PLACEBO, Cell
from ..benchmark.runs.record import CellIdentity

REAL, SYNTHETIC = ArmName.REAL.value, ArmName.SYNTHETIC.value
WITHOUT_PLACEBOS = "of a protocol without placebos"
"""Why a run of an older protocol has no rank."""
_LABEL = re.compile(rf"({PLACEBO})?({'|'.join(ArmName)})(?:_([1-9]\d{{0,6}}))?")


class Parts(NamedTuple):
    """What the name of an arm says; `synthetic`: how many synthetic films, where that is not what the task says."""

    arm: ArmName
    placebo: bool
    synthetic: int | None


def parsed(label: str) -> Parts | None:
    """The parts of a name; None for one that no arm has."""
    found = _LABEL.fullmatch(label)
    if found is None or (found[2] == REAL and label != REAL):
        return None
    return Parts(ArmName(found[2]), found[1] is not None, None if found[3] is None else int(found[3]))


def label_of(cell: CellIdentity) -> str:
    """The arm of a cell by its name in tables."""
    return Cell(key="", identity=cell).arm


def placebo_of(label: str) -> str:
    """The name of an arm's placebo."""
    return PLACEBO + label


def is_placebo(label: str) -> bool:
    """Whether it is the name of a placebo."""
    return label.startswith(PLACEBO)


def is_shared(label: str) -> bool:
    """Whether the cells of an arm know no provider: REAL and placebos."""
    return label == REAL or is_placebo(label)


def in_order(label: str) -> tuple[int, int]:
    """What arms are sorted by: as the protocol has them, one with as many films as the task says first."""
    parts = parsed(label)
    return (len(ArmName), 0) if parts is None else (list(ArmName).index(parts.arm), parts.synthetic or 0)


def has_placebos(results: Results) -> bool:
    """Whether a run is of a protocol with placebos."""
    return any(is_placebo(cell.arm) for cell in results.cells)
