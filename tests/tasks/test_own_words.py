"""What every task says for itself: scores from predictions and truth alone, wrong test films, what no score sees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.contracts.task import ArmName, Predictions, Slot, Task
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.data.findings import LOCALISED
from cxrbench.benchmark.data.splits import JSRT_IDS, NIH_LISTS, PHANTOM_IDS
from cxrbench.benchmark.registry import TASKS, plugins
from cxrbench.leaderboard.regression.films import fingerprint_films

SIDE = 64


def tasks() -> list[Task]:
    return [plugin.load()() for plugin in plugins(TASKS).values()]


def said(task: Task, test: Dataset) -> Predictions:
    """Predictions that a model of the task could have made."""
    rng, count = np.random.default_rng(3), len(test)
    if task.needs == "masks":
        arrays = {"labels": rng.integers(0, 1 + len(task.structures(test)), (count, SIDE, SIDE)).astype(np.uint8)}
    elif task.needs == "labels":
        arrays = {"logits": rng.normal(size=(count, len(test.info.findings))).astype(np.float32)}
    else:
        guesses = count * len(LOCALISED)
        arrays = {
            "step": np.zeros(guesses, np.int32),
            "image": np.repeat(np.arange(count, dtype=np.int32), len(LOCALISED)),
            "finding": np.tile(np.arange(len(LOCALISED), dtype=np.uint8), count),
            "score": rng.random(guesses).astype(np.float32),
            "box": rng.integers(4, 40, (guesses, 4)).astype(np.float32),
            "taught": np.arange(len(LOCALISED), dtype=np.uint8),
        }
    return Predictions(tuple(test.ids), arrays)


@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.name)
def test_scores_and_table_are_of_predictions_and_truth_alone(task, tmp_path):
    """Predictions from disk, a task that trained nothing, and films without their pixels: so a metric can be added later."""
    fold = {"scr_3fold": "0", "nih_localisation": "patient"}.get(task.name, "official")
    test = task.test_set(fingerprint_films(SIDE), Slot(fold, "full", ArmName.REAL))
    predictions = said(task, test)
    scores = task.score(predictions, test)
    predictions.save(tmp_path / "predictions.npz")
    blank = replace(test, images=np.zeros_like(test.images))
    again = type(task)().score(Predictions.load(tmp_path / "predictions.npz"), blank)
    pd.testing.assert_frame_equal(scores, again)
    table = task.summarise(scores)
    assert len(table) and task.primary in set(table["metric"])
    scores.to_parquet(tmp_path / "scores.parquet")
    pd.testing.assert_frame_equal(table, type(task)().summarise(pd.read_parquet(tmp_path / "scores.parquet")))
    pd.testing.assert_frame_equal(scores, task.score(task.without_unscored(predictions, test), test))


EVEN = [name for name in JSRT_IDS if int(name[-1]) % 2 == 0]
OFFICIAL = "those of the official split"


@pytest.mark.parametrize(
    ("name", "ids", "wrong"),
    [
        ("scr_official", EVEN[::-1], ""),
        ("scr_official", EVEN[1:], OFFICIAL),
        ("scr_official", [*EVEN[1:], "JPCLN001"], OFFICIAL),
        ("scr_official", ["a", "b"], ""),  # films of one's own have no official split
        ("scr_3fold", EVEN, OFFICIAL),
        ("scr_3fold", PHANTOM_IDS, OFFICIAL),
        ("nih_classification", ["00000001_000"], ""),  # a part of the films, for a trial
        (
            "nih_classification",
            [f"{number:08d}_000" for number in range(NIH_LISTS.test)],
            "the official test list of NIH ChestX-ray14",
        ),
        ("nih_localisation", EVEN, ""),
    ],
)
def test_ids_that_are_not_the_pinned_ones_are_told_without_the_films(name, ids, wrong):
    assert plugins(TASKS)[name].load()().wrong_test(ids) == wrong
