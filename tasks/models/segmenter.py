"""How every segmentation network is trained and used: random crops, cross-entropy, sliding windows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from ...benchmark.data.film_rows import Films
from ...benchmark.training.recipe import Recipe, Step
from ..examples import Examples

STRIDE_RATE = 2 / 3  # of sliding windows (PSPNet)


def window_starts(side: int, crop: int) -> list[int]:
    """Where sliding windows of `crop` pixels start: steps of 2/3 crop, the last one flush with the end."""
    if crop >= side:
        return [0]
    stride = int(np.ceil(crop * STRIDE_RATE))
    count = int(np.ceil((side - crop) / stride)) + 1
    return [min(index * stride, side - crop) for index in range(count)]


def windows(height: int, width: int, crop: int) -> Iterator[tuple[slice, slice]]:
    """The sliding windows of a film: (rows, columns)."""
    for top, left in product(window_starts(height, crop), window_starts(width, crop)):
        yield slice(top, top + crop), slice(left, left + crop)


def as_input(images: np.ndarray) -> Tensor:
    """uint8 (B, H, W) to float32 (B, 1, H, W), about zero mean and unit spread."""
    return torch.from_numpy(np.require(images, requirements=("C", "W"))).unsqueeze(1).float().div_(64.0).sub_(2.0)


def class_probabilities(network: nn.Module, films: Tensor, crop: int) -> Tensor:
    """Probabilities (B, C, H, W) of films (B, 1, H, W): the mean over the windows that see a pixel."""
    total: Tensor | None = None
    height, width = films.shape[-2:]
    seen = torch.zeros((height, width), device=films.device)
    for rows, columns in windows(height, width, crop):
        part = network(films[..., rows, columns]).float().softmax(dim=1)
        if total is None:
            total = part.new_zeros(len(films), part.shape[1], height, width)
        total[..., rows, columns] += part
        seen[rows, columns] += 1
    assert total is not None  # there is always a window
    return total / seen


class Crops:
    """A training `Source`: a random crop of every film. No flips: left and right would change sides."""

    def __init__(self, examples: Examples, crop: int) -> None:
        self.examples, self.crop = examples, min(crop, examples.images.shape[-1])

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """`film` float32 (B, 1, crop, crop), `label` int64 (B, crop, crop), and `taught` bool (B, C) where it matters."""
        room = self.examples.images.shape[-1] - self.crop + 1
        corners = rng.integers(0, room, size=(len(rows), 2))
        cuts = [
            (row, slice(top, top + self.crop), slice(left, left + self.crop))
            for row, (top, left) in zip(rows, corners, strict=True)
        ]
        films = np.stack([self.examples.images[cut] for cut in cuts])
        labels = np.stack([self.examples.labels[cut] for cut in cuts])
        batch = {"film": as_input(films), "label": torch.from_numpy(labels).long()}
        taught = self.examples.taught
        return batch if taught is None else batch | {"taught": torch.from_numpy(taught[rows])}


def untaught_joined(logits: Tensor, taught: Tensor) -> Tensor:
    """Logits (B, C, H, W) in which classes that a film does not teach (`taught` bool (B, C)) count as background.

    The probability of label 0 is then that of background or any untaught class: a film without heart masks does not
    teach that hearts are background (marginal loss, Shi et al. 2021).
    """
    untaught = ~taught[:, :, None, None]
    background = untaught.clone()
    background[:, 0] = True
    joined = logits.masked_fill(~background, -torch.inf).logsumexp(dim=1, keepdim=True)
    return torch.cat([joined, logits.masked_fill(untaught, -torch.inf)[:, 1:]], dim=1)


def probability_joined(probabilities: Tensor, taught: Tensor) -> Tensor:
    """The same of probabilities (B, C, H, W); `taught` is bool (B, C) or (C,)."""
    keep = (taught if taught.ndim == 2 else taught[None])[:, :, None, None]
    moved = (probabilities * ~keep).sum(dim=1, keepdim=True)
    return torch.cat([probabilities[:, :1] + moved, (probabilities * keep)[:, 1:]], dim=1)


class Segmentation(Recipe):
    """Softmax cross-entropy with Adam; the rate falls along half a cosine when `decay` is set."""

    def __init__(self, network: nn.Module, *, rate: float, batch: int, decay: bool) -> None:
        self.network, self.rate, self.batch, self.decay = network, rate, batch, decay

    def networks(self) -> Mapping[str, nn.Module]:
        return {"network": self.network}

    def optimizers(self) -> Mapping[str, Optimizer]:
        self.optimizer = Adam(self.network.parameters(), lr=self.rate)
        return {"adam": self.optimizer}

    def batch_size(self, images_seen: int) -> int:
        return self.batch

    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        if self.decay:
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate * 0.5 * (1 + np.cos(np.pi * at.index / at.total))
        logits = self.network(batch["film"]).float()
        if "taught" in batch:
            logits = untaught_joined(logits, batch["taught"])
        loss = functional.cross_entropy(logits, batch["label"])
        at.update(loss, self.optimizer)
        return {"cross_entropy": loss}


def held_out_loss(network: nn.Module, examples: Examples, *, crop: int, batch: int, device: str) -> float:
    """Mean cross-entropy of held-out films, of the averaged probabilities that a test would use."""
    total = 0.0
    for start in range(0, len(examples), batch):
        part = examples[np.arange(start, min(start + batch, len(examples)))]
        probabilities = class_probabilities(network, as_input(np.asarray(part.images)).to(device), crop)
        if part.taught is not None:
            probabilities = probability_joined(probabilities, torch.from_numpy(part.taught).to(device))
        labels = torch.from_numpy(np.asarray(part.labels)).long().to(device)
        loss = functional.nll_loss(probabilities.clamp_min(1e-7).log(), labels)
        total += float(loss) * len(part)
    return total / len(examples)


def predict_labels(network: nn.Module, images: Films, *, crop: int, batch: int, device: str) -> np.ndarray:
    """The most probable class of every pixel: uint8 (N, H, W) films to uint8 (N, H, W) labels.

    A class that the network was never taught (its buffer `taught`, where it has one) counts as background.
    """
    network = network.to(device).eval()
    taught = getattr(network, "taught", None)
    labels = np.empty(images.shape, dtype=np.uint8)
    with torch.no_grad():
        for start in range(0, len(images), batch):
            chosen = slice(start, start + batch)
            found = class_probabilities(network, as_input(images[chosen]).to(device), crop)
            if taught is not None and not bool(taught.all()):
                found = probability_joined(found, taught)
            labels[chosen] = found.argmax(dim=1).to(torch.uint8).cpu().numpy()
    return labels
