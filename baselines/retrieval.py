"""Control: real films in place of synthetic ones, where a dataset has more training films than a size uses.

What a generator gives can be had by looking further in the archive (Geng et al., NeurIPS 2024): this is that archive. It
draws from training films of the same dataset that its own training set leaves out, of other patients, with their
annotations. A generator that is worth less than this is worth less than films that were there already.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from ..benchmark.data.catalogue import find_dataset
from ..benchmark.data.copies import originals
from ..benchmark.data.dataset import Annotation, Dataset, pack_masks
from ..benchmark.errors import InputError
from ..benchmark.progress import Progress
from .controls import CopyTrain, refuse_bare

TRAIN = "train"


class Retrieval(CopyTrain):
    """Other real films of the same dataset, which the size of the training set leaves out."""

    name = "retrieval"
    produces = frozenset({Annotation.MASKS, Annotation.LABELS, Annotation.BOXES})
    reference_seconds: ClassVar = {"quick": 1.0}

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        """Find the films that are left. InputError where the dataset is not in the catalogue, does not say by a column
        `split` which films may be trained on, or has none left."""
        refuse_bare(self, train)
        self.films = others(train, progress)


def others(train: Dataset, progress: Progress) -> Dataset:
    """The training films of the dataset that `train` is from, less its own and those of its patients; annotated as it is."""
    name = train.info.name.partition(",")[0]
    whole = find_dataset(name, train.resolution, progress)
    if "split" not in whole.cases:
        raise InputError(f"retrieval: dataset {name} has no column 'split' that says which films may be trained on")
    own = set(originals(train))
    if missing := own - set(whole.ids):
        raise InputError(f"retrieval: the training film {min(missing)} is not in dataset {name} of the catalogue")
    patients = set(train.cases["patient"].astype(str))
    cases = whole.cases
    free = (cases["split"].astype(str) == TRAIN) & ~cases["patient"].astype(str).isin(patients)
    rows = np.flatnonzero(free.to_numpy() & ~np.isin(whole.ids, sorted(own)))
    if not len(rows):
        raise InputError(
            f"retrieval: the training set is all {len(own)} training films of {name}, so that no other is left: expected a "
            "smaller size (cxrbench run --sizes names them)"
        )
    return annotated_as(whole.select(rows), train)


def annotated_as(films: Dataset, train: Dataset) -> Dataset:
    """Films with the organs and findings of `train` alone, in its order."""
    masks = None if train.masks is None else pack_masks(films.organ_masks(train.organs))
    info = films.info.changed(organs=train.organs, findings=train.info.findings)
    return replace(films, info=info, masks=masks, boxes=None if train.boxes is None else films.boxes, folder=None)
