"""Seeded geometric augmentation of films together with their masks (OpenCV and numpy).

`paper_augmentation` is the one of the multi-stage paper (Ciano et al. 2021, section 3: small rotations, translations
and Gaussian noise, applied before everything else); `elastic_field` is Simard et al. 2003 (random displacements,
smoothed). Films are never mirrored: left and right lung would change sides.
"""

from __future__ import annotations

import cv2
import numpy as np

from .dataset import Dataset
from .digest import derive_seed

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
    `displacement`: float32 (2, H, W), how many pixels to the right and down an output pixel looks. Beyond the edge
    film and mask continue with their edge pixels.
    """
    height, width = image.shape
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    x = columns - centre_x - shift_x * width
    y = rows - centre_y - shift_y * height
    turn = np.deg2rad(angle)
    cos, sin = np.cos(turn) / scale, np.sin(turn) / scale
    source_x = (cos * x - sin * y + centre_x).astype(np.float32)
    source_y = (sin * x + cos * y + centre_y).astype(np.float32)
    if displacement is not None:
        source_x, source_y = source_x + displacement[0], source_y + displacement[1]
    film = cv2.remap(image, source_x, source_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if mask is None:
        return film, None
    nearest_x = np.clip(np.rint(source_x), 0, width - 1).astype(np.intp)
    nearest_y = np.clip(np.rint(source_y), 0, height - 1).astype(np.intp)
    return film, mask[nearest_y, nearest_x]


def elastic_field(side: int, *, amplitude: float, smoothness: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth random displacement, float32 (2, side, side), for `warp`.

    Uniform noise under a Gaussian of standard deviation `smoothness` pixels, scaled to a root mean square of
    `amplitude` pixels in each direction (Simard et al. 2003).
    """
    noise = rng.uniform(-1, 1, size=(2, side, side)).astype(np.float32)
    field = np.stack([cv2.GaussianBlur(plane, (0, 0), smoothness, borderType=cv2.BORDER_REFLECT) for plane in noise])
    spread = np.sqrt(np.mean(field**2, axis=(1, 2), keepdims=True))
    return (field * (amplitude / np.maximum(spread, 1e-12))).astype(np.float32)


def paper_augmentation(dataset: Dataset, copies: int = 5, *, seed: int) -> Dataset:
    """Every film followed by `copies` augmented ones: N films become N x (1 + copies), 124 become 744.

    A copy is turned by up to 2 degrees, shifted by up to 3 % (horizontally, vertically or both, drawn), and its
    film, not its mask, gets Gaussian noise. The draws depend on `seed` and the id alone, so a film has the same
    copies in every set. Ids are `<id>-a0` (the original) to `<id>-a5`; `source_ids` holds the original's id; boxes
    are left out.
    """
    order = np.repeat(np.arange(len(dataset)), copies + 1)
    images = np.array(dataset.images[order])
    masks = None if dataset.masks is None else np.array(dataset.masks[order])
    ids = dataset.ids
    for row, original in enumerate(order):
        copy = row % (copies + 1)
        if copy == 0:
            continue
        rng = np.random.default_rng(derive_seed("paper augmentation", seed, ids[original], copy))
        film, mask = _paper_copy(images[row], None if masks is None else masks[row], rng)
        images[row] = film
        if masks is not None and mask is not None:
            masks[row] = mask
    cases = dataset.cases.iloc[order].reset_index(drop=True)
    cases["id"] = [f"{ids[original]}-a{row % (copies + 1)}" for row, original in enumerate(order)]
    cases["source_ids"] = [[ids[original]] for original in order]
    info = dataset.info.model_copy(
        update={"name": f"{dataset.info.name}, augmented x{copies + 1}", "digest": "", "files": {}}
    )
    return Dataset(info=info, images=images, cases=cases, masks=masks)


def _paper_copy(
    image: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    """One augmented copy of a film and its mask."""
    direction = rng.choice(["horizontal", "vertical", "combined"])
    shift_x, shift_y = rng.uniform(-MAX_SHIFT, MAX_SHIFT, size=2)
    film, warped = warp(
        image,
        mask,
        angle=rng.uniform(-MAX_ANGLE, MAX_ANGLE),
        shift_x=0.0 if direction == "vertical" else shift_x,
        shift_y=0.0 if direction == "horizontal" else shift_y,
    )
    noise = rng.normal(0.0, np.sqrt(rng.uniform(*NOISE_VARIANCE)), size=film.shape)
    return np.clip(np.rint(film + noise), 0, 255).astype(np.uint8), warped
