"""Which defect does which space see? On real films, halves as real and synthetic ones: the table of docs/fidelity.md.

    CXRBENCH_REAL_DATA=.../data python -m tests.benchmarks.bench_defects [--side 64] [--splits 5]

needs the folder `kermany_lungs` of real films. Prints Markdown: the ratio to the floor (median over splits by patient), and
how many of the splits are alarms.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.data.importers.kermany import import_kermany
from cxrbench.benchmark.fidelity.compare import InSpace, compare
from cxrbench.benchmark.fidelity.networks import imagenet_space
from cxrbench.benchmark.fidelity.repeats import repeats
from cxrbench.benchmark.fidelity.spaces import ANATOMY, GREY, TEXTURE, Space, comparable
from cxrbench.benchmark.progress import Progress


def with_pixels(films: Dataset, images: np.ndarray, masks: np.ndarray | None = None) -> Dataset:
    """The same films with other pixels, and other masks where they are given."""
    pixels = np.rint(images.clip(0, 255)).astype(np.uint8)
    return replace(films, images=pixels, masks=films.masks if masks is None else masks)


def blur(films: Dataset, rng: np.random.Generator) -> Dataset:
    """Gaussian blur of 2 pixels at 256, as much at other sizes, at least half a pixel."""
    from scipy import ndimage

    sigma = max(0.5, 2 * films.resolution / 256)
    return with_pixels(films, ndimage.gaussian_filter(np.asarray(films.images, float), (0, sigma, sigma)))


def noise(films: Dataset, rng: np.random.Generator) -> Dataset:
    """Noise of a deviation of 10 grey levels."""
    return with_pixels(films, films.images + rng.normal(0, 10, films.images.shape))


def elastic(films: Dataset, rng: np.random.Generator) -> Dataset:
    """A smooth warp with a deviation of 3 % of the side, another for every film; masks are warped with their films."""
    from scipy import ndimage

    n, side = len(films), films.resolution
    grid = np.indices((side, side))
    images, masks = np.empty((n, side, side)), np.empty((n, side, side), dtype=np.uint8)
    for row in range(n):
        field = ndimage.gaussian_filter(rng.normal(size=(2, side, side)), (0, side / 16, side / 16))
        places = grid + field / field.std() * 0.03 * side
        images[row] = ndimage.map_coordinates(films.images[row].astype(float), places, order=1, mode="nearest")
        masks[row] = ndimage.map_coordinates(films.masks[row], places, order=0, mode="nearest")
    return with_pixels(films, images, masks)


def checkerboard(films: Dataset, rng: np.random.Generator) -> Dataset:
    """Squares of 4 pixels, 4 grey levels brighter and darker."""
    y, x = np.indices((films.resolution,) * 2) // 4
    return with_pixels(films, films.images + np.where((x + y) % 2, 4.0, -4.0))


def gamma(films: Dataset, rng: np.random.Generator) -> Dataset:
    """Grey levels to the power of 1.3."""
    return with_pixels(films, 255 * (films.images / 255.0) ** 1.3)


def flip(films: Dataset, rng: np.random.Generator) -> Dataset:
    """Left and right exchanged, of films and masks."""
    return with_pixels(films, np.asarray(films.images)[:, :, ::-1], np.ascontiguousarray(films.masks[:, :, ::-1]))


def collapse(films: Dataset, rng: np.random.Generator) -> Dataset:
    """Twelve films again and again."""
    rows = rng.permutation(len(films))[:12][np.arange(len(films)) % 12]
    return with_pixels(films, np.asarray(films.images)[rows], np.asarray(films.masks)[rows])


def swapped(films: Dataset, rng: np.random.Generator) -> Dataset:
    """Every film with the masks of another one."""
    return with_pixels(films, np.asarray(films.images), np.roll(np.asarray(films.masks), 1, axis=0))


def none(films: Dataset, rng: np.random.Generator) -> Dataset:
    """Real films as they are."""
    return films


DEFECTS: dict[str, Callable[[Dataset, np.random.Generator], Dataset]] = {
    "none": none,
    "blur, sigma 2 at 256": blur,
    "noise, sd 10": noise,
    "elastic warp": elastic,
    "checkerboard, 4 pixels, ±4": checkerboard,
    "gamma 1.3": gamma,
    "left-right flip": flip,
    "collapse to 12 films": collapse,
    "masks of another film": swapped,
}


def halves(films: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    """Two thirds of the patients as real, one third as synthetic: as many films on every side."""
    patients = films.cases["patient"].astype(str).to_numpy()
    known = np.unique(patients)
    chosen = np.random.default_rng(seed).permutation(known)[: len(known) // 3]
    mine = np.isin(patients, chosen)
    return films.select(~mine), films.select(mine)


def measured(space: Space, real: np.ndarray, films: Dataset) -> InSpace:
    """The numbers of films in a space."""
    return compare(space.name, space.about, *comparable(space, real, space.features(films, Progress())))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--splits", type=int, default=5)
    asked = parser.parse_args()
    films = import_kermany(Path(os.environ["CXRBENCH_REAL_DATA"]) / "kermany_lungs", asked.side)
    spaces = [space for space in (GREY, TEXTURE, ANATOMY, imagenet_space()) if space is not None]
    ratios: dict[tuple[str, str], list[InSpace]] = {}
    again: dict[str, list[float]] = {}
    for seed in range(asked.splits):
        real, others = halves(films, seed)
        known = {space.name: space.features(real, Progress()) for space in spaces}
        for name, defect in DEFECTS.items():
            made = defect(others, np.random.default_rng(seed))
            again.setdefault(name, []).append(repeats(made.images))
            for space in spaces:
                start = time.perf_counter()
                ratios.setdefault((name, space.name), []).append(measured(space, known[space.name], made))
                print(seed, name, space.name, f"{time.perf_counter() - start:.1f} s", file=sys.stderr)
    print(f"| defect | {' | '.join(space.name for space in spaces)} | repeats |")
    print("|---" * (len(spaces) + 2) + "|")
    for name in DEFECTS:
        cells = []
        for space in spaces:
            found = ratios[name, space.name]
            ratio = np.median([one.frechet.ratio for one in found])
            seen = sum(one.frechet.seen for one in found)
            other = sum(bool(one.alarms()) for one in found)
            cells.append(f"{ratio:.2f} ({seen}, {other} of {asked.splits})")
        print(f"| {name} | {' | '.join(cells)} | {np.median(again[name]):.2f} |")


if __name__ == "__main__":
    main()
