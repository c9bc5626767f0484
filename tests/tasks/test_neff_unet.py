"""The U-Net of the image-mask pairs paper: its size, its weights before training, its loss and its optimiser."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from cxrbench.benchmark.training.loop import train
from cxrbench.tasks.examples import Examples
from cxrbench.tasks.models.neff_unet import NeffUNet, Nesterov, WholeFilms, as_input, predict_whole, validation_error
from cxrbench.tasks.scr_3fold import PAPER, ScrThreeFold


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_papers_network_has_777026_parameters():
    assert count(NeffUNet()) == 777_026
    assert count(ScrThreeFold(PAPER).network(2)) == 777_026


def test_every_convolution_has_kernel_three_and_64_maps_but_the_last():
    layers = [layer for layer in NeffUNet().modules() if isinstance(layer, nn.Conv2d)]
    assert {layer.kernel_size for layer in layers} == {(3, 3)}
    assert [layer.out_channels for layer in layers] == [64] * 18 + [2]
    assert not [layer for layer in NeffUNet().modules() if isinstance(layer, nn.BatchNorm2d | nn.MaxPool2d)]


def test_weights_start_by_msra_and_offsets_at_zero():
    torch.manual_seed(0)
    for layer in (layer for layer in NeffUNet().modules() if isinstance(layer, nn.Conv2d)):
        assert (layer.bias == 0).all()
        if layer.in_channels > 1:
            assert layer.weight.std().item() == pytest.approx((2 / (9 * layer.in_channels)) ** 0.5, rel=0.08)


def test_logits_have_the_size_of_the_film_and_see_four_halvings():
    network = NeffUNet(2, maps=2)
    assert network(torch.zeros(3, 1, 32, 48)).shape == (3, 2, 32, 48)
    sizes = []
    for block in network.down:
        block.register_forward_hook(lambda _, __, out: sizes.append(out.shape[-1]))
    network(torch.zeros(1, 1, 64, 64))
    assert sizes == [64, 32, 16, 8, 4]


def test_pooling_averages():
    """A film whose 2 x 2 blocks are permuted inside gives the same from the second level on."""
    network = NeffUNet(2, maps=1, depth=1)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    for layer in network.down[0]:
        if isinstance(layer, nn.Conv2d):
            layer.weight.data[..., 1, 1] = 1  # the identity
    seen = []
    network.down[1].register_forward_hook(lambda _, given, __: seen.append(given[0]))
    network(torch.arange(16.0).reshape(1, 1, 4, 4))
    assert torch.equal(seen[0][0, 0], torch.tensor([[2.5, 4.5], [10.5, 12.5]]))


def test_films_become_minus_one_to_one():
    assert as_input(np.array([[[0, 255]]], np.uint8)).flatten().tolist() == [-1.0, 1.0]


def squares(n: int, side: int = 16, seed: int = 0) -> Examples:
    """Bright squares on dark noise, labelled."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 80, (n, side, side), dtype=np.uint8)
    labels = np.zeros_like(images)
    for film in range(n):
        top, left = rng.integers(1, side // 2, 2)
        labels[film, top : top + 6, left : left + 6] = 1
    return Examples(np.where(labels == 1, images + np.uint8(150), images), labels)


def test_one_step_is_nesterov_on_the_pixel_mean_with_weight_decay():
    """Against the update written out: v = g + wd w; w -= rate (g' + momentum v), g' = g + wd w (first step)."""
    torch.manual_seed(0)
    network = NeffUNet(2, maps=2, depth=1)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    examples = squares(2)
    film, label = as_input(examples.images), torch.from_numpy(examples.labels).long()
    probability = network(film).softmax(1).gather(1, label[:, None])
    loss = -probability.log().sum() / label.numel()  # the mean over pixels and batch
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    recipe = Nesterov(network, rate=0.1, momentum=0.9, weight_decay=0.01, batch=2)
    history = train(recipe, WholeFilms(examples), steps=1, seed=0)
    assert history.rows[0]["cross_entropy"] == pytest.approx(loss.item(), rel=1e-5)
    for parameter, old, gradient in zip(network.parameters(), before, gradients, strict=True):
        direction = gradient + 0.01 * old
        assert torch.allclose(parameter, old - 0.1 * (1 + 0.9) * direction, atol=1e-6)


def test_validation_error_is_the_mean_over_films_whatever_the_batch():
    torch.manual_seed(0)
    network, examples = NeffUNet(2, maps=2), squares(5)
    whole = functional.cross_entropy(network(as_input(examples.images)), torch.from_numpy(examples.labels).long())
    for batch in (2, 5):
        assert validation_error(network, examples, batch=batch, device="cpu") == pytest.approx(whole.item(), rel=1e-5)


def test_it_learns_bright_squares():
    torch.manual_seed(0)
    network, examples = NeffUNet(2, maps=8, depth=2), squares(40)
    recipe = Nesterov(network, rate=2e-3, momentum=0.99, weight_decay=5e-4, batch=16)
    train(recipe, WholeFilms(examples), steps=200, seed=0)
    test = squares(8, seed=1)
    found = predict_whole(network, test.images, batch=3, device="cpu")
    overlap = 2 * (found & test.labels).sum() / (found.sum() + test.labels.sum())
    assert overlap > 0.9
