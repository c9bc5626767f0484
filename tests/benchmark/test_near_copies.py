"""Near copies are found, and films of other people are not called copies."""

from __future__ import annotations

import numpy as np
import pytest

from cxrbench.benchmark.near_copies import near_copies, nearest_distances


@pytest.fixture
def films() -> np.ndarray:
    """300 smooth, different films."""
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (300, 4, 4)).astype(np.uint8)
    return coarse.repeat(16, 1).repeat(16, 2)


def test_distance_of_two_flat_films_is_their_grey_difference():
    black, grey = np.zeros((1, 32, 32), np.uint8), np.full((1, 32, 32), 51, np.uint8)
    distances, rows = nearest_distances(black, np.concatenate([grey, black + 102]))
    assert distances[0] == pytest.approx(0.2)
    assert rows[0] == 0


def test_the_nearest_film_is_the_one_it_was_copied_from(films):
    noisy = np.clip(films[50:60].astype(int) + 3, 0, 255).astype(np.uint8)
    assert nearest_distances(noisy, films)[1].tolist() == list(range(50, 60))


def test_copies_are_flagged_and_other_people_are_not(films):
    reference, others, different = films[:100], films[100:200], films[200:]
    copied = near_copies(np.concatenate([others[:90], reference[:10]]), reference, different)
    assert copied.flagged >= 10 and copied.p < 1e-6
    assert {pair[1] for pair in copied.nearest} <= set(range(10))
    honest = near_copies(others, reference, different)
    assert honest.flagged <= 4 and honest.p > 0.01
