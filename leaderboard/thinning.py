"""Predictions without what no score depends on.

A detector makes a hundred guesses a film; scores see those with a score of at least `SCORE` and the best of each finding
(Xing et al. 2019, section 3.3: the best detection of the right finding). The others are most of an entry's bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..benchmark.contracts.task import Predictions, Task
from ..benchmark.data.dataset import Dataset
from ..benchmark.metrics.localisation import SCORE

DETECTIONS = ("step", "image", "finding", "score", "box")
"""Arrays with a row a detection."""


def thinned(said: Predictions, task: Task, test: Dataset) -> Predictions:
    """The predictions with the detections that scores of the task see; all of them where it scores others too, and where
    they are no detections."""
    if not set(DETECTIONS) <= set(said.arrays):
        return said
    rows = _seen(said.arrays)
    kept = {name: array[rows] if name in DETECTIONS else array for name, array in said.arrays.items()}
    fewer = Predictions(said.ids, kept)
    return fewer if task.score(fewer, test).equals(task.score(said, test)) else said


def _seen(arrays: Mapping[str, np.ndarray]) -> npt.NDArray[np.intp]:
    """The rows, in their order, of detections with a high score, and of the best of each step, film and finding."""
    score = arrays["score"]
    places = np.stack([arrays[name].astype(np.int64) for name in ("step", "image", "finding")])
    _, place = np.unique(places, axis=1, return_inverse=True)
    best = np.full(place.max(initial=-1) + 1, -np.inf)
    np.maximum.at(best, place.ravel(), score)
    return np.flatnonzero((score >= SCORE) | (score == best[place.ravel()]))
