"""Lung masks as the tuberculosis sets of the National Library of Medicine have them: a file a lung, or one of both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ....errors import InputError
from ...reading.films import read_mask


def lung_mask(path: Path) -> np.ndarray:
    """A mask of black and white as uint8 (H, W) of 0 and 1; levels between belong to the nearer end."""
    values = read_mask(path)
    return (values >= max((int(values.max()) + 1) // 2, 1)).astype(np.uint8)


def two_lungs(paths: Sequence[Path]) -> np.ndarray:
    """Bit 0: the left lung of the patient, which a film shows on its right; bit 1: the right one.

    By where they lie, because sets name them by either side. InputError where a mask is empty or both lie on one side.
    """
    one, other = (lung_mask(path) for path in paths)
    if one.shape != other.shape:
        raise InputError(f"{paths[0]} and {paths[1]} are masks of one film but differ in size")
    for path, mask in zip(paths, (one, other), strict=True):
        if not mask.any():
            raise InputError(f"{path}: the mask of a lung is empty")
    middles = [float(np.average(np.arange(mask.shape[1]), weights=mask.sum(axis=0))) for mask in (one, other)]
    left, right = (one, other) if middles[0] > middles[1] else (other, one)
    return left | right << 1
