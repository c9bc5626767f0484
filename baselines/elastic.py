"""Elastic copies of training films with their masks: the outlook of Neff et al. 2017 ("using elastic deformations to induce
variance in the GAN's training data"), in the form of Simard, Steinkraus and Platt 2003: a random displacement of every
pixel, smoothed by a Gaussian, the same for film and mask."""

from __future__ import annotations

import numpy as np

from ..benchmark.data.augmentation import elastic_field, warp
from ..benchmark.digest import derive_seed
from ..benchmark.draws import Draw


def with_elastic_copies(pairs: np.ndarray, copies: int, *, bend: float, width: float, seed: int) -> np.ndarray:
    """Pairs of film and mask, uint8 (N, 2, side, side), followed by `copies` bent ones of each: (N x (1 + copies), ...).

    `bend`: root mean square of a displacement; `width`: standard deviation of the smoothing; both as shares of the side.
    Films are interpolated, masks take the nearest pixel, so that they keep their two values.
    """
    side = pairs.shape[-1]
    made = [pairs]
    for copy in range(copies):
        bent = np.empty_like(pairs)
        for row, (film, mask) in enumerate(pairs):
            rng = Draw(derive_seed("elastic copies", seed, copy, row))
            field = elastic_field(side, amplitude=bend * side, smoothness=width * side, rng=rng)
            bent[row, 0], bent[row, 1] = warp(film, mask, displacement=field)
        made.append(bent)
    return np.concatenate(made)
