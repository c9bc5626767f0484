"""The JSRT-like phantom as a Dataset, drawn once per resolution and kept on disk, where processes
memory-map it.
"""

from __future__ import annotations

import shutil
import uuid
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd

from .. import digest, splits
from ..dataset import Dataset, DatasetInfo, load_dataset
from ..errors import InputError
from ..home import home
from ..progress import Progress
from .jsrt_like import ORGANS, jsrt_like, jsrt_like_ids

NAME = "phantom"
FILM_MM = 0.175 * 2048  # side of a JSRT film


def phantom_dataset(resolution: int, progress: Progress | None = None) -> Dataset:
    """The 247 phantom films at `resolution` pixels with five organs, the official split and the three folds.

    Kept under `home()/datasets`, in a folder named after the digest of the code that draws it: drawn anew
    when that code changes, or when the files are not what their digests say.
    """
    folder = home() / "datasets" / f"{NAME}-{resolution}-{_code_digest()[:12]}"
    if folder.is_dir():
        try:
            return load_dataset(folder, verify=True)
        except InputError:  # damaged: its content is known, so it is drawn again
            _discard(folder)
    return _draw(resolution, progress or Progress()).save(folder)


def _draw(resolution: int, progress: Progress) -> Dataset:
    drawn = count(1)
    total = len(jsrt_like_ids())
    ids, images, masks = jsrt_like(
        resolution, lambda _: progress.update((film := next(drawn)) / total, f"phantom films {film}/{total}")
    )
    info = DatasetInfo(
        name=NAME,
        version=_code_digest()[:12],
        resolution=resolution,
        organs=tuple(ORGANS),
        pixel_mm=FILM_MM / resolution,
        provenance="procedural phantom: not comparable with published numbers",
    )
    return Dataset(
        info=info,
        images=np.asarray(images),
        masks=np.asarray(masks),
        cases=pd.DataFrame(splits.scr_columns(ids)),
    )


def _code_digest() -> str:
    """Of everything that can change a pixel: this code, and the libraries it draws with."""
    return digest.of_json([digest.of_code(Path(__file__)), digest.of_packages()])


def _discard(folder: Path) -> None:
    """Out of the way in one step, so that no process opens half of it."""
    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        folder.rename(aside)
    except FileNotFoundError:  # another process was faster
        return
    shutil.rmtree(aside, ignore_errors=True)
