"""Faster R-CNN (Ren et al. 2015) on films: torchvision's, trained and used as the localisation paper does (Xing et al.
2019, section 3.2): one channel, momentum SGD, no augmentation, every annotated box a training sample of its own.

The class is known when a box is judged (CL@0.1), so a film keeps the best detection of every finding, however low its
score, besides those with high scores.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

from ...benchmark.data.dataset import Dataset
from ...benchmark.data.film_rows import Films
from ...benchmark.data.film_rows import joined as joined_films
from ...benchmark.digest import derive_seed
from ...benchmark.errors import InputError
from ...benchmark.progress import Progress
from ...benchmark.training.history import History
from ...benchmark.training.loop import seeded, train
from ...benchmark.training.recipe import Recipe, Step
from ...benchmark.training.stopping import Patience, Validation
from .detector_backbones import build_parts, load_start
from .detector_settings import DetectorSettings, checkpoints_of

RATIOS = (0.5, 1.0, 2.0)  # height to width of anchors
THINNEST = 0.1  # of a box that is trained on, in pixels; a thinner one has no corners apart
USUAL_SIDE, USUAL_BOX = 800, 224  # films and boxes that torchvision chooses a pyramid's level by


@dataclass(frozen=True)
class BoxedFilms:
    """Training samples. films: uint8 (N, H, W). rows: the film of each sample. boxes: for each sample float32 (K, 4),
    x, y, w, h in pixels. findings: for each sample int64 (K,), number of the finding, from 0."""

    films: Films
    rows: np.ndarray
    boxes: Sequence[np.ndarray]
    findings: Sequence[np.ndarray]

    def __len__(self) -> int:
        return len(self.rows)


def samples_of(films: Dataset, structures: Sequence[str], *, merge: bool) -> BoxedFilms:
    """The training samples of films: one for each box of the structures (or, with `merge`, for each film that has any), in
    the order of films and boxes. Films without boxes are none; boxes are cut at the edge of the film."""
    table = films.boxes
    if table is None:
        raise InputError(f"dataset {films.info.name} has no boxes to train on")
    table = table[table["finding"].isin(structures)]
    row_of = {case: row for row, case in enumerate(films.ids)}
    rows = np.array([row_of[str(case)] for case in table["id"]], dtype=np.int64)
    numbers = np.array([structures.index(name) for name in table["finding"]], dtype=np.int64)
    corners = table[["x", "y", "w", "h"]].to_numpy(dtype=np.float64)
    start = np.clip(corners[:, :2], 0, films.resolution)
    size = np.clip(corners[:, :2] + corners[:, 2:], 0, films.resolution) - start
    boxes = np.concatenate([start, size], axis=1).astype(np.float32)
    order = np.argsort(rows, kind="stable")
    order = order[(size[order] >= THINNEST).all(axis=1)]
    groups = [order[rows[order] == row] for row in np.unique(rows[order])] if merge else list(order[:, None])
    return BoxedFilms(
        films=films.images,
        rows=np.array([rows[group[0]] for group in groups], dtype=np.int64),
        boxes=[boxes[group] for group in groups],
        findings=[numbers[group] for group in groups],
    )


def joined(parts: Sequence[BoxedFilms]) -> BoxedFilms:
    """The samples of all parts, in order."""
    starts = np.cumsum([0, *(len(part.films) for part in parts)])
    return BoxedFilms(
        films=joined_films([part.films for part in parts]),
        rows=np.concatenate([part.rows + start for part, start in zip(parts, starts[:-1], strict=True)]),
        boxes=[boxes for part in parts for boxes in part.boxes],
        findings=[findings for part in parts for findings in part.findings],
    )


@dataclass(frozen=True)
class Detections:
    """What a detector found, best first within a film: image int32 (D,) row of the film, finding uint8 (D,) number of the
    finding, score float32 (D,) from 0 to 1, box float32 (D, 4), x, y, w, h in pixels of the film."""

    image: np.ndarray
    finding: np.ndarray
    score: np.ndarray
    box: np.ndarray


class FindingsDetector(FasterRCNN):
    """torchvision's Faster R-CNN, and which findings it was shown a box of: `taught`, bool (findings,)."""

    taught: Tensor

    def teach(self, findings: Sequence[int]) -> None:
        """Take note of findings (by number, from 0) that it is trained on."""
        self.taught[list(findings)] = True


@dataclass
class Detector:
    """A trained network, its findings in order, and the weights it had at the steps of the paper's windows (on the CPU)."""

    network: FindingsDetector
    structures: tuple[str, ...]
    checkpoints: dict[int, dict[str, Tensor]] = field(default_factory=dict)

    def at(self, step: int) -> FindingsDetector:
        """The network as it was at a kept step."""
        network = copy.deepcopy(self.network)
        network.load_state_dict(self.checkpoints[step])
        return network


def new_detector(findings: int, settings: DetectorSettings, *, seed: int, start: bool = True) -> FindingsDetector:
    """A detector before training; its weights depend on the seed alone, and on `settings.weights` (with `start`)."""
    with seeded(derive_seed("faster_rcnn", "weights", seed)):
        parts = build_parts(settings)
        sides = tuple(tuple(round(share * settings.side) for share in level) for level in parts.anchors)
        mean, spread = parts.scale
        network = FindingsDetector(
            parts.trunk,
            min_size=settings.side,
            max_size=settings.side,
            image_mean=mean,
            image_std=spread,
            rpn_anchor_generator=AnchorGenerator(sides, (RATIOS,) * len(sides)),
            box_roi_pool=MultiScaleRoIAlign(
                list(parts.maps),
                output_size=parts.crop,
                sampling_ratio=2,
                canonical_scale=USUAL_BOX * settings.side / USUAL_SIDE,
            ),
            box_head=parts.head,
            box_predictor=FastRCNNPredictor(parts.features, findings + 1),
            rpn_pre_nms_top_n_train=4 * settings.proposals,
            rpn_pre_nms_top_n_test=4 * settings.proposals,
            rpn_post_nms_top_n_train=settings.proposals,
            rpn_post_nms_top_n_test=settings.proposals,
            rpn_nms_thresh=settings.proposal_overlap,
            box_batch_size_per_image=settings.box_samples,
            box_score_thresh=0.0,
            box_nms_thresh=settings.box_overlap,
            box_detections_per_img=settings.proposals * findings,  # `kept` chooses, so that no finding is lost
        )
    network.register_buffer("taught", torch.zeros(findings, dtype=torch.bool))
    if settings.weights is not None and start:
        load_start(network, settings.weights)
    return network


def as_input(films: np.ndarray) -> Tensor:
    """uint8 (B, H, W) to float32 (B, 1, H, W) in [0, 1]."""
    return torch.from_numpy(np.require(films, requirements=("C", "W"))).unsqueeze(1).float().div_(255.0)


# ---------------------------------------------------------------------- training


class Samples:
    """A training `Source`: films as they are, each with its boxes."""

    def __init__(self, samples: BoxedFilms) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """`films` float32 (B, 1, H, W); `boxes` float32 (B, K, 4) as corners and `classes` int64 (B, K), from 1; 0 where a
        film has fewer than K."""
        most = max(len(self.samples.findings[row]) for row in rows)
        boxes = np.zeros((len(rows), most, 4), dtype=np.float32)
        classes = np.zeros((len(rows), most), dtype=np.int64)
        for place, row in enumerate(rows):
            own, count = self.samples.boxes[row], len(self.samples.findings[row])
            boxes[place, :count, :2], boxes[place, :count, 2:] = own[:, :2], own[:, :2] + own[:, 2:]
            classes[place, :count] = self.samples.findings[row] + 1
        return {
            "films": as_input(self.samples.films[self.samples.rows[rows]]),
            "boxes": torch.from_numpy(boxes),
            "classes": torch.from_numpy(classes),
        }


class Detection(Recipe):
    """The four losses of Faster R-CNN, those of box regression with a weight; momentum SGD with clipped gradients."""

    float32 = True  # box corners and overlaps

    def __init__(self, network: FindingsDetector, settings: DetectorSettings) -> None:
        self.network, self.settings, self.done = network, settings, 0
        self.kept: dict[int, dict[str, Tensor]] = {}
        """The weights after some steps, by step."""

    def networks(self) -> Mapping[str, nn.Module]:
        return {"network": self.network}

    def optimizers(self) -> Mapping[str, Optimizer]:
        weights = [weight for weight in self.network.parameters() if weight.requires_grad]
        self.optimizer = SGD(weights, lr=self.settings.rate, momentum=self.settings.momentum)
        self.optimizer.register_step_pre_hook(lambda *_: self._clip(weights))
        return {"sgd": self.optimizer}

    def _clip(self, weights: Sequence[nn.Parameter]) -> None:
        nn.utils.clip_grad_norm_(weights, self.settings.clip)

    def batch_size(self, images_seen: int) -> int:
        return self.settings.batch

    def rate(self, index: int, total: int) -> float:
        """The learning rate of a step."""
        s = self.settings
        rate = s.rate * min(1.0, (index + 1) / s.warmup) if s.warmup else s.rate
        return rate * 0.5 * (1 + float(np.cos(np.pi * index / total))) if s.decay else rate

    def step(self, batch: Mapping[str, Tensor], at: Step) -> Mapping[str, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(at.index, at.total)
        targets = [
            {"boxes": boxes[classes > 0], "labels": classes[classes > 0]}
            for boxes, classes in zip(batch["boxes"], batch["classes"], strict=True)
        ]
        losses = self.network(list(batch["films"]), targets)
        weight = self.settings.location_weight
        loss = torch.stack([value * (weight if "box_reg" in name else 1.0) for name, value in losses.items()]).sum()
        at.update(loss, self.optimizer)
        self.done = at.index + 1
        return losses

    def keep(self) -> None:
        """Keep the weights as they are now."""
        weights = self.network.state_dict()
        self.kept[self.done] = {name: value.detach().cpu().clone() for name, value in weights.items()}

    def state(self) -> Mapping[str, Tensor]:
        return {f"{step}/{name}": value for step, weights in self.kept.items() for name, value in weights.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.kept.clear()
        for key, value in state.items():
            step, _, name = key.partition("/")
            self.kept.setdefault(int(step), {})[name] = value


def fit_detector(
    detector: Detector,
    samples: BoxedFilms,
    settings: DetectorSettings,
    *,
    held_out: Callable[[FindingsDetector], float] | None,
    seed: int,
    device: str,
    progress: Progress,
) -> History:
    """Train a detector from the weights it has; it is left on the CPU.

    `held_out`: how well a network does on films that choose the checkpoint, higher is better; None: the last one is kept.
    """
    recipe = Detection(detector.network, settings)
    wanted = {step for middle in settings.windows for step in checkpoints_of(middle, settings)}
    detector.network.teach(sorted({int(number) for findings in samples.findings for number in findings}))

    def evaluate() -> float:
        if recipe.done in wanted:
            recipe.keep()
        return float(-recipe.done) if held_out is None else -held_out(detector.network)

    history = train(
        recipe,
        Samples(samples),
        steps=settings.steps,
        seed=seed,
        device=device,
        progress=progress,
        validation=Validation(measure=evaluate, every=settings.check_every, stop=Patience(settings.steps)),
    )
    detector.checkpoints |= recipe.kept
    if held_out is None:
        history.rows = [row for row in history.rows if "validation" not in row]
    detector.network.cpu()
    return history


# ---------------------------------------------------------------------- detection


@torch.no_grad()
def detect(network: nn.Module, films: Films, settings: DetectorSettings, *, device: str, batch: int = 16) -> Detections:
    """Findings on films uint8 (N, H, W); of every film the best of each finding, and of the others those with the highest
    scores."""
    was_training = network.training
    network.to(device).eval()
    parts: list[tuple[np.ndarray, ...]] = []
    for start in range(0, len(films), batch):
        given = as_input(np.asarray(films[start : start + batch])).to(device)
        for place, found in enumerate(network(list(given)), start=start):
            boxes, scores = found["boxes"].cpu().numpy(), found["scores"].cpu().numpy()
            findings = found["labels"].cpu().numpy().astype(np.uint8) - 1
            rows = kept(findings, scores, settings.detections)
            boxes[:, 2:] -= boxes[:, :2]
            image = np.full(len(rows), place, dtype=np.int32)
            parts.append((image, findings[rows], scores[rows].astype(np.float32), boxes[rows].astype(np.float32)))
    network.train(was_training)
    if not parts:
        return Detections(
            np.zeros(0, np.int32), np.zeros(0, np.uint8), np.zeros(0, np.float32), np.zeros((0, 4), np.float32)
        )
    return Detections(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def kept(findings: np.ndarray, scores: np.ndarray, most: int) -> np.ndarray:
    """Rows of a film's detections that are kept, best first: the best of every finding, then those with the highest
    scores, `most` in all."""
    order = np.argsort(-scores, kind="stable")
    _, first = np.unique(findings[order], return_index=True)
    rest = np.setdiff1d(np.arange(len(order)), first)
    chosen = np.sort(np.concatenate([first, rest[: max(0, most - len(first))]]))
    return order[chosen]
