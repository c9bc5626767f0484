"""Which films a study shows: the same number of every source and class, each at most once, all at one size.

A film is cut at its edges, where burned-in marks and borders tell a source (the paper crops "most of the artefacts"), and
shown at the resolution of the coarsest source, so that sharpness tells none.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import digest
from ..data.resize import resize_film
from ..errors import InputError
from .sources import Source


@dataclass(frozen=True)
class Drawn:
    """A film that is shown: row of its source, the class that it stands for, its pixels uint8 (side, side)."""

    source: Source
    row: int
    shown_class: str
    pixels: np.ndarray


def shown_side(sources: Sequence[Source], resolution: int, crop: float) -> int:
    """Pixels of a shown film: what is left of the coarsest source after the crop, at most `resolution`."""
    return min(resolution, *(source.side - 2 * _margin(source.side, crop) for source in sources))


def before_crop(resolution: int, crop: float) -> int:
    """The smallest side of a film of which at least `resolution` pixels are left after the crop."""
    side = resolution
    while side - 2 * _margin(side, crop) < resolution:
        side += 1
    return side


def _margin(side: int, crop: float) -> int:
    return round(crop * side)


def draw_rows(
    sources: Sequence[Source], classes: Sequence[str], per_class: int, *, seed: int, only: bool, allow_fewer: bool
) -> tuple[list[tuple[Source, int, str]], int]:
    """(source, row, class) of every film, and how many of them show a real film that another one shows too.

    Synthetic films come first, and a film whose real source is not in the study yet is preferred: a reader who sees the
    same lungs twice knows that one of them is made. `only`: films with exactly one finding. InputError where a source has
    too few, unless `allow_fewer`.
    """
    drawn: list[tuple[Source, int, str]] = []
    short: list[str] = []
    seen: set[str] = set()
    repeats = 0
    for source in sorted(sources, key=lambda one: bool(one.kind == "real")):
        free = source.alone.copy() if only else np.ones(len(source.ids), dtype=bool)
        none = np.zeros(len(free), dtype=bool)
        for shown_class in sorted(classes, key=lambda one: int((free & source.shows.get(one, none)).sum())):
            rows = np.flatnonzero(free & source.shows.get(shown_class, none))
            if len(rows) < per_class:
                short.append(f"{source.name} has {len(rows)} of {shown_class}")
            rng = np.random.default_rng(digest.derive_seed("reader_study", seed, source.name, shown_class))
            waiting = [int(row) for row in rng.permutation(rows)]
            for _ in range(min(per_class, len(waiting))):
                row = next((one for one in waiting if not source.origins[one] & seen), waiting[0])
                waiting.remove(row)
                free[row] = False
                repeats += bool(source.origins[row] & seen)
                seen |= source.origins[row]
                drawn.append((source, row, shown_class))
    if short and not allow_fewer:
        exactly = " with that finding alone" if only else ""
        raise InputError(
            f"too few films{exactly} for {per_class} a class: {', '.join(short)}; lower --per-class, give --allow-fewer, "
            "or make more films"
        )
    if not drawn:
        raise InputError(f"no film of any source shows {', '.join(classes)}; choose other --classes")
    return drawn, repeats


def prepare(source: Source, row: int, shown_class: str, *, side: int, crop: float) -> Drawn:
    """A film as it is shown."""
    film = source.read(row)
    margin = _margin(film.shape[0], crop)
    inner = film[margin : film.shape[0] - margin, margin : film.shape[1] - margin]
    return Drawn(source, row, shown_class, resize_film(inner, side))


def plain_png(pixels: np.ndarray) -> bytes:
    """A PNG of the pixels and nothing else: header, data, end; no text, time or profile."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
