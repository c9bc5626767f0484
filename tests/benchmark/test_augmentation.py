"""Geometric augmentation of films and masks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.data.augmentation import elastic_field, paper_augmentation, warp
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.draws import Draw


def films(count: int, side: int = 64) -> Dataset:
    """Grey films with a bright block that is also organ 0, and organ 2 over part of it."""
    images = np.full((count, side, side), 60, np.uint8)
    masks = np.zeros_like(images)
    block = slice(side // 4, side * 3 // 4)
    images[:, block, block] = 200
    masks[:, block, block] |= 1
    masks[:, side // 2 : side * 3 // 4, block] |= 4
    ids = [f"film-{index:03d}" for index in range(count)]
    cases = pd.DataFrame({"id": ids, "patient": [f"p{index // 2}" for index in range(count)], "split": "train"})
    return Dataset(DatasetInfo(name="blocks", resolution=side, organs=("a", "b", "c")), images, cases, masks)


def test_no_change_gives_film_and_mask_back():
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 256, (33, 33), dtype=np.uint8), rng.integers(0, 8, (33, 33), dtype=np.uint8)
    film, warped = warp(image, mask)
    assert np.array_equal(film, image)
    assert np.array_equal(warped, mask)


def test_shift_is_a_share_of_the_side_to_the_right_and_down_and_the_edge_goes_on():
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 256, (20, 20), dtype=np.uint8), rng.integers(0, 8, (20, 20), dtype=np.uint8)
    film, warped = warp(image, mask, shift_x=0.1, shift_y=0.05)
    assert np.array_equal(film[1:, 2:], image[:-1, :-2])
    assert np.array_equal(warped[1:, 2:], mask[:-1, :-2])
    assert np.array_equal(film[1:, 0], image[:-1, 0])


def test_angle_turns_anticlockwise_about_the_centre():
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 256, (21, 21), dtype=np.uint8), rng.integers(0, 8, (21, 21), dtype=np.uint8)
    film, warped = warp(image, mask, angle=90)
    assert np.array_equal(warped, np.rot90(mask))
    assert np.abs(film.astype(int) - np.rot90(image)).max() <= 1


def test_scale_enlarges_about_the_centre():
    mask = np.zeros((41, 41), np.uint8)
    mask[15:26, 15:26] = 1
    assert np.flatnonzero(warp(mask, mask, scale=3)[1].any(axis=0)).tolist() == list(range(4, 37))


def test_displacement_says_where_a_pixel_looks():
    image = np.arange(100, dtype=np.uint8).reshape(10, 10)
    look_right = np.stack([np.full((10, 10), 3), np.zeros((10, 10))]).astype(np.float32)
    assert np.array_equal(warp(image, image, displacement=look_right)[1][:, :7], image[:, 3:])


def test_no_flag_combination_is_invented_and_film_and_mask_move_together():
    one = films(1)
    film, mask = warp(one.images[0], one.masks[0], angle=13, shift_x=0.04, scale=1.1,
                      displacement=elastic_field(64, amplitude=2, smoothness=6, rng=Draw(1)))  # fmt: skip
    assert set(np.unique(mask)) <= {0, 1, 5}
    bright, organ = film > 130, (mask & 1) != 0
    assert np.count_nonzero(bright != organ) < 0.02 * np.count_nonzero(organ)


def test_elastic_field_has_the_asked_strength_and_is_smooth():
    field = elastic_field(64, amplitude=1.5, smoothness=8, rng=Draw(0))
    assert field.shape == (2, 64, 64) and field.dtype == np.float64
    assert np.sqrt((field**2).mean(axis=(1, 2))) == pytest.approx([1.5, 1.5], rel=1e-4)
    assert np.abs(np.diff(field, axis=2)).max() < 0.5


@pytest.mark.parametrize(("originals", "expected"), [(124, 744), (11, 66)])
def test_paper_augmentation_makes_six_of_one(originals, expected):
    augmented = paper_augmentation(films(originals, side=16), seed=1)
    assert len(augmented) == expected
    assert augmented.ids[:7] == [*(f"film-000-a{copy}" for copy in range(6)), "film-001-a0"]
    assert augmented.cases["source_ids"].map(list).tolist()[5:7] == [["film-000"], ["film-001"]]
    assert augmented.cases["patient"][11] == "p0" and augmented.organs == ("a", "b", "c")


def test_the_first_of_six_is_the_original_and_the_others_differ_from_it_and_each_other():
    one = films(1)
    six = paper_augmentation(one, seed=1)
    assert np.array_equal(six.images[0], one.images[0])
    assert len({image.tobytes() for image in six.images}) == 6


def test_copies_stay_within_two_degrees_and_three_percent_and_only_films_get_noise():
    many = paper_augmentation(films(40), seed=3)
    centres = np.array([np.argwhere(mask & 1).mean(axis=0) for mask in many.masks])
    assert np.abs(centres - 31.5).max() <= 0.03 * 64 + 0.3
    assert np.abs(centres - 31.5).max() > 0.02 * 64
    corner = many.images[:, :8, :8].reshape(len(many), -1).astype(float)  # flat before the noise
    deviation = corner.std(axis=1)
    assert (deviation[::6] == 0).all()
    noisy = np.delete(deviation, np.s_[::6])
    assert np.sqrt(2.55) * 0.7 < noisy.min() and noisy.max() < np.sqrt(7.65) * 1.35
    assert set(np.unique(many.masks)) <= {0, 1, 5}


def test_a_film_has_the_same_copies_in_every_set_and_others_with_another_seed():
    every = films(6)
    some = paper_augmentation(every.select([4, 1]), seed=2)
    whole = paper_augmentation(every, seed=2)
    assert np.array_equal(some.images[:6], whole.images[24:30])
    assert np.array_equal(some.masks[6:], whole.masks[6:12])
    assert not np.array_equal(paper_augmentation(every, seed=5).images[1], whole.images[1])
