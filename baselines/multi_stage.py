"""The generators of Ciano et al., "A Multi-Stage GAN for Multi-Organ Chest X-ray Image Generation and Segmentation"
(Mathematics 9(22), 2021): films with organ masks in one, two or three stages.

    single_stage   PGGAN -> film and label map, as two channels
    two_stage      PGGAN -> label map -> Pix2PixHD -> film
    three_stage    PGGAN -> dots -> Pix2PixHD -> label map -> Pix2PixHD -> film
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch

from ..benchmark import digest
from ..benchmark.dataset import Annotation, Dataset
from ..benchmark.errors import InputError, ProviderError
from ..benchmark.progress import Progress
from ..benchmark.provider import Batch, Provider
from ..benchmark.training import History
from .organ_maps import DOT_RADIUS, OrganMaps, grey_codes, mode_filter, nearest_class, paint, upsize
from .pggan import PGGAN, PGGANSettings
from .pix2pixhd import Pairs, Pix2PixHD, Pix2PixHDSettings

BATCH = 16  # films drawn together; the same draws whatever the asked number
DRAWS = 20  # dot maps drawn per asked film before giving up
LEAST_DRAWS = 640


@dataclass(frozen=True)
class SingleStageSettings:
    """PGGAN on two channels."""

    films: PGGANSettings = field(default_factory=PGGANSettings)


@dataclass(frozen=True)
class TwoStageSettings:
    """PGGAN on label maps, then label map to film."""

    labels: PGGANSettings = field(default_factory=PGGANSettings)
    films: Pix2PixHDSettings = field(default_factory=Pix2PixHDSettings)


@dataclass(frozen=True)
class ThreeStageSettings:
    """PGGAN on dots, dots to label map, then label map to film.

    Dot maps have `dot_side` pixels a side; `dot_radius` is the radius of a dot in pixels of a 64 x 64 map.
    """

    dots: PGGANSettings = field(default_factory=PGGANSettings)
    labels: Pix2PixHDSettings = field(default_factory=Pix2PixHDSettings)
    films: Pix2PixHDSettings = field(default_factory=Pix2PixHDSettings)
    dot_side: int = 64
    dot_radius: float = DOT_RADIUS


class MultiStage(Provider):
    """What the three have in common: organ maps, named parts, and batches of films with masks."""

    produces = frozenset({Annotation.MASKS})
    part_types: ClassVar[Mapping[str, type[PGGAN] | type[Pix2PixHD]]]
    """The parts by name, in the order of the chain."""

    def __init__(self, settings: Any = None, *, device: str = "cpu") -> None:
        super().__init__(settings, device=device)
        self.parts: dict[str, Any] = {}
        self.curves: dict[str, list[dict[str, float]]] = {}

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        if train.masks is None or not train.organs:
            raise InputError(f"{type(self).__name__} learns from organ masks; dataset {train.info.name} has none")
        self.side = train.resolution
        self.maps = OrganMaps.learn(train.organ_masks(), train.organs)
        self._fit_parts(train, paint(train.organ_masks(), train.organs), seed, progress)

    @abstractmethod
    def _fit_parts(self, train: Dataset, classes: np.ndarray, seed: int, progress: Progress) -> None:
        """Fit every part on the films and their label maps, uint8 (N, H, W)."""

    @abstractmethod
    def _films(self, rng: torch.Generator, asked: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Endless batches of films (B, H, W) in [-1, 1] and their label maps (B, H, W)."""

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        rng = torch.Generator().manual_seed(digest.derive_seed(type(self).__name__, "sample", seed))
        source, left = self._films(rng, n), n
        while left:
            films, classes = (values[:left] for values in next(source))
            left -= len(films)
            images = np.clip((films[:, None] + 1) / 2, 0, 1).astype(np.float32)
            yield Batch(images=images, masks=self.maps.masks(classes))

    def _grow(self, name: str, films: np.ndarray, settings: PGGANSettings, seed: int, progress: Progress) -> None:
        self._keep(
            name,
            PGGAN.fit(films, settings, seed=digest.derive_seed(name, seed), device=self.device, progress=progress),
        )

    def _translate(
        self, name: str, pairs: Pairs, settings: Pix2PixHDSettings, seed: int, progress: Progress
    ) -> None:
        if settings.vgg_weights is not None:
            self.weights_used = digest.of_file(Path(settings.vgg_weights))
        part_seed, classes = digest.derive_seed(name, seed), self.maps.classes
        self._keep(
            name, Pix2PixHD.fit(pairs, classes, settings, seed=part_seed, device=self.device, progress=progress)
        )

    def _keep(self, name: str, fitted: tuple[PGGAN | Pix2PixHD, History]) -> None:
        part, history = fitted
        self.parts[name] = part
        self.curves[name] = [{**row, "images_per_second": history.images_per_second} for row in history.rows]

    def _labels(self, values: np.ndarray) -> np.ndarray:
        """Generated grey values (B, H, W) to a clean label map."""
        return self.maps.clean(mode_filter(nearest_class(values, self.maps.classes), self.maps.classes))

    def parameter_count(self) -> int:
        return sum(weight.numel() for part in self.parts.values() for weight in part.generator.parameters())

    def histories(self) -> Mapping[str, list[dict[str, float]]]:
        return self.curves

    def save(self, folder: Path) -> None:
        for name, part in self.parts.items():
            part.save(folder / f"{name}.safetensors")
        kept = {
            "side": self.side,
            "maps": asdict(self.maps),
            "curves": self.curves,
            "weights_used": self.weights_used,
        }
        (folder / "provider.json").write_text(json.dumps(kept), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, settings: Any = None, *, device: str = "cpu") -> Self:
        provider = cls(settings, device=device)
        kept = json.loads((folder / "provider.json").read_text(encoding="utf-8"))
        provider.side, provider.curves, provider.weights_used = kept["side"], kept["curves"], kept["weights_used"]
        maps = kept["maps"]
        provider.maps = OrganMaps(
            organs=tuple(maps["organs"]),
            continued=tuple((over, under) for over, under in maps["continued"]),
            parts=tuple(maps["parts"]),
            required=tuple(maps["required"]),
        )
        for name, part_type in cls.part_types.items():
            provider.parts[name] = part_type.load(folder / f"{name}.safetensors", device=device)
        return provider


QUICK_FILMS = Pix2PixHDSettings(
    ngf=16, n_downsample=3, n_blocks=2, ndf=16, n_layers=2, batch_size=8, epochs=1, decay_epochs=1, steps=300
)
QUICK_GROWTH = PGGANSettings(
    fmap_base=512,
    fmap_max=64,
    stabilise_kimg=2.0,
    fade_kimg=2.0,
    batch_sizes=((4, 16),),
    learning_rates=((4, 2e-3),),
    ema=0.99,
)
STANDARD_FILMS = Pix2PixHDSettings(ngf=32, batch_size=8, epochs=25, decay_epochs=25)
STANDARD_GROWTH = PGGANSettings(stabilise_kimg=30.0, fade_kimg=30.0, batch_sizes=((4, 64), (128, 32), (256, 16)))


class SingleStage(MultiStage):
    """Film and label map together, from one PGGAN with two channels."""

    presets = {
        "quick": SingleStageSettings(QUICK_GROWTH),
        "standard": SingleStageSettings(STANDARD_GROWTH),
        "paper": SingleStageSettings(),
    }
    part_types = {"films": PGGAN}

    def _fit_parts(self, train: Dataset, classes: np.ndarray, seed: int, progress: Progress) -> None:
        both = np.stack([train.images, grey_codes(classes, self.maps.classes)], axis=1)
        self._grow("films", both, self.settings.films, seed, progress.part("films", 0, 1))

    def _films(self, rng: torch.Generator, asked: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            both = self.parts["films"].sample(BATCH, rng)
            yield both[:, 0], self._labels(both[:, 1])


class TwoStage(MultiStage):
    """Label maps from a PGGAN, films from label maps."""

    presets = {
        "quick": TwoStageSettings(QUICK_GROWTH, QUICK_FILMS),
        "standard": TwoStageSettings(STANDARD_GROWTH, STANDARD_FILMS),
        "paper": TwoStageSettings(),
    }
    part_types = {"labels": PGGAN, "films": Pix2PixHD}

    def _fit_parts(self, train: Dataset, classes: np.ndarray, seed: int, progress: Progress) -> None:
        codes = grey_codes(classes, self.maps.classes)
        self._grow("labels", codes[:, None], self.settings.labels, seed, progress.part("labels", 0, 0.5))
        self._translate("films", Pairs(classes, train.images), self.settings.films, seed, progress.part("films", 0.5, 1))

    def _films(self, rng: torch.Generator, asked: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            classes = self._labels(self.parts["labels"].sample(BATCH, rng)[:, 0])
            yield self.parts["films"].translate(classes), classes


class ThreeStage(MultiStage):
    """Dots at the organs' centroids from a PGGAN, label maps from dots, films from label maps."""

    presets = {
        "quick": ThreeStageSettings(QUICK_GROWTH, QUICK_FILMS, QUICK_FILMS, dot_side=32),
        "standard": ThreeStageSettings(replace(STANDARD_GROWTH), STANDARD_FILMS, STANDARD_FILMS),
        "paper": ThreeStageSettings(),
    }
    part_types = {"dots": PGGAN, "labels": Pix2PixHD, "films": Pix2PixHD}

    def _fit_parts(self, train: Dataset, classes: np.ndarray, seed: int, progress: Progress) -> None:
        dots = self.maps.dots(train.organ_masks(), self.settings.dot_side, self.settings.dot_radius)
        codes = grey_codes(classes, self.maps.classes)
        small = grey_codes(dots, self.maps.classes)[:, None]
        self._grow("dots", small, self.settings.dots, seed, progress.part("dots", 0, 0.3))
        pairs = Pairs(upsize(dots, self.side), codes)
        self._translate("labels", pairs, self.settings.labels, seed, progress.part("labels", 0.3, 0.65))
        pairs = Pairs(classes, train.images)
        self._translate("films", pairs, self.settings.films, seed, progress.part("films", 0.65, 1))

    def _films(self, rng: torch.Generator, asked: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for dots in self._complete_dots(rng, asked):
            classes = self._labels(self.parts["labels"].translate(upsize(dots, self.side)))
            yield self.parts["films"].translate(classes), classes

    def _complete_dots(self, rng: torch.Generator, asked: int) -> Iterator[np.ndarray]:
        """Batches of dot maps in which no required organ is missing; incomplete ones are drawn again, up to a limit."""
        waiting = np.empty((0, self.settings.dot_side, self.settings.dot_side), dtype=np.uint8)
        drawn = used = 0
        limit = max(LEAST_DRAWS, DRAWS * asked)
        while True:
            while len(waiting) < BATCH:
                if drawn >= limit:
                    raise ProviderError(
                        f"three_stage: only {used + len(waiting)} of {drawn} generated dot maps had a dot for every "
                        "organ: train the dots longer (dots.stabilise_kimg)"
                    )
                values = self.parts["dots"].sample(BATCH, rng)[:, 0]
                found = nearest_class(values, self.maps.classes)
                dots, complete = self.maps.clean_dots(found, self.settings.dot_radius)
                waiting, drawn = np.concatenate([waiting, dots[complete]]), drawn + BATCH
            yield waiting[:BATCH]
            waiting, used = waiting[BATCH:], used + BATCH
