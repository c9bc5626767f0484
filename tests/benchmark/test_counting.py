"""What the trainings of a run cost, counted on tensors without memory: FLOPs, bytes, and what they mean on a device."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cxrbench.baselines import edm
from cxrbench.benchmark.cli.working import watched
from cxrbench.benchmark.contracts.provider import Batch, Provider
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.errors import InputError, ProviderError
from cxrbench.benchmark.registry import PROVIDERS, plugins
from cxrbench.benchmark.runs.request import Request, prepare
from cxrbench.benchmark.speed import counting, forecast
from cxrbench.benchmark.speed import without_memory as without_memory_module
from cxrbench.benchmark.speed.counted import (
    CHIPS,
    OPERATION_SECONDS,
    SHARE,
    SPARE,
    Count,
    TrainingCount,
    advice,
    bytes_of_text,
    chip_of,
    seconds_on,
)
from cxrbench.benchmark.speed.counting import Counter, fit_count, without_comparisons
from cxrbench.benchmark.speed.forecast import Device, Stage, refuse_before_it_starts, refuse_what_cannot_fit
from cxrbench.benchmark.speed.here import PROCESSOR_SHARE, memory_of
from cxrbench.benchmark.speed.probe import FlopCounter
from cxrbench.benchmark.speed.without_memory import Held, Once, without_memory
from cxrbench.benchmark.training.loop import train
from cxrbench.benchmark.training.observer import watched_by
from cxrbench.benchmark.training.recipe import Recipe, RowNumbers

from ..toys.toy_films import chests

WIDE, BATCH = 64, 8


class Line(Recipe):
    """One product of (BATCH, WIDE) with (WIDE, WIDE), and the mean of its squares."""

    def __init__(self) -> None:
        self.layer = nn.Linear(WIDE, WIDE, bias=False)
        self.layer.register_buffer("kept", torch.zeros(3))

    def networks(self):
        return {"layer": self.layer}

    def optimizers(self):
        self.adam = torch.optim.Adam(self.layer.parameters(), fused=True)
        return {"adam": self.adam}

    def batch_size(self, images_seen):
        return BATCH

    def step(self, batch, at):
        loss = self.layer(torch.ones(BATCH, WIDE)).square().mean()
        at.update(loss, self.adam)
        return {"loss": loss}


class OneLine(Provider):
    """A provider whose fit is `Line` for a thousand steps."""

    produces = frozenset()

    def fit(self, train_films, *, seed, progress):
        train(recipe := Line(), RowNumbers(len(train_films)), steps=1000, seed=seed)
        self.layer = recipe.layer

    def sample(self, n, *, seed):
        for _ in range(n):
            row = self.layer(torch.zeros(1, WIDE)).detach().numpy()
            yield Batch(images=np.tile(row[:, None, None, :4], (1, 1, 4, 1)))


@dataclass(frozen=True)
class Found:
    """Stands for a plugin."""

    name: str = "one_line"

    def load(self):
        return OneLine

    def make(self, settings, *, device):
        return OneLine(settings, device=device)


def films(count: int = 20) -> Dataset:
    ids = [f"f{n}" for n in range(count)]
    cases = pd.DataFrame({"id": ids, "patient": ids})
    return Dataset(DatasetInfo(name="blank", resolution=4), np.zeros((count, 4, 4), np.uint8), cases)


def test_flops_of_a_step_are_those_of_its_products_and_steps_those_of_the_settings():
    found = fit_count(Found(), OneLine.presets["quick"], films(), 3, 4)
    (training,) = found.trainings
    product = 2 * BATCH * WIDE * WIDE
    assert found.how == "fake" and training.steps == 1000 and training.batch == BATCH
    assert training.step_flops == 2 * product  # forward, and the gradient of the weights; none of the input
    assert training.flops == 1000 * 2 * product
    assert found.sampling_flops == 2 * WIDE * WIDE
    assert found.host_bytes == (20 + 3) * 16


def test_bytes_hold_weights_their_gradients_and_the_state_of_the_optimiser():
    (training,) = fit_count(Found(), OneLine.presets["quick"], films(), 3, 4).trainings
    weights = 4 * WIDE * WIDE
    assert 4 * weights <= training.device_bytes < 5 * weights + 40 * 4 * BATCH * WIDE


def test_a_count_changes_no_weight():
    torch.manual_seed(0)
    recipe = Line()
    before = recipe.layer.weight.detach().clone()
    counter = Counter(fake=True, most_steps=2)
    with watched_by(counter):
        train(recipe, RowNumbers(4), steps=50, seed=0)
    assert torch.equal(recipe.layer.weight, before) and counter.every[0].steps == 50


def test_what_no_machine_could_hold_is_counted():
    with without_memory(), Held() as held:
        held_for_a_while = torch.empty(1 << 40, dtype=torch.float32) + 1
        assert held.peak >= 2 * 4 * (1 << 40)
        assert held_for_a_while.shape == (1 << 40,)
        del held_for_a_while
    assert torch.ones(2).sum().item() == 2  # and tensors are as before


class Two(OneLine):
    """Two trainings, with work between them that no machine could hold, and films of fifty calls of a network."""

    def fit(self, train_films, *, seed, progress):
        first = Line()
        train(first, RowNumbers(len(train_films)), steps=10, seed=seed)
        torch.empty(1 << 45) + 1
        second = Line()
        second.layer = copy.deepcopy(first.layer)  # as a running mean of a network is made
        train(second, RowNumbers(len(train_films)), steps=len(train_films) * 7, seed=seed)
        self.layer = copy.deepcopy(second.layer)
        self.known = {"first": first.layer, "layer": self.layer}

    def networks(self):
        return self.known

    @torch.no_grad()
    def sample(self, n, *, seed):
        for _ in range(n):
            row = torch.zeros(1, WIDE)
            for _ in range(50):
                row = self.layer(row)
            yield Batch(images=np.tile(row.numpy()[:, None, None, :4], (1, 1, 4, 1)))


class FoundTwo(Found):
    """Stands for its plugin."""

    def load(self):
        return Two

    def make(self, settings, *, device):
        return Two(settings, device=device)


def test_what_lies_between_two_trainings_needs_no_memory():
    found = fit_count(FoundTwo(), Two.presets["quick"], films(), 3, 4, real=False)
    assert found.how == "fake" and [one.steps for one in found.trainings] == [10, 140]
    assert {one.step_flops for one in found.trainings} == {4 * BATCH * WIDE * WIDE}
    assert torch.ones(2).sum().item() == 2


def test_a_network_that_is_asked_again_is_done_once_and_counts_each_time(monkeypatch):
    once = fit_count(FoundTwo(), Two.presets["quick"], films(), 3, 4, real=False)
    assert once.sampling_flops == 50 * 2 * WIDE * WIDE
    monkeypatch.setattr(without_memory_module.Once, "of", lambda self, network: network.forward)
    assert fit_count(FoundTwo(), Two.presets["quick"], films(), 3, 4, real=False) == once


def test_a_network_that_is_asked_again_is_not_computed_again():
    layer, done = nn.Linear(WIDE, WIDE), list[int]()
    forward = layer.forward
    layer.forward = lambda rows: done.append(len(rows)) or forward(rows)
    with without_memory(), Held() as held, FlopCounter() as counter, torch.no_grad():
        once = Once(held, counter)
        asked = once.of(layer)
        shapes = [asked(torch.zeros(count, WIDE)).shape for count in (3, 5, 3, 3)]
    assert done == [3, 5] and shapes == [(count, WIDE) for count in (3, 5, 3, 3)]
    assert once.flops == 2 * 3 * 2 * WIDE * WIDE


def test_a_fit_on_many_pixels_is_counted_on_a_few_films_with_the_steps_of_all(monkeypatch):
    whole = fit_count(FoundTwo(), Two.presets["quick"], films(100), 3, 4, real=False)
    seen = list[int]()
    few = counting._few
    monkeypatch.setattr(counting, "_few", lambda data: seen.append(len(few(data))) or few(data))
    monkeypatch.setattr(counting, "MOST_PIXELS", 100)
    assert fit_count(FoundTwo(), Two.presets["quick"], films(100), 3, 4, real=False) == whole
    assert seen == [32] and whole.trainings[1].steps == 700


@dataclass(frozen=True)
class Drawn:
    """Settings of a generator with a sampler."""

    steps: int = 100
    compared_steps: tuple[int, ...] = (2, 4, 8)


@dataclass(frozen=True)
class Chain:
    """Settings with those of a stage among them."""

    rate: float = 0.1
    stage: Drawn = Drawn(50)


def test_pictures_of_several_numbers_of_sampler_steps_are_not_counted():
    """They are drawn when a fit is over, for real, and took longer than all that is counted."""
    assert without_comparisons(Drawn(7)) == Drawn(7, ())
    assert without_comparisons(Chain()) == Chain(stage=Drawn(50, ()))
    for name in ("edm_labels", "edm_pair", "edm_inpaint", "flow_maps", "ldm_labels", "ldm_masks"):
        for settings in plugins(PROVIDERS)[name].load().presets.values():
            assert "compared_steps=()" in repr(without_comparisons(settings)), name
            assert "compared_steps=(" not in repr(without_comparisons(settings)).replace("compared_steps=()", ""), name


def test_values_without_memory_are_of_the_kind_that_python_gives():
    with without_memory():
        rows = torch.randint(0, 9, (2, 3))
        assert ["abc"[row] for row in (rows % 3).tolist()[1]] == ["a"] * 3
        assert "ab"[rows[0, 0].item()] == "b"
        assert rows.numpy().dtype == np.int64
        assert torch.zeros(2).bfloat16().float().tolist() == [1.0, 1.0]
        assert (torch.ones(()).item(), int(rows[0, 0]), float(rows[0, 0])) == (1.0, 1, 1.0)
        assert (rows > 0).any().item() is False and not (rows > 0).any()
    assert torch.arange(2).tolist() == [0, 1]


def test_both_halves_of_a_step_of_the_sampler_are_counted():
    """It asks the network again where there is noise left, which a level without a value does not say."""
    asked = list[float]()

    def denoise(noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        asked.append(1)
        return noisy

    with without_memory():
        edm.heun(denoise, torch.ones(2, 1, 4, 4), edm.levels(edm.Noise(), 5))
    assert len(asked) in (9, 10)  # the last step is half of one, or is counted as a whole


def count(device_bytes: int, batch: int = 100) -> Count:
    one = TrainingCount(
        name="films",
        steps=10,
        batch=batch,
        step_flops=1e12,
        flops=1e13,
        operations=100,
        device_bytes=device_bytes,
        reduced=True,
    )
    return Count(trainings=(one,))


def test_what_does_not_fit_is_one_line_with_the_batch_that_would():
    assert advice("fit x", count(int(24e9 / SPARE)), 24 * 10**9) == ""
    said = advice("fit x", count(int(48e9 / SPARE)), 24 * 10**9)
    assert said == "fit x: training 'films' needs 48.0 GB of 24.0 GB with batches of 100: a batch of 50 would fit"
    assert "fewer pixels" in advice("fit x", count(10**12, batch=1), 24 * 10**9)


def test_time_is_that_of_flops_or_of_the_start_of_operations():
    (training,) = count(1).trainings
    h100 = CHIPS["h100"]
    assert seconds_on(h100, training) == pytest.approx(1e13 / (SHARE * h100.reduced_peak))
    slow = training.model_copy(update={"operations": 10**6})
    assert seconds_on(h100, slow) == pytest.approx(10 * 10**6 * OPERATION_SECONDS)


def test_bad_names_of_devices_and_memory_are_one_line():
    assert bytes_of_text("24GB") == bytes_of_text("24") == 24 * 10**9
    with pytest.raises(InputError, match="expected a number of gigabytes"):
        bytes_of_text("much")
    with pytest.raises(InputError, match="h100"):
        chip_of("h10")


def stage(found: Count) -> Stage:
    return Stage("fit dcgan_pair full", 1, "dcgan_pair", "quick", found)


def test_a_stage_that_cannot_fit_a_named_device_is_refused():
    with pytest.raises(InputError, match=r"fit dcgan_pair full: training 'films' needs 46\.0 GB of 24\.0 GB"):
        refuse_what_cannot_fit([stage(count(40 * 10**9))], Device.of("rtx4090", ""))
    refuse_what_cannot_fit([stage(count(40 * 10**9))], Device.of("h100", ""))
    with pytest.raises(InputError, match=r"of 8\.0 GB"):
        refuse_what_cannot_fit([stage(count(40 * 10**9))], Device.of("h100", "8GB"))


def test_rates_of_a_throughput_file_say_how_long_a_fit_takes():
    file = Path(__file__).parents[2] / "leaderboard" / "throughput" / "amd-epyc.json"
    device = Device.of(str(file), "")
    row = next(row for row in device.rows if (row.provider, row.preset, row.batch) == ("dcgan_pair", "quick", None))
    (part,) = row.parts
    training = count(1).trainings[0].model_copy(update={"name": part.name})
    taken = stage(Count(trainings=(training,))).seconds(device)
    assert taken == pytest.approx(training.steps * training.batch / part.films_per_second.median)
    assert stage(count(1)).seconds(device) is None  # no such training was measured


def test_this_processor_is_a_device_by_its_speed_and_memory():
    device = Device.of("cpu", "")
    assert device.chip is not None and device.chip.peak > 1e8 and "measured now" in device.title
    assert device.memory == memory_of("cpu") > 10**8
    assert Device.of("cpu", "8GB").memory == 8 * 10**9
    (training,) = count(1).trainings
    assert seconds_on(device.chip, training) == pytest.approx(1e13 / (PROCESSOR_SHARE * device.chip.peak))


def test_where_the_speed_here_cannot_be_measured_it_says_so(monkeypatch):
    def fails(threads):
        raise ProviderError("speed of cpu: took more than 300 s and was stopped")

    monkeypatch.setattr(forecast, "processor", fails)
    device = Device.of("cpu", "")
    assert device.title == "not known: speed of cpu: took more than 300 s and was stopped"
    assert stage(count(1)).seconds(device) is None and device.memory == memory_of("cpu")


def test_what_no_device_can_hold_is_refused_before_anything_starts(tmp_path, monkeypatch):
    chests().resized(1024).save(tmp_path / "chests")
    asked = {"provider": "dcgan_pair", "task": "scr_official", "data": str(tmp_path / "chests"), "device": "cpu"}
    prepared = prepare(Request(**asked, preset="paper"))
    monkeypatch.setattr(forecast, "memory_of", lambda device: 80 * 10**9)
    with pytest.raises(
        InputError, match=r"fit dcgan_pair \w+: training 'pairs' needs \d+\.\d GB of .* with batches of 128"
    ):
        watched(prepared, None)
    assert not [path for path in (prepared.store.root / "fits").glob("*") if path.is_dir()]
    said: list[str] = []
    refuse_before_it_starts(prepare(Request(**asked)), said.append)  # quick: nothing is counted
    monkeypatch.setattr(forecast, "memory_of", lambda device: 0)
    refuse_before_it_starts(prepared, said.append)  # a device of which it is not known
    assert said == []
