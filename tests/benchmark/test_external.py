"""Films of any program: folders of pictures, dataset folders, and commands that write them."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.errors import ProviderError
from cxrbench.benchmark.external import CommandProvider, CommandSettings, FolderProvider
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.provider import Provider, collect

ORGANS = ("left_lung", "heart")
PROGRAM = """
import os, sys
from pathlib import Path
from cxrbench.benchmark.dataset import load_dataset
train = load_dataset(Path(os.environ["CXRBENCH_TRAIN"]))
count, seed = int(os.environ["CXRBENCH_N"]), int(os.environ["CXRBENCH_SEED"])
films = train.select([(index + seed) % len(train) for index in range(min(count, len(train)))])
films.save(Path(os.environ["CXRBENCH_OUT"]))
"""


@pytest.fixture
def train() -> Dataset:
    draw = np.random.default_rng(0)
    info = DatasetInfo(name="train", resolution=16, organs=ORGANS)
    ids = [f"case{index}" for index in range(6)]
    images = draw.integers(0, 256, (6, 16, 16), dtype=np.uint8)
    masks = draw.integers(0, 4, (6, 16, 16), dtype=np.uint8)
    return Dataset(info, images, pd.DataFrame({"id": ids, "patient": ids}), masks=masks)


def sampled(provider: Provider, train: Dataset, n: int, tmp_path: Path, seed: int = 0) -> Dataset:
    """Fit, keep, load and sample, as a run does."""
    provider.fit(train, seed=0, progress=Progress())
    kept = tmp_path / "kept"
    if not kept.exists():
        kept.mkdir()
        provider.save(kept)
    loaded = type(provider).load(kept, provider.settings)
    return collect("external", loaded, train, n, seed=seed, progress=Progress())


def write_pictures(folder: Path, train: Dataset, *, per_organ: bool) -> None:
    (folder / "images").mkdir(parents=True)
    for index, name in enumerate(train.ids):
        cv2.imwrite(str(folder / "images" / f"{name}.png"), train.images[index])
        if per_organ:
            for bit, organ in enumerate(ORGANS):
                (folder / "masks" / organ).mkdir(parents=True, exist_ok=True)
                picture = ((train.masks[index] >> bit) & 1) * np.uint8(255)
                cv2.imwrite(str(folder / "masks" / organ / f"{name}.png"), picture)
        else:
            (folder / "masks").mkdir(exist_ok=True)
            cv2.imwrite(str(folder / "masks" / f"{name}.png"), train.masks[index])


@pytest.mark.parametrize("per_organ", [False, True])
def test_a_folder_of_pictures_gives_its_films_and_masks(train, tmp_path, per_organ):
    write_pictures(tmp_path / "films", train, per_organ=per_organ)
    made = sampled(FolderProvider(str(tmp_path / "films")), train, 6, tmp_path)
    np.testing.assert_array_equal(made.images, train.images)
    np.testing.assert_array_equal(made.masks, train.masks)


def test_a_dataset_folder_may_have_its_organs_in_another_order(train, tmp_path):
    train.with_organs(ORGANS[::-1]).save(tmp_path / "films")
    made = sampled(FolderProvider(str(tmp_path / "films")), train, 6, tmp_path)
    np.testing.assert_array_equal(made.masks, train.masks)


def test_a_folder_draws_without_replacement_by_the_seed(train, tmp_path):
    train.save(tmp_path / "films")
    draws = {sampled(FolderProvider(str(tmp_path / "films")), train, 3, tmp_path, s).digest for s in range(4)}
    assert len(draws) > 1


def test_a_folder_with_too_few_films_says_how_many(train, tmp_path):
    train.save(tmp_path / "films")
    with pytest.raises(ProviderError, match="has 6 films, expected at least 7"):
        sampled(FolderProvider(str(tmp_path / "films")), train, 7, tmp_path)


def test_a_folder_without_films_or_without_any_organ_says_so(train, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ProviderError, match=r"expected dataset.json or images/\*.png"):
        sampled(FolderProvider(str(tmp_path / "empty")), train, 1, tmp_path)
    info = train.info.model_copy(update={"organs": ("airways", "aorta")})
    replace(train, info=info).save(tmp_path / "other")
    with pytest.raises(ProviderError, match="has no masks of left_lung or heart: expected at least one"):
        sampled(FolderProvider(str(tmp_path / "other")), train, 1, tmp_path / "other")


def test_a_folder_may_have_masks_of_some_organs_alone(train, tmp_path):
    train.with_organs(["heart"]).save(tmp_path / "heart")
    write_pictures(tmp_path / "pictures", train, per_organ=True)
    shutil.rmtree(tmp_path / "pictures" / "masks" / "left_lung")
    for name in ("heart", "pictures"):
        made = sampled(FolderProvider(str(tmp_path / name)), train, 6, tmp_path / name)
        assert made.organs == ("heart",)
        np.testing.assert_array_equal(made.organ_masks(), train.organ_masks(["heart"]))


def command(tmp_path: Path, text: str, **settings: float) -> CommandProvider:
    (tmp_path / "gen.py").write_text(text)
    return CommandProvider(f"{sys.executable} {tmp_path / 'gen.py'}", CommandSettings(**settings))


def test_a_command_reads_the_training_set_and_writes_films(train, tmp_path):
    made = sampled(command(tmp_path, PROGRAM), train, 4, tmp_path, seed=2)
    np.testing.assert_array_equal(made.images, train.images[2:6])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys; sys.exit('the disk is on fire')", "exit code 1: the disk is on fire"),
        ("pass", "wrote no valid dataset to CXRBENCH_OUT"),
        ("import time; time.sleep(60)", "took more than 2 s"),
        (PROGRAM.replace("min(count, len(train))", "2"), "2 films in all, expected 4"),
    ],
)
def test_a_command_that_fails_is_one_line(train, tmp_path, text, message):
    limit = 2.0 if "sleep" in text else 60.0
    with pytest.raises(ProviderError, match=message):
        sampled(command(tmp_path, text, time_limit=limit), train, 4, tmp_path)


def test_a_command_that_does_not_exist_is_one_line(train, tmp_path):
    with pytest.raises(ProviderError, match="cannot be started"):
        sampled(CommandProvider("/no/such/program --fast"), train, 1, tmp_path)
