"""The Dataset: what it refuses, what its digest sees, and that a folder gives back what was saved."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.data.dataset import (
    Annotation,
    Dataset,
    DatasetInfo,
    concatenate,
    load_dataset,
    pack_masks,
    verify_dataset,
)
from cxrbench.benchmark.errors import InputError

from ..organs import with_organs

ORGANS = ("left_lung", "right_lung", "heart")


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    ids = ["a", "b", "c", "d"]
    cases = pd.DataFrame(
        {
            "id": ids,
            "patient": ["p", "p", "q", "r"],
            "split": ["train"] * 2 + ["test"] * 2,
            "Mass": [0, 1, 0, 1],
        }
    )
    boxes = pd.DataFrame({"id": ["b", "d"], "finding": "Mass", "x": [2.0, 4.0], "y": 2.0, "w": 8.0, "h": 4.0})
    info = DatasetInfo(name="small", resolution=16, organs=ORGANS, findings=("Mass",), pixel_mm=2.0)
    return Dataset(
        info=info,
        images=rng.integers(0, 256, (4, 16, 16), dtype=np.uint8),
        masks=rng.integers(0, 8, (4, 16, 16), dtype=np.uint8),
        cases=cases,
        boxes=boxes,
    )


def test_a_saved_dataset_comes_back_as_it_was(dataset, tmp_path):
    saved = dataset.save(tmp_path / "set")
    loaded = load_dataset(tmp_path / "set", verify=True)
    for other in (saved, loaded):
        np.testing.assert_array_equal(other.images, dataset.images)
        np.testing.assert_array_equal(other.masks, dataset.masks)
        pd.testing.assert_frame_equal(other.cases, dataset.cases)
        pd.testing.assert_frame_equal(other.boxes, dataset.boxes)
        assert other.digest == dataset.digest
    assert isinstance(loaded.images, np.memmap)
    assert loaded.annotations == {Annotation.MASKS, Annotation.LABELS, Annotation.BOXES}
    verify_dataset(tmp_path / "set")


def test_the_digest_does_not_see_where_the_folder_lies(dataset, tmp_path):
    before = dataset.save(tmp_path / "here").digest
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert load_dataset(tmp_path / "there").digest == before
    verify_dataset(tmp_path / "there")


def _with_pixel(dataset):
    images = dataset.images.copy()
    images[2, 3, 4] ^= 1
    return replace(dataset, images=images)


def _with_mask(dataset):
    masks = dataset.masks.copy()
    masks[0, 0, 0] ^= 4
    return replace(dataset, masks=masks)


def _with_case(dataset):
    return replace(dataset, cases=dataset.cases.assign(split=["train", "test", "test", "test"]))


def _with_box(dataset):
    return replace(dataset, boxes=dataset.boxes.assign(x=[2.0, 4.5]))


def _with_organ(dataset):
    return replace(dataset, info=dataset.info.model_copy(update={"organs": ("left_lung", "right_lung", "spine")}))


def _with_pixel_size(dataset):
    return replace(dataset, info=dataset.info.model_copy(update={"pixel_mm": 1.0}))


@pytest.mark.parametrize("change", [_with_pixel, _with_mask, _with_case, _with_box, _with_organ, _with_pixel_size])
def test_the_digest_sees_every_change_that_can_change_a_number(dataset, change):
    assert change(dataset).digest != dataset.digest


def test_the_digest_does_not_see_the_name(dataset):
    assert replace(dataset, info=dataset.info.model_copy(update={"name": "other"})).digest == dataset.digest


@pytest.mark.parametrize("name", ["images.npy", "masks.npy", "cases.parquet", "boxes.parquet"])
def test_verify_names_the_file_that_changed(dataset, tmp_path, name):
    dataset.save(tmp_path / "set")
    path = tmp_path / "set" / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"{name} is not the file that dataset.json describes"):
        load_dataset(tmp_path / "set", verify=True)


def test_verify_sees_a_dataset_json_with_another_digest(dataset, tmp_path):
    dataset.save(tmp_path / "set")
    path = tmp_path / "set" / "dataset.json"
    path.write_text(path.read_text().replace(dataset.digest, "0" * 64))
    with pytest.raises(InputError, match="the content has digest"):
        verify_dataset(tmp_path / "set")


def test_a_missing_file_is_named(dataset, tmp_path):
    dataset.save(tmp_path / "set")
    (tmp_path / "set" / "masks.npy").unlink()
    with pytest.raises(InputError, match=r"masks\.npy is missing"):
        load_dataset(tmp_path / "set")


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (99, "schema 99 is newer than 1, .* update cxrbench"),
        (0, r"schema 0 is too old \(expected 1\); import it again"),
    ],
)
def test_schemas_too_new_and_too_old_have_their_own_messages(dataset, tmp_path, number, message):
    dataset.save(tmp_path / "set")
    path = tmp_path / "set" / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": number}))
    with pytest.raises(InputError, match=message):
        load_dataset(tmp_path / "set")


def test_a_folder_without_dataset_json_is_no_dataset(tmp_path):
    with pytest.raises(InputError, match=r"no dataset\.json here"):
        load_dataset(tmp_path)


def test_bit_i_of_a_mask_is_organ_i(dataset):
    masks = np.zeros((4, 16, 16), dtype=np.uint8)
    masks[0, 0, 0], masks[1, 2, 3] = 0b001, 0b110
    tiny = replace(dataset, masks=masks)
    channels = tiny.organ_masks()
    assert channels.shape == (4, 3, 16, 16)
    assert channels[0, :, 0, 0].tolist() == [True, False, False]
    assert channels[1, :, 2, 3].tolist() == [False, True, True]
    assert tiny.organ_masks(["heart"])[1, 0, 2, 3]
    np.testing.assert_array_equal(pack_masks(channels), masks)


def test_with_organs_reorders_the_bits(dataset):
    swapped = with_organs(dataset, ["heart", "left_lung"])
    assert swapped.organs == ("heart", "left_lung")
    np.testing.assert_array_equal(swapped.organ_masks(), dataset.organ_masks(["heart", "left_lung"]))


def test_select_takes_films_masks_cases_and_boxes_of_the_rows(dataset):
    for rows in ([3, 0], np.array([3, 0])):
        part = dataset.select(rows)
        assert part.ids == ["d", "a"]
        np.testing.assert_array_equal(part.images, dataset.images[[3, 0]])
        np.testing.assert_array_equal(part.masks, dataset.masks[[3, 0]])
        assert list(part.boxes["id"]) == ["d"]
    assert dataset.select(np.array([False, True, False, True])).ids == ["b", "d"]


def test_resized_averages_films_and_keeps_half_covered_mask_pixels(dataset):
    masks = np.zeros((4, 16, 16), dtype=np.uint8)
    masks[0, 0, 0:2] = 1  # half of the first 2 x 2 block
    masks[0, 2, 2] = 1  # a quarter of a block
    half = replace(dataset, masks=masks).resized(8)
    blocks = dataset.images.reshape(4, 8, 2, 8, 2).mean(axis=(2, 4))
    assert np.abs(half.images - blocks).max() <= 0.5
    assert np.argwhere(half.masks).tolist() == [[0, 0, 0]]
    assert half.info.pixel_mm == 4.0
    assert half.boxes[["x", "y", "w", "h"]].iloc[0].tolist() == [1.0, 1.0, 4.0, 2.0]
    assert dataset.resized(16) is dataset


def test_concatenate_keeps_all_and_refuses_other_organs(dataset):
    other = replace(dataset, cases=dataset.cases.assign(id=["e", "f", "g", "h"]))
    both = concatenate([dataset, other], "both")
    assert both.ids == list("abcdefgh")
    assert both.masks.shape == (8, 16, 16)
    assert both.digest != dataset.digest
    with pytest.raises(InputError, match="duplicate id 'a'"):
        concatenate([dataset, dataset], "twice")
    with pytest.raises(InputError, match="differ in organs"):
        concatenate([dataset, with_organs(other, ["heart"])], "mixed")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"images": np.zeros((4, 8, 8), np.uint8)},
            r"images must be uint8 \(N, 16, 16\), found uint8 \(4, 8, 8\)",
        ),
        ({"images": np.zeros((4, 16, 16), np.float32)}, "images must be uint8 .* found float32"),
        (
            {"masks": np.zeros((3, 16, 16), np.uint8)},
            r"masks must be uint8 \(4, 16, 16\), found uint8 \(3, 16, 16\)",
        ),
        ({"cases": pd.DataFrame({"id": ["a"], "patient": ["a"]})}, "4 images but 1 rows of cases"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(dataset, change, message):
    with pytest.raises(InputError, match=message):
        replace(dataset, **change)
