"""No file ends a reading in anything but a film or one clear line: whole files cut short, and with bits turned over.

    CXRBENCH_FUZZ=1000 pytest tests/benchmark/test_reading_fuzz.py     # a thousand of every format; some minutes

A plain run tries a few of each. What is printed past Python, by a decoder in C, fails too.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrbench.benchmark.data.reading.films import Film, film_size, is_film, read_film
from cxrbench.benchmark.errors import InputError

from .dicom_files import COMPRESSED, compressed_dicom, dicom_bytes, without_each_tag
from .film_forms import FORMS as OTHER_FORMS

COUNT = int(os.environ.get("CXRBENCH_FUZZ", "40"))

FORMS: dict[str, tuple[str, dict[str, object]]] = {
    "png": ("L", {"format": "PNG"}),
    "png palette": ("P", {"format": "PNG"}),
    "png deep": ("I;16", {"format": "PNG"}),
    "jpeg": (
        "RGB",
        {"format": "JPEG", "exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"},
    ),
    "jpeg progressive": ("CMYK", {"format": "JPEG", "progressive": True}),
    "jpeg 2000": ("L", {"format": "JPEG2000"}),
    "gif": ("P", {"format": "GIF"}),
    "tiff": ("L", {"format": "TIFF"}),
    "tiff lzw": ("I;16", {"format": "TIFF", "compression": "tiff_lzw"}),
    "tiff jpeg": ("RGB", {"format": "TIFF", "compression": "jpeg"}),
    "tiff float": ("F", {"format": "TIFF", "compression": "tiff_adobe_deflate"}),
    "webp": ("RGB", {"format": "WEBP"}),
    "webp lossless": ("RGBA", {"format": "WEBP", "lossless": True}),
    "bmp": ("P", {"format": "BMP"}),
    "pgm": ("L", {"format": "PPM"}),
}


DEEP_COLOURS = (
    "png 16 bit rgb alpha",
    "tiff big endian 16 bit rgb contig deflate",
    "tiff little endian 16 bit rgb contig None",
)


def picture(side: int = 40) -> np.ndarray:
    """uint8 (side, side + 8): a slope with noise, so that compressed streams are not trivial."""
    slope = np.linspace(20, 200, side * (side + 8)).reshape(side, side + 8)
    return np.clip(slope + np.random.default_rng(0).normal(0, 12, slope.shape), 0, 255).astype(np.uint8)


def raster_bytes(form: str) -> bytes:
    if form in DEEP_COLOURS:
        return OTHER_FORMS[form](picture(), 1, np.random.default_rng(0))
    mode, options = FORMS[form]
    grey = picture()
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(grey.astype(np.float32) / 255)
    else:
        image = Image.fromarray(grey).convert(mode)
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()


def spoiled(whole: bytes, count: int) -> Iterator[bytes]:
    """A file cut short anywhere, or with one to eight bits turned over, by turns; half of these near its beginning."""
    draw = np.random.default_rng(7)
    for turn in range(count):
        if turn % 3 == 0:
            yield whole[: int(draw.integers(1, len(whole)))]
            continue
        content = bytearray(whole)
        reach = len(whole) if turn % 3 == 1 else min(len(whole), 400)
        for at in draw.integers(0, reach, int(draw.integers(1, 9))):
            content[at] ^= 1 << int(draw.integers(0, 8))
        yield bytes(content)


def read_or_refuse(path: Path) -> str:
    """ "film", or the one line that refuses the file; anything else is raised."""
    is_film(path)
    try:
        film_size(path)
    except InputError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)
    try:
        film = read_film(path)
    except InputError as error:
        line = str(error)
        assert line.startswith(str(path)) and "\n" not in line and len(line) < len(str(path)) + 300, line
        return line
    assert isinstance(film, Film) and film.pixels.dtype == np.float32 and film.pixels.ndim == 2
    assert np.isfinite(film.pixels).all() and film.pixels.min() >= 0 and film.pixels.max() <= 1
    return "film"


def try_all(folder: Path, contents: Iterator[bytes], name: str, capfd: pytest.CaptureFixture[str]) -> list[str]:
    """What became of each, read by several threads; nothing may be printed."""
    paths = []
    for number, content in enumerate(contents):
        paths.append(folder / f"{number}{name}")
        paths[-1].write_bytes(content)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(read_or_refuse, paths))
    assert capfd.readouterr() == ("", "")
    return found


@pytest.mark.parametrize("form", [*FORMS, *DEEP_COLOURS])
def test_a_spoiled_picture_is_read_or_refused_in_one_line(form, tmp_path, capfd):
    whole = raster_bytes(form)
    assert try_all(tmp_path, iter([whole]), ".png", capfd) == ["film"]
    found = try_all(tmp_path, spoiled(whole, COUNT), ".png", capfd)
    assert any(line != "film" for line in found)


@pytest.mark.parametrize("form", ["plain", *COMPRESSED])
def test_a_spoiled_dicom_file_is_read_or_refused_in_one_line(form, tmp_path, capfd):
    make: Callable[[], bytes] = dicom_bytes if form == "plain" else lambda: compressed_dicom(form)
    try_all(tmp_path, spoiled(make(), COUNT), ".dcm", capfd)


def test_a_dicom_file_without_any_one_tag_or_with_it_empty_is_read_or_refused(tmp_path, capfd):
    found = try_all(tmp_path, without_each_tag(), "", capfd)
    assert "film" in found and any(line != "film" for line in found)
