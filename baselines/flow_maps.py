"""Organ maps by flow matching (Lipman et al. 2023), films from maps by Pix2PixHD: `two_stage` of Ciano et al. (2021) with
a first stage of today.

The first stage draws every organ's signed distance (`signed_maps`), not a grey code of the organs: a map of distances is
smooth, so it is drawn at half the side (`shrink`) and enlarged on straight lines, which moves no outline. The organs are
then painted into a label map, and the second stage is that of `two_stage`, settings and all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..benchmark import digest
from ..benchmark.data.dataset import Dataset, DatasetInfo
from ..benchmark.errors import InputError
from ..benchmark.progress import Progress
from ..benchmark.training import loop as training
from ..benchmark.training.loop import seeded
from ..benchmark.training.recipe import RowNumbers
from . import pix2pixhd
from .diffusion_base import FilmBase
from .diffusion_training import BY_STEPS, COMPARED, SAMPLING_BATCH, DiffusionRecipe, TrainingSettings, by_steps
from .diffusion_unet import FilmUNet, UNetSettings, check_side
from .flow import Flow
from .multi_stage import QUICK_FILMS, STANDARD_FILMS, MultiStage, vgg_loss
from .organ_maps import mode_filter, paint
from .pix2pixhd import Pairs, Pix2PixHD, Pix2PixHDSettings
from .signed_maps import half_widths, least_areas, organs_of, signed_maps


@dataclass(frozen=True, kw_only=True)
class FlowSettings(TrainingSettings):
    """Of the first stage."""

    unet: UNetSettings = field(default_factory=UNetSettings)
    components: int = 0
    """Principal axes of the training maps that the network begins with; 0: none, as in the paper."""
    sampler_steps: int = 16
    """Steps of the midpoint method; each asks the network twice."""
    shrink: int = 2
    """Maps are drawn with so many times fewer pixels a side."""
    reach: float = 2.0
    """Distance from its outline where the map of an organ ends, in half widths of the organ."""


@dataclass(frozen=True)
class FlowMapsSettings:
    """Organ maps, then films from them."""

    labels: FlowSettings = field(default_factory=FlowSettings)
    films: Pix2PixHDSettings = field(default_factory=Pix2PixHDSettings)

    def shorter(self, steps: int, side: int | None = None) -> Self:
        """Both parts at most that many steps."""
        return replace(self, labels=self.labels.shorter(steps, side), films=self.films.shorter(steps, side))

    def with_batch(self, size: int) -> Self:
        """Batches of that many films for both parts."""
        return replace(self, labels=self.labels.with_batch(size), films=self.films.with_batch(size))


# Meant for a minute of two cores at 64 x 64 pixels (not measured).
QUICK = FlowMapsSettings(
    labels=FlowSettings(
        unet=UNetSettings(channels=(24, 48), res_blocks=1, attention=(False, False), norm_groups=8, fold=2),
        components=48,
        sampler_steps=8,
        steps=400,
        batch_size=16,
        learning_rate=2e-3,
        warm_up=800,
        decay=True,
        timeline=4,
        compared_steps=(1, 2, 4, 8),
    ),
    films=QUICK_FILMS,
)
STANDARD = FlowMapsSettings(
    labels=FlowSettings(
        unet=UNetSettings(channels=(64, 128, 256), res_blocks=2, attention=(False, False, True), fold=2),
        steps=12_000,
        batch_size=32,
        decay=True,
        average_films=100_000.0,
    ),
    films=STANDARD_FILMS,
)


class FlowMaps(MultiStage):
    """Organ maps by flow matching, films from organ maps."""

    name = "flow_maps"
    presets: ClassVar[Mapping[str, FlowMapsSettings]] = {
        "quick": QUICK,
        "standard": STANDARD,
        "paper": FlowMapsSettings(),
    }
    sampling_parts = frozenset({"labels flow", "films generator"})
    initial_weights = (vgg_loss("films"),)
    least: tuple[int, ...]
    organ_parts: tuple[int, ...]
    compared: dict[str, float]
    flow: FilmUNet
    base: FilmBase
    not_saved: ClassVar = MultiStage.not_saved | {"flow", "base"}

    def __init__(self, settings: Any = None, *, device: str = "cpu") -> None:
        super().__init__(settings, device=device)
        self.compared = {}

    def pairs(self, side: int, classes: int) -> Mapping[str, tuple[nn.Module, nn.Module]]:
        return {"films": pix2pixhd.make_networks(classes, 1, self.settings.films)}

    def build(self, films: DatasetInfo) -> Mapping[str, nn.Module]:
        return {**self.build_flow(films), **super().build(films)}

    def build_flow(self, films: DatasetInfo) -> Mapping[str, nn.Module]:
        """The networks of the first stage."""
        s: FlowSettings = self.settings.labels
        organs, side = len(films.organs), films.resolution // s.shrink
        flow = FilmUNet(s.unet, organs, side, beside=organs if s.components else 0)
        return {"labels flow": flow, "labels base": FilmBase(organs, side, s.components)}

    def networks(self) -> Mapping[str, nn.Module]:
        if not self.parts:
            return {}
        return {"labels flow": self.flow, "labels base": self.base, "films generator": self.parts["films"].generator}

    def take(self, networks: Mapping[str, nn.Module]) -> None:
        made: Any = networks
        self.flow, self.base = made["labels flow"], made["labels base"]
        self.parts = {"films": Pix2PixHD(made["films generator"])}

    def _fit_parts(self, train: Dataset, classes: np.ndarray, seed: int, progress: Progress) -> None:
        self._fit_maps(train, seed, progress.part("labels", 0, 0.5))
        films = Pairs(classes, train.images)
        self._translate("films", films, self.settings.films, seed, progress.part("films", 0.5, 1))

    def _fit_maps(self, train: Dataset, seed: int, progress: Progress) -> None:
        """The first stage, on the organs of the films."""
        s: FlowSettings = self.settings.labels
        if train.resolution % s.shrink:
            raise InputError(f"{self.name}: a side of {train.resolution} cannot be shrunk by labels.shrink={s.shrink}")
        check_side(s.unet, train.resolution // s.shrink)
        masks = train.organ_masks()
        reaches = tuple(width * s.reach for width in half_widths(masks))
        self.organ_parts, self.least = self.maps.parts, least_areas(masks)
        maps = F.avg_pool2d(torch.from_numpy(signed_maps(masks, reaches)), s.shrink)
        self._fit_flow(maps, train.info, seed, progress)

    def _fit_flow(self, maps: Tensor, films: DatasetInfo, seed: int, progress: Progress) -> None:
        """The first stage, on maps float32 (N, O, h, h)."""
        s: FlowSettings = self.settings.labels
        with seeded(digest.derive_seed("labels", "networks", seed)):
            built: Any = self.build(films)
            built["labels base"].learn(maps)
            self.base = built["labels base"].to(self.device)
            recipe = DiffusionRecipe(built["labels flow"], Flow(self.base, s.sampler_steps), maps, s)
        history = training.train(
            recipe,
            RowNumbers(len(maps)),
            steps=s.steps,
            seed=digest.derive_seed("labels", seed),
            device=self.device,
            progress=progress,
            checkpoints=self._checkpoints("labels"),
            name="labels",
        )
        average: Any = recipe.average.eval()
        self.flow, self.curves["labels"] = average, history
        self.along["labels"] = recipe.timeline.until(history.steps)
        start = self._start(COMPARED, torch.Generator().manual_seed(digest.derive_seed("labels", "compared", seed)))
        self.compared, self.along[BY_STEPS] = by_steps(
            lambda steps: self.draw_maps(start, steps), maps, s.compared_steps, channels=len(films.organs)
        )

    def _start(self, count: int, rng: torch.Generator) -> Tensor:
        return torch.randn((count, *self.base.mean.shape), generator=rng).to(self.device)

    @torch.no_grad()
    def draw_maps(self, start: Tensor, steps: int | None = None) -> Tensor:
        """Organ maps (B, O, h, h) of noise of N(0, 1)."""
        return Flow(self.base, self.settings.labels.sampler_steps).draw(self.flow, start, {}, steps)

    def organs(self, maps: Tensor) -> np.ndarray:
        """Bool masks (B, O, H, W) of drawn maps, enlarged on straight lines."""
        large = F.interpolate(maps, scale_factor=self.settings.labels.shrink, mode="bilinear", align_corners=False)
        return organs_of(large.cpu().numpy(), self.organ_parts, self.least)[0]

    def _films(self, rng: torch.Generator, asked: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            masks = self.organs(self.draw_maps(self._start(SAMPLING_BATCH, rng)))
            classes = self.maps.clean(mode_filter(paint(masks, self.maps.organs), self.maps.classes))
            yield self.parts["films"].translate(classes)[:, 0], classes

    def facts(self) -> Mapping[str, float | int | str]:
        return self.compared
