"""Seeded geometric augmentation of films together with their masks, the same bits on every processor (`exact`).

`paper_augmentation` is the one of the multi-stage paper (Ciano et al. 2021, section 3: small rotations, translations
and Gaussian noise, applied before everything else); `elastic_field` is Simard et al. 2003 (random displacements,
smoothed). Films are never mirrored: left and right lung would change sides.
"""

from __future__ import annotations

import math

import numpy as np

from .. import exact
from ..digest import derive_seed
from ..draws import Draw
from .dataset import Dataset
from .gathered import Gathered

MAX_ANGLE = 2.0  # degrees
MAX_SHIFT = 0.03  # share of the side of a film
# "Variance between 0.01 and 0.03 x 255", read in grey levels squared: a standard deviation of 1.6 to 2.8 grey levels.
# On the [0, 1] scale the same words would mean 25 to 44 grey levels, which would drown the film.
NOISE_VARIANCE = (2.55, 7.65)


def warp(
    image: np.ndarray,
    mask: np.ndarray | None,
    *,
    angle: float = 0.0,
    shift_x: float = 0.0,
    shift_y: float = 0.0,
    scale: float = 1.0,
    displacement: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Turn, enlarge, shift and bend a film and its mask in the same way.

    `image`: uint8 (H, W), interpolated linearly. `mask`: uint8 (H, W) bit flags, each pixel the flags of the
    nearest source pixel, so that no combination is invented. `angle`: degrees, anticlockwise, about the centre.
    `shift_x`, `shift_y`: to the right and down, as shares of width and height. `scale` > 1 enlarges.
    `displacement`: float64 (2, H, W), how many pixels to the right and down an output pixel looks. Beyond the edge
    film and mask continue with their edge pixels.
    """
    height, width = image.shape
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    x = np.arange(float(width))[None, :] - centre_x - shift_x * width
    y = np.arange(float(height))[:, None] - centre_y - shift_y * height
    turn = angle * (np.pi / 180.0)
    cos, sin = exact.cos(turn) / scale, exact.sin(turn) / scale
    source_x, source_y = cos * x - sin * y + centre_x, sin * x + cos * y + centre_y
    if displacement is not None:
        source_x, source_y = source_x + displacement[0], source_y + displacement[1]
    film = np.rint(between(image, source_x, source_y)).astype(np.uint8)
    if mask is None:
        return film, None
    nearest_x = np.clip(np.rint(source_x), 0, width - 1).astype(np.intp)
    nearest_y = np.clip(np.rint(source_y), 0, height - 1).astype(np.intp)
    return film, mask[nearest_y, nearest_x]


def between(plane: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Values of a plane (H, W) at places (x to the right, y down, pixel centres at whole numbers), float64 of their shape:
    linear between pixels; beyond the edge it continues with its edge pixels."""
    height, width = plane.shape
    x, y = np.clip(x, 0.0, width - 1.0), np.clip(y, 0.0, height - 1.0)
    left = np.minimum(x.astype(np.intp), max(width - 2, 0))
    top = np.minimum(y.astype(np.intp), max(height - 2, 0))
    right_share, lower_share = x - left, y - top
    values, first = plane.reshape(-1).astype(np.float64), top * width + left
    step, line = min(1, width - 1), width * min(1, height - 1)
    upper = values.take(first)
    upper += (values.take(first + step) - upper) * right_share
    lower = values.take(first + line)
    lower += (values.take(first + line + step) - lower) * right_share
    return upper + (lower - upper) * lower_share


def elastic_field(side: int, *, amplitude: float, smoothness: float, rng: Draw) -> np.ndarray:
    """A smooth random displacement, float64 (2, side, side), for `warp`.

    Uniform noise under a Gaussian of standard deviation `smoothness` pixels, scaled to a root mean square of
    `amplitude` pixels in each direction (Simard et al. 2003).
    """
    field = np.stack([exact.smooth(rng.uniform_noise(side, side), smoothness) for _ in range(2)])
    squares = exact.total((field * field).reshape(2, -1), axis=1) / float(side * side)
    return field * (amplitude / np.maximum(np.sqrt(squares), 1e-12))[:, None, None]


def paper_augmentation(dataset: Dataset, copies: int = 5, *, seed: int) -> Dataset:
    """Every film followed by `copies` augmented ones: N films become N x (1 + copies), 124 become 744.

    A copy is turned by up to 2 degrees, shifted by up to 3 % (horizontally, vertically or both, drawn), and its
    film, not its mask, gets Gaussian noise. The draws depend on `seed` and the id alone, so a film has the same
    copies in every set. Ids are `<id>-a0` (the original) to `<id>-a5`; `source_ids` holds the original's id; boxes
    are left out.
    """
    order = np.repeat(np.arange(len(dataset)), copies + 1)
    ids, shape = dataset.ids, dataset.images.shape[1:]
    images, masks = Gathered(shape), None if dataset.masks is None else Gathered(shape)
    for row, name in enumerate(ids):
        film, mask = dataset.images[row], None if dataset.masks is None else dataset.masks[row]
        draws = [Draw(derive_seed("paper augmentation", seed, name, copy)) for copy in range(1, copies + 1)]
        made = [(film, mask), *(_paper_copy(film, mask, rng) for rng in draws)]
        images.add(np.stack([one for one, _ in made]))
        if masks is not None:
            masks.add(np.stack([one for _, one in made if one is not None]))
    cases = dataset.cases.iloc[order].reset_index(drop=True)
    cases["id"] = [f"{ids[original]}-a{row % (copies + 1)}" for row, original in enumerate(order)]
    cases["source_ids"] = [[ids[original]] for original in order]
    info = dataset.info.changed(name=f"{dataset.info.name}, augmented x{copies + 1}")
    return Dataset(info=info, images=images.array(), cases=cases, masks=None if masks is None else masks.array())


def _paper_copy(image: np.ndarray, mask: np.ndarray | None, rng: Draw) -> tuple[np.ndarray, np.ndarray | None]:
    """One augmented copy of a film and its mask."""
    direction = rng.choice(["horizontal", "vertical", "combined"])
    shift_x, shift_y = rng.uniform(-MAX_SHIFT, MAX_SHIFT), rng.uniform(-MAX_SHIFT, MAX_SHIFT)
    film, warped = warp(
        image,
        mask,
        angle=rng.uniform(-MAX_ANGLE, MAX_ANGLE),
        shift_x=0.0 if direction == "vertical" else shift_x,
        shift_y=0.0 if direction == "horizontal" else shift_y,
    )
    noise = rng.noise(*film.shape) * math.sqrt(rng.uniform(*NOISE_VARIANCE))
    return np.clip(np.rint(film + noise), 0, 255).astype(np.uint8), warped
