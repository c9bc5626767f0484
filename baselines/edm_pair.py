"""Film and organ masks together by diffusion: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative
Models" (NeurIPS 2022), on as many channels as there are organs and one.

Its mathematics is `edm`, its network `diffusion_unet`. The masks are signed distances to the organs' outlines
(`signed_maps`), a channel each, which the diffusion draws as it draws the film. An organ is where its channel is above 0,
and has at least as many pixels as in any training film: a narrow one that is not drawn surely enough lies below 0. The
report says how often. At `quick` the network is small: it begins where a Gaussian of the training films ends
(`diffusion_base`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..benchmark import digest
from ..benchmark.contracts.provider import Batch, Timelines
from ..benchmark.data.dataset import Annotation, Dataset, DatasetInfo
from ..benchmark.errors import InputError
from ..benchmark.progress import Progress
from ..benchmark.training import loop as training
from ..benchmark.training.loop import seeded
from ..benchmark.training.recipe import RowNumbers
from . import edm
from .diffusion_base import FilmBase
from .diffusion_training import (
    BY_STEPS,
    COMPARED,
    EDM,
    SAMPLING_BATCH,
    DiffusionRecipe,
    TrainingSettings,
    as_values,
    by_steps,
)
from .diffusion_unet import FilmUNet, UNetSettings, check_side
from .organ_maps import OrganMaps
from .signed_maps import half_widths, least_areas, organs_of, signed_maps
from .timeline import Along
from .trained import Trained


@dataclass(frozen=True, kw_only=True)
class EDMPairSettings(TrainingSettings):
    """Defaults are the paper's where it says so: noise, sampler and running mean."""

    noise: edm.Noise = field(default_factory=edm.Noise)
    unet: UNetSettings = field(default_factory=UNetSettings)
    components: int = 0
    """Principal axes of the training films that the network begins with; 0 is the paper's, none."""
    reach: float = 2.0
    """Distance from its outline where the map of an organ ends, in half widths of the organ."""
    mask_weight: float = 1.0
    """Of the channels of organs in the loss, beside 1 of the film."""


PAPER = EDMPairSettings()
# A U-Net of 25 million parameters and 24,000 steps, meant for one GPU and an hour at 256 pixels (not measured).
STANDARD = EDMPairSettings(
    unet=UNetSettings(channels=(64, 128, 256, 256), res_blocks=2, attention=(False, False, False, True), fold=4),
    steps=24_000,
    batch_size=32,
    learning_rate=4e-4,
    decay=True,
    average_films=100_000.0,
)
# Some 0.25 s of one core a step at 64 x 64 pixels: 2 x 2 pixels are one place of a small network, which begins where a
# Gaussian of the training films ends. So does the sampler, where noise does not hide the films yet, and takes fewer steps.
QUICK = EDMPairSettings(
    noise=edm.Noise(sampler_steps=8, sigma_min=0.02, sigma_max=5.0),
    unet=UNetSettings(channels=(16, 32, 48), res_blocks=1, attention=(False, False, False), norm_groups=8, fold=2),
    components=96,
    steps=400,
    batch_size=8,
    learning_rate=2e-3,
    warm_up=400,
    decay=True,
    timeline=4,
    compared_steps=(2, 4, 8),
)


class EDMPair(Trained):
    """Film and organ masks together, by diffusion."""

    name = "edm_pair"
    produces = frozenset({Annotation.MASKS})
    home_task = "scr_official"
    presets: ClassVar[Mapping[str, EDMPairSettings]] = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
    not_saved: ClassVar = Trained.not_saved | {"along"}
    reaches: tuple[float, ...]
    parts: tuple[int, ...]
    least: tuple[int, ...]
    said: dict[str, float]
    steps_compared: dict[str, float]
    denoiser: nn.Module
    base: FilmBase

    def __init__(self, settings: Any = None, *, device: str = "cpu") -> None:
        super().__init__(settings, device=device)
        self.steps_compared, self.said = {}, {}
        self.along: Along = None

    def build(self, films: DatasetInfo) -> Mapping[str, nn.Module]:
        s: EDMPairSettings = self.settings
        channels, side = 1 + len(films.organs), films.resolution
        base = FilmBase(channels, side, s.components)
        beside = channels if s.components else 0
        return {"denoiser": FilmUNet(s.unet, channels, side, beside=beside), "base": base}

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        """Learn films and organs. InputError for films without masks, or of a side that the network does not halve."""
        if train.masks is None or not train.organs:
            raise InputError(f"edm_pair learns from organ masks; dataset {train.info.name} has none: give it masks")
        s: EDMPairSettings = self.settings
        check_side(s.unet, train.resolution)
        self.built_for = train.info
        masks = train.organ_masks()
        self.reaches = tuple(width * s.reach for width in half_widths(masks))
        self.parts, self.least = OrganMaps.learn(masks, train.organs).parts, least_areas(masks)
        films = as_values(torch.from_numpy(np.array(train.images))[:, None]).numpy()
        pairs = torch.from_numpy(np.concatenate([films, signed_maps(masks, self.reaches)], axis=1))
        with seeded(digest.derive_seed(self.name, "networks", seed)):
            built: Any = self.build(train.info)
            built["base"].learn(pairs)
            base = built["base"].to(self.device)
            weights = [1.0, *(s.mask_weight for _ in train.organs)]
            recipe = DiffusionRecipe(built["denoiser"], EDM(base, s.noise), pairs, s, weights=weights)
        self.curves["pairs"] = training.train(
            recipe,
            RowNumbers(len(pairs)),
            steps=s.steps,
            seed=digest.derive_seed(self.name, "steps", seed),
            device=self.device,
            progress=progress,
            checkpoints=self.checkpoints,
            name="pairs",
        )
        self.denoiser, self.base = recipe.average.eval(), base.eval()
        self.keep_timeline(recipe.timeline, self.curves["pairs"])
        rng = torch.Generator().manual_seed(digest.derive_seed(self.name, "compared", seed))
        start = self._start(COMPARED, rng)
        self.steps_compared, self.along = by_steps(lambda steps: self.draw(start, steps), pairs, s.compared_steps)

    def timeline(self) -> Timelines:
        found = {"pairs": self.moments, BY_STEPS: self.along}
        return {name: samples for name, samples in found.items() if samples is not None}

    def facts(self) -> Mapping[str, float | int | str]:
        return self.steps_compared | self.said

    def _start(self, count: int, rng: torch.Generator) -> Tensor:
        return torch.randn((count, *self.base.mean.shape), generator=rng).to(self.device)

    @torch.no_grad()
    def draw(self, start: Tensor, steps: int | None = None) -> Tensor:
        """Film and maps (B, 1 + O, H, W) from noise of N(0, 1)."""
        return EDM(self.base, self.settings.noise).draw(self.denoiser, start, {}, steps)

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        """Exactly `n` films, the first ones of the seed's endless row of films."""
        rng, left = torch.Generator().manual_seed(digest.derive_seed(self.name, "sample", seed)), n
        enlarged = np.zeros(len(self.parts))
        while left > 0:
            pairs = self.draw(self._start(SAMPLING_BATCH, rng))[:left].cpu().numpy()
            masks, small = organs_of(pairs[:, 1:], self.parts, self.least)
            enlarged += small.sum(axis=0)
            yield Batch(images=np.clip((pairs[:, :1] + 1) / 2, 0, 1).astype(np.float32), masks=masks)
            left -= len(pairs)
        organs = self.built_for.organs if self.built_for is not None else ()
        shares = {f"share_enlarged_{organ}": round(count / n, 4) for organ, count in zip(organs, enlarged, strict=True)}
        self.said = {name: float(share) for name, share in shares.items() if share}
