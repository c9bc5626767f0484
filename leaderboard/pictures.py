"""Pictures of an entry, read without trusting their headers: a PNG file holds a picture and nothing else."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from .untrusted import Refused, read_bytes, shown

PNG_BYTES, PNG_SIDE = 512 << 10, 2048
_PNG_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"bKGD")
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def check_png(path: Path) -> None:
    """Refuse a PNG that holds anything but a picture: text, other data, more bytes than its size says."""
    name, raw = shown(path.name), read_bytes(path, PNG_BYTES)
    if raw[:8] != b"\x89PNG\r\n\x1a\n":
        raise Refused(f"{name} is no PNG")
    place, header, packed = 8, b"", bytearray()
    while place < len(raw):
        if place + 12 > len(raw):
            raise Refused(f"{name} ends in the middle of a chunk")
        (length,) = struct.unpack(">I", raw[place : place + 4])
        kind, body = raw[place + 4 : place + 8], raw[place + 8 : place + 8 + length]
        end = raw[place + 8 + length : place + 12 + length]
        if kind not in _PNG_CHUNKS:
            raise Refused(
                f"{name} holds a chunk {shown(kind.decode('latin1'))}; save it again without texts and profiles"
            )
        if len(end) != 4 or struct.unpack(">I", end)[0] != zlib.crc32(kind + body):
            raise Refused(f"{name} is damaged")
        if (kind == b"IHDR") != (place == 8) or (kind == b"IHDR" and length != 13):
            raise Refused(f"{name} is damaged")
        header = body if kind == b"IHDR" else header
        packed += body if kind == b"IDAT" else b""
        place += 12 + length
        if kind == b"IEND":
            break
    else:
        raise Refused(f"{name} is cut off")
    if place != len(raw):
        raise Refused(f"{name} has {len(raw) - place:,} bytes after the picture")
    _check_pixels(header, bytes(packed), name)


def _check_pixels(header: bytes, packed: bytes, name: str) -> None:
    width, height, depth, colour, method, filtering, interlaced = struct.unpack(">IIBBBBB", header)
    if not (0 < width <= PNG_SIDE and 0 < height <= PNG_SIDE) or depth not in (1, 2, 4, 8) or method or filtering:
        raise Refused(f"{name}: expected a PNG of at most {PNG_SIDE} pixels a side, 8 bits a channel")
    if colour not in _PNG_CHANNELS or interlaced:
        raise Refused(f"{name}: expected a PNG that is not interlaced")
    expected = height * (1 + -(-width * _PNG_CHANNELS[colour] * depth // 8))
    unpacker = zlib.decompressobj()
    try:
        pixels = unpacker.decompress(packed, expected + 1)
    except zlib.error:
        raise Refused(f"{name} is damaged") from None
    if len(pixels) != expected or not unpacker.eof or unpacker.unused_data:
        raise Refused(f"{name} does not hold the pixels that its size says")
