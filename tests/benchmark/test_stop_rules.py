"""When a training stops: patience, and the rising mean of Neff et al. 2017; both survive a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD

from cxrbench.benchmark.training.checkpoint import State
from cxrbench.benchmark.training.loop import train
from cxrbench.benchmark.training.recipe import Recipe
from cxrbench.benchmark.training.stopping import Patience, RisingMean, Validation


def stopped_after(rule, values):
    """How many values a rule takes before it says stop; None where it never does."""
    for number, value in enumerate(values, start=1):
        if rule.update(value)[1]:
            return number
    return None


def test_the_mean_of_ten_rises_when_the_newest_is_above_the_one_that_left():
    falling = [10.0 - step for step in range(10)]  # 10 ... 1, mean 5.5
    assert stopped_after(RisingMean(10), [*falling, 9.9]) is None  # 10 leaves, 9.9 comes: the mean falls
    assert stopped_after(RisingMean(10), [*falling, 10.0]) is None  # the mean stays
    assert stopped_after(RisingMean(10), [*falling, 10.1]) == 11  # the mean rises


def test_no_rise_within_the_first_window_stops():
    assert stopped_after(RisingMean(10), [1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10]) is None
    assert stopped_after(RisingMean(10), [1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]) == 11


def test_rising_mean_equals_its_definition_on_random_curves():
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = list(np.linspace(3, 0, 40) + rng.normal(0, rng.uniform(0.01, 1), 40))
        means = [np.mean(values[end - 10 : end]) for end in range(10, 41)]
        rises = [end for end in range(11, 41) if means[end - 10] > means[end - 11]]
        assert stopped_after(RisingMean(10), values) == (rises[0] if rises else None)


def test_a_single_bad_value_does_not_stop_a_falling_curve():
    values = [20.0 - step for step in range(20)]
    values[15] = 8.0  # above its neighbours, below the value ten before
    assert stopped_after(RisingMean(10), values) is None


def test_the_best_value_is_the_lowest_so_far():
    rule = RisingMean(3)
    assert [rule.update(value)[0] for value in (2.0, 3.0, 1.0, 1.0, 0.5)] == [True, False, True, False, True]


@pytest.mark.parametrize(
    ("rule", "values"), [(RisingMean(3), [5.0, 4.0, 3.0, 6.0]), (Patience(3), [1.0, 2.0, 2.0, 2.0])]
)
def test_a_checkpoint_keeps_what_a_rule_knows(rule, values):
    for value in values[:-1]:
        rule.update(value)
    first, other, fresh = Descent(), Descent(), type(rule)(3)
    tensors, plain = State(first, first.optimizers(), torch.device("cpu"), rule).tensors()
    State(other, other.optimizers(), torch.device("cpu"), fresh).restore(tensors, plain)
    assert not fresh.over
    assert fresh.update(values[-1]) == rule.update(values[-1]) == (False, True)


class Descent(Recipe):
    """One weight that grows by one a step."""

    def __init__(self):
        self.network = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.network.weight)

    def networks(self):
        return {"network": self.network}

    def optimizers(self):
        self.optimizer = SGD(self.network.parameters(), lr=1.0)
        return {"sgd": self.optimizer}

    def batch_size(self, images_seen):
        return 1

    def step(self, batch, at):
        loss = -self.network.weight.sum()
        at.update(loss, self.optimizer)
        return {"loss": loss}


class One:
    def __len__(self):
        return 1

    def batch(self, rows, rng):
        return {"x": torch.zeros(len(rows), 1)}


def test_a_training_stops_by_the_rising_mean_and_keeps_its_best_network():
    recipe = Descent()
    validation = Validation(lambda: abs(recipe.network.weight.item() - 6.0), every=1, stop=RisingMean(4))
    history = train(recipe, One(), steps=100, seed=0, validation=validation)
    # errors after each step: 5 4 3 2 1 0 1 2 3 ...: the mean of four rises when 3 takes the place of 1 (step 9)
    assert history.steps == 9
    assert recipe.network.weight.item() == 6.0
