"""247 phantom cases with the ids, counts and folds of JSRT/SCR: 154 with one nodule, 93 without.

Ids keep JSRT's numbers but not its names (`PHLN001` for `JPCLN001`, `PHNN001` for `JPCNN001`), so that a
phantom case is never taken for a real one; odd numbers are SCR's training fold (124), even ones its test
fold (123). A case depends on its id alone, and the person does not depend on the resolution.
Sources: Shiraishi et al., AJR 2000 (JSRT); van Ginneken et al., Medical Image Analysis 2006 (SCR).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ... import exact
from ...draws import Draw
from ...errors import InputError
from ..splits import PHANTOM_IDS
from . import outlines
from .anatomy import Anatomy, draw_anatomy
from .depths import Layer, Opacity
from .developing import draw_exposure
from .film import ORGANS, render

__all__ = ["ORGANS", "jsrt_like", "jsrt_like_case", "jsrt_like_ids"]


def jsrt_like_ids() -> list[str]:
    """PHLN001 to PHLN154 (one nodule each), then PHNN001 to PHNN093."""
    return list(PHANTOM_IDS)


_IDS = frozenset(PHANTOM_IDS)


def _in_lung(person: Anatomy, rng: Draw) -> tuple[float, float]:
    """A place inside a lung field and clear of the heart, in chest coordinates."""
    half = outlines.side(person, outlines.RIGHT if rng.random() < 0.55 else outlines.LEFT)
    y = outlines.level(person, rng.uniform(0.16, 0.72))
    inner = person.mediastinum_width + 0.05
    outer = float(half.wall_x(np.array(y))) - 0.03
    return half.sign * (inner + (outer - inner) * rng.uniform(0.05, 1.0)), y


def _nodule(person: Anatomy, rng: Draw) -> Opacity:
    """JSRT's nodules measure 5 to 60 mm (mostly 10 to 25) on a 36 cm film, most of them subtle."""
    x, y = _in_lung(person, rng)
    radius = min(max(0.0125 * exact.exp(rng.normal(0.0, 0.32)), 0.007), 0.035)
    return Opacity(x=x, y=y, radius_x=radius, radius_y=radius * rng.uniform(0.85, 1.18), depth_cm=rng.uniform(0.5, 1.7))


def _haze(person: Anatomy, rng: Draw) -> Opacity:
    """A faint wide opacity, as old infection and overlying tissue leave it."""
    x, y = _in_lung(person, rng)
    return Opacity(
        x=x,
        y=y,
        radius_x=rng.uniform(0.04, 0.11),
        radius_y=rng.uniform(0.04, 0.12),
        depth_cm=rng.uniform(0.8, 4.5),
    )


def shadows_of(case_id: str, person: Anatomy, rng: Draw) -> list[Layer]:
    """The nodule that an id promises, and in every third person a haze."""
    layers: list[Layer] = []
    if case_id.startswith("PHLN"):
        layers.append(_nodule(person, rng))
    if rng.random() < 0.35:
        layers.append(_haze(person, rng))
    return layers


def check_case(case_id: str, resolution: int) -> None:
    """InputError for an unknown id or a resolution below 16."""
    if case_id not in _IDS:
        raise InputError(
            "expected a phantom case id PHLN001..PHLN154 or PHNN001..PHNN093, "
            f"found {case_id!r}: see `cxrbench data list`"
        )
    if resolution < 16:
        raise InputError(
            f"expected a phantom resolution of at least 16 pixels, found {resolution}: choose a larger one"
        )


def jsrt_like_case(case_id: str, resolution: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Film and masks of one case, each uint8 (resolution, resolution); mask bit i is organ i of ORGANS.

    Raises InputError for an unknown id or a resolution below 16.
    """
    check_case(case_id, resolution)
    seed = int.from_bytes(hashlib.sha256(case_id.encode()).digest()[:16], "big")
    rng = Draw(seed)
    person = draw_anatomy(rng)
    exposure = draw_exposure(rng)
    layers = shadows_of(case_id, person, rng)
    noise = Draw(seed, resolution)
    return render(person, resolution, noise, layers, exposure)


def jsrt_like(
    resolution: int, progress: Callable[[str], None] | None = None
) -> tuple[list[str], NDArray[np.uint8], NDArray[np.uint8]]:
    """All 247 cases: ids, images and masks, both uint8 (N, H, W). `progress` hears each finished id."""
    ids = jsrt_like_ids()
    images = np.empty((len(ids), resolution, resolution), np.uint8)
    masks = np.empty_like(images)
    for index, case_id in enumerate(ids):
        images[index], masks[index] = jsrt_like_case(case_id, resolution)
        if progress is not None:
            progress(case_id)
    return ids, images, masks
