"""What a packed entry leaves out, of a detector's guesses for example, changes no score."""

from __future__ import annotations

import numpy as np
import pytest

from cxrbench.benchmark.contracts.task import ArmName, Predictions, Slot
from cxrbench.benchmark.data.findings import LOCALISED
from cxrbench.benchmark.metrics.localisation import SCORE
from cxrbench.leaderboard.checks.subject import installed_task
from cxrbench.leaderboard.regression.films import fingerprint_films
from cxrbench.leaderboard.thinning import thinned
from cxrbench.tasks.nih_classification import NihClassification

GUESSES = 100


@pytest.fixture(scope="module")
def task():
    cls = installed_task("nih_localisation")
    return cls(cls.presets["quick"])


@pytest.fixture(scope="module")
def test(task):
    return task.test_set(fingerprint_films(task.settings.resolution), Slot("patient", "full", ArmName.REAL))


def guesses(test, seed: int) -> Predictions:
    """A hundred guesses a film and checkpoint: many that are equal, some near the least score that counts."""
    rng, films, steps = np.random.default_rng(seed), len(test), 2
    count = films * steps * GUESSES
    corner, size = rng.integers(0, 40, (count, 2)), rng.integers(4, 24, (count, 2))
    return Predictions(
        tuple(test.ids),
        {
            "step": np.repeat(np.arange(steps, dtype=np.int32), films * GUESSES),
            "image": np.tile(np.repeat(np.arange(films, dtype=np.int32), GUESSES), steps),
            "finding": rng.integers(0, len(LOCALISED), count).astype(np.uint8),
            "score": (rng.integers(0, 60, count) / 100).astype(np.float32),
            "box": np.concatenate([corner, size], axis=1).astype(np.float32),
            "taught": np.arange(len(LOCALISED), dtype=np.uint8),
        },
    )


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_the_same_and_what_is_left_out_could_not_be_seen(task, test, seed):
    said = guesses(test, seed)
    fewer = thinned(said, task, test)
    assert task.score(fewer, test).equals(task.score(said, test))
    assert len(fewer.arrays["score"]) < len(said.arrays["score"]) / 2
    assert (fewer.arrays["score"] >= np.float32(SCORE)).sum() == (said.arrays["score"] >= np.float32(SCORE)).sum()
    assert fewer.ids == said.ids and (fewer.arrays["taught"] == said.arrays["taught"]).all()


def test_a_task_that_scores_all_detections_keeps_them(task, test, monkeypatch):
    whole = type(task).score
    monkeypatch.setattr(
        type(task),
        "score",
        lambda self, said, films: whole(self, said, films).assign(guesses=len(said.arrays["score"])),
    )
    said = guesses(test, 0)
    assert thinned(said, task, test) is said


def test_a_task_that_says_nothing_keeps_all():
    classification, said = NihClassification(), Predictions(("a",), {"logits": np.zeros((1, 14), np.float32)})
    assert thinned(said, classification, test=None) is said
