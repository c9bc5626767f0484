"""The split rules against the counts of the papers, and the errors that name the ids."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.data import splits
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.errors import InputError


def test_jsrt_has_154_films_with_and_93_without_nodule():
    assert len(splits.JSRT_IDS) == len(set(splits.JSRT_IDS)) == 247
    assert Counter(name[:5] for name in splits.JSRT_IDS) == {"JPCLN": 154, "JPCNN": 93}


def test_odd_numbers_train_and_even_numbers_test():
    assert splits.odd_even_split(["JPCLN001", "JPCLN002", "JPCNN093", "PHNN010"]) == [
        "train",
        "test",
        "train",
        "test",
    ]
    parts = splits.odd_even_split(splits.JSRT_IDS)
    found = Counter((name[:5], part) for name, part in zip(splits.JSRT_IDS, parts, strict=True))
    assert found == {  # dossier of the official folds: 77 + 47 odd, 77 + 46 even
        ("JPCLN", "train"): 77,
        ("JPCNN", "train"): 47,
        ("JPCLN", "test"): 77,
        ("JPCNN", "test"): 46,
    }


def test_an_id_without_number_has_no_odd_even_split():
    with pytest.raises(InputError, match="id 'film_a' does not end in a number"):
        splits.odd_even_split(["film_a"])


def test_three_folds_have_83_82_82_films_whatever_the_order():
    folds = splits.three_folds(splits.JSRT_IDS)
    assert Counter(folds) == {0: 83, 1: 82, 2: 82}
    backwards = splits.three_folds(splits.JSRT_IDS[::-1])
    assert backwards[::-1] == folds


def test_the_phantom_is_split_as_jsrt():
    assert splits.odd_even_split(splits.PHANTOM_IDS) == splits.odd_even_split(splits.JSRT_IDS)
    assert splits.three_folds(splits.PHANTOM_IDS) == splits.three_folds(splits.JSRT_IDS)


@pytest.mark.parametrize("split", [splits.SCR_OFFICIAL, splits.SCR_3FOLD], ids=["official", "three folds"])
@pytest.mark.parametrize("ids", [splits.JSRT_IDS, splits.PHANTOM_IDS], ids=["jsrt", "phantom"])
def test_every_rule_gives_its_pinned_digest(split, ids):
    assert split.check(ids, split.rule(ids)) == split.sha256


@pytest.mark.parametrize("ids", [splits.JSRT_IDS, splits.PHANTOM_IDS], ids=["jsrt", "phantom"])
def test_the_ids_of_a_test_set_are_known_whatever_their_order(ids):
    even = [name for name in ids if int(name[-1]) % 2 == 0]
    assert splits.SCR_OFFICIAL.tests(even[::-1])
    assert not splits.SCR_OFFICIAL.tests(even[1:]) and not splits.SCR_OFFICIAL.tests(ids)
    assert not splits.SCR_OFFICIAL.tests([name for name in ids if name not in even])  # those that train
    folds = splits.three_folds(ids)
    for fold in range(3):
        assert splits.SCR_3FOLD.tests([name for name, part in zip(ids, folds, strict=True) if part == fold])
    assert not splits.SCR_3FOLD.tests(even)


def test_split_digest_sees_the_parts_but_not_the_order():
    ids, parts = ["a", "b", "c"], ["train", "test", "train"]
    same = splits.split_digest(ids[::-1], parts[::-1])
    assert same == splits.split_digest(ids, parts)
    assert splits.split_digest(ids, ["train", "train", "test"]) != same


def test_a_missing_test_film_is_named():
    ids = [name for name in splits.JSRT_IDS if name != "JPCNN044"]
    with pytest.raises(InputError) as caught:
        splits.SCR_OFFICIAL.check(ids, splits.odd_even_split(ids))
    assert str(caught.value) == "scr_official: the test split has 122 cases, expected 123; missing: JPCNN044"


def test_a_film_in_the_wrong_part_is_named():
    parts = splits.odd_even_split(splits.JSRT_IDS)
    parts[splits.JSRT_IDS.index("JPCLN011")] = "test"
    expected = "scr_official: the test split has 124 cases, expected 123; unexpected: JPCLN011"
    with pytest.raises(InputError, match=expected):
        splits.SCR_OFFICIAL.check(splits.JSRT_IDS, parts)


def test_many_missing_ids_are_counted_not_listed():
    ids = splits.JSRT_IDS[100:]
    with pytest.raises(InputError, match=r"missing: JPCLN002, JPCLN004, JPCLN006, JPCLN008, JPCLN010 and 45 more"):
        splits.SCR_OFFICIAL.check(ids, splits.odd_even_split(ids))


def test_a_wrong_fold_is_named_by_its_number():
    folds = splits.three_folds(splits.JSRT_IDS)
    folds[0] = (folds[0] + 1) % 3
    with pytest.raises(
        InputError, match=r"scr_3fold: fold \d has \d\d cases, expected \d\d; (missing|unexpected): JPCLN001"
    ):
        splits.SCR_3FOLD.check(splits.JSRT_IDS, folds)


def test_a_changed_rule_does_not_pass_for_the_pinned_one():
    changed = replace(splits.SCR_OFFICIAL, rule=lambda ids: ["train"] * len(ids))
    with pytest.raises(InputError, match="does not give the pinned split"):
        changed.check(splits.JSRT_IDS, ["train"] * 247)


def test_patient_split_keeps_patients_together_and_depends_on_the_seed():
    patients = [f"p{number // 3}" for number in range(60)]
    parts = splits.patient_split(patients, 0.25, seed=0)
    of_patient = {
        patient: {part for one, part in zip(patients, parts, strict=True) if one == patient} for patient in patients
    }
    assert all(len(found) == 1 for found in of_patient.values())
    assert Counter(parts) == {"train": 15, "test": 45}
    assert parts == splits.patient_split(patients, 0.25, seed=0)
    assert parts != splits.patient_split(patients, 0.25, seed=1)


def test_a_split_that_leaves_a_part_empty_is_refused():
    with pytest.raises(InputError, match=r"2 patients at 0\.1 leave train or test empty"):
        splits.patient_split(["a", "b"], 0.1, seed=0)
    with pytest.raises(InputError, match="expected 2 to 2"):
        splits.patient_folds(["a", "b"], 3, seed=0)


def test_only_ids_of_the_official_form_are_held_against_the_official_split():
    assert splits.is_jsrt_like(["JPCLN001", "JPCNN093"])
    assert splits.is_jsrt_like(["PHLN001"])
    assert not splits.is_jsrt_like(["JPCLN001", "IM-0125-0001"])
    assert not splits.is_jsrt_like([])


def test_a_handful_of_jsrt_is_a_trial_and_no_official_set():
    assert splits.is_jsrt(splits.JSRT_IDS) and splits.is_jsrt(splits.PHANTOM_IDS[:124])
    assert not splits.is_jsrt(splits.JSRT_IDS[:123]) and not splits.is_jsrt([*splits.JSRT_IDS, "IM-0125-0001"])


def test_a_draw_depends_on_names_and_seed_alone():
    names = [f"p{number}" for number in range(50)]
    assert splits.drawn(names[::-1] + names, "a") == splits.drawn(names, "a") != splits.drawn(names, "b")
    assert splits.drawn(["x", "y"], 0) == sorted("xy", key=lambda name: hashlib.sha256(f"0/{name}".encode()).digest())


def _split_set(*parts: str) -> Dataset:
    cases = pd.DataFrame({"id": list("abcdef")[: len(parts)], "patient": list("123456")[: len(parts)], "split": parts})
    info = DatasetInfo(name="d", resolution=1)
    return Dataset(info=info, images=np.zeros((len(parts), 1, 1), np.uint8), cases=cases)


def test_films_of_no_known_part_are_refused_and_never_left_out_in_silence():
    known = _split_set("train", "test", "val", "none")
    assert list(splits.train_and_test("t", known)) == ["train", "test", "val", "none"]
    message = r"t: dataset d has split '' \(1 film\), 'holdout' \(2 films\), which is none of train, val, test, none"
    with pytest.raises(InputError, match=message):
        splits.train_and_test("t", _split_set("train", "test", "holdout", "holdout", ""))


NIH_TRAIN = ["00000001_000", "00000001_001", "00000002_000"]
NIH_TEST = ["00000003_000", "00000004_000"]
NIH_SMALL = splits.OfficialLists(
    films=5,
    train=3,
    test=2,
    films_digest=splits.ids_digest(NIH_TRAIN + NIH_TEST),
    train_digest=splits.ids_digest(NIH_TRAIN),
    test_digest=splits.ids_digest(NIH_TEST),
    boxes=0,
    archives=0,
)


def test_the_official_lists_pass_in_any_order():
    parts = ["train"] * 3 + ["test"] * 2
    found = splits.check_nih_lists(NIH_TRAIN[::-1], NIH_TEST, NIH_SMALL)
    assert found == splits.split_digest(NIH_TRAIN + NIH_TEST, parts)
    assert splits.is_official_nih(NIH_TRAIN + NIH_TEST, parts, NIH_SMALL)
    assert not splits.is_official_nih(NIH_TRAIN + NIH_TEST, parts[::-1], NIH_SMALL)
    assert not splits.is_official_nih(NIH_TRAIN, parts[:3], NIH_SMALL)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (NIH_TEST, NIH_TRAIN, "the train split and the test split are exchanged"),
        (NIH_TRAIN[:2], NIH_TEST, "the train split has 2 films, expected 3: not the official list"),
        (NIH_TRAIN, [*NIH_TEST, "00000005_000"], "the test split has 3 films, expected 2: not the official list"),
        (NIH_TRAIN, ["00000003_000", "00000001_000"], "film 00000001_000 is in both the train split and the test"),
        (NIH_TRAIN, ["00000003_000", "00000001_002"], "patient 00000001 is in both the train split and the test"),
        (NIH_TRAIN, ["00000003_000", "00000005_000"], "the test split has the official count but other films"),
    ],
)
def test_lists_that_are_not_the_official_ones_are_refused(train, test, message):
    with pytest.raises(InputError, match=message):
        splits.check_nih_lists(train, test, NIH_SMALL)


@pytest.mark.parametrize(
    "count",
    [78_468, 11_219, 22_433, 78_468 + 11_219, 11_218, 22_432, 78_468 + 11_218],  # the last three as `wc -l` counts
)
def test_the_random_split_of_nih_is_recognised_by_its_counts(count):
    ids = [f"{patient:08d}_000" for patient in range(count)]
    for train, test in ((ids, NIH_TEST), (NIH_TRAIN, ids)):
        with pytest.raises(InputError, match=f"has {count:,} films: this is the random split copied with"):
            splits.check_nih_lists(train, test)


def test_the_pinned_counts_of_nih_add_up():
    official = splits.NIH_LISTS
    assert official.train + official.test == official.films == 112_120
    assert not {official.train, official.test} & set(splits.RANDOM_NIH_LISTS)
    assert splits.RANDOM_NIH_LISTS == (78_468, 11_219, 22_433) and sum(splits.RANDOM_NIH_LISTS) == official.films


@pytest.mark.real_data
def test_the_real_nih_lists_have_the_pinned_digests():
    place = os.environ.get("CXRBENCH_REAL_DATA")
    if not place or not Path(place).is_dir():
        pytest.skip("CXRBENCH_REAL_DATA names no folder with real films")
    train, test = (
        [line.removesuffix(".png") for line in (Path(place) / "nih_cxr14" / name).read_text().split()]
        for name in ("train_val_list.txt", "test_list.txt")
    )
    digest = splits.check_nih_lists(train, test)
    assert digest == "d414d2fd1ce0336f6522b3fc5cd1a6542937b1c9755da988ca8e3728ced344be"
    assert splits.ids_digest(train + test) == splits.NIH_LISTS.films_digest
    assert len({splits.nih_patient(name) for name in train}) == 28_008
    assert len({splits.nih_patient(name) for name in test}) == 2_797
