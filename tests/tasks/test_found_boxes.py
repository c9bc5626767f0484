"""What `nih_localisation` tells of its detections for mean average precision."""

from __future__ import annotations

import numpy as np
import pytest

from cxrbench.benchmark.contracts.task import Predictions
from cxrbench.benchmark.digest import PACKAGE, source_closure
from cxrbench.benchmark.metrics.precision import mean_average_precision
from cxrbench.tasks.box_split import Split
from cxrbench.tasks.found_boxes import detections

from . import test_nih_localisation as boxes
from .test_nih_localisation import FOUND, OFF, ON, four_films, predictions, task_of

data = boxes.data  # the films with boxes, a fixture


def test_the_task_tells_its_detections_and_no_key_depends_on_how():
    assert type(task_of()).detections is detections
    reached = {path.name for path in source_closure(PACKAGE / "tasks" / "nih_localisation.py")}
    assert "detections.py" in reached and not reached & {"found_boxes.py", "precision.py"}


def test_every_detection_of_the_chosen_checkpoint_is_there_on_its_film():
    later = (4, 0, "Effusion", 0.99, OFF)
    found = detections(predictions([*FOUND, later]), four_films())
    assert found.overlap == 0.1 and len(found.films) == 4
    assert [len(film.findings) for film in found.films] == [1, 3, 1, 2]
    second = found.films[1]
    assert second.findings == ["Effusion", "Effusion", "Pneumonia"] and second.present == ["Effusion", "Pneumonia"]
    assert second.scores == pytest.approx([0.6, 0.55, 0.3]) and second.true.tolist() == [[10, 10, 10, 10]] * 2
    assert tuple(second.found[1]) == ON and all(film.counted.all() for film in found.films)


def test_its_average_precision_by_hand():
    """Effusion, two boxes: found at 0.9, false at 0.7 and 0.6, found at 0.55: precision 1 up to recall 0.5, then 2 of 4.
    Pneumonia, three boxes: false at 0.8 and 0.7, found at 0.3: 1 of 3 up to recall 1/3 (34 of 101 recalls)."""
    said = mean_average_precision(detections(predictions(FOUND), four_films()))
    effusion, pneumonia = (51 + 50 / 2) / 101, 34 / 3 / 101
    assert said.half == pytest.approx((effusion + pneumonia) / 2, abs=1e-6)
    assert said.own == said.half  # WIDE meets its box with less than 0.1


def test_a_finding_that_was_never_taught_leaves_nothing_to_tell():
    assert detections(predictions(FOUND, taught=("Pneumonia",)), four_films()) is None


def test_in_the_papers_split_a_box_that_is_not_scored_is_not_asked_for(data):
    task = task_of(Split.PAPER)
    test = task.test_set(data, task.slots(data)[0])
    rows = [
        (0, test.ids.index(one.id), one.finding, 0.9, (one.x, one.y, one.w, one.h)) for one in test.boxes.itertuples()
    ]
    said = Predictions(tuple(test.ids), predictions(rows).arrays)
    found = detections(said, test)
    assert sum(int(np.sum(film.counted)) for film in found.films) == 16 < len(test.boxes)
    precision = mean_average_precision(found)
    assert (precision.coco, precision.half, precision.own) == pytest.approx((1, 1, 1), abs=1e-6)
