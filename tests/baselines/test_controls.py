"""The controls: generators whose usefulness is known beforehand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cxrbench.baselines.controls import Classical, CopyTrain, Degraded, DegradedSettings, Noise, draw
from cxrbench.benchmark.augmentation import paper_augmentation
from cxrbench.benchmark.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.provider import collect

CONTROLS = [CopyTrain, Classical, Degraded, Noise]


def training_set(originals: int = 4, side: int = 32) -> Dataset:
    """Films that are all different, with two organs, six of each original."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (originals, side, side), dtype=np.uint8)
    masks = np.zeros_like(images)
    for index in range(originals):
        masks[index, 20:28, 4 + index : 12 + index] |= 1
        masks[index, 18:30, 18 : 26 + index] |= 2
    ids = [f"case-{index}" for index in range(originals)]
    cases = pd.DataFrame({"id": ids, "patient": ids, "split": "train"})
    films = Dataset(DatasetInfo(name="films", resolution=side, organs=("a", "b")), images, cases, masks)
    return paper_augmentation(films, seed=1)


def fitted(cls, *settings, train: Dataset | None = None):
    provider = cls(*settings)
    provider.fit(train or training_set(), seed=0, progress=Progress())
    return provider


def sampled(provider, n: int = 12, seed: int = 3) -> Dataset:
    return collect("control", provider, training_set(), n, seed=seed, progress=Progress())


@pytest.mark.parametrize("cls", CONTROLS)
def test_same_seed_same_films_and_another_seed_others(cls):
    first, again, other = (sampled(fitted(cls), seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.images, again.images) and np.array_equal(first.masks, again.masks)
    assert not np.array_equal(first.images, other.images)


@pytest.mark.parametrize("cls", CONTROLS)
def test_a_saved_control_samples_the_same(cls, tmp_path):
    provider = fitted(cls)
    provider.save(tmp_path)
    again = cls.load(tmp_path)
    assert np.array_equal(sampled(provider).images, sampled(again).images)
    assert np.array_equal(sampled(provider).masks, sampled(again).masks)


@pytest.mark.parametrize("n", [1, 64, 65, 130])
def test_exactly_the_asked_number_of_films_comes(n):
    assert [len(sampled(fitted(cls), n)) for cls in CONTROLS] == [n] * 4


def test_every_original_is_drawn_before_one_is_drawn_again():
    train = training_set()
    rows = draw(train, 10, np.random.default_rng(0))
    assert sorted(rows[:4] // 6) == sorted(rows[4:8] // 6) == [0, 1, 2, 3]
    assert len(draw(train, 3, np.random.default_rng(0))) == 3


def test_copy_train_gives_training_films_with_their_masks_and_says_whose():
    train, films = training_set(), sampled(fitted(CopyTrain))
    known = {image.tobytes(): row for row, image in enumerate(train.images)}
    rows = [known[image.tobytes()] for image in films.images]
    assert np.array_equal(films.masks, train.masks[rows])
    assert films.cases["source_ids"].map(list).tolist() == [[f"case-{row // 6}"] for row in rows]


def test_classical_changes_every_film_keeps_its_organs_and_says_whose():
    train, films = training_set(), sampled(fitted(Classical))
    assert not {image.tobytes() for image in films.images} & {image.tobytes() for image in train.images}
    assert films.cases["source_ids"].map(len).tolist() == [1] * 12
    areas = films.organ_masks().sum(axis=(2, 3))
    assert (areas > 0.6 * 64).all() and set(np.unique(films.masks)) <= {0, 1, 2}


@pytest.mark.parametrize(("share", "wrong"), [(0.0, 0), (0.25, 3), (0.5, 6), (1.0, 12)])
def test_degraded_has_the_chosen_share_of_wrong_masks_on_the_films_of_copy_train(share, wrong):
    good, films = sampled(fitted(CopyTrain)), sampled(fitted(Degraded, DegradedSettings(wrong=share)))
    assert np.array_equal(good.images, films.images)
    differs = [not np.array_equal(one, two) for one, two in zip(good.masks, films.masks, strict=True)]
    assert sum(differs) == wrong


def test_a_larger_share_only_adds_wrong_masks_and_a_wrong_mask_is_really_wrong():
    good = sampled(fitted(CopyTrain))
    some, most = (sampled(fitted(Degraded, DegradedSettings(wrong=share))) for share in (0.25, 1.0))
    changed = (some.masks != good.masks).any(axis=(1, 2))
    assert np.array_equal(some.masks[changed], most.masks[changed])
    true, wrong = good.organ_masks(), most.organ_masks()
    dice = 2 * (true & wrong).sum(axis=(2, 3)) / (true.sum(axis=(2, 3)) + wrong.sum(axis=(2, 3)))
    assert dice.max() < 0.5 and (wrong.sum(axis=(2, 3)) > 0).all()


def test_degraded_refuses_what_is_not_a_share_and_a_single_patient():
    with pytest.raises(InputError, match="share from 0 to 1, found 25"):
        Degraded(DegradedSettings(wrong=25))
    alone = fitted(Degraded, DegradedSettings(wrong=1.0), train=training_set(1))
    with pytest.raises(InputError, match="only one patient"):
        sampled(alone)


def test_noise_shows_nobody_and_its_masks_say_nothing_about_its_films():
    films = sampled(fitted(Noise), 200)
    assert not any(len(sources) for sources in films.cases["source_ids"])
    masks = films.organ_masks()
    assert (masks.sum(axis=(0, 2, 3)) > 0).all()
    bright = films.images.astype(float) - films.images.mean(axis=(1, 2), keepdims=True)
    inside = np.array([(bright[masks[:, organ]]).mean() for organ in range(2)])
    assert np.abs(inside).max() < 0.1 * bright.std()
    assert masks.mean(axis=(0, 2, 3)) == pytest.approx([0.07, 0.07], abs=0.05)


def test_films_without_masks_are_refused():
    train = training_set()
    bare = Dataset(train.info.model_copy(update={"organs": ()}), train.images, train.cases)
    with pytest.raises(InputError, match="has no masks"):
        CopyTrain().fit(bare, seed=0, progress=Progress())
