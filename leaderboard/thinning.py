"""Predictions without what no score depends on: a task says what that is, and it is held against the scores."""

from __future__ import annotations

from ..benchmark.contracts.task import Predictions, Task
from ..benchmark.data.dataset import Dataset


def thinned(said: Predictions, task: Task, test: Dataset) -> Predictions:
    """The predictions without what the task says that no score sees; all of them where a score would change."""
    fewer = task.without_unscored(said, test)
    return fewer if fewer is said or task.score(fewer, test).equals(task.score(said, test)) else said
