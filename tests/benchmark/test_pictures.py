"""Films as generators write them: the same films whatever the form, or one line that says what to do."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from cxrbench.benchmark.contracts import pictures
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.contracts.external import CommandProvider, FolderProvider
from cxrbench.benchmark.contracts.provider import Provider
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.importers.manifest import import_manifest
from cxrbench.benchmark.data.importers.manifest_options import ManifestOptions
from cxrbench.benchmark.errors import ProviderError
from cxrbench.benchmark.progress import Progress

ORGANS = ("left_lung", "right_lung", "heart")
FINDINGS = ("Mass", "Nodule", "Effusion")
COUNT, SIDE = 8, 32


@pytest.fixture
def train() -> Dataset:
    """Films of 32 pixels with masks, labels and boxes."""
    draw = np.random.default_rng(0)
    ids = [f"case{index}" for index in range(COUNT)]
    labels = draw.integers(0, 2, (COUNT, len(FINDINGS)))
    labels[:4] = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    cases = pd.DataFrame({"id": ids, "patient": ids}).assign(**dict(zip(FINDINGS, labels.T, strict=True)))
    rows = [
        ("case1", "Mass", 2.3, 4.1, 6.7, 8.9),
        ("case3", "Effusion", 0, 0, 31.7, 4),
        ("case3", "Effusion", 8, 8, 9.1, 8),
    ]
    masks = draw.integers(0, 8, (COUNT, SIDE, SIDE), dtype=np.uint8)
    return Dataset(
        DatasetInfo(name="train", resolution=SIDE, organs=ORGANS, findings=FINDINGS),
        draw.integers(0, 256, (COUNT, SIDE, SIDE), dtype=np.uint8),
        cases,
        masks,
        pd.DataFrame(rows, columns=pictures.BOX_COLUMNS),
    )


def sampled(provider: Provider, train: Dataset, count: int = COUNT, wanted: frozenset = frozenset()) -> Dataset:
    provider.fit(train, seed=0, progress=Progress())
    return collect("folder", provider, train, count, seed=0, progress=Progress(), wanted=wanted)


def of_folder(folder: Path, train: Dataset, count: int = COUNT) -> Dataset:
    return sampled(FolderProvider(str(folder)), train, count)


def write_films(folder: Path, films: Dataset, name: Callable[[int], str] = lambda row: f"case{row}.png") -> Path:
    for row, film in enumerate(films.images):
        path = folder / name(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(film).save(path)
    return folder


def write_masks(
    folder: Path, films: Dataset, value: int = 255, named: Callable[[str], str] = str, scale: int = 1
) -> None:
    for bit, organ in enumerate(films.organs):
        (folder / "masks" / named(organ)).mkdir(parents=True)
        for row, bits in enumerate(films.masks):
            mask = np.kron((bits >> bit) & 1, np.ones((scale, scale), np.uint8)) * np.uint8(value)
            Image.fromarray(mask).save(folder / "masks" / named(organ) / f"case{row}.png")


# --------------------------------------------------------------------------------------------------- where films lie


@pytest.mark.parametrize(
    "name",
    [
        lambda row: f"case{row}.png",
        lambda row: f"images/case{row}.png",
        lambda row: f"batch_{row // 3}/case{row}.png",
        lambda row: f"images/000000/{row:06d}.bmp",
        lambda row: f"{row // 4}/{row % 4}.tif",
    ],
    ids=["flat", "images", "nested", "as EDM writes", "the same names in two folders"],
)
def test_films_in_any_folder_are_found_in_the_order_of_their_paths(train, tmp_path, name):
    made = of_folder(write_films(tmp_path, train, name), train)
    np.testing.assert_array_equal(made.images, train.images)


def test_a_folder_without_films_says_what_may_be_there(train, tmp_path):
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(ProviderError, match=r"expected dataset.json or images/\*.png \(also other pictures"):
        of_folder(tmp_path, train)


def test_masks_among_films_are_no_films(train, tmp_path):
    write_films(tmp_path, train)
    Image.fromarray(train.images[0]).save(tmp_path / "case0_mask.png")
    with pytest.raises(ProviderError, match=r"case0_mask.png seems to be a mask among films: put masks into"):
        of_folder(tmp_path, train)


def test_two_films_of_one_name_and_a_damaged_film_are_one_line(train, tmp_path):
    write_films(tmp_path, train)
    Image.fromarray(train.images[0]).save(tmp_path / "case0.bmp")
    with pytest.raises(ProviderError, match="two films are called case0"):
        of_folder(tmp_path, train)
    (tmp_path / "case0.bmp").unlink()
    (tmp_path / "case1.png").write_bytes((tmp_path / "case1.png").read_bytes()[:200])
    with pytest.raises(ProviderError, match=r"case1.png cannot be read as an image"):
        of_folder(tmp_path, train)


def test_films_of_other_sizes_are_padded_and_scaled_and_that_is_said(train, tmp_path):
    write_films(tmp_path, train)
    Image.fromarray(np.full((48, 64), 200, dtype=np.uint8)).save(tmp_path / "case0.png")
    Image.fromarray(np.full((8, 8), 200, dtype=np.uint8)).save(tmp_path / "case1.png")
    provider = FolderProvider(str(tmp_path))
    made = sampled(provider, train)
    assert made.images[0, :4].max() == 0 and made.images[0, 4:28].min() == 200
    noticed = provider.facts()["noticed"]
    assert "1 film is smaller than 32 pixels" in noticed and "1 film is not square" in noticed


# ------------------------------------------------------------------------------------------------- masks in a folder


@pytest.mark.parametrize("value", [1, 255])
@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("named", [str, lambda organ: organ.replace("_", " "), lambda organ: organ.title()])
def test_a_file_an_organ_in_any_value_size_and_spelling_is_the_organ(train, tmp_path, value, scale, named):
    """Dice 1 with what a dataset folder gives."""
    write_films(tmp_path / "images", train)
    write_masks(tmp_path, train, value, named, scale)
    made = of_folder(tmp_path, train)
    assert made.organs == ORGANS
    np.testing.assert_array_equal(made.masks, train.masks)


def test_larger_films_and_masks_shrink_alike(train, tmp_path):
    """128 pixels for a task of 32: masks are where a dataset folder has them."""
    draw = np.random.default_rng(1)
    large = np.kron(draw.integers(0, 8, (COUNT, 16, 16), dtype=np.uint8), np.ones((1, 8, 8), np.uint8))
    large = np.roll(large, 3, axis=(1, 2))
    films = Dataset(
        train.info.changed(resolution=128), np.kron(train.images, np.ones((1, 4, 4), np.uint8)), train.cases, large
    )
    write_films(tmp_path / "images", films)
    write_masks(tmp_path, films)
    np.testing.assert_array_equal(of_folder(tmp_path, train).masks, films.resized(SIDE).masks)


def test_one_mask_of_0_and_255_is_not_the_mask_of_every_organ(train, tmp_path):
    write_films(tmp_path / "images", train)
    write_films(tmp_path / "masks", replace(train, images=(train.masks > 3).astype(np.uint8) * np.uint8(255)))
    with pytest.raises(ProviderError, match="has the value 255, which no organ has: bit flags of 3 organs go to 7"):
        of_folder(tmp_path, train)


def test_label_maps_are_taken_where_masks_toml_says_so(train, tmp_path):
    labels = np.random.default_rng(2).integers(0, 4, train.images.shape, dtype=np.uint8)
    write_films(tmp_path / "images", train)
    write_films(tmp_path / "masks", replace(train, images=labels))
    with pytest.raises(ProviderError, match=r'write masks = "labels:left_lung=1,.*" into .*masks.toml'):
        of_folder(tmp_path, train)
    (tmp_path / "masks.toml").write_text('masks = "labels:left_lung=1,heart=3,ignore=2"\n')
    made = of_folder(tmp_path, train)
    assert made.organs == ("left_lung", "heart")
    np.testing.assert_array_equal(made.masks, (labels == 1) * 1 + (labels == 3) * 2)
    (tmp_path / "masks.toml").write_text("masks: labels")
    with pytest.raises(ProviderError, match=r"masks.toml: expected a line masks ="):
        of_folder(tmp_path, train)


def test_masks_may_have_another_format_and_an_ending(train, tmp_path):
    write_films(tmp_path / "images", train, lambda row: f"a/case{row}.jpg")
    for row, bits in enumerate(train.masks):
        (tmp_path / "masks" / "heart").mkdir(parents=True, exist_ok=True)
        Image.fromarray(bits >> 2 & 1 > 0).save(tmp_path / "masks" / "heart" / f"case{row}_mask.gif")
    made = of_folder(tmp_path, train)
    assert made.organs == ("heart",)
    np.testing.assert_array_equal(made.masks, train.masks >> 2 & 1)


def test_films_without_a_mask_and_folders_of_no_organ_are_said(train, tmp_path):
    write_films(tmp_path / "images", train)
    write_masks(tmp_path, train)
    (tmp_path / "masks" / "heart").rename(tmp_path / "masks" / "spleen")
    provider = FolderProvider(str(tmp_path))
    assert sampled(provider, train).organs == ("left_lung", "right_lung")
    assert "masks/spleen is of no organ of the training set" in provider.facts()["noticed"]
    for name in ("Hearts", "haert"):  # may be the heart, which the films then lack
        (tmp_path / "masks" / "spleen").rename(tmp_path / "masks" / name)
        with pytest.raises(ProviderError, match=f"{name}/ is of no organ of the training set, which has left_lung"):
            of_folder(tmp_path, train)
        (tmp_path / "masks" / name).rename(tmp_path / "masks" / "spleen")
    (tmp_path / "masks" / "left_lung" / "case3.png").unlink()
    with pytest.raises(ProviderError, match=r"left_lung: no mask of 1 of 8 films, the first is case3.png"):
        of_folder(tmp_path, train)


# ------------------------------------------------------------------------------------------------------------- labels


def one_hot(train: Dataset) -> np.ndarray:
    """The class of each film: 0 for none, else 1 and more by its first finding."""
    labels = train.labels()
    return np.where(labels.any(axis=1), labels.argmax(axis=1) + 1, 0)


def as_labels(classes: np.ndarray) -> np.ndarray:
    return np.eye(len(FINDINGS) + 1, dtype=np.uint8)[classes][:, 1:]


def test_a_folder_for_each_finding_is_its_label(train, tmp_path):
    names = ["no finding", "mass", "Nodules", "Pleural Effusion"]
    classes = one_hot(train)
    write_films(tmp_path, train, lambda row: f"{names[classes[row]]}/case{row}.png")
    made = of_folder(tmp_path, train)
    order = np.argsort([f"{names[one]}/case{row}" for row, one in enumerate(classes)])
    np.testing.assert_array_equal(made.images, train.images[order])
    np.testing.assert_array_equal(made.labels(), as_labels(classes)[order])
    write_films(tmp_path, train.select([0]), lambda row: "others/x.png")
    with pytest.raises(ProviderError, match=r"x.png: other films lie in folders of findings and this one does not"):
        of_folder(tmp_path, train)


def forms_of_tables(train: Dataset) -> dict[str, tuple[str, pd.DataFrame, dict]]:
    names = [f"case{row}.png" for row in range(COUNT)]
    labels = train.labels()
    lists = [list(np.array(FINDINGS)[row.astype(bool)]) for row in labels]
    columns = dict(zip(FINDINGS, labels.T, strict=True))
    return {
        "columns": ("labels.csv", pd.DataFrame({"id": train.ids, **columns}), {}),
        "floats and other words": (
            "labels.csv",
            pd.DataFrame(
                {"file": names, "mass": labels[:, 0] * 1.0, "Nodules": labels[:, 1], "Pleural Effusion": labels[:, 2]}
            ),
            {},
        ),
        "names": (
            "labels.csv",
            pd.DataFrame({"file": names, "findings": ["|".join(one) or "No Finding" for one in lists]}),
            {},
        ),
        "lists, semicolons": (
            "metadata.csv",
            pd.DataFrame({"file_name": names, "findings": map(str, lists)}),
            {"sep": ";"},
        ),
        "CheXGenBench": (
            "prompt_INFO.csv",
            pd.DataFrame(
                {
                    "prompt": ["A film, of a chest"] * COUNT,
                    "synthetic_filename": [f"/data/synthetic/{name}" for name in names],
                    "chexpert_labels": [str(dict(zip(FINDINGS, map(float, row), strict=True))) for row in labels],
                }
            ),
            {},
        ),
    }


@pytest.mark.parametrize("form", ["columns", "floats and other words", "names", "lists, semicolons", "CheXGenBench"])
def test_labels_in_the_forms_that_tables_have_them(train, tmp_path, form):
    name, table, options = forms_of_tables(train)[form]
    write_films(tmp_path, train)
    table.sample(frac=1, random_state=1).to_csv(tmp_path / name, index=False, **options)
    np.testing.assert_array_equal(of_folder(tmp_path, train).labels(), train.labels())


def test_a_table_of_prompts_alone_gives_films_without_labels_and_says_so(train, tmp_path):
    write_films(tmp_path, train)
    names = [f"case{row}.png" for row in range(COUNT)]
    pd.DataFrame({"prompt": ["a"] * COUNT, "img_savename": names}).to_csv(tmp_path / "prompt_INFO.csv", index=False)
    provider = FolderProvider(str(tmp_path))
    assert sampled(provider, train).info.findings == ()
    assert "prompt_INFO.csv has no labels (its columns: prompt, img_savename)" in provider.facts()["noticed"]


@pytest.mark.parametrize("unknown", ["", "-1", "nan"])
def test_a_finding_that_is_unknown_for_a_film_is_not_absent(train, tmp_path, unknown):
    write_films(tmp_path, train)
    table = pd.DataFrame({"id": train.ids}).assign(**dict(zip(FINDINGS, train.labels().T.astype(str), strict=True)))
    table.loc[2, "Nodule"] = unknown
    table.to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(ProviderError, match="line 4: whether it shows Nodule is not known"):
        of_folder(tmp_path, train)
    table.drop(columns="Nodule").to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(ProviderError, match="no column Nodule: expected one for every finding"):
        of_folder(tmp_path, train)


# ------------------------------------------------------------------------------------------------------------- arrays


def forms_of_arrays(images: np.ndarray) -> dict[str, np.ndarray]:
    colour = np.repeat(images[..., None], 3, axis=-1)
    return {
        "NHWC": colour,
        "NCHW": np.moveaxis(colour, -1, 1),
        "N1HW": images[:, None],
        "NHW": images,
        "floats": images.astype(np.float32) / np.float32(255),
        "16 bit": images.astype(np.uint16) * np.uint16(257),
        "int64": images.astype(np.int64),
        "a hair outside": np.where(images == 255, 1.004, np.where(images == 0, -0.004, images / 255)).astype(
            np.float32
        ),
    }


@pytest.mark.parametrize("form", forms_of_arrays(np.zeros((1, 4, 4), np.uint8)))
@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_arrays_in_any_form_are_the_films(train, tmp_path, form, suffix):
    array = forms_of_arrays(train.images)[form]
    if suffix == "npz":
        np.savez(tmp_path / "samples.npz", array, one_hot(train))
        (tmp_path / "classes.txt").write_text("normal\nMass\nNodule\nEffusion\n")
    else:
        np.save(tmp_path / "samples.npy", array)
        np.save(tmp_path / "labels.npy", train.labels())
    provider = FolderProvider(str(tmp_path))
    made = sampled(provider, train)
    np.testing.assert_array_equal(made.images, train.images)
    np.testing.assert_array_equal(made.labels(), as_labels(one_hot(train)) if suffix == "npz" else train.labels())
    assert ("a hair outside" in provider.facts()["noticed"]) == (form == "a hair outside")


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("alpha", [255, 100])
def test_alpha_of_arrays_is_dropped_and_said_where_it_shows(train, tmp_path, first, alpha):
    grey = train.images[..., None]
    films = np.concatenate([grey, grey, grey, np.full_like(grey, alpha)], axis=-1)
    np.save(tmp_path / "samples.npy", np.moveaxis(films, -1, 1) if first else films)
    provider = FolderProvider(str(tmp_path))
    np.testing.assert_array_equal(sampled(provider, train).images, train.images)
    assert ("alpha dropped" in provider.facts()["noticed"]) == (alpha < 255)


def test_classes_that_nobody_named_are_said_and_left_out(train, tmp_path):
    np.savez(tmp_path / "samples.npz", train.images, one_hot(train))
    provider = FolderProvider(str(tmp_path))
    assert sampled(provider, train).info.findings == ()
    assert "name class 0 in the first line of" in provider.facts()["noticed"]
    (tmp_path / "classes.txt").write_text("normal\nMass\nNodule\nTuberculosis\n")
    with pytest.raises(ProviderError, match="'Tuberculosis' is no finding of the training set"):
        of_folder(tmp_path, train)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.linspace(-1, 1, 4096, dtype=np.float32).reshape(4, 32, 32), r"values -1 to 1, .*Make them \(x \+ 1\) / 2"),
        (np.linspace(0, 255, 4096, dtype=np.float32).reshape(4, 32, 32), r"values 0 to 255, .*Make them x / 255"),
        (np.full((4, 32, 32), np.nan, dtype=np.float32), "holds NaN"),
        (np.zeros((4, 32), dtype=np.uint8), "films of shape \\(4, 32\\), expected"),
        (np.zeros((4, 32, 32, 7), dtype=np.uint8), "expected .N, H, W"),
        (np.zeros((4, 32, 32), dtype=bool), "expected uint8, uint16 or floats"),
        (np.zeros((0, 32, 32), dtype=np.uint8), "expected films, found none"),
        (np.uint8(3), "expected films, found a single value"),
    ],
)
def test_arrays_that_are_no_films_are_refused_with_the_cure(train, tmp_path, array, message):
    np.save(tmp_path / "samples.npy", array)
    with pytest.raises(ProviderError, match=message) as caught:
        of_folder(tmp_path, train, 4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["samples.npz", "samples.npy", "train.parquet", "data.arrow"])
def test_damaged_arrays_and_tables_are_one_line(train, tmp_path, name):
    if name == "samples.npz":
        np.savez_compressed(tmp_path / name, train.images)
    elif name == "samples.npy":
        np.save(tmp_path / name, train.images)
    else:
        write_arrow(tmp_path, train, parquet=name.endswith("parquet"))
    path = next(iter(tmp_path.glob(f"*.{name.rpartition('.')[2]}")))
    whole, draw = path.read_bytes(), np.random.default_rng(0)
    for number in range(60):
        data = bytearray(whole[: draw.integers(1, len(whole))] if number % 2 else whole)
        for place in draw.integers(0, min(len(data), 400), 4):
            data[place] ^= 1 << int(draw.integers(8))
        path.write_bytes(bytes(data))
        try:
            of_folder(tmp_path, train)
        except ProviderError as error:
            assert "\n" not in str(error)


# -------------------------------------------------------------------------------------------- datasets of 🤗 datasets


def write_arrow(folder: Path, train: Dataset, *, parquet: bool = False) -> None:
    """As `save_to_disk` writes it: an Arrow stream, state.json and the features in dataset_info.json."""
    folder.mkdir(exist_ok=True)
    cells = []
    for row, film in enumerate(train.images):
        path = folder / "film.png"
        Image.fromarray(film).save(path)
        cells.append({"bytes": path.read_bytes(), "path": f"case{row}.png"})
        path.unlink()
    names = ["No Finding", *FINDINGS]
    table = pa.table(
        {
            "image": pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            "label": pa.array(one_hot(train)),
        }
    )
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    if parquet:
        import pyarrow.parquet

        kept = json.dumps({"info": {"features": features}}).encode()
        pyarrow.parquet.write_table(table.replace_schema_metadata({b"huggingface": kept}), folder / "train.parquet")
        return
    with (
        pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, table.schema) as out,
    ):
        out.write_table(table, max_chunksize=3)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))


@pytest.mark.parametrize("form", ["dataset", "one split", "parquet"])
def test_a_dataset_on_disk_gives_its_films_and_classes(train, tmp_path, form):
    write_arrow(tmp_path / "train" if form == "one split" else tmp_path, train, parquet=form == "parquet")
    if form == "one split":
        (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    made = of_folder(tmp_path, train)
    np.testing.assert_array_equal(made.images, train.images)
    np.testing.assert_array_equal(made.labels(), as_labels(one_hot(train)))


def test_of_several_splits_one_must_be_named(train, tmp_path):
    write_arrow(tmp_path / "train", train)
    write_arrow(tmp_path / "test", train)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(ProviderError, match="expected one split, found test, train: name its folder"):
        of_folder(tmp_path, train)


def test_classes_as_stylegan_writes_them_are_taken(train, tmp_path):
    write_films(tmp_path, train, lambda row: f"00000/img{row:08d}.png")
    listed = [[f"00000/img{row:08d}.png", int(one)] for row, one in enumerate(one_hot(train))]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": listed}))
    (tmp_path / "classes.txt").write_text("No Finding\nMass\nNodule\nEffusion\n")
    np.testing.assert_array_equal(of_folder(tmp_path, train).labels(), as_labels(one_hot(train)))


# ------------------------------------------------------------------------------------------------------- four ways in


def write_everything(folder: Path, films: Dataset) -> None:
    write_films(folder / "images", films)
    write_masks(folder, films)
    pd.DataFrame({"id": films.ids, **dict(zip(FINDINGS, films.labels().T, strict=True))}).to_csv(
        folder / "labels.csv", index=False
    )
    films.boxes.to_csv(folder / "boxes.csv", index=False)


def by_manifest(folder: Path, films: Dataset, resolution: int) -> Dataset:
    lines = [f"case{row}," + ",".join(map(str, labels)) for row, labels in enumerate(films.labels())]
    header = "id," + ",".join(f"finding_{name}" for name in FINDINGS)
    (folder / "films.csv").write_text("\n".join([header, *lines]))
    options = ManifestOptions(
        path="images/{id}.png",
        masks=[f"{organ}=masks/{organ}/{{id}}.png" for organ in ORGANS],
        boxes=folder / "boxes.csv",
    )
    return import_manifest(folder / "films.csv", resolution, options=options)


def content(films: Dataset) -> tuple[bytes, ...]:
    """Pixels, masks, labels and boxes, to the bit."""
    place = {name: row for row, name in enumerate(films.ids)}
    rows = [(place[row[0]], row[1], *map(float, row[2:])) for row in films.boxes.itertuples(index=False, name=None)]
    return (films.images.tobytes(), films.masks.tobytes(), films.labels().tobytes(), repr(sorted(rows)).encode())


@pytest.mark.parametrize("resolution", [32, 20, 16])
def test_a_dataset_comes_in_by_four_ways_with_the_same_bits(train, tmp_path, resolution):
    task = train.resized(resolution)
    wanted = train.annotations
    write_everything(tmp_path / "pictures", train)
    train.save(tmp_path / "dataset")
    ways = [
        sampled(FolderProvider(str(tmp_path / "dataset")), task, wanted=wanted),
        sampled(FolderProvider(str(tmp_path / "pictures")), task, wanted=wanted),
        sampled(CommandProvider(f"{sys.executable} {copier(tmp_path)}"), task, wanted=wanted),
        by_manifest(tmp_path / "pictures", train, resolution),
    ]
    assert len({content(films) for films in [task, *ways]}) == 1


def copier(folder: Path) -> Path:
    """A program that writes the dataset folder beside it."""
    program = folder / "copy.py"
    program.write_text(
        f"import os, shutil\nshutil.copytree({str(folder / 'dataset')!r}, os.environ['CXRBENCH_OUT'], dirs_exist_ok=True)\n"
    )
    return program


# ---------------------------------------------------------------------------------------------------------- read once


def test_films_are_read_once_in_a_process_and_again_when_the_folder_changes(train, tmp_path, monkeypatch):
    write_films(tmp_path / "films", train)
    calls = []
    read = pictures.find_pictures
    monkeypatch.setattr(pictures, "find_pictures", lambda *args: calls.append(1) or read(*args))
    for _ in range(3):
        of_folder(tmp_path / "films", train)
    assert len(calls) == 1
    Image.fromarray(train.images[1]).save(tmp_path / "films" / "case0.png")
    made = of_folder(tmp_path / "films", train)
    assert len(calls) == 2
    np.testing.assert_array_equal(made.images[0], train.images[1])


def test_what_is_kept_is_bounded(train, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_KEPT", train.images.nbytes * 2)
    for number in range(4):
        of_folder(write_films(tmp_path / str(number), train), train)
    assert sum(map(pictures._bytes, pictures._kept.values())) <= train.images.nbytes * 2
    shutil.rmtree(tmp_path / "3")
