"""The NIH-like phantom: films with the 14 findings of ChestX-ray14, patients with follow-ups, the official split.

`cohort` says who is on which film with what; here a patient is posed, exposed and drawn. Mean counts, splits and
rates mirror NIH's; sizes from 500 to 120,000 films (`phantom_nih-20000`), each the beginning of the larger ones. Boxes
are kept for every third test film with boxed findings, none for train (all of NIH's are in its test list).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ...draws import Draw
from ...errors import InputError
from ...progress import Progress
from ..dataset import Dataset, DatasetInfo
from ..findings import BOXED, FINDINGS
from .anatomy import Anatomy
from .cohort import FilmCase, film_case, film_ids, seed_of
from .dataset import FILM_MM, PROVENANCE, DrawnFilm, code_digest, draw_films, kept
from .depths import Layer, Opacity
from .developing import Exposure, draw_exposure
from .film import ORGANS
from .findings import draw_sign, take_film
from .shadows import Sign, place
from .versions import VERSION

NAME = "phantom_nih"
FILMS = 4000
SMALLEST, LARGEST = 500, 120_000
KEPT_ORGANS = ORGANS[:3]
"""Both lungs and the heart: what the lung region needs."""

_LASTING = ("Cardiomegaly", "Mass", "Nodule", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia")
_EPISODE = 3  # films after which another finding comes at another place
_BOXED_EVERY = 3


def phantom_nih(resolution: int, progress: Progress | None = None, films: int = FILMS) -> Dataset:
    """`films` NIH-like phantom films at `resolution` pixels with labels, masks of lungs and heart, and some boxes.

    Named `phantom_nih`, or `phantom_nih-<films>` where the number is not the usual one. InputError for a number outside
    500 to 120,000 or a resolution below 16.
    """
    if not SMALLEST <= films <= LARGEST:
        raise InputError(f"{NAME}: the number of films must be {SMALLEST} to {LARGEST}, found {films}")
    check_resolution(resolution)
    code = code_digest(Path(__file__))
    name = NAME if films == FILMS else f"{NAME}-{films}"

    def draw() -> Dataset:
        ids = film_ids(films)
        images, masks, boxes = draw_films(ids, nih_like_film, resolution, progress or Progress())
        info = film_info(name, resolution)
        return Dataset(info=info, images=images, masks=masks, cases=case_table(ids), boxes=boxes)

    return kept(name, resolution, code, draw)


def check_resolution(resolution: int) -> None:
    """InputError for a film too small to show a chest."""
    if resolution < 16:
        raise InputError(
            f"expected a phantom resolution of at least 16 pixels, found {resolution}: choose a larger one"
        )


def film_info(name: str, resolution: int) -> DatasetInfo:
    """What `dataset.json` says of a phantom set with findings."""
    return DatasetInfo(
        name=name,
        version=VERSION,
        resolution=resolution,
        organs=tuple(KEPT_ORGANS),
        findings=FINDINGS,
        pixel_mm=FILM_MM / resolution,
        provenance=PROVENANCE,
    )


def case_table(ids: list[str]) -> pd.DataFrame:
    """The rows of `cases`: id, patient, split, view, age, sex, followup and one 0/1 column a finding."""
    return table_of([film_case(name) for name in ids])


def table_of(cases: list[FilmCase]) -> pd.DataFrame:
    """Rows of `cases` for films that are described already."""
    table = pd.DataFrame(
        {
            "id": [case.id for case in cases],
            "patient": [case.patient.id for case in cases],
            "split": [case.patient.split for case in cases],
            "view": [case.view for case in cases],
            "age": [case.age for case in cases],
            "sex": ["F" if case.patient.woman else "M" for case in cases],
            "followup": [case.followup for case in cases],
        }
    )
    labels = np.zeros((len(cases), len(FINDINGS)), np.uint8)
    for row, case in enumerate(cases):
        for name, _ in case.findings:
            labels[row, FINDINGS.index(name)] = 1
    return pd.concat([table, pd.DataFrame(labels, columns=list(FINDINGS))], axis=1)


def nih_like_film(case_id: str, resolution: int) -> DrawnFilm:
    """One film of the NIH-like phantom. Depends on its id and the resolution alone."""
    case = film_case(case_id)
    with_boxes = case.patient.split == "test" and seed_of(case_id, "boxed") % _BOXED_EVERY == 0
    signs = []
    for name, severity in case.findings:
        episode = 0 if name in _LASTING else case.followup // _EPISODE
        rng = Draw(seed_of(case.patient.id, name, episode))
        signs.append((name, draw_sign(name, rng, severity)))
    film = draw_case(case, signs, resolution)
    return film if with_boxes else DrawnFilm(film.image, film.masks)


def draw_case(case: FilmCase, signs: list[tuple[str, Sign]], resolution: int) -> DrawnFilm:
    """The film of a described case with given signs, and the boxes of the eight findings that NIH has boxes of."""
    seed = seed_of(case.id)
    rng = Draw(seed)
    bedside = case.view == "AP"
    person = pose(case.patient.anatomy(), rng, bedside)
    exposure = expose(rng, bedside)
    layers = _old_shadows(person, Draw(seed_of(case.patient.id, "old")))
    noise = Draw(seed, resolution)
    image, masks, boxes = take_film(person, signs, resolution, noise, exposure, layers)
    kept_organs = np.uint8((1 << len(KEPT_ORGANS)) - 1)
    found = tuple((box.finding, box.x, box.y, box.w, box.h) for box in boxes if box.finding in BOXED)
    return DrawnFilm(image, masks & kept_organs, found)


def pose(person: Anatomy, rng: Draw, bedside: bool) -> Anatomy:
    """The same person in front of the film again: another breath, another stand.

    At the bedside (AP) the heart is nearer to the tube and looks larger, the breath is shallower, the patient leans,
    and the shoulder blades lie over the lungs.
    """
    breath, lean, turn = rng.normal(), rng.normal(), rng.normal()
    height = (person.angle_y - person.apex_y) * (1.0 + 0.018 * breath - (0.055 if bedside else 0.0))
    ratio = person.cardiothoracic_ratio * (1.0 - 0.012 * breath + (0.07 if bedside else 0.0))
    size = person.size * (1.0 + 0.015 * rng.normal())
    size = min(max(size, 0.88), 1.12, 0.84 / height, 0.41 / (person.half_width * person.aspect))
    tilt = float(np.clip((0.035 if bedside else 0.018) * lean, -0.07, 0.07))
    room = max(0.0, 0.465 - person.half_width * size * person.aspect - 0.45 * abs(tilt))
    return replace(
        person,
        size=size,
        tilt=tilt,
        shift_x=min(max(rng.normal(0.0, 0.016), -room), room),
        shift_y=size * (0.5 - person.apex_y - 0.5 * height) + min(max(rng.normal(-0.020, 0.012), -0.04), 0.01),
        turn=float(np.clip((0.012 if bedside else 0.007) * turn, -0.025, 0.025)),
        angle_y=person.apex_y + height,
        dome_right=max(person.dome_right * (1.0 - 0.05 * breath + (0.08 if bedside else 0.0)), 0.045),
        cardiothoracic_ratio=min(max(ratio, 0.36), 0.64),
        lung_density=person.lung_density * (1.0 - 0.04 * breath + (0.08 if bedside else 0.0)),
        scapula_overlap=person.scapula_overlap + (0.035 if bedside else 0.0),
        clavicle_y=person.clavicle_y - (0.015 if bedside else 0.0),
        arm_gap=person.arm_gap - (0.02 if bedside else 0.0),
    )


def expose(rng: Draw, bedside: bool) -> Exposure:
    """A film's exposure; portable ones are taken without a grid: more scatter, less contrast."""
    exposure = draw_exposure(rng)
    if not bedside:
        return exposure
    return replace(
        exposure,
        scatter=exposure.scatter + 0.12,
        latitude=1.06 * exposure.latitude,
        bias=exposure.bias + rng.normal(0.0, 0.12),
        noise=1.4 * exposure.noise,
    )


def _old_shadows(person: Anatomy, rng: Draw) -> list[Layer]:
    """Faint shadows that no label names: old scars and folds, in every third patient."""
    if rng.random() > 0.33:
        return []
    x, y = place(person, 1 if rng.random() < 0.5 else -1, rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.9))
    wide, high = rng.uniform(0.03, 0.09), rng.uniform(0.03, 0.09)
    return [Opacity(x=x, y=y, radius_x=wide, radius_y=high, depth_cm=rng.uniform(0.4, 2.2))]
