"""Films one can look at: outlines of organs and boxes of findings drawn over them, many on one sheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .dataset import Dataset

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

COLOURS: dict[str, tuple[int, int, int]] = {
    "left_lung": (86, 180, 233),
    "right_lung": (240, 228, 66),
    "heart": (213, 94, 0),
    "cardiomediastinum": (213, 94, 0),
    "left_clavicle": (0, 158, 115),
    "right_clavicle": (204, 121, 167),
}
"""Outline colours (RGB) of SCR's organs, from the palette of Okabe and Ito, safe for colour-blind readers."""

_OTHERS = ((230, 159, 0), (0, 114, 178), (255, 255, 255), (170, 255, 90), (255, 90, 90), (150, 120, 255))
_BOX = (255, 90, 90)
_TEXT = (235, 235, 235)
_CAPTION = 18  # pixels below a film
_GAP = 6


def organ_colours(organs: Sequence[str]) -> list[tuple[int, int, int]]:
    """A colour for each organ: the fixed one, or the next of a second palette."""
    others = iter(_OTHERS * 2)
    return [COLOURS.get(organ) or next(others) for organ in organs]


def outlined(image: np.ndarray, bits: np.ndarray | None, organs: Sequence[str], size: int) -> np.ndarray:
    """A film uint8 (H, W) with the outlines of its masks (bit flags uint8 (H, W)) as uint8 RGB (size, size,
    3).

    Outlines are drawn after scaling, one pixel wide up to 384 pixels and two above, so that they stay thin.
    """
    import cv2

    how = cv2.INTER_AREA if size < image.shape[0] else cv2.INTER_LINEAR
    grey = cv2.resize(np.ascontiguousarray(image), (size, size), interpolation=how)
    picture = np.repeat(grey[..., None], 3, axis=2)
    if bits is None:
        return picture
    for bit, colour in enumerate(organ_colours(organs)):
        organ = np.ascontiguousarray((bits >> bit) & 1) * np.uint8(255)
        inside = (cv2.resize(organ, (size, size), interpolation=how) >= 128).astype(np.uint8)
        contours, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, colour, 1 if size <= 384 else 2)
    return picture


def film_picture(dataset: Dataset, row: int, size: int, *, words: bool = True) -> Image.Image:
    """One film of a dataset as an RGB picture of `size` pixels a side, with the outlines of its masks and its boxes, which
    have their findings' names in `words`."""
    from PIL import Image, ImageDraw

    bits = None if dataset.masks is None else dataset.masks[row]
    picture = Image.fromarray(outlined(dataset.images[row], bits, dataset.organs, size))
    _draw_boxes(ImageDraw.Draw(picture), _boxes_of(dataset, row), size / dataset.resolution, words)
    return picture


def contact_sheet(dataset: Dataset, path: Path, count: int = 24, columns: int = 6, seed: int = 0) -> Path:
    """Write a PNG of up to `count` films drawn by `seed` (in the order of the dataset), with id, outlines and
    boxes.

    Films are scaled up to at least 256 pixels. Returns `path`; InputError where it cannot be written.
    """
    from PIL import Image, ImageDraw

    if count < 1 or columns < 1 or len(dataset) == 0:
        raise InputError(f"contact sheet: expected films and at least one column, found {count} and {columns}")
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(dataset))[:count])
    size = max(256, min(dataset.resolution, 512))
    across = min(columns, len(rows))
    down = -(-len(rows) // across)
    step = (size + _GAP, size + _CAPTION + _GAP)
    legend = _CAPTION + _GAP
    sheet = Image.new("RGB", (across * step[0] + _GAP, down * step[1] + _GAP + legend))
    pen = ImageDraw.Draw(sheet)
    _draw_legend(pen, dataset)
    for place, row in enumerate(rows):
        x, y = _GAP + place % across * step[0], legend + place // across * step[1]
        sheet.paste(film_picture(dataset, int(row), size), (x, y))
        pen.text((x + 2, y + size + 2), _caption(dataset, int(row)), fill=_TEXT, font=_font())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path, format="PNG")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size=13)


def _caption(dataset: Dataset, row: int) -> str:
    case = dataset.cases.iloc[row]
    words = [str(case["id"])]
    if "split" in case.index:
        words.append(str(case["split"]))
    words += [finding for finding in dataset.info.findings if case[finding]]
    return " · ".join(words)


def _draw_legend(pen: ImageDraw.ImageDraw, dataset: Dataset) -> None:
    x = _GAP
    for word, colour in [
        (f"{dataset.info.name}: {len(dataset)} films, {dataset.resolution} pixels", _TEXT),
        *zip(dataset.organs, organ_colours(dataset.organs), strict=True),
    ]:
        pen.text((x, 3), word, fill=colour, font=_font())
        x += int(pen.textlength(word, font=_font())) + 16


def _boxes_of(dataset: Dataset, row: int) -> Iterable[tuple[str, float, float, float, float]]:
    if dataset.boxes is None:
        return []
    mine = dataset.boxes[dataset.boxes["id"] == dataset.cases["id"].iloc[row]]
    return list(mine[["finding", "x", "y", "w", "h"]].itertuples(index=False, name=None))


def _draw_boxes(
    pen: ImageDraw.ImageDraw, boxes: Iterable[tuple[str, float, float, float, float]], scale: float, words: bool
) -> None:
    for finding, x, y, w, h in boxes:
        left, top = x * scale, y * scale
        pen.rectangle((left, top, left + w * scale, top + h * scale), outline=_BOX, width=2)
        if words:
            pen.text((left + 3, max(top - 16, 0)), finding, fill=_BOX, font=_font())
