"""The checker on placebos and on curves: what passes, what is said, what waits for a review."""

from __future__ import annotations

import pytest

from cxrbench.benchmark.results.curve import FoundCurve
from cxrbench.benchmark.results.gains import CurvePoint, PlaceboCurve
from cxrbench.benchmark.runs.record import CellIdentity, DataIdentity, TaskIdentity
from cxrbench.leaderboard import arms
from cxrbench.leaderboard.attempts import from_entry
from cxrbench.leaderboard.checks import check_entry
from cxrbench.leaderboard.checks import curve as curve_check
from cxrbench.leaderboard.entry import load_entry
from cxrbench.leaderboard.pack import seal

from . import taken_apart as apart
from .conftest import pack_run
from .taken_apart import run_folder

DATA = DataIdentity(name="tiny films", digest="d" * 64)


def said(verdict) -> str:
    return "\n".join(map(str, verdict.findings))


def own_curve(results, **changes) -> PlaceboCurve:
    """A curve of the run's own placebos, and of made-up ones at 4 films."""
    values = {
        one.seed: one.value
        for one in results.seed_values
        if (one.arm, one.structure) == ("placebo_synthetic", "average")
    }
    points = [CurvePoint(arm="synthetic", size="full", films=8, seed=s, value=v) for s, v in values.items()]
    points += [CurvePoint(arm="synthetic", size="4", films=4, seed=s, value=v - 0.03) for s, v in values.items()]
    task, data = results.task, results.data
    fields = {
        "task": task.name,
        "version": task.version,
        "code": task.code,
        "settings": task.settings,
        "data": DataIdentity.model_validate({name: getattr(data, name) for name in DataIdentity.model_fields}),
        "preset": results.preset,
        "device": "cpu",
        "metric": "dsc",
        "points": points,
        "environments": [],
        "created": "2026-01-01T00:00:00Z",
    }
    return PlaceboCurve.model_validate(fields | changes)


@pytest.fixture
def results(pack_system):
    """The results of a run of five seeds, without a curve."""
    return load_entry(pack_system("plain", seeds=5)).runs[0].results


def with_curve(pack_system, curve: PlaceboCurve):
    return pack_system("my_gan", seeds=5, draw=3, curve=FoundCurve(curve, "store"))


# ------------------------------------------------------------------------------------------------- names of arms


@pytest.mark.parametrize(
    ("label", "parts"),
    [
        ("real", ("real", False, None)),
        ("mixed", ("mixed", False, None)),
        ("placebo_finetune", ("finetune", True, None)),
        ("mixed_62", ("mixed", False, 62)),
        ("placebo_synthetic_240", ("synthetic", True, 240)),
    ],
)
def test_the_name_of_an_arm_says_what_it_is_as_the_engine_does(label, parts):
    assert arms.parsed(label) == parts
    task = TaskIdentity(name="squares", version=1, code="c", settings={})
    cell = CellIdentity(
        task=task,
        data=DATA,
        preset="quick",
        fold="all",
        size="full",
        arm=parts[0],
        seed=0,
        device="cpu",
        packages={},
        placebo=parts[1],
        synthetic=parts[2],
    )
    assert arms.label_of(cell) == label
    assert arms.is_shared(label) is (parts[0] == "real" or parts[1])


@pytest.mark.parametrize(
    "label", ["placebo_real", "real_5", "magic", "mixed_0", "mixed_", "mixed_1_2", "PLACEBO_mixed", ""]
)
def test_other_names_are_none_of_an_arm(label):
    assert arms.parsed(label) is None


# ------------------------------------------------------------------------------------------------------ placebos


def test_the_copies_of_a_placebo_are_drawn_again(entry, sources):
    """The damages of the corpus are refused for the ids; here that the check has looked at any."""
    verdict = check_entry(entry, sources=sources)
    assert verdict.passed
    ids = {apart.arm_of(record): record["train_ids"] for record in apart.records(run_folder(entry))}
    assert len(set(ids.values())) == 3


def test_without_the_films_what_placebos_were_trained_on_is_not_verified_and_that_is_said(entry, without_films):
    apart.change_record(run_folder(entry), lambda record: record.update(train_ids="0" * 64), "placebo_synthetic")
    seal(entry)
    verdict = check_entry(entry, sources=without_films)
    assert verdict.passed
    assert "which films REAL and the placebos were trained on is not verified" in said(verdict)


def test_a_weak_placebo_waits_for_a_review(pack_system, sources):
    wrong = {"real": 0.02, "synthetic": 0.05, "placebo_synthetic": 0.09}
    verdict = check_entry(pack_system(seeds=5, wrong=wrong), sources=sources)
    assert verdict.status == "needs review"
    assert "of its placebo's error away" in said(verdict) and "is the placebo trained on copies" in said(verdict)


def test_an_improbable_gain_over_the_placebo_waits_for_a_review(pack_system, sources):
    wrong = {"real": 0.03, "synthetic": 0.027, "placebo_synthetic": 0.06}
    verdict = check_entry(pack_system(seeds=5, wrong=wrong), sources=sources)
    assert verdict.status == "needs review"
    assert "of its placebo's error away" in said(verdict) and "of REAL's error away" not in said(verdict)


def test_a_placebo_about_as_good_as_real_passes(pack_system, sources):
    wrong = {"real": 0.03, "synthetic": 0.035, "placebo_synthetic": 0.033}
    assert check_entry(pack_system(seeds=5, wrong=wrong), sources=sources).passed


def test_placebos_that_an_entry_brings_are_held_against_the_shared_ones(made_run, tmp_path, sources):
    root = tmp_path / "submissions"
    made = {
        name: made_run(
            tmp_path / name,
            name=name,
            seeds=5,
            wrong={"real": 0.03, "synthetic": 0.03} | placebo,
            draw=draw,
            processor=name,
        )
        for draw, (name, placebo) in enumerate(
            {"weak": {"placebo_synthetic": 0.08}, "fair": {}, "board": {}}.items(), start=1
        )
    }
    folders = {name: pack_run(one, root, name, share=name == "board") for name, one in made.items()}
    weak = check_entry(folders["weak"], sources=sources)
    assert weak.status == "needs review" and "placebo_synthetic full: its own cells score" in said(weak)
    assert "real full: its own cells" not in said(weak)
    fair, board = (check_entry(folders[name], sources=sources) for name in ("fair", "board"))
    assert board.passed, said(board)
    assert "its own cells score" not in said(fair) and "other contents, of another processor" in said(fair)


def test_only_the_maintainers_name_controls(entry, sources):
    path = entry / "submission.toml"
    path.write_text(
        path.read_text().replace('hardware = "two CPU cores"', 'hardware = "two CPU cores"\ncontrol = true')
    )
    assert "'control' is for systems whose worth is known beforehand" in said(check_entry(entry, sources=sources))
    (attempt,) = from_entry(load_entry(entry))
    assert attempt.entrant.control


def test_an_attempt_has_its_placebos_and_what_ranks_it(pack_system):
    (attempt,) = from_entry(load_entry(pack_system(seeds=5)))
    assert attempt.headline == ("full", "synthetic") and attempt.device == "cpu"
    assert set(attempt.average("full", "placebo_synthetic", "dsc")) == set(range(5))
    assert ("full", "all", "placebo_synthetic", 3) in attempt.cells


# ----------------------------------------------------------------------------------------------------- the curve


def test_a_curve_of_nobody_knows_what_is_said_and_its_worths_are_computed_again(pack_system, results, sources):
    curve = own_curve(results)
    folder = with_curve(pack_system, curve)
    verdict = check_entry(folder, sources=sources)
    assert verdict.passed
    assert "10 of its 10 points cannot be computed again" in said(verdict)  # the run drew others
    found = load_entry(folder).runs[0].results
    assert found.worths and found.curve is not None and found.curve.curve == curve
    (row,) = (one for one in found.worths if one.arm == "synthetic")
    path = run_folder(folder) / "results.json"
    path.write_text(path.read_text().replace(row.sentence, "alone they are worth 100 real films"))
    seal(folder)
    assert "worths [0].sentence: the entry says alone they are worth 100" in said(check_entry(folder, sources=sources))


def test_points_that_the_entry_has_itself_are_counted(pack_system, results, sources):
    folder = pack_system(
        "again", seeds=5, curve=FoundCurve(own_curve(results), "store"), wrong={"real": 0.02, "synthetic": 0.1}
    )
    assert "5 of its 10 points cannot be computed again" in said(check_entry(folder, sources=sources))


def test_a_curve_that_the_task_ships_needs_no_note(pack_system, results, sources, monkeypatch):
    curve = own_curve(results)
    monkeypatch.setattr(curve_check, "shipped_curves", lambda task: [curve])
    assert "its curve" not in said(check_entry(with_curve(pack_system, curve), sources=sources))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "circles"}, "task"),
        ({"version": 2}, "version of the task"),
        ({"settings": {"resolution": 32}}, "setting of the task"),
        ({"data": DATA}, "dataset"),
        ({"preset": "paper"}, "preset"),
        ({"device": "cuda"}, "device"),
        ({"metric": "j"}, "metric"),
    ],
)
def test_a_curve_of_something_else_is_refused(change, words, pack_system, results, sources):
    verdict = check_entry(with_curve(pack_system, own_curve(results, **change)), sources=sources)
    assert verdict.status == "refused" and f"its curve is of another {words} than the run" in said(verdict)


def test_a_curve_without_sizes_is_refused(pack_system, results, sources):
    """A number of films that no curve can have."""
    curve = own_curve(results)
    folder = with_curve(pack_system, curve)
    path = run_folder(folder) / "results.json"
    path.write_text(path.read_text().replace('"films":4.0', '"films":-4.0'))
    seal(folder)
    assert check_entry(folder, sources=sources).status == "refused"
