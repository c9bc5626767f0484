"""The diffusion mathematics against hand computations from Karras et al. 2022, and a distribution in the plane learnt."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from cxrbench.baselines import edm
from cxrbench.baselines.diffusion_training import energy_distance
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.training.loop import seeded


def test_the_four_factors_are_those_of_table_1():
    made = edm.scales(torch.tensor([0.5, 2.0]))
    # by hand for sigma_data 0.5: sigma^2 + sigma_data^2 is 0.5 and 4.25
    assert made.skip.tolist() == pytest.approx([0.25 / 0.5, 0.25 / 4.25])
    assert made.out.tolist() == pytest.approx([0.25 / math.sqrt(0.5), 1.0 / math.sqrt(4.25)])
    assert made.input.tolist() == pytest.approx([1 / math.sqrt(0.5), 1 / math.sqrt(4.25)])
    assert made.noise.tolist() == pytest.approx([math.log(0.5) / 4, math.log(2.0) / 4])


def test_the_denoiser_is_equation_7():
    got: list[torch.Tensor] = []

    def network(scaled, noise):
        got.extend([scaled, noise])
        return torch.full_like(scaled, 3.0)

    made = edm.denoised(network, torch.full((1, 1, 2, 2), 4.0), torch.tensor([2.0]))
    assert got[0].flatten().tolist() == pytest.approx([4 / math.sqrt(4.25)] * 4)
    assert got[1].tolist() == pytest.approx([math.log(2) / 4])
    assert made.flatten().tolist() == pytest.approx([0.25 / 4.25 * 4 + 3 / math.sqrt(4.25)] * 4)


def test_the_weight_of_the_loss_is_one_over_c_out_squared():
    sigma = torch.tensor([0.01, 0.5, 2.0, 80.0])
    assert edm.loss_weight(sigma).tolist() == pytest.approx((1 / edm.scales(sigma).out.square()).tolist())
    assert edm.loss_weight(torch.tensor([2.0])).item() == pytest.approx(4.25 / 1.0)


def test_the_loss_is_equation_8_computed_by_hand():
    clean, sigma = torch.tensor([[1.0, -1.0]]), torch.tensor([2.0])
    with seeded(3):
        made = edm.loss(lambda scaled, noise: torch.zeros_like(scaled), clean, sigma)
    with seeded(3):
        noise = torch.randn(1, 2)
    expected = 4.25 * (0.25 / 4.25 * (clean + 2 * noise) - clean).square()
    assert torch.allclose(made, expected)


@pytest.mark.parametrize("sigma", [0.02, 0.3, 1.0, 20.0])
def test_every_noise_weighs_the_same_before_training(sigma):
    with seeded(0):
        clean = edm.SIGMA_DATA * torch.randn(20_000, 1)
        made = edm.loss(lambda scaled, noise: torch.zeros_like(scaled), clean, torch.full((20_000,), sigma))
    assert made.mean().item() == pytest.approx(1.0, abs=0.04)


def test_training_noise_is_ln_normal():
    with seeded(0):
        logs = edm.draw_sigma(40_000, edm.Noise()).log()
    assert logs.mean().item() == pytest.approx(-1.2, abs=0.02) and logs.std().item() == pytest.approx(1.2, abs=0.02)


def test_the_levels_are_those_of_equation_5():
    made = edm.levels(edm.Noise(), 3).tolist()
    middle = (0.5 * (80 ** (1 / 7) + 0.002 ** (1 / 7))) ** 7  # 2.515
    assert made == pytest.approx([80.0, middle, 0.002, 0.0]) and made[1] == pytest.approx(2.515, abs=1e-3)
    assert len(edm.levels(edm.Noise())) == 19
    with pytest.raises(InputError, match="at least one step, found 0"):
        edm.levels(edm.Noise(), 0)


def test_one_step_of_heun_is_algorithm_1_by_hand():
    def denoise(x, sigma):  # D = x / (1 + sigma): slope x / (1 + sigma)
        return x / (1 + sigma[:, None])

    made = edm.heun(denoise, torch.tensor([[0.5]]), torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64))
    x = 1.0  # 0.5 * 2
    first = (x - x / 3) / 2
    moved = x - first
    second = moved - moved / 2
    x = x - (first + second) / 2
    x = x - (x - x / 2) / 1  # the last step is Euler's
    assert made.item() == pytest.approx(x)


def test_heun_follows_the_known_flow_of_a_gaussian_and_more_steps_come_closer():
    """Films of N(0, s^2): D = s^2 / (s^2 + sigma^2) x, and x(0) = x(T) s / sqrt(s^2 + T^2)."""
    spread, noise, start = 0.5, edm.Noise(), torch.tensor([[1.0], [-2.0]])
    exact = start * 80 * spread / math.sqrt(spread**2 + 80**2)

    def denoise(x, sigma):
        return spread**2 / (spread**2 + sigma[:, None] ** 2) * x

    errors = [(edm.heun(denoise, start, edm.levels(noise, steps)) - exact).abs().max().item() for steps in (9, 18, 36)]
    assert errors[1] < 0.06 and errors[2] < 0.02 and errors[1] > 3 * errors[2]  # of second order


def test_what_is_known_can_be_put_back_after_every_step():
    seen: list[int] = []

    def after(x, step):
        seen.append(step)
        return x * 0 + 7

    made = edm.heun(lambda x, sigma: x, torch.ones(1, 1), edm.levels(edm.Noise(), 4), after)
    assert seen == [0, 1, 2, 3] and made.item() == 7


def test_the_running_mean_halves_after_its_half_life_and_forgets_the_beginning():
    assert edm.average_decay(16, 10_000, 160.0, 0.0) == pytest.approx(0.5 ** (1 / 10))
    assert edm.average_decay(16, 320, 160.0, 0.05) == pytest.approx(0.5)  # 5 % of 320 films are 16
    mean, network = nn.Linear(1, 1), nn.Linear(1, 1)
    for layer, value in ((mean, 1.0), (network, 3.0)):
        nn.init.constant_(layer.weight, value)
    edm.average_into(mean, network, 0.75)
    assert mean.weight.item() == pytest.approx(1.5)


def two_moons(count: int) -> torch.Tensor:
    """Points of two half circles, standard deviation about 0.5 in each direction."""
    angle, side = torch.rand(count) * math.pi, torch.randint(0, 2, (count,))
    x = torch.where(side == 0, angle.cos(), 1 - angle.cos()) - 0.5
    y = torch.where(side == 0, angle.sin(), 0.5 - angle.sin()) - 0.25
    return torch.stack([x * 0.57, y], 1) + 0.02 * torch.randn(count, 2)


class Plane(nn.Module):
    """A network F of points in the plane."""

    def __init__(self) -> None:
        super().__init__()
        layers = (nn.Linear(4, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU())
        self.body = nn.Sequential(*layers, nn.Linear(64, 2))

    def forward(self, scaled: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return self.body(torch.cat([scaled, noise[:, None], (3 * noise[:, None]).sin()], 1))


@pytest.fixture(scope="module")
def learnt() -> Plane:
    with seeded(0):
        network, noise = Plane(), edm.Noise()
        adam = torch.optim.Adam(network.parameters(), 3e-3)
        for step in range(1500):
            adam.param_groups[0]["lr"] = 3e-3 * (1 - step / 1500)
            loss = edm.loss(network, two_moons(512), edm.draw_sigma(512, noise)).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
    return network.eval()


def distance(network: Plane, *, sign: float = 1.0, ends: float | None = None, steps: int = 18) -> float:
    """Energy distance of 1500 drawn points from two half circles; `sign` of F, `ends`: a schedule that stops there."""
    sigmas = edm.levels(edm.Noise(), steps)
    if ends is not None:
        sigmas = torch.cat([sigmas[sigmas > ends], sigmas[-1:] * 0 + ends * 0.999])
    with seeded(1), torch.no_grad():
        made = edm.heun(
            lambda x, sigma: edm.denoised(lambda *given: sign * network(*given), x, sigma), torch.randn(1500, 2), sigmas
        )
        return energy_distance(made, two_moons(1500))


BOUND = 0.004


def test_two_half_circles_are_learnt(learnt):
    assert distance(learnt) < BOUND


def test_a_wrong_sign_a_schedule_cut_short_and_too_few_steps_fail_the_same_bound(learnt):
    assert distance(learnt, sign=-1.0) > 3 * BOUND
    assert distance(learnt, ends=0.5) > 3 * BOUND
    assert distance(learnt, steps=2) > 3 * BOUND


def test_the_energy_distance_is_that_of_its_definition():
    a, b = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [4.0]])
    # 2 * mean(1, 4, 1, 2) - 2 - 3
    assert energy_distance(a, b) == pytest.approx(2 * 2.0 - 2 - 3)
    with seeded(0):
        one, other = torch.randn(800, 3), torch.randn(800, 3)
    assert abs(energy_distance(one, other)) < 0.01 < energy_distance(one, other + 1)
