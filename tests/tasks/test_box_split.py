from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.findings import LOCALISED
from cxrbench.benchmark.data.phantom import boxes_like
from cxrbench.benchmark.errors import InputError
from cxrbench.tasks import box_split
from cxrbench.tasks.box_split import (
    Split,
    annotations_of,
    counts,
    films_of,
    healthy_rows,
    keys_digest,
    keys_of,
    split_boxes,
    trained,
)

TRAIN = dict(zip(LOCALISED, (126, 102, 107, 86, 84, 68), strict=True))
TEST = dict(zip(LOCALISED, (54, 44, 46, 37, 36, 30), strict=True))


def table_of(rows):
    """An annotation table of (film, patient, finding)."""
    table = pd.DataFrame(rows, columns=["id", "patient", "finding"])
    table[["x", "y", "w", "h"]] = [4.0, 5.0, 6.0, 7.0]
    return table.assign(key=keys_of(table))


@pytest.fixture(scope="module")
def phantom():
    """The box list of the phantom, without its films."""
    rows = [
        (name, planned.case.patient.id, finding)
        for name, planned in boxes_like._plan().items()
        for finding in planned.areas
        if finding in LOCALISED
    ]
    return table_of(sorted(rows))


def test_seventy_percent_is_taken_in_integers():
    assert [trained(n) for n in (180, 146, 153, 123, 120, 98)] == list(TRAIN.values())
    assert int(0.7 * 180) == 125  # what floating point makes of it
    assert sum(TRAIN.values()) == 573


@pytest.mark.parametrize("split", list(Split))
def test_both_splits_have_the_papers_counts_and_are_pinned(phantom, split):
    found = split_boxes(phantom, split)
    assert counts(phantom.iloc[found.train]) == TRAIN
    assert counts(phantom.iloc[found.test]) == TEST
    assert not set(found.train) & set(found.test)
    assert found.structures == LOCALISED
    pinned = box_split.PINNED[keys_digest(list(phantom["key"]))]
    assert keys_digest(list(phantom["key"].iloc[found.test])) == pinned[split]


def test_a_split_that_is_not_the_pinned_one_stops(phantom, monkeypatch):
    monkeypatch.setattr(box_split, "trained", lambda count: 6 * count // 10)
    with pytest.raises(InputError, match="not the pinned one"):
        split_boxes(phantom, Split.PATIENT)


def test_split_by_patient_shares_no_patient_and_the_papers_does(phantom):
    by_patient, paper = (split_boxes(phantom, split) for split in Split)
    patients = phantom["patient"].to_numpy()
    assert not set(patients[by_patient.train]) & set(patients[by_patient.test])
    assert set(patients[paper.train]) & set(patients[paper.test])
    assert set(phantom["id"].iloc[paper.train]) & set(phantom["id"].iloc[paper.test])


def test_the_order_of_the_list_changes_nothing(phantom):
    turned = phantom.iloc[::-1].reset_index(drop=True)
    for split in Split:
        a, b = split_boxes(phantom, split, 0.1), split_boxes(turned, split, 0.1)
        for side in ("train", "held", "test"):
            assert set(phantom["key"].iloc[getattr(a, side)]) == set(turned["key"].iloc[getattr(b, side)])


def test_held_out_boxes_are_a_tenth_and_of_whole_training_patients(phantom):
    split = split_boxes(phantom, Split.PATIENT, 0.1)
    assert counts(phantom.iloc[split.held]) == {name: round(0.1 * n) for name, n in TRAIN.items()}
    assert len(split.train) + len(split.held) == 573
    patients = phantom["patient"].to_numpy()
    sides = [set(patients[rows]) for rows in (split.train, split.held, split.test)]
    assert sum(map(len, sides)) == len(set.union(*sides))
    with pytest.raises(InputError, match=r"from 0 to 0\.5, found 0\.7"):
        split_boxes(phantom, Split.PATIENT, 0.7)


def test_holding_out_never_takes_the_last_training_box_of_a_finding():
    rows = [(f"{n}_0", str(n), "Pneumonia") for n in range(30)] + [
        ("90_0", "90", "Effusion"),
        ("91_0", "91", "Effusion"),
    ]
    table = table_of(sorted(rows))
    split = split_boxes(table, Split.PATIENT, 0.5)
    assert counts(table.iloc[split.train]) == {"Effusion": 1, "Pneumonia": 11}
    assert len(split.held) == 10


def test_a_finding_with_one_box_is_left_out_and_of_nothing_is_said_what_is_needed():
    rows = [(f"{n}_0", str(n), "Pneumonia") for n in range(10)] + [("90_0", "90", "Effusion")]
    split = split_boxes(table_of(rows), Split.PATIENT)
    assert split.structures == ("Pneumonia",)
    assert (len(split.train), len(split.test)) == (7, 3)
    with pytest.raises(InputError, match=r"no finding has boxes for training and for test.*Effusion 1"):
        split_boxes(table_of([("90_0", "90", "Effusion")]), Split.PATIENT)
    with pytest.raises(InputError, match="two patients; found Effusion 2"):
        split_boxes(table_of([("90_0", "90", "Effusion"), ("90_1", "90", "Effusion")]), Split.PATIENT)


def test_a_quota_that_no_draw_can_meet_is_missed_by_as_little_as_possible():
    # Of 12 boxes 4 test; the patients with five fit nowhere, those with one give two.
    rows = [(f"{patient}_{n}", patient, "Effusion") for patient in ("a", "b") for n in range(5)]
    rows += [("c_0", "c", "Effusion"), ("d_0", "d", "Effusion")]
    table = table_of(rows)
    split = split_boxes(table, Split.PATIENT)
    assert set(table["patient"].iloc[split.test]) == {"c", "d"}


def films_with_boxes():
    """Six films of 8 pixels: a has two boxes, b and c one, d to f none; f is ill, e of a's patient."""
    cases = pd.DataFrame({"id": list("abcdef"), "patient": ["1", "2", "3", "4", "1", "6"]})
    cases["split"] = ["test"] * 3 + ["train"] * 3
    for finding in ("Effusion", "Mass", "Pneumonia"):
        cases[finding] = np.uint8(0)
    cases.loc[5, "Mass"] = np.uint8(1)
    boxes = [("c", "Effusion"), ("a", "Pneumonia"), ("a", "Effusion"), ("b", "Mass"), ("a", "Effusion")]
    table = pd.DataFrame(boxes, columns=["id", "finding"])
    table[["x", "y", "w", "h"]] = np.arange(20, dtype=np.float64).reshape(5, 4)
    info = DatasetInfo(name="six", resolution=8, findings=("Effusion", "Mass", "Pneumonia"))
    images = np.arange(6, dtype=np.uint8)[:, None, None] + np.zeros((6, 8, 8), dtype=np.uint8)
    return Dataset(info=info, images=images, cases=cases, boxes=table)


def test_annotations_are_named_by_film_and_finding():
    table = annotations_of(films_with_boxes())
    assert list(table["key"]) == ["a/Effusion", "a/Effusion/2", "a/Pneumonia", "c/Effusion"]
    assert list(table["patient"]) == ["1", "1", "1", "3"]
    assert list(table["x"]) == [8.0, 16.0, 4.0, 0.0]


def test_films_of_boxes_are_there_once_or_once_for_each_box():
    data = films_with_boxes()
    table = annotations_of(data).iloc[[1, 2, 3]]
    films = films_of(data, table, "some", [3], per_box=False)
    assert films.ids == ["a", "c", "d"]
    assert list(films.boxes["id"]) == ["a", "a", "c"]
    each = films_of(data, table, "some", [3], per_box=True)
    assert each.ids == ["a/Effusion/2", "a/Pneumonia", "c/Effusion", "d"]
    assert list(each.boxes["id"]) == ["a/Effusion/2", "a/Pneumonia", "c/Effusion"]
    assert [list(sources) for sources in each.cases["source_ids"]] == [["a"], ["a"], ["c"], ["d"]]
    assert each.images[:, 0, 0].tolist() == [0, 0, 2, 3]
    assert each.digest != films.digest


def test_healthy_films_train_have_no_finding_and_are_of_nobody_set_apart():
    data = films_with_boxes()
    assert data.cases["id"].iloc[healthy_rows(data, set(), 9)].tolist() == ["d", "e"]
    assert data.cases["id"].iloc[healthy_rows(data, {"1"}, 9)].tolist() == ["d"]
    assert len(healthy_rows(data, set(), 1)) == 1
    assert set(healthy_rows(data, set(), 9, 0.5)) < set(healthy_rows(data, set(), 9))
    assert len(healthy_rows(data, set(), 0)) == 0
    del data.cases["split"]
    assert len(healthy_rows(data, set(), 9)) == 0


# ---------------------------------------------------------------------- the official list


def real_folder(name: str) -> Path:
    place = os.environ.get("CXRBENCH_REAL_DATA")
    if not place:
        pytest.skip("CXRBENCH_REAL_DATA names no folder with real films")
    path = Path(place, name)
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path


@pytest.fixture
def official():
    with real_folder("nih_cxr14/BBox_List_2017.csv").open(newline="") as handle:
        rows = [
            (row[0].removesuffix(".png"), row[1].replace("Infiltrate", "Infiltration")) for row in csv.reader(handle)
        ]
    return table_of(sorted((name, name[:8], finding) for name, finding in rows[1:] if finding in LOCALISED))


@pytest.mark.real_data
def test_the_official_list_is_divided_as_pinned_with_the_papers_counts(official):
    assert (len(official), official["id"].nunique(), official["patient"].nunique()) == (820, 741, 616)
    assert keys_digest(list(official["key"])) in box_split.PINNED
    for split in Split:
        found = split_boxes(official, split)  # raises where it is not the pinned one
        assert counts(official.iloc[found.train]) == TRAIN
        assert counts(official.iloc[found.test]) == TEST
    by_patient = split_boxes(official, Split.PATIENT)
    patients = official["patient"].to_numpy()
    assert not set(patients[by_patient.train]) & set(patients[by_patient.test])


@pytest.mark.real_data
def test_the_worked_example_of_a_split_by_patient_has_the_same_counts(official):
    example = pd.read_csv(real_folder("../published/xing_split_patient_disjoint.csv"))
    example["finding"] = example["class"].replace("Infiltrate", "Infiltration")
    example["id"] = example["image_index"].str.removesuffix(".png")
    assert set(keys_of(example)) == set(official["key"])
    sides = {name: own for name, own in example.groupby("subset")}
    assert counts(sides["train"]) == TRAIN
    assert counts(sides["test"]) == TEST
    assert not set(sides["train"]["id"].str[:8]) & set(sides["test"]["id"].str[:8])
