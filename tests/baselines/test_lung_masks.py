"""From grey masks to two lungs: hand-made masks, and properties on any mask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cxrbench.baselines.lung_masks import Refusal, eight_bits, fill_holes, largest_components, two_lungs

SIDE = 24


def grey(mask: np.ndarray) -> np.ndarray:
    """A mask as a generator would draw it, in [-1, 1]."""
    return np.where(mask, 0.9, -0.9)


def lungs_of(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """A mask of rectangles: top, left, bottom, right."""
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


TWO = lungs_of((4, 3, 18, 9), (5, 14, 20, 20))


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    """Blobs, noise with holes, or nothing, in [-1, 1]."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    noise = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), draw(st.sampled_from([0.0, 0.7, 1.5, 3.0])))
    values = noise / noise.std() + draw(st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0]))
    if draw(st.booleans()):
        values = np.where(TWO, values + 2, values - 2)
    return np.tanh(values)


def test_the_threshold_is_150_of_255_after_truncation():
    values = np.array([(150 / 127.5) - 1 - 1e-6, (150 / 127.5) - 1 + 1e-6, -1.0, 1.0])
    assert eight_bits(values).tolist() == [149, 150, 0, 255]
    picture = np.full((SIDE, SIDE), -1.0)
    picture[TWO] = (150 / 127.5) - 1 + 1e-6
    assert not isinstance(two_lungs(picture), Refusal)
    picture[TWO] = (150 / 127.5) - 1 - 1e-6
    assert two_lungs(picture) is Refusal.EMPTY


def test_two_lungs_stay_two_the_left_one_of_the_picture_first():
    lungs = two_lungs(grey(TWO))
    assert not isinstance(lungs, Refusal) and lungs.dtype == bool
    np.testing.assert_array_equal(lungs[0], lungs_of((4, 3, 18, 9)))
    np.testing.assert_array_equal(lungs[1], lungs_of((5, 14, 20, 20)))


def test_specks_go_and_holes_are_filled():
    spoilt = TWO.copy()
    spoilt[8:11, 5:7] = spoilt[12, 16] = False
    spoilt[0, 0] = spoilt[22, 1:3] = True
    lungs = two_lungs(grey(spoilt))
    assert not isinstance(lungs, Refusal)
    np.testing.assert_array_equal(lungs.any(axis=0), TWO)


def test_a_bay_that_is_open_to_the_background_is_no_hole():
    bay = TWO.copy()
    bay[8:11, 3:7] = False
    lungs = two_lungs(grey(bay))
    assert not isinstance(lungs, Refusal)
    np.testing.assert_array_equal(lungs.any(axis=0), bay)


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.zeros((SIDE, SIDE), dtype=bool), Refusal.EMPTY),
        (np.ones((SIDE, SIDE), dtype=bool), Refusal.FULL),
        (lungs_of((4, 3, 18, 9)), Refusal.SINGLE),
        (lungs_of((4, 3, 18, 9), (17, 8, 20, 20)), Refusal.SINGLE),  # the lungs touch
        (lungs_of((4, 3, 18, 9), (9, 15, 11, 17)), Refusal.SINGLE),  # 4 pixels beside 84: under 5 %
        (lungs_of((1, 1, 23, 23)) & ~lungs_of((2, 2, 22, 22)) | lungs_of((5, 5, 15, 15)), Refusal.SINGLE),  # in a ring
    ],
)
def test_masks_that_are_not_two_lungs_are_refused_with_the_reason(mask, reason):
    assert two_lungs(grey(mask)) is reason


def test_the_two_largest_components_are_kept():
    three = TWO | lungs_of((21, 0, 24, 3))
    np.testing.assert_array_equal(largest_components(three, 2), TWO)
    np.testing.assert_array_equal(largest_components(three, 1), lungs_of((5, 14, 20, 20)))


@given(masks())
@settings(max_examples=150, deadline=None)
def test_holes_are_those_of_an_independent_implementation(values):
    np.testing.assert_array_equal(fill_holes(values > 0), ndimage.binary_fill_holes(values > 0))


@given(masks())
@settings(max_examples=150, deadline=None)
def test_cleaning_twice_is_cleaning_once(values):
    lungs = two_lungs(values)
    if not isinstance(lungs, Refusal):
        again = two_lungs(grey(lungs.any(axis=0)))
        assert not isinstance(again, Refusal)
        np.testing.assert_array_equal(again, lungs)


@given(masks())
@settings(max_examples=150, deadline=None)
def test_lungs_are_two_parts_inside_the_filled_mask(values):
    lungs = two_lungs(values)
    if isinstance(lungs, Refusal):
        return
    filled = ndimage.binary_fill_holes(eight_bits(values) >= 150)
    assert not (lungs.any(axis=0) & ~filled).any()
    assert not (lungs[0] & lungs[1]).any()
    columns = [np.argwhere(lung)[:, 1].mean() for lung in lungs]
    assert columns[0] <= columns[1]
    for lung in lungs:
        assert lung.any()
        assert ndimage.label(lung, np.ones((3, 3)))[1] == 1
        assert not (ndimage.binary_fill_holes(lung) & ~lung).any()
    assert ndimage.label(lungs.any(axis=0), np.ones((3, 3)))[1] == 2
