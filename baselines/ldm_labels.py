"""Films of findings by latent diffusion: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models"
(CVPR 2022), class-conditional, with classifier-free guidance (Ho and Salimans 2022).

What the denoiser is told of findings, several of a film at once, and how guidance goes on from it, is as in `edm_labels`.
Autoencoder, latent and losses are `latent_diffusion`, the diffusion is `edm`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..benchmark import digest
from ..benchmark.contracts.initial_weights import InitialWeights
from ..benchmark.contracts.provider import Batch, Timelines
from ..benchmark.data.dataset import Annotation, Dataset, DatasetInfo
from ..benchmark.errors import InputError
from ..benchmark.progress import Progress
from ..benchmark.training.loop import seeded
from . import ldm_masks
from .diffusion_base import FilmBase
from .diffusion_training import BY_STEPS, COMPARED, EDM, SAMPLING_BATCH, as_values, by_steps
from .edm_labels import Told
from .latent_diffusion import Fitting, LatentFilms, LatentSettings, check_sides, make_networks
from .timeline import Along
from .trained import Trained


@dataclass(frozen=True, kw_only=True)
class LDMLabelsSettings(LatentSettings):
    """An autoencoder of films, and a diffusion in its latent that is told findings."""

    untold: float = 0.1
    """Share of training films whose findings are not told."""
    guidance: float = 1.5
    """w of classifier-free guidance; 1 is none, others ask the network twice as often."""


def _of(preset: LatentSettings) -> LDMLabelsSettings:
    """The networks and trainings of `ldm_masks`."""
    return LDMLabelsSettings(autoencoder=preset.autoencoder, diffusion=preset.diffusion)


QUICK = _of(ldm_masks.QUICK)
STANDARD = replace(_of(ldm_masks.STANDARD), guidance=2.0)
PAPER = _of(ldm_masks.PAPER)


class LDMLabels(Trained):
    """Films of several findings at once, by latent diffusion."""

    name = "ldm_labels"
    produces = frozenset({Annotation.LABELS})
    home_task = "nih_classification"
    presets: ClassVar[Mapping[str, LDMLabelsSettings]] = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
    sampling_parts = frozenset({"autoencoder", "denoiser"})
    initial_weights = (InitialWeights("autoencoder.vgg_weights", "autoencoder: VGG19 loss", without="left out"),)
    not_saved: ClassVar = Trained.not_saved | {"along", "films"}
    steps_compared: dict[str, float]
    labels: np.ndarray
    films: LatentFilms

    def __init__(self, settings: Any = None, *, device: str = "cpu") -> None:
        super().__init__(settings, device=device)
        self.steps_compared = {}
        self.along: dict[str, Along] = {}

    def build(self, films: DatasetInfo) -> Mapping[str, nn.Module]:
        return make_networks(self.settings, films.resolution, labels=len(films.findings) + 1)

    def networks(self) -> Mapping[str, nn.Module]:
        return self.films.networks() if hasattr(self, "films") else {}

    def take(self, networks: Mapping[str, nn.Module]) -> None:
        made: Any = networks
        self.films = LatentFilms(made["autoencoder"], made["denoiser"], made["base"])

    def process(self, base: FilmBase) -> Told:
        """How latents are learnt, and drawn."""
        s: LDMLabelsSettings = self.settings
        return Told(EDM(base, s.diffusion.noise), None, s.untold, s.guidance)

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        """Learn films and findings. InputError for films without findings, or of a side that the networks do not halve."""
        if not train.info.findings:
            raise InputError(f"ldm_labels learns from findings; dataset {train.info.name} has none: give it labels")
        s: LDMLabelsSettings = self.settings
        check_sides(s, train.resolution)
        self.built_for, self.labels = train.info, np.array(train.labels())
        films = torch.from_numpy(np.array(train.images))[:, None]
        shown = torch.from_numpy(self.labels).to(self.device)
        with seeded(digest.derive_seed(self.name, "networks", seed)):
            built = self.build(train.info)
        fitting = Fitting(s, seed, self.device, self.checkpoints)
        made = fitting.autoencoder(built, films, progress.part("autoencoder", 0, 0.5))
        self.curves["autoencoder"], self.along["autoencoder"] = made

        def known(rows: Tensor) -> Mapping[str, Tensor]:
            return {"labels": shown[rows]}

        drawn = fitting.denoiser(built, films, self.process, known, progress.part("films", 0.5, 1))
        self.films, self.curves["films"], self.along["films"] = drawn
        self.weights_used = s.autoencoder.weights_used()
        rng = torch.Generator().manual_seed(digest.derive_seed(self.name, "compared", seed))
        start, rows = self.films.start(COMPARED, rng), torch.randint(len(shown), (COMPARED,), generator=rng)
        some = np.unique(np.linspace(0, len(films) - 1, min(len(films), 2000)).astype(np.int64))
        self.steps_compared, self.along[BY_STEPS] = by_steps(
            lambda steps: self.draw(start, self.labels[rows.numpy()], steps),
            as_values(films[some]),
            s.diffusion.compared_steps,
        )

    @torch.no_grad()
    def draw(self, start: Tensor, labels: np.ndarray, steps: int | None = None) -> Tensor:
        """Films (B, 1, H, W) in about [-1, 1] of findings (B, F), from noise of N(0, 1)."""
        known = {"labels": torch.from_numpy(labels).to(self.device)}
        return self.films.draw(self.process(self.films.base), start, known, steps)

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        """Exactly `n` films, the first ones of the seed's endless row of films, each with the findings of a training film
        drawn at random."""
        rng, left = torch.Generator().manual_seed(digest.derive_seed(self.name, "sample", seed)), n
        while left > 0:
            rows = torch.randint(len(self.labels), (SAMPLING_BATCH,), generator=rng).numpy()
            films = self.draw(self.films.start(SAMPLING_BATCH, rng), self.labels[rows])[:left].cpu().numpy()
            yield Batch(images=np.clip((films + 1) / 2, 0, 1).astype(np.float32), labels=self.labels[rows][:left])
            left -= len(films)

    def timeline(self) -> Timelines:
        return {name: samples for name, samples in self.along.items() if samples is not None}

    def facts(self) -> Mapping[str, float | int | str]:
        return self.steps_compared
