"""The same grey picture in the legal forms of the picture formats: what a reader must not tell apart."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tifffile
from PIL import Image

ORIENTATION = 274

STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright.swapaxes(0, 1)[::-1],
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: upright.swapaxes(0, 1)[:, ::-1],
}
"""How an upright picture is stored under each value of the tag (TIFF 6.0: where its first row and column lie)."""


def png(values: np.ndarray, kind: int, orientation: int = 1) -> bytes:
    """A PNG of 16 bits, written by hand: Pillow writes no colours of that depth. kind: 0 grey, 2 RGB, 4 LA, 6 RGBA."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, kind, 0, 0, 0)
    exif = _exif(orientation).tobytes()[6:]  # without the word that JPEG has before it
    parts = [(b"IHDR", header), (b"eXIf", exif), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    framed = [struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def by_pillow(image: Image.Image, orientation: int, **options: Any) -> bytes:
    out = io.BytesIO()
    if orientation != 1:
        tag = "tiffinfo" if options["format"] == "TIFF" else "exif"
        options[tag] = {ORIENTATION: orientation} if tag == "tiffinfo" else _exif(orientation)
    image.save(out, **options)
    return out.getvalue()


def by_tifffile(values: np.ndarray, orientation: int, **options: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, values, extratags=[(ORIENTATION, "H", 1, orientation, True)], metadata=None, **options)
    return out.getvalue()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def shuffled_palette(grey: np.ndarray, draw: np.random.Generator) -> Image.Image:
    """Indices in any order: an index says nothing of how bright its colour is."""
    order = draw.permutation(256).astype(np.uint8)  # of a grey level, its index
    image = Image.fromarray(order[grey], mode=None).convert("L")
    image.putpalette(np.repeat(np.argsort(order).astype(np.uint8), 3).tobytes())
    return image


def rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1)


def with_alpha(values: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """A channel of alpha more, of any values."""
    alpha = draw.integers(0, np.iinfo(values.dtype).max + 1, values.shape[:2]).astype(values.dtype)
    return np.dstack([values, alpha])


Form = Callable[[np.ndarray, int, np.random.Generator], bytes]


def _pillow(mode: str, **options: Any) -> Form:
    return lambda grey, turn, draw: by_pillow(Image.fromarray(grey).convert(mode), turn, **options)


def _deep(grey: np.ndarray) -> np.ndarray:
    return grey.astype(np.uint16) * 257


# From grey uint8 (H, W) as stored, the tag's value, and a source of chance to a file.
FORMS: dict[str, Form] = {
    "png grey": _pillow("L", format="PNG"),
    "png rgb": _pillow("RGB", format="PNG"),
    "png grey alpha": lambda g, t, d: by_pillow(Image.fromarray(with_alpha(g, d)), t, format="PNG"),
    "png rgb alpha": lambda g, t, d: by_pillow(Image.fromarray(with_alpha(rgb(g), d)), t, format="PNG"),
    "png palette": lambda g, t, d: by_pillow(shuffled_palette(g, d), t, format="PNG"),
    "png palette alpha": lambda g, t, d: by_pillow(
        shuffled_palette(g, d), t, format="PNG", transparency=bytes(d.integers(0, 256, 256).tolist())
    ),
    "png 16 bit": lambda g, t, d: png(_deep(g), 0, t),
    "png 16 bit grey alpha": lambda g, t, d: png(with_alpha(_deep(g), d), 4, t),
    "png 16 bit rgb": lambda g, t, d: png(rgb(_deep(g)), 2, t),
    "png 16 bit rgb alpha": lambda g, t, d: png(with_alpha(rgb(_deep(g)), d), 6, t),
    "tiff lzw": _pillow("L", format="TIFF", compression="tiff_lzw"),
    "tiff cmyk": _pillow("CMYK", format="TIFF"),
    "tiff palette": lambda g, t, d: by_pillow(shuffled_palette(g, d), t, format="TIFF"),
    "webp": _pillow("RGB", format="WEBP", lossless=True),
    "webp alpha": lambda g, t, d: by_pillow(
        Image.fromarray(with_alpha(rgb(g), d)), t, format="WEBP", lossless=True, exact=True
    ),
}
REFUSED: dict[str, Form] = {
    "ppm 12 bit": lambda g, t, d: b"P6 %d %d 4095\n" % g.shape[::-1] + rgb(_deep(g) >> 4).astype(">u2").tobytes()
}
"""Forms that neither Pillow nor OpenCV reads right."""

for _order, _name in (("<", "little"), (">", "big")):
    for _white_is_zero in (False, True):
        _tag = f"tiff {_name} endian{' white is zero' if _white_is_zero else ''}"
        _photometric = "miniswhite" if _white_is_zero else "minisblack"

        def _tiff(
            depth: Callable[[np.ndarray], np.ndarray],
            order: str = _order,
            photometric: str = _photometric,
        ) -> Form:
            def write(grey: np.ndarray, turn: int, draw: np.random.Generator) -> bytes:
                values = depth(grey)
                top = 1.0 if values.dtype.kind == "f" else np.iinfo(values.dtype).max
                values = (top - values).astype(values.dtype) if photometric == "miniswhite" else values
                return by_tifffile(values, turn, photometric=photometric, byteorder=order)

            return write

        FORMS[_tag] = _tiff(lambda grey: grey)
        (REFUSED if (_order, _white_is_zero) == (">", True) else FORMS)[f"{_tag} 16 bit"] = _tiff(_deep)
        FORMS[f"{_tag} float"] = _tiff(lambda grey: (grey / 255).astype(np.float32))
    for _planar in ("contig", "separate"):
        for _compression in (None, "deflate"):

            def _colours(
                grey: np.ndarray,
                turn: int,
                draw: np.random.Generator,
                order: str = _order,
                planar: str = _planar,
                compression: str | None = _compression,
            ) -> bytes:
                values = rgb(_deep(grey))
                values = np.moveaxis(values, -1, 0) if planar == "separate" else values
                return by_tifffile(
                    values, turn, photometric="rgb", byteorder=order, planarconfig=planar, compression=compression
                )

            (REFUSED if _planar == "separate" else FORMS)[
                f"tiff {_name} endian 16 bit rgb {_planar} {_compression}"
            ] = _colours
FLAT_FORMS: dict[str, Form] = {
    "bmp": _pillow("L", format="BMP"),
    "bmp rgb": _pillow("RGB", format="BMP"),
    "gif": _pillow("L", format="GIF"),
    "gif palette": lambda g, t, d: by_pillow(shuffled_palette(g, d), 1, format="GIF"),
    "pgm": _pillow("L", format="PPM"),
    "pgm 16 bit": lambda g, t, d: b"P5 %d %d 65535\n" % g.shape[::-1] + _deep(g).astype(">u2").tobytes(),
    "pgm 12 bit": lambda g, t, d: (
        b"P5 %d %d 4080\n" % g.shape[::-1] + (g.astype(np.uint16) * 16).astype(">u2").tobytes()
    ),
    "pgm text": lambda g, t, d: b"P2 %d %d 255\n" % g.shape[::-1] + " ".join(map(str, g.ravel())).encode(),
    "ppm": _pillow("RGB", format="PPM"),
    "ppm 16 bit": lambda g, t, d: b"P6 %d %d 65535\n" % g.shape[::-1] + rgb(_deep(g)).astype(">u2").tobytes(),
    "jpeg 2000": lambda g, t, d: by_pillow(Image.fromarray(g), 1, format="JPEG2000", irreversible=False),
}
"""Forms without one."""
