"""From stored values to a grey film: what readers of all formats share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..remarks import Remark
from .views import FRONTAL

MOST_PIXELS = 2 * 89_478_485
"""A file that claims more is refused before it fills the memory (Pillow's limit)."""

COLOURED = "in colours, made grey by luminance: is it an overlay or a screenshot?"
"""What to say of a film whose channels differ."""

_DEPTHS = (8, 10, 12, 14, 15)  # bits that detectors and programs have, kept in files of more
_TINT = 16  # parts of 255: lossy compression moves the channels of a grey film apart by a few


@dataclass(frozen=True)
class Film:
    """pixels: float32 (H, W) in [0, 1], 1 is white. spacing_mm: side of a pixel where the file says it,
    else None. remarks: what was noticed, for `remarks.gathered`.

    view: as `views.view_of`, where the file says it (DICOM), else None. turned: brought upright as EXIF says. stored: of a
    picture of whole numbers the highest that it holds, and that which is white.
    """

    pixels: np.ndarray
    spacing_mm: float | None = None
    remarks: tuple[Remark, ...] = ()
    view: str | None = None
    turned: bool = False
    stored: tuple[float, float] | None = None

    @property
    def frontal(self) -> bool | None:
        """Whether the film is PA or AP; None where the file does not say."""
        return None if self.view is None else self.view in FRONTAL


def luminance(colours: np.ndarray) -> np.ndarray:
    """Unsigned numbers up to 16 bits (H, W, 3 or more: red, green, blue) to grey (H, W) of the same depth.

    ITU-R BT.601, in Pillow's whole numbers: equal colours keep their value.
    """
    red, green, blue = (colours[..., band].astype(np.uint32) for band in range(3))
    return ((red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16).astype(colours.dtype)


def coloured(colours: np.ndarray, bits: int = 8) -> bool:
    """Whether red, green and blue (H, W, 3 or more; whole numbers of `bits`) differ anywhere by more than compression
    makes of grey: one coloured arrow is an overlay."""
    most, least = colours[..., 0], colours[..., 0]
    for band in (1, 2):
        most, least = np.maximum(most, colours[..., band]), np.minimum(least, colours[..., band])
    return int((most - least).max()) * 255 > _TINT * (2**bits - 1)


def unused_range(lowest: float, highest: float, low: float, top: float) -> str | None:
    """What to say of a film whose stored values leave half of their range (low to top) unused, and the cure; else None."""
    if lowest == highest:
        return "of one grey level all over"
    if low == 0 and highest < top / 2:
        cure = fitting(highest, top)
        if cure < top / 1.5:
            return (
                f"with no value above {_percent(cure / top)} of their stored range, 0 to {top:g}: "
                f"if {cure:g} is the most there can be, import with --white {cure:g}"
            )
        return f"with no value above 50 % of their stored range, 0 to {top:g}, and so dark"
    if low < 0 and highest - lowest < (top - low) / 2:
        return f"with values in less than half of their stored range, {low:g} to {top:g}, and so of little contrast"
    return None


def white_too_low(highest: float, white: float | None) -> str:
    """What to do about a film that is brighter than white. white: as it was said, or None."""
    if white is None:
        return "say which value is white by --white"
    return f"--white {white:g} is too low: it must be the most there can be in any film, {highest:g} or more"


def oblong_pixels(ratio: float, why: str) -> str:
    """What to say of a film whose pixels are `ratio` times as high as wide."""
    higher = ratio > 1
    shape = f"{max(ratio, 1 / ratio):.3g} times as {'high as wide' if higher else 'wide as high'}"
    return f"with pixels that are not square ({shape}, {why}): read as stored, and so out of shape"


def fitting(highest: float, top: float) -> float:
    """The largest value of the least depth that holds `highest`: 4,095 for 12 bits in a file of 16."""
    if top <= 1:
        return round(highest, 3)
    depths = range(1, 8) if top <= 255 else (*_DEPTHS, *range(16, 32))
    return float(next(2**bits - 1 for bits in depths if 2**bits - 1 >= highest))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1g} %"
