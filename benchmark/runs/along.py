"""Samples along a fit, as they lie beside a fitted provider: of one training, or of several by their names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ProviderError

if TYPE_CHECKING:
    from ..contracts.provider import Timelines

FILE = "timeline.npz"
"""`steps` int64 (K,) and `films` uint8 (K, S, H, W); of several trainings `steps.NAME` and `films.NAME` of each."""


def by_name(provider: str, found: Timelines) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Steps int64 (K,) and films by the name of the training, "" where there is one alone. ProviderError says what is wrong
    with what `timeline()` gave."""
    if found is None:
        return {}
    several = found if isinstance(found, Mapping) else {"": found}
    return {str(name): _checked(provider, *samples) for name, samples in several.items()}


def _checked(provider: str, steps: object, films: object) -> tuple[np.ndarray, np.ndarray]:
    done, pictures = np.asarray(steps, dtype=np.int64), np.asarray(films)
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or len(pictures) != len(done):
        raise ProviderError(
            f"provider {provider}: timeline() gave pictures {pictures.dtype} {pictures.shape} for {len(done)} steps, "
            "expected uint8 (steps, samples, H, W)"
        )
    return done, pictures


def keep(samples: Mapping[str, tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    """Write the samples; no file where there are none."""
    arrays: dict[str, np.ndarray] = {}
    for name, (steps, films) in samples.items():
        arrays |= {_key("steps", name): steps, _key("films", name): films}
    if arrays:
        with path.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)


def read(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The samples of a file that `keep` wrote, by the name of the training; none where there is no file."""
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as kept:
        names = [key.removeprefix("steps").removeprefix(".") for key in kept.files if key.startswith("steps")]
        return {name: (kept[_key("steps", name)], kept[_key("films", name)]) for name in names}


def _key(what: str, name: str) -> str:
    return f"{what}.{name}" if name else what
