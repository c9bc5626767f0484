"""Opening the picture formats that Pillow reads, upright and whole: films and masks come through here.

Which format a file has is told by its content, never by its name.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ..remarks import Remark
from .deep import decode_deep
from .grey import coloured
from .quiet import one_line, quiet

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that begin with letters of their own, in Pillow's names. Others are refused: some run programs."""

BEGINNINGS = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"GIF8": "GIF",
    b"RIFF": "WEBP",
    b"\0\0\0\x0cjP": "JPEG2000",
}
"""First bytes that tell a format for certain."""

_ORIENTATION = 274  # the number of the tag in EXIF and TIFF
_BITS, _PHOTOMETRIC, _SUBFILE, _SAMPLE = 258, 262, 254, 339  # of TIFF
_DENSITY = (282, 283)  # of TIFF: pixels a length across and down
_SIGNED = 2  # a value of _SAMPLE
_SQUARE = 0.01  # pixels whose sides differ by less are square: programs round their numbers
_REDUCED, _TRANSPARENCY = 1, 4  # bits of _SUBFILE: a preview, or a mask of transparency


@cache
def formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow reads: older ones lack AVIF, some builds JPEG2000."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


class UnknownFormat(InputError):
    """The file begins as none of the known formats does."""


@dataclass(frozen=True)
class Raster:
    """A decoded picture. image: Pillow's, upright. bits: of a channel as stored. white_is_zero: stored the other way
    round, and `image` still is. turned: the orientation that was undone (EXIF, 1 is upright). remarks: what was done to
    it. data: the file. most: the number that is white in a PGM of less depth, which `image` is stretched from.
    """

    path: Path
    image: Any
    bits: int
    white_is_zero: bool
    turned: int
    remarks: tuple[Remark, ...]
    data: bytes
    most: int | None = None

    def whole(self) -> np.ndarray:
        """The numbers of a grey picture as stored, a PGM's stretched to 8 or 16 bits."""
        values = np.asarray(self.image)
        unsigned = self.image.mode == "I" and self.bits == 32 and _sample(getattr(self.image, "tag_v2", {})) == 1
        return values.view(np.uint32) if unsigned else values  # Pillow takes them for signed ones

    def labels(self) -> np.ndarray:
        """`whole`, with the numbers that a PGM of less depth holds."""
        values = self.whole()
        if self.most is None:
            return values
        full = 255 if values.dtype == np.uint8 else 65535
        return np.rint(values.astype(np.float64) * self.most / full).astype(np.uint16)

    def oblong(self) -> float | None:
        """How many times as high as wide a pixel is, where the file says that it is not square; else None."""
        info, tags = self.image.info, getattr(self.image, "tag_v2", {})
        found = info.get("jfif_density") or info.get("aspect") or tuple(tags.get(one, 0) for one in _DENSITY)
        found = found if all(found) else info.get("dpi", (1, 1))
        try:
            across, down = (float(one) for one in found)
            ratio = across / down
        except (TypeError, ValueError, ZeroDivisionError):
            return None
        ratio = 1 / ratio if self.turned >= 5 and ratio > 0 else ratio
        return ratio if ratio > 0 and abs(ratio - 1) > _SQUARE else None

    @property
    def deep_colour(self) -> bool:
        """Whether `image` has only the upper 8 bits of colours, or of grey with alpha, of 16: see `colours`."""
        return self.bits == 16 and not self.image.mode.startswith("I")

    def colours(self) -> np.ndarray:
        """uint16 (H, W, 3) of a picture of deep colour: red, green, blue. Alpha is dropped. InputError where it cannot
        be decoded at this depth.
        """
        values = decode_deep(self.data)
        if values is not None and values.dtype == np.uint16 and values.ndim == 3:
            upright = values if self.image.format == "TIFF" else _turned(values, self.turned)
            colours = np.asarray(upright[..., 2::-1])
            seen = np.asarray(self.image.convert("RGB"))
            rounded = int(self.image.format == "PPM")  # Pillow rounds its values, and cuts those of others
            if colours.shape == seen.shape and (np.abs((colours >> 8).astype(np.int16) - seen) <= rounded).all():
                return colours  # two decoders agree, as far as one sees
        raise InputError(f"{self.path} has colours of 16 bits in a form that is not read; write it again as PNG")

    def coloured(self) -> bool:
        """Whether its colours are others than greys, as far as 8 bits show it."""
        if self.image.mode in ("1", "L", "LA", "La", "F") or self.image.mode.startswith("I"):
            return False
        image = self.image if self.image.mode in ("RGB", "RGBA") else self.image.convert("RGB")
        return coloured(np.asarray(image))

    def seen_through(self) -> bool:
        """Whether any pixel is transparent, in part or whole."""
        image = self.image
        if "transparency" not in image.info and not {"A", "a"} & set(image.getbands()):
            return False
        if image.mode.startswith("I"):
            return bool((np.asarray(image) == image.info["transparency"]).any())
        alpha = next((band for band in image.getbands() if band in "Aa"), None)
        if alpha is None:  # a colour that stands for transparent, or palette entries
            image, alpha = image.convert("RGBA"), "A"
        return bool(image.getchannel(alpha).getextrema()[0] < 255)


def read_bytes(path: Path) -> bytes:
    """A file's content. InputError where it is absent, no file, empty, or may not be read."""
    if not path.exists():
        raise InputError(f"{path} does not exist")
    if not path.is_file():
        raise InputError(f"{path} is no file; expected a picture")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    if not data:
        raise InputError(f"{path} is empty (0 bytes)")
    return data


def open_raster(path: Path, data: bytes | None = None) -> Raster:
    """A picture, decoded and turned upright as its EXIF or TIFF orientation says (and said in `remarks`).

    data: the file's content, where it was read already. InputError where the file is absent, damaged, or holds more
    than one picture; UnknownFormat where no known format begins as it does.
    """
    from PIL import Image, UnidentifiedImageError

    quiet()
    content = read_bytes(path) if data is None else data
    try:
        with Image.open(io.BytesIO(content), formats=formats()) as image:
            remarks = _one_picture(image, path)
            return _decoded(image, path, content, remarks)
    except InputError:
        raise
    except UnidentifiedImageError:
        raise _unidentified(path, content) from None
    except Exception as error:  # a decoder may raise anything for a damaged file
        raise InputError(f"{path} cannot be read as an image ({one_line(error)})") from None


def _unidentified(path: Path, content: bytes) -> InputError:
    name = next((name for start, name in BEGINNINGS.items() if content.startswith(start)), None)
    if name is not None:
        return InputError(
            f"{path} cannot be read as an image ({name}, damaged or of a form that is not read: write it again as PNG)"
        )
    known = ", ".join(formats())
    return UnknownFormat(f"{path} cannot be read as an image (unknown or damaged format; known: {known}, DICOM)")


def _decoded(image: Any, path: Path, content: bytes, remarks: tuple[Remark, ...]) -> Raster:
    from PIL import ImageOps

    tags = getattr(image, "tag_v2", {})
    bits = _bits(image, tags)
    turned, said = _orientation(image, tags)
    most = _most(image)
    image.load()
    if turned != 1 and not tags:  # Pillow itself turns TIFF
        image = ImageOps.exif_transpose(image)
    remarks += tuple(Remark(text, str(path)) for text in said)
    if bits == 8 and _sample(tags) == _SIGNED and int(np.asarray(image).max()) > 127:
        raise InputError(f"{path} has signed values of 8 bits, some of them below 0; save it as unsigned numbers")
    deep = image.mode.startswith("I") or image.mode == "F"  # of less depth Pillow inverts them itself
    return Raster(path, image, bits, bool(deep and tags.get(_PHOTOMETRIC) == 0), turned, remarks, content, most)


def _orientation(image: Any, tags: Any) -> tuple[int, list[str]]:
    """The orientation that is to be undone, 1 to 8, and what to say of it."""
    try:
        found = tags.get(_ORIENTATION, 1) if tags else image.getexif().get(_ORIENTATION, 1)
    except Exception:  # what cameras and programs write besides the picture is often broken
        return 1, ["with EXIF that cannot be read: taken as upright"]
    if found not in range(2, 9):
        return 1, []
    return found, ["turned upright as their orientation tag says (EXIF)"]


def _turned(stored: np.ndarray, orientation: int) -> np.ndarray:
    """Upright from stored: where the first row and column of a picture lie under each value of the tag (TIFF 6.0)."""
    if orientation >= 5:
        stored = stored.swapaxes(0, 1)
    down = orientation in (3, 4, 7, 8)
    across = orientation in (2, 3, 6, 7)
    return stored[:: -1 if down else 1, :: -1 if across else 1]


def _sample(tags: Any) -> int:
    """What the numbers of a TIFF are: 1 unsigned, 2 signed, 3 floats."""
    return max(tags.get(_SAMPLE) or (1,))


def _most(image: Any) -> int | None:
    """The greatest number of a PGM that Pillow stretches."""
    decoder = image.tile[0][3] if image.tile else ""
    most = decoder[-1] if image.format == "PPM" and isinstance(decoder, tuple) else None
    return most if isinstance(most, int) and most not in (1, 255, 65535) else None


def _bits(image: Any, tags: Any) -> int:
    """Bits of a channel as stored."""
    if tags:
        return max(tags.get(_BITS, (1,)))
    if image.mode == "F":
        return 32
    decoder = image.tile[0][3] if image.tile else ""
    if image.format == "PPM" and isinstance(decoder, tuple) and isinstance(decoder[-1], int):
        return 16 if decoder[-1] > 255 else 8
    return 16 if image.mode.startswith("I") or (image.format == "PNG" and ";16" in str(decoder)) else 8


def _one_picture(image: Any, path: Path) -> tuple[Remark, ...]:
    """Refuse a file of several pictures. A camera's JPEG has one and others made of it, a TIFF previews."""
    count = getattr(image, "n_frames", 1)
    if count <= 1:
        return ()
    if image.format == "MPO":
        return (Remark("with further pictures in the file, of which the first was read", str(path)),)
    if image.format == "TIFF":
        kinds = []
        for frame in range(1, count):
            image.seek(frame)
            kinds.append(int(image.tag_v2.get(_SUBFILE, 0)) & (_REDUCED | _TRANSPARENCY))
        image.seek(0)
        if all(kinds):
            return ()
    raise InputError(f"{path} holds {count} pictures; expected one film: save the right one as a file of its own")
