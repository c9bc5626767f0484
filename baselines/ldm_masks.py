"""Organ masks to films by latent diffusion: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models"
(CVPR 2022), their semantic synthesis (section 4.3.2): the masks, made as small as the latent, are channels beside it.

The masks themselves come from the first stage of `flow_maps`: flow matching on the organs' signed distances. Autoencoder,
latent and losses are `latent_diffusion`, the diffusion is `edm`.
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
from ..benchmark.contracts.initial_weights import InitialWeights
from ..benchmark.data.dataset import Dataset, DatasetInfo
from ..benchmark.progress import Progress
from ..benchmark.training.loop import seeded
from . import flow_maps
from .diffusion_base import FilmBase
from .diffusion_provider import EDMSettings
from .diffusion_training import BY_STEPS, COMPARED, EDM, SAMPLING_BATCH, as_values, by_steps
from .diffusion_unet import UNetSettings
from .flow_maps import FlowMaps, FlowSettings
from .latent_diffusion import AutoencoderSettings, Fitting, LatentFilms, LatentSettings, check_sides, make_networks
from .organ_maps import mode_filter, paint
from .pix2pixhd import one_hot


@dataclass(frozen=True, kw_only=True)
class LDMMasksSettings(LatentSettings):
    """Organ maps, an autoencoder of films, and a diffusion in its latent beside the maps."""

    labels: FlowSettings = field(default_factory=FlowSettings)

    def shorter(self, steps: int, side: int | None = None) -> Self:
        """All three trainings at most that many steps."""
        return replace(super().shorter(steps, side), labels=self.labels.shorter(steps, side))

    def with_batch(self, size: int) -> Self:
        """Batches of that many films for all three trainings."""
        return replace(super().with_batch(size), labels=self.labels.with_batch(size))


QUICK = LDMMasksSettings(
    labels=flow_maps.QUICK.labels,
    autoencoder=AutoencoderSettings(
        channels=(24, 48),
        res_blocks=1,
        latent_channels=4,
        norm_groups=8,
        attention=False,
        fold=2,
        steps=600,
        batch_size=8,
        learning_rate=2e-3,
        decay=True,
        adversarial_from=500,
        ndf=16,
        n_layers=2,
        timeline=4,
    ),
    diffusion=EDMSettings(
        unet=UNetSettings(channels=(32, 64), res_blocks=1, attention=(False, False), norm_groups=8),
        steps=800,
        batch_size=16,
        learning_rate=2e-3,
        warm_up=800,
        decay=True,
        timeline=4,
        compared_steps=(4, 8, 18),
    ),
)
# Meant for one GPU and an hour at 256 pixels (not measured).
STANDARD = LDMMasksSettings(
    labels=flow_maps.STANDARD.labels,
    autoencoder=AutoencoderSettings(
        channels=(64, 128, 128),
        latent_channels=4,
        attention=False,
        steps=12_000,
        batch_size=16,
        learning_rate=2e-4,
        decay=True,
        adversarial_from=4_000,
    ),
    diffusion=EDMSettings(
        unet=UNetSettings(channels=(128, 256, 384), res_blocks=2, attention=(False, False, True)),
        steps=24_000,
        batch_size=32,
        decay=True,
        average_films=100_000.0,
    ),
)
# The release's f = 4 for faces of 256 pixels.
PAPER = LDMMasksSettings(
    diffusion=EDMSettings(
        unet=UNetSettings(channels=(224, 448, 672, 896), res_blocks=2, attention=(False, True, True, True)),
        steps=635_000,
        batch_size=42,
        learning_rate=8.4e-5,
    ),
)


class LDMMasks(FlowMaps):
    """Organ maps by flow matching, films from organ maps by latent diffusion."""

    name = "ldm_masks"
    presets: ClassVar[Mapping[str, Any]] = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
    sampling_parts = frozenset({"labels flow", "autoencoder", "denoiser"})
    initial_weights = (InitialWeights("autoencoder.vgg_weights", "autoencoder: VGG19 loss", without="left out"),)
    not_saved: ClassVar = FlowMaps.not_saved | {"films"}
    films: LatentFilms

    def build(self, films: DatasetInfo) -> Mapping[str, nn.Module]:
        s: LDMMasksSettings = self.settings
        latent = make_networks(s, films.resolution, beside=len(films.organs) + 1)
        return {**self.build_flow(films), **latent}

    def networks(self) -> Mapping[str, nn.Module]:
        if not hasattr(self, "films"):
            return {}
        return {"labels flow": self.flow, "labels base": self.base, **self.films.networks()}

    def take(self, networks: Mapping[str, nn.Module]) -> None:
        made: Any = networks
        self.flow, self.base = made["labels flow"], made["labels base"]
        self.films = LatentFilms(made["autoencoder"], made["denoiser"], made["base"])

    def _fit_parts(self, train: Dataset, classes: np.ndarray, seed: int, progress: Progress) -> None:
        s: LDMMasksSettings = self.settings
        check_sides(s, train.resolution)
        self._fit_maps(train, seed, progress.part("labels", 0, 0.3))
        films = torch.from_numpy(np.array(train.images))[:, None]
        shares = torch.cat([self.known(part)["beside"] for part in torch.from_numpy(classes).split(SAMPLING_BATCH)])
        with seeded(digest.derive_seed("latent", "networks", seed)):
            built = make_networks(s, train.resolution, beside=self.maps.classes)
        fitting = Fitting(s, seed, self.device, self.checkpoints)
        made = fitting.autoencoder(built, films, progress.part("autoencoder", 0.3, 0.65))
        self.curves["autoencoder"], self.along["autoencoder"] = made

        def known(rows: Tensor) -> Mapping[str, Tensor]:
            return {"beside": shares[rows.to(self.device)]}

        drawn = fitting.denoiser(built, films, self.process, known, progress.part("films", 0.65, 1))
        self.films, self.curves["films"], self.along["films"] = drawn
        self.weights_used = s.autoencoder.weights_used()
        rng = torch.Generator().manual_seed(digest.derive_seed("latent", "compared", seed))
        start, beside = self.films.start(COMPARED, rng), known(torch.randint(len(shares), (COMPARED,), generator=rng))
        self.compared, self.along[BY_STEPS] = by_steps(
            lambda steps: self.films.draw(self.process(self.films.base), start, beside, steps),
            as_values(films),
            s.diffusion.compared_steps,
        )

    def process(self, base: FilmBase) -> EDM:
        """How latents are learnt, and drawn."""
        return EDM(base, self.settings.diffusion.noise)

    def known(self, classes: Tensor) -> Mapping[str, Tensor]:
        """What the denoiser is told of label maps uint8 (B, H, W): of every place of the latent the share of each class,
        (B, organs + 1, H / f, W / f)."""
        shares = F.avg_pool2d(one_hot(classes, self.maps.classes), self.settings.autoencoder.factor)
        return {"beside": shares.to(self.device)}

    def _films(self, rng: torch.Generator, asked: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            masks = self.organs(self.draw_maps(self._start(SAMPLING_BATCH, rng)))
            classes = self.maps.clean(mode_filter(paint(masks, self.maps.organs), self.maps.classes))
            start, known = self.films.start(SAMPLING_BATCH, rng), self.known(torch.from_numpy(classes))
            films = self.films.draw(self.process(self.films.base), start, known)
            yield films[:, 0].cpu().numpy(), classes
