"""Films around the boxes of real ones: RePaint (Lugmayr et al., CVPR 2022; `repaint`) with the diffusion of Karras et al.
(2022; `edm`).

As in `pix2pix_n`, a sample keeps the box of a real training film, pixel for pixel and in its place, and the rest is drawn
anew, so that finding and box are true by construction. The network learns whole films, with boxes and healthy ones, and is
told where which finding has a box (the paper's is told nothing); it never learns to fill. With `draw=inside` it is the
other way round: a healthy training film stays, and a finding is drawn into a box.

What is kept is a copy: the box of a sample is the box of a training patient, to be read as such by whoever publishes the
films (`source_ids` says whose), and with `draw=inside` so is all but the box. Numbers of memorisation are above 0 by
construction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..benchmark import digest
from ..benchmark.contracts.provider import Batch
from ..benchmark.data.copies import originals
from ..benchmark.data.dataset import Annotation, Dataset, DatasetInfo
from ..benchmark.errors import InputError
from ..benchmark.progress import Progress
from ..benchmark.training.loop import Rows, seeded
from ..benchmark.training.recipe import Halves, RowNumbers, Source
from . import edm
from .diffusion_base import FilmBase
from .diffusion_provider import DiffusionProvider, EDMSettings
from .diffusion_training import COMPARED, EDM, SAMPLING_BATCH, DiffusionRecipe, Network, as_values, by_steps
from .diffusion_unet import FilmUNet, UNetSettings, check_side
from .pix2pix import Box, Boxed, healthy_rows
from .repaint import repaint, runs

PATCH = 16  # side of what is drawn in boxes where numbers of sampler steps are compared
LEARN_FROM = 2000  # films that are enough for their mean, their spread and their axes


class Draw(StrEnum):
    """What of a film is drawn; the rest is a real one's."""

    OUTSIDE = "outside"
    INSIDE = "inside"


@dataclass(frozen=True, kw_only=True)
class EDMInpaintSettings(EDMSettings):
    """Defaults are RePaint's (250 steps, jumps of 10, 10 times) where it says so, else those of Karras et al."""

    noise: edm.Noise = field(default_factory=lambda: edm.Noise(sampler_steps=250))
    draw: Draw = Draw.OUTSIDE
    """`outside`: around the box of a film. `inside`: in a box of a healthy film."""
    jump: int = 10
    """Steps of the sampler that are taken again together."""
    resamplings: int = 10
    """How often each is taken in all; 1 takes none again."""
    box_weight: float = 1.0
    """Weight of the pixels of boxes in the loss, beside 1 of all others."""
    healthy_films: int = 2_000
    """Films without findings that join the training at the most; with `draw=inside` findings are drawn into them."""


@dataclass(frozen=True)
class RePaint:
    """Diffusion of whole films in training, and of a part of them in drawing.

    known: `boxes` (B, F, H, W), 1 where the finding has a box; for drawing `films` and `drawn` (B, 1, H, W) too.
    """

    diffusion: EDM
    jump: int
    resamplings: int
    box_weight: float

    def loss(self, network: Network, films: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        boxes = known["boxes"]
        weights = 1 + (self.box_weight - 1) * boxes.amax(1, keepdim=True)
        return weights * self.diffusion.loss(network, films, {"beside": boxes})

    def draw(
        self,
        network: Network,
        start: Tensor,
        known: Mapping[str, Tensor],
        steps: int | None = None,
        rng: torch.Generator | None = None,
    ) -> Tensor:
        """rng: of the noise, on the CPU; without one it is always the same."""
        base = self.diffusion.base
        random = torch.Generator().manual_seed(0) if rng is None else rng

        def denoise(noisy: Tensor, sigma: Tensor) -> Tensor:
            return base.denoised(network, noisy, sigma, beside=known["boxes"])

        sigmas = edm.levels(self.diffusion.noise, steps)
        made = repaint(
            denoise,
            base.begin(start, float(sigmas[0])),
            sigmas,
            runs(len(sigmas) - 1, self.jump, self.resamplings),
            base(known["films"]),
            known["drawn"],
            lambda: torch.randn(start.shape, generator=random).to(start.device),
        )
        return base.back(made)


def box_maps(boxes: Sequence[Sequence[tuple[int, Box]]], findings: int, side: int) -> Tensor:
    """Where each film's findings (number, box) are: float32 (B, F, side, side), 1 on the pixels that a box touches."""
    maps = torch.zeros(len(boxes), findings, side, side)
    for row, found in enumerate(boxes):
        for finding, box in found:
            maps[row, finding][box.pixels()] = 1.0
    return maps


def drawn_part(maps: Tensor, draw: Draw) -> Tensor:
    """Which pixels are drawn, bool (B, 1, H, W), of films with boxes (B, F, H, W)."""
    inside = maps.amax(1, keepdim=True) > 0
    return inside if draw is Draw.INSIDE else ~inside


def patches(films: Tensor, boxes: Sequence[Box]) -> Tensor:
    """What is in a box of each film (B, 1, H, W), brought to (B, 1, PATCH, PATCH) by the mean over the area."""
    cut = [F.adaptive_avg_pool2d(film[:, *box.pixels()], PATCH) for film, box in zip(films, boxes, strict=True)]
    return torch.stack(cut)


PAPER = EDMInpaintSettings()
# A U-Net of 25 million parameters, meant for one GPU and an hour at 256 pixels (not measured).
STANDARD = EDMInpaintSettings(
    noise=edm.Noise(sampler_steps=32),
    unet=UNetSettings(channels=(64, 128, 256, 256), res_blocks=2, attention=(False, False, False, True), fold=4),
    steps=24_000,
    learning_rate=4e-4,
    decay=True,
    average_films=100_000.0,
    compared_steps=(8, 16, 32),
    jump=4,
    resamplings=3,
)
# As `edm_pair` at quick, with fewer steps of the sampler: most are taken twice.
QUICK = EDMInpaintSettings(
    noise=edm.Noise(sampler_steps=6, sigma_min=0.02, sigma_max=5.0),
    unet=UNetSettings(channels=(16, 32, 48), res_blocks=1, attention=(False, False, False), norm_groups=8, fold=2),
    components=96,
    steps=400,
    batch_size=8,
    learning_rate=2e-3,
    warm_up=400,
    decay=True,
    timeline=4,
    compared_steps=(2, 4, 6),
    jump=2,
    resamplings=2,
    healthy_films=500,
)


class EDMInpaint(DiffusionProvider):
    """Real boxes in films that a diffusion draws."""

    name = "edm_inpaint"
    produces = frozenset({Annotation.BOXES, Annotation.LABELS})
    home_task = "nih_localisation"
    presets: ClassVar[Mapping[str, EDMInpaintSettings]] = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
    findings: tuple[str, ...]
    films: np.ndarray
    ids: list[str]
    boxes: list[tuple[int, int, Box]]

    def build(self, films: DatasetInfo) -> Mapping[str, nn.Module]:
        s: EDMInpaintSettings = self.settings
        side, beside = films.resolution, len(films.findings) + (1 if s.components else 0)
        return {"denoiser": FilmUNet(s.unet, 1, side, beside=beside), "base": FilmBase(1, side, s.components)}

    def process(self) -> RePaint:
        """How films are learnt, and parts of them drawn."""
        s: EDMInpaintSettings = self.settings
        return RePaint(EDM(self.base, s.noise), s.jump, s.resamplings, s.box_weight)

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        """Learn films with boxes and without. InputError for films without boxes, boxes of a finding that films are not
        labelled with, no healthy film where one is needed, or a side that the network does not halve."""
        s: EDMInpaintSettings = self.settings
        boxed = Boxed.of(train)
        if not boxed.boxes:
            raise InputError(
                f"edm_inpaint learns from films with boxes; dataset {train.info.name} has none (in NIH ChestX-ray14 all "
                "boxed films are in the test list: fitting on them would leak)"
            )
        if unknown := sorted({finding for _, finding, _ in boxed.boxes} - set(train.info.findings)):
            raise InputError(
                f"edm_inpaint: boxes of {', '.join(unknown)}, which films are not labelled with: give labels"
            )
        check_side(s.unet, train.resolution)
        runs(s.noise.sampler_steps, s.jump, s.resamplings)
        healthy = self.keep(boxed, train, seed)
        films = torch.from_numpy(np.concatenate([boxed.films, np.array(train.images[healthy])]))[:, None]
        on: list[list[tuple[int, Box]]] = [[] for _ in range(len(films))]
        for place, finding, box in self.boxes:
            on[place].append((finding, box))

        def known(rows: Tensor) -> Mapping[str, Tensor]:
            """Training films with all of their boxes."""
            chosen = [row % len(films) for row in rows.tolist()]
            return self._known(as_values(films[chosen]), [on[row] for row in chosen])

        few = np.unique(np.linspace(0, len(films) - 1, min(len(films), LEARN_FROM)).astype(np.int64))
        with seeded(digest.derive_seed(self.name, "networks", seed)):
            built: Any = self.build(train.info)
            built["base"].learn(as_values(films[few]))
            self.base = built["base"].to(self.device)
            recipe = DiffusionRecipe(built["denoiser"], self.process(), films, s, known=known)
        source: Source = RowNumbers(len(films))
        self.learn(recipe, Halves(source, len(boxed.films)) if len(healthy) else source, seed=seed, progress=progress)
        self._compare(as_values(films[: len(boxed.films)]), seed)

    def keep(self, boxed: Boxed, train: Dataset, seed: int) -> np.ndarray:
        """Keep the films and boxes that samples are made from; the rows of the healthy films that join the training.
        InputError where they are needed and there are none."""
        s: EDMInpaintSettings = self.settings
        self.built_for, self.findings = train.info, train.info.findings
        self.boxes = [(place, self.findings.index(finding), box) for place, finding, box in boxed.boxes]
        rows = healthy_rows(train)
        rng = np.random.default_rng(digest.derive_seed(self.name, "healthy", seed))
        kept = np.sort(rng.permutation(rows)[: s.healthy_films])
        if not len(kept) and (s.healthy_films or s.draw is Draw.INSIDE):
            raise InputError(
                f"edm_inpaint with draw={s.draw} and healthy_films={s.healthy_films} needs healthy films; dataset "
                f"{train.info.name} has {len(rows)} without findings and boxes: add some, or set draw=outside and "
                "healthy_films=0"
            )
        if s.draw is Draw.OUTSIDE:
            self.films, self.ids = boxed.films, list(boxed.ids)
        else:
            sources = originals(train)
            self.films, self.ids = np.array(train.images[kept]), [sources[row] for row in kept]
        return kept

    def _compare(self, boxed: Tensor, seed: int) -> None:
        """What steps of the sampler are worth: films, or what is in their boxes where only that is drawn, beside training
        films with boxes (N, 1, H, W)."""
        rng = torch.Generator().manual_seed(digest.derive_seed(self.name, "compared", seed))
        pairs = list(self.sources(COMPARED, seed=seed))
        start, given = self.start(COMPARED, rng), self.given(pairs)
        whole = self.settings.draw is Draw.OUTSIDE

        def drawn(steps: int) -> Tensor:
            films = self.draw(start, given, steps)
            return films if whole else patches(films, [self.boxes[number][2] for _, number in pairs])

        places, boxes = [place for place, _, _ in self.boxes], [box for _, _, box in self.boxes]
        real = boxed if whole else patches(boxed[places], boxes)
        self.steps_compared, self.along = by_steps(drawn, real, self.settings.compared_steps)

    def _known(self, films: Tensor, boxes: Sequence[Sequence[tuple[int, Box]]]) -> Mapping[str, Tensor]:
        maps = box_maps(boxes, len(self.findings), films.shape[-1]).to(self.device)
        return {"boxes": maps, "films": films.to(self.device), "drawn": drawn_part(maps, self.settings.draw)}

    def given(self, pairs: Sequence[tuple[int, int]]) -> Mapping[str, Tensor]:
        """What is known of samples (film, box), as `RePaint` has it."""
        films = as_values(torch.from_numpy(self.films[[film for film, _ in pairs]])[:, None])
        return self._known(films, [[self.boxes[number][1:]] for _, number in pairs])

    @torch.no_grad()
    def draw(
        self,
        start: Tensor,
        known: Mapping[str, Tensor],
        steps: int | None = None,
        rng: torch.Generator | None = None,
    ) -> Tensor:
        """Films (B, 1, H, W) in about [-1, 1], drawn where `known` says so, from noise of N(0, 1)."""
        return self.process().draw(self.denoiser, start, known, steps, rng)

    def sources(self, n: int, *, seed: int) -> Iterator[tuple[int, int]]:
        """What `n` samples are made of: numbers of a film and of a box: the box's own film, or with `draw=inside` a healthy
        one. Each box, and each healthy film, is used once before it is used again."""
        films = Rows(len(self.films), digest.derive_seed(self.name, "films", seed))
        boxes = Rows(len(self.boxes), digest.derive_seed(self.name, "boxes", seed))
        for index in range(n):
            number = int(boxes.take(index, 1)[0])
            own = self.settings.draw is Draw.OUTSIDE
            yield self.boxes[number][0] if own else int(films.take(index, 1)[0]), number

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        """Exactly `n` films, the first ones of the seed's endless row of films. What is not drawn is the training film's,
        bit for bit."""
        rng = torch.Generator().manual_seed(digest.derive_seed(self.name, "sample", seed))
        sources = self.sources(-(-n // SAMPLING_BATCH) * SAMPLING_BATCH, seed=seed)
        for begin in range(0, n, SAMPLING_BATCH):
            pairs = list(islice(sources, SAMPLING_BATCH))
            given = self.given(pairs)
            made = self.draw(self.start(len(pairs), rng), given, rng=rng).float().cpu().numpy()
            real = self.films[[film for film, _ in pairs]][:, None] / np.float32(255)
            images = np.where(given["drawn"].cpu().numpy(), np.clip((made + 1) / 2, 0, 1), real)
            count = min(n - begin, len(pairs))
            told = [self.boxes[number][1:] for _, number in pairs[:count]]
            yield Batch(
                images=images[:count].astype(np.float32),
                labels=np.eye(len(self.findings), dtype=np.uint8)[[finding for finding, _ in told]],
                boxes=[[(self.findings[finding], *box)] for finding, box in told],
                source_ids=[[self.ids[film]] for film, _ in pairs[:count]],
            )
