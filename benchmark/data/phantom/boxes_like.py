"""The phantom with the structure of NIH's box list: 984 boxes on 880 films of 726 patients, and 2,000 healthy films.

`BBox_List_2017.csv` (Wang et al. 2017) has at most one box a finding and film; which findings share a film, how many
films a patient has, and the spread of box areas a finding are taken from it, so that the six findings of the
localisation protocol (Xing et al. 2019) have 820 boxes on 741 films. All boxed films are test, as in NIH's lists;
the healthy films (split train) are of other people.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ... import exact
from ...draws import Draw
from ...errors import InputError
from ...progress import Progress
from ..dataset import Dataset
from ..findings import FINDINGS
from .cohort import FIRST_OF_BOXES, FilmCase, Patient, patient_id, seed_of
from .dataset import DrawnFilm, code_digest, draw_films, kept
from .findings import BOX_AREA, draw_sign, limit_area
from .nih_like import check_resolution, draw_case, film_info, table_of

NAME = "phantom_boxes"
HEALTHY = 2000

_BOXES = {
    "Atelectasis": 180,
    "Cardiomegaly": 146,
    "Effusion": 153,
    "Infiltration": 123,
    "Mass": 85,
    "Nodule": 79,
    "Pneumonia": 120,
    "Pneumothorax": 98,
}
"""Boxes a finding."""

_TOGETHER = (
    (18, "Effusion", "Infiltration"),
    (14, "Atelectasis", "Effusion"),
    (12, "Infiltration", "Pneumonia"),
    (10, "Atelectasis", "Mass"),
    (5, "Atelectasis", "Effusion", "Infiltration"),
    (5, "Cardiomegaly", "Pneumonia"),
    (4, "Effusion", "Pneumothorax"),
    (4, "Effusion", "Mass"),
    (3, "Cardiomegaly", "Infiltration"),
    (3, "Nodule", "Pneumothorax"),
    (2, "Infiltration", "Mass"),
    (2, "Effusion", "Pneumonia"),
    (1, "Cardiomegaly", "Pneumothorax"),
    (1, "Mass", "Pneumothorax"),
    (1, "Cardiomegaly", "Effusion", "Infiltration"),
    (1, "Pneumonia", "Pneumothorax"),
    (1, "Effusion", "Infiltration", "Mass", "Pneumonia"),
    (1, "Infiltration", "Mass", "Pneumothorax"),
    (1, "Mass", "Pneumonia", "Pneumothorax"),
    (1, "Cardiomegaly", "Effusion"),
    (1, "Atelectasis", "Effusion", "Mass"),
    (1, "Mass", "Pneumonia"),
    (1, "Atelectasis", "Infiltration"),
)
"""Films with boxes of several findings: how many, and which."""

_FILMS_A_PATIENT = ((1, 617), (2, 78), (3, 20), (4, 9), (5, 1), (6, 1))
"""Films with boxes of a patient, and how many patients have so many."""

_BEDSIDE = 402 / 880  # of the boxed films are AP; 0.35 of the healthy ones
_FIRST_HEALTHY = FIRST_OF_BOXES + 1_000_000


def phantom_boxes(resolution: int, progress: Progress | None = None) -> Dataset:
    """880 phantom films with boxes (split test) and 2,000 healthy ones (split train) at `resolution` pixels."""
    check_resolution(resolution)
    code = code_digest(Path(__file__))

    def draw() -> Dataset:
        plan = list(_plan().values())
        ids = [one.case.id for one in plan]
        images, masks, boxes = draw_films(ids, boxed_film, resolution, progress or Progress())
        cases = table_of([one.case for one in plan])
        info = film_info(NAME, resolution)
        return Dataset(info=info, images=images, masks=masks, cases=cases, boxes=boxes)

    return kept(NAME, resolution, code, draw)


@dataclass(frozen=True)
class _Planned:
    """A film, and the area of the box of each of its findings as a share of the film."""

    case: FilmCase
    areas: dict[str, float]


def boxed_film(case_id: str, resolution: int) -> DrawnFilm:
    """One film of the set. InputError for an id that is not in it."""
    if case_id not in _plan():
        raise InputError(f"expected a film of {NAME} (see `cxrbench data list`), found {case_id!r}")
    planned = _plan()[case_id]
    signs = []
    for finding, severity in planned.case.findings:
        rng = Draw(seed_of(case_id, finding))
        signs.append((finding, draw_sign(finding, rng, severity, planned.areas.get(finding))))
    film = draw_case(planned.case, signs, resolution)
    return DrawnFilm(film.image, film.masks, tuple(box for box in film.boxes if box[0] in planned.areas))


@cache
def _plan() -> dict[str, _Planned]:
    """Every film of the set by id: the boxed ones, then the healthy ones."""
    rng = Draw(seed_of(NAME))
    groups = [tuple(names) for count, *names in _TOGETHER for _ in range(count)]
    for finding, count in _BOXES.items():
        alone = count - sum(finding in group for group in groups if len(group) > 1)
        groups += [(finding,)] * alone
    areas = {}
    for finding, count in _BOXES.items():
        own = _areas(finding, count)
        areas[finding] = iter([own[place] for place in rng.order(count)])
    films_of = np.repeat(*np.array(_FILMS_A_PATIENT).T)
    films_of = films_of[rng.order(len(films_of))]
    owner = np.repeat(np.arange(len(films_of)), films_of)
    followup = np.arange(len(owner)) - np.searchsorted(owner, owner)
    plan = {}
    for film, place in enumerate(rng.order(len(groups)).tolist()):
        group = groups[place]
        person = _person(FIRST_OF_BOXES + int(owner[film]) + 1, "test", int(films_of[owner[film]]))
        case = _case(person, int(followup[film]), group, rng)
        plan[case.id] = _Planned(case, {name: next(areas[name]) for name in group})
    for number in range(_FIRST_HEALTHY + 1, _FIRST_HEALTHY + 1 + HEALTHY):
        case = _case(_person(number, "train", 1), 0, (), rng)
        plan[case.id] = _Planned(case, {})
    return plan


def _areas(finding: str, count: int) -> list[float]:
    """Areas at even steps of their distribution, so that the median is the wanted one."""
    median, spread = BOX_AREA[finding]
    steps = exact.normal_quantile((np.arange(float(count)) + 0.5) / float(count))
    return [limit_area(finding, median * exact.exp(spread * step)) for step in steps.tolist()]


def _person(number: int, split: str, films: int) -> Patient:
    own = Draw(seed_of(patient_id(number)))
    return Patient(
        number=number,
        split=split,
        films=films,
        woman=bool(own.random() < 0.435),
        age=round(float(np.clip(own.normal(49.0, 16.0), 18.0, 92.0))),
        latent=np.empty(0),
    )


def _case(person: Patient, followup: int, group: tuple[str, ...], rng: Draw) -> FilmCase:
    """A film with the boxed findings of a group: a reader who draws a box has seen something."""
    return FilmCase(
        id=f"{person.id}_{followup:03d}",
        patient=person,
        followup=followup,
        view="AP" if rng.random() < (_BEDSIDE if group else 0.35) else "PA",
        age=person.age + followup,
        findings=tuple((name, float(rng.uniform(0.30, 1.0))) for name in FINDINGS if name in group),
    )
