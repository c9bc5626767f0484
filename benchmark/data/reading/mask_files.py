"""One mask file as whole numbers, 0 outside: grey, indexed, coloured or transparent, as programs write masks.

What the numbers mean is decided for all files of a set together, by `masks`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ..remarks import Remark
from .rasters import open_raster

STRONG = 128  # a colour channel or an alpha from here on is more on than off
_SOLID = 250  # alpha that was smoothed or compressed goes up to here at least
_FEW = 16  # a picture of more colours has been through jpeg, or was smoothed
_OF_ONE_HUE, _BLURRED = 24, 96  # colours of one hue differ by at most this in a channel, or this where blurred,
_MOST_STRAY = 0.02  # and then so many of their pixels may differ by more
_JPEG = b"\xff\xd8\xff"


class Wanted(Enum):
    """What is asked of a file: LABELS: the numbers of an indexed picture count, where black is the first of its colours.
    SHOWN: what the picture shows, brightness on black. COLOURS: every pixel's colour."""

    LABELS = "labels"
    SHOWN = "shown"
    COLOURS = "colours"


@dataclass(frozen=True)
class MaskFile:
    """values: uint8 or uint16 (H, W), 0 is outside; or, where `coloured`, colours 0xRRGGBB as uint32 (H, W), black is
    outside.
    """

    path: Path
    values: np.ndarray
    coloured: bool = False
    remarks: tuple[Remark, ...] = ()

    @cached_property
    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """The values that occur, ascending, and how many pixels have each."""
        if self.coloured:
            return np.unique(self.values, return_counts=True)
        if two := _two_values(self.values):
            return two
        if self.values.dtype == np.uint8:
            import cv2

            every = (
                cv2.calcHist([np.ascontiguousarray(self.values)], [0], None, [256], [0, 256]).ravel().astype(np.int64)
            )
        else:
            every = np.bincount(self.values.ravel())
        there = np.flatnonzero(every)
        return there, every[there]


@dataclass(frozen=True, eq=False)
class MaskArray:
    """A mask that is no file of its own. path: the file that it is in. values: (H, W), numbers or bool."""

    path: Path
    values: np.ndarray


def _two_values(values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The values that occur and their numbers where there are at most two, as in nearly every mask: no histogram."""
    if not values.size:
        return None
    ends = np.unique([values.min(), values.max()]).astype(np.int64)
    counts = np.array([np.count_nonzero(values == end) for end in ends], dtype=np.int64)
    return (ends, counts) if counts.sum() == values.size else None


def read_mask_file(path: Path | MaskArray, wanted: Wanted) -> MaskFile:
    """A mask's values. InputError where the file is absent, empty, damaged, or holds other than whole numbers that a mask
    can have."""
    if isinstance(path, MaskArray):
        if wanted is Wanted.COLOURS or path.values.dtype.kind not in "buif":
            raise InputError(f"mask {path.path} has no colours: expected labels, bit flags, or an array an organ")
        if not path.values.size:
            raise InputError(f"mask {path.path} has no pixels (its shape is {path.values.shape})")
        return MaskFile(path.path, _whole(path.values, path.path))
    raster = open_raster(path)
    image, remarks = raster.image, raster.remarks
    if wanted is Wanted.LABELS and raster.data.startswith(_JPEG):
        raise InputError(f"mask {path} is a JPEG, which does not keep values of labels and bit flags; save it as PNG")
    if _numbered(image):
        same = _looks_empty(image)
        if same and wanted is Wanted.COLOURS:
            raise InputError(f"mask {path} shows numbers beside 0 in black: say labels:..., not colours:...")
        if same or wanted is Wanted.LABELS:
            said = (
                (Remark("with masks that show numbers beside 0 in black: the numbers taken", str(path)),)
                if same
                else ()
            )
            return MaskFile(path, np.asarray(image), remarks=remarks + said)
    if image.mode in ("1", "L") or image.mode.startswith("I") or image.mode == "F":
        if wanted is not Wanted.COLOURS and "transparency" not in image.info:
            values = raster.labels() if wanted is Wanted.LABELS else raster.whole()
            return MaskFile(path, _whole(values, path), remarks=remarks)
        image = image.convert("L") if image.mode == "1" else image
    colours, alpha = _colours(image, path)
    if wanted is Wanted.COLOURS:
        return MaskFile(path, _packed(_on_black(colours, alpha)), coloured=True, remarks=remarks)
    if alpha is not None:
        opaque = colours[alpha >= STRONG]
        if len(opaque) and (opaque == opaque[0]).all():  # one colour: what is seen is the alpha
            return MaskFile(path, alpha, remarks=remarks)
        colours = _on_black(colours, alpha)
    levels = _one_hue(colours)
    if levels is None:
        return MaskFile(path, _packed(colours), coloured=True, remarks=remarks)
    return MaskFile(path, levels, remarks=remarks)


def colour_words(colours: Counter[int], most: int = 4) -> str:
    """Colours 0xRRGGBB with their numbers of pixels, the commonest first, as "#ff0000, #00ff00"; without black."""
    found = [f"#{value:06x}" for value, _ in colours.most_common() if value]
    return ", ".join(found[:most]) + (", ..." if len(found) > most else "")


def _numbered(image: Any) -> bool:
    """Whether an indexed picture's numbers may be labels: its number 0 is black, as background is."""
    if image.mode != "P" or "transparency" in image.info:
        return False
    palette = _palette(image)
    return not palette[0].any() or not palette.any()


def _palette(image: Any) -> np.ndarray:
    """The colours of an indexed picture, uint8 (K, 3)."""
    return np.array(image.getpalette("RGB") or [0, 0, 0], dtype=np.uint8).reshape(-1, 3)


def _looks_empty(image: Any) -> bool:
    """Whether an indexed picture shows a number beside 0 in black, as padded palettes do. One of many numbers has no labels:
    it counts as it looks."""
    palette = _palette(image)
    used = np.flatnonzero(np.bincount(np.asarray(image).ravel(), minlength=256))
    black = [value for value in used if value and (value >= len(palette) or not palette[value].any())]
    return bool(black) and len(used) <= _FEW


def _whole(values: np.ndarray, path: Path) -> np.ndarray:
    """Whole numbers as stored, uint8 or uint16; of floats from 0 to 1 that are no whole numbers, their part of 65,535."""
    if values.dtype.itemsize == 1 and values.dtype.kind in "bu":
        return values.view(np.uint8)
    if values.dtype.kind == "f":
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 65535:
            raise InputError(f"mask {path} has floats that are not from 0 to 1; save it as whole numbers")
        if (values == np.rint(values)).all():
            return values.astype(np.uint16)
        if values.max() > 1:
            raise InputError(f"mask {path} has floats up to {values.max():g}; save it as whole numbers, or from 0 to 1")
        return np.rint(values * 65535).astype(np.uint16)
    if values.size and (int(values.min()) < 0 or int(values.max()) > 65535):
        raise InputError(f"mask {path} has values {values.min()} to {values.max()}, expected 0 to 65535")
    return values.astype(np.uint16)


def _colours(image: Any, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """uint8 (H, W, 3), and alpha (H, W) where it differs from pixel to pixel, or all is seen through but the colours are
    the same. Alpha of 0 and one other value is 0 and 255. InputError where alpha does not tell inside from outside."""
    deep = image.mode.startswith("I") or image.mode == "F"
    rgba = np.asarray((image.convert("L") if deep else image).convert("RGBA"))
    colours, alpha = rgba[..., :3], rgba[..., 3]
    lowest, highest = int(alpha.min()), int(alpha.max())
    if lowest == highest and (lowest or (colours != colours[0, 0]).any()):
        return colours, None
    if lowest == 0 < highest < 255 and ((alpha == 0) | (alpha == highest)).all():
        return colours, np.where(alpha > 0, np.uint8(255), np.uint8(0))
    if 0 < highest < _SOLID or lowest >= STRONG:
        raise InputError(
            f"mask {path} is seen through in several degrees (alpha {lowest} to {highest}); expected alpha 0 outside and "
            "one value inside"
        )
    return colours, alpha


def _on_black(colours: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    return colours if alpha is None else np.where((alpha >= STRONG)[..., None], colours, np.uint8(0))


def _one_hue(colours: np.ndarray) -> np.ndarray | None:
    """The brightness uint8 (H, W) of greys, or of one colour on black; None where there are several colours."""
    if (colours == colours[..., :1]).all():
        return np.asarray(colours[..., 0])
    top = colours.max(axis=2)
    strong = top >= max(int(top.max()) // 2, 1)
    bright = colours[strong].astype(np.float32) * (np.float32(255) / top[strong][:, None].astype(np.float32))
    few = len(np.unique(_packed(colours))) <= _FEW
    other = np.abs(bright - np.median(bright, axis=0)).max(axis=1) > (_OF_ONE_HUE if few else _BLURRED)
    return top if other.mean() <= (0 if few else _MOST_STRAY) else None


def _packed(colours: np.ndarray) -> np.ndarray:
    wide = colours.astype(np.uint32)
    return (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
