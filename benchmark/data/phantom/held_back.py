"""Phantoms that nobody else can draw: the same people in distribution, counts and splits, but of a secret salt.

Anyone can draw a phantom's truth, and so make predictions of it without any training. On films of a salt that only the
maintainers have, a number can only come from running an entry's code.
"""

from __future__ import annotations

import hashlib
import importlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from ...errors import InputError, unknown
from ...processes import answer, run_apart
from ...schema import Strict
from ..dataset import Dataset, load_dataset
from .cohort import use_salt

LIKE = {
    "phantom_hard": "hard:phantom_hard",
    "phantom_nih": "nih_like:phantom_nih",
    "phantom_boxes": "boxes_like:phantom_boxes",
}
"""The phantoms that can be drawn with a salt, with the function that draws them."""
LEAST = 16
"""Characters of a salt at least: fewer can be guessed."""
HOURS = 6


class Order(Strict):
    """What a process is to draw, and where it goes."""

    like: str
    salt: str = Field(repr=False)
    resolution: int
    folder: Path


def held_back(like: str, salt: str, resolution: int, *, name: str, threads: int = 1) -> Dataset:
    """A phantom like another one at `resolution` pixels, drawn with a salt, under a name of its own; in memory.

    InputError for a phantom that cannot be drawn so, and a salt that can be guessed. ProviderError where drawing fails.
    """
    if like not in LIKE:
        raise unknown("phantom", like, LIKE)
    if len(salt) < LEAST:
        raise InputError(f"a salt of {len(salt)} characters can be guessed: at least {LEAST} (openssl rand -hex 32)")
    with tempfile.TemporaryDirectory(prefix="cxrbench-held-back-") as scratch:
        order = Order(like=like, salt=salt, resolution=resolution, folder=Path(scratch) / "films")
        run_apart(
            __name__, order.model_dump_json() + "\n", threads=threads, time_limit=HOURS * 3600.0, label=f"drawing {name}",
            hint="draw fewer or smaller films",
        )  # fmt: skip
        films = load_dataset(order.folder)
        told = hashlib.sha256(f"held back/{salt}".encode()).hexdigest()[:12]
        provenance = f"{films.info.provenance}; held back: drawn with a salt that only its owners have ({told})"
        info = films.info.changed(name=name, provenance=provenance)
        masks = None if films.masks is None else np.array(films.masks)
        return Dataset(info=info, images=np.array(films.images), cases=films.cases, masks=masks, boxes=films.boxes)


def _draw(line: str) -> dict[str, Any]:
    order = Order.model_validate_json(line)
    use_salt(order.salt)
    module, _, function = LIKE[order.like].partition(":")
    draw = getattr(importlib.import_module(f".{module}", __package__), function)
    draw(order.resolution).save(order.folder)
    return {}


if __name__ == "__main__":
    answer(_draw)
