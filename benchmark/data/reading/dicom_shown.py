"""From the stored values of a DICOM film to display values (PS3.3 C.11, PS3.4 N.2): padding, modality, window, inversion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import exact
from ...errors import InputError
from .dicom_values import element, loose_numbers, numbers, word
from .grey import COLOURED, coloured, luminance, unused_range, white_too_low

SHOWN = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
"""Photometric interpretations that are read."""

_COLOURS = ("Red", "Green", "Blue")


@dataclass(frozen=True)
class _Table:
    """A lookup table. first: the value that its first entry is for. bits: of an entry, as it says."""

    entries: np.ndarray
    first: int
    bits: int

    def of(self, values: np.ndarray) -> np.ndarray:
        """The entries of values; those beyond an end take its entry (PS3.3 C.11.2.1.1)."""
        at = np.rint(values).astype(np.int64) - self.first
        return np.asarray(self.entries[np.clip(at, 0, len(self.entries) - 1)])


@dataclass(frozen=True)
class _Window:
    centre: float
    width: float
    shape: str

    def of(self, values: np.ndarray) -> np.ndarray:
        """Display values, 0 to 1 within the window (PS3.3 C.11.2.1.2, C.11.2.1.3)."""
        if self.shape == "SIGMOID":
            return np.asarray(1 / (1 + exact.exp(-4 * (values.astype(np.float64) - self.centre) / self.width)))
        if self.shape == "LINEAR_EXACT":
            return np.asarray((values - self.centre) / self.width + 0.5)
        if self.width == 1:
            return (values > self.centre - 0.5).astype(np.float32)
        return np.asarray((values - (self.centre - 0.5)) / (self.width - 1) + 0.5)


def shown(raw: np.ndarray, data: Any, white: float | None) -> tuple[np.ndarray, list[str]]:
    """Grey float32 (H, W) in [0, 1] of a monochrome film, and what to say of it. raw: pixels as decoded."""
    stored, said = _used_bits(raw, data)
    padding = _padding(raw, stored, data)
    if padding is not None and padding.all():
        return np.zeros(stored.shape, dtype=np.float32), [*said, "of nothing but padding, and so black"]
    film = ... if padding is None else ~padding
    values, modality_said = _modality(stored, data)
    grey, display_said = _by_table_or_window(values, data)
    said = [*said, *modality_said, *display_said]
    if grey is not None:
        grey = _cut(grey)
        unused = _unused_levels(grey[film])
    else:
        lowest, highest = float(stored[film].min()), float(stored[film].max())
        low, top = _stored_range(lowest, highest, data, white)
        ends = sorted(float(end) for end in _modality(np.array([low, top]), data)[0])
        if ends[0] == ends[1]:
            raise InputError("its modality table or slope makes one value of all")
        grey = _cut((values - ends[0]) / (ends[1] - ends[0]))
        unused = unused_range(lowest, highest, low, top)
    inverted = word(data, "PhotometricInterpretation") == "MONOCHROME1"
    if not inverted and word(data, "PresentationLUTShape") == "INVERSE":
        said.append("of MONOCHROME2 that ask to be inverted (PresentationLUTShape): read as MONOCHROME2")
    grey = 1 - grey if inverted else grey
    if padding is not None:
        grey[padding] = 0
    return grey, [*said, unused] if unused else said


def shown_colour(raw: np.ndarray, data: Any, white: float | None) -> tuple[np.ndarray, list[str]]:
    """Grey float32 (H, W) in [0, 1] of a film in colours or of a palette, and what to say of it."""
    stored, said = _used_bits(raw, data)
    if stored.ndim == 2:
        colours, bits = _palette(stored, data)
    else:
        colours, bits = stored, int(next(iter(numbers(data, "BitsStored")), 8))
    if colours.dtype.kind != "u" or colours.dtype.itemsize > 2:
        raise InputError(f"its colours are {colours.dtype}; expected unsigned numbers of 8 or 16 bits")
    grey = luminance(colours)
    top = white or float(2 ** min(bits, 16) - 1)
    lowest, highest = float(grey.min()), float(grey.max())
    _check_below(highest, top, white)
    unused = unused_range(lowest, highest, 0, top)
    said = [*said, *([COLOURED] if coloured(colours, bits) else []), *([unused] if unused else [])]
    return np.divide(grey, np.float32(top), dtype=np.float32), said


def _used_bits(raw: np.ndarray, data: Any) -> tuple[np.ndarray, list[str]]:
    """The bits up to HighBit that are the film, and what to say where others are set (PS3.5 8.1.1: to be ignored)."""
    found = numbers(data, "BitsAllocated", "BitsStored")
    if raw.dtype.kind not in "ui" or len(found) < 2 or data.file_meta.TransferSyntaxUID.is_encapsulated:
        return raw, []
    allocated, bits = 8 * raw.dtype.itemsize, int(found[1])
    high = int(next(iter(numbers(data, "HighBit")), bits - 1))
    if not bits - 1 <= high < allocated:
        high = bits - 1
    if bits >= allocated or found[0] < 8:
        return raw, []
    below = high + 1 - bits
    if below == 0 and raw.dtype.kind == "u" and int(raw.max()) < 2**bits:
        return raw, []
    stored = np.right_shift(np.left_shift(raw, allocated - 1 - high), allocated - bits)
    if (np.left_shift(stored, below) == raw).all():
        return stored, []
    return stored, [f"with bits set outside of the {bits} that are the film (BitsStored), which were left out"]


def _padding(raw: np.ndarray, stored: np.ndarray, data: Any) -> np.ndarray | None:
    """Which pixels are no film but padding (PS3.3 C.7.5.1.1.2): bool (H, W), or None where there is none."""
    value, limit = (numbers(data, f"PixelPadding{name}") for name in ("Value", "RangeLimit"))
    if not value or raw.dtype.kind not in "ui":
        return None
    info, round_trip = np.iinfo(raw.dtype), 2 ** (8 * raw.dtype.itemsize)
    ends = [int(value[0]), int(limit[0] if limit else value[0])]
    ends = [end - round_trip if end > info.max else end + round_trip if end < info.min else end for end in ends]
    low, high = sorted(ends)
    there = ((raw >= low) & (raw <= high)) | ((stored >= low) & (stored <= high))
    return there if there.any() else None


def _modality(stored: np.ndarray, data: Any) -> tuple[np.ndarray, list[str]]:
    """Values after the modality table or slope, float32, and what to say of it."""
    sequence = element(data, "ModalityLUTSequence")
    table = _table(sequence[0], data) if sequence else None
    if table is not None:
        return table.of(stored).astype(np.float32), []
    said = ["with a modality table that cannot be used, and was not"] if sequence else []
    slope, intercept = numbers(data, "RescaleSlope"), numbers(data, "RescaleIntercept")
    if not slope and not intercept:
        return stored.astype(np.float32), said
    factor, offset = slope[0] if slope else 1.0, intercept[0] if intercept else 0.0
    return (stored.astype(np.float64) * factor + offset).astype(np.float32), said


def _by_table_or_window(values: np.ndarray, data: Any) -> tuple[np.ndarray | None, list[str]]:
    """Display values by the first lookup table, else by the first window that can be used, and what to say of the choice."""
    sequence = element(data, "VOILUTSequence") or ()
    tables = [table for table in (_table(item, data) for item in sequence) if table is not None]
    windows = _windows(data)
    if tables:
        others = "lookup tables" if len(tables) > 1 else "a window beside their lookup table" if windows else ""
        said = [f"with {others}, of which the first table was taken"] if others else []
        return tables[0].of(values) / np.float32(2 ** tables[0].bits - 1), said
    if windows:
        several = len(set(windows)) > 1
        return windows[0].of(values), ["with several windows, of which the first was taken"] if several else []
    if any(name in data for name in ("VOILUTSequence", "WindowCenter", "WindowWidth")):
        return None, ["with a window that is empty or cannot be used: shown by all of their stored bits"]
    return None, []


def _windows(data: Any) -> list[_Window]:
    """The windows that can be used: with a centre, and a width of more than nothing."""
    shape = word(data, "VOILUTFunction")
    shape = shape if shape in ("SIGMOID", "LINEAR_EXACT") else "LINEAR"
    least = 1 if shape == "LINEAR" else 1e-9
    pairs = zip(loose_numbers(data, "WindowCenter"), loose_numbers(data, "WindowWidth"), strict=False)
    return [_Window(c, w, shape) for c, w in pairs if c is not None and w is not None and w >= least]


def _stored_range(lowest: float, highest: float, data: Any, white: float | None) -> tuple[float, float]:
    """The ends of the range of stored values. `white` is the upper one where it is given."""
    bits = numbers(data, "BitsStored")
    signed = numbers(data, "PixelRepresentation")[:1] == (1,)
    if white:
        _check_below(highest, white, white)
        if lowest >= 0:
            return 0.0, white
    if "PixelData" not in data or not bits:
        raise InputError("it has floats without a window, so that nothing says what is white: say it by --white")
    low, top = (-(2 ** (bits[0] - 1)), 2 ** (bits[0] - 1) - 1) if signed else (0.0, 2 ** bits[0] - 1)
    return low, white or top


def _check_below(highest: float, top: float, white: float | None) -> None:
    if highest > top:
        raise InputError(f"it has values up to {highest:g}, expected {top:g} at most: {white_too_low(highest, white)}")


def _cut(grey: np.ndarray) -> np.ndarray:
    """float32, cut to 0 to 1."""
    return np.clip(grey, 0, 1, out=grey).astype(np.float32, copy=False)


def _unused_levels(grey: np.ndarray) -> str | None:
    least, most = float(grey.min()), float(grey.max())
    if least == most:
        return "of one grey level all over, as their window or lookup table shows them"
    return (
        "with less than half of the grey levels, as their window or lookup table shows them"
        if most - least < 0.5
        else None
    )


def _table(item: Any, data: Any) -> _Table | None:
    """A lookup table of a sequence, or None where it has no usable descriptor or entries."""
    entries, descriptor = element(item, "LUTData"), numbers(item, "LUTDescriptor")
    return None if len(descriptor) != 3 or entries is None else _entries(entries, descriptor, data)


def _entries(kept: Any, descriptor: tuple[float, ...], data: Any) -> _Table | None:
    """The table that a descriptor (count, first value, bits) describes; entries of 8 bits may be packed in pairs."""
    count, first, bits = int(descriptor[0]) % 65536 or 65536, int(descriptor[1]), int(descriptor[2])
    order = "<" if data.file_meta.TransferSyntaxUID.is_little_endian else ">"
    if not isinstance(kept, bytes):
        numbers_kept = [kept] if isinstance(kept, int) else list(kept)
        kept = np.array(numbers_kept).astype(np.uint16).astype(f"{order}u2").tobytes()
    if not 1 <= bits <= 16 or len(kept) < count:
        return None
    wide = len(kept) >= 2 * count
    return _Table(np.frombuffer(kept, f"{order}u2" if wide else np.uint8, count), first, bits)


def _palette(stored: np.ndarray, data: Any) -> tuple[np.ndarray, int]:
    """The colours (H, W, 3) of a palette (PS3.3 C.7.9), and their bits."""
    from pydicom.pixels import apply_color_lut

    if element(data, "RedPaletteColorLookupTableData") is None:  # in segments: pydicom knows how they are unfolded
        count, first, bits = (int(one) for one in numbers(data, "RedPaletteColorLookupTableDescriptor"))
        if bits == 8 and count > 256:
            raise InputError(f"its palette has {count} colours of 8 bits in segments, which is not read")
        inputs = np.arange(count or 65536, dtype=np.int64) + first
        colours = apply_color_lut(inputs, data)[..., :3]
        return colours[np.clip(stored.astype(np.int64) - first, 0, len(inputs) - 1)], bits
    bands = []
    for name in _COLOURS:
        descriptor = numbers(data, f"{name}PaletteColorLookupTableDescriptor")
        kept = element(data, f"{name}PaletteColorLookupTableData")
        table = None if len(descriptor) != 3 or kept is None else _entries(kept, descriptor, data)
        if table is None:
            raise InputError(f"its palette has no usable {name.lower()}")
        bands.append(table)
    most = max(int(table.entries.max()) for table in bands)
    colours = np.stack([table.of(stored).astype(np.uint16) for table in bands], axis=-1)
    return colours, 8 if most < 256 and bands[0].bits == 8 else 16
