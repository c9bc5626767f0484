"""Kept numbers and their rule: the file, the tolerances, whose turn it is, when a number may move, and a rerun."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from cxrbench.benchmark.errors import CxrbenchError, InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.registry import TASKS, Plugin, plugins
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.folder import write_results
from cxrbench.benchmark.runs import asked, worker
from cxrbench.benchmark.runs import chains as execution
from cxrbench.benchmark.runs import request as runner
from cxrbench.benchmark.runs.chains import Outcome
from cxrbench.benchmark.runs.job import Job
from cxrbench.leaderboard.cli.regress import regress
from cxrbench.leaderboard.regression.numbers import Kept, read_kept, tolerance, write_kept
from cxrbench.leaderboard.regression.renewal import renew
from cxrbench.leaderboard.regression.rerun import BITS, WITHIN, Part, _moved, parts_of, rerun, rescore, rotating

from ..regression.sample_entry import FOLDER, copy_numbers, make_entry, sample_sources

TOYS = Path(__file__).parents[1] / "toys"


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample's entry on `scr_official`: REAL and a provider's arm."""
    return make_entry(tmp_path_factory.mktemp("entries"), tasks=("scr_official",)).parent


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """A folder with the committed numbers of that entry."""
    return copy_numbers("scr_official", tmp_path / "numbers")


# ----------------------------------------------------------------------------------------------- the file, the tolerances


def test_a_file_is_read_as_it_was_written_with_a_number_a_line(tmp_path):
    kept = read_kept(FOLDER)["scr_official-real"]
    path = write_kept(tmp_path, kept)
    assert read_kept(tmp_path) == {"scr_official-real": kept}
    assert path.read_text() == (FOLDER / path.name).read_text()
    assert sum('"values"' in line for line in path.read_text().splitlines()) == len(kept.numbers)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: raw["numbers"][0].update(mean=0.9), "the mean of its values"),
        (lambda raw: raw["numbers"][0].update(sd=0.5), "the sd of its values"),
        (lambda raw: raw["numbers"][0]["values"].pop(), "the mean of its values|at least 5"),
        (lambda raw: raw["numbers"].append(raw["numbers"][0]), "twice"),
        (lambda raw: raw["numbers"].clear(), "no numbers"),
        (lambda raw: raw["seeds"].pop(), "5 values for 4 seeds"),
        (lambda raw: raw.update(schema=2), "has schema 2"),
        (lambda raw: raw.update(note="mine"), "note"),
        (lambda raw: raw.update(task="scr_3fold"), "name it scr_3fold-real.json"),
        (lambda raw: raw["numbers"][0].update(tolerance=-1.0), "tolerance"),
    ],
)
def test_an_edited_file_is_refused(change, words, numbers):
    path = numbers / "scr_official-real.json"
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))
    with pytest.raises(InputError, match=words):
        read_kept(numbers)


def test_the_tolerance_is_the_prediction_interval_of_one_more_seed():
    # t(0.9995, 4) = 8.6103 (any table); x sqrt(1 + 1/5) = 9.4321
    assert tolerance(0.01, [0.01], 5) == pytest.approx(0.094321, abs=1e-6)
    assert tolerance(0.0, [0.0, 0.01], 5) == pytest.approx(9.4321 * 0.01 / 2**0.5, abs=1e-6)
    assert tolerance(0.0, [0.0], 5) == 0.0
    assert tolerance(0.0, [0.0], 5, count=True) == 3.0


def test_where_nothing_was_spread_the_same_value_is_allowed_though_its_mean_is_kept_rounded(toy):
    numbers = toy.kept["toy-real"].numbers
    diagonal = 64 * 2**0.5  # the Hausdorff distance of an empty prediction, 90.50966799...
    flat = numbers[0].model_copy(
        update={"values": [diagonal] * 5, "mean": 90.509668, "sd": 0.0, "tolerance": 0.0, "anchor": 90.509668}
    )
    assert diagonal != flat.mean
    assert list(_moved([flat], {flat.place: diagonal}, None)) == []
    assert list(_moved([flat], {flat.place: diagonal}, 0)) == []
    assert "kept 90.5097 +- 0, now 90.5197" in next(_moved([flat], {flat.place: diagonal + 0.01}, None))


def test_a_rerun_elsewhere_is_seldom_red_and_fifteen_sd_are_hardly_ever_green():
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 1, (20_000, 6))
    allowed = tolerance(1.0, [1.0], 5) * rows[:, :5].std(axis=1, ddof=1)
    off = rows[:, 5] - rows[:, :5].mean(axis=1)
    assert (np.abs(off) > allowed).mean() == pytest.approx(0.001, abs=0.0005)
    assert (np.abs(off + 15) > allowed).mean() > 0.9


# --------------------------------------------------------------------------------------------------------- re-scoring


def test_kept_numbers_without_their_entry_are_red(numbers, tmp_path):
    verdicts = rescore(numbers, tmp_path / "none", sample_sources())
    assert len(verdicts) == 2 and all("no reproduced entry" in verdict.moved[0] for verdict in verdicts)


@pytest.mark.parametrize(("lost", "what"), [("scr_official-real", "REAL"), ("scr_official-copy_train", "its arms")])
def test_a_reproduced_entry_without_kept_numbers_is_red(lost, what, numbers, entries):
    (numbers / f"{lost}.json").unlink()
    red = [verdict for verdict in rescore(numbers, entries, sample_sources()) if not verdict.passed]
    assert len(red) == 1 and f"no numbers of {what} are kept" in red[0].moved[0]


def test_a_claimed_entry_has_no_kept_numbers(entries, tmp_path):
    root = Path(shutil.copytree(entries, tmp_path / "claimed"))
    (path,) = root.glob("*/submission.toml")
    path.write_text(path.read_text().replace('"reproduced" ', '"claimed" ', 1))
    assert rescore(tmp_path / "none", root, sample_sources()) == []


@pytest.mark.parametrize(("by", "red"), [(2e-7, 0), (1e-5, 5)])
def test_a_tenth_of_a_millionth_is_rounding_and_ten_millionths_are_not(by, red, numbers, entries):
    kept = read_kept(numbers)["scr_official-real"]
    first = kept.numbers[0]
    assert first.metric == "dsc"
    values = [value + by for value in first.values]
    moved = first.model_copy(update={"values": values, "mean": float(np.mean(values))})
    write_kept(numbers, kept.model_copy(update={"numbers": [moved, *kept.numbers[1:]]}))
    (verdict,) = (one for one in rescore(numbers, entries, sample_sources()) if one.name == kept.name)
    assert len(verdict.moved) == red


# --------------------------------------------------------------------------------------------------------- whose turn


def files() -> Mapping[str, Kept]:
    kept = read_kept(FOLDER)["scr_official-real"]
    both = [number.model_copy(update={"size": size}) for size in ("full", "tiny") for number in kept.numbers]
    return {name: kept.model_copy(update={"numbers": both}) for name in ("a", "b", "c")}


def test_every_part_has_its_turn_once_a_round_and_the_next_round_another_seed():
    turns = [rotating(files(), index)[0] for index in range(30)]
    assert {(part.name, part.size) for part in turns[:6]} == {(n, s) for n in "abc" for s in ("full", "tiny")}
    assert [part.seed for part in turns] == [seed for seed in range(5) for _ in range(6)]
    assert len(set(turns)) == 30 and rotating(files(), 30) == turns[:1]
    assert rotating(files(), 4, count=3) == turns[4:7]


def test_a_turn_depends_on_the_index_alone():
    backwards = dict(reversed(files().items()))
    assert [rotating(backwards, index) for index in range(9)] == [rotating(files(), index) for index in range(9)]
    with pytest.raises(InputError, match="no numbers to rerun"):
        rotating({}, 0)


# ---------------------------------------------------------------------------------------------------------------- rerun


def in_this_process(job: Job, time_limit: float | None) -> Outcome:
    """A step of a run without a process of its own."""
    try:
        return Outcome(getattr(job, "key", ""), job.label, value=worker.perform(job, Progress()))
    except CxrbenchError as error:
        return Outcome(getattr(job, "key", ""), job.label, str(error))


@pytest.fixture(scope="module")
def toy_run(tmp_path_factory) -> SimpleNamespace:
    """A finished run of a toy provider on a toy task, five seeds, and the home that its films are drawn in."""
    folder = tmp_path_factory.mktemp("toy")
    plugin = Plugin("toy", f"{TOYS}/toy_task.py:ToyTask", "", "ToyTask", file=TOYS / "toy_task.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRBENCH_HOME", str(folder / "home"))
        patch.setattr(execution, "run_job", in_this_process)
        patch.setattr(asked, "run_job", in_this_process)
        patch.setitem(plugins(TASKS), "toy", plugin)
        prepared = runner.prepare(runner.Request(provider=f"{TOYS}/toy_providers.py:Toy", task="toy", seeds=5, jobs=1))
        assert [outcome.error for outcome in runner.execute(prepared) if outcome.error] == []
        write_results(folder / "run", assemble(prepared.plan, prepared.store, ["cxrbench", "run"]))
    return SimpleNamespace(run=folder / "run", home=folder / "home", plugin=plugin)


@pytest.fixture
def toy(toy_run, tmp_path, monkeypatch) -> SimpleNamespace:
    """The numbers that are kept from the toy run; steps of reruns stay in this process."""
    monkeypatch.setenv("CXRBENCH_HOME", str(toy_run.home))
    monkeypatch.setattr(execution, "run_job", in_this_process)
    monkeypatch.setattr(asked, "run_job", in_this_process)
    monkeypatch.setitem(plugins(TASKS), "toy", toy_run.plugin)
    numbers = tmp_path / "numbers"
    written = renew(numbers, tmp_path / "none", [toy_run.run], tmp_path / "none.md", "first")
    assert [path.name for path in written] == ["toy-real.json", "toy-toy.json"]
    return SimpleNamespace(numbers=numbers, run=toy_run.run, task=toy_run.plugin.load(), kept=read_kept(numbers))


def test_placebos_are_kept_with_real_and_of_no_provider(toy):
    real, system = toy.kept["toy-real"], toy.kept["toy-toy"]
    assert {number.arm for number in real.numbers} == {"real", "placebo_synthetic", "placebo_finetune"}
    assert {number.arm for number in system.numbers} == {"synthetic", "finetune"}


def elsewhere(kept: Kept) -> Kept:
    """The same numbers, made on another machine."""
    machine = kept.environments[0].model_copy(update={"device": "another chip"})
    return kept.model_copy(update={"environments": [machine]})


def test_a_rerun_gives_the_same_bits_on_the_same_machine(toy):
    for part in (Part("toy-toy", "tiny", 3), Part("toy-real", "full", 0)):
        verdict = rerun(toy.kept, part, jobs=1)
        assert verdict.passed and verdict.how == BITS and verdict.compared == (6 if part.name == "toy-toy" else 9)
    kept = toy.kept["toy-toy"]
    for other in (elsewhere(kept), kept.model_copy(update={"processor": "a chip of another kind"})):
        verdict = rerun({"toy-toy": other}, Part("toy-toy", "tiny", 1), jobs=1)
        assert verdict.passed and verdict.how == WITHIN


def predicting(change: Callable[[dict], dict], monkeypatch, task) -> None:
    whole = task.predict
    monkeypatch.setattr(task, "predict", lambda self, model, *args, **opts: whole(self, change(model), *args, **opts))


def test_a_rerun_that_is_a_bit_other_is_red_here_and_green_elsewhere(toy, monkeypatch):
    predicting(lambda model: {name: value + 0.5 for name, value in model.items()}, monkeypatch, toy.task)
    part, kept = Part("toy-toy", "tiny", 3), toy.kept["toy-toy"]
    assert not rerun({"toy-toy": kept}, part, jobs=1).passed
    assert rerun({"toy-toy": elsewhere(kept)}, part, jobs=1).passed


def test_a_rerun_that_is_far_off_is_red_everywhere(toy, monkeypatch):
    predicting(lambda model: dict.fromkeys(model, 0.0), monkeypatch, toy.task)
    verdict = rerun({"toy-toy": elsewhere(toy.kept["toy-toy"])}, Part("toy-toy", "tiny", 3), jobs=1)
    assert len(verdict.moved) > 0 and "+-" in verdict.moved[0]


def test_a_rerun_takes_nothing_from_the_store_that_is_there(toy, monkeypatch):
    def fails(self, *_, **__):
        raise CxrbenchError("it does train again")

    monkeypatch.setattr(toy.task, "train", fails)
    verdict = rerun(toy.kept, Part("toy-real", "tiny", 2), jobs=1)
    assert any("it does train again" in words for words in verdict.moved)
    assert any("now absent" in words for words in verdict.moved)


def test_a_rerun_names_what_moved_in_the_protocol(toy):
    kept = toy.kept["toy-toy"]
    assert kept.provider is not None
    system = kept.provider.model_copy(update={"settings": {"grey": 0.06}})
    other = kept.model_copy(update={"version": 7, "provider": system, "data_digest": "0" * 64})
    moved = rerun({"toy-toy": other}, Part("toy-toy", "tiny", 0), jobs=1).moved
    assert [words for words in moved if "v7" in words or "settings" in words or "films" in words] == list(moved[:3])


def test_numbers_of_a_run_are_not_rescored_and_that_is_said(toy, tmp_path):
    verdicts = rescore(toy.numbers, tmp_path / "none")
    assert [verdict.compared for verdict in verdicts] == [0, 0] and "not re-scored" in verdicts[0].note


# ------------------------------------------------------------------------------------------------------ the command line


def call(*words: object):
    app = typer.Typer()
    app.command()(regress)
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_command_reruns_and_says_which_part(toy):
    done = call("--rerun-rotating", "--index", 3, "--numbers", toy.numbers, "--jobs", 1, "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0 and found["passed"] and found["verdicts"][0]["tier"] == "rerun"
    part = rotating(toy.kept, 3)[0]
    assert f"rerun of {part.name}, {part.size}, seed {part.seed}" in done.stderr
    done = call("--rerun", "toy-real", "--index", 7, "--numbers", toy.numbers, "--jobs", 1)
    assert done.exit_code == 0 and done.stdout.count("seed 2: 9 numbers") == 2 and "none moved" in done.stdout
    assert parts_of(toy.kept["toy-real"], 7) == [Part("toy-real", size, 2) for size in ("full", "tiny")]


def test_the_command_fails_where_a_number_moved(toy, monkeypatch):
    predicting(lambda model: dict.fromkeys(model, 0.0), monkeypatch, toy.task)
    done = call("--rerun", "toy-real", "--numbers", toy.numbers, "--jobs", 1)
    assert done.exit_code == 1 and "MOVED" in done.stdout and "2 of 2 comparisons" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rescore"], "nothing was compared"),
        (["--rerun", "scr_oficial-vae"], "unknown system"),
        (["--rerun-rotating"], "no numbers to rerun"),
        (["--fingerprints"], "is missing"),
        (["--update"], "needs --reason"),
        (["--update", "--rerun-rotating", "--reason", "so"], "no reason to move"),
        (["--reason", "so"], "belong to --update"),
        (["--update", "--rescore", "--reason", "so", "--from", "nowhere"], "no results.json"),
    ],
)
def test_what_cannot_be_compared_is_an_error_in_one_line(words, message, tmp_path):
    done = call(*words, "--numbers", tmp_path, "--entries", tmp_path, "--changelog", tmp_path / "none.md")
    assert isinstance(done.exception, InputError) and message in str(done.exception)
    assert "\n" not in str(done.exception)


def test_the_command_writes_the_numbers_of_a_run(toy, tmp_path):
    words = ["--numbers", tmp_path / "new", "--entries", tmp_path / "none", "--changelog", tmp_path / "none.md"]
    done = call("--update", "--rescore", "--reason", "first", "--from", toy.run, *words)
    assert done.exit_code == 0 and "2 files written" in done.stdout
    assert {name: kept.numbers for name, kept in read_kept(tmp_path / "new").items()} == {
        name: kept.numbers for name, kept in toy.kept.items()
    }
    assert "nothing moved" in call("--update", "--rescore", "--reason", "first", "--from", toy.run, *words).stdout
