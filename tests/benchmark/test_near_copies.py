"""Near copies are found, and films of other people are not called copies."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.data.copy_pairs import copy_pairs, pairs_in_words
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.near_copies import count_copies, near_copies, nearest_distances


@pytest.fixture
def films() -> np.ndarray:
    """800 smooth, different films."""
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (800, 4, 4)).astype(np.uint8)
    return np.stack([cv2.resize(one, (64, 64), interpolation=cv2.INTER_LINEAR) for one in coarse])


def test_distance_of_two_flat_films_is_their_grey_difference():
    black, grey = np.zeros((1, 32, 32), np.uint8), np.full((1, 32, 32), 51, np.uint8)
    distances, rows = nearest_distances(black, np.concatenate([grey, black + 102]))
    assert distances[0] == pytest.approx(0.2)
    assert rows[0] == 0


def test_the_nearest_film_is_the_one_it_was_copied_from(films):
    noisy = np.clip(films[50:60].astype(int) + 3, 0, 255).astype(np.uint8)
    assert nearest_distances(noisy, films)[1].tolist() == list(range(50, 60))


def as_dataset(images: np.ndarray, name: str) -> Dataset:
    ids = [f"{name}{number}" for number in range(len(images))]
    return Dataset(DatasetInfo(name=name, resolution=64), images, pd.DataFrame({"id": ids, "patient": ids}))


def test_copies_are_flagged_by_id_and_other_people_are_not(films):
    reference, others, different = films[:100], films[100:200], as_dataset(films[200:], "d")
    mixed = as_dataset(np.concatenate([others[:90], reference[:10]]), "s")
    copied = near_copies(mixed, as_dataset(reference, "r"), different)
    assert copied.flagged >= 10 and copied.p < 1e-6 and copied.copies == 10
    assert {pair[:2] for pair in copied.nearest} <= {(f"s{90 + number}", f"r{number}") for number in range(10)}
    honest = near_copies(as_dataset(others, "o"), as_dataset(reference, "r"), different)
    assert honest.flagged <= 4 and honest.p > 0.01 and honest.copies == 0


def test_a_copy_is_known_by_hash_and_pixels_although_a_little_noise_was_added(films):
    noise = np.random.default_rng(1).normal(0, 2, films[:20].shape)
    noisy = np.clip(films[:20] + noise, 0, 255).astype(np.uint8)
    assert count_copies(noisy, films) == 20
    assert count_copies(255 - films[:20], films) == 0


def test_every_copy_is_named_with_the_film_it_is_of_and_of_many_the_first_eight(films):
    mixed = np.concatenate([films[100:105], films[20:30]])
    pairs = copy_pairs(mixed, films[:50])
    assert pairs == [(5 + number, 20 + number) for number in range(10)]
    ours, theirs = [f"s{number}" for number in range(15)], [f"r{number}" for number in range(50)]
    assert pairs_in_words(pairs[:2], ours, theirs) == "s5 is r20, s6 is r21"
    assert pairs_in_words(pairs, ours, theirs).endswith(", s12 is r27 and 2 more")
