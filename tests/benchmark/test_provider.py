"""The border checks name the provider, the field, what was expected and what was found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.contracts.provider import Batch, Provider
from cxrbench.benchmark.data.dataset import Annotation, Dataset, DatasetInfo
from cxrbench.benchmark.errors import InputError, ProviderError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.registry import PROVIDERS, plugins
from cxrbench.benchmark.training.history import History

SIDE, N = 8, 4


def films(n: int = N, **extra) -> Batch:
    values = {
        "images": np.full((n, 1, SIDE, SIDE), 0.5, dtype=np.float32),
        "masks": np.zeros((n, 2, SIDE, SIDE), dtype=bool),
        "labels": np.zeros((n, 1), dtype=np.uint8),
        "boxes": [[("Mass", 1.0, 1.0, 2.0, 2.0)]] * n,
    }
    return Batch(**(values | extra))


@pytest.fixture
def train() -> Dataset:
    info = DatasetInfo(name="t", resolution=SIDE, organs=("left_lung", "heart"), findings=("Mass",), pixel_mm=2.0)
    cases = pd.DataFrame({"id": ["a", "b"], "patient": ["a", "b"], "Mass": [0, 1]})
    zeros = np.zeros((2, SIDE, SIDE), dtype=np.uint8)
    boxes = pd.DataFrame({"id": ["b"], "finding": ["Mass"], "x": [1.0], "y": [1.0], "w": [2.0], "h": [2.0]})
    return Dataset(info, zeros, cases, masks=zeros, boxes=boxes)


class Given(Provider):
    """Yields what the test gives it."""

    produces = frozenset({Annotation.MASKS, Annotation.LABELS, Annotation.BOXES})

    def __init__(self, *batches: object) -> None:
        super().__init__()
        self.batches = batches

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        """Nothing to fit."""

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        yield from self.batches


def sampled(train: Dataset, *batches: object) -> Dataset:
    return collect("given", Given(*batches), train, N, seed=0, progress=Progress())


def test_good_batches_become_a_dataset_with_masks_labels_boxes_and_sources(train):
    masks = np.zeros((1, 2, SIDE, SIDE), dtype=bool)
    masks[0, 1, 2, 3] = True
    last = films(1, masks=masks, labels=np.ones((1, 1), np.uint8), source_ids=[["a"]])
    made = sampled(train, films(3), last)
    assert len(made) == N
    assert made.organ_masks(["heart"]).sum() == 1
    assert made.organ_masks(["heart"])[3, 0, 2, 3]
    assert made.labels()[:, 0].tolist() == [0, 0, 0, 1]
    assert list(made.cases["source_ids"].iloc[3]) == ["a"]
    assert made.boxes is not None and len(made.boxes) == 4
    assert made.images.dtype == np.uint8 and made.images[0, 0, 0] == 128
    assert made.info.pixel_mm == 2.0


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ("text", "gave a str, expected a Batch"),
        (films(images=[1]), "images as list, expected a numpy array"),
        (films(images=np.zeros((N, SIDE, SIDE), np.float32)), r"images of shape \(4, 8, 8\), expected \(4, 1, 8, 8\)"),
        (films(images=np.zeros((N, 1, SIDE, SIDE))), "images of type float64, expected float32"),
        (films(images=np.full((N, 1, SIDE, SIDE), np.nan, np.float32)), "images with NaN or infinity"),
        (films(images=np.full((N, 1, SIDE, SIDE), 1.5, np.float32)), r"images in \[1.5, 1.5\], expected values in"),
        (films(masks=None), r"masks of shape None, expected \(4, 2, 8, 8\) for organs left_lung, heart"),
        (films(masks=np.zeros((N, 2, SIDE, SIDE), np.uint8)), "masks of type uint8, expected bool"),
        (films(labels=np.zeros((N, 3), np.uint8)), r"labels of shape \(4, 3\), expected \(4, 1\)"),
        (films(labels=np.full((N, 1), 2, np.uint8)), r"labels with values \[2\], expected 0 and 1"),
        (films(boxes=[[]]), "boxes for 1, expected 4 films"),
        (
            films(boxes=[[("Mass", 5.0, 1.0, 4.0, 2.0)]] * N),
            "a box .*, expected x, y, w, h in pixels inside a film of 8",
        ),
        (
            films(boxes=[[("Hernia", 1.0, 1.0, 2.0, 2.0)]] * N),
            "a box of 'Hernia', expected a finding of the training set",
        ),
        (films(source_ids=[["a"]]), "source_ids for 1, expected 4 films"),
        (films(5), "more than the asked films: 5, expected 4 films in all"),
    ],
)
def test_a_batch_that_breaks_the_contract_is_named(train, batch, message):
    with pytest.raises(ProviderError, match=message) as error:
        sampled(train, batch)
    assert str(error.value).startswith("provider given: sample() gave")


def test_a_provider_may_make_some_organs_alone(train):
    masks = np.zeros((2, 1, SIDE, SIDE), dtype=bool)
    masks[:, 0, 2, 3] = True
    made = sampled(train, *[films(2, masks=masks, organs=("heart",))] * 2)
    assert made.organs == ("heart",)
    assert made.organ_masks(["heart"]).sum() == N


@pytest.mark.parametrize(
    ("organs", "message"),
    [
        (("heart", "left_lung"), r"organs heart, left_lung, expected organs of the training set in its order"),
        (("aorta",), r"organs aorta, expected organs of the training set in its order \(left_lung, heart\)"),
        ((), "organs none, expected organs of the training set"),
        (("heart",), r"masks of shape \(4, 2, 8, 8\), expected \(4, 1, 8, 8\) for organs heart"),
    ],
)
def test_organs_that_the_training_set_does_not_have_so_are_named(train, organs, message):
    with pytest.raises(ProviderError, match=message):
        sampled(train, films(organs=organs))


def test_every_batch_has_the_same_organs(train):
    one = films(2, masks=np.zeros((2, 1, SIDE, SIDE), dtype=bool), organs=("heart",))
    with pytest.raises(ProviderError, match=r"organs left_lung, heart, expected those of the batches before \(heart\)"):
        sampled(train, one, films(2))


def test_too_few_films_are_an_error(train):
    with pytest.raises(ProviderError, match="3 films in all, expected 4 films"):
        sampled(train, films(3))


def test_asking_for_no_film_is_an_input_error(train):
    with pytest.raises(InputError, match="at least 1"):
        collect("given", Given(), train, 0, seed=0, progress=Progress())


class Kept(Given):
    """Keeps an array, a dataset, numbers and text."""

    def __init__(self, settings: object = None, *, device: str = "cpu") -> None:
        super().__init__()
        del self.batches

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        self.train, self.mean, self.words, self.number = train, np.arange(3.0), ["a"], seed


def test_the_default_save_keeps_arrays_datasets_and_plain_values(train, tmp_path):
    provider = Kept()
    provider.fit(train, seed=5, progress=Progress())
    provider.save(tmp_path)
    again = Kept.load(tmp_path)
    assert again.number == 5 and again.words == ["a"]
    np.testing.assert_array_equal(again.mean, provider.mean)
    assert again.train.digest == train.digest


def test_the_default_save_says_which_attribute_it_cannot_keep(tmp_path):
    provider = Kept()
    provider.strange = object()
    with pytest.raises(ProviderError, match="attribute 'strange' is object"):
        provider.save(tmp_path)
    assert not (tmp_path / "attributes.json").exists()


# ------------------------------------------------------------------------------------------- what is kept in its type


@dataclass(frozen=True)
class Shape:
    """Plain values in a dataclass."""

    sides: tuple[int, ...]
    named: dict[str, float]


class Typed(Kept):
    """Keeps what its class annotates, and leaves out what it names."""

    not_saved = frozenset({"scratch"})
    shape: Shape
    organs: tuple[str, ...] = ()
    mean: np.ndarray | None = None

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        self.shape, self.organs, self.scratch = Shape((8, 4), {"a": 0.1}), train.organs, object()
        self.curves["films"] = History(rows=[{"step": 1.0, "loss": 0.3}], images_seen=8, steps=2)
        self.built_for, self.mean = train.info, None


def test_an_annotated_attribute_comes_back_in_its_type(train, tmp_path):
    provider = Typed()
    provider.fit(train, seed=0, progress=Progress())
    provider.save(tmp_path)
    again = Typed.load(tmp_path)
    assert again.shape == provider.shape and again.organs == ("left_lung", "heart")
    assert again.built_for == train.info and again.histories() == provider.histories()
    assert again.mean is None and not hasattr(again, "scratch")


def test_a_dataclass_that_the_class_does_not_annotate_is_refused_by_name(train, tmp_path):
    provider = Typed()
    provider.fit(train, seed=0, progress=Progress())
    provider.other = provider.shape
    with pytest.raises(ProviderError, match=r"attribute 'other' is Shape; .* dataclasses .* that the class annotates"):
        provider.save(tmp_path)


# ------------------------------------------------------------------------------------------- networks


class Painter(Given):
    """Paints with one network, and had a critic."""

    produces = frozenset()
    sampling_parts = frozenset({"painter"})
    width = 3

    def __init__(self, settings: object = None, *, device: str = "cpu") -> None:
        super().__init__()
        del self.batches

    def build(self, films: DatasetInfo) -> dict[str, nn.Module]:
        pixels = films.resolution**2
        painter = nn.Sequential(nn.Linear(self.width, pixels), nn.BatchNorm1d(pixels), nn.Sigmoid())
        return {"critic": nn.Linear(pixels, 1), "painter": painter}

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        torch.manual_seed(seed)
        self.built_for = train.info
        self.painter = self.build(train.info)["painter"]
        self.painter(torch.randn(16, self.width))  # the batch statistics are weights too
        self.painter.eval()

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        codes = torch.randn(n, self.width, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            yield Batch(self.painter(codes).view(n, 1, SIDE, SIDE).numpy())


def painted(provider: Painter) -> np.ndarray:
    (batch,) = provider.sample(5, seed=1)
    return batch.images


def test_a_network_needs_no_save_and_no_load_but_build(train, tmp_path):
    provider = Painter()
    assert dict(provider.networks()) == {} and provider.parameter_count() == 0
    provider.fit(train, seed=0, progress=Progress())
    provider.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"attributes.json", "networks.safetensors"}
    before = torch.get_rng_state()
    again = Painter.load(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(painted(again), painted(provider))
    assert list(again.networks()) == ["painter"] and not again.painter.training
    other = Painter()
    other.fit(train, seed=1, progress=Progress())
    assert not np.array_equal(painted(other), painted(provider))


def test_counts_follow_from_the_networks(train):
    provider, pixels = Painter(), SIDE * SIDE
    parts = {"critic": pixels + 1, "painter": 3 * pixels + pixels + 2 * pixels}
    assert provider.parameter_parts(train.info) == parts  # before a fit
    provider.fit(train, seed=0, progress=Progress())
    assert provider.parameter_count() == parts["painter"]
    provider.critic = provider.build(train.info)["critic"]
    assert provider.parameter_count() == parts["painter"]  # sampling does not use it


def test_networks_that_nobody_can_build_are_not_saved(train, tmp_path):
    provider = Painter()
    provider.fit(train, seed=0, progress=Progress())
    provider.built_for = None
    with pytest.raises(ProviderError, match=r"networks \(painter\), .* write build\(films\), and set self.built_for"):
        provider.save(tmp_path)
    without = Kept()
    without.net, without.built_for = nn.Linear(1, 1), train.info
    with pytest.raises(ProviderError, match=r"networks \(net\), .* write build\(films\)"):
        without.save(tmp_path)


def test_a_build_that_makes_others_than_were_kept_is_named(train, tmp_path):
    provider = Painter()
    provider.fit(train, seed=0, progress=Progress())
    provider.save(tmp_path)

    class Wider(Painter):
        width = 4

    class Renamed(Painter):
        def build(self, films: DatasetInfo) -> dict[str, nn.Module]:
            return {"generator": super().build(films)["painter"]}

    with pytest.raises(ProviderError, match="another network 'painter' than the one that was kept: size mismatch"):
        Wider.load(tmp_path)
    with pytest.raises(ProviderError, match="makes no network 'painter', which was kept; it makes generator"):
        Renamed.load(tmp_path)


def test_two_names_of_one_weight_are_kept(train, tmp_path):
    class Tied(Painter):
        def build(self, films: DatasetInfo) -> dict[str, nn.Module]:
            made = super().build(films)
            made["painter"][0].twin = made["painter"][0].weight
            return made

    provider = Tied()
    provider.fit(train, seed=0, progress=Progress())
    provider.save(tmp_path)
    np.testing.assert_array_equal(painted(Tied.load(tmp_path)), painted(provider))


def test_the_contract_is_imported_without_torch():
    code = (
        "import sys\n"
        "import cxrbench.benchmark.contracts.provider\n"
        "import cxrbench.benchmark.contracts.external\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ------------------------------------------------------------------------------------------- names


def test_every_provider_of_the_package_has_the_name_of_its_entry_point():
    found = {name: plugin.load().name for name, plugin in plugins(PROVIDERS).items() if "cxrbench" in plugin.module}
    assert len(found) >= 26 and all(name == said for name, said in found.items())
    assert Given.name == ""


def test_films_a_hair_outside_of_0_to_1_are_cut_and_said(train):
    images = np.full((N, 1, SIDE, SIDE), 0.5, dtype=np.float32)
    images[0, 0, 0, :2] = -0.0005, 1.0008
    made = sampled(train, films(N, images=images))
    assert made.images[0, 0, :2].tolist() == [0, 255]
    assert made.info.remarks == ("values -0.0005 to 1.0008, a hair outside of 0 to 1, were cut there",)
    assert sampled(train, films(N)).info.remarks == ()


@pytest.mark.parametrize(
    ("low", "high", "cure"), [(-1, 1, r"\(x \+ 1\) / 2"), (0, 255, "x / 255"), (-3, 9, r"in \[0, 1\]$")]
)
def test_films_of_another_range_are_refused_with_the_cure(train, low, high, cure):
    images = np.linspace(low, high, N * SIDE * SIDE, dtype=np.float32).reshape(N, 1, SIDE, SIDE)
    with pytest.raises(ProviderError, match=cure):
        sampled(train, films(N, images=images))
