"""Films to look at: real training films beside synthetic ones, samples along a generator's training, and test films with
what each arm's model found on them.

Each is kept as a PNG of its own (plain and with outlines) beside an index, so that a report can be made again from the
run's folder alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..contracts.task import ArmName, Predictions, Slot
from ..data.contact_sheet import outlined
from ..data.copies import originals
from ..data.dataset import Dataset, pack_masks
from ..errors import CxrbenchError
from ..metrics.scores import case_scores, finite
from ..results.finished import REAL, Harvest
from ..results.rows import Results
from ..runs import along
from ..runs.job import Cell
from ..runs.store import Level
from ..schema import Strict
from .words import file_stem, shown

if TYPE_CHECKING:
    import pandas as pd

TILE = 192  # pixels of a film's side
GRID_FILMS = 10
TIMELINE_STEPS = 8
TIMELINE_FILMS = 6
ILLUSTRATIONS_FILE = "illustrations.npz"  # of a record: `pictures` uint8 (K, H, W, 3), `captions` text (K,)
BITS = 8
TRUTH = "truth"
INDEX = "index.json"


class Picture(Strict):
    """One film in the report. `group`: real, synthetic, timeline, case or illustration. A case has a `case` (row) and a
    `column` (truth or arm), a film of the timeline the sample (row), the training step and, as its caption, the training
    where there are several, an illustration its arm."""

    size: str
    group: str
    case: str
    column: str = ""
    caption: str = ""
    plain: str
    outlined: str


class PictureIndex(Strict):
    """All films of a report, and the organs whose outlines they show."""

    organs: list[str]
    case_organs: list[str]
    pictures: list[Picture]


@dataclass(frozen=True)
class Film:
    """A picture with its pixels: uint8 grey (TILE, TILE) and RGB with outlines (TILE, TILE, 3); RGB twice for an
    illustration."""

    picture: Picture
    plain: np.ndarray
    outlined: np.ndarray


def sample_films(harvest: Harvest) -> list[Film]:
    """For every size: real training films (before augmentation), then synthetic ones of the first seed that has them."""
    plan, films = harvest.plan, []
    for size in harvest.sizes:
        cells = [cell for cell in harvest.plan.cells if cell.slot.size == size]
        train = plan.task.training_set(plan.fit_data, Slot(cells[0].slot.fold, size, ArmName.REAL))
        films += _tiles(train, _spread(_one_of_each(train), GRID_FILMS), size, "real")
        synthetic = _synthetic(harvest, cells)
        if synthetic is not None:
            films += _tiles(synthetic, _spread(range(len(synthetic)), GRID_FILMS), size, "synthetic")
    return films


def _synthetic(harvest: Harvest, cells: Sequence[Cell]) -> Dataset | None:
    """The films of the first finished cell that has some in the store: records may be there without their films."""
    for key in dict.fromkeys(cell.synthetic_key for cell in cells if cell.key in harvest.records):
        if key:
            with suppress(CxrbenchError, OSError):
                return harvest.store.synthetic(key)
    return None


def timeline_films(harvest: Harvest) -> list[Film]:
    """For every size whose provider kept them, the same few samples along the training of the first fold and seed."""
    films = []
    for size in harvest.sizes:
        keys = [cell.fit_key for cell in harvest.plan.cells if cell.slot.size == size and cell.fit_key]
        paths = [harvest.store.path(Level.FITS, key) / along.FILE for key in keys]
        kept = next((samples for samples in map(along.read, paths) if samples), {})
        for training, (steps, pictures) in kept.items():
            for number in _spread(range(len(steps)), TIMELINE_STEPS):
                for sample in range(min(pictures.shape[1], TIMELINE_FILMS)):
                    stem = f"{size}-timeline-{training}-{number:03d}-{sample}".replace("--", "-")
                    facts = {"group": "timeline", "case": str(sample), "column": str(int(steps[number]))}
                    facts["caption"] = training
                    films.append(_film(pictures[number, sample], None, (), stem, size=size, **facts))
    return films


def illustrations(harvest: Harvest) -> list[Film]:
    """For every size and arm, the task's pictures of what the model of the first finished cell does with test films."""
    films = []
    for size in harvest.sizes:
        for arm, (key, _) in _shown_cells(harvest, size).items():
            path = harvest.store.path(Level.RECORDS, key) / ILLUSTRATIONS_FILE
            if not path.is_file():
                continue
            with np.load(path, allow_pickle=False) as kept:
                pictures, captions = kept["pictures"], kept["captions"]
            for number, (pixels, caption) in enumerate(zip(pictures, captions, strict=True)):
                name = file_stem(f"{size}-seen-{arm}-{number:02d}") + ".png"
                facts = {"group": "illustration", "case": str(number), "column": arm, "caption": str(caption)}
                films.append(Film(Picture(size=size, plain=name, outlined=name, **facts), pixels, pixels))
    return films


def _one_of_each(films: Dataset) -> list[int]:
    """Row numbers of the real films before augmentation: the first of those that show the same original."""
    first: dict[str, int] = {}
    for row, original in enumerate(originals(films)):
        first.setdefault(original, row)
    return list(first.values())


def _spread(rows: Sequence[int], count: int) -> list[int]:
    """Up to `count` of the rows, evenly spread: no choice by looks."""
    places = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return [rows[place] for place in places]


def _tiles(dataset: Dataset, rows: Sequence[int], size: str, group: str) -> list[Film]:
    films = []
    for number, row in enumerate(rows):
        bits = None if dataset.masks is None else np.asarray(dataset.masks[row])
        stem = f"{size}-{group}-{number:02d}"
        films.append(
            _film(
                np.asarray(dataset.images[row]),
                bits,
                dataset.organs,
                stem,
                size=size,
                group=group,
                case=dataset.ids[row],
            )
        )
    return films


def _film(image: np.ndarray, bits: np.ndarray | None, organs: Sequence[str], stem: str, **facts: str) -> Film:
    name = file_stem(stem)
    picture = Picture(plain=f"{name}.png", outlined=f"{name}-outlined.png", **facts)
    plain = outlined(image, None, organs, TILE)[..., 0]
    return Film(picture, plain, outlined(image, bits, organs, TILE))


# ------------------------------------------------------------------------------------------------------- test cases


def case_films(harvest: Harvest, results: Results) -> list[Film]:
    """For every size, test films with the truth and each arm's prediction: the two worst, the median and the best film of
    the synthetic arm (or of the last arm), by the average of the primary case score. None for tasks without label maps."""
    metric = results.paired_primary
    structures = results.task.structures
    data = harvest.plan.data
    if metric is None or not results.task.rule.per_case or data.masks is None or len(structures) > BITS:
        return []
    films = []
    for size in harvest.sizes:
        cells = _shown_cells(harvest, size)
        if not cells:
            continue
        predictions = {arm: harvest.store.predictions(cell) for arm, (cell, _) in cells.items()}
        if not all(_has_labels(one) for one in predictions.values()):
            continue
        scores = {arm: _averages(harvest, cell, structures, metric) for arm, (cell, _) in cells.items()}
        judged = [arm for arm in scores if scores[arm].notna().all()]
        slot = next(iter(cells.values()))[1]
        test = harvest.plan.task.test_set(data, slot)
        truth = harvest.plan.task.truth(test)
        if truth is None or not judged:
            continue
        judge = ArmName.SYNTHETIC.value if ArmName.SYNTHETIC.value in judged else judged[-1]
        films += _case_rows(test, pack_masks(truth), size, structures, predictions, scores, judge, results)
    return films


def _shown_cells(harvest: Harvest, size: str) -> dict[str, tuple[str, Slot]]:
    """Key and slot of one finished cell per arm, all of the same fold and seed, REAL first: of the arm itself, not of its
    copies nor of other numbers of synthetic films."""
    cells = [cell for cell in harvest.plan.cells if cell.slot.size == size]
    first = next((cell for cell in cells if cell.key in harvest.records), None)
    if first is None:
        return {}
    same = [c for c in cells if (c.slot.fold, c.seed) == (first.slot.fold, first.seed) and c.key in harvest.records]
    found = {cell.arm: (cell.key, cell.slot) for cell in same if cell.arm == cell.slot.arm.value}
    return dict(sorted(found.items(), key=lambda item: item[0] != REAL))


def _has_labels(predictions: Predictions) -> bool:
    labels = predictions.arrays.get("labels")
    return labels is not None and labels.ndim == 3 and labels.dtype == np.uint8


def _averages(harvest: Harvest, key: str, structures: Sequence[str], metric: str) -> pd.Series:
    scores = harvest.store.scores(key).assign(fold="", seed=0)
    return case_scores(scores, structures, metric).iloc[:, -1].droplevel("fold")


def _case_rows(
    test: Dataset,
    truth: np.ndarray,
    size: str,
    structures: Sequence[str],
    predictions: Mapping[str, Predictions],
    scores: Mapping[str, pd.Series],
    judge: str,
    results: Results,
) -> list[Film]:
    metric = results.task.metric(results.paired_primary or "")
    worst_first = scores[judge].sort_values(ascending=metric.higher_is_better, kind="stable")
    ranks = {0: "worst", 1: "second worst", len(worst_first) // 2: "median", len(worst_first) - 1: "best"}
    films = []
    for place, (rank, word) in enumerate(sorted(ranks.items())):
        case = str(worst_first.index[rank])
        row = test.ids.index(case)
        shown_bits = {TRUTH: truth[row]}
        for arm, one in predictions.items():
            shown_bits[arm] = label_bits(one.arrays["labels"][one.ids.index(case)])
        for column, bits in shown_bits.items():
            caption = (
                f"{word} for {judge.upper()}"
                if column == TRUTH
                else f"{metric.label} {shown(finite(scores[column][case]), metric)}"
            )
            stem = f"{size}-case-{place}-{column}"
            facts = {"size": size, "group": "case", "case": case, "column": column, "caption": caption}
            films.append(_film(np.asarray(test.images[row]), bits, structures, stem, **facts))
    return films


def label_bits(labels: np.ndarray) -> np.ndarray:
    """A label map uint8 (H, W), 0 for background and i + 1 for structure i, as bit flags uint8 (H, W)."""
    flags = np.array([0, *(1 << bit for bit in range(BITS))], dtype=np.uint8)
    return flags[np.minimum(labels, BITS)]
