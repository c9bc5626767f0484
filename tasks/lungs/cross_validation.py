"""How well the lung region generator finds lungs: five folds of patients (Liu et al., SDFN, equations 3 and 4)."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from ...benchmark import digest
from ...benchmark.data.dataset import Dataset
from ...benchmark.errors import InputError
from ...benchmark.metrics.segmentation import confusion, dice_from_counts, jaccard_from_counts
from ...benchmark.progress import Progress
from .record import CrossValidation, Spread
from .regions import (
    QUICK,
    LungRegionGenerator,
    LungSettings,
    films_with_lungs,
    fit,
    lung_region_generator,
    lungs_of,
    threads,
    write_record,
)

FOLDS = 5


def evaluated(
    settings: LungSettings = QUICK,
    data_name: str = "phantom",
    device: str = "cpu",
    progress: Progress | None = None,
) -> LungRegionGenerator:
    """The generator with its five-fold cross-validation, which is measured once and kept in its record."""
    progress = progress or Progress()
    found = lung_region_generator(settings, data_name, device, progress.part("", 0.0, 0.2))
    if found.record.cross_validation is not None:
        return found
    films = films_with_lungs(settings, data_name, Progress())
    with threads(settings.threads):
        measured = cross_validate(settings, films, device=device, progress=progress.part("", 0.2, 1.0))
    record = found.record.model_copy(update={"cross_validation": measured})
    write_record(record, found.folder)
    return replace(found, record=record)


def cross_validate(
    settings: LungSettings, films: Dataset, *, device: str, progress: Progress, folds: int = FOLDS
) -> CrossValidation:
    """Dice and IoU per film over `folds` folds of patients (equations 3 and 4 of the paper), after cleaning.

    InputError where there are fewer patients than folds. The network of a fold is chosen on a tenth of its own
    training films, never on the fold that it is tested on.
    """
    start = time.perf_counter()
    patients = films.cases["patient"].astype(str).to_numpy()
    names = np.unique(patients)
    if len(names) < folds:
        raise InputError(
            f"lung regions: {folds} folds need as many patients, dataset {films.info.name} has {len(names)}"
        )
    order = np.random.default_rng(digest.derive_seed("lung regions", "folds", settings.seed)).permutation(names)
    dices, ious = [], []
    for fold in range(folds):
        tested = np.isin(patients, order[fold::folds])
        part = progress.part(f"fold {fold + 1}/{folds}", fold / folds, (fold + 1) / folds)
        regions, _, _ = fit(settings, films.select(~tested), device=device, progress=part)
        test = films.select(tested).resized(settings.resolution)
        counts = confusion(regions.masks(np.asarray(test.images)), lungs_of(test))
        dices.append(np.asarray(dice_from_counts(*counts)))
        ious.append(np.asarray(jaccard_from_counts(*counts)))
    return CrossValidation(
        folds=folds,
        films=len(films),
        dice=_spread(np.concatenate(dices)),
        iou=_spread(np.concatenate(ious)),
        fold_dice=[float(one.mean()) for one in dices],
        fold_iou=[float(one.mean()) for one in ious],
        seconds=round(time.perf_counter() - start, 3),
    )


def _spread(values: np.ndarray) -> Spread:
    return Spread(mean=float(values.mean()), stddev=float(values.std(ddof=1)))
