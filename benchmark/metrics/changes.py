"""How one model's predictions differ from another's of the same films: how much, and how often the change is right.

Two trainings differ in many of their statements, and a change is right about as often as wrong. Predictions that were made
from another model's by hand differ in few, or are right wherever they differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Changes:
    """Of `statements` (pixels, ranks, films) `changed` differ; `judged` of the changes can be told right or wrong, and
    `right` of these are right. Without the truth none is judged."""

    statements: int
    changed: int
    judged: int = 0
    right: int = 0


def label_changes(
    said: npt.NDArray[np.integer], other: npt.NDArray[np.integer], truth: npt.NDArray[np.integer] | None
) -> Changes:
    """Of label maps of one shape: a statement is a pixel, right where it is the truth's."""
    changed = said != other
    count = int(changed.sum())
    if truth is None:
        return Changes(said.size, count)
    return Changes(said.size, count, count, int((said[changed] == truth[changed]).sum()))


def rank_changes(
    said: npt.NDArray[np.floating], other: npt.NDArray[np.floating], truth: npt.NDArray[np.integer] | None
) -> Changes:
    """Of scores (N, F), higher for films that show a finding, of which ranks alone count: a statement is the rank of a film
    among those of a finding (ties share the mean), a change right where it moves a film that shows the finding up, or one
    that does not down. `truth`: 0 or 1 (N, F)."""
    from scipy.stats import rankdata

    moved = rankdata(said, axis=0) - rankdata(other, axis=0)
    count = int((moved != 0).sum())
    if truth is None:
        return Changes(said.size, count)
    return Changes(said.size, count, count, int((np.sign(moved) == np.where(truth > 0, 1, -1)).sum()))
