"""Who is on a film, and which films are the same picture: one name a person, and every copy said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.people import names_in_paths, near_names, one_name_each
from cxrbench.benchmark.data.reading.tables import read_table
from cxrbench.benchmark.data.same_pixels import copies_learnt, pixel_keys, same_pixels
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.results.assemble import check_words
from cxrbench.benchmark.runs.steps import check_real


def _places(rows) -> str:
    return f"rows {list(rows)}"


@pytest.mark.parametrize(
    "spellings",
    [
        ("123", "123.0"),
        ("123", "123,0"),
        ("123", '="123"', "'123"),
        ("123", "00123"),
        ("00123", "123.0", "123."),
        ("p01", "P01"),
        ("Müller", "Mu\u0308ller"),
        ("A  B", "a b"),
    ],
)
def test_one_person_in_several_spellings_has_one_name(spellings):
    names, remarks = one_name_each([*spellings, "9"], _places)
    assert len(set(names[:-1])) == 1 and names[-1] == "9"
    assert remarks[-1] == f"patients: {' and '.join(spellings)}: taken for one person each"


def test_names_that_no_one_writes_otherwise_stay_as_they_are():
    values = ["00000001", "00000002", "P-7", "Müller"]
    assert one_name_each(values, _places) == (values, [])


def test_a_column_of_floats_is_one_of_numbers():
    names, remarks = one_name_each(["123.0", "9.0"], _places)
    assert names == ["123", "9"]
    assert remarks == ["patients: 2 numbers written as 123.0 or as text of a spreadsheet read as whole ones"]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=20), st.randoms())
def test_films_of_a_number_stay_together_however_it_is_written(numbers, random):
    forms = ("{}", "{}.0", "{:05d}", "{:03d}.00")
    names, _ = one_name_each([random.choice(forms).format(number) for number in numbers], _places)
    for one, name in zip(numbers, names, strict=True):
        assert [other == one for other in numbers] == [other == name for other in names]


@pytest.mark.parametrize("blank", ["", "nan", "None", "<NA>"])
def test_a_film_without_a_person_is_refused(blank):
    with pytest.raises(InputError, match=r"no patient in rows \[0, 2\]: fill the column in"):
        one_name_each([blank, "x", blank], _places)


def test_numbers_that_a_spreadsheet_rounded_are_refused():
    with pytest.raises(InputError, match=r"rows \[1\]: patient '1\.23E\+11' is a number that a spreadsheet rounded"):
        one_name_each(["1", "1.23E+11"], _places)


@pytest.mark.parametrize(
    "name", ["Patient ID", "patientId", "subject_id", "PatientID", "patient_id", "Patient", "SUBJECT"]
)
def test_other_names_of_the_column_are_near(name):
    assert near_names(["Path", name, "Patient Age", "Patient Gender"]) == [name]


def test_paths_may_name_patients():
    assert names_in_paths(["patient01/a.png", "patient01/b.png", "patient02/a.png"])
    assert not names_in_paths(["patient01/a.png", "b.png"])
    assert not names_in_paths(["patient01.png", "patient02.png"])  # each another one: nothing to say


# ---------------------------------------------------------------------------------------------------------- same pixels


def _films(*values: int) -> np.ndarray:
    return np.stack([np.full((4, 4), value, dtype=np.uint8) for value in values])


def _cases(**columns) -> pd.DataFrame:
    return pd.DataFrame({"id": list("abcd")[: len(columns["patient"])], **columns})


def test_films_with_the_same_pixels_are_said_and_counted():
    cases = _cases(patient=list("1234"), split=["train", "test", "train", "test"], fold=[0, 1, 0, 0])
    assert same_pixels(_films(1, 1, 2, 3), cases) == (
        "1 test film is a pixel copy of a training film (b is a): a leak",
        "2 films in several folds have the same pixels (b is a)",
        "2 films under several patients have the same pixels (b is a)",
        "1 of 4 films repeats the pixels of an earlier one (b is a)",
    )


def test_copies_of_one_person_in_one_part_are_no_leak():
    cases = _cases(patient=list("1134"), split=["train", "train", "test", "test"])
    assert same_pixels(_films(1, 1, 2, 3), cases) == ("1 of 4 films repeats the pixels of an earlier one (b is a)",)
    assert same_pixels(_films(1, 2, 3, 4), cases) == ()


def test_a_pixel_tells_films_apart():
    films = np.repeat(_films(7), 300, axis=0)
    films[299, 3, 3] = 8
    assert len(set(pixel_keys(films))) == 2


def _dataset(images: np.ndarray, cases: pd.DataFrame) -> Dataset:
    return Dataset(info=DatasetInfo(name="d", resolution=4), images=images, cases=cases)


def test_a_record_counts_test_films_that_are_training_films_too():
    data = _dataset(_films(1, 1, 2, 3), _cases(patient=list("1234")))
    train, test = data.select([0, 2]), data.select([1, 3])
    assert check_real(data, train, test) == {"real_films": {"copies": 1, "films": 2, "first": ["b", "a"]}}
    assert check_real(data, data.select([2]), test) == {}  # the copy is not learnt from
    augmented = _dataset(_films(9), pd.DataFrame({"id": ["a-a1"], "patient": ["1"], "source_ids": [["a"]]}))
    assert copies_learnt(data, augmented, test)["copies"] == 1
    label, sentence, alarm = check_words("real_films", check_real(data, train, test)["real_films"])
    assert (label, alarm) == ("real test films", True)
    assert sentence == "1 of 2 have the pixels of a training film (b is a): a leak"


def test_a_sign_that_is_not_seen_makes_no_second_person(tmp_path):
    (tmp_path / "a.csv").write_text("path,\ufeffpatient\na.png,7\u200b\nb.png,7\n", encoding="utf-8")
    assert read_table(tmp_path / "a.csv").column("patient") == ["7", "7"]


def test_numbers_in_groups_of_three_are_not_cut_at_the_comma():
    values = ["1,000", "1", "1,001", "2,000"]
    assert one_name_each(values, _places) == (values, [])
    assert one_name_each(["1.000", "1"], _places)[0] == ["1", "1"]  # floats of three places
