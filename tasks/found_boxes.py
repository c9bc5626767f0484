"""What a detector of `nih_localisation` found on each test film beside the boxes that are there, for measures that rank
nothing: this module is in no digest of code (`digest.IN_NO_CELL`)."""

from __future__ import annotations

import numpy as np

from ..benchmark.contracts.task import Predictions
from ..benchmark.data.dataset import Dataset
from ..benchmark.data.findings import LOCALISED
from ..benchmark.metrics.localisation import OVERLAP
from ..benchmark.metrics.precision import Detections, FilmBoxes
from .box_split import CORNERS
from .detections import CHOSEN


def detections(predictions: Predictions, test: Dataset) -> Detections | None:
    """All detections of the chosen checkpoint, and the boxes of the six findings; of split `paper` those that a film is not
    scored on are not asked for. None where the model was never shown a box of a finding that is tested."""
    arrays = predictions.arrays
    boxes = test.boxes[test.boxes["finding"].isin(LOCALISED)] if test.boxes is not None else None
    if boxes is None or list(predictions.ids) != test.ids:
        return None
    scored = boxes["scored"].to_numpy(bool) if "scored" in boxes else np.ones(len(boxes), bool)
    if set(boxes["finding"][scored]) - {LOCALISED[number] for number in arrays["taught"]}:
        return None
    names = np.array(LOCALISED, dtype=object)
    chosen = arrays["step"] == CHOSEN
    image, box, score = (arrays[name][chosen] for name in ("image", "box", "score"))
    finding = names[arrays["finding"][chosen]]
    of_box = boxes["id"].astype(str).to_numpy()
    films = []
    for row, name in enumerate(predictions.ids):
        said, there = image == row, of_box == name
        films.append(
            FilmBoxes(
                found=box[said],
                scores=score[said],
                findings=list(finding[said]),
                true=boxes.loc[there, CORNERS].to_numpy(np.float64),
                present=list(boxes["finding"][there]),
                counted=scored[there],
            )
        )
    return Detections(films, overlap=OVERLAP)
