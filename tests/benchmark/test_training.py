"""The training loop and its checkpoints."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from cxrbench.benchmark.errors import TrainingError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.training import loop as training
from cxrbench.benchmark.training.loop import Rows, checkpoint, train
from cxrbench.benchmark.training.recipe import Recipe
from cxrbench.benchmark.training.stopping import Patience, Validation

torch.set_num_threads(1)


class Line(Recipe):
    """Fits y = 2x with a layer and batch normalisation; `breaks_at` makes the loss infinite at that step."""

    def __init__(self, *, breaks_at: int = -1, batch: int = 4) -> None:
        with training.seeded(3):
            self.network = nn.Sequential(nn.Linear(1, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 1))
        self.breaks_at, self.batch = breaks_at, batch

    def networks(self):
        return {"line": self.network}

    def optimizers(self):
        self.adam = torch.optim.Adam(self.network.parameters(), lr=0.01)
        return {"adam": self.adam}

    def batch_size(self, images_seen):
        return self.batch

    def step(self, batch, at):
        loss = functional.mse_loss(self.network(batch["x"]), 2 * batch["x"])
        if at.index == self.breaks_at:
            loss = loss * math.inf
        at.update(loss, self.adam)
        return {"squares": loss}


class Numbers:
    """Ten numbers with a little noise from the generator that the loop hands over."""

    def __init__(self, count: int = 10) -> None:
        self.values = np.linspace(-1, 1, count, dtype=np.float32)

    def __len__(self):
        return len(self.values)

    def batch(self, rows, rng):
        return {"x": torch.from_numpy(self.values[rows] + rng.normal(0, 0.01, len(rows)).astype(np.float32))[:, None]}


def weights(recipe: Recipe) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in recipe.networks()["line"].state_dict().values()])


def test_a_loss_that_is_not_finite_stops_the_training_and_names_step_and_loss():
    with pytest.raises(TrainingError, match=r"loss 'squares' is inf at step 7"):
        train(Line(breaks_at=7), Numbers(), steps=20, seed=0)


def test_an_empty_training_set_is_refused():
    with pytest.raises(TrainingError, match="empty"):
        train(Line(), Numbers(0), steps=2, seed=0)


def test_same_seed_same_weights_bit_for_bit_and_another_seed_others():
    first, again, other = Line(), Line(), Line()
    for recipe, seed in ((first, 1), (again, 1), (other, 2)):
        torch.manual_seed(int(torch.randint(1000, ())))  # what ran before must not matter
        train(recipe, Numbers(), steps=15, seed=seed)
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))


def test_training_leaves_the_global_generator_as_it_was():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(Line(), Numbers(), steps=3, seed=1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("size", [1, 3, 10, 16])
def test_rows_are_a_permutation_in_every_epoch_and_differ_between_epochs(size):
    rows = Rows(10, seed=4)
    drawn = np.concatenate([rows.take(start, size) for start in range(0, 40 - 40 % size, size)])
    epochs = [drawn[start : start + 10] for start in range(0, len(drawn) - 9, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])


def test_rows_depend_on_the_images_seen_alone():
    assert np.array_equal(Rows(10, seed=4).take(13, 9), Rows(10, seed=4).take(0, 22)[13:])


def test_images_per_second_is_positive_and_every_image_counted():
    history = train(Line(), Numbers(), steps=12, seed=0)
    assert history.images_per_second > 0
    assert (history.images_seen, history.steps) == (48, 12)
    assert [row["step"] for row in history.rows] == list(range(12))


def measured(values: list[float]):
    """A `measure` that gives the values in turn."""
    iterator = iter(values)
    return lambda: next(iterator)


def test_early_stopping_puts_the_best_weights_back():
    reference = Line()
    train(reference, Numbers(), steps=4, seed=0)
    recipe = Line()
    validation = Validation(measured([3.0, 1.0, 2.0, 2.0, 0.1]), every=2, stop=Patience(2))
    history = train(recipe, Numbers(), steps=40, seed=0, validation=validation)
    assert history.steps == 8  # checks after 2, 4 (best), 6, 8: two in a row were no better
    assert torch.equal(weights(recipe), weights(reference))
    assert history.images_per_second > 0


def test_networks_are_validated_in_eval_mode_without_gradient_and_trained_in_train_mode():
    recipe, modes = Line(), []

    def measure() -> float:
        modes.append((recipe.network.training, torch.is_grad_enabled()))
        return 1.0

    train(recipe, Numbers(), steps=4, seed=0, validation=Validation(measure, every=2, stop=Patience(9)))
    assert modes == [(False, False)] * 2
    assert not recipe.network.training


class Killed(Exception):
    """Stands for a process that is killed."""


def interrupted(monkeypatch, folder, validation_values, stop_at, recipe: type[Recipe] = Line):
    """A training that keeps its state every step and dies at a step; then one that goes on from there."""
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoint.Keeper.__init__, "__kwdefaults__", {"seconds": 0.0})

    def sink(fraction: float, note: str) -> None:
        if note.startswith(f"{stop_at}/"):
            raise Killed

    stop = Validation(measured(validation_values), every=4, stop=Patience(2))
    with pytest.raises(Killed):
        train(recipe(), Numbers(), steps=30, seed=9, checkpoints=folder, validation=stop, progress=Progress(sink))
    assert len(list(folder.glob("*.safetensors"))) == len(list(folder.iterdir())) == 1
    resumed = recipe()
    done = (stop_at - 1) // 4
    go_on = Validation(measured(validation_values[done:]), every=4, stop=Patience(2))
    history = train(resumed, Numbers(), steps=30, seed=9, checkpoints=folder, validation=go_on)
    return resumed, history


@pytest.mark.parametrize("stop_at", [2, 5, 11, 13])
def test_a_training_that_was_killed_goes_on_to_the_same_weights_bit_for_bit(monkeypatch, tmp_path, stop_at):
    values = [1.0, 0.5, 0.7, 0.8, 0.1]  # the best is at step 8, before some of the kills; it stops at 16
    whole = Line()
    expected = train(
        whole, Numbers(), steps=30, seed=9, validation=Validation(measured(values), every=4, stop=Patience(2))
    )
    resumed, history = interrupted(monkeypatch, tmp_path / "kept", values, stop_at)
    assert torch.equal(weights(resumed), weights(whole))
    assert history.rows == expected.rows
    assert (history.steps, history.images_seen) == (16, 64)


class ChannelsLast(Line):
    """The same with a convolution whose weights, and so the moments of Adam, lie channels last."""

    def __init__(self) -> None:
        super().__init__()
        with training.seeded(3):
            layers = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 1, 3, padding=1), nn.Flatten()
            self.network = nn.Sequential(nn.Unflatten(1, (1, 1, 1)), *layers).to(memory_format=torch.channels_last)


def test_a_network_that_lies_channels_last_is_kept_and_goes_on_to_the_same_weights(monkeypatch, tmp_path):
    values = [1.0, 0.5, 0.7, 0.8, 0.1]
    whole = ChannelsLast()
    stop = Validation(measured(values), every=4, stop=Patience(2))
    train(whole, Numbers(), steps=30, seed=9, validation=stop)
    assert not whole.adam.state[whole.network[3].weight]["exp_avg"].is_contiguous()
    resumed, _ = interrupted(monkeypatch, tmp_path / "kept", values, 11, ChannelsLast)
    assert torch.equal(weights(resumed), weights(whole))
    moments = resumed.adam.state[resumed.network[3].weight]["exp_avg"]
    assert moments.stride() == whole.adam.state[whole.network[3].weight]["exp_avg"].stride()


def test_a_step_of_several_trainings_goes_on_after_those_that_were_over(monkeypatch, tmp_path):
    """Two trainings share a folder; the second dies. Again: the first takes no step, the second goes on."""
    monkeypatch.setattr(checkpoint.Keeper.__init__, "__kwdefaults__", {"seconds": 0.0})

    def both(sink=lambda *_: None):
        recipes, steps = (Line(), Line()), []
        for seed, recipe in enumerate(recipes):
            notes: list[str] = []
            steps.append(notes)
            watch = lambda fraction, note, notes=notes: (notes.append(note), sink(seed, note))  # noqa: E731, B023
            train(recipe, Numbers(), steps=12, seed=seed, progress=Progress(watch))
        return [weights(one) for one in recipes], [len(notes) for notes in steps]

    def dies(seed: int, note: str) -> None:
        if seed == 1 and note.startswith("7/"):
            raise Killed

    whole, _ = both()
    with checkpoint.kept_in(tmp_path):
        with pytest.raises(Killed):
            both(dies)
        found, steps = both()
    assert all(torch.equal(a, b) for a, b in zip(found, whole, strict=True))
    assert steps == [0, 6]


def test_a_training_takes_up_no_state_of_another(monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoint.Keeper.__init__, "__kwdefaults__", {"seconds": 0.0})
    for seed, steps, rows in ((1, 9, 10), (2, 9, 10), (1, 8, 10), (1, 9, 11)):
        clean, beside = Line(), Line()
        train(clean, Numbers(rows), steps=steps, seed=seed)
        train(beside, Numbers(rows), steps=steps, seed=seed, checkpoints=tmp_path)
        assert torch.equal(weights(beside), weights(clean))
    assert len(list(tmp_path.iterdir())) == 4


def test_a_training_killed_right_after_it_stopped_does_not_train_on(monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoint.Keeper.__init__, "__kwdefaults__", {"seconds": 0.0})
    values = [1.0, 2.0, 2.0, 0.1]
    first = Line()
    train(first, Numbers(), steps=30, seed=9, checkpoints=tmp_path,
          validation=Validation(measured(values), every=4, stop=Patience(2)))  # fmt: skip
    again = Line()
    history = train(again, Numbers(), steps=30, seed=9, checkpoints=tmp_path,
                    validation=Validation(measured([]), every=4, stop=Patience(2)))  # fmt: skip
    assert torch.equal(weights(again), weights(first))
    assert history.steps == 12


def changed(tensors: dict[str, torch.Tensor], header: dict) -> None:
    name = next(name for name in tensors if name.startswith("network/"))
    tensors[name] = tensors[name] + 1


def of_another_shape(tensors: dict[str, torch.Tensor], header: dict) -> None:
    name = next(name for name in tensors if name.startswith("network/"))
    tensors[name] = torch.cat([tensors[name], tensors[name]])
    header["digest"] = checkpoint.digest_of(tensors)


def without_the_optimizer(tensors: dict[str, torch.Tensor], header: dict) -> None:
    header["state"]["optimizers"] = {}


@pytest.mark.parametrize("damage", [changed, of_another_shape, without_the_optimizer, "torn", "nothing"])
def test_a_damaged_checkpoint_costs_time_and_never_changes_the_result(monkeypatch, tmp_path, damage):
    monkeypatch.setattr(checkpoint.Keeper.__init__, "__kwdefaults__", {"seconds": 0.0})
    clean = Line()
    expected = train(clean, Numbers(), steps=6, seed=2)
    train(Line(), Numbers(), steps=6, seed=2, checkpoints=tmp_path)
    (path,) = tmp_path.iterdir()
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:-7])
    elif damage == "nothing":
        path.write_bytes(b"\x08\x00\x00\x00 not a checkpoint")
    else:
        with safe_open(path, framework="pt") as kept:
            header = json.loads(kept.metadata()["training"])
            tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
        damage(tensors, header)
        save_file(tensors, path, metadata={"training": json.dumps(header)})
    again, steps = Line(), []
    history = train(again, Numbers(), steps=6, seed=2, checkpoints=tmp_path,
                    progress=Progress(lambda _, note: steps.append(note)))  # fmt: skip
    assert torch.equal(weights(again), weights(clean)) and history.rows == expected.rows
    assert len(steps) == 6  # all were taken again


def test_a_disk_that_is_full_ends_no_training(monkeypatch, tmp_path):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    monkeypatch.setattr(checkpoint.Keeper.__init__, "__kwdefaults__", {"seconds": 0.0})
    clean, kept = Line(), Line()
    train(clean, Numbers(), steps=6, seed=2)
    train(kept, Numbers(), steps=6, seed=2, checkpoints=tmp_path)
    assert torch.equal(weights(kept), weights(clean)) and not list(tmp_path.iterdir())
