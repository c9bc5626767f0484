"""A network that knows patients again: films of one patient lie near each other in its space, films of others do
not.

Packhaeuser et al., "Deep learning-based patient re-identification is able to exploit the biometric nature of
medical chest X-ray data" (Scientific Reports 2022), train a siamese network on pairs of NIH films. Here the twins
share one small network whose vectors of length 1 are compared by their angle (contrast of a pair against the other
pairs of its batch: van den Oord et al. 2018, at a temperature of 0.1), so that a film is compared with all training
patients at once.

It learns from real patients with two films or more. How well it knows patients that it never saw is the AUC of
pairs of films: the same patient or two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from ..data.dataset import Dataset
from ..data.film_rows import Films
from ..data.gathered import changed
from ..data.resize import resize_films
from ..digest import derive_seed
from ..errors import InputError
from ..metrics.classification import auc
from ..progress import Progress
from ..training.loop import seeded, train
from ..training.recipe import Recipe, Step

SIDE = 64
"""Pixels at which films are looked at."""
WIDTH = 64
TEMPERATURE = 0.1
LEAST_PATIENTS = 20
"""With two films or more, to learn from; and as many pairs to say how well."""


@dataclass(frozen=True)
class ReidentifySettings:
    """How the network is trained. A batch is of so many patients, two films of each."""

    steps: int = 600
    patients: int = 32
    rate: float = 2e-3
    maps: tuple[int, ...] = (16, 32, 64, 64)
    seed: int = 0


class PatientNet(nn.Module):
    """Films float (B, 1, 64, 64), 0 to 1, to vectors (B, 64) of length 1. Each film is brought to mean 0 and
    deviation 1 first: an exposure is not a person."""

    def __init__(self, maps: tuple[int, ...] = (16, 32, 64, 64)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((1, *maps), maps, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.maps = nn.Sequential(*layers)
        self.head = nn.Linear(maps[-1] * (SIDE // 2 ** len(maps)) ** 2, WIDTH)

    def forward(self, films: Tensor) -> Tensor:
        centred = films - films.mean(dim=(2, 3), keepdim=True)
        unit = centred / centred.std(dim=(2, 3), keepdim=True).clamp_min(1e-3)
        return functional.normalize(self.head(self.maps(unit).flatten(1)), dim=1)


class Pairs:
    """A training `Source` of patients: two films of each, changed as a film is when it is taken or copied again
    (moved and scaled by 3 %, grey levels, blur, noise)."""

    def __init__(self, films: np.ndarray, rows: list[np.ndarray]) -> None:
        self.films, self.rows = films, rows

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """`first`, `second`: float32 (B, 1, 64, 64) of one patient each."""
        chosen = np.array([rng.choice(self.rows[row], 2, replace=False) for row in rows])
        return {name: self._changed(chosen[:, side], rng) for side, name in enumerate(("first", "second"))}

    def _changed(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        films, n = torch.from_numpy(self.films[rows])[:, None].float().div_(255), len(rows)
        scale = 1 + 0.03 * rng.normal(size=n)
        moved = np.zeros((n, 2, 3), dtype=np.float32)
        moved[:, 0, 0], moved[:, 1, 1] = scale, scale
        moved[:, :, 2] = 0.06 * rng.normal(size=(n, 2))
        grid = functional.affine_grid(torch.from_numpy(moved), list(films.shape), align_corners=False)
        films = functional.grid_sample(films, grid, padding_mode="border", align_corners=False)
        power = torch.from_numpy(np.exp(0.2 * rng.normal(size=n)).astype(np.float32))[:, None, None, None]
        films = films.clamp(1e-4, 1) ** power
        blurred = functional.avg_pool2d(films, 3, stride=1, padding=1)
        films = torch.where(torch.from_numpy(rng.random(n) < 0.3)[:, None, None, None], blurred, films)
        noise = rng.normal(size=films.shape).astype(np.float32) * rng.uniform(0, 0.04, (n, 1, 1, 1)).astype(np.float32)
        return films + torch.from_numpy(noise)


class Contrast(Recipe):
    """Cross-entropy of which film of the batch is of the same patient, both ways; Adam, the rate along half a
    cosine."""

    def __init__(self, network: PatientNet, settings: ReidentifySettings) -> None:
        self.network, self.settings = network, settings

    def networks(self) -> Mapping[str, nn.Module]:
        return {"network": self.network}

    def optimizers(self) -> Mapping[str, Optimizer]:
        self.optimizer = Adam(self.network.parameters(), lr=self.settings.rate)
        return {"adam": self.optimizer}

    def batch_size(self, images_seen: int) -> int:
        return self.settings.patients

    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate * 0.5 * (1 + np.cos(np.pi * at.index / at.total))
        both = self.network(torch.cat([batch["first"], batch["second"]])).float()
        first, second = both.chunk(2)
        said = first @ second.T / TEMPERATURE
        own = torch.arange(len(said), device=said.device)
        loss = (functional.cross_entropy(said, own) + functional.cross_entropy(said.T, own)) / 2
        at.update(loss, self.optimizer)
        return {"contrast": loss}


def fit_patients(
    films: Dataset, settings: ReidentifySettings, *, device: str = "cpu", progress: Progress | None = None
) -> PatientNet:
    """A network trained on the patients of `films` with two films or more. InputError for fewer than 20 such
    patients."""
    groups = films.cases.groupby(films.cases["patient"].astype(str), sort=True).indices
    rows = [np.asarray(some) for some in groups.values() if len(some) > 1]
    if len(rows) < LEAST_PATIENTS:
        raise InputError(
            f"re-identification: {len(rows)} patients of {films.info.name} have two films or more to learn from; "
            f"expected at least {LEAST_PATIENTS}"
        )
    with seeded(derive_seed("reidentify", "weights", settings.seed)):
        network = PatientNet(settings.maps)
    source = Pairs(small(films.images), rows)
    train(
        Contrast(network, settings),
        source,
        steps=settings.steps,
        seed=derive_seed("reidentify", "training", settings.seed),
        device=device,
        progress=progress,
    )
    return network.cpu().eval()


def small(images: Films) -> np.ndarray:
    """Films uint8 (N, 64, 64)."""
    return np.asarray(changed(images, lambda block: resize_films(block, SIDE), (SIDE, SIDE)))


@torch.no_grad()
def patient_vectors(network: PatientNet, images: Films, *, batch: int = 256) -> np.ndarray:
    """Vectors of length 1, float64 (N, 64), of films uint8 (N, H, W)."""
    films = small(images)
    parts = [
        network(torch.from_numpy(films[start : start + batch])[:, None].float().div_(255)).double().numpy()
        for start in range(0, len(films), batch)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, WIDTH))


@dataclass(frozen=True)
class Verification:
    """How well pairs of films of one patient are told from pairs of two: the AUC, its 95 % interval (patients drawn
    again), and of how many patients and pairs. `threshold`: the likeness (cosine) that 1 % of pairs of two patients
    exceed."""

    auc: float
    low: float
    high: float
    patients: int
    pairs: int
    threshold: float
    told: float
    """Share of the pairs of one patient above the threshold."""


def verified(vectors: np.ndarray, patients: np.ndarray, *, seed: int = 0, draws: int = 200) -> Verification:
    """Of films (N, D) and whose they are (N,), patients that the network never saw: all pairs of one patient's
    films (two films a patient at most), each film of these against the others'. InputError for fewer than 20
    patients with two films."""
    order = np.random.default_rng(seed).permutation(len(patients))
    known: dict[str, list[int]] = {}
    for row in order:
        known.setdefault(str(patients[row]), []).append(int(row))
    pairs = np.array([rows[:2] for _, rows in sorted(known.items()) if len(rows) > 1], dtype=int).reshape(-1, 2)
    if len(pairs) < LEAST_PATIENTS:
        raise InputError(
            f"re-identification: {len(pairs)} held-out patients have two films or more; expected at least {LEAST_PATIENTS}"
        )
    alike = vectors[pairs[:, 0]] @ vectors[pairs[:, 1]].T
    n = len(alike)
    others = ~np.eye(n, dtype=bool)
    threshold = float(np.quantile(alike[others], 0.99))

    def area(rows: np.ndarray) -> float:
        part = alike[np.ix_(rows, rows)]
        apart = rows[:, None] != rows[None]
        one, two = np.diag(part), part[apart]
        return auc(np.r_[np.ones(len(one)), np.zeros(len(two))], np.r_[one, two])

    draw = np.random.default_rng(seed)
    drawn = [area(draw.integers(0, n, n)) for _ in range(draws)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Verification(
        auc=area(np.arange(n)),
        low=float(low),
        high=float(high),
        patients=n,
        pairs=n,
        threshold=threshold,
        told=float((np.diag(alike) > threshold).mean()),
    )
