"""The two lungs of a film by where they lie, since sets name them by the patient's side or by the film's."""

from __future__ import annotations

import numpy as np

ORGANS = ("left_lung", "right_lung")
"""Bit 0 and bit 1; the left lung of the patient lies on the right of a film."""


def by_side(bits: np.ndarray) -> np.ndarray | None:
    """Bit flags uint8 (H, W) of two lungs, exchanged where bit 0 does not lie on the right; None where one is empty."""
    columns = np.arange(bits.shape[1])
    weights = [((bits >> np.uint8(bit)) & 1).sum(axis=0) for bit in (0, 1)]
    if not all(one.any() for one in weights):
        return None
    left, right = (float(np.average(columns, weights=one)) for one in weights)
    return bits if left > right else ((bits & 1) << 1 | bits >> 1 & 1).astype(np.uint8)
