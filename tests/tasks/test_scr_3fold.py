"""The three-fold protocol: who is in which set, what a training gets, and the numbers of the paper's tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from cxrbench.benchmark.contracts.task import Arm, ArmName, Predictions, Slot
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.splits import JSRT_IDS, three_folds
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.tasks.scr_3fold import PAPER, QUICK, STANDARD, ScrThreeFold

ORGANS = ("heart", "left_lung", "right_lung")
FAST = replace(QUICK, resolution=16, fit_resolution=16, maps=2, batch=4, steps=3, check_every=1)


def chests(ids, folds, side: int = 16, patients=None, organs=ORGANS) -> Dataset:
    """Dark lungs on grey noise; a heart between them."""
    rng = np.random.default_rng(0)
    images = rng.integers(150, 256, (len(ids), side, side), dtype=np.uint8)
    masks = np.zeros_like(images)
    places = {
        "heart": (slice(8, 13), slice(6, 10)),
        "left_lung": (slice(3, 13), slice(9, 14)),
        "right_lung": (slice(3, 13), slice(2, 7)),
    }
    for bit, organ in enumerate(organs):
        masks[(slice(None), *places[organ])] |= np.uint8(1 << bit)
        if "lung" in organ:
            images[(slice(None), *places[organ])] //= 3
    cases = pd.DataFrame({"id": list(ids), "patient": list(patients or ids), "fold": list(folds)})
    info = DatasetInfo(name="chests", resolution=side, organs=tuple(organs), pixel_mm=2.0)
    return Dataset(info, images, cases, masks)


@pytest.fixture(scope="module")
def official() -> Dataset:
    return chests(JSRT_IDS, three_folds(JSRT_IDS))


def few(n: int = 12) -> Dataset:
    return chests([f"c{index:02d}" for index in range(n)], [index % 3 for index in range(n)])


def slot(fold="0", size="full", arm=ArmName.REAL) -> Slot:
    return Slot(fold, size, arm)


def arm_of(task, data, name=ArmName.REAL, synthetic=None, fold="0", size="full") -> Arm:
    here = slot(fold, size, name)
    real = None if name is ArmName.SYNTHETIC else task.training_set(data, here)
    return Arm(name, real, synthetic, validation=task.validation_set(data, here), structures=("lungs",))


# ------------------------------------------------------------------------------------------- films


def test_folds_test_83_82_82_validate_20_and_train_144_145_145(official):
    task = ScrThreeFold(FAST)
    task.check(official)
    sizes = [
        [len(make(official, slot(fold))) for make in (task.test_set, task.validation_set, task.training_set)]
        for fold in "012"
    ]
    assert sizes == [[83, 20, 144], [82, 20, 145], [82, 20, 145]]
    assert [len(task.training_set(official, slot(fold, "reduced"))) for fold in "012"] == [30, 30, 30]


def test_every_film_is_tested_once_and_never_seen_before(official):
    task, tested = ScrThreeFold(FAST), []
    for fold in "012":
        test, validation = task.test_set(official, slot(fold)).ids, task.validation_set(official, slot(fold)).ids
        train = task.training_set(official, slot(fold)).ids
        assert sorted([*test, *validation, *train]) == sorted(official.ids)
        tested += test
    assert sorted(tested) == sorted(JSRT_IDS)


def test_reduced_has_the_validation_and_test_of_full_and_30_of_its_training_films(official):
    task = ScrThreeFold(FAST)
    for make in (task.validation_set, task.test_set):
        assert make(official, slot("1", "reduced")).ids == make(official, slot("1")).ids
    assert set(task.training_set(official, slot("1", "reduced")).ids) < set(task.training_set(official, slot("1")).ids)


def test_the_draw_depends_on_ids_and_fold_and_not_on_the_order_of_films(official):
    task = ScrThreeFold(FAST)
    shuffled = official.select(np.random.default_rng(3).permutation(len(official)))
    for size in ("full", "reduced"):
        for make in (task.training_set, task.validation_set):
            assert make(shuffled, slot("2", size)).ids == make(official, slot("2", size)).ids
    drawn = [set(task.validation_set(official, slot(fold)).ids) for fold in "012"]
    assert drawn[0] != drawn[1] and not drawn[0] & set(task.test_set(official, slot("0")).ids)


def test_a_patient_is_on_one_side_only():
    ids = [f"f{index:03d}" for index in range(120)]
    patients = [f"p{index // 4}" for index in range(120)]
    data = chests(ids, [index // 4 % 3 for index in range(120)], patients=patients)
    task = ScrThreeFold(FAST)
    task.check(data)
    for fold in "012":
        sets = [make(data, slot(fold)).cases["patient"] for make in (task.training_set, task.validation_set)]
        assert not set(sets[0]) & set(sets[1])
        assert len(sets[1]) == 12  # 120 * 20 / 247 = 9.7, so 10, in whole patients of four films


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (chests("abc", [0, 1, 2], organs=("heart",)), "has no lung masks; found heart"),
        (chests("abcd", [0, 1, 0, 1]), "expected 3 folds in dataset chests, found 0, 1"),
        (chests("abcdef", [0, 1, 2] * 2, patients="aabcde"), "1 patients are in several folds: a"),
        (chests("abcdef", [0, 1, 2, None, 1, 2]), "1 films have no fold, for example d"),
        (chests("abc", [0, 1, 2]), "at least 2 films must be left to train on in fold 0"),
    ],
)
def test_a_dataset_that_cannot_carry_the_protocol_is_refused(data, message):
    with pytest.raises(InputError, match=message):
        ScrThreeFold(FAST).check(data)


def test_a_dataset_without_folds_is_refused():
    data = few()
    without = replace(data, cases=data.cases.drop(columns="fold"))
    with pytest.raises(InputError, match="has no column 'fold'; found id, patient"):
        ScrThreeFold(FAST).check(without)


def test_a_moved_film_of_jsrt_is_named(official):
    cases = official.cases.copy()
    cases.loc[cases["id"] == "JPCLN001", "fold"] = (cases["fold"] + 1) % 3
    with pytest.raises(InputError, match=r"scr_3fold: fold .* JPCLN001"):
        ScrThreeFold(FAST).check(replace(official, cases=cases))


def test_slots_are_folds_sizes_and_arms_in_the_order_of_the_papers_rows(official):
    slots = ScrThreeFold(FAST).slots(official)
    assert len(slots) == 18 == len(set(slots))
    assert [str(one.arm) for one in slots[:3]] == ["real", "mixed", "synthetic"]
    assert {one.size for one in ScrThreeFold(FAST).slots(few())} == {"full", "reduced"}
    assert {one.size for one in ScrThreeFold(FAST).slots(few(5))} == {"full"}


def test_lungs_are_one_structure_the_union_of_both():
    task, data = ScrThreeFold(FAST), few(3)
    assert task.structures(data) == ("lungs",)
    labels = task.label_maps(data, ("lungs",))
    assert np.array_equal(labels != 0, data.organ_masks(["left_lung", "right_lung"]).any(axis=1))
    assert np.array_equal(task.truth(data)[:, 0], labels != 0)


# ------------------------------------------------------------------------------------------- training


def test_arms_train_on_all_they_have_and_every_arm_looks_at_the_same_real_films():
    task, data, synthetic = ScrThreeFold(FAST), few(), few(5)
    examples = {name: task.examples(arm_of(task, data, name, synthetic), seed=1) for name in
                (ArmName.REAL, ArmName.MIXED, ArmName.SYNTHETIC)}  # fmt: skip
    real = len(task.training_set(data, slot()))
    assert {name: len(training) for name, (training, _) in examples.items()} == {
        ArmName.REAL: real,
        ArmName.MIXED: real + 5,
        ArmName.SYNTHETIC: 5,
    }
    validation = task.validation_set(data, slot()).images
    assert all(np.array_equal(held.images, validation) for _, held in examples.values())
    with pytest.raises(InputError, match="lacks the validation films"):
        task.examples(Arm(ArmName.REAL, real=data), seed=1)


def test_synthetic_films_without_lungs_are_refused():
    task = ScrThreeFold(FAST)
    hearts = chests("ab", [0, 0], organs=("heart",))
    with pytest.raises(InputError, match="has masks of heart, expected some of lungs"):
        task.examples(arm_of(task, few(), ArmName.SYNTHETIC, hearts), seed=1)


def test_same_seed_same_weights_and_they_survive_the_disk(tmp_path):
    task, data = ScrThreeFold(FAST), few()
    first, again, other = (
        task.train(arm_of(task, data), seed=seed, device="cpu", progress=Progress()).model for seed in (1, 1, 2)
    )
    weights = [
        torch.cat([value.flatten().double() for value in m.state_dict().values()]) for m in (first, again, other)
    ]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    task.save_model(first, tmp_path / "model.safetensors")
    loaded = task.load_model(tmp_path / "model.safetensors", data)
    found = [task.predict(model, data, device="cpu").arrays["labels"] for model in (first, loaded)]
    assert np.array_equal(*found)


def test_lungs_are_learnt_from_ten_films():
    settings = replace(QUICK, resolution=16, fit_resolution=16, maps=8, depth=2, steps=200)
    task, data = ScrThreeFold(settings), few(15)
    model = task.train(arm_of(task, data), seed=0, device="cpu", progress=Progress()).model
    test = task.test_set(data, slot())
    table = task.summarise(task.score(task.predict(model, test, device="cpu"), test)).set_index("metric")["value"]
    assert table["dice"] > 0.9


def test_presets_hold_the_papers_numbers():
    assert (PAPER.resolution, PAPER.maps, PAPER.depth, PAPER.batch, PAPER.window) == (128, 64, 4, 16, 10)
    assert (PAPER.rate, PAPER.momentum, PAPER.weight_decay, PAPER.synthetic) == (1e-5, 0.99, 5e-4, 120)
    assert (STANDARD.resolution, QUICK.resolution) == (128, 64)


# ------------------------------------------------------------------------------------------- scores


def predicted(labels, data) -> pd.DataFrame:
    return ScrThreeFold(FAST).score(Predictions(tuple(data.ids), {"labels": labels}), data)


def test_mean_and_stddev_over_films_by_hand():
    """Two films with truth of 10 x 10 pixels: one found whole, the other's lower half missed (Dice 2/3, 5 rows away)."""
    data = chests("ab", [0, 0])
    truth = data.organ_masks(["left_lung", "right_lung"]).any(axis=1)
    labels = truth.astype(np.uint8)
    labels[1, 8:] = 0
    scores = predicted(labels, data)
    assert set(scores["metric"]) == {"dice", "hausdorff", "hausdorff_mm", "tp", "fp", "fn"}
    table = ScrThreeFold(FAST).summarise(scores).set_index("metric")["value"]
    assert table["dice"] == pytest.approx((1 + 2 / 3) / 2)
    assert table["dice_stddev"] == pytest.approx((1 / 3) / 2**0.5)  # sample: |a - b| / sqrt(2)
    assert table["hausdorff"] == pytest.approx(2.5)
    assert table["hausdorff_stddev"] == pytest.approx(5 / 2**0.5)
    assert (table["hausdorff_mm"], table["hausdorff_mm_stddev"]) == pytest.approx((5.0, 10 / 2**0.5))


def test_nothing_found_has_dice_zero_and_the_diagonal():
    data = chests("ab", [0, 0])
    table = ScrThreeFold(FAST).summarise(predicted(np.zeros_like(data.images), data)).set_index("metric")["value"]
    assert table["dice"] == 0 and table["hausdorff"] == pytest.approx(np.hypot(16, 16))


def test_the_table_of_all_folds_is_the_statistics_of_all_films_and_not_of_fold_means():
    values = {"a": 0.9, "b": 0.8, "c": 0.4}
    scores = pd.DataFrame(
        {"case": list(values), "structure": "lungs", "metric": "dice", "value": list(values.values())}
    )
    table = ScrThreeFold(FAST).summarise(scores).set_index("metric")["value"]
    assert table["dice"] == pytest.approx(0.7)
    assert table["dice_stddev"] == pytest.approx(np.std([0.9, 0.8, 0.4], ddof=1))


def test_without_a_pixel_size_there_are_no_millimetres():
    data = chests("ab", [0, 0])
    data = replace(data, info=data.info.model_copy(update={"pixel_mm": None}))
    table = ScrThreeFold(FAST).summarise(predicted(np.zeros_like(data.images), data))
    assert list(table["metric"]) == ["dice", "dice_stddev", "hausdorff", "hausdorff_stddev"]
