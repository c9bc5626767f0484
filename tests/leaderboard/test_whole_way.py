"""The whole way on a toy: a run and its curve as the engine makes them, an entry, its check, its board, its site."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.contracts.task import Arm, ArmName, Predictions, Slot, Task, Trained
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.errors import CxrbenchError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.registry import TASKS, Plugin, plugins
from cxrbench.benchmark.report.comparison import Run, compare
from cxrbench.benchmark.report.write import write_numbers
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.curve import curve_of, find_curve, keep_curve
from cxrbench.benchmark.results.finished import Harvest
from cxrbench.benchmark.results.folder import load_curves, load_run, load_scores, write_results
from cxrbench.benchmark.runs import asked, worker
from cxrbench.benchmark.runs import chains as execution
from cxrbench.benchmark.runs import request as runner
from cxrbench.benchmark.runs.chains import Outcome
from cxrbench.benchmark.runs.job import Job
from cxrbench.leaderboard import curves
from cxrbench.leaderboard.attempts import from_entry
from cxrbench.leaderboard.checks import Finding, Level, check_entry
from cxrbench.leaderboard.checks.subject import films_at_hand
from cxrbench.leaderboard.entry import load_entry
from cxrbench.leaderboard.pack import pack, seal
from cxrbench.leaderboard.site import build
from cxrbench.leaderboard.standings import board
from cxrbench.leaderboard.unpacked import unpack

from . import taken_apart as apart
from .conftest import OWN_WORDS

TOYS = Path(__file__).parents[1] / "toys"


def in_this_process(job: Job, time_limit: float | None) -> Outcome:
    """A step of a run without a process of its own."""
    try:
        return Outcome(getattr(job, "key", ""), job.label, value=worker.perform(job, Progress()))
    except CxrbenchError as error:
        return Outcome(getattr(job, "key", ""), job.label, str(error))


def of_all_arms(task: type[Task], patch: pytest.MonkeyPatch) -> None:
    """Let the toy task have every arm, and predictions that differ by all that a model has seen."""
    train, predict = task.train, task.predict

    def trained(self: Any, arm: Arm, **options: Any) -> Trained:
        found = train(self, arm, **options)
        seen = sum(part.images.mean() for part in (arm.real, arm.synthetic) if part is not None)
        return Trained(dict(found.model) | {"seen": float(seen) + sum((arm.start or {}).values())})

    def predicted(self: Any, model: Any, test: Dataset, **options: Any) -> Predictions:
        said = predict(self, model, test, **options)
        wrong = np.random.default_rng(int(1e6 * sum(model.values()))).random(said.arrays["masks"].shape) < 0.02
        return Predictions(said.ids, {"masks": said.arrays["masks"] ^ wrong})

    patch.setattr(task, "train", trained)
    patch.setattr(task, "predict", predicted)
    slots = [Slot("all", size, arm) for size in ("full", "tiny") for arm in ArmName]
    patch.setattr(task, "slots", lambda self, data: slots)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of entries with one of a run of five seeds, its cells shared, and the curve that it found in the store."""
    folder = tmp_path_factory.mktemp("whole")
    plugin = Plugin("toy", f"{TOYS}/toy_task.py:ToyTask", "", "ToyTask", file=TOYS / "toy_task.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRBENCH_HOME", str(folder / "home"))
        patch.setattr(execution, "run_job", in_this_process)
        patch.setattr(asked, "run_job", in_this_process)
        patch.setitem(plugins(TASKS), "toy", plugin)
        films_at_hand.cache_clear()
        of_all_arms(plugin.load(), patch)
        ladder = runner.prepare_curve(runner.CurveRequest(task="toy", seeds=5, jobs=1))
        assert [outcome.error for outcome in runner.execute(ladder) if outcome.error] == []
        curve = curve_of(ladder.plan, ladder.store)
        keep_curve(ladder.plan, ladder.store, curve)
        provider = f"{TOYS}/toy_providers.py:Toy"
        prepared = runner.prepare(runner.Request(provider=provider, task="toy", seeds=5, jobs=1, entry="toy"))
        assert [outcome.error for outcome in runner.execute(prepared) if outcome.error] == []
        found = find_curve(prepared.plan, prepared.store)
        results = assemble(prepared.plan, prepared.store, ["cxrbench", "run"], curve=found)
        write_numbers(folder / "run", Harvest(prepared.plan, prepared.store))
        write_results(folder / "run", results)
        entry = pack(folder / "run", "toy", folder / "submissions", prepared.store, share=True)
        path = entry / "submission.toml"
        text = path.read_text()
        for old, new in OWN_WORDS.items():
            text = text.replace(old, new)
        path.write_text(text)
        (entry / "README.md").write_text("Films are grey noise.\n", encoding="utf-8")
        yield entry, curve
        films_at_hand.cache_clear()


def errors(verdict) -> list[Finding]:
    """What refuses it. That toy films are like each other, and so like test films, is for a review."""
    return [one for one in verdict.findings if one.level is Level.ERROR]


def said(verdict) -> str:
    return "\n".join(map(str, verdict.findings))


def test_an_entry_of_a_run_passes_with_placebos_shared(whole):
    entry, _ = whole
    verdict = check_entry(entry)
    assert verdict.whole and errors(verdict) == []
    run = load_entry(entry).runs[0]
    assert run.unranked == () and run.results.gains and run.results.worths and run.results.curve is not None
    (shared,) = (entry.parent / "shared").iterdir()
    arms = {apart.arm_of(record) for record in apart.records(shared)}
    assert arms == {"real", "placebo_synthetic", "placebo_mixed", "placebo_finetune"}
    assert {apart.arm_of(record) for record in apart.records(run.path)} == {"synthetic", "mixed", "finetune"}


def test_its_curve_is_its_own_until_the_task_ships_it(whole, monkeypatch):
    entry, curve = whole
    assert "is not one that the task ships" in said(check_entry(entry))
    from cxrbench.leaderboard.checks import curve as curve_check

    monkeypatch.setattr(curve_check, "shipped_curves", lambda task: [curve])
    assert "its curve" not in said(check_entry(entry))


def test_whatever_a_shared_cell_was_trained_on_is_drawn_again(whole):
    """The ids as the engine kept them are those of the check, for every arm, size and seed; another seed's are refused."""
    entry, _ = whole
    (shared,) = (entry.parent / "shared").iterdir()
    before = (shared / "records.jsonl").read_text()
    records, changed = apart.records(shared), []
    for arm in ("real", "placebo_synthetic", "placebo_mixed", "placebo_finetune"):
        for size in ("full", "tiny"):
            one, other, *_ = (r for r in records if apart.arm_of(r) == arm and r["cell"]["size"] == size)
            all_films = size == "full" and arm in ("real", "placebo_finetune")  # the same for every seed, and no copy
            assert (one["train_ids"] == other["train_ids"]) is all_films
            one["train_ids"] = "0" * 64 if all_films else other["train_ids"]
            changed.append(f"{arm} {size} fold all seed {one['cell']['seed']} ({one['key'][:8]})")
    try:
        apart.write_records(shared, records)
        found = [one.message.partition(": ") for one in errors(check_entry(entry))]
        assert sorted(place for place, _, _ in found) == sorted(changed)
        assert {words for _, _, words in found} == {"it was not trained on the protocol's training films"}
    finally:
        (shared / "records.jsonl").write_text(before)


def test_the_board_ranks_its_gain_and_reads_its_worth_from_the_curve(whole, monkeypatch):
    entry, curve = whole
    monkeypatch.setattr(curves, "_shipped", lambda task: (curve,))
    (attempt,) = from_entry(load_entry(entry))
    made = board([attempt])
    results = load_entry(entry).runs[0].results
    (one,) = made.all
    assert (made.size, made.arm) == ("tiny", "synthetic") and one.rank is not None
    row, worth = results.gain("tiny", "synthetic"), results.worth("tiny", "synthetic")
    gain, found = one.headline.gain, one.headline.worth
    assert (gain.value, gain.low, gain.high) == pytest.approx((row.gain, row.low, row.high))
    assert (gain.p, gain.median) == pytest.approx((row.p, row.median))
    assert (found.films, found.low_films, found.identified) == (worth.films, worth.low, worth.identified)
    built = build(entry.parent, entry.parents[1] / "site")
    (path,) = (built.folder / "boards").glob("*.json")
    assert json.loads(path.read_text())["ranked_by"] == {
        "size": "tiny",
        "arm": "synthetic",
        "minus": "placebo_synthetic",
    }


def test_unpacked_it_is_the_run_that_was_packed(whole, tmp_path):
    """The same results and case scores, shared cells too; curves as thin as records have them, none of the provider's."""
    entry, _ = whole
    before = {path: path.read_bytes() for path in entry.parent.rglob("*") if path.is_file()}
    (page,) = unpack(entry, tmp_path)
    made, run = page.parent, entry.parents[1] / "run"
    assert page.is_file() and load_run(made) == load_run(run)
    scores = load_scores(run)
    pd.testing.assert_frame_equal(load_scores(made), scores, check_exact=True)
    assert len(scores["arm"].unique()) == 7 and len(scores["seed"].unique()) == 5
    assert set(load_curves(made)["owner"]) <= {"downstream"}
    assert compare(Run.open(made), Run.open(run)).rows
    assert {path: path.read_bytes() for path in entry.parent.rglob("*") if path.is_file()} == before


def test_a_gain_that_its_cells_do_not_give_is_refused(whole):
    entry, _ = whole
    path = min((entry / "runs").iterdir()) / "results.json"
    before = path.read_text()
    results = json.loads(before)
    results["gains"][0]["gain"] += 0.01
    path.write_text(json.dumps(results))
    seal(entry)
    try:
        assert "gains [0].gain: the entry says" in said(check_entry(entry))
    finally:
        path.write_text(before)
        seal(entry)
