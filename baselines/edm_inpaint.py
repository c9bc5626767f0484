"""Findings drawn into boxes of real films: RePaint (Lugmayr et al., "RePaint: Inpainting Using Denoising Diffusion
Probabilistic Models", CVPR 2022) with the diffusion of Karras et al. (2022).

A sample is a healthy training film, pixel for pixel, but for the box of a training film: there a diffusion draws the
finding. So it is the other way round than in `pix2pix_n`, which keeps the box and paints the rest. With the film x0, the
box m (1 where it is drawn) and noise levels that fall from sigma_max to 0, a step from one level to the next, sigma, is

    drawn = Heun step of the whole film,    known = x0 + sigma n,    x = m drawn + (1 - m) known    (algorithm 1, lines 4 to 8)

and steps are taken again, for the drawn part to become one with the known one: from sigma back to a higher level s by
x + sqrt(s^2 - sigma^2) n (line 10), and down again. The network learns films with boxes and healthy ones, and is told where
which finding has a box; the paper's is told nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, ClassVar, NamedTuple

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
from ..benchmark.training.recipe import Halves, RowNumbers
from . import edm
from .diffusion_base import FilmBase
from .diffusion_provider import DiffusionProvider, EDMSettings
from .diffusion_training import COMPARED, EDM, SAMPLING_BATCH, DiffusionRecipe, Network, as_values, by_steps
from .diffusion_unet import FilmUNet, UNetSettings, check_side
from .pix2pix import Box, Boxed, healthy_rows

PATCH = 16  # side of what is drawn in boxes where numbers of sampler steps are compared


class Run(NamedTuple):
    """Steps of the sampler without a jump: from level `first` of the noise (0 is the highest) to level `last`."""

    first: int
    last: int


def runs(steps: int, jump: int, times: int) -> list[Run]:
    """The way down the levels 0 to `steps` (figure 9 of the paper): at every `jump`-th level, counted from the last one
    with noise, it goes back by `jump` levels, until the steps between are taken `times` times. InputError for a jump or
    times below 1."""
    if jump < 1 or times < 1:
        raise InputError(f"jump and resamplings: expected 1 or more of each, found {jump} and {times}")
    made, level = [], 0
    for turn in sorted(range(steps - 1, jump - 1, -jump)):
        made += [Run(level, turn), *[Run(turn - jump, turn)] * (times - 1)]
        level = turn
    return [*made, Run(level, steps)]


def repaint(
    denoise: edm.Denoiser,
    start: Tensor,
    sigmas: Tensor,
    way: Sequence[Run],
    known: Tensor,
    drawn: Tensor,
    noise: Callable[[], Tensor],
) -> Tensor:
    """Algorithm 1: `known` (B, C, H, W) with what is drawn where `drawn` (B, 1, H, W) is true, the rest bit for bit.

    start: of N(0, 1), as `known`; sigmas: levels (K + 1,) that end at 0; way: as `runs` has it; noise: new N(0, 1) each time.
    """

    def pasted(x: Tensor, sigma: float) -> Tensor:
        return torch.where(drawn, x, known + sigma * noise())

    def after(first: int, x: Tensor, step: int) -> Tensor:
        return pasted(x, float(sigmas[first + step + 1]))

    x, level = pasted(start * float(sigmas[0]), float(sigmas[0])), 0
    for first, last in way:
        high, low = float(sigmas[first]), float(sigmas[level])
        if first < level:
            x = x + (high**2 - low**2) ** 0.5 * noise()
        x = edm.heun(denoise, x / high, sigmas[first : last + 1], partial(after, first))
        level = last
    return x


@dataclass(frozen=True, kw_only=True)
class EDMInpaintSettings(EDMSettings):
    """Defaults are RePaint's (250 steps, jumps of 10, 10 times) where it says so, else those of Karras et al."""

    noise: edm.Noise = edm.Noise(sampler_steps=250)
    jump: int = 10
    """Steps of the sampler that are taken again together."""
    resamplings: int = 10
    """How often each is taken in all; 1 takes none again."""
    box_weight: float = 1.0
    """Weight of the pixels of boxes in the loss, beside 1 of all others."""
    healthy_films: int = 2_000
    """Films without findings that join the training at the most, and that findings are drawn into."""


@dataclass(frozen=True)
class RePaint:
    """Diffusion of films with boxes: of the whole film in training, of a box of it in drawing.

    known: `boxes` (B, F, H, W), 1 where the finding has a box; for drawing `films` (B, 1, H, W) and `drawn` (B, 1, H, W) too.
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
        way = runs(len(sigmas) - 1, self.jump, self.resamplings)
        begun = base.begin(start, float(sigmas[0]))
        return base.back(
            repaint(
                denoise,
                begun,
                sigmas,
                way,
                base(known["films"]),
                known["drawn"],
                lambda: torch.randn(start.shape, generator=random).to(start.device),
            )
        )


def box_maps(boxes: Sequence[Sequence[tuple[int, Box]]], findings: int, side: int) -> Tensor:
    """Where each film's findings (number, box) are: float32 (B, F, side, side), 1 on the pixels that a box touches."""
    maps = torch.zeros(len(boxes), findings, side, side)
    for row, found in enumerate(boxes):
        for finding, box in found:
            maps[row, finding][box.pixels()] = 1.0
    return maps


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
# As `edm_pair` at quick, and what is in boxes weighs most.
QUICK = EDMInpaintSettings(
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
    jump=2,
    resamplings=2,
    box_weight=10.0,
    healthy_films=500,
)


class EDMInpaint(DiffusionProvider):
    """Findings drawn into boxes of real films, by diffusion."""

    name = "edm_inpaint"
    produces = frozenset({Annotation.BOXES, Annotation.LABELS})
    home_task = "nih_localisation"
    presets: ClassVar[Mapping[str, EDMInpaintSettings]] = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
    findings: tuple[str, ...]
    healthy: np.ndarray
    ids: list[str]
    boxes: list[tuple[int, Box]]

    def build(self, films: DatasetInfo) -> Mapping[str, nn.Module]:
        s: EDMInpaintSettings = self.settings
        side, beside = films.resolution, len(films.findings) + (1 if s.components else 0)
        return {"denoiser": FilmUNet(s.unet, 1, side, beside=beside), "base": FilmBase(1, side, s.components)}

    def process(self) -> RePaint:
        """How films are learnt, and boxes drawn."""
        s: EDMInpaintSettings = self.settings
        return RePaint(EDM(self.base, s.noise), s.jump, s.resamplings, s.box_weight)

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        """Learn films with boxes and without. InputError for films without boxes, boxes of a finding that films are not
        labelled with, no healthy film, or a side that the network does not halve."""
        s: EDMInpaintSettings = self.settings
        boxed = Boxed.of(train)
        if not boxed.boxes:
            raise InputError(
                f"edm_inpaint learns from films with boxes; dataset {train.info.name} has none: give it boxes"
            )
        if unknown := sorted({finding for _, finding, _ in boxed.boxes} - set(train.info.findings)):
            raise InputError(
                f"edm_inpaint: boxes of {', '.join(unknown)}, which films are not labelled with: give labels"
            )
        self._keep_healthy(train, seed)
        check_side(s.unet, train.resolution)
        runs(s.noise.sampler_steps, s.jump, s.resamplings)
        self.built_for, self.findings = train.info, train.info.findings
        self.boxes = [(self.findings.index(finding), box) for _, finding, box in boxed.boxes]
        on: list[list[tuple[int, Box]]] = [[] for _ in range(len(boxed.films) + len(self.healthy))]
        for (place, _, _), told in zip(boxed.boxes, self.boxes, strict=True):
            on[place].append(told)
        films = torch.from_numpy(np.concatenate([boxed.films, self.healthy]))[:, None]

        def known(rows: Tensor) -> Mapping[str, Tensor]:
            """Boxed films are drawn anew in all of their boxes."""
            maps = self._maps([on[row] for row in rows.tolist()])
            shown = as_values(films[rows.cpu()]).to(self.device)
            return {"boxes": maps, "films": shown, "drawn": maps.amax(1, keepdim=True) > 0}

        with seeded(digest.derive_seed(self.name, "networks", seed)):
            built: Any = self.build(train.info)
            built["base"].learn(as_values(films))
            self.base = built["base"].to(self.device)
            recipe = DiffusionRecipe(built["denoiser"], self.process(), films, s, known=known)
        self.learn(recipe, Halves(RowNumbers(len(films)), len(boxed.films)), seed=seed, progress=progress)
        self._compare(films, [(place, box) for place, _, box in boxed.boxes], known, seed)

    def _keep_healthy(self, train: Dataset, seed: int) -> None:
        """The healthy films, as many as the settings say, and the cases that they are."""
        rows = healthy_rows(train)
        if not len(rows) or self.settings.healthy_films < 1:
            raise InputError(
                f"edm_inpaint draws findings into healthy films; dataset {train.info.name} has {len(rows)} films without "
                f"findings and boxes, and healthy_films is {self.settings.healthy_films}: both must be 1 or more"
            )
        rng = np.random.default_rng(digest.derive_seed(self.name, "healthy", seed))
        kept, sources = np.sort(rng.permutation(rows)[: self.settings.healthy_films]), originals(train)
        self.healthy, self.ids = np.array(train.images[kept]), [sources[row] for row in kept]

    def _compare(
        self,
        films: Tensor,
        boxes: Sequence[tuple[int, Box]],
        known: Callable[[Tensor], Mapping[str, Tensor]],
        seed: int,
    ) -> None:
        """What steps of the sampler are worth: what they draw in real boxes beside what is there."""
        rng = torch.Generator().manual_seed(digest.derive_seed(self.name, "compared", seed))
        start = self.start(COMPARED, rng)
        chosen = [boxes[number] for number in torch.randint(len(boxes), (COMPARED,), generator=rng).tolist()]
        given = known(torch.tensor([place for place, _ in chosen]))
        cut = partial(patches, boxes=[box for _, box in chosen])
        real = patches(as_values(films[[place for place, _ in boxes]]), [box for _, box in boxes])
        steps = self.settings.compared_steps
        self.steps_compared, self.along = by_steps(lambda count: self.draw(start, given, count), real, steps, seen=cut)

    def _maps(self, boxes: Sequence[Sequence[tuple[int, Box]]]) -> Tensor:
        return box_maps(boxes, len(self.findings), self.base.mean.shape[-1]).to(self.device)

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
        """What `n` samples are made of: numbers of a healthy film and of a box. Each is used once before it is used again."""
        films = Rows(len(self.healthy), digest.derive_seed(self.name, "films", seed))
        boxes = Rows(len(self.boxes), digest.derive_seed(self.name, "boxes", seed))
        for index in range(n):
            yield int(films.take(index, 1)[0]), int(boxes.take(index, 1)[0])

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        """Exactly `n` films, the first ones of the seed's endless row of films: healthy films outside of the box, bit for
        bit."""
        rng = torch.Generator().manual_seed(digest.derive_seed(self.name, "sample", seed))
        sources = self.sources(-(-n // SAMPLING_BATCH) * SAMPLING_BATCH, seed=seed)
        for begin in range(0, n, SAMPLING_BATCH):
            pairs = list(islice(sources, SAMPLING_BATCH))
            films, told = (
                self.healthy[[film for film, _ in pairs]][:, None],
                [self.boxes[number] for _, number in pairs],
            )
            maps = self._maps([[one] for one in told])
            drawn = maps.amax(1, keepdim=True) > 0
            shown = as_values(torch.from_numpy(films)).to(self.device)
            made = self.draw(self.start(len(pairs), rng), {"boxes": maps, "films": shown, "drawn": drawn}, rng=rng)
            images = np.clip((made.float().cpu().numpy() + 1) / 2, 0, 1).astype(np.float32)
            images = np.where(drawn.cpu().numpy(), images, films / np.float32(255))
            count = min(n - begin, len(pairs))
            yield Batch(
                images=images[:count],
                labels=np.eye(len(self.findings), dtype=np.uint8)[[finding for finding, _ in told]][:count],
                boxes=[[(self.findings[finding], *box)] for finding, box in told[:count]],
                source_ids=[[self.ids[film]] for film, _ in pairs[:count]],
            )
