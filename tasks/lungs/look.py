"""How often two plausible lungs are found on films without masks, and what it looks like (Liu et al., SDFN, section III).

The paper counts the films of ChestX-ray14 whose segmentation has no false regions (95.84 %) and shows films, masks with
boxes, and the regions cut from them, of such films (figure 6) and of the others (figure 7).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy import stats

from ...benchmark.data.dataset import Dataset
from ...benchmark.errors import InputError
from ...benchmark.files import write_bytes
from ...benchmark.progress import Progress
from .films import said_of
from .record import LungRecord
from .rules import Found, boxes_of, cropped, found_in

if TYPE_CHECKING:
    from .regions import LungRegionGenerator
    from .unet import LungRegions

BLOCK = 256  # films at a time
TILE, GAP, CAPTION = 224, 6, 34  # pixels of a page
RED, GREEN, GREY = (230, 60, 60), (60, 220, 90), (235, 235, 235)
PAPER = "Liu et al. count 95.84 % of the 112,120 films of ChestX-ray14 (a U-Net trained on JSRT)"


@dataclass(frozen=True)
class Looked:
    """What was found on some films of a dataset: their rows and ids, what their masks hold, their boxes (N, 4)."""

    rows: np.ndarray
    ids: list[str]
    found: list[Found]
    boxes: np.ndarray

    def counts(self) -> dict[str, int]:
        """Films by what their masks hold."""
        return {kind.value: self.found.count(kind) for kind in Found}


def look_at(regions: LungRegions, films: Dataset, *, count: int = 0, progress: Progress | None = None) -> Looked:
    """Find the lungs of all films, or of `count` of them drawn at random, in blocks: however many there are, few are in
    memory."""
    if count < 0:
        raise InputError(f"--films {count}: expected a number of films, or 0 for all")
    rows = np.arange(len(films))
    if 0 < count < len(rows):
        rows = np.sort(np.random.default_rng(0).permutation(len(rows))[:count])
    found: list[Found] = []
    boxes = []
    for start in range(0, len(rows), BLOCK):
        masks = regions.masks(np.asarray(films.images[rows[start : start + BLOCK]]))
        found += [found_in(mask) for mask in masks]
        boxes.append(boxes_of(masks, side=films.resolution))
        (progress or Progress()).update((start + len(masks)) / len(rows), f"films {start + len(masks)}/{len(rows)}")
    every = films.ids
    return Looked(rows, [every[row] for row in rows], found, np.concatenate(boxes))


def words_of(looked: Looked, record: LungRecord, films: Dataset) -> list[str]:
    """The counts in lines, the share of two plausible regions with its exact 95 % interval."""
    n, counts = len(looked.ids), looked.counts()
    share = stats.binomtest(counts[Found.TWO], n).proportion_ci(0.95, method="exact")
    lines = [
        f"{n} films of {films.info.name}; the U-Net was trained on {said_of(record.data.name)}",
        f"{Found.TWO}: {counts[Found.TWO]} = {100 * counts[Found.TWO] / n:.2f} % "
        f"({100 * share.low:.2f} to {100 * share.high:.2f})",
    ]
    lines += [f"{kind}: {counts[kind]} = {100 * counts[kind] / n:.2f} %" for kind in Found if kind is not Found.TWO]
    sides = (looked.boxes[:, 2:] - looked.boxes[:, :2]).mean(axis=0)
    lines.append(f"boxes with margins: {sides[0]:.0f} x {sides[1]:.0f} of {films.resolution} pixels on average")
    return [*lines, PAPER]


def write_pages(folder: Path, looked: Looked, generator: LungRegionGenerator, films: Dataset, *, shown: int) -> None:
    """Write `two_regions.png`, `other_regions.png` (films, masks with boxes, regions; drawn at random) and `regions.csv`."""
    places = np.random.default_rng(0).permutation(len(looked.ids))
    for name, wanted in (("two_regions", True), ("other_regions", False)):
        chosen = sorted([place for place in places if (looked.found[place] is Found.TWO) == wanted][:shown])
        if chosen:
            write_bytes(folder / f"{name}.png", page_of(looked, chosen, generator.regions, films))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "found", "left", "top", "right", "bottom"])
    for one, kind, box in zip(looked.ids, looked.found, looked.boxes, strict=True):
        writer.writerow([one, kind.value, *map(int, box)])
    write_bytes(folder / "regions.csv", text.getvalue().encode())


def page_of(looked: Looked, places: Sequence[int], regions: LungRegions, films: Dataset, columns: int = 6) -> bytes:
    """A page as PNG: for each film, below each other, the film, its mask (red) with the box (green), and the region."""
    from PIL import Image, ImageDraw, ImageFont

    pixels = np.asarray(films.images[looked.rows[list(places)]])
    masks, boxes = regions.masks(pixels), looked.boxes[list(places)]
    crops = cropped(pixels, boxes, TILE)
    across = min(columns, len(places))
    height = 3 * (TILE + GAP) + CAPTION
    page = Image.new("RGB", (across * (TILE + GAP) + GAP, -(-len(places) // across) * height + GAP))
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=12)
    for number, place in enumerate(places):
        x, y = GAP + number % across * (TILE + GAP), GAP + number // across * height
        marked = _marked(pixels[number], masks[number], boxes[number])
        for step, tile in enumerate((_grey(pixels[number]), marked, _grey(crops[number]))):
            page.paste(Image.fromarray(tile), (x, y + step * (TILE + GAP)))
        said = f"{looked.ids[place]}\n{looked.found[place]}"
        pen.text((x + 2, y + 3 * (TILE + GAP) - GAP + 1), said, fill=GREY, font=font, spacing=1)
    buffer = io.BytesIO()
    page.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def _grey(film: np.ndarray) -> np.ndarray:
    """A film uint8 (H, H) as RGB of a tile's size."""
    how = cv2.INTER_AREA if film.shape[0] > TILE else cv2.INTER_LINEAR
    return np.repeat(cv2.resize(np.ascontiguousarray(film), (TILE, TILE), interpolation=how)[..., None], 3, axis=2)


def _marked(film: np.ndarray, mask: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The film with its mask in red and its box in green."""
    picture = _grey(film).astype(np.float32)
    inside = cv2.resize(mask.astype(np.uint8), (TILE, TILE), interpolation=cv2.INTER_NEAREST) > 0
    picture[inside] = 0.65 * picture[inside] + 0.35 * np.array(RED, dtype=np.float32)
    marked = np.rint(picture).astype(np.uint8)
    left, top, right, bottom = (round(int(end) * TILE / film.shape[0]) for end in box)
    cv2.rectangle(marked, (left, top), (max(right - 1, left), max(bottom - 1, top)), GREEN, 2)
    return marked
