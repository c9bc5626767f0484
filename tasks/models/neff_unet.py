"""The U-Net of Neff et al. 2017 and its training: one number of maps everywhere, average pooling, momentum 0.99.

The paper (section IV-B): depth 4, average instead of maximum pooling, kernels of 3, 64 maps everywhere, MSRA weights,
Nesterov at rate 1e-5 with momentum 0.99 and weight decay 5e-4, batches of 16, films in [-1, 1], no augmentation. Its
loss is not named: softmax cross-entropy, the mean over pixels and batch (the default of Caffe, which it used). The
effective step is then 1e-5 / (1 - 0.99) = 1e-3; the sum over pixels would be 16,384 times as much and diverges.
Depth is the number of poolings; the way up is a fixed linear x2 enlargement, joined with the way down, and two
convolutions, without batch normalisation. With 64 maps and a last kernel of 3 that makes 777,026 parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Optimizer

from ...benchmark.data.film_rows import Films
from ...benchmark.training.recipe import Recipe, Step
from ..examples import Examples

KERNEL = 3


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size, with MSRA weights (He et al. 2015) and biases of 0 at the start."""
    layer = nn.Conv2d(inputs, outputs, KERNEL, padding=KERNEL // 2)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    assert layer.bias is not None  # nn.Conv2d has one unless told otherwise
    nn.init.zeros_(layer.bias)
    return layer


def two_convolutions(inputs: int, maps: int) -> nn.Sequential:
    """Twice a convolution and ReLU."""
    return nn.Sequential(convolution(inputs, maps), nn.ReLU(), convolution(maps, maps), nn.ReLU())


class NeffUNet(nn.Module):
    """Films (B, 1, H, W) in [-1, 1] to logits (B, classes, H, W); sides must be multiples of 2^depth."""

    def __init__(self, classes: int = 2, *, maps: int = 64, depth: int = 4) -> None:
        super().__init__()
        self.depth = depth
        self.down = nn.ModuleList(two_convolutions(maps if level else 1, maps) for level in range(depth + 1))
        self.up = nn.ModuleList(two_convolutions(2 * maps, maps) for _ in range(depth))
        self.classify = convolution(maps, classes)

    def forward(self, films: Tensor) -> Tensor:
        levels = [self.down[0](films)]
        for block in list(self.down)[1:]:
            levels.append(block(functional.avg_pool2d(levels[-1], 2)))
        maps = levels.pop()
        for block in self.up:
            finer = levels.pop()
            enlarged = functional.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)
            maps = block(torch.cat([enlarged, finer], dim=1))
        return self.classify(maps)


def as_input(images: np.ndarray) -> Tensor:
    """uint8 (B, H, W) to float32 (B, 1, H, W) in [-1, 1]."""
    return torch.from_numpy(np.require(images, requirements=("C", "W"))).unsqueeze(1).float().div_(127.5).sub_(1.0)


class WholeFilms:
    """A training `Source`: films and label maps as they are, without augmentation."""

    def __init__(self, examples: Examples) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """`film` float32 (B, 1, H, W) and `label` int64 (B, H, W)."""
        part = self.examples[rows]
        return {"film": as_input(np.asarray(part.images)), "label": torch.from_numpy(np.asarray(part.labels)).long()}


class Nesterov(Recipe):
    """Softmax cross-entropy, mean over pixels and batch, with Nesterov's momentum at a constant rate."""

    def __init__(self, network: nn.Module, *, rate: float, momentum: float, weight_decay: float, batch: int) -> None:
        self.network, self.rate, self.batch = network, rate, batch
        self.momentum, self.weight_decay = momentum, weight_decay

    def networks(self) -> Mapping[str, nn.Module]:
        return {"network": self.network}

    def optimizers(self) -> Mapping[str, Optimizer]:
        self.optimizer = SGD(
            self.network.parameters(),
            lr=self.rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=True,
        )
        return {"nesterov": self.optimizer}

    def batch_size(self, images_seen: int) -> int:
        return self.batch

    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        loss = functional.cross_entropy(self.network(batch["film"]).float(), batch["label"])
        at.update(loss, self.optimizer)
        return {"cross_entropy": loss}


def in_batches(network: nn.Module, images: Films, *, batch: int, device: str) -> Iterator[tuple[slice, Tensor]]:
    """(rows, logits) of films uint8 (N, H, W), without gradients."""
    with torch.no_grad():
        for start in range(0, len(images), batch):
            rows = slice(start, min(start + batch, len(images)))
            yield rows, network(as_input(images[rows]).to(device)).float()


def validation_error(network: nn.Module, examples: Examples, *, batch: int, device: str) -> float:
    """Mean cross-entropy over all pixels of the validation films."""
    total = 0.0
    for rows, logits in in_batches(network, examples.images, batch=batch, device=device):
        labels = torch.from_numpy(np.require(examples.labels[rows], requirements="W")).long().to(device)
        total += float(functional.cross_entropy(logits, labels)) * len(labels)
    return total / len(examples)


def predict_whole(network: nn.Module, images: Films, *, batch: int, device: str) -> np.ndarray:
    """The most probable class of every pixel: uint8 (N, H, W) films to uint8 (N, H, W) labels."""
    network = network.to(device).eval()
    labels = np.empty(images.shape, dtype=np.uint8)
    for rows, logits in in_batches(network, images, batch=batch, device=device):
        labels[rows] = logits.argmax(dim=1).to(torch.uint8).cpu().numpy()
    return labels
