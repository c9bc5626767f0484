"""Elastic copies of pairs of film and mask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cxrbench.baselines import dcgan_pair
from cxrbench.baselines.dcgan_pair import DCGANPair
from cxrbench.baselines.elastic import with_elastic_copies
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.settings import keyed

from .test_dcgan_pair import TINY, chests

BEND, WIDTH = 0.03, 0.1


def pairs(count: int = 4, side: int = 64) -> np.ndarray:
    """Films that are light just where their mask is."""
    masks = np.zeros((count, side, side), np.uint8)
    for row, mask in enumerate(masks):
        mask[10 + row : 40, 12:30] = 255
    return np.stack([masks, masks], axis=1)


def test_copies_follow_the_films_which_stay_as_they_are():
    made = with_elastic_copies(pairs(), 2, bend=BEND, width=WIDTH, seed=0)
    assert made.shape == (12, 2, 64, 64) and made.dtype == np.uint8
    assert np.array_equal(made[:4], pairs())
    assert with_elastic_copies(pairs(), 0, bend=BEND, width=WIDTH, seed=0) is not None
    assert np.array_equal(with_elastic_copies(pairs(), 0, bend=BEND, width=WIDTH, seed=0), pairs())


def test_film_and_mask_are_bent_alike_and_the_mask_keeps_its_two_values():
    made = with_elastic_copies(pairs(), 2, bend=BEND, width=WIDTH, seed=0)[4:]
    assert set(np.unique(made[:, 1])) == {0, 255}
    # the film's edge is interpolated: at half of its grey it is the mask's
    assert ((made[:, 0] > 127) != (made[:, 1] > 127)).mean() < 0.002
    assert ((made[:, 1] > 0) != np.concatenate([pairs()[:, 1]] * 2).astype(bool)).mean() > 0.01
    assert not np.array_equal(made[:4], made[4:])


def test_displacements_have_the_size_that_is_asked_for():
    moved = []
    for bend in (0.0, 0.01, 0.04):
        made = with_elastic_copies(pairs(), 1, bend=bend, width=WIDTH, seed=0)[4:, 1]
        moved.append((made != pairs()[:, 1]).mean())
    assert moved[0] == 0 < moved[1] < moved[2] / 2


def test_the_seed_decides():
    one, same, other = (with_elastic_copies(pairs(), 1, bend=BEND, width=WIDTH, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


@pytest.mark.parametrize("copies", [0, 2])
def test_the_generator_is_trained_on_films_and_copies(copies, monkeypatch):
    seen = []

    class Noted(dcgan_pair.DCGANRecipe):
        def __init__(self, pairs: np.ndarray, settings: dcgan_pair.DCGANPairSettings) -> None:
            seen.append(pairs)
            super().__init__(pairs, settings)

    monkeypatch.setattr(dcgan_pair, "DCGANRecipe", Noted)
    DCGANPair(replace(TINY, steps=2, elastic=copies)).fit(chests(6), seed=0, progress=Progress())
    assert len(seen[0]) == 6 * (1 + copies)
    assert np.array_equal(seen[0][:6, 0], chests(6).images)


def test_the_setting_is_in_keys_only_where_it_is_used():
    assert "elastic" not in keyed(TINY) and keyed(replace(TINY, elastic=1))["elastic"] == 1
