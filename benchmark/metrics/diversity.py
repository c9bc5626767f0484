"""How alike the films of a set are: MS-SSIM of pairs of films, by torchmetrics.

Wang et al. (2003), as Odena et al. (2017) take it for diversity: the mean over pairs, lower where films differ more; a
number of synthetic films says something beside that of as many real ones. Scales that a film is too small for are left
out, the weights of the others sum to 1.
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW = 11
PAIRS = 500


def alike(films: np.ndarray, *, pairs: int = PAIRS, seed: int = 0) -> np.ndarray:
    """MS-SSIM (0 to 1) of pairs of films, uint8 (N, H, W), float64 (pairs,): drawn films without a film twice in a pair.
    ImportError without torchmetrics; InputError for fewer than two films or a side below 22 pixels."""
    import torch
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    side = min(films.shape[1:])
    scales = min(len(WEIGHTS), int(np.log2(max(1, side // (WINDOW - 1)))) + 1)
    if len(films) < 2 or side < 2 * WINDOW:
        raise InputError(f"MS-SSIM of {len(films)} films of {side} pixels: expected two or more of {2 * WINDOW} pixels")
    draw = np.random.default_rng(seed)
    first = draw.integers(0, len(films), pairs)
    second = (first + draw.integers(1, len(films), pairs)) % len(films)
    weights = tuple(weight / sum(WEIGHTS[:scales]) for weight in WEIGHTS[:scales])
    found = []
    for start in range(0, pairs, 64):
        a, b = (
            torch.from_numpy(np.asarray(films[rows[start : start + 64]], dtype=np.float32)[:, None] / 255)
            for rows in (first, second)
        )
        value = multiscale_structural_similarity_index_measure(
            a, b, kernel_size=WINDOW, betas=weights, data_range=1.0, reduction="none", normalize="relu"
        )
        found.append(value.double().numpy().reshape(-1))
    return np.concatenate(found)
