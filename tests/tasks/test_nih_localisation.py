from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.contracts.task import Arm, ArmName, Predictions
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.findings import FINDINGS, LOCALISED
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.metrics.scores import AVERAGE
from cxrbench.benchmark.progress import Progress
from cxrbench.tasks.box_split import Split
from cxrbench.tasks.detections import ALL_FILMS
from cxrbench.tasks.nih_localisation import QUICK, NihLocalisation

SIDE = 32
TWO = ("Effusion", "Pneumonia")
TINY = replace(
    QUICK.detector, width=0.125, side=64, steps=4, batch=2, check_every=2, warmup=0, proposals=10, box_samples=8
)


def task_of(split=Split.PATIENT, **detector):
    settings = replace(QUICK, resolution=SIDE, fit_resolution=SIDE, healthy=5, split=split)
    return NihLocalisation(replace(settings, detector=replace(TINY, **detector)))


@pytest.fixture(scope="module")
def data():
    """40 films with a bright square (effusion) or a dark one (pneumonia), every fifth with both; 10 healthy ones of ten of
    the same patients."""
    rng = np.random.default_rng(0)
    films = rng.integers(110, 130, (50, SIDE, SIDE)).astype(np.uint8)
    cases = pd.DataFrame({"id": [f"{row // 2:03d}_{row % 2}" for row in range(50)]})
    cases["patient"] = [f"{row // 2 if row < 40 else row - 40:03d}" for row in range(50)]
    cases["split"] = ["test"] * 40 + ["train"] * 10
    for finding in FINDINGS:
        cases[finding] = np.uint8(0)
    rows = []
    for row in range(40):
        for place, finding in enumerate(TWO):
            if row % 5 == 0 or row % 2 == place:
                x, y = rng.integers(1, 10) + 12 * place, rng.integers(1, 20)
                films[row, y : y + 8, x : x + 8] = (240, 20)[place]
                rows.append((cases["id"][row], finding, float(x), float(y), 8.0, 8.0))
                cases.loc[row, finding] = np.uint8(1)
    rows.append((cases["id"][3], "Mass", 1.0, 1.0, 4.0, 4.0))
    boxes = pd.DataFrame(rows, columns=["id", "finding", "x", "y", "w", "h"])
    info = DatasetInfo(name="squares", resolution=SIDE, findings=FINDINGS)
    return Dataset(info=info, images=films, cases=cases, boxes=boxes)


# ---------------------------------------------------------------------- films


def test_films_of_training_held_out_and_test_patients_are_apart(data):
    task = task_of()
    task.check(data)
    slot = task.slots(data)[0]
    assert slot.size == "full"
    parts = [task.training_set(data, slot), task.validation_set(data, slot), task.test_set(data, slot)]
    patients = [set(part.cases["patient"]) for part in parts]
    assert sum(map(len, patients)) == len(set.union(*patients))
    counts = [part.boxes["finding"].value_counts().to_dict() for part in parts]
    assert counts == [
        {"Effusion": 14, "Pneumonia": 14},
        {"Effusion": 2, "Pneumonia": 2},
        {"Effusion": 8, "Pneumonia": 8},
    ]
    assert task.structures(data) == TWO
    assert set(parts[2].boxes["id"]) == set(parts[2].ids)


def test_the_training_set_has_healthy_films_besides_and_no_box_of_another_finding(data):
    task = task_of()
    train = task.training_set(data, task.slots(data)[0])
    healthy = train.select(~train.labels().any(axis=1))
    assert len(healthy) == 5
    assert set(healthy.cases["split"]) == {"train"}
    assert len(healthy.boxes) == 0
    assert "Mass" not in set(train.boxes["finding"])


def test_a_provider_makes_a_fifth_more_films_than_there_are_training_boxes(data):
    task = task_of()
    assert task.synthetic_count(data, task.slots(data)[0]) == round(1.2 * 32)
    assert round(task.settings.synthetic_share * 573) == 688


def test_the_papers_split_has_a_film_for_each_box_and_holds_nothing_out(data):
    task = task_of(Split.PAPER)
    slot = task.slots(data)[0]
    train, test = task.training_set(data, slot), task.test_set(data, slot)
    assert task.validation_set(data, slot) is None
    assert (sum("/" in name for name in train.ids), len(test)) == (32, 16)
    assert sorted(train.boxes["id"]) == sorted(train.ids[:32])
    assert not set(train.ids) & set(test.ids)
    sources = [{str(one[0]) for one in part.cases["source_ids"]} for part in (train, test)]
    assert sources[0] & sources[1]  # films are on both sides: the paper's division
    assert test.boxes["scored"].sum() == 16
    scored = test.boxes[test.boxes["scored"]]
    assert (scored["id"] == scored["id"].str[:5] + "/" + scored["finding"]).all()
    assert len(test.boxes) > 16


def test_what_cannot_be_run_is_said_in_a_line(data):
    task = task_of()
    with pytest.raises(InputError, match="squares has no boxes of Atelectasis"):
        task.check(replace(data, boxes=None))
    unlabelled = replace(data, info=data.info.model_copy(update={"findings": ("Mass",)}))
    with pytest.raises(InputError, match=r"boxes of Effusion, Pneumonia, which are not among its findings \(Mass\)"):
        task.check(unlabelled)
    with pytest.raises(InputError, match="at most 3 steps from 1 to 4"):
        task_of(windows=(9,)).check(data)


# ---------------------------------------------------------------------- scores


def four_films():
    """Two films with an effusion, one of them with a pneumonia, and two with a pneumonia alone."""
    cases = pd.DataFrame({"id": list("abcd"), "patient": ["p", "q", "q", "r"]})
    rows = [("a", "Effusion"), ("b", "Effusion"), ("b", "Pneumonia"), ("c", "Pneumonia"), ("d", "Pneumonia")]
    boxes = pd.DataFrame(rows, columns=["id", "finding"])
    boxes[["x", "y", "w", "h"]] = [10.0, 10.0, 10.0, 10.0]
    info = DatasetInfo(name="four", resolution=SIDE, findings=FINDINGS)
    return Dataset(info=info, images=np.zeros((4, SIDE, SIDE), np.uint8), cases=cases, boxes=boxes)


def predictions(rows, taught=TWO):
    """Of (step, film, finding, score, box)."""
    step, image, finding, score, box = zip(*rows, strict=True)
    return Predictions(
        tuple("abcd"),
        {
            "step": np.array(step, np.int32),
            "image": np.array(image, np.int32),
            "finding": np.array([LOCALISED.index(name) for name in finding], np.uint8),
            "score": np.array(score, np.float32),
            "box": np.array(box, np.float32),
            "taught": np.array([LOCALISED.index(name) for name in taught], np.uint8),
        },
    )


ON, OFF, WIDE = (11, 11, 9, 9), (0, 0, 5, 5), (0, 0, 32, 32)
FOUND = [
    (0, 0, "Effusion", 0.9, ON),
    (0, 1, "Effusion", 0.6, OFF),  # a miss, and a false positive
    (0, 1, "Effusion", 0.55, ON),  # only the best counts; it meets the box, so it is no false positive
    (0, 1, "Pneumonia", 0.3, ON),
    (0, 2, "Pneumonia", 0.8, WIDE),  # IoU 100 / 1024, IoBB the same
    (0, 3, "Effusion", 0.7, ON),  # no effusion there
    (0, 3, "Pneumonia", 0.7, (12, 12, 2, 2)),  # IoU 0.04, but all of it inside: IoBB 1
]


def value(table, metric, structure):
    (found,) = table.loc[(table["metric"] == metric) & (table["structure"] == structure), "value"]
    return found


def test_scores_are_hits_of_the_best_detection_of_each_box():
    task = task_of()
    scores = task.score(predictions(FOUND), four_films())
    cl = scores[scores["metric"] == "cl"].set_index("case")
    assert cl["value"].to_dict() == {
        "a/Effusion": 1, "b/Effusion": 0, "b/Pneumonia": 1, "c/Pneumonia": 0, "d/Pneumonia": 0,
    }  # fmt: skip
    assert cl["patient"].tolist() == ["p", "q", "q", "q", "r"]
    table = task.summarise(scores)
    assert [value(table, "found", name) for name in TWO] == [1, 1]
    assert [value(table, "boxes", name) for name in TWO] == [2, 3]
    assert value(table, "cl", "Pneumonia") == 1 / 3
    assert value(table, "cl", AVERAGE) == pytest.approx((1 / 2 + 1 / 3) / 2)  # macro: not 2 of 5
    assert value(table, "cl_scored", "Effusion") == 1 / 2
    assert value(table, "cl_scored", "Pneumonia") == 0
    assert value(table, "cl_iobb", "Pneumonia") == 2 / 3
    assert value(table, "false_positives", "Effusion") == 2 / 4
    assert value(table, "false_positives", "Pneumonia") == 2 / 4  # WIDE, and the one that is too small
    assert scores["value"].dtype == np.float64
    assert set(scores.loc[scores["metric"] == "false_positives", "case"]) == {ALL_FILMS}


def test_a_film_without_any_detection_is_a_miss():
    table = task_of().summarise(task_of().score(predictions(FOUND[:1]), four_films()))
    assert (value(table, "found", "Effusion"), value(table, "found", "Pneumonia")) == (1, 0)


def test_a_finding_that_was_never_taught_has_no_row_and_there_is_no_average():
    task = task_of()
    scores = task.score(predictions(FOUND, taught=("Pneumonia",)), four_films())
    assert scores.loc[scores["structure"] == "Effusion", "value"].isna().all()
    table = task.summarise(scores)
    assert set(table["structure"]) == {"Pneumonia"}


def test_windows_take_each_findings_best_checkpoint_and_the_best_mean_of_one():
    task = task_of(steps=8, check_every=2, windows=(4,))
    rows = [
        *FOUND,
        (2, 0, "Effusion", 0.9, ON), (2, 1, "Effusion", 0.9, ON),  # 2 of 2, 0 of 3
        (4, 0, "Effusion", 0.9, ON), (4, 1, "Pneumonia", 0.9, ON), (4, 2, "Pneumonia", 0.9, ON),  # 1 of 2, 2 of 3
        (6, 0, "Effusion", 0.9, OFF), (6, 3, "Pneumonia", 0.9, ON),  # 0 of 2, 1 of 3
    ]  # fmt: skip
    scores = task.score(predictions(rows), four_films())
    assert (scores["metric"] == "cl_at_4").sum() == 5
    table = task.summarise(scores)
    assert value(table, "cl_window_1", "Effusion") == 1
    assert value(table, "cl_window_1", "Pneumonia") == 2 / 3
    assert value(table, "cl_window_1", AVERAGE) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert value(table, "cl", "Effusion") == 1 / 2  # the chosen checkpoint is none of the window's


def test_in_the_papers_split_a_box_that_is_not_scored_is_no_false_positive(data):
    task = task_of(Split.PAPER)
    test = task.test_set(data, task.slots(data)[0])
    other = test.boxes[~test.boxes["scored"]].iloc[0]
    arrays = dict(
        predictions([(0, test.ids.index(other["id"]), other["finding"], 0.9, other[["x", "y", "w", "h"]])]).arrays
    )
    table = task.summarise(task.score(Predictions(tuple(test.ids), arrays), test))
    assert value(table, "false_positives", other["finding"]) == 0
    assert value(table, "boxes", "Effusion") + value(table, "boxes", "Pneumonia") == 16


def test_predictions_of_other_films_are_refused():
    with pytest.raises(InputError, match="not of these 4 test films"):
        task_of().score(Predictions(("x",), {}), four_films())


# ---------------------------------------------------------------------- whole trainings


def arm_of(task, data, name, synthetic=None, start=None):
    slot = task.slots(data)[0]
    real = task.training_set(data, slot) if name is not ArmName.SYNTHETIC else None
    return Arm(name, real, synthetic, start, task.validation_set(data, slot), task.structures(data))


@pytest.mark.parametrize("split", list(Split))
def test_a_model_is_trained_tested_kept_and_used(data, split, tmp_path):
    task = task_of(split, windows=(2,))
    test = task.test_set(data, task.slots(data)[0])
    trained = task.train(arm_of(task, data, ArmName.REAL), seed=0, device="cpu", progress=Progress())
    found = task.predict(trained.model, test, device="cpu")
    assert set(found.arrays["step"]) == {0, 2, 4}
    assert {"real: detector"} == set(trained.histories)
    scores = task.score(found, test)
    sizes = scores.groupby("metric").size()
    assert sizes.drop("false_positives").to_dict() == dict.fromkeys(
        ("cl", "cl_scored", "cl_iobb", "cl_at_2", "cl_at_4"), test.boxes["scored"].sum()
    )
    for row in range(len(test)):
        of_film = (found.arrays["image"] == row) & (found.arrays["step"] == 0)
        assert set(found.arrays["finding"][of_film]) == {LOCALISED.index(name) for name in TWO}
    task.save_model(trained.model, tmp_path / "model.safetensors")
    again = task.load_model(tmp_path / "model.safetensors", data)
    kept = task.predict(again, test, device="cpu").arrays
    chosen = found.arrays["step"] == 0
    assert np.array_equal(kept["box"], found.arrays["box"][chosen])
    found.save(tmp_path / "predictions.npz")
    assert task.score(Predictions.load(tmp_path / "predictions.npz"), test).equals(scores)
    pictures = task.illustrate(again, test, device="cpu")
    assert len(pictures) == 12
    assert {picture.pixels.shape for picture in pictures} == {(256, 256, 3)}
    assert "Effusion, IoU" in pictures[0].caption


def test_every_arm_trains_on_its_films(data):
    task = task_of(steps=2)
    boxed = data.cases["id"].isin(data.boxes["id"]).to_numpy()
    synthetic = data.select(boxed).resized(SIDE)
    counts = {}
    for name in (ArmName.REAL, ArmName.SYNTHETIC, ArmName.MIXED):
        counts[name] = len(task._samples(arm_of(task, data, name, synthetic)))
    assert counts == {ArmName.REAL: 28, ArmName.SYNTHETIC: 48, ArmName.MIXED: 76}
    start = task.train(
        arm_of(task, data, ArmName.SYNTHETIC, synthetic), seed=0, device="cpu", progress=Progress()
    ).model
    before = {name: weights.clone() for name, weights in start.network.state_dict().items()}
    tuned = task.train(
        arm_of(task, data, ArmName.FINETUNE, start=start), seed=0, device="cpu", progress=Progress()
    ).model
    after, own = tuned.network.state_dict(), start.network.state_dict()
    assert all((own[name] == before[name]).all() for name in before)  # the synthetic arm's model stays what it is
    assert any((after[name] != before[name]).any() for name in before)
    with pytest.raises(InputError, match="starts from the synthetic arm's model"):
        task.train(arm_of(task, data, ArmName.FINETUNE), seed=0, device="cpu", progress=Progress())
    nothing = replace(synthetic, boxes=synthetic.boxes.iloc[:0])
    with pytest.raises(InputError, match="has a box of Effusion, Pneumonia to train on"):
        task.train(arm_of(task, data, ArmName.MIXED, nothing), seed=0, device="cpu", progress=Progress())


def test_a_sample_can_be_a_film_with_all_its_boxes(data):
    task = task_of(merge_boxes=True)
    samples = task._samples(arm_of(task, data, ArmName.REAL))
    train = task.training_set(data, task.slots(data)[0])
    assert len(samples) == train.boxes["id"].nunique() < len(train.boxes)


def test_a_teacher_gives_every_film_a_box_and_labels_to_match(data):
    task = task_of(steps=2)
    train = task.training_set(data, task.slots(data)[0])
    model = task.train(arm_of(task, data, ArmName.REAL), seed=0, device="cpu", progress=Progress()).model
    bare = replace(data.select(range(6)), boxes=None)
    films = task.annotate(model, bare, train, seed=0, device="cpu")
    assert set(films.boxes["id"]) == set(bare.ids)
    assert films.info.findings == FINDINGS
    for case, labels in zip(films.ids, films.labels(), strict=True):
        shown = {FINDINGS[place] for place in np.flatnonzero(labels)}
        assert shown == set(films.boxes.loc[films.boxes["id"] == case, "finding"])


def test_the_task_is_known_without_torch():
    code = "import sys, cxrbench.tasks.nih_localisation; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_run_counts_the_films_with_boxes_not_the_healthy_ones_that_providers_get_too(data):
    task = NihLocalisation()
    train = task.training_set(data, task.slots(data)[0])
    learnt = task.learnt_from(train)
    assert train.boxes is not None and set(learnt.ids) == set(train.boxes["id"])
    assert len(learnt) < len(train)
