"""Resizing in whole numbers: the area mean and the straight lines of OpenCV, exactly, and the same in any order."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from cxrbench.benchmark.data.resize import resample, resize_film, resize_films, resize_masks


def film(side, dtype=np.uint8, top=255):
    return np.random.default_rng(side).integers(0, top + 1, (side, side)).astype(dtype)


@pytest.mark.parametrize(("side", "resolution"), [(128, 64), (256, 64), (64, 9), (33, 11)])
def test_shrinking_by_a_whole_ratio_is_the_mean_of_a_block(side, resolution):
    image, ratio = film(side), side // resolution
    blocks = image[: ratio * resolution, : ratio * resolution].reshape(resolution, ratio, resolution, ratio)
    if side % resolution == 0:
        np.testing.assert_array_equal(resample(image, resolution), blocks.mean(axis=(1, 3)))
    np.testing.assert_allclose(resample(image, resolution), area(image, resolution), atol=1e-3)


def area(image, resolution):
    return cv2.resize(image.astype(np.float64), (resolution, resolution), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize(("side", "resolution"), [(100, 64), (64, 63), (97, 13), (17, 16)])
def test_shrinking_by_a_broken_ratio_takes_pixels_by_their_share(side, resolution):
    image = film(side)
    np.testing.assert_allclose(resample(image, resolution), area(image, resolution), atol=1e-3)
    row, column = 3, resolution - 1
    assert resample(image, resolution)[row, column] == float(by_fractions(image, resolution, row, column))


def by_fractions(image, resolution, row, column):
    """One pixel of the area mean in exact arithmetic."""
    side, total = len(image), Fraction(0)
    for y in range(side):
        for x in range(side):
            total += share(y, row, side, resolution) * share(x, column, side, resolution) * int(image[y, x])
    return total / Fraction(side, resolution) ** 2


def share(old, new, side, resolution):
    step = Fraction(side, resolution)
    return max(Fraction(0), min(Fraction(old + 1), (new + 1) * step) - max(Fraction(old), new * step))


@pytest.mark.parametrize(("side", "resolution"), [(64, 128), (64, 97), (9, 64), (1, 4)])
def test_growing_is_linear_between_pixel_centres(side, resolution):
    image = film(side)
    expected = cv2.resize(image.astype(np.float64), (resolution, resolution), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(resample(image, resolution), expected, atol=1e-9)


def test_the_mean_of_a_film_stays():
    image = film(100, np.uint16, 65535)
    assert resample(image, 64).mean() == pytest.approx(image.mean(), abs=1e-9)


def test_a_transposed_film_is_resized_to_the_transposed_one():
    image = film(100)
    for resolution in (64, 150):
        np.testing.assert_array_equal(resample(image.T, resolution), resample(image, resolution).T)


def test_the_same_size_is_the_same_film():
    image = film(20)
    np.testing.assert_array_equal(resize_film(image, 20), image)


def test_films_are_rounded_once_and_ties_go_to_the_even_level():
    image = np.zeros((4, 4), np.uint8)
    image[0, 0], image[0, 2] = 2, 6  # means of 0.5 and 1.5
    assert resize_film(image, 2).tolist() == [[0, 2], [0, 0]]
    np.testing.assert_array_equal(resize_films(image[None], 2), resize_film(image, 2)[None])


def test_a_mask_pixel_is_set_where_the_organ_covers_half_of_it():
    mask = np.zeros((1, 4, 4), np.uint8)
    mask[0, 0, 0:2], mask[0, 2, 2] = 1, 2
    assert resize_masks(mask, 2, 2)[0].tolist() == [[1, 0], [0, 0]]


def test_numbers_that_are_not_whole_are_refused():
    with pytest.raises(TypeError, match="whole numbers"):
        resample(np.zeros((4, 4), np.float32), 2)
