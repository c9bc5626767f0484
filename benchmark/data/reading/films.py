"""Reading one film or mask file of any format and depth, and fitting it into a square. Whoever reads films reads them here.

Pictures by Pillow (`rasters`); DICOM by pydicom (`dicom`, extra `dicom`). The content of a file decides, not its name.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import InputError
from ..remarks import Remark
from ..resize import resample, resize_masks
from .dicom import dicom_size, is_dicom, may_be_dicom, read_dicom
from .grey import COLOURED, luminance, oblong_pixels, unused_range, white_too_low
from .grey import Film as Film
from .quiet import one_line, quiet
from .rasters import BEGINNINGS, Raster, UnknownFormat, formats, open_raster, read_bytes

_NAMES = "png jpg jpeg jpe jp2 j2k jpx tif tiff bmp gif webp avif pgm ppm pnm pbm dcm dicom"
FILM_SUFFIXES = frozenset(f".{name}" for name in _NAMES.split())
"""What films are usually called; `is_film` looks into a file of another name."""

_MAX_8_BIT = 255.0  # of films of several depths a white above it is that of the others
_MAX_16_BIT = 65535
_MAX_12_BIT = 4095
_HAIR = 0.01  # floats this far outside of their range are clipped there: rounding and resampling leave such


def read_film(path: Path, white: float | None = None, data: bytes | None = None) -> Film:
    """A film as grey, upright. Colours become luminance (ITU-R BT.601); alpha is dropped, and said where it shows.

    data: the file's content, where it is not in a file of its own; `path` then names it. white: the greatest stored value
    that there can be, where the file does not say: by default 255 (and no more in a file of 8 bits), 65535 for files of 16
    bits, 1 for floats, for DICOM that of its stored bits (a DICOM film with a window is shown by its window). InputError
    where the file is absent, damaged, empty, no film, more than one, or holds NaN.
    """
    data = read_bytes(path) if data is None else data
    if is_dicom(data):
        return read_dicom(path, data, white)
    try:
        raster = open_raster(path, data)
    except UnknownFormat:
        if may_be_dicom(path, data):
            return read_dicom(path, data, white)
        raise
    return _film_of(raster, white)


def film_size(path: Path) -> tuple[int, int]:
    """Height and width of a film, from its header alone (of a film on its side, as stored). InputError as `read_film`."""
    from PIL import Image

    data = read_bytes(path)
    if is_dicom(data):
        return dicom_size(path, data)
    quiet()
    try:
        with Image.open(io.BytesIO(data), formats=formats()) as image:
            return image.height, image.width
    except Exception as error:  # a decoder may raise anything for a damaged file
        if may_be_dicom(path, data):
            return dicom_size(path, data)
        raise InputError(f"{path} cannot be read as an image ({one_line(error)})") from None


def is_film(path: Path) -> bool:
    """Whether a file is, or claims to be, a film: by its name or by its first bytes. Hidden files are none."""
    if path.name.startswith(".") or not path.is_file():
        return False
    if path.suffix.lower() in FILM_SUFFIXES:
        return True
    with path.open("rb") as file:
        head = file.read(4096)
    return is_dicom(head) or head.startswith(tuple(BEGINNINGS))


def _film_of(raster: Raster, white: float | None) -> Film:
    where = str(raster.path)
    remarks = list(raster.remarks)
    if raster.seen_through():
        remarks.append(Remark("with transparent parts: alpha dropped, the colours below it taken", where))
    ratio = raster.oblong()
    if ratio is not None:
        remarks.append(Remark(oblong_pixels(ratio, "by the file's density"), where))
    values, top = _stored(raster, white)
    if raster.coloured():
        remarks.append(Remark(COLOURED, where))
    if values.dtype.kind == "f":
        values, said = _inside(values, top, raster.path)
        remarks += [Remark(said, where)] if said else []
    lowest, highest = float(values.min()), float(values.max())
    if lowest < 0 or highest > top:
        raise InputError(
            f"{where} has values {lowest:g} to {highest:g}, expected 0 to {top:g}; "
            + ("films have no values below 0" if lowest < 0 else white_too_low(highest, white))
        )
    unused = unused_range(lowest, highest, 0, top)
    if unused:
        remarks.append(Remark(unused, where))
    pixels = np.divide(values, np.float32(top), dtype=np.float32)
    if raster.white_is_zero:
        pixels = 1 - pixels
    stored = None if values.dtype.kind == "f" else (highest, top)
    return Film(pixels, remarks=tuple(remarks), turned=raster.turned != 1, stored=stored)


def _stored(raster: Raster, white: float | None) -> tuple[np.ndarray, float]:
    """Grey (H, W) as stored, uint8, uint16, int32 or float32, and the value that is white."""
    image = raster.image
    if image.mode == "F":
        return np.asarray(image, dtype=np.float32), white or 1.0
    if image.mode.startswith("I"):
        return raster.whole(), white or float(_MAX_12_BIT if raster.bits == 12 else _MAX_16_BIT)
    if raster.deep_colour:
        return luminance(raster.colours()), white or float(_MAX_16_BIT)
    try:
        if image.mode not in ("L", "1", "LA", "RGB", "RGBA"):
            image = image.convert("LA" if image.mode == "La" else "RGB")
        return np.asarray(image if image.mode == "L" else image.convert("L")), min(white or _MAX_8_BIT, _MAX_8_BIT)
    except Exception as error:
        raise InputError(f"{raster.path} cannot be read as grey ({image.mode}: {one_line(error)})") from None


def _inside(values: np.ndarray, top: float, path: Path) -> tuple[np.ndarray, str | None]:
    """Floats cut to 0 to top where they are a hair outside, and what to say of that."""
    if not np.isfinite(values).all():
        raise InputError(f"{path} holds NaN or infinite values")
    lowest, highest = float(values.min()), float(values.max())
    if -top * (1 + _HAIR) <= lowest < -top * _HAIR and highest <= top * (1 + _HAIR):
        raise InputError(
            f"{path} has values {lowest:g} to {highest:g}, expected 0 to {top:g}: films from -1 to 1? Write (x + 1) / 2"
        )
    if (lowest < 0 or highest > top) and lowest >= -top * _HAIR and highest <= top * (1 + _HAIR):
        return np.clip(values, 0, top), f"with values a hair outside of 0 to {top:g}, which were cut there"
    return values, None


@dataclass(frozen=True)
class Square:
    """How a film of height x width is padded with black to a square, centred, and scaled to `resolution`."""

    height: int
    width: int
    resolution: int

    @property
    def side(self) -> int:
        """Side of the square in pixels of the original."""
        return max(self.height, self.width)

    @property
    def enlarged(self) -> bool:
        """Whether the film has fewer pixels a side than it is brought to."""
        return self.side < self.resolution

    @property
    def offset(self) -> tuple[int, int]:
        """Rows above and columns left of the film."""
        return (self.side - self.height) // 2, (self.side - self.width) // 2

    def film(self, pixels: np.ndarray) -> np.ndarray:
        """float32 (H, W) in [0, 1] to uint8 (resolution, resolution)."""
        whole = np.rint(np.clip(self._padded(pixels), 0, 1) * _MAX_16_BIT).astype(np.uint16)
        return np.rint(resample(whole, self.resolution) / (_MAX_16_BIT / 255)).astype(np.uint8)

    def masks(self, bits: np.ndarray, organs: int) -> np.ndarray:
        """Bit flags uint8 (H, W) to uint8 (resolution, resolution)."""
        return resize_masks(self._padded(bits)[None], self.resolution, organs)[0]

    def box(self, x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
        """A box in pixels of the original to pixels of the square."""
        scale = self.resolution / self.side
        top, left = self.offset
        return ((x + left) * scale, (y + top) * scale, w * scale, h * scale)

    def clipped(self, x: float, y: float, w: float, h: float, slack: float) -> tuple[float, float, float, float] | None:
        """A box in pixels of the original, cut at the film's edges, which it may pass by `slack` pixels (rounding); None
        where it passes them further or has no area.
        """
        right, bottom = x + w, y + h
        if not (
            w > 0 and h > 0 and min(x, y) >= -slack and right <= self.width + slack and bottom <= self.height + slack
        ):
            return None
        if x >= 0 and y >= 0 and right <= self.width and bottom <= self.height:
            return x, y, w, h
        left, top = max(x, 0.0), max(y, 0.0)
        return left, top, min(right, self.width) - left, min(bottom, self.height) - top

    def _padded(self, array: np.ndarray) -> np.ndarray:
        if self.height == self.width:
            return array
        top, left = self.offset
        square = np.zeros((self.side, self.side), dtype=array.dtype)
        square[top : top + self.height, left : left + self.width] = array
        return square


def enlarged_films(fitted: Iterable[tuple[Path, Square]]) -> tuple[str, ...]:
    """A line on the films that are smaller than what they are brought to, if any: how many, and the smallest."""
    small = [(square.side, path, square) for path, square in fitted if square.enlarged]
    if not small:
        return ()
    _, path, least = min(small, key=lambda one: one[0])
    films = "1 film is" if len(small) == 1 else f"{len(small)} films are"
    size = f"{least.width} x {least.height}"
    found = f"it is {size}" if len(small) == 1 else f"the smallest {size}"
    return (f"{films} smaller than {least.resolution} pixels and enlarged, {found}: {path}",)
