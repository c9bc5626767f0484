"""Where a classifier looks: class activation maps (Zhou et al. 2016) of both branches, fused (Liu et al., SDFN).

Equations 5 and 6 of the fusion paper: for a finding, the last maps of a branch are summed with the weights that the
final layer gives them. The map of the entire film is resized to the film, that of the lung region to its box; the two
are added (a logit is the sum of their averages, too) and scaled to [0, 255] for the film.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from ...benchmark.contracts.task import Illustration
from ...benchmark.data.dataset import Dataset
from ...benchmark.data.originals import Originals
from .labelled_films import as_input
from .sdfn import FindingsClassifier

OPACITY = 0.4  # of the colours over the film
OUTLINE = (255, 255, 255)
SHOWN, TILE = 12, 256  # films of a cell at the most, and pixels a side


def weights_of_maps(classifier: FindingsClassifier) -> dict[str, Tensor]:
    """For each branch, the final layer's weight of each of its last maps: (findings, K)."""
    branches = classifier.branches()
    if classifier.fusion is None:
        return {name: network.head.weight for name, network in branches.items()}
    parts = classifier.fusion.weight.split([network.width for network in branches.values()], dim=1)
    return dict(zip(branches, parts, strict=True))


@torch.no_grad()
def branch_maps(
    classifier: FindingsClassifier,
    films: np.ndarray,
    findings: np.ndarray,
    boxes: np.ndarray | None,
    originals: Originals | None = None,
) -> dict[str, np.ndarray]:
    """Equations 5 and 6: float32 (N, h, w) by branch ("entire", "lung"), of one finding a film, at the maps' own size."""
    weights, maps = weights_of_maps(classifier), {}
    views = classifier.views(films, boxes, originals)
    for name, network in classifier.branches().items():
        last = network.last_maps(as_input(np.asarray(views[name])).to(classifier.device)).float()
        chosen = weights[name][torch.as_tensor(findings, device=last.device)]
        maps[name] = torch.einsum("nk,nkhw->nhw", chosen, last).cpu().numpy()
    return maps


def fused(shape: tuple[int, int], maps: dict[str, np.ndarray], box: np.ndarray | None) -> np.ndarray:
    """The map of a film (H, W) from its branches' maps (h, w): their sum, each where it belongs.

    The paper does not say what the lung region's map is outside its box. Its lowest value here: with 0, the region
    would look cold as a whole wherever a finding's weights are negative.
    """
    height, width = shape
    heat = np.zeros(shape, dtype=np.float32)
    if "entire" in maps:
        heat += cv2.resize(maps["entire"], (width, height), interpolation=cv2.INTER_LINEAR)
    if "lung" in maps and box is not None:
        left, top, right, bottom = (int(end) for end in box)
        lowest = maps["lung"].min()
        heat += lowest
        inner = cv2.resize(maps["lung"], (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
        heat[top:bottom, left:right] += inner - lowest
    return heat


def scaled(heat: np.ndarray) -> np.ndarray:
    """A map to [0, 255], lowest to highest; 0 everywhere where it is flat."""
    low, high = float(heat.min()), float(heat.max())
    return np.zeros_like(heat) if high <= low else (heat - low) * np.float32(255 / (high - low))


def activation_maps(
    classifier: FindingsClassifier,
    films: np.ndarray,
    findings: Sequence[int] | np.ndarray,
    *,
    boxes: np.ndarray | None = None,
    originals: Originals | None = None,
    batch: int = 64,
) -> np.ndarray:
    """Films uint8 (N, H, W) and one finding (its column) for each to maps float32 (N, H, W) in [0, 255].

    `boxes`: of the lung regions, int64 (N, 4); found where they are not given. `originals`: what these are cut from.
    """
    classifier.eval()
    columns = np.asarray(findings, dtype=np.int64)
    heat = np.empty(films.shape, dtype=np.float32)
    for start in range(0, len(films), batch):
        part = np.asarray(films[start : start + batch])
        regions = classifier.boxes(part) if boxes is None else boxes[start : start + batch]
        larger = None if originals is None else originals.select(slice(start, start + batch))
        maps = branch_maps(classifier, part, columns[start : start + batch], regions, larger)
        for place in range(len(part)):
            own = {name: values[place] for name, values in maps.items()}
            box = None if regions is None else regions[place]
            heat[start + place] = scaled(fused((films.shape[1], films.shape[2]), own, box))
    return heat


def overlay(
    film: np.ndarray,
    heat: np.ndarray,
    finding: str,
    probability: float,
    *,
    boxes: Sequence[tuple[float, float, float, float]] = (),
    side: int | None = None,
) -> tuple[np.ndarray, str]:
    """A film uint8 (H, W) under its map (H, W) in [0, 255]: (uint8 RGB (H, W, 3), caption).

    Red is high and blue is low, as in the paper's figure 9. `boxes`: annotated ones, (x, y, w, h) in pixels of the
    film, outlined. `side`: enlarge to so many pixels a side. The caption has the finding and its probability.
    """
    height, width = (side, side) if side is not None else film.shape
    across, down = width / film.shape[1], height / film.shape[0]
    grey = cv2.resize(film, (width, height), interpolation=cv2.INTER_LINEAR)
    warm = cv2.resize(heat.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    colours = cv2.applyColorMap(np.rint(np.clip(warm, 0, 255)).astype(np.uint8), cv2.COLORMAP_JET)[..., ::-1]
    picture = np.rint((1 - OPACITY) * grey[..., None] + OPACITY * colours).astype(np.uint8)
    thickness = max(1, min(height, width) // 128)
    for x, y, w, h in boxes:
        start = (round(x * across), round(y * down))
        end = (round((x + w) * across) - 1, round((y + h) * down) - 1)
        cv2.rectangle(picture, start, end, OUTLINE, thickness)
    return picture, f"{finding.replace('_', ' ')} {probability:.2f}"


def illustrations(model: FindingsClassifier, test: Dataset, structures: Sequence[str]) -> list[Illustration]:
    """The maps of test films over them with their finding and, where there are, its boxes: see `shown_films`."""
    places = shown_films(test, structures, SHOWN)
    if not places:
        return []
    rows = np.array([row for row, _ in places])
    columns = np.array([structures.index(finding) for _, finding in places])
    films = np.asarray(test.images)[rows]
    larger = None if test.originals is None else test.originals.select(rows)
    logits = model.logits(films, originals=larger)[np.arange(len(rows)), columns]
    pictures = []
    for (row, finding), film, heat, logit in zip(
        places, films, activation_maps(model, films, columns, originals=larger), logits, strict=True
    ):
        boxes = boxes_of(test, test.ids[row], finding)
        probability = float(1 / (1 + np.exp(-np.float64(logit))))
        pixels, caption = overlay(film, heat, finding, probability, boxes=boxes, side=TILE)
        pictures.append(Illustration(pixels, f"{test.ids[row]}: {caption}"))
    return pictures


def shown_films(test: Dataset, structures: Sequence[str], count: int) -> list[tuple[int, str]]:
    """(row, finding) of films to draw: in turn the first positive film of each finding, those with a box of it first."""
    boxed: set[tuple[str, str]] = set()
    if test.boxes is not None:
        boxed = set(zip(test.boxes["id"].astype(str), test.boxes["finding"].astype(str), strict=True))
    queues, ids = [], test.ids
    for finding in structures:
        rows = np.flatnonzero(test.cases[finding].to_numpy() == 1)
        queues.append(
            [(int(row), finding) for row in sorted(rows, key=lambda row: ((ids[row], finding) not in boxed, row))]
        )
    chosen: list[tuple[int, str]] = []
    for turn in range(max(map(len, queues), default=0)):
        chosen += [queue[turn] for queue in queues if turn < len(queue)]
        if len(chosen) >= count:
            break
    return chosen[:count]


def boxes_of(test: Dataset, case: str, finding: str) -> list[tuple[float, float, float, float]]:
    """The annotated boxes of a finding on a film: (x, y, w, h) in pixels."""
    if test.boxes is None:
        return []
    mine = test.boxes[(test.boxes["id"].astype(str) == case) & (test.boxes["finding"] == finding)]
    return [(float(x), float(y), float(w), float(h)) for x, y, w, h in mine[["x", "y", "w", "h"]].to_numpy()]
