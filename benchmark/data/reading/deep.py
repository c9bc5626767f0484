"""Colours of 16 bits, of which Pillow keeps the upper 8: by OpenCV, which is given nothing that it would print about."""

from __future__ import annotations

import struct
import zlib
from functools import cache

import numpy as np

_PNG = b"\x89PNG\r\n\x1a\n"
_END = b"\0\0\0\0IEND\xae\x42\x60\x82"


def decode_deep(data: bytes) -> np.ndarray | None:
    """A file's values as OpenCV decodes them: blue, green, red, perhaps alpha. None where it does not.

    The orientation of a TIFF is undone, that of other formats is not.
    """
    import cv2

    _quiet_opencv()
    content = _critical(data) if data.startswith(_PNG) else data
    if content is None:
        return None
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None


def _critical(data: bytes) -> bytes | None:
    """A PNG with its header and pixels alone; None where these are damaged. libpng prints of anything else."""
    kept, pixels, at = [_PNG], [], len(_PNG)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = data[at : at + 12 + length]
        if kind in (b"IHDR", b"IDAT"):
            if len(chunk) < 12 + length or zlib.crc32(chunk[4:-4]) != struct.unpack(">I", chunk[-4:])[0]:
                return None
            kept.append(chunk)
            pixels += [chunk[8:-4]] if kind == b"IDAT" else []
        at += 12 + length
    try:
        zlib.decompress(b"".join(pixels))
    except zlib.error:
        return None
    return b"".join([*kept, _END])


@cache
def _quiet_opencv() -> None:
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
