"""The hard phantom: JSRT's 247 cases again (`jsrt_like`), as varied, ill and badly taken as the films of a children's and
emergency department.

The easy one teaches a segmenter all there is in a few dozen films; here every doubling of the training films still
brings something, as it does on real ones. What is hard: whoever comes for a film (`variety`), shapes beyond measures and
outlines drawn by a reader (`bending`), illness that hides borders (`findings`), devices and letters (`devices`), and
films that are off centre, cut, collimated, grey, blurred and noisy. A case depends on its id alone.

Masks of lungs and heart are what a reader draws: the true outlines, displaced smoothly by `READER` of the film's side
(two pixels at 256), differently for each patient. Pooled over the films their Dice coefficients with the true outlines
are 0.96 (lungs) and 0.97 (heart), and no model can be expected to do better, as none can against one reader of real films.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ... import exact
from ...draws import Draw
from ...progress import Progress
from ..dataset import Dataset, DatasetInfo
from ..splits import PHANTOM_IDS, scr_columns
from . import outlines
from .anatomy import Anatomy, draw_anatomy
from .bending import Bend
from .cohort import seed_of
from .dataset import FILM_MM, PROVENANCE, DrawnFilm, code_digest, draw_films, kept
from .developing import Exposure, draw_exposure
from .devices import draw_devices
from .film import ORGANS, Extras
from .findings import draw_area, draw_sign, limit_area, take_film
from .jsrt_like import check_case, shadows_of
from .outlines import LEFT, RIGHT
from .pose import Pose
from .raster import Points, points
from .shadows import Sign
from .variety import vary
from .versions import HARD_VERSION

NAME = "phantom_hard"
BUILD, READER = 0.011, 0.0074
"""Standard deviations of a person's shape and of a reader's outlines, in shares of the film's side (2.8 and 1.9 of
256 pixels)."""

_ILLNESSES = (
    (0.15, "Effusion"),
    (0.11, "Consolidation"),
    (0.11, "Pneumonia"),
    (0.07, "Infiltration"),
    (0.08, "Atelectasis"),
    (0.07, "Edema"),
    (0.04, "Pneumothorax"),
    (0.03, "Mass"),
    (0.03, "Emphysema"),
    (0.03, "Fibrosis"),
    (0.03, "Pleural_Thickening"),
    (0.02, "Hernia"),
)
"""How often each is on a film."""


def phantom_hard(resolution: int, progress: Progress | None = None) -> Dataset:
    """The 247 films at `resolution` pixels with five organs, the official split and the three folds of the phantom.

    InputError for a resolution below 16.
    """
    check_case(PHANTOM_IDS[0], resolution)

    def draw() -> Dataset:
        ids = list(PHANTOM_IDS)
        images, masks, _ = draw_films(ids, hard_film, resolution, progress or Progress())
        info = DatasetInfo(
            name=NAME,
            version=HARD_VERSION,
            resolution=resolution,
            organs=ORGANS,
            pixel_mm=FILM_MM / resolution,
            provenance=f"{PROVENANCE}; the hard one: varied, ill, badly taken, outlines by a reader who strays",
        )
        return Dataset(info=info, images=images, masks=masks, cases=pd.DataFrame(scr_columns(ids)))

    return kept(NAME, resolution, code_digest(Path(__file__)), draw)


def hard_film(case_id: str, resolution: int) -> DrawnFilm:
    """Film and masks of one case, without boxes. InputError for an unknown id or a resolution below 16."""
    check_case(case_id, resolution)
    person = vary(draw_anatomy(_draws(case_id, "adult")), _draws(case_id, "person"))
    extras = Extras(
        build=Bend.draw(_draws(case_id, "build"), BUILD, 5),
        reader=Bend.draw(_draws(case_id, "reader"), READER, 11),
        objects=draw_devices(person, _draws(case_id, "devices")),
        field=_field(person, _draws(case_id, "field")),
    )
    image, masks, _ = take_film(
        person,
        _illness(_draws(case_id, "illness")),
        resolution,
        _draws(case_id, "noise", resolution),
        _expose(_draws(case_id, "exposure")),
        shadows_of(case_id, person, _draws(case_id, "shadows")),
        extras,
    )
    return DrawnFilm(image, masks)


def _draws(case_id: str, *what: object) -> Draw:
    return Draw(seed_of(NAME, case_id, *what))


def _illness(rng: Draw) -> list[tuple[str, Sign]]:
    """Findings, larger and denser than NIH's films have them."""
    signs = []
    for share, finding in _ILLNESSES:
        if rng.random() < share:
            area = limit_area(finding, draw_area(finding, rng) * exact.exp(rng.normal(0.3, 0.4)))
            signs.append((finding, draw_sign(finding, rng, rng.uniform(0.3, 1.0), area)))
    return signs


def _expose(rng: Draw) -> Exposure:
    """From well exposed to portable films without a grid: grey, foggy, uneven, moved and noisy."""
    exposure = draw_exposure(rng)
    bad = rng.random() * rng.random()
    return replace(
        exposure,
        bias=0.7 * exposure.bias + rng.normal(0.45, 0.08) + 0.35 * bad,  # exposed with the scattered light in mind
        latitude=min(max(exposure.latitude * exact.exp(rng.normal(0.05, 0.08)), 0.7), 1.05),
        detail=exposure.detail * rng.uniform(0.2, 1.3),
        scatter=exposure.scatter + 0.4 * bad,
        noise=exposure.noise * (1.0 + 2.0 * bad),
        grain=exposure.grain * rng.uniform(1.0, 3.0),
        blur=rng.uniform(0.0011, 0.0055),
        reach=rng.uniform(0.05, 0.12),
        windowed=rng.uniform(0.5, 1.0),
        lean=(rng.normal(0.0, 0.10), rng.normal(0.0, 0.10)),
    )


def _field(person: Anatomy, rng: Draw) -> Points | None:
    """The corners of a rectangle around the lungs, slightly turned, on most films: the rest is collimated away."""
    if rng.random() < 0.3:
        return None
    lungs = np.concatenate([outlines.lung(outlines.side(person, sign)) for sign in (RIGHT, LEFT)])
    x, y = Pose.of(person).place(lungs[:, 0], lungs[:, 1])
    margin = [rng.uniform(-0.015, 0.11) for _ in range(4)]
    left, right = float(x.min()) - margin[0], float(x.max()) + margin[1]
    top, bottom = float(y.min()) - margin[2], float(y.max()) + margin[3]
    turn = rng.normal(0.0, 0.02) if rng.random() < 0.4 else 0.0
    ring = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    off = ring - ring[0]
    return ring + turn * points(-off[:, 1], off[:, 0])
