"""Phantom sets as Datasets, drawn once per resolution and kept on disk, where processes memory-map them; and the
JSRT-like one.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ... import digest
from ...errors import InputError
from ...home import home
from ...progress import Progress
from .. import splits
from ..dataset import Dataset, DatasetInfo, load_dataset
from .cohort import salt_in_use, use_salt
from .jsrt_like import ORGANS, jsrt_like, jsrt_like_ids
from .versions import VERSION

NAME = "phantom"
FILM_MM = 0.175 * 2048  # side of a JSRT film
PROVENANCE = "procedural phantom: not comparable with published numbers"


def phantom_dataset(resolution: int, progress: Progress | None = None) -> Dataset:
    """The 247 phantom films at `resolution` pixels with five organs, the official split and the three folds.

    Kept as `kept` says, so drawn anew when the code that draws it changes.
    """
    return kept(NAME, resolution, _code_digest(), lambda: _draw(resolution, progress or Progress()))


def kept(name: str, resolution: int, code: str, draw: Callable[[], Dataset]) -> Dataset:
    """A set under `home()/datasets`, in a folder named after the digest of the code that draws it.

    Drawn anew when that code changes, or when the files are not what their digests say. One of a salt is kept by whoever
    asked for it.
    """
    if salt_in_use():
        return draw()
    folder = home() / "datasets" / f"{name}-{resolution}-{code[:12]}"
    if folder.is_dir():
        try:
            return load_dataset(folder, verify=True)
        except InputError:  # damaged: its content is known, so it is drawn again
            _discard(folder)
    return draw().save(folder)


def _draw(resolution: int, progress: Progress) -> Dataset:
    drawn = count(1)
    total = len(jsrt_like_ids())
    ids, images, masks = jsrt_like(
        resolution, lambda _: progress.update((film := next(drawn)) / total, f"phantom films {film}/{total}")
    )
    info = DatasetInfo(
        name=NAME,
        version=VERSION,
        resolution=resolution,
        organs=tuple(ORGANS),
        pixel_mm=FILM_MM / resolution,
        provenance=PROVENANCE,
    )
    return Dataset(
        info=info,
        images=np.asarray(images),
        masks=np.asarray(masks),
        cases=pd.DataFrame(splits.scr_columns(ids)),
    )


@dataclass(frozen=True)
class DrawnFilm:
    """One film: image and masks uint8 (H, W), and its boxes as (finding, x, y, w, h) in pixels."""

    image: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    boxes: tuple[tuple[str, float, float, float, float], ...] = ()


DrawFilm = Callable[[str, int], DrawnFilm]
"""Draws the film of an id at a resolution. A function of a module, so that other processes can be told of it."""

_CHUNK = 64  # films a message
_SERIAL = 600  # so few films are drawn before other processes have started


def draw_films(
    ids: Sequence[str], draw: DrawFilm, resolution: int, progress: Progress
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], pd.DataFrame]:
    """Draw films on all cores: images and masks, both uint8 (N, H, W), and the table of their boxes."""
    if salt := salt_in_use():
        draw = partial(_salted, salt, draw)
    images = np.empty((len(ids), resolution, resolution), np.uint8)
    masks = np.empty_like(images)
    boxes: list[tuple[object, ...]] = []
    done = 0
    for films in _all_chunks([ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK)], draw, resolution):
        for film in films:
            images[done], masks[done] = film.image, film.masks
            boxes += [(ids[done], *box) for box in film.boxes]
            done += 1
        progress.update(done / len(ids), f"phantom films {done}/{len(ids)}")
    return images, masks, pd.DataFrame(boxes, columns=["id", "finding", "x", "y", "w", "h"])


def _all_chunks(chunks: list[Sequence[str]], draw: DrawFilm, resolution: int) -> Iterator[list[DrawnFilm]]:
    work = sum(map(len, chunks)) * (resolution / 64.0) ** 1.5
    cores = _cores()
    if work <= _SERIAL or cores == 1:
        for chunk in chunks:
            yield _draw_chunk(chunk, draw, resolution)
        return
    import joblib

    jobs = min(cores, len(chunks))
    parallel = joblib.Parallel(n_jobs=jobs, backend="loky", return_as="generator", pre_dispatch="3*n_jobs")
    yield from parallel(joblib.delayed(_draw_chunk)(chunk, draw, resolution) for chunk in chunks)


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _salted(salt: str, draw: DrawFilm, name: str, resolution: int) -> DrawnFilm:
    """A film of a salt, in whatever process it is drawn."""
    use_salt(salt)
    return draw(name, resolution)


def _draw_chunk(ids: Sequence[str], draw: DrawFilm, resolution: int) -> list[DrawnFilm]:
    return [draw(name, resolution) for name in ids]


def _code_digest() -> str:
    """Of everything that can change a pixel: this code. The libraries cannot (`exact`)."""
    return code_digest(Path(__file__))


def code_digest(source: Path) -> str:
    """Of everything that can change a pixel: a module with all it imports."""
    return digest.of_code(source)


def _discard(folder: Path) -> None:
    """Out of the way in one step, so that no process opens half of it."""
    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        folder.rename(aside)
    except FileNotFoundError:  # another process was faster
        return
    shutil.rmtree(aside, ignore_errors=True)
