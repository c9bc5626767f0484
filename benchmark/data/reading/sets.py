"""Reading all films of a set, with their masks, into arrays of one size: importers and folders of pictures alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...progress import Progress
from ..importers.sources import decode_all
from ..remarks import Remark, gathered
from .films import Film, Square, enlarged_films
from .grey import fitting
from .masks import MaskReader


@dataclass(frozen=True)
class FittedFilm:
    """A film in its square, uint8 (R, R), its masks as bit flags, the square, the spacing and view that the file names."""

    image: np.ndarray
    masks: np.ndarray | None
    square: Square
    spacing_mm: float | None
    remarks: tuple[Remark, ...]
    frontal: bool | None = None
    turned: bool = False
    stored: tuple[float, float] | None = None


@dataclass(frozen=True)
class Films:
    """images: uint8 (N, R, R). masks: bit flags of the same shape, or None. squares, spacings, frontal, turned, stored: of
    each film. remarks: of all.
    """

    images: np.ndarray
    masks: np.ndarray | None
    squares: list[Square]
    spacings: list[float | None]
    remarks: list[Remark]
    frontal: list[bool | None] = field(default_factory=list)
    turned: list[bool] = field(default_factory=list)
    stored: list[tuple[float, float] | None] = field(default_factory=list)

    def select(self, rows: Sequence[int]) -> Films:
        """The films of these numbers, with the remarks of all."""
        masks = None if self.masks is None else self.masks[list(rows)]
        squares, spacings = [self.squares[row] for row in rows], [self.spacings[row] for row in rows]
        frontal, turned = [self.frontal[row] for row in rows], [self.turned[row] for row in rows]
        stored = [self.stored[row] for row in rows]
        return Films(self.images[list(rows)], masks, squares, spacings, self.remarks, frontal, turned, stored)

    def said(self, files: Sequence[Path | str]) -> tuple[str, ...]:
        """What was noticed, a line each: of the files, and of their sizes."""
        return (*gathered(self.remarks), *size_lines(self.squares, files))


def fitted_film(film: Film, number: int, masks: MaskReader | None, resolution: int) -> FittedFilm:
    """A film that was read, and its masks, padded with black to a square and scaled to `resolution`."""
    height, width = film.pixels.shape
    square, bits, remarks = Square(height, width, resolution), None, film.remarks
    if masks is not None:
        flags, noticed = masks.read(number, (height, width))
        bits, remarks = square.masks(flags, len(masks.organs)), (*remarks, *noticed)
    image, spacing = square.film(film.pixels), film.spacing_mm
    return FittedFilm(image, bits, square, spacing, remarks, film.frontal, film.turned, film.stored)


def read_films(
    decode: Callable[[int], FittedFilm], count: int, resolution: int, progress: Progress, *, with_masks: bool
) -> Films:
    """The films of the numbers 0 to `count` - 1, decoded by several threads, taken in order."""
    images = np.empty((count, resolution, resolution), dtype=np.uint8)
    masks = np.empty_like(images) if with_masks else None
    films = Films(images, masks, [], [], [])
    for row, film in enumerate(decode_all(range(count), decode, progress, "films")):
        images[row] = film.image
        if masks is not None and film.masks is not None:
            masks[row] = film.masks
        films.squares.append(film.square)
        films.spacings.append(film.spacing_mm)
        films.remarks.extend(film.remarks)
        films.frontal.append(film.frontal)
        films.turned.append(film.turned)
        films.stored.append(film.stored)
    return films


def refuse_dark_depths(films: Films, files: Sequence[Path | str], way: Callable[[float], str]) -> None:
    """InputError where films of more than 8 bits, all of them dark as stored, lie among films of 8 bits: the one set has
    two depths, and the deep films would be nearly black. way: what to do, by the value that is white in them."""
    depths = [(row, *stored) for row, stored in enumerate(films.stored) if stored is not None]
    deep = [(row, highest, white) for row, highest, white in depths if white > 255]
    if not deep or len(deep) == len(depths) or any(2 * highest >= white for _, highest, white in deep):
        return
    most = max(highest for _, highest, _ in deep)
    count = f"{len(deep)} of {len(films.stored)} films {'has' if len(deep) == 1 else 'have'}"
    raise InputError(
        f"{count} 16 bits and no value above {most:g} ({files[deep[0][0]]}), others 8 bits: as stored the former would be "
        f"nearly black beside these; {way(fitting(most, deep[0][2]))}"
    )


def size_lines(squares: Sequence[Square], files: Sequence[Path | str]) -> tuple[str, ...]:
    """What is to be said of the sizes of films: how they differ, which are smaller than the set, which are not square."""
    lines = []
    order = sorted(range(len(squares)), key=lambda row: (squares[row].side, squares[row].height * squares[row].width))
    small, large = squares[order[0]], squares[order[-1]]
    if (small.height, small.width) != (large.height, large.width):
        lines.append(f"films of {_size(small)} to {_size(large)} pixels")
    lines += enlarged_films(zip(map(Path, files), squares, strict=True))
    oblong = [row for row, square in enumerate(squares) if square.height != square.width]
    if oblong:
        first = f"{'' if len(oblong) == 1 else 'the first: '}{Path(files[oblong[0]]).name}"
        lines.append(f"{_films(len(oblong))} not square, padded with black to a square ({first})")
    return tuple(lines)


def _size(square: Square) -> str:
    return f"{square.width} x {square.height}"


def _films(count: int) -> str:
    return f"{count} film{'' if count == 1 else 's'} {'is' if count == 1 else 'are'}"
