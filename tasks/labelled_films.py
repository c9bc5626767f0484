"""Films with findings: their order in tables, their labels, and films with nothing beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from ..benchmark.data.dataset import Dataset
from ..benchmark.data.findings import FINDINGS
from ..benchmark.errors import InputError


def in_order(findings: Iterable[str]) -> tuple[str, ...]:
    """Findings in the order of all tables: those of the 14 in theirs, then any others by name."""
    names = set(findings)
    return (*(one for one in FINDINGS if one in names), *sorted(names.difference(FINDINGS)))


def labels_of(films: Dataset, structures: Sequence[str]) -> np.ndarray:
    """0/1 labels float32 (N, structures); InputError where the films lack one."""
    if missing := [finding for finding in structures if finding not in films.cases]:
        raise InputError(f"dataset {films.info.name} has no labels of {', '.join(missing)}")
    return films.cases[list(structures)].to_numpy(dtype=np.float32)


def bare(films: Dataset) -> Dataset:
    """The films with their findings alone, so that real and synthetic ones can be put together."""
    columns = ["id", "patient", *films.info.findings]
    return replace(
        films,
        info=films.info.changed(organs=()),
        masks=None,
        boxes=None,
        cases=films.cases[columns],
        folder=None,
    )
