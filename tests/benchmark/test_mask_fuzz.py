"""No mask file ends a reading in anything but a mask or one clear line: whole files cut short, and with bits turned over.

CXRBENCH_FUZZ=1000 pytest tests/benchmark/test_mask_fuzz.py     # a thousand of every form; some minutes
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from cxrbench.benchmark.data.reading.mask_kinds import parse_declared
from cxrbench.benchmark.data.reading.masks import SHARED, MaskReader
from cxrbench.benchmark.errors import InputError

from .test_reading_fuzz import COUNT, spoiled
from .test_reading_masks import FORMS, disc, ways

SUFFIXES = {form: "PNG" for form in FORMS} | {
    "0 and 255, jpeg": "JPEG",
    "0 and 255, tiff": "TIFF",
    "one bit, tiff": "TIFF",
    "red on black, webp": "WEBP",
    "palette, white first, gif": "GIF",
    "red on black, bmp": "BMP",
}
SAID = [None, *map(parse_declared, ("labels:heart=1", "bits:heart=1,left_lung=2", "colours:heart=#ff0000"))]


def read_or_refuse(path: Path) -> str:
    """What became of a file, whatever was said of it: "mask", or the lines that refuse it; anything else is raised."""
    found = []
    for said in SAID:
        part = "heart" if said is None else SHARED
        try:
            reader = MaskReader([{part: path}], ["heart"], ways, said)
            bits, _ = reader.read(0, (64, 64))
            assert reader.settled() and len(reader.said()) == 1
        except InputError as error:
            line = str(error)
            assert str(path) in line and "\n" not in line and len(line) < 2 * len(str(path)) + 300, line
            found.append(line)
        else:
            assert bits.dtype == np.uint8 and bits.shape == (64, 64) and bits.max() <= 1
            found.append("mask")
    return found[0]


@pytest.mark.parametrize("form", SUFFIXES)
def test_a_spoiled_mask_is_read_or_refused_in_one_line(form, tmp_path, capfd):
    out = io.BytesIO()
    FORMS[form.rpartition(", ")[0] if form not in FORMS else form](disc()).save(out, SUFFIXES[form])
    path = tmp_path / "mask"
    path.write_bytes(out.getvalue())
    assert read_or_refuse(path) == "mask"
    found = []
    for number, content in enumerate(spoiled(out.getvalue(), COUNT)):
        path = tmp_path / f"{number}"
        path.write_bytes(content)
        found.append(read_or_refuse(path))
    assert capfd.readouterr() == ("", "") and any(line != "mask" for line in found)
