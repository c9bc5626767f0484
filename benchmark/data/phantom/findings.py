"""The 14 findings of NIH ChestX-ray14 on phantom films: drawn as what they are, each with its tight box.

A finding is a `Sign` (see `shadows`): it changes the person (`reshape`), or what the beam crosses (`cast`), or both.
Sizes of the eight boxed findings follow the areas of NIH's own boxes (Wang et al. 2017, `BBox_List_2017.csv`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ... import exact
from ...draws import Draw
from .anatomy import Anatomy
from .depths import Depths, Layer, Plane
from .developing import Exposure
from .film import NOTHING, Extras, render
from .parenchyma import Atelectasis, Consolidation, Edema, Fibrosis, Infiltration, Mass, Nodule, Pneumonia
from .pleura import Cardiomegaly, Effusion, Emphysema, Hernia, PleuralThickening, Pneumothorax
from .shadows import Sign, box_of

SIGNS: dict[str, type[Sign]] = {
    "Atelectasis": Atelectasis,
    "Cardiomegaly": Cardiomegaly,
    "Effusion": Effusion,
    "Infiltration": Infiltration,
    "Mass": Mass,
    "Nodule": Nodule,
    "Pneumonia": Pneumonia,
    "Pneumothorax": Pneumothorax,
    "Consolidation": Consolidation,
    "Edema": Edema,
    "Emphysema": Emphysema,
    "Fibrosis": Fibrosis,
    "Pleural_Thickening": PleuralThickening,
    "Hernia": Hernia,
}
"""How each finding is drawn, by its official name."""

BOX_AREA = {
    "Atelectasis": (0.019, 0.86),
    "Cardiomegaly": (0.171, 0.23),
    "Effusion": (0.056, 0.85),
    "Infiltration": (0.057, 0.65),
    "Mass": (0.015, 0.80),
    "Nodule": (0.0050, 0.50),
    "Pneumonia": (0.057, 0.70),
    "Pneumothorax": (0.036, 0.90),
    "Consolidation": (0.050, 0.60),
}
"""Median of the box's share of the film, and spread of its logarithm. The medians of the eight boxed findings are
those of NIH's box list; consolidation is not in it and drawn as large as pneumonia."""

_LARGEST = {"Nodule": 0.0066, "Mass": 0.09, "Cardiomegaly": 0.30, "Atelectasis": 0.10}
_SMALLEST = {"Mass": 0.0075, "Cardiomegaly": 0.11, "Nodule": 0.0012}
# 3 cm of a 36 cm film is an area of 0.0069: larger nodules are masses.


def draw_area(finding: str, rng: Draw) -> float:
    """A size for a finding, as the share of the film that its box covers; 0 for those without one of their own."""
    if finding not in BOX_AREA:
        return 0.0
    median, spread = BOX_AREA[finding]
    return limit_area(finding, median * exact.exp(spread * rng.normal()))


def limit_area(finding: str, area: float) -> float:
    """The nearest area that the finding can have in a chest."""
    return min(max(area, _SMALLEST.get(finding, 0.004)), _LARGEST.get(finding, 0.20))


def draw_sign(finding: str, rng: Draw, severity: float, area: float | None = None) -> Sign:
    """One finding, placed and shaped by `rng` alone; `area` is its box's share of the film (None: drawn)."""
    own = draw_area(finding, rng)
    return SIGNS[finding].draw(rng, severity, own if area is None else area)


@dataclass(frozen=True)
class Box:
    """Where a finding is seen, in pixels of the film."""

    finding: str
    x: float
    y: float
    w: float
    h: float


class _Watched:
    """A sign as a layer of `render` that keeps the strength of its change."""

    def __init__(self, sign: Sign, person: Anatomy) -> None:
        self.sign, self.person = sign, person
        self.shown: Plane | None = None

    def __call__(self, depths: Depths, /) -> None:
        self.shown = self.sign.cast(self.person, depths)


def take_film(
    person: Anatomy,
    findings: Sequence[tuple[str, Sign]],
    resolution: int,
    rng: Draw,
    exposure: Exposure | None = None,
    behind: Sequence[Layer] = (),
    extras: Extras = NOTHING,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[Box]]:
    """A film of a person with findings: image and masks uint8 (H, W) as `render` gives them, and a box a finding.

    `behind` are layers that are no findings, cast first; `extras` is passed on.
    """
    for _, sign in findings:
        person = sign.reshape(person)
    layers = [_Watched(sign, person) for _, sign in findings]
    image, masks = render(person, resolution, rng, [*behind, *layers], exposure, extras)
    boxes = []
    for (finding, sign), layer in zip(findings, layers, strict=True):
        if layer.shown is not None:
            boxes.append(Box(finding, *box_of(layer.shown, sign.edge)))
    return image, masks, boxes
