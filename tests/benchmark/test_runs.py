"""Runs with a task that trains in milliseconds: resume, kills, damage, failures, order, sharing, Dask."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pytest

from cxrbench.benchmark.data.copies import originals
from cxrbench.benchmark.data.phantom.dataset import phantom_dataset
from cxrbench.benchmark.errors import CxrbenchError, InputError
from cxrbench.benchmark.runs.chains import Outcome
from cxrbench.benchmark.runs.cluster import await_workers, minded, on_workers
from cxrbench.benchmark.runs.job import Train
from cxrbench.benchmark.runs.request import Prepared, Request, execute, prepare
from cxrbench.benchmark.runs.schedule import expected_of, remember, timing_name
from cxrbench.benchmark.runs.store import Level
from cxrbench.benchmark.runs.timings import Timings

TOYS = Path(__file__).parents[1] / "toys"
TASK = f"{TOYS / 'toy_task.py'}:ToyTask"
HANGS = 900  # seconds after which a test gives up on a process: a hang, on a machine however busy


def toy(provider: str = "Toy", **values) -> Request:
    return Request(provider=f"{TOYS / 'toy_providers.py'}:{provider}", task=TASK, device="cpu", **values)


def run(request: Request) -> tuple[Prepared, list[Outcome]]:
    prepared = prepare(request)
    return prepared, list(execute(prepared))


def tables(prepared: Prepared) -> dict[str, object]:
    """All numbers of a run by cell; absent cells are None."""
    found: dict[str, object] = {}
    for cell in prepared.plan.cells:
        name = f"{cell.slot.size}/{cell.arm}/{cell.seed}"
        if prepared.store.sound(Level.RECORDS, cell.key):
            scores = prepared.store.scores(cell.key)["value"].tolist()
            found[name] = ([value.model_dump() for value in prepared.store.record(cell.key).table], scores)
        else:
            found[name] = None
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The tables of a run that nothing disturbed."""
    before = os.environ.get("CXRBENCH_HOME")
    os.environ["CXRBENCH_HOME"] = str(tmp_path_factory.mktemp("undisturbed"))
    try:
        return tables(run(toy())[0])
    finally:
        if before is None:
            del os.environ["CXRBENCH_HOME"]
        else:
            os.environ["CXRBENCH_HOME"] = before


def test_a_run_fills_every_cell_and_a_second_one_has_nothing_to_do(undisturbed):
    prepared, outcomes = run(toy())
    assert [outcome.error for outcome in outcomes] == [""] * 12
    arms = ("real", "synthetic", "finetune", "placebo_synthetic", "placebo_finetune")
    assert set(tables(prepared)) == {f"{size}/{arm}/0" for size in ("full", "tiny") for arm in arms}
    assert tables(prepared) == undisturbed
    again, outcomes = run(toy())
    assert again.left == [] and outcomes == []


def test_one_job_at_a_time_gives_the_same_numbers(undisturbed):
    assert tables(run(toy(jobs=1))[0]) == undisturbed


def test_real_cells_and_placebos_are_shared_between_providers():
    run(toy())
    prepared = prepare(toy("WrongShape"))
    assert {step.cell.arm for step in prepared.left if step.kind == "cell"} == {"synthetic", "finetune"}


def test_every_setting_changes_the_keys_it_should():
    base = {(c.slot.size, c.arm): c for c in prepare(toy()).plan.cells}
    grey = {(c.slot.size, c.arm): c for c in prepare(toy(overrides=("grey=0.1",))).plan.cells}
    slow = {(c.slot.size, c.arm): c for c in prepare(toy(overrides=("task.seconds=0.1",))).plan.cells}
    assert len(base) == 10
    for place, cell in base.items():
        shared = place[1] not in ("synthetic", "finetune")  # a placebo knows no provider, as REAL
        assert (grey[place].key == cell.key) == shared
        assert (grey[place].fit_key == cell.fit_key) == shared
        assert slow[place].key != cell.key
        assert slow[place].fit_key == cell.fit_key  # a setting of the downstream model keeps the fitted provider


def test_finetune_alone_trains_the_synthetic_cell_it_starts_from():
    prepared, outcomes = run(toy(arms=("finetune",)))
    assert not any(outcome.error for outcome in outcomes)
    assert list(tables(prepared)) == [
        f"{size}/{arm}/0" for size in ("full", "tiny") for arm in ("finetune", "placebo_finetune")
    ]
    every = {(cell.slot.size, cell.arm): cell.key for cell in prepare(toy()).plan.cells}
    for size in ("full", "tiny"):
        assert prepared.store.sound(Level.RECORDS, every[size, "synthetic"])
        assert prepared.store.sound(Level.RECORDS, every[size, "placebo_synthetic"])


def test_real_comes_first_as_in_the_table():
    steps = [step for chain in prepare(toy(seeds=2)).schedule.chains for step in chain]
    real = [step.kind == "cell" and step.cell.arm == "real" for step in steps]
    assert sum(real) == 4 and all(real[:4])


def test_seeds_are_cells_of_their_own_and_extend_a_run():
    first, _ = run(toy(arms=("real",)))
    more = prepare(toy(arms=("real",), seeds=3))
    assert len(more.plan.cells) == 6 and len(more.left) == 4
    list(execute(more))
    values = tables(more)
    assert values["full/real/0"] == tables(first)["full/real/0"]
    assert values["full/real/0"] != values["full/real/1"]


def test_sigkill_at_random_moments_and_rerun_ends_in_the_same_numbers(undisturbed):
    """Twenty kills of the whole run; what was finished is kept, nothing half-written is ever taken for a result."""
    code = (
        "from cxrbench.benchmark.runs.request import *\n"
        f"list(execute(prepare(Request(provider={toy().provider!r}, task={TASK!r}, device='cpu'))))\n"
    )
    draw = random.Random(0)
    for _ in range(20):
        process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        try:
            process.wait(timeout=draw.uniform(0.3, 4.0))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    prepared, outcomes = run(toy())
    assert not any(outcome.error for outcome in outcomes)
    assert tables(prepared) == undisturbed


def test_steps_of_a_killed_run_end_themselves(tmp_path):
    request = toy(overrides=("task.seconds=1800",), arms=("real",))
    code = (
        "from cxrbench.benchmark.runs.request import *\n"
        f"list(execute(prepare(Request(provider={request.provider!r}, task={TASK!r}, device='cpu', arms=('real',), "
        "overrides=('task.seconds=1800',)))))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    deadline = time.monotonic() + HANGS
    while not workers_of(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    running = workers_of(process.pid)
    assert running
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    while any(alive(pid) for pid in running) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(alive(pid) for pid in running)


def workers_of(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-ww", "-o", "pid=,args=", "--ppid", str(parent)], capture_output=True, text=True)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "benchmark.runs.worker" in line]


def alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def test_a_damaged_record_is_noticed_and_made_again(undisturbed):
    prepared, _ = run(toy())
    cell = prepared.plan.cells[0]
    path = prepared.store.path(Level.RECORDS, cell.key) / "scores.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    again = prepare(toy())
    assert [step.key for step in again.left] == [cell.key]
    list(execute(again))
    assert tables(again) == undisturbed


def test_what_a_provider_says_and_shows_is_kept_with_its_films():
    prepared, outcomes = run(toy("Tells"))
    assert not any(outcome.error for outcome in outcomes)
    cell = next(cell for cell in prepared.plan.cells if cell.slot.arm == "synthetic")
    assert prepared.store.record(cell.key).checks["provider"] == {"films_drawn": 8, "mood": "fine"}
    assert prepared.store.synthetic(str(cell.synthetic_key)).organs == ("left_lung", "right_lung")
    kept = np.load(prepared.store.path(Level.FITS, str(cell.fit_key)) / "timeline.npz", allow_pickle=False)
    assert kept["steps"].tolist() == [10, 20]
    assert kept["films"].shape == (2, 2, 32, 32) and kept["films"].dtype == np.uint8


@pytest.mark.parametrize(
    ("provider", "message"),
    [
        ("WrongShape", "sample() gave masks of shape (8, 4, 32, 32), expected (8, 5, 32, 32) for organs left_lung"),
        ("TooFew", "7 films in all, expected 8 films"),
        ("WrongRange", "expected values in [0, 1]"),
        ("NotANumber", "NaN or infinity"),
        ("Raises", "fit() raised RuntimeError: no luck today"),
        ("Exits", "the process exited with code 7"),
        ("Leaks", "refused (leak): showing in its samples 1 films of the test set phantom: PHLN002"),
        ("TellsNonsense", "facts() gave share = nan, expected a name and a number or text"),
        ("ShowsNonsense", "timeline() gave pictures uint8 (2, 2, 32, 32) for 1 steps"),
    ],
)
def test_a_provider_that_fails_is_one_line_and_the_other_cells_go_on(provider, message):
    prepared, outcomes = run(toy(provider))
    failed = [outcome for outcome in outcomes if outcome.error]
    assert len(failed) == 6
    assert all(f"provider {provider}: " in outcome.error and message in outcome.error for outcome in failed)
    assert all("\n" not in outcome.error for outcome in failed)
    numbers = tables(prepared)
    assert numbers["full/real/0"] is not None and numbers["full/synthetic/0"] is None
    assert numbers["full/placebo_synthetic/0"] is not None and numbers["full/placebo_finetune/0"] is not None
    cell = next(cell for cell in prepared.plan.cells if cell.slot.arm == "synthetic")
    failure = prepared.store.failure(cell.key)
    assert failure is not None and message in failure.message


def test_a_provider_that_hangs_is_stopped_at_the_time_limit():
    start = time.monotonic()
    _, outcomes = run(toy("Hangs", time_limit=4, arms=("synthetic",)))
    hung = [outcome for outcome in outcomes if not outcome.label.startswith("placebo")]
    assert len(hung) == 4 and len(outcomes) == 6
    assert all("took more than the time limit of 4 s" in outcome.error for outcome in hung)
    assert time.monotonic() - start < 60


def test_durations_are_remembered_for_the_next_estimate():
    prepared, _ = run(toy())
    assert prepared.expected_seconds() is not None  # from the reference of the classes
    remember(prepared.left, prepared.store)
    later = prepare(toy(seeds=2))
    expected = [later.schedule.expected[step.key] for step in later.left if step.kind == "cell"]
    assert all(seconds is not None and seconds < 1.0 for seconds in expected)


def test_a_training_of_other_steps_than_the_preset_is_expected_to_take_their_share(tmp_path):
    step = next(step for step in prepare(toy()).left if isinstance(step, Train))
    timings = Timings(tmp_path / "timings.json")

    def of(steps: int) -> tuple[Train, SimpleNamespace]:
        identity = step.cell.identity
        task = identity.task.model_copy(update={"settings": {"steps": steps}})
        cell = step.cell.model_copy(update={"identity": identity.model_copy(update={"task": task})})
        presets = {"quick": SimpleNamespace(steps=600)}
        said = SimpleNamespace(
            settings=SimpleNamespace(steps=steps), presets=presets, reference_seconds={"quick": 20.0}
        )
        return step.model_copy(update={"cell": cell}), SimpleNamespace(task=said, preset="quick")

    assert [expected_of(*of(steps), timings) for steps in (600, 150)] == [20.0, 5.0]
    timings.add(timing_name(of(600)[0]), 80.0)
    assert [expected_of(*of(steps), timings) for steps in (600, 150)] == [80.0, 20.0]
    timings.add(timing_name(of(150)[0]), 24.0)
    assert [expected_of(*of(steps), timings) for steps in (600, 150)] == [80.0, 24.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"engine": "slurm"}, "unknown engine 'slurm': expected processes or dask"),
        ({"engine": "dask"}, "needs --address tcp://HOST:PORT"),
        ({"preset": "quik"}, "unknown preset 'quik'. Did you mean quick"),
        ({"seeds": 0}, "--seeds: expected at least 1, found 0"),
        ({"seeds": 10**11}, "--seeds: expected at most 10,000, found 100,000,000,000"),
        ({"jobs": 0}, "--jobs: expected at least 1, found 0"),
        ({"arms": ("reel",)}, "unknown arm 'reel'. Did you mean real"),
        ({"overrides": ("gray=1",)}, "unknown setting of Toy 'gray'. Did you mean grey"),
        ({"overrides": ("task.second=1",)}, "unknown setting of ToyTask 'second'. Did you mean seconds"),
        ({"data": "fantom"}, "unknown dataset 'fantom'. Did you mean phantom"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"task": "scr"}, "unknown task 'scr'"),
        ({"entry": "My GAN"}, "--entry My GAN: expected the name or folder of an entry: small letters, digits"),
    ],
)
def test_bad_requests_are_one_line_before_any_work(change, message):
    with pytest.raises(InputError) as error:
        prepare(replace(toy(), **change))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_as_many_steps_go_at_a_time_as_this_process_may_use_cores(monkeypatch):
    for cores in (1, 3):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        assert prepare(replace(toy(), jobs=None, device="cpu")).jobs == cores


def worker(folder: Path) -> subprocess.Popen[bytes]:
    """A worker of the cluster of a folder."""
    launch = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(folder / "scheduler.json")]
    options = ["--nthreads", "1", "--no-dashboard", "--no-nanny", "--local-directory", str(folder)]
    return subprocess.Popen([*launch, *options], stderr=subprocess.DEVNULL)


@contextmanager
def cluster(
    folder: Path, count: int = 2
) -> Iterator[tuple[str, subprocess.Popen[bytes], list[subprocess.Popen[bytes]]]]:
    """A Dask scheduler and its workers as processes of their own: (address, scheduler, workers)."""
    contact = folder / "scheduler.json"
    launch = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--scheduler-file", str(contact), "--port", "0"]
    scheduler = subprocess.Popen([*launch, "--no-dashboard"], stderr=subprocess.DEVNULL)
    workers = [worker(folder) for _ in range(count)]
    try:
        deadline = time.monotonic() + HANGS
        while not contact.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        yield json.loads(contact.read_text())["address"], scheduler, workers
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


def test_dask_workers_of_which_one_is_killed_give_the_same_numbers(undisturbed, tmp_path):
    """One worker gets SIGKILL in the middle of its chain."""
    with cluster(tmp_path) as (address, _, workers):
        prepared = prepare(toy(engine="dask", address=address))
        outcomes = []
        for outcome in execute(prepared):
            outcomes.append(outcome)
            workers[0].kill()
        assert not any(outcome.error for outcome in outcomes)
        assert tables(prepared) == undisturbed


def test_a_cluster_of_one_worker_does_the_steps_there_and_not_where_the_command_is(tmp_path):
    with cluster(tmp_path, count=1) as (address, _, workers):
        await_workers(address, "cpu", lambda line: None)
        with joblib.parallel_config(backend=on_workers(address, "cpu")):
            found = list(
                joblib.Parallel(batch_size=1, pre_dispatch="all")(joblib.delayed(os.getpid)() for _ in range(3))
            )
        assert found == [workers[0].pid] * 3


def test_a_dask_cluster_whose_workers_are_all_gone_is_said_and_the_run_goes_on_with_others(tmp_path):
    said: list[str] = []
    with cluster(tmp_path) as (address, _, workers):

        def say(line: str) -> None:
            said.append(line)
            if len(said) == 1:
                workers.append(worker(tmp_path))

        prepared = prepare(
            toy(engine="dask", address=address, arms=("real", "synthetic"), overrides=("task.seconds=1",))
        )
        with minded(address, "cpu", say):
            outcomes = []
            for outcome in execute(prepared):
                outcomes.append(outcome)
                for one in workers[:2]:
                    one.kill()
        assert said[0].startswith(
            f"the run lost its workers (finished steps are in the store); waits for workers at {address}"
        )
        assert not any(outcome.error for outcome in outcomes) and None not in tables(prepared).values()


def test_a_dask_scheduler_that_dies_is_one_line_and_the_run_goes_on_later(undisturbed, tmp_path, capfd):
    with cluster(tmp_path) as (address, scheduler, _):
        prepared = prepare(toy(engine="dask", address=address))
        said = pytest.raises(
            CxrbenchError, match=r"the Dask cluster at tcp.* was lost .* start the cluster and the same"
        )
        with said, minded(address, "cpu", print):
            for _ in execute(prepared):
                scheduler.kill()
    assert "Traceback" not in capfd.readouterr().err
    again, outcomes = run(toy())
    assert not any(outcome.error for outcome in outcomes)
    assert tables(again) == undisturbed


def test_a_dask_address_where_nobody_answers_is_one_line():
    with pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run(toy(engine="dask", address="tcp://127.0.0.1:9"))


def test_a_failed_cell_stops_only_what_starts_from_it():
    """The synthetic training fails, the mixed one beside it does not need it and is done, finetune is not tried."""
    request = toy(overrides=("task.fails=synthetic",), arms=("synthetic", "mixed", "finetune"))
    prepared, outcomes = run(request)
    numbers = tables(prepared)
    assert numbers["full/mixed/0"] is not None and numbers["full/placebo_mixed/0"] is not None
    assert numbers["full/synthetic/0"] is None and numbers["full/finetune/0"] is None
    errors = {outcome.label: outcome.error for outcome in outcomes}
    assert errors["finetune full"] == errors["synthetic full"] == "RuntimeError: told to fail"
    assert errors["placebo finetune full"] == errors["placebo synthetic full"] == "RuntimeError: told to fail"
    assert errors["placebo mixed full"] == ""


def test_test_films_that_are_training_films_too_are_in_the_records_of_all_arms(tmp_path):
    films = phantom_dataset(32).select(range(12), name="copies")
    images = np.array(films.images)
    parts = list(films.cases["split"])
    one, other = parts.index("train"), parts.index("test")
    images[other] = images[one]
    pair = [films.ids[other], films.ids[one]]
    replace(films, images=images).save(tmp_path / "copies")
    prepared, outcomes = run(toy(arms=("real", "synthetic"), data=str(tmp_path / "copies")))
    assert not any(outcome.error for outcome in outcomes)
    count = parts.count("test")
    for cell in prepared.plan.cells:
        checks = prepared.store.record(cell.key).checks
        learnt = originals(prepared.plan.task.training_set(prepared.plan.data, cell.slot))
        found = {"copies": 1, "films": count, "first": pair} if pair[1] in learnt else None
        assert checks.get("real_films") == found and (found or cell.slot.size == "tiny")
        assert ("near_test" in checks) == (cell.arm == "synthetic")
    films.save(tmp_path / "whole")
    clean, _ = run(toy(arms=("real",), data=str(tmp_path / "whole")))
    assert [clean.store.record(cell.key).checks for cell in clean.plan.cells] == [{}, {}]
