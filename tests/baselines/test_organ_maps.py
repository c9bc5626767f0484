"""Organ masks to label maps and dots, and back, on shapes drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cxrbench.baselines.organ_maps import (
    OrganMaps,
    grey_codes,
    hull,
    mode_filter,
    nearest_class,
    paint,
    paint_order,
    upsize,
)

ORGANS = ("right_clavicle", "left_lung", "heart", "right_lung")


def box(side: int, top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros((side, side), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def chest(side: int = 32) -> np.ndarray:
    """One film's masks (O, H, W): the clavicle crosses the right lung and sticks out of it; the lungs end at the heart."""
    clavicle, heart = box(side, 6, 2, 8, 16), box(side, 16, 12, 26, 22)
    left, right = box(side, 4, 20, 24, 30), box(side, 4, 4, 24, 14)
    return np.stack([clavicle, left & ~heart, heart, right & ~heart])


@pytest.fixture
def maps() -> OrganMaps:
    return OrganMaps.learn(np.stack([chest()] * 3), ORGANS)


def test_lungs_are_painted_first_and_clavicles_last():
    assert [ORGANS[organ] for organ in paint_order(ORGANS)] == ["left_lung", "right_lung", "heart", "right_clavicle"]


def test_where_organs_overlap_the_last_painted_shows():
    classes = paint(chest()[None], ORGANS)[0]
    assert classes[0, 0] == 0
    assert classes[5, 25] == 1
    assert classes[5, 5] == 2
    assert classes[20, 20] == 3
    assert classes[7, 5] == 4  # clavicle over right lung


@pytest.mark.parametrize("count", [2, 3, 6, 9])
def test_codes_are_equally_spaced_and_quantisation_gives_the_classes_back(count):
    classes = np.arange(count, dtype=np.uint8)
    values = grey_codes(classes, count) / 127.5 - 1
    np.testing.assert_allclose(np.diff(values), 2 / (count - 1), atol=1 / 127)
    np.testing.assert_array_equal(nearest_class(values, count), classes)


def test_quantisation_is_idempotent_and_takes_the_nearest_code():
    values = np.random.default_rng(0).uniform(-1.3, 1.3, (4, 8, 8))
    codes = np.linspace(-1, 1, 6)
    classes = nearest_class(values, 6)
    np.testing.assert_array_equal(classes, np.abs(values[..., None] - codes).argmin(axis=-1))
    np.testing.assert_array_equal(nearest_class(codes[classes], 6), classes)


def test_mode_filter_removes_a_speck_and_keeps_a_straight_edge():
    classes = paint(chest()[None], ORGANS)
    edge = np.zeros((1, 8, 8), dtype=np.uint8)
    edge[:, :, 4:] = 2
    np.testing.assert_array_equal(mode_filter(edge, 5), edge)
    dirty = classes.copy()
    dirty[0, 12, 7] = 3
    assert mode_filter(dirty, 5)[0, 12, 7] == 2


def test_hull_of_an_l_is_filled_across_its_corner():
    corner = box(16, 2, 2, 12, 4) | box(16, 10, 2, 12, 12)
    filled = hull(corner)
    assert filled[corner].all()
    assert filled[7, 5]
    assert not filled[3, 11]


def test_lung_goes_on_under_the_clavicle_but_clavicle_outside_the_lung_does_not_become_lung(maps):
    assert maps.continued == ((0, 3),)
    restored = maps.masks(paint(chest()[None], ORGANS))[0]
    lung = restored[ORGANS.index("right_lung")]
    assert lung[6:8, 4:14].all()
    assert not lung[6:8, 14:].any()
    assert not lung[6:8, :4].any()


def test_masks_survive_the_label_map(maps):
    masks = chest()[None]
    np.testing.assert_array_equal(maps.masks(paint(masks, ORGANS)), masks)


def test_an_organ_that_the_training_set_shows_behind_the_heart_is_completed_there():
    lung = box(32, 4, 4, 28, 16)
    heart = box(32, 12, 10, 20, 14)  # inside the lung's hull
    masks = np.stack([lung, heart])[None]
    maps = OrganMaps.learn(masks, ("lung", "heart"))
    np.testing.assert_array_equal(maps.masks(paint(masks, ("lung", "heart"))), masks)
    without = np.stack([lung & ~heart, heart])[None]
    assert OrganMaps.learn(without, ("lung", "heart")).continued == ()


def test_cleaning_leaves_a_clean_map_alone(maps):
    classes = paint(chest()[None], ORGANS)
    np.testing.assert_array_equal(maps.clean(classes), classes)


def test_cleaning_gives_stray_blobs_to_their_surroundings(maps):
    classes = paint(chest()[None], ORGANS)
    dirty = classes.copy()
    dirty[0, 28:30, 2:4] = 3  # heart in the background
    dirty[0, 10:12, 22:24] = 2  # right lung inside the left lung
    dirty[0, 14, 8] = 0  # a hole in the right lung
    np.testing.assert_array_equal(maps.clean(dirty), classes)


def test_two_lungs_in_one_mask_both_stay():
    lungs = (box(32, 4, 4, 24, 12) | box(32, 4, 20, 24, 28))[None, None]
    maps = OrganMaps.learn(lungs, ("lungs",))
    assert maps.parts == (2,)
    classes = paint(lungs, ("lungs",))
    np.testing.assert_array_equal(maps.clean(classes), classes)


def test_dots_lie_at_centroids_with_radius_two_on_64_pixels():
    masks = np.stack([box(64, 10, 10, 21, 31), box(64, 40, 40, 41, 41)])[None]
    dots = OrganMaps.learn(masks, ("lung", "heart")).dots(masks, 64)[0]
    rows, columns = np.nonzero(dots == 1)
    assert (rows.mean(), columns.mean()) == (15, 20)
    assert len(rows) == 13  # the pixels within 2 of the centre
    assert {tuple(p) for p in np.argwhere(dots == 2)} >= {(40, 40), (38, 40), (40, 42)}


def test_dots_of_a_larger_film_are_scaled_to_the_dot_map():
    masks = box(256, 64, 128, 128, 192)[None, None]  # centred at row 95.5, column 159.5
    dots = OrganMaps.learn(masks, ("heart",)).dots(masks, 64)[0]
    rows, columns = np.nonzero(dots)
    assert abs(rows.mean() - 23.5) <= 0.5
    assert abs(columns.mean() - 39.5) <= 0.5


def test_clean_dots_keeps_the_largest_blob_and_redraws_it(maps):
    dots = maps.dots(chest()[None], 64)
    dirty = dots.copy()
    dirty[0, 60:62, 1:3] = 1  # a smaller second blob
    dirty[0, 0, 0] = 2
    cleaned, complete = maps.clean_dots(dirty)
    np.testing.assert_array_equal(cleaned, dots)
    assert complete.tolist() == [True]


def test_a_dot_map_without_a_required_organ_is_incomplete(maps):
    dots = np.concatenate([maps.dots(chest()[None], 64)] * 2)
    dots[1][dots[1] == 3] = 0
    assert maps.clean_dots(dots)[1].tolist() == [True, False]


def test_an_organ_that_some_training_films_lack_is_not_required():
    masks = np.stack([chest()] * 2)
    masks[1, 2] = False
    maps = OrganMaps.learn(masks, ORGANS)
    assert maps.required == (True, True, False, True)
    dots = maps.dots(masks, 64)
    assert maps.clean_dots(dots)[1].tolist() == [True, True]


def test_upsizing_repeats_pixels():
    dots = np.arange(4, dtype=np.uint8).reshape(1, 2, 2)
    np.testing.assert_array_equal(upsize(dots, 6)[0], np.kron(dots[0], np.ones((3, 3), dtype=np.uint8)))
