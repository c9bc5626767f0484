"""DCGAN on pairs of film and lung mask: Neff et al., "Generative Adversarial Network based Synthesis for Supervised
Medical Image Segmentation" (OAGM & ARW 2017).

A DCGAN whose films have two channels, the film and the mask of both lungs, so that critic and generator must learn how
the two belong together. Layer shapes, losses and updates follow the TensorFlow implementation that the paper adapted:
"SAME" padding, two logits with a softmax, one forward pass for both updates, batch statistics also when sampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import imagehash
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..benchmark import digest
from ..benchmark.contracts.provider import Batch
from ..benchmark.data.dataset import Annotation, Dataset, DatasetInfo
from ..benchmark.errors import InputError, ProviderError
from ..benchmark.progress import Progress
from ..benchmark.training import loop as training
from ..benchmark.training.loop import seeded
from ..benchmark.training.recipe import RowNumbers, Step
from .dcgan_networks import DCGANPairSettings, Generator, make_networks
from .elastic import with_elastic_copies
from .lung_masks import Refusal, eight_bits, halves, two_lungs
from .timeline import Moments, ShownRecipe, Timeline
from .trained import Trained

SAMPLING_BATCH = 128  # a film depends on its batch (batch statistics), so films are always drawn by this many
DRAWS = 10  # films drawn per asked film before near duplicates are kept
SHOWN = 3  # pairs in each column of the timeline


def cross_entropy(logits: Tensor, label: int) -> Tensor:
    """Mean softmax cross-entropy of logits (B, 2) with one label for all: 1 real, 0 generated."""
    return F.cross_entropy(logits.float(), torch.full((len(logits),), label, device=logits.device))


def uniform(shape: tuple[int, ...], **options: Any) -> Tensor:
    """Latents drawn evenly from [-1, 1)."""
    return torch.rand(shape, **options) * 2 - 1


class PairTimeline(Timeline):
    """Samples of the same latents: SHOWN films and their masks by turns."""

    latents: Tensor

    def __init__(self, moments: Moments, steps: int, side: int, latent: int) -> None:
        super().__init__(moments, steps=steps, samples=2 * SHOWN, side=side)
        self.register_buffer("latents", uniform((SAMPLING_BATCH, latent)))

    @torch.no_grad()
    def after_step(self, done: int, generator: nn.Module) -> None:
        """Keep samples if `done` steps are one of the moments."""
        place = self.place(done)
        if place is not None:
            pairs = generator(self.latents)[:SHOWN].float()
            self.films[place] = ((pairs + 1) * 127.5).to(torch.uint8).flatten(0, 1)


class DCGANRecipe(ShownRecipe):
    """Adversarial training on uint8 pairs (N, 2, side, side), 0 to 255."""

    timeline: PairTimeline

    def __init__(self, pairs: np.ndarray, settings: DCGANPairSettings) -> None:
        self.settings, self.pairs = settings, torch.from_numpy(pairs)
        self.generator, self.discriminator = make_networks(pairs.shape[-1], settings)
        self.average = AveragedModel(self.generator, multi_avg_fn=get_ema_multi_avg_fn(settings.average))
        self.timeline = PairTimeline(settings, settings.steps, pairs.shape[-1], settings.latent)

    def networks(self) -> Mapping[str, nn.Module]:
        networks = {"generator": self.generator, "discriminator": self.discriminator, "timeline": self.timeline}
        return networks | ({"average": self.average} if self.settings.average else {})

    def sampler(self) -> Generator:
        """The generator to draw films from: the trained one, or the running mean of its weights."""
        average = self.average.module
        assert isinstance(average, Generator)
        return average if self.settings.average else self.generator

    def optimizers(self) -> Mapping[str, Optimizer]:
        rate, betas = self.settings.learning_rate, self.settings.betas
        self.adam_g = Adam(self.generator.parameters(), lr=rate, betas=betas, fused=True)
        self.adam_d = Adam(self.discriminator.parameters(), lr=rate, betas=betas, fused=True)
        return {"generator": self.adam_g, "discriminator": self.adam_d}

    def batch_size(self, images_seen: int) -> int:
        return self.settings.batch_size

    def begins(self, device: torch.device) -> None:
        self.timeline.after_step(0, self.sampler())

    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        self.pairs = self.pairs.to(at.device)
        real = self.pairs[batch["rows"]].float() / 127.5 - 1
        fake = self.generator(uniform((len(real), self.settings.latent), device=at.device))
        on_real, on_fake = self.discriminator(real), self.discriminator(fake)
        d_loss = cross_entropy(on_real, 1) + cross_entropy(on_fake, 0)
        g_loss = -cross_entropy(on_fake, 0) if self.settings.saturating else cross_entropy(on_fake, 1)
        at.update_together([d_loss, g_loss], [self.adam_d, self.adam_g])
        if self.settings.average:
            self.average.update_parameters(self.generator)
        self.timeline.after_step(at.index + 1, self.sampler())
        return {"discriminator": d_loss, "generator": g_loss}


@dataclass
class Tally:
    """What became of the films drawn: refused for their masks, near duplicates, and how many of those were kept."""

    drawn: int = 0
    refused: dict[Refusal, int] = field(default_factory=dict)
    duplicates: int = 0
    duplicates_kept: int = 0

    def facts(self) -> dict[str, float | int | str]:
        """Figures for the record; shares are of the films drawn."""
        drawn = max(1, self.drawn)
        return {
            "films_drawn": self.drawn,
            "share_without_two_lungs": round(sum(self.refused.values()) / drawn, 4),
            "share_near_duplicates": round(self.duplicates / drawn, 4),
            "near_duplicates_kept": self.duplicates_kept,
        }


class Hashes:
    """The perceptual hashes (DCT of 32 x 32 pixels, lowest 8 x 8) of the films so far."""

    def __init__(self, distance: int) -> None:
        self.distance = distance
        self.bits = np.empty((0, 64), dtype=bool)

    def is_new(self, film: np.ndarray) -> bool:
        """Whether a film uint8 (H, W) is no near duplicate of those so far; a new one joins them."""
        bits = imagehash.phash(Image.fromarray(film)).hash.ravel()
        if len(self.bits) and (self.bits != bits).sum(axis=1).min() <= self.distance:
            return False
        self.bits = np.vstack([self.bits, bits])
        return True


PAPER = DCGANPairSettings()
# Sized for half a minute of one core at 64 x 64 pixels; the running mean takes the noise out of a short training. A
# discriminator of the generator's size knows 30 films by heart, and the generator then draws one film alone.
QUICK = DCGANPairSettings(
    generator_maps=(128, 64, 32, 16),
    discriminator_maps=(8, 16, 32, 64),
    latent=64,
    steps=1_000,
    batch_size=16,
    learning_rate=3e-3,
    average=0.98,
)


class DCGANPair(Trained):
    """Film and lung mask together, from one DCGAN with two channels."""

    name = "dcgan_pair"
    produces = frozenset({Annotation.MASKS})
    sampling_parts = frozenset({"generator"})
    home_task = "scr_3fold"
    presets: ClassVar = {
        "quick": QUICK,
        "standard": replace(PAPER, steps=6_000),
        "paper": replace(PAPER, timeline_every=200),  # "samples were generated every 200 mini-batches"
    }
    reference_seconds: ClassVar = {"quick": 30.0}
    not_saved: ClassVar = Trained.not_saved | {"tally"}
    lungs: tuple[str, ...]
    generator: nn.Module

    def __init__(self, settings: Any = None, *, device: str = "cpu") -> None:
        super().__init__(settings, device=device)
        self.tally = Tally()

    def build(self, films: DatasetInfo) -> Mapping[str, nn.Module]:
        generator, discriminator = make_networks(films.resolution, self.settings)
        return {"discriminator": discriminator, "generator": generator}

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        """Learn films and lungs. InputError when the training set has not one or two organs called lung."""
        self.built_for, (self.lungs, self.places) = train.info, find_lungs(train)
        masks = train.organ_masks(self.lungs).any(axis=1)
        pairs = np.stack([train.images, masks * np.uint8(255)], axis=1)
        s: DCGANPairSettings = self.settings
        bent_seed = digest.derive_seed("dcgan_pair", "elastic", seed)
        pairs = with_elastic_copies(pairs, s.elastic, bend=s.elastic_bend, width=s.elastic_width, seed=bent_seed)
        with seeded(digest.derive_seed("dcgan_pair", "networks", seed)):
            recipe = DCGANRecipe(pairs, self.settings)
        self.curves["pairs"] = training.train(
            recipe,
            RowNumbers(len(pairs)),
            steps=self.settings.steps,
            seed=digest.derive_seed("dcgan_pair", "steps", seed),
            device=self.device,
            progress=progress,
            checkpoints=self.checkpoints,
            name="pairs",
        )
        self.generator = recipe.sampler()
        self.keep_timeline(recipe.timeline, self.curves["pairs"])

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        """Films with two lungs that are no near duplicates of each other. After ten films drawn per asked one the
        missing ones are taken from the near duplicates; ProviderError when they do not suffice."""
        self.tally, made, cap = Tally(), 0, max(SAMPLING_BATCH, DRAWS * n)
        rng = torch.Generator().manual_seed(digest.derive_seed("dcgan_pair", "sample", seed))
        hashes, spare = Hashes(self.settings.duplicate_distance), list[tuple[np.ndarray, np.ndarray]]()
        while made < n and self.tally.drawn < cap:
            found = []
            for pair in self.draw(rng)[: cap - self.tally.drawn]:
                lungs = two_lungs(pair[1]) if not self.settings.take_all else halves(pair[1])
                self.tally.drawn += 1
                if isinstance(lungs, Refusal):
                    self.tally.refused[lungs] = self.tally.refused.get(lungs, 0) + 1
                elif self.settings.take_all or hashes.is_new(eight_bits(pair[0])):
                    found.append((pair[0], lungs))
                else:
                    self.tally.duplicates += 1
                    spare.append((pair[0], lungs))
                if made + len(found) == n:
                    break
            made += len(found)
            yield from self._batches(found)
        if made + len(spare) < n:
            raise ProviderError(
                f"dcgan_pair: only {made + len(spare)} of {self.tally.drawn} films drawn have a mask of two lungs, "
                f"expected {n} ({self._refusals()}): train longer (--set steps=N)"
            )
        self.tally.duplicates_kept = n - made
        yield from self._batches(spare[: n - made])

    @classmethod
    def smoke(cls, settings: DCGANPairSettings, steps: int, *, side: int) -> DCGANPairSettings:
        return replace(settings.shorter(steps, side), take_all=True)

    @torch.no_grad()
    def draw(self, rng: torch.Generator) -> np.ndarray:
        """One sampling batch of pairs, float32 (128, 2, side, side) in [-1, 1]."""
        latents = uniform((SAMPLING_BATCH, self.settings.latent), generator=rng)
        return self.generator(latents.to(self.device)).float().cpu().numpy()

    def _batches(self, found: Sequence[tuple[np.ndarray, np.ndarray]]) -> Iterator[Batch]:
        """Films (H, W) in [-1, 1] and lungs (2, H, W) as one batch; none where there are none."""
        if found:
            films, lungs = np.stack([film for film, _ in found]), np.stack([pair for _, pair in found])
            masks = lungs[:, self.places] if self.places else np.asarray(lungs.any(axis=1, keepdims=True))
            yield Batch(images=((films[:, None] + 1) / 2).astype(np.float32), masks=masks, organs=self.lungs)

    def _refusals(self) -> str:
        return ", ".join(f"{reason.value}: {count}" for reason, count in self.tally.refused.items())

    def facts(self) -> Mapping[str, float | int | str]:
        return self.tally.facts()


def find_lungs(films: Dataset) -> tuple[tuple[str, ...], list[int]]:
    """The organs called lung, and the place of each in the picture, 0 the left one, as the films show it; no places
    where both lungs are one organ. InputError when there are none, or more than two."""
    lungs = tuple(organ for organ in films.organs if "lung" in organ.lower())
    if films.masks is None or not 1 <= len(lungs) <= 2:
        raise InputError(
            f"dcgan_pair learns the lungs: expected one or two organs with 'lung' in their names in dataset "
            f"{films.info.name}, found {', '.join(lungs) or 'none'} of {', '.join(films.organs) or 'no organs'}"
        )
    if len(lungs) == 1:
        return lungs, []
    columns = np.arange(films.resolution)
    areas = films.organ_masks(lungs).sum(axis=(0, 2))
    first, second = (areas * columns).sum(axis=1) / np.maximum(1, areas.sum(axis=1))
    return lungs, [0, 1] if first <= second else [1, 0]
