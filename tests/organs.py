"""Films with other masks than they were made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cxrbench.benchmark.data.dataset import Dataset, pack_masks


def with_organs(films: Dataset, organs: Sequence[str]) -> Dataset:
    """The same films with the masks of the given organs alone, in that order."""
    info = films.info.changed(organs=tuple(organs))
    return replace(films, info=info, masks=pack_masks(films.organ_masks(organs)), folder=None)
