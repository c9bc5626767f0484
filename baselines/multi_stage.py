"""The generators of Ciano et al., "A Multi-Stage GAN for Multi-Organ Chest X-ray Image Generation and
Segmentation" (Mathematics 9(22), 2021): films with organ masks in one, two or three stages.

    single_stage   PGGAN -> film and label map, as two channels
    two_stage      PGGAN -> label map -> Pix2PixHD -> film
    three_stage    PGGAN -> dots -> Pix2PixHD -> label map -> Pix2PixHD -> film
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import nn

from ..benchmark import digest
from ..benchmark.contracts.initial_weights import InitialWeights
from ..benchmark.contracts.provider import Batch, Timelines
from ..benchmark.data.dataset import Annotation, Dataset, DatasetInfo
from ..benchmark.errors import InputError, ProviderError
from ..benchmark.progress import Progress
from ..benchmark.settings import added
from . import pggan_networks, pix2pixhd
from .organ_maps import DOT_RADIUS, OrganMaps, grey_codes, mode_filter, nearest_class, paint, upsize
from .pggan import PGGAN
from .pggan_networks import PGGANSettings
from .pix2pixhd import ClassPairs, Pairs, Pix2PixHD, Pix2PixHDSettings
from .timeline import Along
from .trained import Measurable, Trained

BATCH = 16  # films drawn together; the same draws whatever the asked number
DRAWS = 20  # dot maps drawn per asked film before giving up
LEAST_DRAWS = 640


@dataclass(frozen=True)
class ChainSettings:
    """Settings of parts that are trained one after the other."""

    def shorter(self, steps: int, side: int | None = None) -> Self:
        """Every part at most that many steps; one that grows: see `PGGANSettings`."""
        return self._of_each(lambda part: part.shorter(steps, side))

    def with_batch(self, size: int) -> Self:
        """Batches of that many films for every part."""
        return self._of_each(lambda part: part.with_batch(size))

    def _of_each(self, change: Callable[[Measurable], Measurable]) -> Self:
        parts = {
            name: part for name, part in vars(self).items() if isinstance(part, (PGGANSettings, Pix2PixHDSettings))
        }
        return replace(self, **{name: change(part) for name, part in parts.items()})


@dataclass(frozen=True)
class SingleStageSettings(ChainSettings):
    """PGGAN on two channels."""

    films: PGGANSettings = field(default_factory=PGGANSettings)


@dataclass(frozen=True)
class TwoStageSettings(ChainSettings):
    """PGGAN on label maps, then label map to film."""

    labels: PGGANSettings = field(default_factory=PGGANSettings)
    films: Pix2PixHDSettings = field(default_factory=Pix2PixHDSettings)


@dataclass(frozen=True)
class ThreeStageSettings(ChainSettings):
    """PGGAN on dots, dots to label map, then label map to film.

    Dot maps have `dot_side` pixels a side; `dot_radius` is the radius of a dot in pixels of a 64 x 64 map. Label maps
    are one channel of grey codes as in the paper, or one channel per class (`label_channels`), learnt in fewer steps.
    """

    dots: PGGANSettings = field(default_factory=PGGANSettings)
    labels: Pix2PixHDSettings = field(default_factory=Pix2PixHDSettings)
    films: Pix2PixHDSettings = field(default_factory=Pix2PixHDSettings)
    dot_side: int = 64
    dot_radius: float = DOT_RADIUS
    label_channels: bool = False
    take_all: bool = added(False)
    """Dot maps that lack an organ are used too: of a training too short for dots (`--smoke`)."""

    def shorter(self, steps: int, side: int | None = None) -> Self:
        """Every part at most that many steps; the dots grow to their own side."""
        made = super().shorter(steps, side)
        return replace(made, dots=self.dots.shorter(steps, None if side is None else self.dot_side))


def vgg_loss(part: str) -> InitialWeights:
    """The loss that a part has where ImageNet weights are given."""
    return InitialWeights(f"{part}.vgg_weights", f"{part}: VGG19 loss", without="left out")


class MultiStage(Trained):
    """What the three have in common: organ maps, named parts, and batches of films with masks."""

    produces = frozenset({Annotation.MASKS})
    sampling_parts = frozenset({"dots generator", "labels generator", "films generator"})
    part_types: ClassVar[Mapping[str, type[PGGAN] | type[Pix2PixHD]]]
    """The parts by name, in the order of the chain."""
    not_saved: ClassVar = Trained.not_saved | {"parts", "along"}
    maps: OrganMaps
    grown: dict[str, tuple[int, float]]
    """Of parts that were ended before they were grown: the level and alpha they are sampled at."""

    def __init__(self, settings: Any = None, *, device: str = "cpu") -> None:
        super().__init__(settings, device=device)
        self.parts: dict[str, Any] = {}
        self.along: dict[str, Along] = {}
        self.grown = {}

    def timeline(self) -> Timelines:
        return {name: samples for name, samples in self.along.items() if samples is not None}

    @abstractmethod
    def pairs(self, side: int, classes: int) -> Mapping[str, tuple[nn.Module, nn.Module]]:
        """New generators and discriminators of every part, for label maps of that many classes."""

    def build(self, films: DatasetInfo) -> Mapping[str, nn.Module]:
        networks: dict[str, nn.Module] = {}
        for part, (generator, discriminator) in self.pairs(films.resolution, len(films.organs) + 1).items():
            networks |= {f"{part} discriminator": discriminator, f"{part} generator": generator}
        return networks

    def networks(self) -> Mapping[str, nn.Module]:
        return {f"{name} generator": part.generator for name, part in self.parts.items()}

    def take(self, networks: Mapping[str, nn.Module]) -> None:
        kinds: Mapping[str, Any] = self.part_types
        self.parts = {name: kind(networks[f"{name} generator"]) for name, kind in kinds.items()}
        for name, grown in self.grown.items():
            self.parts[name].grown = grown

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        if train.masks is None or not train.organs:
            raise InputError(
                f"{type(self).__name__} learns from organ masks; dataset {train.info.name} has none: give it masks"
            )
        self.built_for, self.side = train.info, train.resolution
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
        self.parts[name], self.curves[name], self.along[name] = PGGAN.fit(
            films,
            settings,
            seed=digest.derive_seed(name, seed),
            device=self.device,
            progress=progress,
            checkpoints=self._checkpoints(name),
            name=name,
        )

        if self.parts[name].grown is not None:
            self.grown[name] = self.parts[name].grown

    def _translate(self, name: str, pairs: Pairs, settings: Pix2PixHDSettings, seed: int, progress: Progress) -> None:
        self.parts[name], self.curves[name], self.along[name] = Pix2PixHD.fit(
            pairs,
            self.maps.classes,
            settings,
            seed=digest.derive_seed(name, seed),
            device=self.device,
            progress=progress,
            checkpoints=self._checkpoints(name),
            name=name,
        )
        if settings.vgg_weights is not None:
            self.weights_used = digest.of_file(settings.vgg_weights.expanduser())

    def _checkpoints(self, name: str) -> Path | None:
        return None if self.checkpoints is None else self.checkpoints / name

    def _labels(self, values: np.ndarray) -> np.ndarray:
        """Generated grey codes (B, 1, H, W), or a channel per class, to clean label maps (B, H, W)."""
        count = self.maps.classes
        classes = nearest_class(values[:, 0], count) if values.shape[1] == 1 else values.argmax(axis=1).astype(np.uint8)
        return self.maps.clean(mode_filter(classes, count))


# Sized for under a minute of one core a provider at 64 x 64 pixels.
QUICK_FILMS = Pix2PixHDSettings(
    ngf=12,
    n_downsample=3,
    n_blocks=2,
    ndf=12,
    n_layers=2,
    batch_size=4,
    epochs=1,
    decay_epochs=1,
    steps=400,
    learning_rate=1e-3,
)
QUICK_LABELS = replace(QUICK_FILMS, ndf=8, steps=450)
QUICK_GROWTH = PGGANSettings(
    fmap_base=256,
    fmap_max=32,
    stabilise_kimg=0.7,
    fade_kimg=0.7,
    final_kimg=1.0,
    batch_sizes=((4, 8),),
    learning_rates=((4, 5e-3),),
    ema=0.98,
)
QUICK_PAIRS = replace(QUICK_GROWTH, stabilise_kimg=0.8, fade_kimg=0.8, final_kimg=1.4)
QUICK_DOTS = replace(QUICK_GROWTH, fmap_base=512, stabilise_kimg=0.6, fade_kimg=0.6, final_kimg=3.2)
# Sized for under an hour of one GPU a provider at 256 x 256 pixels.
STANDARD_FILMS = Pix2PixHDSettings(ngf=32, batch_size=8, epochs=25, decay_epochs=25, learning_rate=4e-4)
STANDARD_GROWTH = PGGANSettings(
    stabilise_kimg=30.0,
    fade_kimg=30.0,
    batch_sizes=((4, 64), (128, 32), (256, 16)),
    learning_rates=((4, 2e-3),),
)


class SingleStage(MultiStage):
    """Film and label map together, from one PGGAN with two channels."""

    name = "single_stage"
    presets: ClassVar = {
        "quick": SingleStageSettings(QUICK_PAIRS),
        "standard": SingleStageSettings(STANDARD_GROWTH),
        "paper": SingleStageSettings(),
    }
    part_types: ClassVar = {"films": PGGAN}
    reference_seconds: ClassVar = {"quick": 50.0}

    def pairs(self, side: int, classes: int) -> Mapping[str, tuple[nn.Module, nn.Module]]:
        return {"films": pggan_networks.make_networks(side, 2, self.settings.films)}

    def _fit_parts(self, train: Dataset, classes: np.ndarray, seed: int, progress: Progress) -> None:
        both = np.stack([train.images, grey_codes(classes, self.maps.classes)], axis=1)
        self._grow("films", both, self.settings.films, seed, progress.part("films", 0, 1))

    def _films(self, rng: torch.Generator, asked: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            both = self.parts["films"].sample(BATCH, rng)
            yield both[:, 0], self._labels(both[:, 1:])


class TwoStage(MultiStage):
    """Label maps from a PGGAN, films from label maps."""

    name = "two_stage"
    presets: ClassVar = {
        "quick": TwoStageSettings(QUICK_GROWTH, QUICK_FILMS),
        "standard": TwoStageSettings(STANDARD_GROWTH, STANDARD_FILMS),
        "paper": TwoStageSettings(),
    }
    part_types: ClassVar = {"labels": PGGAN, "films": Pix2PixHD}
    initial_weights = (vgg_loss("films"),)
    reference_seconds: ClassVar = {"quick": 60.0}

    def pairs(self, side: int, classes: int) -> Mapping[str, tuple[nn.Module, nn.Module]]:
        labels = pggan_networks.make_networks(side, 1, self.settings.labels)
        return {"labels": labels, "films": pix2pixhd.make_networks(classes, 1, self.settings.films)}

    def _fit_parts(self, train: Dataset, classes: np.ndarray, seed: int, progress: Progress) -> None:
        codes = grey_codes(classes, self.maps.classes)
        self._grow("labels", codes[:, None], self.settings.labels, seed, progress.part("labels", 0, 0.5))
        pairs = Pairs(classes, train.images)
        self._translate("films", pairs, self.settings.films, seed, progress.part("films", 0.5, 1))

    def _films(self, rng: torch.Generator, asked: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            classes = self._labels(self.parts["labels"].sample(BATCH, rng))
            yield self.parts["films"].translate(classes)[:, 0], classes


class ThreeStage(MultiStage):
    """Dots at the organs' centroids from a PGGAN, label maps from dots, films from label maps."""

    name = "three_stage"
    presets: ClassVar = {
        "quick": ThreeStageSettings(
            QUICK_DOTS, QUICK_LABELS, QUICK_FILMS, dot_side=16, dot_radius=6.0, label_channels=True
        ),
        "standard": ThreeStageSettings(
            STANDARD_GROWTH, STANDARD_FILMS, STANDARD_FILMS, dot_side=32, dot_radius=4.0, label_channels=True
        ),
        "paper": ThreeStageSettings(),
    }
    part_types: ClassVar = {"dots": PGGAN, "labels": Pix2PixHD, "films": Pix2PixHD}
    initial_weights = (vgg_loss("labels"), vgg_loss("films"))
    reference_seconds: ClassVar = {"quick": 58.0}

    def pairs(self, side: int, classes: int) -> Mapping[str, tuple[nn.Module, nn.Module]]:
        channels = classes if self.settings.label_channels else 1
        return {
            "dots": pggan_networks.make_networks(self.settings.dot_side, 1, self.settings.dots),
            "labels": pix2pixhd.make_networks(classes, channels, self.settings.labels),
            "films": pix2pixhd.make_networks(classes, 1, self.settings.films),
        }

    def _fit_parts(self, train: Dataset, classes: np.ndarray, seed: int, progress: Progress) -> None:
        dots = self.maps.dots(train.organ_masks(), self.settings.dot_side, self.settings.dot_radius)
        codes = grey_codes(classes, self.maps.classes)
        small = grey_codes(dots, self.maps.classes)[:, None]
        self._grow("dots", small, self.settings.dots, seed, progress.part("dots", 0, 0.3))
        large = upsize(dots, self.side)
        per_class = self.settings.label_channels
        pairs = ClassPairs(large, classes, self.maps.classes) if per_class else Pairs(large, codes)
        self._translate("labels", pairs, self.settings.labels, seed, progress.part("labels", 0.3, 0.65))
        pairs = Pairs(classes, train.images)
        self._translate("films", pairs, self.settings.films, seed, progress.part("films", 0.65, 1))

    def _films(self, rng: torch.Generator, asked: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for dots in self._complete_dots(rng, asked):
            classes = self._labels(self.parts["labels"].translate(upsize(dots, self.side)))
            yield self.parts["films"].translate(classes)[:, 0], classes

    @classmethod
    def smoke(cls, settings: ThreeStageSettings, steps: int, *, side: int) -> ThreeStageSettings:
        return replace(settings.shorter(steps, side), take_all=True)

    def _complete_dots(self, rng: torch.Generator, asked: int) -> Iterator[np.ndarray]:
        """Batches of dot maps with every required organ; incomplete ones are drawn again, up to a limit."""
        waiting = np.empty((0, self.settings.dot_side, self.settings.dot_side), dtype=np.uint8)
        drawn = used = 0
        limit = max(LEAST_DRAWS, DRAWS * asked)
        while True:
            while len(waiting) < BATCH:
                if drawn >= limit:
                    raise ProviderError(
                        f"three_stage: only {used + len(waiting)} of {drawn} generated dot maps had a dot for "
                        "every organ: train the dots longer (dots.stabilise_kimg)"
                    )
                values = self.parts["dots"].sample(BATCH, rng)[:, 0]
                found = nearest_class(values, self.maps.classes)
                dots, complete = self.maps.clean_dots(found, self.settings.dot_radius)
                taken = dots if self.settings.take_all else dots[complete]
                waiting, drawn = np.concatenate([waiting, taken]), drawn + BATCH
            yield waiting[:BATCH]
            waiting, used = waiting[BATCH:], used + BATCH
