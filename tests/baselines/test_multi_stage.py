"""The one-, two- and three-stage generators, on small films and with few steps."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from cxrbench.baselines.multi_stage import (
    MultiStage,
    SingleStage,
    SingleStageSettings,
    ThreeStage,
    ThreeStageSettings,
    TwoStage,
    TwoStageSettings,
)
from cxrbench.baselines.organ_maps import paint, upsize
from cxrbench.baselines.pggan import PGGAN
from cxrbench.baselines.pggan_networks import Generator, PGGANSettings
from cxrbench.baselines.pix2pixhd import Pix2PixHDSettings
from cxrbench.benchmark import digest
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo, pack_masks
from cxrbench.benchmark.errors import InputError, ProviderError
from cxrbench.benchmark.progress import Progress

SIDE, ORGANS = 32, ("left_lung", "heart")
GROWTH = PGGANSettings(
    fmap_base=64, fmap_max=8, stabilise_kimg=0.016, fade_kimg=0.016, batch_sizes=((4, 8),), learning_rates=((4, 5e-3),)
)
FILMS = Pix2PixHDSettings(ngf=4, n_downsample=1, n_blocks=1, ndf=4, n_layers=1, batch_size=4, steps=3)
LEARNT = replace(FILMS, ngf=8, ndf=8, steps=100, learning_rate=3e-3)
SMALL = {
    SingleStage: SingleStageSettings(GROWTH),
    TwoStage: TwoStageSettings(GROWTH, FILMS),
    ThreeStage: ThreeStageSettings(GROWTH, LEARNT, LEARNT, dot_side=16),
}


def chests(count: int = 16, organs: tuple[str, ...] = ORGANS) -> Dataset:
    """Films of a dark square lung and a light square heart at random places."""
    rng = np.random.default_rng(0)
    masks = np.zeros((count, 2, SIDE, SIDE), dtype=bool)
    for film in masks:
        top, left = rng.integers(2, 8, 2)
        film[0, top : top + 12, left : left + 8] = True
        film[1, top + 6 : top + 14, left + 14 : left + 22] = True
    images = (100 - 60 * masks[:, 0] + 100 * masks[:, 1] + rng.normal(0, 3, (count, SIDE, SIDE))).astype(np.uint8)
    ids = [f"case{index}" for index in range(count)]
    info = DatasetInfo(name="chests", resolution=SIDE, organs=organs)
    return Dataset(info=info, images=images, masks=pack_masks(masks), cases=pd.DataFrame({"id": ids, "patient": ids}))


class Notes:
    """A progress sink that remembers."""

    def __init__(self) -> None:
        self.fractions: list[float] = []
        self.parts: list[str] = []

    def __call__(self, fraction: float, note: str) -> None:
        self.fractions.append(fraction)
        if note.split()[0] not in self.parts:
            self.parts.append(note.split()[0])


class PerfectDots:
    """A dot generator that draws the training set's own dots."""

    def __init__(self, provider: ThreeStage, train: Dataset) -> None:
        settings = provider.settings
        dots = provider.maps.dots(train.organ_masks(), settings.dot_side, settings.dot_radius)
        self.values = dots[:, None] * (2.0 / (provider.maps.classes - 1)) - 1

    def sample(self, count: int, rng: torch.Generator) -> np.ndarray:
        return self.values[torch.randint(len(self.values), (count,), generator=rng).numpy()]


@cache
def fitted(kind: type[MultiStage], seed: int = 0) -> MultiStage:
    """A provider fitted on the chests; three_stage with perfect dots, for its own are not learnt in a few steps."""
    train, provider = chests(), kind(SMALL[kind])
    provider.fit(train, seed=seed, progress=Progress())
    if isinstance(provider, ThreeStage):
        provider.parts["dots"] = PerfectDots(provider, train)
    return provider


def sample(provider: MultiStage, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    batches = list(provider.sample(n, seed=seed))
    return np.concatenate([b.images for b in batches]), np.concatenate([b.masks for b in batches])


@pytest.mark.parametrize("kind", SMALL)
def test_samples_pass_the_border_checks_and_follow_the_seed(kind):
    provider, train = fitted(kind), chests()
    films = collect(kind.__name__, provider, train, 20, seed=1, progress=Progress())
    assert len(films) == 20
    assert films.organs == ORGANS
    images, masks = sample(provider, 20, seed=1)
    np.testing.assert_array_equal(np.rint(images[:, 0] * 255), films.images)
    again = sample(provider, 20, seed=1)
    np.testing.assert_array_equal(images, again[0])
    np.testing.assert_array_equal(masks, again[1])
    assert not np.array_equal(images, sample(provider, 20, seed=2)[0])


@pytest.mark.parametrize("kind", SMALL)
def test_more_samples_begin_with_the_same_samples(kind):
    provider = fitted(kind)
    np.testing.assert_array_equal(sample(provider, 33, seed=3)[0][:7], sample(provider, 7, seed=3)[0])


def test_fit_follows_the_seed():
    fresh = fitted.__wrapped__
    first, again, other = (sample(fresh(TwoStage, seed), 4, 0)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("kind", SMALL)
def test_a_saved_provider_samples_the_same(kind, tmp_path, monkeypatch):
    provider = fitted(kind)
    if kind is ThreeStage:  # the perfect dots of the tests have no weights to save
        settings = provider.settings.dots
        grown = PGGAN(Generator(16, 1, settings))
        perfect = provider.parts["dots"]
        monkeypatch.setitem(provider.parts, "dots", grown)
    provider.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    loaded = kind.load(tmp_path, SMALL[kind])
    assert loaded.parameter_count() == provider.parameter_count() > 0
    assert loaded.histories() == provider.histories()
    if kind is ThreeStage:
        dots = [p.parts["dots"].sample(4, torch.Generator().manual_seed(0)) for p in (provider, loaded)]
        np.testing.assert_array_equal(*dots)
        monkeypatch.setitem(provider.parts, "dots", perfect)
        monkeypatch.setitem(loaded.parts, "dots", perfect)
    for one, two in zip(sample(provider, 5, seed=1), sample(loaded, 5, seed=1), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("kind", "parts"),
    [(SingleStage, ["films"]), (TwoStage, ["labels", "films"]), (ThreeStage, ["dots", "labels", "films"])],
)
def test_progress_names_the_parts_in_order_and_ends_at_one(kind, parts):
    few = {"labels": FILMS, "films": FILMS} if kind is ThreeStage else {}
    notes, provider = Notes(), kind(replace(SMALL[kind], **few))
    provider.fit(chests(), seed=0, progress=Progress(notes))
    assert notes.parts == parts
    assert notes.fractions == sorted(notes.fractions)
    assert notes.fractions[-1] == pytest.approx(1.0)
    assert list(provider.histories()) == parts
    assert all(history.rows and history.images_seen for history in provider.histories().values())


def test_three_stage_paints_films_around_the_dots():
    images, masks = sample(fitted(ThreeStage), 16, seed=0)
    assert masks[:, 0].any(axis=(1, 2)).mean() > 0.9
    lung, heart = images[:, 0][masks[:, 0]].mean(), images[:, 0][masks[:, 1]].mean()
    assert lung < 90 / 255 < 150 / 255 < heart  # 40 and 200 in the training films


def test_label_maps_may_be_learnt_with_a_channel_per_class():
    train = chests()
    provider = ThreeStage(replace(SMALL[ThreeStage], films=FILMS, label_channels=True))
    provider.fit(train, seed=0, progress=Progress())
    dots = provider.maps.dots(train.organ_masks(), 16)
    maps = provider.parts["labels"].translate(upsize(dots, SIDE))
    assert maps.shape == (16, 3, SIDE, SIDE)
    agreement = provider._labels(maps) == paint(train.organ_masks(), ORGANS)
    assert agreement.mean() > 0.9


def test_dots_that_never_show_every_organ_end_in_one_clear_error(monkeypatch):
    provider = fitted(ThreeStage)

    class Blank:
        def sample(self, count: int, rng: torch.Generator) -> np.ndarray:
            return np.full((count, 1, 16, 16), -1.0)

    monkeypatch.setitem(provider.parts, "dots", Blank())
    with pytest.raises(ProviderError, match="only 0 of 640 generated dot maps") as error:
        list(provider.sample(2, seed=0))
    assert "\n" not in str(error.value)


def test_a_training_set_without_masks_is_refused():
    train = chests()
    bare = Dataset(info=DatasetInfo(name="bare", resolution=SIDE), images=train.images, cases=train.cases)
    with pytest.raises(InputError, match="dataset bare has none"):
        ThreeStage(SMALL[ThreeStage]).fit(bare, seed=0, progress=Progress())


@pytest.mark.parametrize("kind", SMALL)
def test_paper_preset_is_the_papers(kind):
    assert set(kind.presets) == {"quick", "standard", "paper"}
    for name, part in vars(kind.presets["paper"]).items():
        assert part == {"dot_side": 64, "dot_radius": 2.0, "label_channels": False}.get(name, type(part)())


def test_vgg_weights_are_recorded_and_a_missing_file_is_one_clear_line(tmp_path):
    from torchvision.models import vgg19

    path = tmp_path / "vgg19.pth"
    torch.save({k: v for k, v in vgg19(weights=None).state_dict().items() if k.startswith("features")}, path)
    provider = TwoStage(TwoStageSettings(GROWTH, replace(FILMS, steps=1, batch_size=1, vgg_weights=path)))
    assert provider.weights_used == "none"
    provider.fit(chests(2), seed=0, progress=Progress())
    assert provider.weights_used == digest.of_file(path)
    assert "vgg" in provider.histories()["films"].rows[-1]
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        provider.fit(chests(2), seed=0, progress=Progress())
