"""The protocol of the official SCR split, and what all segmentation tasks share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cxrbench.benchmark.contracts.task import Arm, ArmName, Predictions, Slot
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.splits import JSRT_IDS, hold_out_patients, odd_even_split
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.settings import keyed, override
from cxrbench.tasks.examples import Examples, hold_out_last, paint
from cxrbench.tasks.models.segmenter import Crops, as_input, class_probabilities, window_starts, windows
from cxrbench.tasks.scr_official import PAPER, QUICK, ScrOfficial, sized_rows
from cxrbench.tasks.segmentation import scored_structures

torch.set_num_threads(1)

ORGANS = ("left_lung", "right_lung", "heart", "left_clavicle", "right_clavicle")
FAST = replace(QUICK, resolution=16, fit_resolution=16, crop=9, batch=4, steps=3, check_every=2)


def chests(ids: list[str], splits: list[str], side: int = 16, patients: list[str] | None = None) -> Dataset:
    """Films of noise with a left lung on the right, a right lung on the left, a heart over both, clavicles over lungs."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (len(ids), side, side), dtype=np.uint8)
    masks = np.zeros_like(images)
    half, quarter = side // 2, side // 4
    masks[:, quarter:-2, half:-1] |= 1
    masks[:, quarter:-2, 1:half] |= 2
    masks[:, half:-3, quarter + 1 : half + quarter] |= 4
    masks[:, quarter - 1 : quarter + 1, half:-1] |= 8
    masks[:, quarter - 1 : quarter + 1, 1:half] |= 16
    cases = pd.DataFrame({"id": ids, "patient": patients or ids, "split": splits})
    return Dataset(DatasetInfo(name="chests", resolution=side, organs=ORGANS, pixel_mm=2.0), images, cases, masks)


def official(side: int = 8) -> Dataset:
    return chests(list(JSRT_IDS), odd_even_split(JSRT_IDS), side)


def few(train: int = 14, test: int = 3) -> Dataset:
    ids = [f"case-{index:02d}" for index in range(train + test)]
    return chests(ids, ["train"] * train + ["test"] * test)


def slot(size: str = "full", arm: ArmName = ArmName.REAL, seed: int = 0) -> Slot:
    return Slot("official", size, arm, seed)


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in model.state_dict().values()])


# ------------------------------------------------------------------------------------------- splits and sizes


def test_full_has_744_training_films_tiny_66_and_123_test():
    task, data = ScrOfficial(FAST), official()
    task.check(data)
    full, tiny = (task.training_set(data, slot(size)) for size in ("full", "tiny"))
    assert (len(full), len(tiny), len(task.test_set(data, slot()))) == (744, 66, 123)
    assert full.cases["source_ids"].map(lambda ids: ids[0]).nunique() == 124
    assert tiny.cases["source_ids"].map(lambda ids: ids[0]).nunique() == 11
    assert set(tiny.ids) < set(full.ids)
    assert full.resolution == 16


def test_the_eleven_films_depend_on_their_ids_and_not_on_their_order():
    data = official()
    drawn = {data.ids[row] for row in sized_rows(data, slot("tiny"))}
    shuffled = data.select(np.random.default_rng(1).permutation(len(data)))
    assert {shuffled.ids[row] for row in sized_rows(shuffled, slot("tiny"))} == drawn
    assert len(drawn) == 11 and all(int(name[-1]) % 2 for name in drawn)


def test_no_training_film_shows_a_test_film():
    task, data = ScrOfficial(FAST), official()
    test = set(task.test_set(data, slot()).ids)
    for size in ("full", "31", "tiny"):
        for seed in range(3):
            shown = {ids[0] for ids in task.training_set(data, slot(size, seed=seed)).cases["source_ids"]}
            assert shown and not shown & test


def test_the_papers_sizes_have_its_three_arms_the_small_ones_mixed_too_and_a_small_dataset_one_size():
    task = ScrOfficial(FAST)

    def arms(train: int) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for one in task.slots(few(train)):
            found.setdefault(one.size, []).append(str(one.arm))
        return found

    paper = ["real", "synthetic", "finetune"]
    assert arms(32) == {"full": paper, "31": ["real", "synthetic", "mixed"], "tiny": [*paper, "mixed"]}
    assert list(arms(32)) == ["full", "31", "tiny"]
    assert arms(31) == arms(12) == {"full": paper, "tiny": [*paper, "mixed"]}
    assert arms(11) == {"full": paper}
    headline = ScrOfficial.headline
    assert headline is not None and headline.arm in arms(32)[headline.size]


def test_a_provider_is_fitted_again_only_when_its_training_films_change():
    kept = ScrOfficial.downstream_only
    assert {"steps", "model", "resolution", "organs", "synthetic"} <= kept
    assert not {"fit_resolution", "threads"} & kept
    films = [
        ScrOfficial(replace(FAST, resolution=32, organs=("heart",))).training_set(few(), slot()),
        ScrOfficial(FAST).training_set(few(), slot()),
    ]
    assert films[0].digest == films[1].digest


def test_a_missing_official_case_is_named():
    data = official()
    with pytest.raises(InputError, match="the test split has 122 cases, expected 123; missing: JPCNN044"):
        ScrOfficial(FAST).check(data.select([row for row, name in enumerate(data.ids) if name != "JPCNN044"]))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (chests(["a", "b"], ["train", "train"]), "no case of dataset chests has split 'test'"),
        (chests(["a", "b"], ["val", "test"]), "has split 'train'"),
        (
            chests(["a", "b"], ["train", "test"], patients=["p", "p"]),
            "1 patients are in train and in test.* p",
        ),
    ],
)
def test_a_dataset_without_a_clean_split_is_refused(data, message):
    with pytest.raises(InputError, match=message):
        ScrOfficial(FAST).check(data)


def test_unknown_organs_and_models_are_refused_with_what_there_is():
    with pytest.raises(InputError, match="'liver' has no mask here; the films have left_lung"):
        ScrOfficial(replace(FAST, organs=("liver",))).check(few())
    with pytest.raises(InputError, match="Did you mean unet"):
        ScrOfficial(replace(FAST, model="u-net"))


# ------------------------------------------------------------------------------------------- structures and labels


def test_structures_are_in_the_order_of_the_paper_without_clavicles():
    assert scored_structures(ORGANS) == ("left_lung", "heart", "right_lung")
    assert scored_structures(ORGANS, clavicles=True)[3:] == ("left_clavicle", "right_clavicle")
    assert scored_structures(("airways", "right_lung", "left_lung")) == ("left_lung", "right_lung", "airways")
    assert scored_structures(ORGANS, ("heart",)) == ("heart",)


def test_the_heart_is_painted_over_the_lungs_and_clavicles_over_all():
    data = few(1, 1)
    labels = paint(data, ("left_lung", "heart", "right_lung"))[0]
    lung, heart = (data.masks[0] & 1) != 0, (data.masks[0] & 4) != 0
    assert (labels[heart] == 2).all() and (labels[lung & ~heart] == 1).all()
    assert (labels[data.masks[0] & 7 == 0] == 0).all()
    assert (paint(data, ("left_lung", "left_clavicle"))[0][(data.masks[0] & 8) != 0] == 2).all()


# ------------------------------------------------------------------------------------------- held-out films


def test_held_out_real_films_are_whole_patients_with_all_their_copies():
    task, data = ScrOfficial(FAST), few()
    films = task.training_set(data, slot())
    rows, out = hold_out_patients(films, 0.1, seed=5)
    assert sorted([*rows, *out]) == list(range(84))
    patients = films.cases["patient"].to_numpy()
    assert not set(patients[rows]) & set(patients[out])
    assert len(out) == 12  # two of 14 patients: one would be 7 %
    assert len(hold_out_patients(task.training_set(data, slot("tiny")), 0.1, seed=5)[1]) == 12


def test_the_last_quarter_of_synthetic_films_is_held_out():
    films = chests([f"s{index}" for index in range(10_000)], ["train"] * 10_000, side=8)
    rows, out = hold_out_last(films, 0.25)
    assert (len(rows), len(out), out[0]) == (7500, 2500, 7500)
    assert sorted([*rows, *out]) == list(range(10_000))
    assert [part.tolist() for part in hold_out_last(films.select(range(2)), 0.25)] == [[0], [1]]
    with pytest.raises(InputError, match="at least 2 synthetic films"):
        hold_out_last(films.select([0]), 0.25)


def test_one_patient_cannot_be_held_out():
    with pytest.raises(InputError, match="at least 2 patients"):
        hold_out_patients(few(1, 0), 0.1, seed=0)


def test_arms_train_on_what_they_say():
    task, data = ScrOfficial(FAST), few()
    real = task.training_set(data, slot())
    synthetic = chests([f"s{index}" for index in range(8)], ["train"] * 8)
    count = {
        name: tuple(map(len, task.examples(Arm(name, real=real, synthetic=synthetic), seed=1))) for name in ArmName
    }
    assert count == {
        ArmName.REAL: (72, 12),
        ArmName.FINETUNE: (72, 12),
        ArmName.SYNTHETIC: (6, 2),
        ArmName.MIXED: (80, 12),
    }
    with pytest.raises(InputError, match="the synthetic arm lacks its films"):
        task.examples(Arm(ArmName.SYNTHETIC, real=real), seed=1)


def test_with_generated_validation_all_real_films_are_trained_on_and_the_last_generated_quarter_is_held_out():
    task, data = ScrOfficial(replace(FAST, validation="generated")), few()
    assert task.validates_on_synthetic and not ScrOfficial(FAST).validates_on_synthetic
    real = task.training_set(data, slot())
    synthetic = chests([f"s{index}" for index in range(8)], ["train"] * 8)
    quarter = synthetic.select([6, 7]).images
    for name, count in (("real", 84), ("finetune", 84), ("synthetic", 6), ("mixed", 90)):
        trained_on = name in ("synthetic", "mixed")
        arm = Arm(
            ArmName(name),
            real=real,
            synthetic=synthetic if trained_on else None,
            validation=None if trained_on else synthetic,
        )
        training, held = task.examples(arm, seed=1)
        assert len(training) == count and np.array_equal(held.images, quarter), name
    assert task.examples(arm, seed=1)[0].first == 84
    with pytest.raises(InputError, match="the real arm lacks its films"):
        task.examples(Arm(ArmName.REAL, real=real), seed=1)


def test_the_validation_is_in_keys_only_where_it_is_the_captions():
    assert "validation" not in keyed(QUICK)
    assert keyed(replace(QUICK, validation="generated"))["validation"] == "generated"
    with pytest.raises(InputError, match="setting 'validation'"):
        override(QUICK, [("validation", "test")], "scr_official")
    assert "validation" in ScrOfficial.downstream_only  # a fit is the same for either


# ------------------------------------------------------------------------------------------- crops and windows


def test_the_paper_has_two_by_two_windows():
    assert window_starts(512, 377) == [0, 135]
    assert len(list(windows(512, 512, 377))) == 4
    assert window_starts(64, 64) == window_starts(64, 100) == [0]
    assert window_starts(100, 30) == [0, 20, 40, 60, 70]


class Corner(nn.Module):
    """Logits of class 1 that are the film's own values at a window's first pixel, so that windows differ."""

    def forward(self, films):
        value = films[..., :1, :1].expand_as(films)
        return torch.cat([torch.zeros_like(value), value], dim=1)


def test_sliding_windows_average_probabilities_as_a_hand_computation_does():
    film = torch.zeros(1, 1, 4, 4)
    film[0, 0, 0, 0], film[0, 0, 0, 1], film[0, 0, 1, 0], film[0, 0, 1, 1] = 1.0, -2.0, 0.5, 3.0
    assert window_starts(4, 3) == [0, 1]
    tl, tr, bl, br = (1 / (1 + np.exp(-value)) for value in (1.0, -2.0, 0.5, 3.0))
    row = [(tl + bl) / 2, (tl + tr + bl + br) / 4, (tl + tr + bl + br) / 4, (tr + br) / 2]
    expected = [
        [tl, (tl + tr) / 2, (tl + tr) / 2, tr],
        row,
        row,
        [bl, (bl + br) / 2, (bl + br) / 2, br],
    ]
    found = class_probabilities(Corner(), film, 3)
    assert np.allclose(found[0, 1].numpy(), expected, atol=1e-6)
    assert np.allclose(found.sum(dim=1).numpy(), 1, atol=1e-6)


class Threshold(nn.Module):
    """Class 1 where a film is brighter than mid-grey: the same from every window."""

    def forward(self, films):
        return torch.cat([-films, films], dim=1)


def test_windows_of_a_pixelwise_model_give_its_answer_on_the_whole_film():
    data = few(1, 2)
    found = ScrOfficial(replace(FAST, crop=9)).predict(Threshold(), data, device="cpu")
    assert found.ids == tuple(data.ids)
    assert found.arrays["labels"].dtype == np.uint8
    assert np.array_equal(found.arrays["labels"], data.images > 128)


def test_crops_cut_film_and_label_at_the_same_place_and_never_flip():
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    batch = Crops(Examples(ramp, ramp), 5).batch(np.zeros(50, dtype=int), np.random.default_rng(0))
    assert batch["film"].shape == (50, 1, 5, 5) and batch["label"].shape == (50, 5, 5)
    assert torch.equal(batch["film"][:, 0] * 64 + 128, batch["label"].float())
    assert (batch["label"].diff(dim=2) == 1).all() and (batch["label"].diff(dim=1) == 16).all()
    assert len(batch["label"][:, 0, 0].unique()) > 20
    assert as_input(ramp).shape == (1, 1, 16, 16)


# ------------------------------------------------------------------------------------------- training


def test_same_seed_gives_the_same_weights_bit_for_bit_and_another_seed_others():
    task = ScrOfficial(FAST)
    real = task.training_set(few(), slot())
    first, again, other = (
        weights(task.train(Arm(ArmName.REAL, real=real), seed=seed, device="cpu", progress=Progress()).model)
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_finetune_starts_from_the_given_weights_and_leaves_them_alone(tmp_path):
    data = few()
    start = ScrOfficial(FAST)
    synthetic = chests([f"s{index}" for index in range(8)], ["train"] * 8)
    pretrained = start.train(
        Arm(ArmName.SYNTHETIC, synthetic=synthetic), seed=1, device="cpu", progress=Progress()
    ).model
    before = weights(pretrained)
    still = ScrOfficial(replace(FAST, rate=0.0, steps=1))
    arm = Arm(ArmName.FINETUNE, real=still.training_set(data, slot()), start=pretrained)
    tuned = still.train(arm, seed=1, device="cpu", progress=Progress()).model
    assert all(torch.equal(one, two) for one, two in zip(tuned.parameters(), pretrained.parameters(), strict=True))
    moved = start.train(arm, seed=1, device="cpu", progress=Progress()).model
    assert not torch.equal(weights(moved), before)
    assert torch.equal(weights(pretrained), before)
    start.save_model(moved, tmp_path / "model.safetensors")
    assert torch.equal(weights(start.load_model(tmp_path / "model.safetensors", data)), weights(moved))
    with pytest.raises(InputError, match="starts from the synthetic arm's model"):
        start.train(Arm(ArmName.FINETUNE, real=arm.real), seed=1, device="cpu", progress=Progress())


@pytest.mark.parametrize("name", ["smanet_like", "unet"])
def test_a_model_learns_painted_organs_from_films_that_show_them(name):
    settings = replace(FAST, model=name, resolution=32, fit_resolution=32, crop=25, steps=60, batch=8, rate=5e-3,
                       check_every=20, width=0.125, encoder="resnet10t")  # fmt: skip
    task, data = ScrOfficial(settings), few(12, 3).resized(32)
    shown = paint(data, ("left_lung", "heart", "right_lung"))
    data = replace(data, images=(shown * 60 + 30).astype(np.uint8))
    trained = task.train(Arm(ArmName.REAL, real=task.training_set(data, slot())), seed=0, device="cpu",
                         progress=Progress())  # fmt: skip
    test = task.test_set(data, slot())
    table = task.summarise(task.score(task.predict(trained.model, test, device="cpu"), test))
    assert table.set_index(["metric", "structure"]).value["dsc", "average"] > 0.8


# ------------------------------------------------------------------------------------------- scores


def scores_of(labels: np.ndarray, data: Dataset) -> pd.DataFrame:
    return ScrOfficial(FAST).score(Predictions(tuple(data.ids), {"labels": labels}), data)


def table_of(labels: np.ndarray, data: Dataset) -> pd.Series:
    return ScrOfficial(FAST).summarise(scores_of(labels, data)).set_index(["metric", "structure"]).value


def test_a_perfect_prediction_has_dice_one_and_distance_zero():
    data = few(1, 2)
    table = table_of(paint(data, ("left_lung", "heart", "right_lung")), data)
    assert (table[["dsc", "j", "dsc_image", "j_image"]] == 1).all()
    assert (table[["hausdorff", "hausdorff_mm", "missed"]] == 0).all()
    assert list(dict.fromkeys(table["dsc"].index)) == ["left_lung", "heart", "right_lung", "average"]


def test_an_empty_prediction_has_dice_zero_and_the_diagonal_as_distance():
    data = few(1, 2)
    table = table_of(np.zeros_like(data.images), data)
    assert (table[["dsc", "j", "dsc_image", "j_image"]] == 0).all()
    assert table["hausdorff", "average"] == pytest.approx(np.hypot(16, 16))
    assert table["hausdorff_mm", "heart"] == pytest.approx(2 * np.hypot(16, 16))
    assert table["missed", "heart"] == 3 and table["missed", "average"] == 9


def test_pooled_dice_and_jaccard_obey_their_identity_and_means_over_films_do_not():
    data = few(1, 5)
    labels = paint(data, ("left_lung", "heart", "right_lung"))
    for film in range(6):
        labels[film, : 5 + 2 * film] = 0
    table = table_of(labels, data)
    for structure in ("left_lung", "heart", "right_lung"):
        j = table["j", structure]
        assert 0 < j < 1
        assert table["dsc", structure] == pytest.approx(2 * j / (1 + j), abs=1e-12)
    mean = table["j_image", "heart"]
    assert table["dsc_image", "heart"] != pytest.approx(2 * mean / (1 + mean), abs=1e-3)
    assert table["dsc", "average"] == pytest.approx(
        np.mean([table["dsc", name] for name in ("left_lung", "heart", "right_lung")])
    )


def test_scores_are_long_counts_and_metrics_for_every_case_and_structure():
    data = few(1, 1)
    labels = np.zeros_like(data.images)
    labels[0, 0, :5] = 2
    scores = scores_of(labels, data)
    assert list(scores.columns) == ["case", "structure", "metric", "value"] and scores.value.dtype == np.float64
    assert len(scores) == 2 * 3 * 7
    first = scores[(scores.case == "case-00") & (scores.structure == "heart")].set_index("metric").value
    heart = int(np.count_nonzero(data.masks[0] & 4))
    assert (first["tp"], first["fp"], first["fn"], first["dsc"]) == (0, 5, heart, 0)


def test_without_a_pixel_size_there_are_no_millimetres():
    data = few(1, 1)
    data = replace(data, info=data.info.model_copy(update={"pixel_mm": None}))
    scores = scores_of(np.zeros_like(data.images), data)
    assert "hausdorff_mm" not in set(scores.metric)
    assert "hausdorff_mm" not in set(ScrOfficial(FAST).summarise(scores).metric)


def test_predictions_of_other_films_are_refused():
    data = few(1, 2)
    with pytest.raises(InputError, match="not of these 3 test films"):
        scores_of(np.zeros_like(data.images), data.select([0, 1, 2])).pipe(
            lambda _: ScrOfficial(FAST).score(Predictions(("x", "y", "z"), {"labels": data.images}), data)
        )


def test_the_paper_preset_holds_the_papers_numbers():
    assert (PAPER.fit_resolution, PAPER.resolution, PAPER.synthetic, PAPER.crop, PAPER.batch) == (
        1024,
        512,
        10_000,
        377,
        17,
    )
    assert (PAPER.rate, PAPER.epochs, PAPER.patience, PAPER.encoder) == (1e-4, 50, 10, "resnet50")
    assert (PAPER.crop - 1) % 8 == (QUICK.crop - 1) % 8 == 0
