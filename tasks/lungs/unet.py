"""The lung segmentation network of the fusion paper (Liu et al., SDFN, section B.2.1) and its training.

The paper retrains the U-Net of Pazhitnykh and Petsiuk (imlab-uiip, lung-segmentation-2d): 3x3 kernels, four poolings
with 32, 64, 64, 128 and 256 maps; on the way up an enlargement, two convolutions, and only then the skip and one more
convolution. That is 5,468,897 parameters. Films are histogram-equalised and normalised by the mean and standard
deviation of the training films; binary cross-entropy, Adam at 1e-3, batches of 8, rotations of 10 degrees, shifts of
0.1 and zooms of 0.2 with the edge pixels continued; the network with the lowest validation loss is kept.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from ...benchmark.data.film_rows import Films, blocks, bytes_of
from ...benchmark.data.resize import resize_films
from ...benchmark.training.recipe import Recipe, Step
from .rules import boxes_of, clean, equalised

DOWN = (32, 64, 64, 128)  # maps of both convolutions of a level, from the finest
BOTTOM = 256
UP = (256, 256, 128, 64)  # maps of a level on the way up, from the coarsest
POOLINGS = len(DOWN)


def convolutions(inputs: int, maps: int, count: int) -> nn.Sequential:
    """`count` times a 3x3 convolution that keeps the size, each with ReLU."""
    layers: list[nn.Module] = []
    for index in range(count):
        layers += [nn.Conv2d(maps if index else inputs, maps, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


class LungUNet(nn.Module):
    """Normalised films (B, 1, S, S) to logits of lung (B, 1, S, S); S a multiple of 16.

    `width`: factor on every number of maps (1: the paper's network).
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        down = [max(1, round(maps * width)) for maps in DOWN]
        bottom = max(1, round(BOTTOM * width))
        up = [max(1, round(maps * width)) for maps in UP]
        inputs = [1, *down[:-1]]
        self.down = nn.ModuleList(convolutions(i, maps, 2) for i, maps in zip(inputs, down, strict=True))
        self.bottom = convolutions(down[-1], bottom, 1)
        below = [bottom, *up[:-1]]
        self.up = nn.ModuleList(convolutions(i, maps, 2) for i, maps in zip(below, up, strict=True))
        self.join = nn.ModuleList(
            convolutions(maps + skip, maps, 1) for maps, skip in zip(up, reversed(down), strict=True)
        )
        self.classify = nn.Conv2d(up[-1], 1, 3, padding=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):  # the start of Keras, which the network comes from
                nn.init.xavier_uniform_(layer.weight)
                assert layer.bias is not None  # nn.Conv2d has one unless told otherwise
                nn.init.zeros_(layer.bias)

    def forward(self, films: Tensor) -> Tensor:
        maps, skips = films, []
        for block in self.down:
            maps = block(maps)
            skips.append(maps)
            maps = functional.max_pool2d(maps, 2)
        maps = self.bottom(maps)
        for block, join in zip(self.up, self.join, strict=True):
            maps = block(functional.interpolate(maps, scale_factor=2.0, mode="nearest"))
            maps = join(torch.cat([skips.pop(), maps], dim=1))
        return self.classify(maps)


class LungRegions(nn.Module):
    """Film to lung mask to lung region: the U-Net with all that belongs to it, so that its weights are the whole of it.

    `resolution`: side of the U-Net's films in pixels. `threshold`: of its probabilities. `least_share`: regions and
    holes below this share of the film are removed. `mean`, `spread`: of the equalised training films (buffers).
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, *, resolution: int = 256, width: float = 1.0, threshold: float = 0.5, least_share: float = 0.02):
        super().__init__()
        self.resolution, self.threshold, self.least_share = resolution, threshold, least_share
        self.network = LungUNet(width)
        self.register_buffer("mean", torch.tensor(0.5))
        self.register_buffer("spread", torch.tensor(1.0))

    def learn_scale(self, films: np.ndarray) -> None:
        """Take mean and standard deviation from equalised films, float32 (N, S, S)."""
        self.mean.fill_(float(films.mean(dtype=np.float64)))
        self.spread.fill_(max(float(films.std(dtype=np.float64)), 1e-6))

    def forward(self, films: Tensor) -> Tensor:
        """Equalised films, float32 (B, 1, S, S) in [0, 1], to logits of the same shape."""
        return self.network((films - self.mean) / self.spread)

    @torch.no_grad()
    def masks(self, films: np.ndarray, *, batch: int = 64) -> np.ndarray:
        """uint8 (N, H, W) films to lung masks, bool (N, S, S), small regions and holes removed."""
        self.eval()
        found = np.empty((len(films), self.resolution, self.resolution), dtype=bool)
        for start in range(0, len(films), batch):
            rows = slice(start, start + batch)
            given = torch.from_numpy(prepared(films[rows], self.resolution)).unsqueeze(1).to(self.mean.device)
            lungs = (self(given).float().sigmoid() > self.threshold)[:, 0].cpu().numpy()
            found[rows] = [clean(mask, self.least_share) for mask in lungs]
        return found

    def boxes(self, films: Films, *, batch: int = 64) -> np.ndarray:
        """uint8 (N, H, W) films to the boxes of their lung regions: int64 (N, 4), see `rules.boxes_of`."""
        each = max(bytes_of(films, 1), self.resolution**2)
        parts = blocks(len(films), each, multiple=batch)
        found = [boxes_of(self.masks(films[rows], batch=batch), side=films.shape[-1]) for rows in parts]
        return np.concatenate([np.empty((0, 4), dtype=np.int64), *found])


def prepared(films: np.ndarray, resolution: int) -> np.ndarray:
    """uint8 (N, H, W) films to equalised ones of the U-Net's size: float32 (N, S, S) in [0, 1]."""
    if films.shape[-1] != resolution:
        films = resize_films(films, resolution)
    return equalised(films)


class Warped:
    """A training `Source`: every film and mask turned, shifted and zoomed anew, edge pixels continued.

    `films`: float32 (N, S, S), equalised. `lungs`: bool (N, S, S). Angles in degrees, shifts as shares of the side;
    both directions are zoomed by a factor of their own, as Keras does.
    """

    def __init__(self, films: np.ndarray, lungs: np.ndarray, *, angle: float, shift: float, zoom: float) -> None:
        self.films, self.lungs = films, lungs.astype(np.float32)
        self.angle, self.shift, self.zoom = angle, shift, zoom

    def __len__(self) -> int:
        return len(self.films)

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """`film` and `lung`, float32 (B, 1, S, S)."""
        films, lungs = np.empty_like(self.films[rows]), np.empty_like(self.lungs[rows])
        for place, row in enumerate(rows):
            how = self._drawn(rng)
            films[place] = _warp(self.films[row], how)
            lungs[place] = _warp(self.lungs[row], how) >= 0.5
        return {"film": torch.from_numpy(films).unsqueeze(1), "lung": torch.from_numpy(lungs).unsqueeze(1)}

    def _drawn(self, rng: np.random.Generator) -> np.ndarray:
        """A random affine map (2, 3) from output to input pixels, about the centre of the film."""
        side = self.films.shape[-1]
        turn = np.deg2rad(rng.uniform(-self.angle, self.angle))
        zoom_x, zoom_y = rng.uniform(1 - self.zoom, 1 + self.zoom, size=2)
        move = rng.uniform(-self.shift, self.shift, size=2) * side
        linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * (zoom_x, zoom_y)
        centre = np.full(2, (side - 1) / 2)
        return np.column_stack([linear, centre + move - linear @ centre])


def _warp(image: np.ndarray, how: np.ndarray) -> np.ndarray:
    side = image.shape[-1]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, how, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)


class LungTraining(Recipe):
    """Binary cross-entropy, mean over pixels and batch, with Adam at a constant rate."""

    def __init__(self, regions: LungRegions, *, rate: float, batch: int) -> None:
        self.regions, self.rate, self.batch = regions, rate, batch

    def networks(self) -> Mapping[str, nn.Module]:
        return {"regions": self.regions}

    def optimizers(self) -> Mapping[str, Optimizer]:
        self.optimizer = Adam(self.regions.parameters(), lr=self.rate)
        return {"adam": self.optimizer}

    def batch_size(self, images_seen: int) -> int:
        return self.batch

    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        loss = functional.binary_cross_entropy_with_logits(self.regions(batch["film"]).float(), batch["lung"])
        at.update(loss, self.optimizer)
        return {"cross_entropy": loss}


def held_out_loss(regions: LungRegions, films: np.ndarray, lungs: np.ndarray, *, batch: int = 64) -> float:
    """Mean binary cross-entropy over all pixels of equalised films, float32 (N, S, S), with masks bool (N, S, S)."""
    total = 0.0
    device = regions.mean.device
    with torch.no_grad():
        for start in range(0, len(films), batch):
            rows = slice(start, start + batch)
            logits = regions(torch.from_numpy(films[rows]).unsqueeze(1).to(device)).float()[:, 0]
            truth = torch.from_numpy(lungs[rows].astype(np.float32)).to(device)
            total += float(functional.binary_cross_entropy_with_logits(logits, truth)) * len(truth)
    return total / len(films)
