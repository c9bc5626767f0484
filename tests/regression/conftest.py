"""Entries made of the sample's committed predictions, one for each task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cxrbench.leaderboard.regression.rerun import Verdict, rescore

from .sample_entry import SAYS, copy_numbers, make_entry, sample_sources


@pytest.fixture(scope="session")
def entries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of entries for each task, with the one entry of the sample."""
    found = {}
    for task in SAYS:
        found[task] = tmp_path_factory.mktemp(task)
        make_entry(found[task], tasks=(task,))
    return found


@pytest.fixture
def guard(entries: dict[str, Path], tmp_path: Path) -> Callable[[str], list[Verdict]]:
    """Re-score the committed predictions of a task against its committed numbers."""

    def rescored(task: str) -> list[Verdict]:
        numbers = copy_numbers(task, tmp_path / "numbers")
        return rescore(numbers, entries[task], sample_sources())

    return rescored
