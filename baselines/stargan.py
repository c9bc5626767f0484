"""StarGAN (Choi et al., CVPR 2018) between healthy films and films with one disease, the generator that Xing et al.
(MICCAI 2019) compare theirs with.

One generator translates a film to any domain: six diseases, and no finding. It learns from films with exactly one finding,
one of the six, and from films without any. A sample is a healthy film translated to a disease, or to "no finding": healthy
samples pass through the generator too, so that its traces do not tell the sick from the healthy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from ..benchmark import digest
from ..benchmark.contracts.provider import Batch
from ..benchmark.data.copies import originals
from ..benchmark.data.dataset import Annotation, Dataset, DatasetInfo
from ..benchmark.data.film_rows import Films
from ..benchmark.data.findings import NO_FINDING
from ..benchmark.errors import InputError
from ..benchmark.progress import Progress
from ..benchmark.training import loop as training
from ..benchmark.training.loop import Rows, seeded
from ..benchmark.training.recipe import Step
from .pggan import gradient_penalty
from .stargan_networks import StarGANSettings, make_networks
from .timeline import ShownRecipe, Timeline
from .trained import Trained

SAMPLING_BATCH = 32
SHOWN = 6  # samples in the timeline


class DomainFilms:
    """Training source: films with the domain of each, and a target domain drawn from those of the batch.

    films: uint8 (N, side, side). rows: those of the training. domains: int64, one for each of `rows`.
    """

    def __init__(self, films: Films, rows: np.ndarray, domains: np.ndarray, *, balanced: bool) -> None:
        self.films, self.rows, self.domains = films, rows, domains
        present = np.unique(domains)
        self.members = [np.flatnonzero(domains == domain) for domain in present] if balanced else []

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """Films (B, 1, side, side) in [-1, 1], their domains and the target domains (B,)."""
        if self.members:  # the domains by turns, a film of each at random
            turns = rng.permutation(np.arange(len(rows)) % len(self.members))
            rows = np.array([rng.choice(self.members[turn]) for turn in turns])
        films = torch.from_numpy(self.films[self.rows[rows]]).float()[:, None] / 127.5 - 1
        domains = torch.from_numpy(self.domains[rows])
        return {"films": films, "domains": domains, "targets": domains[torch.from_numpy(rng.permutation(len(rows)))]}


class StarGANRecipe(ShownRecipe):
    """WGAN-GP training with a classification and a cycle loss; the generator learns at every fifth step."""

    float32 = True

    def __init__(self, source: DomainFilms, domains: int, settings: StarGANSettings) -> None:
        self.settings, side = settings, source.films.shape[-1]
        self.generator, self.discriminator = make_networks(side, domains, settings)
        self.timeline = Timeline(settings, steps=settings.steps, samples=SHOWN, side=side)
        healthy = np.flatnonzero(source.domains == domains - 1)[:1]
        self.shown = torch.from_numpy(source.films[source.rows[healthy]]).float()[:, None] / 127.5 - 1
        self.shown_domains = torch.arange(SHOWN) % domains
        self.latest: dict[str, Tensor] = {}  # losses of the generator's last step, for the curves

    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator, "timeline": self.timeline}

    def optimizers(self) -> Mapping[str, Optimizer]:
        rate, betas = self.settings.learning_rate, self.settings.betas
        self.adam_g = Adam(self.generator.parameters(), lr=rate, betas=betas, fused=True)
        self.adam_d = Adam(self.discriminator.parameters(), lr=rate, betas=betas, fused=True)
        return {"generator": self.adam_g, "discriminator": self.adam_d}

    def batch_size(self, images_seen: int) -> int:
        return self.settings.batch_size

    def rate(self, step: int) -> float:
        """The learning rate: constant, then falling linearly to zero."""
        falling = max(0, step - (self.settings.steps - self.settings.decay_steps)) / max(1, self.settings.decay_steps)
        return self.settings.learning_rate * (1 - falling)

    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        for optimizer in (self.adam_g, self.adam_d):
            optimizer.param_groups[0]["lr"] = self.rate(at.index)
        losses = self.critic_losses(batch)
        at.update(torch.stack(list(losses.values())).sum(), self.adam_d)
        if (at.index + 1) % self.settings.critic_steps == 0:
            self.discriminator.requires_grad_(False)  # the generator's losses need no gradient of these weights
            self.latest = self.translation_losses(batch)
            self.discriminator.requires_grad_(True)
            at.update(torch.stack(list(self.latest.values())).sum(), self.adam_g)
        self.timeline.after(at.index + 1, lambda: self._shown(at.device))
        return losses | self.latest

    def begins(self, device: torch.device) -> None:
        self.timeline.after(0, lambda: self._shown(device))

    def _shown(self, device: torch.device) -> Tensor:
        """One healthy film in every domain."""
        return self.generator(self.shown.to(device).expand(SHOWN, -1, -1, -1), self.shown_domains.to(device))

    def critic_losses(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Wasserstein estimate, gradient penalty, and the class of real films, weighted."""
        films = batch["films"]
        with torch.no_grad():
            fake = self.generator(films, batch["targets"])
        score, logits = self.discriminator(films)
        penalty = gradient_penalty(lambda between: self.discriminator(between)[0], films, fake)
        return {
            "wasserstein": self.discriminator(fake)[0].mean() - score.mean(),
            "penalty": self.settings.gradient_penalty * penalty,
            "class": self.settings.class_weight * F.cross_entropy(logits, batch["domains"]),
        }

    def translation_losses(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Score and class of translated films, and the way back to the original, weighted."""
        films = batch["films"]
        fake = self.generator(films, batch["targets"])
        score, logits = self.discriminator(fake)
        back = self.generator(fake, batch["domains"])
        return {
            "adversarial": -score.mean(),
            "target": self.settings.class_weight * F.cross_entropy(logits, batch["targets"]),
            "cycle": self.settings.cycle_weight * F.l1_loss(back, films),
        }


def domains_of(train: Dataset, diseases: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """The domains that the training set has films of, "No Finding" last, and the domain of every film, -1 for a film of
    none: one with several findings, or with another one. InputError when there is no disease or no healthy film."""
    findings = train.info.findings
    labels = train.labels() if findings else np.zeros((len(train), 0), dtype=np.uint8)
    single = labels.sum(axis=1) == 1
    present = [name for name in diseases if name in findings and (labels[:, findings.index(name)] & single).any()]
    domains = np.full(len(train), -1, dtype=np.int64)
    for number, name in enumerate(present):
        domains[single & (labels[:, findings.index(name)] == 1)] = number
    domains[labels.sum(axis=1) == 0] = len(present)
    if not present or not (domains == len(present)).any():
        raise InputError(
            "stargan translates healthy films to diseases: expected films without findings and films with one alone of "
            f"{', '.join(diseases)}; dataset {train.info.name} has none "
            f"{'that are healthy' if present else 'with such a disease'}: choose other ones (--set diseases=[...])"
        )
    return (*present, NO_FINDING), domains


PAPER = StarGANSettings()
# Sized for half a minute of one core at 64 x 64 pixels. So few steps need a generator that starts from the film, the domains
# drawn evenly, and weights that let it leave the film: at the release's it stays a copy.
QUICK = StarGANSettings(
    generator_width=8,
    blocks=1,
    residual=True,
    discriminator_width=16,
    class_weight=0.6,
    cycle_weight=2.0,
    critic_steps=2,
    steps=450,
    decay_steps=250,
    batch_size=8,
    learning_rate=1e-3,
    balanced=True,
)
# Under an hour of one GPU at 256 x 256 pixels.
STANDARD = replace(PAPER, generator_width=32, discriminator_width=32, steps=40_000, decay_steps=20_000, balanced=True)


class StarGAN(Trained):
    """Healthy films translated to films with a disease."""

    name = "stargan"
    produces = frozenset({Annotation.LABELS})
    sampling_parts = frozenset({"generator"})
    home_task = "nih_classification"
    presets: ClassVar = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
    reference_seconds: ClassVar = {"quick": 30.0}
    domains: tuple[str, ...] = ()
    """Those of the last fit, "No Finding" last."""
    findings: tuple[str, ...]
    generator: nn.Module

    @classmethod
    def smoke(cls, settings: StarGANSettings, steps: int, *, side: int) -> StarGANSettings:
        return settings.shorter(max(steps, settings.critic_steps), side)  # until the generator has had a step

    def build(self, films: DatasetInfo) -> Mapping[str, nn.Module]:
        """Before a fit: as if every disease of the settings that the films know had films of its own."""
        domains = len(self.domains) or 1 + sum(name in films.findings for name in self.settings.diseases)
        generator, discriminator = make_networks(films.resolution, domains, self.settings)
        return {"discriminator": discriminator, "generator": generator}

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        """Learn the translation. InputError when the training set has no healthy films, or none with one disease."""
        self.domains, domains = domains_of(train, self.settings.diseases)
        self.built_for, self.findings = train.info, train.info.findings
        used = np.flatnonzero(domains >= 0)
        self._keep_sources(train, np.flatnonzero(domains == len(self.domains) - 1), seed)
        self.counts = np.bincount(domains[used]).tolist()
        source = DomainFilms(train.images, used, domains[used], balanced=self.settings.balanced)
        with seeded(digest.derive_seed("stargan", "networks", seed)):
            recipe = StarGANRecipe(source, len(self.domains), self.settings)
        self.curves["translation"] = training.train(
            recipe,
            source,
            steps=self.settings.steps,
            seed=digest.derive_seed("stargan", "steps", seed),
            device=self.device,
            progress=progress,
            checkpoints=self.checkpoints,
            name="translation",
        )
        self.generator = recipe.generator
        self.keep_timeline(recipe.timeline, self.curves["translation"])

    def _keep_sources(self, train: Dataset, healthy: np.ndarray, seed: int) -> None:
        """The healthy films to translate from, and their ids."""
        rng = np.random.default_rng(digest.derive_seed("stargan", "sources", seed))
        rows = np.sort(rng.permutation(healthy)[: self.settings.source_films])
        ids = originals(train)
        self.films, self.ids = np.array(train.images[rows]), [ids[row] for row in rows]

    def shares(self) -> np.ndarray:
        """Share of the samples of each domain, float (domains,): those of the training films, but for `healthy_share`."""
        shares = np.array(self.counts) / sum(self.counts)
        if self.settings.healthy_share is not None:
            shares[:-1] *= (1 - self.settings.healthy_share) / shares[:-1].sum()
            shares[-1] = self.settings.healthy_share
        return shares

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        """Translated healthy films; every one kept is used once before one is used again."""
        rng = np.random.default_rng(digest.derive_seed("stargan", "sample", seed))
        rows, shares = Rows(len(self.films), digest.derive_seed("stargan", "films", seed)), self.shares()
        for start in range(0, n, SAMPLING_BATCH):
            size = min(SAMPLING_BATCH, n - start)
            places, domains = rows.take(start, size), rng.choice(len(shares), size=size, p=shares)
            labels = np.zeros((size, len(self.findings)), dtype=np.uint8)
            for label, domain in zip(labels, domains, strict=True):
                if domain < len(self.domains) - 1:
                    label[self.findings.index(self.domains[domain])] = 1
            yield Batch(
                images=self.translate(self.films[places], domains),
                labels=labels,
                source_ids=[[self.ids[place]] for place in places],
            )

    @torch.no_grad()
    def translate(self, films: np.ndarray, domains: np.ndarray) -> np.ndarray:
        """Films uint8 (B, side, side) in the given domains (B,), float32 (B, 1, side, side) in [0, 1]."""
        given = torch.from_numpy(films).to(self.device).float()[:, None] / 127.5 - 1
        made = self.generator(given, torch.from_numpy(domains).to(self.device))
        return ((made.float().cpu().numpy() + 1) / 2).astype(np.float32)
