"""Reading one film or mask file of any size and depth, and fitting it into a square.

png, jpeg and the other raster formats of Pillow; DICOM by pydicom (extra `dicom`), shown as the standard
says: modality LUT, window (PS3.3 C.11.2.1.2), MONOCHROME1 inverted.
"""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ... import exact
from ...errors import InputError
from ..remarks import Remark
from ..resize import resample, resize_masks

DICOM_SUFFIXES = (".dcm", ".dicom")
_MAX_16_BIT = 65535
_DECODING_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)  # what pydicom and its decoders raise for damaged files


@dataclass(frozen=True)
class Film:
    """pixels: float32 (H, W) in [0, 1], 1 is white. spacing_mm: side of a pixel where the file says it,
    else None. remarks: what was noticed, for `remarks.gathered`.
    """

    pixels: np.ndarray
    spacing_mm: float | None = None
    remarks: tuple[Remark, ...] = ()


def read_film(path: Path, white: float | None = None) -> Film:
    """A film as grey. Colours become luminance (ITU-R BT.601); alpha is dropped.

    white: the stored value that is white; by default 255, or 65535 for 16 bit files. InputError where the
    file is absent, empty, not an image, or holds NaN.
    """
    _check_there(path)
    if path.suffix.lower() in DICOM_SUFFIXES:
        return _read_dicom(path)
    image = _open(path)
    if image.mode == "F":
        values = np.asarray(image, dtype=np.float32)
        if not np.isfinite(values).all():
            raise InputError(f"{path} holds NaN or infinite values")
        top = white or 1.0
    elif image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float32)
        top = white or float(_MAX_16_BIT)
    else:
        colourful = image.mode not in ("L", "1", "LA")
        values = np.asarray((image.convert("RGB") if colourful else image).convert("L"), dtype=np.float32)
        top = white or 255.0
    if values.min() < 0 or values.max() > top:
        raise InputError(f"{path} has values {values.min():g} to {values.max():g}, expected 0 to {top:g}")
    return Film(values / np.float32(top))


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


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes)")


def _open(path: Path) -> Any:
    """The decoded image (a Pillow image)."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
            return image
    except (OSError, EOFError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        reason = str(error).split(str(path))[0].strip(" '\"") or "unknown format"
        raise InputError(f"{path} cannot be read as an image ({reason})") from None


def _read_dicom(path: Path) -> Film:
    try:
        import pydicom
        from pydicom.errors import InvalidDicomError
        from pydicom.pixels import apply_modality_lut, pixel_array
    except ImportError:
        raise InputError(f"{path}: DICOM files need pydicom: pip install 'cxrbench[dicom]'") from None
    try:
        with warnings.catch_warnings():  # values that break the standard in form are read all the same
            warnings.simplefilter("ignore")
            data = pydicom.dcmread(path)
            values = np.asarray(apply_modality_lut(pixel_array(data), data), dtype=np.float32)
    except (InvalidDicomError, *_DECODING_ERRORS) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as DICOM ({reason})") from None
    if values.ndim == 3 and values.shape[-1] == 3:
        values = (values[..., 0] * 299 + values[..., 1] * 587 + values[..., 2] * 114) / np.float32(1000)
    if values.ndim != 2:
        raise InputError(f"{path} has {values.shape[0]} frames; expected one film")
    if not np.isfinite(values).all():
        raise InputError(f"{path} holds NaN or infinite values")
    grey = np.clip(_windowed(values, data), 0, 1).astype(np.float32)
    inverted = data.get("PhotometricInterpretation") == "MONOCHROME1"
    return Film(1 - grey if inverted else grey, _spacing(data))


def _windowed(values: np.ndarray, data: Any) -> np.ndarray:
    """Display values 0 to 1: by VOI LUT, by the first window, else by the range of the stored bits."""
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    if "VOILUTSequence" in data:
        bits = int(data.VOILUTSequence[0].LUTDescriptor[2])
        return np.asarray(apply_voi_lut(values.astype(np.int64), data), dtype=np.float32) / (2**bits - 1)
    if "WindowCenter" in data and "WindowWidth" in data:
        centre, width = (float(np.atleast_1d(data[tag].value)[0]) for tag in ("WindowCenter", "WindowWidth"))
        shape = str(data.get("VOILUTFunction", "LINEAR"))
        if shape == "SIGMOID" and width > 0:
            return 1 / (1 + exact.exp(-4 * (values.astype(np.float64) - centre) / width))
        if shape == "LINEAR_EXACT" and width > 0:
            return (values - centre) / width + 0.5
        if width > 1:
            return (values - (centre - 0.5)) / (width - 1) + 0.5
    bits, signed = int(data.BitsStored), int(data.get("PixelRepresentation", 0)) == 1
    ends = np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1])
    low, high = sorted(float(end) for end in np.asarray(apply_modality_lut(ends, data)))
    return (values - low) / (high - low)


def _spacing(data: Any) -> float | None:
    """Pixel spacing in mm, where given and the same in both directions."""
    for tag in ("PixelSpacing", "ImagerPixelSpacing"):
        spacing = data.get(tag)
        if spacing is not None and len(spacing) == 2:
            row, column = float(spacing[0]), float(spacing[1])
            if row > 0 and abs(row - column) < 1e-3 * row:
                return row
    return None
