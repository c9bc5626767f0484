"""What a detector says of test films, as predictions hold it, beside the boxes that it is scored on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..benchmark.contracts.task import Predictions
from ..benchmark.data.dataset import Dataset
from ..benchmark.data.findings import LOCALISED
from ..benchmark.errors import InputError
from ..benchmark.metrics.changes import Changes
from ..benchmark.metrics.localisation import SCORE, false_positives_per_image
from ..benchmark.metrics.scores import AVERAGE
from .box_split import BOX_COLUMNS, CORNERS

if TYPE_CHECKING:
    from .models.faster_rcnn import Detections

CHOSEN = 0
"""The step in `Predictions` that stands for the chosen checkpoint."""
ALL_FILMS = "all films"
"""The case of a score that belongs to no single box."""
ROWS = ("step", "image", "finding", "score", "box")
"""The arrays of `Predictions` with a row a detection."""


def scored_boxes(films: Dataset) -> pd.DataFrame:
    """The boxes that films are scored on: id, finding, x, y, w, h."""
    if films.boxes is None:
        raise InputError(f"dataset {films.info.name} has no boxes to score")
    boxes = films.boxes[films.boxes["finding"].isin(LOCALISED)]
    boxes = boxes[boxes["scored"].astype(bool)] if "scored" in boxes else boxes
    return boxes[BOX_COLUMNS].astype({"id": str}).reset_index(drop=True)


def detection_table(found: Detections, ids: Sequence[str], structures: Sequence[str]) -> pd.DataFrame:
    """Detections by the names of films and findings: id, finding, x, y, w, h, score."""
    return _table(found.box, found.image, found.finding, found.score, ids, structures)


def predicted(
    ids: Sequence[str], found: Mapping[int, Detections], structures: Sequence[str], taught: np.ndarray
) -> Predictions:
    """The predictions of detections by step: `step` int32, `image` int32 (row of the film), `finding` uint8 (number among
    the six), `score` float32, `box` float32 (D, 4) in pixels of the film; and `taught`, uint8, the numbers of the findings
    (of `structures`, bool) that the model was shown a box of."""
    numbers = np.array([LOCALISED.index(name) for name in structures], dtype=np.uint8)
    parts = list(found.values())
    steps = [np.full(len(one.image), step, dtype=np.int32) for step, one in found.items()]
    arrays = {
        "step": np.concatenate(steps),
        "image": np.concatenate([one.image for one in parts]),
        "finding": numbers[np.concatenate([one.finding for one in parts])],
        "score": np.concatenate([one.score for one in parts]),
        "box": np.concatenate([one.box for one in parts]),
        "taught": numbers[taught],
    }
    return Predictions(tuple(ids), arrays)


def tables_by_step(said: Predictions) -> Iterator[tuple[int, pd.DataFrame]]:
    """Each step of predictions with its detections as `detection_table` has them."""
    arrays = said.arrays
    for step in np.unique(arrays["step"]):
        box, image, finding, score = (
            arrays[name][arrays["step"] == step] for name in ("box", "image", "finding", "score")
        )
        yield int(step), _table(box, image, finding, score, said.ids, LOCALISED)


def false_positives(test: Dataset, found: pd.DataFrame, taught: Collection[str]) -> pd.DataFrame:
    """Case scores of every finding: detections with a score of at least 0.5 that meet no box of it, a film; NaN for one
    that was not taught."""
    boxes = pd.DataFrame(columns=BOX_COLUMNS) if test.boxes is None else test.boxes[BOX_COLUMNS]
    findings = [name for name in LOCALISED if (boxes["finding"] == name).any()]
    values = [
        false_positives_per_image(
            boxes[boxes["finding"] == name], found[found["finding"] == name].reset_index(drop=True), test.ids
        )
        for name in findings
    ]
    labels = {"case": ALL_FILMS, "patient": ALL_FILMS, "structure": findings, "metric": "false_positives"}
    table = pd.DataFrame(labels | {"value": values})
    return table.assign(value=table["value"].where(table["structure"].isin(taught)))


def without_unseen(said: Predictions) -> Predictions:
    """The predictions without the detections that no score sees, of a detector's hundred a film most: scores see those with
    a score of at least `SCORE` and the best of each step, film and finding (Xing et al. 2019, section 3.3)."""
    score = said.arrays["score"]
    places = np.stack([said.arrays[name].astype(np.int64) for name in ("step", "image", "finding")])
    _, place = np.unique(places, axis=1, return_inverse=True)
    best = np.full(place.max(initial=-1) + 1, -np.inf)
    np.maximum.at(best, place.ravel(), score)
    rows: npt.NDArray[np.intp] = np.flatnonzero((score >= SCORE) | (score == best[place.ravel()]))
    kept = {name: array[rows] if name in ROWS else array for name, array in said.arrays.items()}
    return Predictions(said.ids, kept)


def summary(scores: pd.DataFrame, windows: Sequence[Sequence[int]]) -> pd.DataFrame:
    """The table of `NihLocalisation.summarise`: columns `metric, structure, value`. `windows`: the steps of the checkpoints
    of each window."""
    scored = scores[scores["value"].notna()]
    structures = [name for name in LOCALISED if (scored["structure"] == name).any()]
    averaged = len(structures) == scores["structure"].nunique() and len(structures) > 1
    mean = scored.groupby(["metric", "structure"])["value"].mean()
    means = dict(zip(mean.index, mean.to_numpy(dtype=np.float64), strict=True))
    rows: list[tuple[str, str, float]] = []
    for metric in ("cl", "cl_scored", "cl_iobb", "false_positives"):
        values = [float(means[metric, name]) for name in structures]
        rows += [(metric, name, value) for name, value in zip(structures, values, strict=True)]
        if averaged:
            rows.append((metric, AVERAGE, float(np.mean(values))))
    for name in structures:
        hits = scored.loc[(scored["metric"] == "cl") & (scored["structure"] == name), "value"]
        rows += [("found", name, float(hits.sum())), ("boxes", name, float(len(hits)))]
    for number, steps in enumerate(windows, start=1):
        metric = f"cl_window_{number}"
        tested = [step for step in steps if (scored["metric"] == f"cl_at_{step}").any()]
        if not tested:
            continue
        window = np.array([[means[f"cl_at_{step}", name] for name in structures] for step in tested])
        rows += [(metric, name, float(value)) for name, value in zip(structures, window.max(axis=0), strict=True)]
        if averaged:
            rows.append((metric, AVERAGE, float(window.mean(axis=1).max())))
    return pd.DataFrame(rows, columns=["metric", "structure", "value"])


def _table(
    box: np.ndarray,
    image: np.ndarray,
    finding: np.ndarray,
    score: np.ndarray,
    ids: Sequence[str],
    findings: Sequence[str],
) -> pd.DataFrame:
    table = pd.DataFrame(box.astype(np.float64), columns=CORNERS)
    table.insert(0, "id", np.array(ids, dtype=object)[image])
    table.insert(1, "finding", np.array(findings, dtype=object)[finding])
    return table.assign(score=score.astype(np.float64))


def detection_changes(said: Predictions, other: Predictions, scores: Sequence[pd.DataFrame]) -> Changes:
    """A statement is what is said of a film at the chosen checkpoint, all its boxes; a change of a test box between hit and
    missed is right where it is hit now (`scores`: the case scores of both, or none)."""
    first, second = (_boxes_by_film(one) for one in (said, other))
    films = range(len(said.ids))
    changed = sum(first.get(film, b"") != second.get(film, b"") for film in films)
    if not scores:
        return Changes(len(films), changed)
    now, before = (one.loc[one["metric"] == "cl", "value"].to_numpy() for one in scores)
    moved = (now != before) & ~np.isnan(now) & ~np.isnan(before)
    return Changes(len(films), changed, int(moved.sum()), int((now > before)[moved].sum()))


def _boxes_by_film(said: Predictions) -> dict[int, bytes]:
    """The boxes of the chosen checkpoint as bytes, by the row of their film."""
    chosen = said.arrays["step"] == CHOSEN
    image, box = said.arrays["image"][chosen], said.arrays["box"][chosen]
    return {int(film): box[image == film].tobytes() for film in np.unique(image)}
