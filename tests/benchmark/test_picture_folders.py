"""What lies beside films is masks, labels or boxes by its name and shape, or named as not read; it is never a film."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrbench.benchmark.contracts import pictures
from cxrbench.benchmark.contracts.picture_folders import is_masks
from cxrbench.benchmark.contracts.pictures import read_pictures
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.organs import organs_in
from cxrbench.benchmark.errors import ProviderError

ORGANS = ("left_lung", "right_lung")
FINDINGS = ("Mass", "Edema")
COUNT, SIDE = 4, 32


def films(*, masks: bool = True, findings: bool = False) -> Dataset:
    draw = np.random.default_rng(0)
    cases = pd.DataFrame({"id": [f"f{row}" for row in range(COUNT)], "patient": [f"p{row}" for row in range(COUNT)]})
    if findings:
        cases = cases.assign(Mass=[0, 1, 0, 1], Edema=[0, 0, 1, 1])
    bits = np.zeros((COUNT, SIDE, SIDE), np.uint8)
    for row in range(COUNT):
        bits[row, 4 + row : 20, 18:28] |= 1
        bits[row, 6 : 20 + row, 3:13] |= 2
    info = DatasetInfo(
        name="films", resolution=SIDE, organs=ORGANS if masks else (), findings=FINDINGS if findings else ()
    )
    images = draw.integers(0, 256, (COUNT, SIDE, SIDE), dtype=np.uint8)
    boxes = pd.DataFrame([("f1", "Mass", 1.0, 2.0, 3.0, 4.0)], columns=pictures.BOX_COLUMNS) if findings else None
    return Dataset(info, images, cases, bits if masks else None, boxes)


def organ(train: Dataset, bit: int) -> np.ndarray:
    return ((train.masks >> bit) & 1) * np.uint8(255)


def labels_of(train: Dataset) -> np.ndarray:
    return (train.masks & 1) + 2 * ((train.masks >> 1) & 1)


def write(folder: Path, arrays: np.ndarray, name: str = "f{}.png") -> None:
    for row, values in enumerate(arrays):
        path = folder / name.format(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)


def test_masks_of_both_lungs_beside_a_heart_are_refused_where_the_training_set_has_two_lungs(tmp_path):
    train = films()
    train = Dataset(
        train.info.changed(organs=("left_lung", "right_lung", "heart")), train.images, train.cases, train.masks
    )
    write(tmp_path / "images", train.images)
    for name in ("lungs", "heart"):
        write(tmp_path / "masks" / name, organ(train, 0))
    said = refused(tmp_path, train)
    assert "masks: lungs/ is of no organ of the training set, which has left_lung, right_lung, heart" in said
    assert "name it after left_lung or right_lung" in said and "part a mask of both lungs into" in said


def test_deep_films_that_are_dark_beside_films_of_8_bits_are_refused(tmp_path):
    train = films()
    write(tmp_path / "images", [*train.images[:3], train.images[3].astype(np.uint16) * 16])
    said = refused(tmp_path, train)
    assert said.startswith("1 of 4 films has 16 bits and no value above") and "with 65535 as white" in said


def test_films_in_colours_are_said_in_files_and_in_arrays(tmp_path):
    train = films()
    colours = np.stack([train.images, train.images // 2, 255 - train.images], axis=-1)
    grey = np.repeat(train.images[..., None], 3, axis=-1)
    write(tmp_path / "files" / "images", [*grey[:3], colours[3]])
    (tmp_path / "arrays").mkdir()
    np.savez(tmp_path / "arrays" / "samples.npz", arr_0=np.stack([*grey[:3], colours[3]]))
    (tmp_path / "floats").mkdir()
    np.save(tmp_path / "floats" / "films.npy", np.stack([*grey[:3], colours[3]]).astype(np.float32) / 255)
    said = "1 film in colours, made grey by luminance: is it an overlay or a screenshot? ("
    for name in ("files", "arrays", "floats"):
        remarks = read_pictures(tmp_path / name, train).info.remarks
        assert sum(one.startswith(said) for one in remarks) == 1, name


def refused(folder: Path, train: Dataset) -> str:
    with pytest.raises(ProviderError) as caught:
        read_pictures(folder, train)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def same(made: Dataset, train: Dataset) -> bool:
    assert len(made) == len(train)
    np.testing.assert_array_equal(made.images, train.images)
    np.testing.assert_array_equal(made.masks, train.masks)
    return made.organs == train.organs


# -------------------------------------------------------------------------------------------------------------- folders


@pytest.mark.parametrize(
    "name", ["segmentation", "labels", "Mask_images", "GroundTruth", "left_lung", "Left-Lung masks"]
)
def test_folders_of_masks_are_known_by_their_names(name):
    assert is_masks(name)


@pytest.mark.parametrize("name", ["images", "Mass", "run1", "label_0", "samples", "heart_failure", "films"])
def test_other_folders_are_none(name):
    assert not is_masks(name)


@pytest.mark.parametrize("where", ["", "images/"])
@pytest.mark.parametrize("name", ["segmentation", "labels", "Mask_images"])
def test_the_one_folder_beside_films_that_its_name_calls_masks_is_them(tmp_path, where, name):
    train = films()
    write(tmp_path, train.images, f"{where}f{{}}.png")
    write(tmp_path, labels_of(train), f"{name}/f{{}}.png")
    (tmp_path / "masks.toml").write_text('masks = "labels:left_lung=1,right_lung=2"\n')
    made = read_pictures(tmp_path, train)
    assert same(made, train)
    assert f"masks: {name}/ taken for them" in made.info.remarks


@pytest.mark.parametrize("where", ["", "images/"])
def test_folders_of_organs_beside_films_are_their_masks(tmp_path, where):
    train = films()
    write(tmp_path, train.images, f"{where}f{{}}.png")
    write(tmp_path, organ(train, 0), "Left-Lung/f{}.png")
    write(tmp_path, organ(train, 1), "right_lung/f{}.png")
    made = read_pictures(tmp_path, train)
    assert same(made, train)
    assert "masks: the folders Left-Lung, right_lung beside the films" in made.info.remarks


@pytest.mark.parametrize("name", ["lungs", "lung", "Lung masks", "LungMasks", "both_lungs"])
def test_one_mask_of_both_lungs_is_no_mask_of_all_organs(tmp_path, name):
    train = films()
    write(tmp_path, train.images, "images/f{}.png")
    write(tmp_path, organ(train, 0) | organ(train, 1), f"masks/{name}/f{{}}.png")
    said = refused(tmp_path, train)
    assert said == (
        f"{tmp_path}/masks: found {name}/, no organ of the training set; expected left_lung/, right_lung/, those that your "
        "films show; part a mask of both lungs into left_lung/ and right_lung/, or measure on films that have both in one "
        "mask too (cxrbench data import manifest TABLE --mask lungs=masks/{stem}.png)"
    )


def test_an_organ_that_the_training_set_has_not_is_no_mask_of_all_organs(tmp_path):
    train = films()
    write(tmp_path, train.images, "images/f{}.png")
    write(tmp_path, organ(train, 0), "masks/heart/f{}.png")
    said = refused(tmp_path, train)
    assert "found heart/, no organ of the training set; expected left_lung/, right_lung/" in said and "both" not in said


def test_folders_of_films_that_are_called_as_their_masks_are_parts_of_the_set(tmp_path):
    train = films()
    write(tmp_path, train.images, "images/chest/f{}.png")
    write(tmp_path, labels_of(train), "masks/chest/f{}.png")
    (tmp_path / "masks.toml").write_text('masks = "labels:left_lung=1,right_lung=2"\n')
    assert same(read_pictures(tmp_path, train), train)


def test_two_folders_that_may_be_the_masks_are_refused(tmp_path):
    train = films()
    write(tmp_path, train.images)
    write(tmp_path, labels_of(train), "labels/f{}.png")
    write(tmp_path, labels_of(train), "segmentation/f{}.png")
    assert "which of labels, segmentation has the masks? Call it masks" in refused(tmp_path, train)


@pytest.mark.parametrize("place", ["f{}.png", "A/f{}.png"])
def test_folders_with_films_of_the_same_names_are_refused_unless_numbered(tmp_path, place):
    train = films(findings=True, masks=False)
    write(tmp_path, train.images, place)
    write(tmp_path, train.images, "overlay/f{}.png")
    said = refused(tmp_path, train)
    assert "overlay/ hold files of the same name (f0): films and their masks? Put films into images/" in said


def test_what_is_not_read_is_named(tmp_path):
    train = films(masks=False, findings=True)
    write(tmp_path, train.images, "images/f{}.png")
    write(tmp_path, train.images, "segmentation/f{}.png")
    write(tmp_path, train.images, "overlay/f{}.png")
    np.save(tmp_path / "more.npy", train.images)
    (tmp_path / "labels.json").write_text('{"f0": "Mass"}')
    (tmp_path / "images/notes.csv").write_text("a,b\n1,2\n")
    made = read_pictures(tmp_path, train)
    assert len(made) == COUNT
    assert "not read: overlay/, segmentation/ (the training set has no masks)" in made.info.remarks
    assert "not read: images/notes.csv, labels.json, more.npy" in made.info.remarks


# ------------------------------------------------------------------------------------------------------- names of organs


def test_an_organ_in_a_files_name_is_the_organ(tmp_path):
    train = films()
    write(tmp_path, train.images, "images/f{}.png")
    write(tmp_path, organ(train, 0), "masks/f{}_left_lung.png")
    write(tmp_path, organ(train, 1), "masks/f{}_right_lung.png")
    assert same(read_pictures(tmp_path, train), train)
    (tmp_path / "masks/f2_left_lung.png").unlink()
    assert "no mask of left_lung of 1 of 4 films, the first is f2" in refused(tmp_path, train)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0001_left_lung", [("left_lung", "0001")]),
        ("LeftLung-0001", [("left_lung", "0001")]),
        ("a_lung left_b", [("left_lung", "a_b")]),
        ("lungs_01_heart", [("heart", "lungs_01"), ("lungs", "01_heart")]),
        ("heartless_1", []),
        ("0001", []),
    ],
)
def test_the_organs_in_a_name(text, found):
    assert organs_in(text, ("left_lung", "lungs", "heart")) == found


def test_a_film_may_be_called_after_an_organ(tmp_path):
    train = films()
    write(tmp_path, train.images, "images/lungs_{}.png")
    write(tmp_path, organ(train, 0), "masks/lungs_{}_left_lung.png")
    write(tmp_path, organ(train, 1), "masks/lungs_{}_right_lung.png")
    assert same(read_pictures(tmp_path, train), train)


def test_masks_toml_may_lie_in_masks(tmp_path):
    train = films()
    write(tmp_path, train.images, "images/f{}.png")
    write(tmp_path, labels_of(train), "masks/f{}.png")
    (tmp_path / "masks/masks.toml").write_text('masks = "labels:left_lung=1,right_lung=2"\n')
    assert same(read_pictures(tmp_path, train), train)
    (tmp_path / "masks.toml").write_text('masks = "labels:left_lung=2,right_lung=1"\n')
    assert "expected one of the two" in refused(tmp_path, train)


# --------------------------------------------------------------------------------------------------------------- arrays


@pytest.mark.parametrize("form", ["npy", "npz", "labels", "N1HW"])
def test_masks_in_arrays_are_masks(tmp_path, form):
    train = films()
    masks = labels_of(train)
    (tmp_path / "masks.toml").write_text('masks = "labels:left_lung=1,right_lung=2"\n')
    if form == "npy":
        np.save(tmp_path / "images.npy", train.images)
        np.save(tmp_path / "masks.npy", masks)
    else:
        name = "labels" if form == "labels" else "masks"
        np.savez(
            tmp_path / "samples.npz", **{"images": train.images, name: masks[:, None] if form == "N1HW" else masks}
        )
    made = read_pictures(tmp_path, train)
    assert same(made, train)
    assert any(line.startswith("masks: the array ") for line in made.info.remarks)


def test_arrays_called_as_organs_are_their_masks(tmp_path):
    train = films()
    np.savez(tmp_path / "samples.npz", train.images, left_lung=organ(train, 0) > 0, right_lung_mask=organ(train, 1) > 0)
    assert same(read_pictures(tmp_path, train), train)


def test_a_second_array_without_a_name_that_tells_is_refused(tmp_path):
    train = films(masks=False, findings=True)
    np.savez(tmp_path / "samples.npz", train.images, train.images)
    assert "arr_1 (4 x 32 x 32) has the shape of films or masks, expected classes" in refused(tmp_path, train)
    (tmp_path / "samples.npz").unlink()
    np.save(tmp_path / "images.npy", train.images)
    np.save(tmp_path / "other.npy", train.images)
    assert "other.npy (4 x 32 x 32) has the shape of films or masks: call masks `masks`" in refused(tmp_path, train)


def test_arrays_that_are_not_taken_are_named(tmp_path):
    train = films(masks=False, findings=True)
    prompts = np.array(["a", "b", "c", "d"])
    np.savez(tmp_path / "samples.npz", images=train.images, masks=train.images, prompts=prompts)
    made = read_pictures(tmp_path, train)
    assert "not read: samples.npz prompts (4)" in made.info.remarks
    assert "masks not read: masks (the training set has none)" in made.info.remarks


def test_masks_of_another_number_are_refused(tmp_path):
    train = films()
    np.savez(tmp_path / "samples.npz", images=train.images, masks=train.masks[:3])
    assert "masks (3 x 32 x 32): expected masks of 4 films, one array of shape (4, H, W)" in refused(tmp_path, train)


@pytest.mark.parametrize("grey", [True, False])
def test_a_file_may_hold_one_film_and_is_called_by_it(tmp_path, grey):
    train = films()
    for row, film in enumerate(train.images):
        np.save(tmp_path / f"f{row}.npy", film if grey else np.repeat(film[..., None], 3, axis=-1))
    write(tmp_path, labels_of(train), "masks/f{}.png")
    (tmp_path / "masks.toml").write_text('masks = "labels:left_lung=1,right_lung=2"\n')
    made = read_pictures(tmp_path, train)
    assert same(made, train) and list(made.ids) == list(train.ids)


def test_files_of_three_films_or_of_three_colours_are_refused(tmp_path):
    for row, film in enumerate(films().images):
        np.save(tmp_path / f"f{row}.npy", np.repeat(film[None], 3, axis=0))
    said = refused(tmp_path, films())
    assert "4 files of shape (3, 32, 32): is each 3 films or one in colours? Save colours as (H, W, C)" in said


# --------------------------------------------------------------------------------------------------------------- tables


LISTS: dict[str, list[str]] = {"f0": [], "f1": ["Mass"], "f2": ["Edema"], "f3": ["Mass", "Edema"]}
FLAGS = [{"id": one, **{name: int(name in two) for name in FINDINGS}} for one, two in LISTS.items()]


def lines(header: str, form: str = "{},{}", nothing: str = "") -> str:
    rows = [form.format(one, "|".join(two) or nothing) for one, two in LISTS.items()]
    return "\n".join([header, *rows]) + "\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metadata.jsonl", "\n".join(json.dumps({"file_name": f"{one}.png", "labels": LISTS[one]}) for one in LISTS)),
        ("labels.json", json.dumps(FLAGS)),
        ("images/metadata.csv", lines("file_name,findings", "{}.png,{}")),
        ("labels.txt", lines("id\tfindings", "{}\t{}")),
        ("labels.csv", lines("Image Index,Finding Labels", "{}.png,{}", "No Finding")),
        ("labels.csv", lines("ID,Findings")),
        ("labels.csv", "id,finding_Mass,finding_Edema\nf0,0,0\nf1,1,0\nf2,0,1\nf3,1,1\n"),
    ],
)
def test_labels_in_any_table_beside_the_films_are_read(tmp_path, name, text):
    train = films(masks=False, findings=True)
    write(tmp_path, train.images, "images/f{}.png")
    (tmp_path / name).write_text(text)
    made = read_pictures(tmp_path, train)
    np.testing.assert_array_equal(made.labels(), train.labels())
    assert not any(line.startswith("not read") for line in made.info.remarks)


def test_names_with_accents_in_either_spelling_are_one(tmp_path):
    train = films(findings=True)
    write(tmp_path, train.images, unicodedata.normalize("NFD", "images/fö{}.png"))
    write(tmp_path, organ(train, 0), unicodedata.normalize("NFC", "masks/left_lung/fö{}.png"))
    write(tmp_path, organ(train, 1), unicodedata.normalize("NFC", "masks/right_lung/fö{}.png"))
    text = lines("file_name,findings", "{}.png,{}").replace("f", "fö").replace("föile", "file").replace("föind", "find")
    (tmp_path / "labels.csv").write_text(unicodedata.normalize("NFC", text))
    made = read_pictures(tmp_path, train)
    assert same(made, train) and (made.labels() == train.labels()).all()


@pytest.mark.parametrize("name", ["Boxes.csv", "boxes.xlsx", "boxes.parquet", "boxes.jsonl"])
def test_boxes_are_read_from_any_table_of_that_name(tmp_path, name):
    train = films(masks=False, findings=True)
    write(tmp_path, train.images, "images/f{}.png")
    path = tmp_path / name
    {
        ".csv": lambda: train.boxes.to_csv(path, index=False),
        ".xlsx": lambda: train.boxes.to_excel(path, index=False),
        ".parquet": lambda: train.boxes.to_parquet(path, index=False),
        ".jsonl": lambda: train.boxes.to_json(path, orient="records", lines=True),
    }[path.suffix]()
    pd.testing.assert_frame_equal(read_pictures(tmp_path, train).boxes, train.boxes)


@pytest.mark.parametrize("text", ["[1, 2]", "{oops", '{"a": 1}\n[2]'])
def test_json_that_is_no_table_is_one_line(tmp_path, text):
    train = films(masks=False, findings=True)
    write(tmp_path, train.images, "images/f{}.png")
    (tmp_path / "metadata.jsonl").write_text(text)
    assert "metadata.jsonl is JSON, but not a list of objects or an object a line" in refused(tmp_path, train)
