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

from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.contracts.external import CommandProvider, CommandSettings, FolderProvider
from cxrbench.benchmark.contracts.provider import Provider
from cxrbench.benchmark.data.dataset import Annotation, Dataset, DatasetInfo
from cxrbench.benchmark.errors import ProviderError
from cxrbench.benchmark.progress import Progress

from ..organs import with_organs

ORGANS = ("left_lung", "heart")
PROGRAM = """
import os, sys
from pathlib import Path
from cxrbench.benchmark.data.dataset import load_dataset
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
        kept.mkdir(parents=True)
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
            (folder / "masks.toml").write_text('masks = "bits:left_lung=1,heart=2"\n')


@pytest.mark.parametrize("per_organ", [False, True])
def test_a_folder_of_pictures_gives_its_films_and_masks(train, tmp_path, per_organ):
    write_pictures(tmp_path / "films", train, per_organ=per_organ)
    made = sampled(FolderProvider(str(tmp_path / "films")), train, 6, tmp_path)
    np.testing.assert_array_equal(made.images, train.images)
    np.testing.assert_array_equal(made.masks, train.masks)


def test_a_dataset_folder_may_have_its_organs_in_another_order(train, tmp_path):
    with_organs(train, ORGANS[::-1]).save(tmp_path / "films")
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
    with_organs(train, ["heart"]).save(tmp_path / "heart")
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


FINDINGS = ("Mass", "Nodule")


@pytest.fixture
def annotated(train) -> Dataset:
    """The training films with labels and boxes as well."""
    info = train.info.model_copy(update={"findings": FINDINGS})
    cases = train.cases.assign(Mass=[0, 1, 0, 1, 0, 1], Nodule=[0, 0, 1, 1, 0, 0])
    rows = [("case1", "Mass", 2.0, 4.0, 6.0, 8.0), ("case3", "Mass", 0, 0, 4, 4), ("case3", "Nodule", 8, 8, 8, 8)]
    boxes = pd.DataFrame(rows, columns=["id", "finding", "x", "y", "w", "h"])
    return Dataset(info, train.images, cases, train.masks, boxes)


def box_rows(films: Dataset) -> list[tuple]:
    """Boxes as (place of the film, finding, x, y, w, h), film by film."""
    place = {name: index for index, name in enumerate(films.ids)}
    return sorted((place[row[0]], *row[1:]) for row in films.boxes.itertuples(index=False, name=None))


def assert_same_annotations(made: Dataset, films: Dataset) -> None:
    np.testing.assert_array_equal(made.images, films.images)
    np.testing.assert_array_equal(made.masks, films.masks)
    np.testing.assert_array_equal(made.labels(), films.labels())
    assert box_rows(made) == box_rows(films)


def test_a_dataset_folder_gives_labels_and_boxes_too(annotated, tmp_path):
    columns = annotated.cases[["id", "patient", "Nodule", "Mass"]]
    info = annotated.info.model_copy(update={"findings": FINDINGS[::-1]})
    replace(annotated, info=info, cases=columns).save(tmp_path / "films")
    assert_same_annotations(sampled(FolderProvider(str(tmp_path / "films")), annotated, 6, tmp_path), annotated)


def test_a_command_gives_labels_and_boxes_too(annotated, tmp_path):
    made = sampled(command(tmp_path, PROGRAM), annotated, 6, tmp_path, seed=2)
    assert_same_annotations(made, annotated.select([2, 3, 4, 5, 0, 1]))


def test_a_folder_of_other_annotations_than_the_training_set_gives_those_that_both_have(annotated, train, tmp_path):
    annotated.save(tmp_path / "all")
    made = sampled(FolderProvider(str(tmp_path / "all")), train, 6, tmp_path / "a")
    assert made.annotations == {Annotation.MASKS}
    train.save(tmp_path / "masks")
    provider = FolderProvider(str(tmp_path / "masks"))
    provider.fit(annotated, seed=0, progress=Progress())
    wanted = frozenset({Annotation.MASKS})
    made = collect("external", provider, annotated, 6, seed=0, progress=Progress(), wanted=wanted)
    assert made.annotations == wanted
    with pytest.raises(ProviderError, match="labels"):
        wanted = frozenset({Annotation.LABELS})
        collect("external", provider, annotated, 6, seed=0, progress=Progress(), wanted=wanted)


def test_films_that_lack_some_findings_or_have_strange_labels_or_boxes_are_refused(annotated, tmp_path):
    info = annotated.info.model_copy(update={"findings": ("Mass",)})
    replace(annotated, info=info).save(tmp_path / "few")
    with pytest.raises(ProviderError, match="few has no labels of Nodule: expected every finding"):
        sampled(FolderProvider(str(tmp_path / "few")), annotated, 6, tmp_path / "a")
    replace(annotated, cases=annotated.cases.assign(Mass=0.5)).save(tmp_path / "strange")
    with pytest.raises(ProviderError, match="strange has other labels of Mass than 0 and 1"):
        sampled(FolderProvider(str(tmp_path / "strange")), annotated, 6, tmp_path / "b")
    replace(annotated, boxes=annotated.boxes.assign(x=14.0)).save(tmp_path / "outside")
    with pytest.raises(ProviderError, match="expected x, y, w, h in pixels inside a film of 16"):
        sampled(FolderProvider(str(tmp_path / "outside")), annotated, 6, tmp_path / "c")


def write_tables(folder: Path, films: Dataset, *, by_name: bool, scale: int = 1) -> None:
    """labels.csv in one of its two forms, and boxes.csv for films that are `scale` times as large."""
    labels = pd.DataFrame({"id": films.ids})
    if by_name:
        texts = ["|".join(np.array(FINDINGS)[row.astype(bool)]) or "No Finding" for row in films.labels()]
        labels = pd.DataFrame({"file": [f"{name}.png" for name in films.ids], "findings": texts})
    else:
        labels[list(FINDINGS)] = films.labels()
    labels.sample(frac=1, random_state=0).to_csv(folder / "labels.csv", index=False)
    boxes = films.boxes.copy()
    boxes[["x", "y", "w", "h"]] *= scale
    boxes.to_csv(folder / "boxes.csv", index=False)


@pytest.mark.parametrize("by_name", [False, True])
def test_a_folder_of_pictures_with_tables_gives_its_labels_and_boxes(annotated, tmp_path, by_name):
    write_pictures(tmp_path / "films", annotated, per_organ=True)
    write_tables(tmp_path / "films", annotated, by_name=by_name)
    assert_same_annotations(sampled(FolderProvider(str(tmp_path / "films")), annotated, 6, tmp_path), annotated)


def test_boxes_are_scaled_with_the_pictures(annotated, tmp_path):
    (tmp_path / "films" / "images").mkdir(parents=True)
    for name, film in zip(annotated.ids, annotated.images, strict=True):
        cv2.imwrite(str(tmp_path / "films" / "images" / f"{name}.png"), np.kron(film, np.ones((3, 3), np.uint8)))
    write_tables(tmp_path / "films", annotated, by_name=True, scale=3)
    provider = FolderProvider(str(tmp_path / "films"))
    provider.fit(annotated, seed=0, progress=Progress())
    wanted = frozenset({Annotation.BOXES})
    made = collect("external", provider, annotated, 6, seed=0, progress=Progress(), wanted=wanted)
    assert made.annotations == {Annotation.BOXES, Annotation.LABELS}
    assert box_rows(made) == box_rows(annotated)
    np.testing.assert_array_equal(made.images, annotated.images)


LABELS_OF_ALL = "id,findings\n" + "".join(f"case{index},\n" for index in range(6))


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("labels.csv", "", r"labels.csv is empty \(0 bytes\)"),
        ("labels.csv", "name,Mass\n", "labels.csv has no rows below its header"),
        ("labels.csv", "name,Mass\ncase0,1\n", "expected a column 'id' or 'file', found name, Mass"),
        ("labels.csv", "id,Mass\ncase0,1\n", "no column Nodule: expected one for every finding, or 'findings'"),
        ("labels.csv", "id,Mass,Nodule\ncase0,1,yes\n", "line 2: expected 0 or 1, found 'yes'"),
        ("labels.csv", "id,findings\ncase0,Mass|TB\n", r"'TB' is no finding of the training set \(Mass, Nodule\)"),
        ("labels.csv", "id,findings\ncase0,Mass\ncase0,\n", "line 3: the second line of film 'case0'"),
        ("labels.csv", "id,findings\ncase9,Mass\n", "line 2: there is no film case9"),
        ("labels.csv", "id,findings\ncase0,Mass\n", "no line of 5 of 6 films, the first is 'case1'"),
        ("labels.csv", "id,findings\ncase0\n", "line 2 of .*labels.csv does not have the 2 fields"),
        ("labels.csv", b"id,findings\n\x00\x01\n", "labels.csv is no text"),
        ("boxes.csv", "id,finding,x,y\ncase0,Mass,1,1\n", "needs the columns id,finding,x,y,w,h"),
        (
            "boxes.csv",
            "id,finding,x,y,w,h\ncase0,Mass,1,1,two,2\n",
            "line 2 of .*boxes.csv: x, y, w, h must be numbers",
        ),
        (
            "boxes.csv",
            "id,finding,x,y,w,h\ncase0,Mass,10,1,8,2\n",
            "Mass of case0 at x 10 to 18, y 1 to 3; the film is 16 x 16",
        ),
        (
            "boxes.csv",
            "id,finding,x,y,w,h\ncase0,Mass,1,1,nan,2\n",
            "line 2 of .*: expected a finding and a box with w",
        ),
        (
            "boxes.csv",
            "id,finding,x,y,w,h\ncase0,TB,1,1,2,2\n",
            "a box of 'TB', expected a finding of the training set",
        ),
    ],
)
def test_a_table_that_is_wrong_is_one_line(annotated, tmp_path, file, text, message):
    write_pictures(tmp_path / "films", annotated, per_organ=False)
    (tmp_path / "films" / "labels.csv").write_text(LABELS_OF_ALL)
    (tmp_path / "films" / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ProviderError, match=message) as caught:
        sampled(FolderProvider(str(tmp_path / "films")), annotated, 6, tmp_path)
    assert "\n" not in str(caught.value)


def test_real_cases_that_films_were_learnt_from_are_named_beside_them(train, tmp_path):
    train.save(tmp_path / "films")
    provider = FolderProvider(str(tmp_path / "films"))
    assert list(provider.trained_on()) == []
    (tmp_path / "films" / "trained_on.txt").write_text("00000001_000\n\n 00000002_003 \n")
    assert provider.trained_on() == ["00000001_000", "00000002_003"]
    sampled(provider, train, 6, tmp_path)
    (tmp_path / "films" / "trained_on.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProviderError, match="expected a text file in UTF-8"):
        provider.trained_on()


def test_a_command_may_name_the_real_cases_it_has_learnt_from(train, tmp_path):
    provider = command(tmp_path, PROGRAM + '(Path(os.environ["CXRBENCH_OUT"]) / "trained_on.txt").write_text("a\\nb")')
    assert list(provider.trained_on()) == []
    provider.fit(train, seed=0, progress=Progress())
    collect("external", provider, train, 4, seed=0, progress=Progress())
    assert provider.trained_on() == ["a", "b"]
