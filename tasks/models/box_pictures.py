"""Test films with a box that a reader drew and the one that a detector found."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ...benchmark.contracts.task import Illustration
from ...benchmark.data.dataset import Dataset
from ...benchmark.data.findings import LOCALISED
from ...benchmark.metrics.localisation import best_detection
from ..box_split import BOX_COLUMNS, CORNERS
from ..detections import detection_table, scored_boxes
from .detector_settings import DetectorSettings
from .faster_rcnn import Detector, detect

FILMS, TILE = 12, 256  # at the most, and pixels a side
ANNOTATED, DETECTED = (255, 255, 255), (255, 214, 0)  # white, yellow


def drawn(
    film: np.ndarray,
    annotated: Sequence[float] | np.ndarray,
    detected: Sequence[float] | np.ndarray | None,
    *,
    side: int,
) -> np.ndarray:
    """A film uint8 (H, W), enlarged to `side` pixels, as uint8 RGB (side, side, 3) with the annotated box in white and the
    detected one, where there is one, in yellow over it; boxes are x, y, w, h in pixels of the film."""
    height, width = film.shape
    grey = cv2.resize(film, (side, side), interpolation=cv2.INTER_LINEAR)
    picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    thickness = max(1, side // 128)
    for box, colour in ((annotated, ANNOTATED), (detected, DETECTED)):
        if box is not None:
            x, y, w, h = (value * side / size for value, size in zip(box, (width, height, width, height), strict=True))
            cv2.rectangle(picture, (round(x), round(y)), (round(x + w) - 1, round(y + h) - 1), colour, thickness)
    return picture


def illustrations(model: Detector, test: Dataset, settings: DetectorSettings, *, device: str) -> list[Illustration]:
    """Test films with the annotated box and the best detection of its finding: of each finding in turn the first by id."""
    boxes = scored_boxes(test)
    turns = boxes.assign(turn=boxes.groupby("finding").cumcount(), place=boxes["finding"].map(LOCALISED.index))
    shown = turns.sort_values(["turn", "place"]).head(FILMS)[BOX_COLUMNS]
    row_of = {case: row for row, case in enumerate(test.ids)}
    films = test.images[[row_of[case] for case in shown["id"]]]
    found = detect(model.network, films, settings, device=device)
    places = [str(place) for place in range(len(shown))]  # a film can be shown twice: names of their own
    table = detection_table(found, places, model.structures)
    met = best_detection(shown.assign(id=places), table)
    best = table.drop_duplicates(["id", "finding"]).set_index(["id", "finding"])[CORNERS]
    boxes_found = dict(zip(best.index, best.to_numpy(), strict=True))
    pictures = []
    for place, case, finding, box in zip(
        range(len(shown)), shown["id"], shown["finding"], shown[CORNERS].to_numpy(), strict=True
    ):
        guess = boxes_found.get((places[place], finding))
        said = f"IoU {met['iou'].iloc[place]:.2f}, score {met['score'].iloc[place]:.2f}"
        caption = f"{case.partition('/')[0]}: {finding}, {'not detected' if guess is None else said}"
        pictures.append(Illustration(drawn(films[place], box, guess, side=TILE), caption))
    return pictures
