"""Labels where nothing is known, or more than one thing is said: refused in one line, never guessed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cxrbench.benchmark.contracts.external import films_of_folder
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.errors import ProviderError

from .test_picture_folders import films, write

NAMES = "No Finding\nMass\nEdema\n"


@pytest.fixture
def train() -> Dataset:
    return films(masks=False, findings=True)


def refused(folder: Path, train: Dataset) -> str:
    with pytest.raises(ProviderError) as caught:
        films_of_folder(folder, train)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def rows_of(folder: Path, train: Dataset, names: list[str] | None, **columns: object) -> Path:
    """A dataset of 🤗 `datasets` on disk with the films and some columns; names: of a ClassLabel `label`."""
    cells = [{"bytes": (folder / f"f{row}.png").read_bytes(), "path": None} for row in range(len(train))]
    table = pa.table({"image": cells, **columns})
    if names:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    room = folder / "rows"
    room.mkdir()
    with pa.OSFile(str(room / "data.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    (room / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    return room


@pytest.mark.parametrize("number", [-1, 3, None])
def test_a_class_without_a_name_is_not_the_last_one(train, tmp_path, number):
    """-1 is what 🤗 datasets writes for a label that is not known."""
    write(tmp_path, train.images)
    labels = [0] * len(train)
    labels[-1] = number
    names = NAMES.splitlines()
    if number is None:
        labels = [[one] for one in labels]
    line = refused(rows_of(tmp_path, train, names, label=labels), train)
    assert f"the column 'label' has the class {number}, and names 0 to 2" in line


def test_columns_of_rows_that_are_not_read_are_named(train, tmp_path):
    write(tmp_path, train.images)
    room = rows_of(tmp_path, train, None, Mass=[0] * len(train), prompt=["a"] * len(train))
    assert "columns not read: Mass, prompt" in films_of_folder(room, train).info.remarks


@pytest.mark.parametrize("label", [None, {"Mass": 0, "Edema": 1}, [[1]], [None], 0.5])
def test_a_class_that_is_none_is_refused(train, tmp_path, label):
    write(tmp_path, train.images)
    labels = [[f"f{row}.png", label] for row in range(len(train))]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    assert f"the class of a film is {label!r}: expected the name of a finding" in refused(tmp_path, train)


def test_whole_numbers_may_be_written_as_floats(train, tmp_path):
    write(tmp_path, train.images)
    (tmp_path / "classes.txt").write_text(NAMES)
    labels = [[f"f{row}.png", float(row % 3)] for row in range(len(train))]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    made = films_of_folder(tmp_path, train)
    assert made.cases["Mass"].tolist() == [int(row % 3 == 1) for row in range(len(train))]


def test_an_empty_line_among_the_names_of_classes_is_refused(train, tmp_path):
    """Left out, it would shift every name after it by one."""
    np.savez(tmp_path / "s.npz", arr_0=train.images, arr_1=np.zeros(len(train), dtype=np.int64))
    (tmp_path / "classes.txt").write_text("\nMass\nEdema\n")
    assert "classes.txt: line 1 is empty; expected the name of class 0" in refused(tmp_path, train)
    (tmp_path / "classes.txt").write_text(NAMES + "\n\n")
    assert films_of_folder(tmp_path, train).labels().sum() == 0


def table(folder: Path, train: Dataset, **columns: object) -> Path:
    write(folder, train.images)
    pd.DataFrame({"id": [f"f{row}" for row in range(len(train))], **columns}).to_csv(folder / "labels.csv", index=False)
    return folder


def test_two_columns_of_one_finding_are_refused(train, tmp_path):
    flags = dict(zip(train.info.findings, train.labels().T, strict=True))
    table(tmp_path, train, **flags, mass=1 - flags["Mass"])
    assert "the columns Mass and mass are both of Mass; expected one" in refused(tmp_path, train)


def test_names_and_flags_must_say_the_same(train, tmp_path):
    flags = dict(zip(train.info.findings, train.labels().T, strict=True))
    names = ["|".join(name for name in flags if flags[name][row]) for row in range(len(train))]
    made = films_of_folder(table(tmp_path / "same", train, **flags, label=names), train)
    np.testing.assert_array_equal(made.labels(), train.labels())
    assert "labels.csv: labels of the column 'label', not of " + ", ".join(flags) in made.info.remarks
    table(tmp_path / "other", train, **{**flags, "Mass": 1 - flags["Mass"]}, label=names)
    assert "by the column 'label' and" in refused(tmp_path / "other", train)


# ------------------------------------------------------------------------------------------------------------- arrays


def test_arrays_of_several_types_are_refused(train, tmp_path):
    """White is 255 in the one and 1 in the other."""
    np.save(tmp_path / "a.npy", train.images[..., None])
    np.save(tmp_path / "b.npy", train.images[..., None].astype(np.float32) / 255)
    assert "values of the types float32, uint8, expected one" in refused(tmp_path, train)


@pytest.mark.parametrize("kind", ["M8[s]", "complex64", "bool"])
def test_arrays_of_no_grey_are_one_line(train, tmp_path, kind):
    np.save(tmp_path / "a.npy", train.images.astype(kind))
    assert "values of type" in refused(tmp_path, train)


def test_masks_without_pixels_are_one_line(tmp_path):
    train = films()
    np.savez(tmp_path / "s.npz", arr_0=train.images, masks=np.zeros((len(train), 0, 0), dtype=np.uint8))
    assert "has no pixels" in refused(tmp_path, train)


def test_a_folder_that_is_not_there_is_one_line(train, tmp_path):
    assert "there is no such folder" in refused(tmp_path / "none", train)
