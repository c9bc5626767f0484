"""The contact sheet: outlines where the organ ends, boxes where the finding is, a PNG of the expected
size.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrbench.benchmark.data.contact_sheet import COLOURS, contact_sheet, organ_colours, outlined
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.errors import InputError


def _dataset(n=5, boxes=None):
    masks = np.zeros((n, 32, 32), dtype=np.uint8)
    masks[:, 8:24, 8:24] = 1
    return Dataset(
        info=DatasetInfo(name="squares", resolution=32, organs=("heart",)),
        images=np.full((n, 32, 32), 100, dtype=np.uint8),
        masks=masks,
        cases=pd.DataFrame({"id": [f"f{row}" for row in range(n)], "patient": "p"}),
        boxes=boxes,
    )


def test_the_outline_runs_along_the_organ_and_the_film_shows_elsewhere():
    data = _dataset(1)
    picture = outlined(data.images[0], data.masks[0], data.organs, 128)
    assert picture.shape == (128, 128, 3)
    assert picture.dtype == np.uint8
    coloured = np.argwhere((picture == COLOURS["heart"]).all(axis=2))
    assert coloured.min() == 32  # 8 pixels of 32 are 32 of 128
    assert coloured.max() == 95
    assert len(coloured) == 4 * 63 - 4  # one pixel wide, closed, corners rounded by the scaling
    assert (picture[64, 64] == 100).all()
    assert (picture[5, 5] == 100).all()


def test_without_masks_the_film_is_grey():
    picture = outlined(np.full((16, 16), 7, np.uint8), None, (), 16)
    assert (picture == 7).all()


def test_known_organs_have_fixed_colours_and_unknown_ones_different_ones():
    colours = organ_colours(["aorta", "heart", "trachea"])
    assert colours[1] == COLOURS["heart"]
    assert len(set(colours)) == 3


def test_a_sheet_holds_the_asked_films_in_columns(tmp_path):
    path = contact_sheet(_dataset(5), tmp_path / "deep" / "sheet.png", count=4, columns=3)
    with Image.open(path) as sheet:
        width, height = sheet.size
        pixels = np.asarray(sheet)
    assert width > 3 * 256
    assert 2 * 256 < height < 3 * 256
    corners = (pixels == COLOURS["heart"]).all(axis=2)
    assert corners.sum() > 4 * 4 * 120  # four organs outlined


def test_the_same_seed_draws_the_same_sheet_and_another_seed_another(tmp_path):
    data = _dataset(30)
    data = Dataset(
        info=data.info,
        images=np.random.default_rng(0).integers(0, 255, data.images.shape, dtype=np.uint8),
        cases=data.cases,
    )
    first = contact_sheet(data, tmp_path / "a.png", count=4).read_bytes()
    assert contact_sheet(data, tmp_path / "b.png", count=4).read_bytes() == first
    assert contact_sheet(data, tmp_path / "c.png", count=4, seed=1).read_bytes() != first


def test_boxes_are_drawn_at_their_place(tmp_path):
    boxes = pd.DataFrame({"id": ["f0"], "finding": ["Mass"], "x": [4.0], "y": [20.0], "w": [10.0], "h": [8.0]})
    plain = np.asarray(Image.open(contact_sheet(_dataset(1), tmp_path / "a.png")))
    boxed = np.asarray(Image.open(contact_sheet(_dataset(1, boxes), tmp_path / "b.png")))
    changed = np.argwhere((plain != boxed).any(axis=2))
    height, width = changed.max(axis=0) - changed.min(axis=0) + 1
    bottom, right = changed.max(axis=0)
    assert right == pytest.approx(6 + 14 * 8, abs=1)  # a gap of 6, then x + w in pixels of the sheet
    assert bottom == pytest.approx(24 + 28 * 8, abs=1)  # legend and gap, then y + h
    assert width == pytest.approx(10 * 8, abs=2)  # 32 pixels are shown as 256
    assert height == pytest.approx(8 * 8 + 16, abs=6)  # the name stands above the box


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        contact_sheet(_dataset(1), tmp_path / "file" / "sheet.png")


def test_nothing_to_show_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected films"):
        contact_sheet(_dataset(2), tmp_path / "x.png", count=0)
