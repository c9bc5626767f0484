"""The NIH-like phantom sets: structure, rates and boxes are those of ChestX-ray14, and a film depends on its id."""

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.data import catalogue
from cxrbench.benchmark.data.dataset import Annotation
from cxrbench.benchmark.data.findings import BOXED, FINDINGS, LOCALISED
from cxrbench.benchmark.data.phantom import boxes_like, cohort, dataset, nih_like
from cxrbench.benchmark.data.phantom.findings import BOX_AREA
from cxrbench.benchmark.draws import Draw
from cxrbench.benchmark.errors import InputError


@pytest.fixture(scope="module")
def cases():
    return nih_like.case_table(cohort.film_ids(4000))


@pytest.fixture(scope="module")
def many():
    return nih_like.case_table(cohort.film_ids(12_000))


@pytest.fixture(scope="module")
def box_table():
    plan = boxes_like._plan()
    boxed = [name for name, one in plan.items() if one.areas]
    rows = [(name, *box) for name in boxed for box in boxes_like.boxed_film(name, 32).boxes]
    return pd.DataFrame(rows, columns=["id", "finding", "x", "y", "w", "h"])


# Patients, films, labels


def test_splits_have_nihs_share_and_no_patient_in_common(cases):
    test = cases[cases["split"] == "test"]
    assert len(test) / len(cases) == pytest.approx(25_596 / 112_120, abs=0.02)
    assert not set(test["patient"]) & set(cases.loc[cases["split"] == "train", "patient"])
    assert cases["id"].is_unique
    assert (cases["id"] == cases["patient"] + "_" + cases["followup"].map("{:03d}".format)).all()


def test_half_of_the_patients_have_one_film_and_a_few_have_dozens(many):
    films = many.groupby(["split", "patient"]).size()
    for split, one, mean in (("train", 0.576, 3.0), ("test", 0.491, 7.2)):
        assert (films[split] == 1).mean() == pytest.approx(one, abs=0.03)
        assert films[split].mean() == pytest.approx(mean, abs=0.5)
    assert 25 <= films.max() <= 40


def test_every_finding_is_in_both_splits_and_test_patients_are_sicker(cases):
    by_split = cases.groupby("split")[list(FINDINGS)]
    assert (by_split.sum().to_numpy() >= 5).all()
    healthy = (cases[list(FINDINGS)].sum(axis=1) == 0).groupby(cases["split"]).mean()
    assert healthy["train"] == pytest.approx(0.584, abs=0.03)
    assert healthy["test"] == pytest.approx(0.385, abs=0.06)


def test_rates_are_those_of_the_official_lists(many):
    found = many.groupby("split")[list(FINDINGS)].mean()
    for split in ("train", "test"):
        expected = cohort._prevalence(split)[:14]
        assert expected.min() == cohort.RAREST
        spread = 0.12 if split == "train" else 0.35  # 400 test patients carry most of the test films
        assert np.abs(np.log(found.loc[split].to_numpy() / expected)).mean() < spread
    assert (many["view"] == "AP").mean() == pytest.approx(0.40, abs=0.03)


def test_findings_come_together_as_they_do_in_nih(many):
    labels = many[list(FINDINGS)].astype(bool)

    def lift(one, other):
        return labels.loc[labels[one], other].mean() / labels[other].mean()

    assert lift("Pneumonia", "Edema") > 4
    assert lift("Emphysema", "Pneumothorax") > 3
    assert lift("Effusion", "Atelectasis") > 1.6
    assert lift("Cardiomegaly", "Effusion") > 1.8
    assert lift("Pneumothorax", "Edema") < 0.9
    assert (
        (many["view"][labels["Edema"]] == "AP").mean() > 0.7 > 0.45 > (many["view"][labels["Fibrosis"]] == "AP").mean()
    )


def test_findings_persist_over_followups_and_change(many):
    now, following = many.iloc[:-1].reset_index(), many.iloc[1:].reset_index()
    same = now["patient"] == following["patient"]
    still = {name: following.loc[same & (now[name] == 1), name].mean() for name in FINDINGS}
    assert still["Effusion"] == pytest.approx(0.49, abs=0.13)
    assert still["Infiltration"] == pytest.approx(0.39, abs=0.13)
    for name in FINDINGS:
        assert 1.5 * many[name].mean() < still[name] < 0.8


def test_a_larger_set_holds_the_smaller_one():
    assert cohort.film_ids(900) == cohort.film_ids(5000)[:900]


# Films


def test_a_film_depends_on_its_id_alone():
    ids = cohort.film_ids(40)
    first = {name: nih_like.nih_like_film(name, 32) for name in ids}
    cohort.patient.cache_clear()
    cohort.person_of.cache_clear()
    for name in reversed(ids):
        again = nih_like.nih_like_film(name, 32)
        np.testing.assert_array_equal(again.image, first[name].image)
        assert again.boxes == first[name].boxes
    assert len({film.image.tobytes() for film in first.values()}) == len(ids)


def test_a_patient_is_the_same_person_on_all_films():
    number = next(n for n in range(1, 200) if cohort.patient(n).films >= 6 and cohort.patient(n).split == "train")
    own = [nih_like.nih_like_film(f"{cohort.patient_id(number)}_{k:03d}", 48).image / 255.0 for k in range(6)]
    others = [nih_like.nih_like_film(f"{cohort.patient_id(n)}_000", 48).image / 255.0 for n in range(300, 306)]

    def likeness(films):
        return np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for i, a in enumerate(films) for b in films[:i]])

    assert likeness(own) > likeness(others) + 0.02


@pytest.mark.parametrize("name", ["P0000001_999", "P0000000_000", "00000001_000", "P5000001_000", ""])
def test_unknown_film_is_an_input_error(name):
    with pytest.raises(InputError, match="NIH-like phantom"):
        nih_like.nih_like_film(name, 32)


def test_a_bedside_film_shows_a_larger_heart_and_a_shallower_breath():
    person = cohort.patient(1).anatomy()
    upright = nih_like.pose(person, Draw(3), False)
    bedside = nih_like.pose(person, Draw(3), True)
    assert bedside.cardiothoracic_ratio > upright.cardiothoracic_ratio
    assert bedside.angle_y - bedside.apex_y < upright.angle_y - upright.apex_y


# As datasets


def test_phantom_nih_is_a_dataset_of_any_size_by_name(home):
    drawn = catalogue.find_dataset("phantom_nih-500", 16)
    assert (len(drawn), drawn.info.name, drawn.info.findings) == (500, "phantom_nih-500", FINDINGS)
    assert drawn.annotations == {Annotation.MASKS, Annotation.LABELS, Annotation.BOXES}
    assert drawn.labels().dtype == np.uint8
    assert drawn.folder.parent == home / "datasets"
    assert "phantom_nih-500" not in [one.folder.name for one in catalogue.list_datasets() if one.folder]
    boxed = drawn.cases.set_index("id").loc[drawn.boxes["id"]]
    assert (boxed["split"] == "test").all()
    for name, finding in zip(drawn.boxes["id"], drawn.boxes["finding"], strict=True):
        assert finding in BOXED
        assert boxed.loc[[name], finding].iloc[0] == 1
    assert catalogue.find_dataset("phantom_nih-500", 16).digest == drawn.digest


@pytest.mark.parametrize("size", ["499", "120001", "0"])
def test_a_size_out_of_bounds_is_an_input_error(size):
    with pytest.raises(InputError, match=f"500 to 120000, found {size}"):
        catalogue.find_dataset(f"phantom_nih-{size}", 16)


def test_a_name_of_an_embedded_size_is_not_free():
    for name in ("phantom_nih", "phantom_boxes", "phantom_nih-777", "phantom_nih-777-64-0123456789ab"):
        with pytest.raises(InputError, match="cannot be a dataset's name"):
            catalogue.check_free(name)


def test_too_small_a_film_is_an_input_error():
    for name in ("phantom_nih", "phantom_boxes"):
        with pytest.raises(InputError, match="at least 16"):
            catalogue.find_dataset(name, 8)


def test_films_are_the_same_from_one_process_and_from_several(monkeypatch):
    ids = cohort.film_ids(140)
    alone = [nih_like.nih_like_film(name, 16).image for name in ids]
    monkeypatch.setattr(dataset, "_SERIAL", 0)
    monkeypatch.setattr(dataset, "_cores", lambda: 2)
    heard = []
    images, masks, _ = dataset.draw_films(
        ids, nih_like.nih_like_film, 16, dataset.Progress(lambda part, note: heard.append((part, note)))
    )
    np.testing.assert_array_equal(images, np.stack(alone))
    assert masks.max() < 1 << len(nih_like.KEPT_ORGANS)
    assert heard[-1] == (1.0, "phantom films 140/140")


# The box list


def test_the_box_list_has_nihs_structure(box_table):
    plan = boxes_like._plan()
    assert len(box_table) == 984 and box_table["id"].nunique() == 880
    assert box_table["id"].str[:8].nunique() == 726
    assert box_table["finding"].value_counts().to_dict() == {
        "Atelectasis": 180,
        "Effusion": 153,
        "Cardiomegaly": 146,
        "Infiltration": 123,
        "Pneumonia": 120,
        "Pneumothorax": 98,
        "Mass": 85,
        "Nodule": 79,
    }
    assert box_table.groupby("id").size().value_counts().to_dict() == {1: 787, 2: 83, 3: 9, 4: 1}
    six = box_table[box_table["finding"].isin(LOCALISED)]
    assert len(six) == 820
    assert six.groupby("id").size().value_counts().to_dict() == {1: 669, 2: 65, 3: 7}
    healthy = [one.case for one in plan.values() if not one.areas]
    assert len(healthy) == 2000
    assert {case.patient.split for case in healthy} == {"train"} and not any(case.findings for case in healthy)
    assert not {case.patient.id for case in healthy} & set(box_table["id"].str[:8])
    assert {plan[name].case.patient.split for name in box_table["id"]} == {"test"}


@pytest.mark.parametrize("finding", BOXED)
def test_box_areas_have_nihs_medians(box_table, finding):
    boxes = box_table[box_table["finding"] == finding]
    areas = boxes["w"] * boxes["h"] / 32**2
    assert areas.median() == pytest.approx(BOX_AREA[finding][0], rel=0.15)
    assert (boxes[["w", "h"]] > 0.5).all(axis=None)
    assert ((boxes["x"] + boxes["w"] <= 32) & (boxes["y"] + boxes["h"] <= 32)).all()


def test_unknown_boxed_film_is_an_input_error():
    with pytest.raises(InputError, match="phantom_boxes"):
        boxes_like.boxed_film("P0000001_000", 32)
