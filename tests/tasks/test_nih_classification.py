"""The protocol of the NIH benchmark split: who trains, validates and is tested, labels by a teacher, AUCs, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import auc as area_under
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from cxrbench.baselines.controls import CopyTrain
from cxrbench.benchmark.contracts.collector import collect
from cxrbench.benchmark.contracts.task import Arm, ArmName, Predictions, Slot
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.findings import FINDINGS
from cxrbench.benchmark.data.phantom.nih_like import case_table, nih_like_film
from cxrbench.benchmark.digest import of_file
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.tasks.models.activation_maps import SHOWN, TILE, boxes_of, shown_films
from cxrbench.tasks.models.sdfn import new_classifier
from cxrbench.tasks.nih_classification import PAPER, QUICK, STANDARD, NihClassification
from cxrbench.tasks.patient_shares import size_name

torch.set_num_threads(1)

FAST = replace(
    QUICK,
    resolution=16,
    fit_resolution=16,
    synthetic_least=10,
    synthetic_most=30,
    classifier=replace(QUICK.classifier, resolution=16, growth=4, blocks=(1, 1), batch=8, least_steps=0, most_steps=4),
)
SHOWN_HERE = ("Mass", "Nodule", "Hernia")
TASK = NihClassification(FAST)


def hospital(
    train: int = 40, test: int = 20, *, findings: Sequence[str] = SHOWN_HERE, side: int = 16, visits: int = 2
) -> Dataset:
    """Patients with two films each. In every third film the first finding, in every fourth the second (a bright quarter
    each), in test film 1 alone the third."""
    patients = [f"{'a' if row < train else 'b'}{row:03d}" for row in range(train + test) for _ in range(visits)]
    ids = [f"{name}_{row % visits}" for row, name in enumerate(patients)]
    cases = pd.DataFrame({"id": ids, "patient": patients})
    cases["split"] = ["train" if name.startswith("a") else "test" for name in patients]
    number = np.arange(len(ids))
    patterns = [number % 3 == 0, number % 4 == 1, number == train * visits + 1]
    for column, finding in enumerate(findings):
        cases[finding] = patterns[column % 3].astype(np.uint8)
    images = np.random.default_rng(0).integers(0, 120, (len(ids), side, side))
    half = side // 2
    images[:, :half, :half] += 100 * patterns[0][:, None, None]
    images[:, half:, half:] += 100 * patterns[1][:, None, None]
    info = DatasetInfo(name="hospital", resolution=side, findings=tuple(findings))
    return Dataset(info, images.astype(np.uint8), cases)


def slot(size: str = "full", arm: ArmName = ArmName.REAL) -> Slot:
    return Slot("official", size, arm)


def with_cases(data: Dataset, **columns) -> Dataset:
    return replace(data, cases=data.cases.assign(**columns))


def patients(films: Dataset) -> set[str]:
    return set(films.cases["patient"])


# ------------------------------------------------------------------------------------------- what is refused


def split_of(data: Dataset, **changed: str) -> Dataset:
    return with_cases(data, split=[changed.get(split, split) for split in data.cases["split"]])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (hospital(findings=()), "dataset hospital has no findings"),
        (hospital(findings=("Mass", "average")), "dataset hospital has a finding 'average', the name of the mean"),
        (
            replace(hospital(), cases=hospital().cases.drop(columns="split")),
            "dataset hospital has no column 'split' with train and test; found id, patient, Mass, Nodule, Hernia",
        ),
        (split_of(hospital(), train="training"), "no case of dataset hospital has split 'train'"),
        (split_of(hospital(), test="valid"), "no case of dataset hospital has split 'test'"),
        (
            with_cases(hospital(), split=(["train"] * 3 + ["test"] * 3) * 20),
            "20 patients are in train and in test: a001, a004, a007, a010, a013 ...",
        ),
        (hospital(train=1), "at least 2 patients must train, one of them validates; hospital has 1"),
        (
            with_cases(hospital(), Mass=0, Nodule=1, Hernia=0),
            "no finding of hospital has films with and without it among the tested",
        ),
    ],
)
def test_a_dataset_that_cannot_carry_the_protocol_is_one_line(data, message):
    with pytest.raises(InputError) as error:
        TASK.check(data)
    assert str(error.value).startswith(f"nih_classification: {message}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("train", "test", "found"),
    [
        (78_468, 22_433, "train split of dataset nih has 78,468"),
        (89_687, 22_433, "train split of dataset nih has 89,687"),
    ],
)
def test_the_random_split_that_is_widely_copied_is_recognised(train, test, found):
    films = train + test
    ids = [f"{number:08d}_000" for number in range(films)]
    cases = pd.DataFrame({"id": ids, "patient": ids, "split": ["train"] * train + ["test"] * test})
    cases["Mass"] = np.arange(films) % 2
    data = Dataset(DatasetInfo(name="nih", resolution=1, findings=("Mass",)), np.zeros((films, 1, 1), np.uint8), cases)
    with pytest.raises(InputError, match=f"the {found} films: this is the random split"):
        TASK.check(data)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 10])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(InputError, match=f"shares of the training patients are between 0 and 1, found {share}"):
        NihClassification(replace(FAST, fractions=(share,))).slots(hospital())


# ------------------------------------------------------------------------------------------- sizes and splits


def test_a_share_is_named_in_percent():
    assert [size_name(share) for share in (0.1, 0.01, 0.005, 0.125)] == ["10%", "1%", "0.5%", "12.5%"]


def test_sizes_are_all_patients_and_shares_of_them_each_with_four_arms():
    task = NihClassification(replace(FAST, fractions=(0.25, 0.5, 0.25)))
    assert [(one.size, str(one.arm)) for one in task.slots(hospital())] == [
        (size, arm) for size in ("full", "50%", "25%") for arm in ("real", "synthetic", "mixed", "finetune")
    ]


def test_a_share_of_too_few_patients_or_without_any_finding_is_left_out():
    task = NihClassification(replace(FAST, fractions=(0.01, 0.5)))
    assert {one.size for one in task.slots(hospital())} == {"full", "50%"}
    healthy = with_cases(hospital(), Mass=(hospital().cases["split"] == "test").astype(np.uint8), Nodule=0, Hernia=0)
    assert {one.size for one in task.slots(healthy)} == {"full"}


def test_no_patient_trains_and_validates_or_is_tested_and_all_films_are_used():
    data = hospital(100, 30)
    parts = [make(data, slot()) for make in (TASK.training_set, TASK.validation_set, TASK.test_set)]
    assert [len(patients(part)) for part in parts] == [90, 10, 30]
    assert [len(part) for part in parts] == [180, 20, 60]
    assert sorted(case for part in parts for case in part.ids) == sorted(data.ids)
    assert parts[2].ids == [case for case, split in zip(data.ids, data.cases["split"], strict=True) if split == "test"]


def test_a_larger_share_trains_on_all_that_a_smaller_one_trains_on():
    task, data = NihClassification(replace(FAST, fractions=(0.1, 0.33, 0.5))), hospital(100, 5)
    for make in (task.training_set, task.validation_set):
        nested = [set(make(data, slot(size)).ids) for size in ("10%", "33%", "50%", "full")]
        assert nested[0] < nested[1] < nested[2] < nested[3]
    sizes = [len(patients(task.training_set(data, slot(size)))) for size in ("10%", "33%", "50%", "full")]
    assert sizes == [9, 29, 45, 90]


def test_who_trains_depends_on_names_and_not_on_the_order_of_the_films():
    data = hospital(50, 5)
    shuffled = data.select(np.random.default_rng(1).permutation(len(data)))
    for size in ("10%", "full"):
        assert TASK.training_set(data, slot(size)).ids == TASK.training_set(shuffled, slot(size)).ids
        assert TASK.validation_set(data, slot(size)).ids == TASK.validation_set(shuffled, slot(size)).ids


def test_as_many_synthetic_films_as_real_ones_between_two_bounds():
    task = NihClassification(replace(FAST, synthetic_share=2.0, synthetic_least=10, synthetic_most=100))
    assert task.synthetic_count(hospital(20, 5), slot("full")) == 72  # 18 patients, 36 films
    assert task.synthetic_count(hospital(20, 5), slot("10%")) == 10
    assert task.synthetic_count(hospital(50, 5), slot("full")) == 100
    assert NihClassification(replace(FAST, synthetic_most=0)).synthetic_count(hospital(50, 5), slot("full")) == 90


def test_a_provider_is_fitted_again_only_when_its_training_films_change():
    kept = NihClassification.downstream_only
    assert {"classifier", "resolution"} == kept
    other = NihClassification(replace(FAST, resolution=32, classifier=PAPER.classifier))
    data = hospital(side=32)
    assert TASK.training_set(data, slot()).digest == other.training_set(data, slot()).digest


def test_what_is_scored_are_the_findings_with_both_values_among_the_tested():
    data = hospital(findings=("Hernia", "Mass", "Nodule"))  # the first pattern is the Hernia's
    assert TASK.structures(data) == ("Mass", "Nodule", "Hernia")  # in the order of the 14
    assert TASK.structures(with_cases(data, Mass=0)) == ("Nodule", "Hernia")
    assert TASK.structures(with_cases(data, Mass=1)) == ("Nodule", "Hernia")
    TASK.check(with_cases(data, Mass=1))


def test_the_paper_preset_is_the_papers_and_quick_looks_at_entire_films():
    assert PAPER.classifier.kind == "sdfn" and PAPER.fractions == (0.01, 0.1, 0.25) and PAPER.synthetic_share == 1
    assert QUICK.classifier.kind == "entire" and QUICK.resolution == 64
    assert STANDARD.classifier == replace(PAPER.classifier, most_steps=15_000) and PAPER.classifier.most_steps == 0
    assert NihClassification.presets == {"quick": QUICK, "standard": STANDARD, "paper": PAPER}


# ------------------------------------------------------------------------------------------- training


def arm_of(name: ArmName, data: Dataset, **given) -> Arm:
    real = TASK.training_set(data, slot()) if name is not ArmName.SYNTHETIC else None
    return Arm(name, **({"real": real, "validation": TASK.validation_set(data, slot())} | given))


def trained(arm: Arm, seed: int = 0):
    return TASK.train(arm, seed=seed, device="cpu", progress=Progress())


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in model.state_dict().values()])


def synthetic(data: Dataset, n: int = 12) -> Dataset:
    """Films as a provider gives them: no split, no view, ids of their own."""
    some = TASK.training_set(data, slot()).select(range(n))
    cases = some.cases[["id", "patient", *SHOWN_HERE]].assign(id=[f"s{row}" for row in range(n)])
    return replace(some, cases=cases.assign(source_ids=[[]] * n))


def test_the_arms_train_on_real_films_synthetic_ones_or_both():
    data = hospital()
    masked = replace(data, masks=np.ones_like(data.images), info=data.info.model_copy(update={"organs": ("heart",)}))
    made, real = synthetic(data), TASK.training_set(masked, slot())
    used = {
        name: TASK._films(Arm(name, real=None if name is ArmName.SYNTHETIC else real, synthetic=made)).ids
        for name in ArmName
    }
    assert used[ArmName.REAL] == used[ArmName.FINETUNE] == real.ids
    assert used[ArmName.SYNTHETIC] == made.ids
    assert used[ArmName.MIXED] == [*real.ids, *made.ids]


def test_a_training_is_the_same_twice_and_finetuning_starts_from_the_synthetic_model_and_leaves_it_alone(tmp_path):
    data = hospital()
    first = trained(arm_of(ArmName.SYNTHETIC, data, synthetic=synthetic(data)))
    again = trained(arm_of(ArmName.SYNTHETIC, data, synthetic=synthetic(data)))
    other = trained(arm_of(ArmName.SYNTHETIC, data, synthetic=synthetic(data)), seed=1)
    assert list(first.histories) == ["synthetic: entire"] and first.histories["synthetic: entire"].steps == 4
    assert torch.equal(weights(first.model), weights(again.model))
    assert not torch.equal(weights(first.model), weights(other.model))
    before = weights(first.model).clone()
    tuned = trained(arm_of(ArmName.FINETUNE, data, start=first.model))
    assert torch.equal(weights(first.model), before) and not torch.equal(weights(tuned.model), before)

    test = TASK.test_set(data, slot())
    TASK.save_model(tuned.model, tmp_path / "model.safetensors")
    loaded = TASK.load_model(tmp_path / "model.safetensors", data)
    said = [TASK.predict(model, test, device="cpu").arrays["logits"] for model in (tuned.model, loaded)]
    assert said[0].shape == (40, 3) and said[0].dtype == np.float32 and np.array_equal(*said)


def test_a_model_learns_bright_quarters_and_the_table_shows_it():
    settings = replace(FAST, classifier=replace(FAST.classifier, most_steps=80, epochs=40, check_every=20))
    task, data = NihClassification(settings), hospital(60, 30)
    model = task.train(arm_of(ArmName.REAL, data), seed=0, device="cpu", progress=Progress()).model
    test = task.test_set(data, slot())
    table = task.summarise(task.score(task.predict(model, test, device="cpu"), test))
    auc = table[table["metric"] == "auc"].set_index("structure")["value"]
    assert auc["Mass"] > 0.9 and auc["Nodule"] > 0.9


@pytest.mark.parametrize(
    ("name", "lacks", "message"),
    [
        (ArmName.REAL, {"validation": None}, "the real arm lacks the validation films"),
        (ArmName.REAL, {"real": None}, "the real arm lacks its films"),
        (ArmName.MIXED, {}, "the mixed arm lacks its films"),
        (ArmName.FINETUNE, {}, "the finetune arm starts from the synthetic arm's model, found none"),
    ],
)
def test_an_arm_that_lacks_something_is_one_line(name, lacks, message):
    with pytest.raises(InputError, match=f"nih_classification: {message}"):
        trained(arm_of(name, hospital(), **lacks))


def test_films_without_a_finding_that_is_trained_are_refused():
    data = hospital()
    made = synthetic(data)
    lacking = replace(made, cases=made.cases.drop(columns="Nodule"))
    with pytest.raises(InputError, match="has no labels of Nodule"):
        trained(arm_of(ArmName.SYNTHETIC, data, synthetic=lacking))


def test_copies_of_the_training_films_have_the_natural_prevalence():
    """Although a few films have boxes: in this set, as in NIH's, tested ones alone."""
    data = hospital()
    boxes = pd.DataFrame([(data.ids[-1], "Mass", 1.0, 1.0, 4.0, 4.0)], columns=["id", "finding", "x", "y", "w", "h"])
    train = TASK.training_set(replace(data, boxes=boxes), slot())
    copies = CopyTrain()
    copies.fit(train, seed=0, progress=Progress())
    made = collect("copy_train", copies, train, 3 * len(train), seed=0, progress=Progress())
    assert made.labels().sum(axis=0).tolist() == (3 * train.labels().sum(axis=0)).tolist()


def test_the_phantom_has_boxes_on_tested_films_alone():
    cases = case_table([f"P{patient:07d}_000" for patient in range(1, 400)])
    ill = cases[cases[list(FINDINGS)].any(axis=1)]
    training = ill[ill["split"] == "train"]["id"].head(12)
    assert len(training) == 12 and not any(nih_like_film(case, 32).boxes for case in training)


# ------------------------------------------------------------------------------------------- labels by a teacher


class Bright:
    """A logit is the mean grey of the film, for the k-th finding times (-1)^k."""

    def to(self, device: str) -> None:
        self.device = device

    def logits(self, films: np.ndarray, *, originals: object = None) -> np.ndarray:
        grey = films.mean(axis=(1, 2))
        return np.stack([grey, -grey, grey], axis=1).astype(np.float32)


def grey_films(levels: Sequence[float], name: str = "synthetic") -> Dataset:
    images = np.broadcast_to(np.asarray(levels, np.uint8)[:, None, None], (len(levels), 4, 4)).copy()
    ids = [f"{name}-{row}" for row in range(len(levels))]
    return Dataset(DatasetInfo(name=name, resolution=4), images, pd.DataFrame({"id": ids, "patient": ids}))


def real_films(mass: int, nodule: int) -> Dataset:
    """20 films of grey 0, 10, ..., 190; so many of them have a mass, a nodule; none a hernia."""
    films = grey_films(range(0, 200, 10), "real")
    rows = np.arange(20)
    labels = {"Mass": rows < mass, "Nodule": rows < nodule, "Hernia": rows < 0}
    cases = films.cases.assign(**{name: value.astype(np.uint8) for name, value in labels.items()})
    return replace(films, cases=cases, info=films.info.model_copy(update={"findings": SHOWN_HERE}))


def annotated(levels: Sequence[float], mass: int = 5, nodule: int = 2) -> Dataset:
    return TASK.annotate(Bright(), grey_films(levels), real_films(mass, nodule), seed=0, device="cpu")


def test_films_like_the_real_ones_get_the_real_prevalence():
    made = annotated(range(0, 200, 10))
    assert made.info.findings == SHOWN_HERE
    assert made.labels().sum(axis=0).tolist() == [5, 2, 0]  # whatever the model's logits are: 5, 2 and 0 of 20
    assert np.flatnonzero(made.labels()[:, 0]).tolist() == [15, 16, 17, 18, 19]  # the highest logits
    assert np.flatnonzero(made.labels()[:, 1]).tolist() == [0, 1]


@pytest.mark.parametrize("mass", [1, 7, 19])
def test_every_prevalence_is_met(mass):
    assert annotated(range(0, 200, 10), mass=mass).labels()[:, 0].sum() == mass


def test_films_that_show_a_finding_more_often_are_labelled_more_often():
    """The threshold is that of the real films, not a share of the synthetic ones."""
    assert annotated([180] * 8).labels()[:, 0].tolist() == [1] * 8
    assert annotated([20] * 8).labels().sum() == 0
    assert annotated([149, 141, 151, 139]).labels()[:, 0].tolist() == [1, 0, 1, 0]  # bound between 140 and 150


def test_given_films_are_left_alone_and_their_other_columns_kept():
    films = grey_films([180, 20])
    made = TASK.annotate(Bright(), films, real_films(5, 2), seed=0, device="cpu")
    assert list(films.cases.columns) == ["id", "patient"] and films.info.findings == ()
    assert made.ids == films.ids and made.images is films.images
    assert made.cases[list(SHOWN_HERE)].dtypes.eq(np.uint8).all()
    assert TASK._films(Arm(ArmName.MIXED, real=real_films(5, 2), synthetic=made)).labels().shape == (22, 3)


# ------------------------------------------------------------------------------------------- scores


def scored(data: Dataset, logits: np.ndarray) -> pd.DataFrame:
    return TASK.score(Predictions(tuple(data.ids), {"logits": logits}), data)


def noisy(data: Dataset, gain: float = 1.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(len(data), 3)) + gain * data.labels()


def test_scores_are_a_logit_and_a_truth_for_every_case_and_finding_with_the_patient():
    data = hospital(2, 30)
    test = TASK.test_set(data, slot())
    logits = noisy(test)
    scores = scored(test, logits)
    assert list(scores.columns) == ["case", "patient", "structure", "metric", "value"]
    assert len(scores) == 60 * 3 * 2 and scores["value"].dtype == np.float64
    wide = scores.pivot(index="case", columns=["metric", "structure"], values="value").loc[test.ids]
    assert np.array_equal(wide["logit"][list(SHOWN_HERE)].to_numpy(), logits)
    assert np.array_equal(wide["truth"][list(SHOWN_HERE)].to_numpy(), test.labels())
    assert scores.set_index("case")["patient"].to_dict() == test.cases.set_index("id")["patient"].to_dict()


def test_the_table_agrees_with_scikit_learn():
    test = TASK.test_set(hospital(2, 60), slot())
    logits = noisy(test)
    table = TASK.summarise(scored(test, logits)).set_index(["metric", "structure"])["value"]
    probability, truth = 1 / (1 + np.exp(-logits)), test.labels()
    for column, name in enumerate(SHOWN_HERE):
        assert table["auc", name] == pytest.approx(roc_auc_score(truth[:, column], logits[:, column]))
        found = average_precision_score(truth[:, column], logits[:, column])
        assert table["average_precision", name] == pytest.approx(found)
        assert table["brier", name] == pytest.approx(brier_score_loss(truth[:, column], probability[:, column]))
    for metric in ("auc", "average_precision", "brier", "calibration_error"):
        assert table[metric, "average"] == pytest.approx(np.mean([table[metric, name] for name in SHOWN_HERE]))
    for name in (*SHOWN_HERE[:2], "average"):
        assert table["auc_low", name] < table["auc", name] < table["auc_high", name]
    assert list(dict.fromkeys(metric for metric, _ in table.index)) == [metric.name for metric in TASK.metrics]


def test_a_finding_with_one_label_value_among_the_tested_is_absent_and_not_a_half():
    data = hospital(2, 30)
    logits = noisy(TASK.test_set(data, slot()))
    for value in (0, 1):
        test = TASK.test_set(with_cases(data, Nodule=value), slot())
        scores = scored(test, logits)  # the model was taught all three
        assert set(scores["structure"]) == {"Mass", "Hernia"} == set(TASK.structures(test))
        table = TASK.summarise(scores).set_index(["metric", "structure"])["value"]
        assert ("auc", "Nodule") not in table.index
        assert table["auc", "average"] == pytest.approx((table["auc", "Mass"] + table["auc", "Hernia"]) / 2)


def test_findings_other_than_the_14_come_after_them_by_name():
    data = hospital(findings=("Tuberculosis", "Mass", "Lung Opacity"))
    data = with_cases(data, **{"Lung Opacity": data.cases["Mass"]})
    TASK.check(data)
    assert TASK.structures(data) == ("Mass", "Lung Opacity", "Tuberculosis")
    test = TASK.test_set(data, slot())
    truth = test.cases[["Mass", "Lung Opacity", "Tuberculosis"]].to_numpy()
    scores = TASK.score(Predictions(tuple(test.ids), {"logits": (2.0 * truth - 1).astype(np.float32)}), test)
    table = TASK.summarise(scores).set_index(["metric", "structure"])["value"]["auc"]
    assert table.to_dict() == {"Mass": 1, "Lung Opacity": 1, "Tuberculosis": 1, "average": 1}
    assert [plot.title for plot in TASK.plots({"real": scores.assign(seed=0)})] == [
        "Mass",
        "Lung Opacity",
        "Tuberculosis",
    ]


def test_predictions_of_other_films_or_another_shape_are_refused():
    test = TASK.test_set(hospital(), slot())
    with pytest.raises(InputError, match="the predictions are not of these 40 test films"):
        TASK.score(Predictions(tuple(test.ids[::-1]), {"logits": noisy(test)}), test)
    with pytest.raises(InputError, match=r"logits of shape \(40, 2\), expected \(40, 3\) for Mass, Nodule, Hernia"):
        scored(test, noisy(test)[:, :2])


def test_roc_curves_have_a_drawing_a_finding_and_a_curve_an_arm_of_the_first_seed():
    test = TASK.test_set(hospital(2, 200), slot())
    first, second = scored(test, noisy(test, seed=1)).assign(seed=0), scored(test, noisy(test, seed=2)).assign(seed=1)
    plots = TASK.plots({"real": pd.concat([second, first]), "mixed": first, "synthetic": first.iloc[:0]})
    assert [plot.title for plot in plots] == ["Mass", "Nodule", "Hernia"] and all(plot.diagonal for plot in plots)
    for column, plot in enumerate(plots):
        assert list(plot.curves) == ["real", "mixed"]
        x, y = plot.curves["real"]
        assert len(x) <= 200 and (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
        truth, logits = test.labels()[:, column], noisy(test, seed=1)[:, column]
        assert area_under(x, y) == pytest.approx(roc_auc_score(truth, logits), abs=5e-3)
        assert np.array_equal(x, plot.curves["mixed"][0])


# ------------------------------------------------------------------------------------------- pictures


def boxed(data: Dataset, *boxes: tuple[str, str]) -> Dataset:
    rows = [(case, finding, 1.0, 2.0, 3.0, 4.0) for case, finding in boxes]
    return replace(data, boxes=pd.DataFrame(rows, columns=["id", "finding", "x", "y", "w", "h"]))


def test_films_with_each_finding_in_turn_are_shown_those_with_a_box_of_it_first():
    test = TASK.test_set(hospital(2, 6), slot())
    mass, nodule = (np.flatnonzero(test.cases[name]).tolist() for name in ("Mass", "Nodule"))
    assert shown_films(test, ("Mass", "Nodule"), 3) == [(mass[0], "Mass"), (nodule[0], "Nodule"), (mass[1], "Mass")]
    known = boxed(test, (test.ids[mass[2]], "Mass"), (test.ids[nodule[2]], "Mass"))  # no box of its nodule
    assert shown_films(known, ("Mass", "Nodule"), 2) == [(mass[2], "Mass"), (nodule[0], "Nodule")]
    assert boxes_of(known, test.ids[mass[2]], "Mass") == [(1, 2, 3, 4)] and boxes_of(test, test.ids[0], "Mass") == []
    assert len(shown_films(test, ("Mass", "Nodule"), 99)) == len(mass) + len(nodule)


def test_activation_maps_are_drawn_over_the_films_with_finding_and_probability():
    test = boxed(TASK.test_set(hospital(2, 30), slot()), ("b003_0", "Mass"))
    model = new_classifier(3, FAST.classifier, seed=0)
    pictures = TASK.illustrate(model, test, device="cpu")
    assert len(pictures) == SHOWN
    assert all(one.pixels.shape == (TILE, TILE, 3) and one.pixels.dtype == np.uint8 for one in pictures)
    rows = [test.ids.index(one.caption.split(":")[0]) for one in pictures]
    probability = 1 / (1 + np.exp(-model.logits(test.images[rows[:1]])[0, 0]))
    first = shown_films(test, SHOWN_HERE, 1)[0]
    assert pictures[0].caption.startswith(f"{test.ids[first[0]]}: Mass") and f"{probability:.2f}" in pictures[0].caption
    nobody = with_cases(test, Mass=0, Nodule=0, Hernia=0)
    assert list(TASK.illustrate(model, nobody, device="cpu")) == []


def test_the_record_says_where_weights_came_from(tmp_path):
    assert TASK.weights_used() == "none"
    file = tmp_path / "densenet.safetensors"
    file.write_bytes(b"weights")
    task = NihClassification(replace(FAST, classifier=replace(FAST.classifier, weights=file)))
    assert task.weights_used() == of_file(file)
