"""`cxrbench throughput`: what is timed and counted, rows that fail, the file, the plot, the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from cxrbench.baselines.pggan import growth
from cxrbench.benchmark.cli.throughput import throughput
from cxrbench.benchmark.errors import InputError, ProviderError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.registry import find_provider
from cxrbench.benchmark.report.figures import LIGHT, svg
from cxrbench.benchmark.runs.request import Request
from cxrbench.benchmark.speed import reference as kernels
from cxrbench.benchmark.speed.campaign import Plan, prepare, run
from cxrbench.benchmark.speed.plots import batch_plot, rate_plot
from cxrbench.benchmark.speed.probe import Seen, draw, epoch, training_part, watching
from cxrbench.benchmark.speed.question import Windows, steps_needed
from cxrbench.benchmark.speed.rates import Peak, Row, Spread, Throughput, TrainingPart, read_throughput
from cxrbench.benchmark.training import loop as training
from cxrbench.benchmark.training.stopping import Validation

TOYS = Path(__file__).parents[1] / "toys"
TASK = f"{TOYS / 'toy_task.py'}:ToyTask"
TRAINED = find_provider(f"{TOYS / 'toy_trained.py'}:Trained").load()
toy = sys.modules[TRAINED.__module__]
SIDE = 32
ONE_FILM = 2 * SIDE * SIDE * 4 * 9  # 2 a multiply-add, 32 x 32 places, 1 to 4 channels, 3 x 3


class Ticks:
    """A reference kernel that takes as long as a test says."""

    def __init__(self, seconds: float = 0.001) -> None:
        self.taken, self.calls = seconds, 0

    def seconds(self) -> float:
        self.calls += 1
        time.sleep(self.taken)
        return self.taken


def films(count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE)).astype(np.uint8)


def train(recipe, steps: int) -> training.History:
    return training.train(recipe, toy.Films(films()), steps=steps, seed=0)


# ------------------------------------------------------------------------------------------- steps of a training


def test_the_last_rounds_of_ten_steps_are_timed_and_the_ten_before_them_counted():
    assert steps_needed(8) == 95
    windows = Windows.of(95, 8)
    assert (windows.rounds, windows.width, windows.counted_from, windows.timed_from) == (8, 10, 5, 15)
    long = Windows.of(1000, 8)
    assert (long.rounds, long.width, long.counted_from, long.timed_from) == (8, 10, 910, 920)
    short = Windows.of(20, 8)
    assert (short.rounds, short.width, short.counted_from, short.timed_from) == (8, 1, 11, 12)
    assert Windows.of(3, 8).rounds == 1 and Windows.of(2, 8).rounds == 0


@pytest.mark.parametrize("total", [*range(3, 40), 95, 500])
def test_whatever_the_length_a_step_is_warm_up_and_all_rounds_fit(total):
    windows = Windows.of(total, 5)
    assert 1 <= windows.counted_from < windows.timed_from < total
    assert windows.rounds >= 1 and 1 <= windows.width <= 10


def test_a_watched_training_has_its_rounds_and_the_weights_of_one_that_is_not_watched():
    with training.seeded(3):
        alone = toy.OneConvolution(2)
    with training.seeded(3):
        watched = toy.OneConvolution(2)
    train(alone, 40)
    reference = Ticks()
    with watching(2, reference) as every:
        train(watched, 40)
    (seen,) = every
    assert torch.equal(alone.network.weight, watched.network.weight)
    assert len(seen.rates) == len(seen.references) == reference.calls == 2
    assert seen.batches == [2] * 20 and seen.counted_films == 20 and seen.first_step_seconds > 0


def test_the_reference_takes_turns_and_its_time_is_not_the_trainings():
    order = []

    class Slow(Ticks):
        def seconds(self) -> float:
            order.append("reference")
            return super().seconds()

    class Noted(toy.OneConvolution):
        def step(self, batch, at):
            order.append(at.index)
            return super().step(batch, at)

    with watching(2, Slow(0.5)) as every:
        history = train(Noted(2), 35)
    assert order == [*range(25), "reference", "reference", *range(25, 35)]  # A B, B A
    assert min(every[0].rates) > 40 and history.images_per_second > 40  # with a reference it would be 20 / 0.5


def test_time_outside_steps_is_not_counted():
    class Sleepy:
        best = 0.0

        def update(self, value):
            return False, False

        over, state = False, []

    def measure() -> float:
        time.sleep(0.2)
        return 0.0

    with watching(2, Ticks()) as every:
        checks = Validation(measure, every=2, stop=Sleepy())
        training.train(toy.OneConvolution(2), toy.Films(films()), steps=13, seed=0, validation=checks)
    assert every[0].windows.width == 3
    assert min(every[0].rates) > 30  # 6 films and at least 0.2 s of validation in each round


def test_flops_of_a_convolution_are_those_counted_by_hand():
    with watching(2, Ticks()) as every:
        train(toy.OneConvolution(2), 40)
    assert every[0].flops / every[0].counted_films == 2 * ONE_FILM  # forward, and the gradient of the weights
    with watching(2, Ticks()) as every:
        train(toy.OwnGradient(2), 40)
    assert every[0].flops / every[0].counted_films == 3 * 2 * SIDE * SIDE * 8  # forward, its gradient, that one's


def test_a_training_that_fails_while_it_is_counted_leaves_no_counter():
    class Breaks(toy.OneConvolution):
        def step(self, batch, at):
            if at.index == 12:
                raise RuntimeError("out of memory")
            return super().step(batch, at)

    with pytest.raises(RuntimeError, match="out of memory"), watching(2, Ticks()) as every:
        train(Breaks(2), 35)
    assert every[0].windows.counted_from <= 12 < every[0].windows.timed_from
    before = every[0].flops
    toy.OneConvolution(2).network(torch.zeros(1, 1, SIDE, SIDE))
    assert every[0].flops == before and training.Rate.__name__ == "Rate"


# ------------------------------------------------------------------------------------------- rates


def seen_of(rates, references, flops=0, films=1) -> Seen:
    windows = Windows(100, len(rates), 10)
    return Seen(windows, 0.1, [4] * 10, films, flops, list(rates), list(references))


PEAKS = {"float32": Peak(flops_per_second=1e9, flops_per_reference=1e6)}


def test_an_epoch_of_two_trainings_takes_the_seconds_of_both():
    first = seen_of([100.0, 50.0], [0.01, 0.02], flops=3000, films=3)
    second = seen_of([100.0, 50.0, 1.0], [0.01, 0.02, 1.0], flops=2000)
    parts = [training_part(name, one, "32-true", PEAKS) for name, one in (("labels", first), ("films", second))]
    assert (parts[0].batch, parts[0].flops_per_film) == (4, 1000.0)
    assert parts[0].films_per_second.median == 75 and parts[0].films_per_reference.median == 1.0
    assert parts[0].share_of_peak == pytest.approx(1000 / 1e6)
    found = epoch(parts, [first, second], PEAKS)
    assert found.films_per_second.rounds == 2 and found.films_per_second.median == pytest.approx(37.5)
    assert found.films_per_reference.median == pytest.approx(0.5) and found.flops_per_film == 3000
    assert found.share_of_peak == pytest.approx(0.5 * 3000 / 1e6)


def test_a_share_in_bfloat16_is_of_the_peak_in_bfloat16():
    peaks = PEAKS | {"bfloat16": Peak(flops_per_second=1e10, flops_per_reference=1e7)}
    seen = seen_of([100.0], [0.01], flops=1000)
    shares = [training_part("films", seen, kind, peaks).share_of_peak for kind in ("32-true", "bf16-mixed")]
    assert shares == pytest.approx([1e-3, 1e-4])


def test_a_spread_is_the_median_and_the_quartiles():
    found = Spread.of([4.0, 1.0, 3.0, 2.0, 5.0])
    assert (found.low, found.median, found.high, found.rounds) == (2, 3, 4, 5)
    assert found.relative == pytest.approx(2 / 3)


def test_the_work_and_its_reference_take_turns():
    order: list[str] = []
    ours, theirs = kernels.in_turns(3, lambda: float(not order.append("A")), lambda: float(not order.append("B")))
    assert "".join(order) == "ABBAAB" and len(ours) == len(theirs) == 3


def test_kernels_do_the_operations_they_say():
    for call, flops in (
        kernels.matmul(64, torch.device("cpu"), torch.float32),
        kernels.convolution(2, 8, 16, torch.device("cpu"), torch.float32),
    ):
        with FlopCounterMode(display=False) as counter:
            call()
        assert counter.get_total_flops() == flops


def test_a_block_of_calls_takes_about_as_long_as_it_should():
    calls = kernels.calls_of_a_block(lambda: time.sleep(0.005), torch.device("cpu"), 0.05)
    assert 2 <= calls <= 10  # 10 on an idle machine
    assert kernels.seconds_of(lambda: time.sleep(0.005), 3, torch.device("cpu")) >= 0.005


def test_sampling_is_timed_in_rounds_and_counted_by_hand():
    provider = TRAINED(toy.Settings(steps=1))
    provider.network, provider.train = toy.OneConvolution(1).network, tiny_training_set()
    reference = Ticks()
    drawn = draw(provider, 20, 3, reference, "whole fit")
    assert (len(drawn.rates), len(drawn.references), reference.calls) == (3, 3, 3)
    assert drawn.flops_per_film == 32 * ONE_FILM / 20  # 20 films are asked for, two times 16 are drawn
    provider.sample = lambda n, *, seed: TRAINED.sample(provider, n - 1, seed=seed)
    with pytest.raises(ProviderError, match=r"sample\(20\) gave 19 films"):
        draw(provider, 20, 3, reference, "whole fit")


def tiny_training_set():
    from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo

    pandas = pytest.importorskip("pandas")
    cases = pandas.DataFrame({"id": list("abcdef"), "patient": list("abcdef")})
    info = DatasetInfo(name="tiny", resolution=SIDE, organs=("heart",))
    return Dataset(info, films(), cases, masks=np.zeros((6, SIDE, SIDE), np.uint8))


# ------------------------------------------------------------------------------------------- settings


def test_every_batch_of_a_setting_is_set():
    vae, chain = (find_provider(name).load() for name in ("vae", "two_stage"))
    assert vae.with_batch(vae.presets["quick"], 2).batch_size == 2
    made = chain.with_batch(chain.presets["paper"], 2)
    assert {side: size for side, size in made.labels.batch_sizes} == dict.fromkeys((4, 32, 64, 128, 256, 512), 2)
    assert made.films.batch_size == 2 and made.films.ngf == chain.presets["paper"].films.ngf


def test_a_growing_network_passes_small_sides_by_and_has_all_its_steps_on_whole_films():
    cls = find_provider("two_stage").load()
    made = cls.shorter(cls.presets["paper"], 95, side=256)
    *passed, last = growth(256, made.labels)
    assert {phase.steps for phase in passed} == {1} and len(passed) == 12
    assert (last.level, last.batch_size, last.steps) == (6, 8, 96)
    assert made.films.steps == 95


def test_a_provider_that_does_not_say_how_is_timed_at_its_own_batch_size_in_a_whole_fit(tmp_path):
    toys = {"Toy": "toy_providers.py", "Trained": "toy_trained.py"}
    plan = Plan(Request(provider="", task=TASK, device="cpu"), batches=(1, 2, 4), rounds=2, films=8)
    names = [f"{TOYS / file}:{name}" for name, file in toys.items()]
    points = prepare(names, plan, tmp_path, Progress()).points
    assert [(point.row.provider, point.row.batch, point.ask.shortened) for point in points] == [
        ("Toy", None, False),
        ("Trained", None, True),  # batches of 2 are its own
        ("Trained", 1, True),
        ("Trained", 4, True),
    ]
    assert [point.ask.work.provider_settings.get("steps") for point in points] == [None, 35, 35, 35]


# ------------------------------------------------------------------------------------------- the file


def row(provider: str = "vae", batch: int | None = None, **fields: object) -> Row:
    spread = Spread.of([90.0, 100.0, 120.0])
    rate = {"films_per_second": spread, "films_per_reference": spread, "flops_per_film": 1e9, "precision": "32-true"}
    part = TrainingPart(name="films", batch=batch or 16, steps=10, first_step_seconds=0.2, **rate)
    values = {
        "key": f"{provider}{batch}",
        "provider": provider,
        "preset": "quick",
        "task": "toy",
        "data": "phantom",
        "batch": batch,
        "created": "2026-01-01T00:00:00Z",
        "threads": 1,
        "device": "a processor",
        "training": rate,
        "parts": [part],
        "sampling": rate | {"films": 64, "source": "short training"},
    }
    return Row.model_validate(values | fields)


def rates(*rows: Row) -> Throughput:
    return Throughput(cxrbench="1", machine="m", asked_device="cpu", rows=rows)


def test_a_file_is_read_back_as_it_was_written_and_others_are_told_apart(tmp_path):
    found = rates(row(), row(batch=8), row("lsgan", error="no luck"))
    place = tmp_path / "throughput.json"
    place.write_text(found.to_json())
    assert read_throughput(tmp_path) == read_throughput(place) == found
    text = json.loads(found.to_json())
    for change, message in (
        ({"schema": 2}, "schema 2 is newer than this cxrbench"),
        ({"schema": 0}, "schema 0 is too old"),
        ({"extra": 1}, "extra: Extra inputs"),
        ({"rows": [*text["rows"], json.loads(row("x", device="another").model_dump_json())]}, "several devices"),
    ):
        place.write_text(json.dumps(text | change))
        with pytest.raises(InputError, match=message):
            read_throughput(place)
    with pytest.raises(InputError, match="cannot read"):
        read_throughput(tmp_path / "nothing.json")


def test_the_plots_show_every_provider_with_rates_and_every_batch_size():
    found = rates(row(), row(batch=8), row("dcgan_pair"), row("broken", training=None, sampling=None, parts=[]))
    figure = rate_plot(found, LIGHT)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert sorted(labels) == ["dcgan_pair", "vae"]
    sweep = batch_plot(found, LIGHT)
    (line,) = sweep.axes[0].get_lines()  # dcgan_pair has one batch size
    assert line.get_xdata().tolist() == [8, 16] and line.get_label() == "vae"
    assert svg(rate_plot(found, LIGHT)) == svg(rate_plot(found, LIGHT))
    assert rate_plot(rates(row(training=None, sampling=None)), LIGHT) is None
    assert batch_plot(rates(row()), LIGHT) is None


# ------------------------------------------------------------------------------------------- command line


def cxrbench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cxrbench.benchmark.cli", "throughput", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=900)


def test_one_command_measures_all_a_failing_provider_becomes_a_row_and_a_second_call_goes_on(tmp_path):
    names = ",".join(f"{TOYS / file}" for file in ("toy_providers.py:Raises", "toy_trained.py:Picky"))
    asked = ("--provider", names, "--task", TASK, "--device", "cpu", "--batches", "1,2")
    done = cxrbench(*asked, "--rounds", "2", "--films", "8", "--out", "out", "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    raises, picky, alone = json.loads(done.stdout)["rows"]  # although it prints; batch 2 is Picky's own
    assert "RuntimeError: no luck today" in raises["error"] and "no luck today" in done.stderr
    assert raises["training"] is None and raises["sampling"] is None
    assert (alone["batch"], picky["batch"]) == (1, None)
    assert "ValueError: expected more than one film a batch" in alone["error"]
    assert picky["error"] == "" and picky["sampling"] is None and "no film had two lungs" in picky["notes"][0]
    assert picky["training"]["flops_per_film"] == 2 * ONE_FILM
    (part,) = picky["parts"]
    assert (part["name"], part["batch"], part["steps"], part["films_per_second"]["rounds"]) == ("films", 2, 10, 2)
    peak, units = picky["peaks"]["float32"], part["films_per_reference"]["median"]
    assert part["share_of_peak"] == pytest.approx(units * 2 * ONE_FILM / peak["flops_per_reference"])
    assert (picky["training_films"], picky["resolution"], picky["parameters"]) == (16, SIDE, 4 * 9 + 4)
    assert picky["peak_memory_bytes"] > 50_000_000 and picky["device"] and picky["packages"]["torch"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"throughput.json", "rates.svg", "rates.png"}
    kept = read_throughput(tmp_path / "out")
    assert [one.provider for one in kept.rows] == ["Raises", "Picky", "Picky"]

    again = prepare(
        [f"{TOYS / 'toy_trained.py'}:Picky"],
        Plan(Request(provider="", task=TASK, device="cpu"), rounds=2, films=8),
        tmp_path / "out",
        Progress(),
    )
    assert len(again.points) == 1 and again.left == []
    assert [one.created for one in run(again, Progress()).rows] == [kept.rows[1].created]  # failed rows are forgotten
    other = prepare(
        [f"{TOYS / 'toy_trained.py'}:Picky"],
        Plan(Request(provider="", task=TASK, device="cpu"), rounds=3, films=8),
        tmp_path / "out",
        Progress(),
    )
    assert len(other.left) == 1  # measured in another way


def test_what_stops_one_provider_before_its_process_is_a_row_too(tmp_path):
    plan = Plan(Request(provider="", task=TASK, preset="paper", device="cpu"))
    only_quick = prepare([f"{TOYS / 'toy_trained.py'}:Trained"], plan, tmp_path, Progress())
    (found,) = run(only_quick, Progress()).rows
    assert "has no preset 'paper'" in found.error and found.training is None


def test_rows_of_another_machine_do_not_mix(tmp_path):
    (tmp_path / "throughput.json").write_text(rates(row()).to_json())
    plan = Plan(Request(provider="", device="cpu"))
    with pytest.raises(InputError, match=r"has rows of a processor \(cpu\); choose another folder"):
        prepare(["noise"], plan, tmp_path, Progress())


OPTIONS = {
    "device": "cpu",
    "label_by": None,
    "set_": None,
    "task": None,
    "data": None,
    "out": None,
    "time_limit": None,
    "as_json": False,
}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"provider": " , "}, "--provider  , : expected names"),
        ({"provider": "all,vae"}, "expected names, comma-separated, or all"),
        ({"provider": "vea"}, "unknown provider 'vea'. Did you mean vae"),
        ({"batches": "1,x"}, "--batches 1,x: expected numbers from 1"),
        ({"batches": "0"}, "--batches 0: expected numbers from 1"),
        ({"rounds": 1}, "at least 2 --rounds"),
        ({"preset": "fast"}, "unknown preset 'fast'"),
        ({"task": "scr"}, "unknown task 'scr'"),
    ],
)
def test_bad_input_is_an_input_error_before_anything_is_measured(arguments, message, tmp_path):
    given = {"provider": "vae", "preset": "quick", "batches": "8", "rounds": 2, "films": 8}
    with pytest.raises(InputError, match=message):
        throughput(**OPTIONS | given | {"out": tmp_path} | arguments)
    assert not os.listdir(tmp_path)
