"""Generators of films alone in tasks that need annotations: how they are asked for, run, kept apart and refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.contracts.label_by import LabelBy
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.errors import CxrbenchError, InputError, ProviderError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.report.comparison import Run, compare
from cxrbench.benchmark.report.words import intervals
from cxrbench.benchmark.report.write import write_run
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.finished import Harvest
from cxrbench.benchmark.results.folder import PLOTS
from cxrbench.benchmark.results.rows import Results
from cxrbench.benchmark.runs import asked, examine
from cxrbench.benchmark.runs import chains as execution
from cxrbench.benchmark.runs.chains import Outcome
from cxrbench.benchmark.runs.job import Job
from cxrbench.benchmark.runs.leaks import of_no_case, refuse_leaks
from cxrbench.benchmark.runs.request import Prepared, Request, choose_label_by, execute, prepare
from cxrbench.benchmark.runs.store import Level
from cxrbench.benchmark.runs.worker import perform
from cxrbench.tasks.nih_classification import NihClassification
from cxrbench.tasks.scr_official import ScrOfficial

from ..toys.toy_labels import ToyLabels
from ..toys.toy_task import ToyTask

TOYS = Path(__file__).parents[1] / "toys"
FINDINGS = ("Mass", "Nodule", "Edema")


def tiny(train: int = 60, test: int = 40, side: int = 16) -> Dataset:
    """Noise; the k-th finding brightens the k-th quarter. Training films t00, ..., test films e00, ..., two a patient."""
    rng = np.random.default_rng(0)
    labels = (rng.random((train + test, 3)) < 0.35).astype(np.uint8)
    images = rng.normal(90, 20, (train + test, side, side))
    half = side // 2
    for column, (top, left) in enumerate(((0, 0), (0, half), (half, 0))):
        images[:, top : top + half, left : left + half] += 25 * labels[:, column, None, None]
    ids = [f"t{row:02d}" for row in range(train)] + [f"e{row:02d}" for row in range(test)]
    patients = [f"{name[0]}-{int(name[1:]) // 2}" for name in ids]
    cases = pd.DataFrame({"id": ids, "patient": patients, "split": ["train"] * train + ["test"] * test})
    cases[list(FINDINGS)] = labels
    info = DatasetInfo(name="tiny", resolution=side, findings=FINDINGS, provenance="made for tests")
    return Dataset(info, np.clip(images, 0, 255).astype(np.uint8), cases)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("data") / "tiny"
    tiny().save(folder)
    return str(folder)


def at_once(job: Job, time_limit: float | None) -> Outcome:
    """A step in this process: what a process of its own would do, without its start."""
    try:
        return Outcome(getattr(job, "key", ""), job.label, value=perform(job, Progress()))
    except CxrbenchError as error:
        return Outcome(getattr(job, "key", ""), job.label, str(error))


@pytest.fixture
def here(monkeypatch):
    """Steps run in this process, which needs no torch for them."""
    monkeypatch.setattr(asked, "run_job", at_once)
    monkeypatch.setattr(execution, "run_job", at_once)
    monkeypatch.setattr(examine, "torch_mismatch", lambda: None)


def request_of(data: str, provider: str = "Bare", **values) -> Request:
    given = {"task": f"{TOYS / 'toy_labels.py'}:ToyLabels", "device": "cpu", "jobs": 1, "data": data} | values
    return Request(provider=f"{TOYS / 'toy_providers.py'}:{provider}", **given)


def run(request: Request) -> tuple[Prepared, list[Outcome]]:
    prepared = prepare(request)
    return prepared, list(execute(prepared))


def key_of(prepared: Prepared, arm: str) -> str:
    return next(cell.key for cell in prepared.plan.cells if cell.slot.arm == arm)


def written(prepared: Prepared, folder: Path) -> Results:
    results = assemble(prepared.plan, prepared.store, ["cxrbench", "run"])
    write_run(folder, results, prepared.plan, prepared.store)
    return results


# ------------------------------------------------------------------------------------------- what may be asked for


class NoTeacher(ToyLabels):
    """Its models cannot annotate."""

    annotate = ToyTask.annotate


@pytest.mark.parametrize(
    ("asked", "produces", "task", "chosen"),
    [
        (None, ["labels", "masks"], ToyLabels(), LabelBy.NATIVE),
        ("native", ["labels"], ToyLabels(), LabelBy.NATIVE),
        (None, [], ToyLabels(), LabelBy.TEACHER),
        ("teacher", [], ToyLabels(), LabelBy.TEACHER),
        ("per_class", [], ToyLabels(), LabelBy.PER_CLASS),
        ("per_class", [], NoTeacher(), LabelBy.PER_CLASS),
        ("teacher", ["masks"], NihClassification(), LabelBy.TEACHER),
        (None, [], ScrOfficial(), LabelBy.TEACHER),
        ("teacher", ["labels"], ScrOfficial(), LabelBy.TEACHER),
    ],
)
def test_annotations_are_native_where_they_are_made_and_films_alone_get_a_teacher(asked, produces, task, chosen):
    assert choose_label_by(asked, "lsgan", produces, task) is chosen


BOTH = "--label-by teacher (the REAL model annotates) or per_class (a generator per finding) lets it take part"


@pytest.mark.parametrize(
    ("asked", "produces", "task", "message"),
    [
        ("teacher", ["labels"], ToyLabels(), "x makes labels itself; --label-by is for generators that do not"),
        ("per_class", ["labels"], ToyLabels(), "x makes labels itself; --label-by is for generators that do not"),
        (None, ["masks"], NihClassification(), f"x produces masks, but nih_classification needs labels; {BOTH}"),
        ("native", [], ToyLabels(), f"x produces films alone, but toy_labels needs labels; {BOTH}"),
        (
            None,
            ["labels"],
            ScrOfficial(),
            "x produces labels, but scr_official needs masks; "
            "--label-by teacher (the REAL model annotates) lets it take part",
        ),
        (
            "per_class",
            [],
            ScrOfficial(),
            "--label-by per_class gives labels, but scr_official needs masks; use --label-by teacher",
        ),
        ("teacher", [], NoTeacher(), "x makes no labels, and the models of toy_labels cannot annotate films for it"),
        (None, [], ToyTask(), "x makes no masks, and the models of toy cannot annotate films for it"),
        ("techer", [], ToyLabels(), "unknown --label-by 'techer'. Did you mean teacher? Known: per_class, teacher"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_that_says_how(asked, produces, task, message):
    with pytest.raises(InputError) as error:
        choose_label_by(asked, "x", produces, task)
    assert str(error.value) == message


def test_a_provider_of_masks_is_refused_for_findings_before_any_work(data, here):
    with pytest.raises(InputError, match=r"Toy produces masks, but toy_labels needs labels; --label-by teacher"):
        prepare(request_of(data, "Toy"))


# ------------------------------------------------------------------------------------------- teacher


def test_a_teacher_annotates_the_films_and_record_table_and_report_say_so(data, here, tmp_path):
    prepared, outcomes = run(request_of(data))
    assert [outcome.error for outcome in outcomes] == [""] * 4
    assert [step.label for step in prepared.schedule.chains[0]] == [
        "real full",
        "fit Bare full",
        "synthetic full",
        "finetune full",
    ]
    assert len(prepared.schedule.chains) == 1
    record = prepared.store.record(key_of(prepared, "synthetic"))
    assert record.cell.provider is not None and record.cell.provider.label_by == "teacher"
    films = prepared.store.synthetic(str(record.synthetic_key))
    assert films.info.findings == FINDINGS and len(films) == 24
    assert 0 < films.labels().mean() < 1
    assert {"near_test", "near_train"} <= record.checks.keys()

    results = written(prepared, tmp_path / "run")
    assert results.provider.title == "Bare (labels by teacher)"
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Bare (labels by teacher)" in page and "film e00" in page
    assert "Bare (labels by teacher)" in (tmp_path / "run" / "tables" / "table.md").read_text()
    assert "Bare,teacher," in (tmp_path / "run" / "tables" / "table.csv").read_text()
    (plot,) = json.loads((tmp_path / "run" / PLOTS).read_text())["plots"]
    assert (plot["size"], plot["title"], plot["diagonal"]) == ("full", "Mass", True)
    assert set(plot["curves"]) == {"real", "synthetic", "finetune"}
    for x, y in plot["curves"].values():
        assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    kept = np.load(prepared.store.path(Level.RECORDS, key_of(prepared, "real")) / "illustrations.npz")
    assert kept["pictures"].shape == (2, 16, 16, 3) and kept["captions"].tolist() == ["film e00", "film e01"]
    shown = list((tmp_path / "run" / "figures" / "films").glob("full-seen-real-*.png"))
    assert len(shown) == 2

    (line,) = intervals(results)
    real = {name: results.row("full", "real", name, "average") for name in ("auc", "auc_low", "auc_high")}
    value, low, high = (f"{real[name].value:.3f}" for name in ("auc", "auc_low", "auc_high"))
    assert line.startswith(f"average AUC with 95 % interval, full: REAL {value} ({low} to {high}), SYNTHETIC ")
    row = next(one for one in results.paired if (one.arm, one.structure) == ("synthetic", "average"))
    assert row.test == "bootstrap over patients" and row.n == 40


def test_the_real_model_is_trained_once_and_shared_by_ways_and_providers(data, here, tmp_path):
    teacher, first = run(request_of(data))
    per_class, outcomes = run(request_of(data, label_by="per_class"))
    assert not any(outcome.error for outcome in (*first, *outcomes))
    assert key_of(teacher, "real") == key_of(per_class, "real")
    assert [outcome.label for outcome in outcomes] == ["fit Bare full", "synthetic full", "finetune full"]
    cells = {cell.slot.arm: cell for cell in teacher.plan.cells}
    for cell in per_class.plan.cells:
        if cell.slot.arm != "real":
            other = cells[cell.slot.arm]
            assert cell.key != other.key and cell.fit_key != other.fit_key
            assert cell.synthetic_key != other.synthetic_key and cell.teacher_key is None
            assert other.teacher_key == key_of(teacher, "real")
    films = per_class.store.synthetic(str(per_class.plan.cells[-1].synthetic_key))
    assert films.labels().sum(axis=1).max() == 1  # one-hot
    facts = per_class.store.record(key_of(per_class, "synthetic")).checks["provider"]
    assert facts == {"generators": 4, "classes_without_generator": "none"}

    for name, prepared in (("a", teacher), ("b", per_class)):
        written(prepared, tmp_path / name)
    compared = compare(Run.open(tmp_path / "a"), Run.open(tmp_path / "b"))
    assert (compared.a.label, compared.b.label) == ("Bare (labels by teacher)", "Bare (labels by per_class)")
    row = next(one for one in compared.rows if (one.arm, one.structure) == ("synthetic", "Mass") and one.test)
    assert row.test == "DeLong" and row.case_difference == pytest.approx(row.a - row.b)


def test_a_synthetic_arm_asked_for_alone_brings_its_teacher_along(data, here):
    prepared, outcomes = run(request_of(data, arms=("synthetic",)))
    assert [outcome.label for outcome in outcomes] == ["real full", "fit Bare full", "synthetic full"]
    assert not any(outcome.error for outcome in outcomes)
    assert [cell.slot.arm for cell in prepared.plan.cells] == ["synthetic"]
    again = prepare(request_of(data))
    assert {step.cell.slot.arm for step in again.left} == {"finetune"}


def test_another_teacher_means_other_films_from_the_same_fitted_generator(data, here):
    """A setting of the downstream model changes the teacher, and so the annotations, but not what was fitted."""
    one, other = (
        {cell.slot.arm: cell for cell in prepare(request_of(data, overrides=extra)).plan.cells}
        for extra in ((), ("task.fails=mixed",))
    )
    assert one["synthetic"].fit_key == other["synthetic"].fit_key
    assert one["synthetic"].teacher_key != other["synthetic"].teacher_key
    assert one["synthetic"].synthetic_key != other["synthetic"].synthetic_key


def test_every_seed_has_a_teacher_of_its_own(data, here):
    prepared = prepare(request_of(data, seeds=2))
    assert [[step.cell.slot.arm for step in chain if step.kind == "cell"] for chain in prepared.schedule.chains] == [
        ["real", "synthetic", "finetune"]
    ] * 2
    keys = {cell.seed: cell.teacher_key for cell in prepared.plan.cells if cell.teacher_key}
    assert keys == {cell.seed: cell.key for cell in prepared.plan.cells if cell.slot.arm == "real"}
    assert keys[0] != keys[1]


def test_a_teacher_that_fails_fails_the_rest_of_its_chain_with_its_reason(data, monkeypatch):
    """With processes of their own: one is started, for REAL; the others are not tried."""
    monkeypatch.setattr(asked, "run_job", at_once)
    monkeypatch.setattr(examine, "torch_mismatch", lambda: None)
    prepared, outcomes = run(request_of(data, overrides=("task.fails=real",)))
    assert [(outcome.label, outcome.error) for outcome in outcomes] == [
        (label, "RuntimeError: told to fail")
        for label in ("real full", "fit Bare full", "synthetic full", "finetune full")
    ]
    harvest = Harvest(prepared.plan, prepared.store)
    assert set(harvest.messages.values()) == {"real full: RuntimeError: told to fail"}
    assert len(harvest.messages) == 3


# ------------------------------------------------------------------------------------------- leaks


def test_a_provider_that_learnt_from_a_test_film_is_refused_with_its_id(data, here):
    prepared, outcomes = run(request_of(data, "KnowsTest"))
    failed = [outcome for outcome in outcomes if outcome.error]
    message = "provider KnowsTest: refused (leak): fitted on 1 films of the test set tiny: e05"
    assert [outcome.error for outcome in failed] == [message] * 3
    assert prepared.store.sound(Level.RECORDS, key_of(prepared, "real"))


def test_an_adapter_does_not_hide_what_its_generators_learnt_from(data, here):
    _, outcomes = run(request_of(data, "KnowsTest", label_by="per_class", arms=("synthetic",)))
    assert all(outcome.error.endswith("fitted on 1 films of the test set tiny: e05") for outcome in outcomes)


def parts() -> tuple[Dataset, Dataset, Dataset]:
    """(synthetic films that say nothing, training films, test films)."""
    whole = tiny(8, 8)
    train, test = whole.select(range(8)), whole.select(range(8, 16), name="the test films")
    films = train.select(range(3))
    films.cases["id"] = ["s0", "s1", "s2"]
    return films, train, test


def with_sources(films: Dataset, sources: list[list[str]]) -> Dataset:
    return replace(films, cases=films.cases.assign(source_ids=sources))


def test_training_films_and_films_from_elsewhere_are_no_leak():
    films, train, test = parts()
    refuse_leaks("x", films, [], train, test)
    refuse_leaks("x", with_sources(films, [["t01"], [], ["t02", "t03"]]), ["t01", "elsewhere"], train, test)


@pytest.mark.parametrize(
    ("trained_on", "shown", "train_sources", "message"),
    [
        (["e02", "t01", "e01"], [[], [], []], None, r"fitted on 2 films of the test set the test films: e01, e02"),
        ([], [["t01"], ["t02", "e07"], []], None, r"showing in its samples 1 films of .*: e07"),
        ([], [[], [], []], "e03", r"fitted on 1 films of .*: e03"),
        ([f"e0{row}" for row in range(7)], [[], [], []], None, r"fitted on 7 .*: e00, e01, e02, e03, e04 \.\.\."),
    ],
)
def test_a_test_film_that_was_learnt_from_or_shown_is_named(trained_on, shown, train_sources, message):
    films, train, test = parts()
    if train_sources:  # an augmented copy of a test film among the training films
        train = with_sources(train, [[train_sources]] * len(train))
    with pytest.raises(ProviderError) as error:
        refuse_leaks("x", with_sources(films, shown), trained_on, train, test)
    assert re.fullmatch(rf"provider x: refused \(leak\): {message}", str(error.value))


@pytest.mark.parametrize("name", ["e01.png", "images/e01.PNG", "C:\\films\\e01.dcm", '"e01"', "e01,", " E01 ", "./e01"])
def test_a_test_film_is_known_by_its_file_too(name):
    films, train, test = parts()
    with pytest.raises(ProviderError, match=r"fitted on 1 films of the test set the test films: e01"):
        refuse_leaks("x", films, [name], train, test)


def test_a_file_that_may_be_a_training_film_is_no_leak():
    films, train, test = parts()
    train.cases["id"] = [f"a/{name}" for name in ("e01", *train.ids[1:])]
    refuse_leaks("x", films, ["b/e01.png"], train, test)


def test_names_of_no_case_are_said_for_nothing_is_checked_by_them():
    _, train, _ = parts()
    assert of_no_case(["t01", "images/T02.png"], train) == ()
    said = of_no_case(["t01", "a", "b", "c", "d", "e", "f"], train)
    assert said == ("trained_on: 6 ids of no case of tiny, so not checked: a, b, c, d, e ...",)


def test_a_training_film_that_is_tested_too_is_a_leak():
    films, _, test = parts()
    with pytest.raises(ProviderError, match="fitted on 1 films of the test set the test films: e00"):
        refuse_leaks("x", films, [], tiny(8, 8).select(range(9)), test)


def test_a_folder_or_program_of_films_alone_is_annotated_by_the_real_model_when_asked():
    task = NihClassification()
    assert choose_label_by("teacher", "films", ["labels"], task, external=True) is LabelBy.TEACHER
    assert choose_label_by(None, "films", ["labels"], task, external=True) is LabelBy.NATIVE
    with pytest.raises(InputError, match="makes labels itself"):
        choose_label_by("per_class", "films", ["labels"], task, external=True)
