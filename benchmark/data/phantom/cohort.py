"""Who is in the NIH-like phantom: patients, their films over time, views and findings, with no picture drawn.

Structure and rates are those of NIH ChestX-ray14 (Wang et al. 2017) as its own tables give them: films a patient,
prevalence in the official train_val and test lists, correlation between findings, how often a finding is still
there on the next film. A patient depends on their number alone and a film on its id, so a larger set holds the
patients of a smaller one.

Findings come from a latent Gaussian: every film has one value a finding, made of a patient's share (which
persists) and a film's share, correlated as NIH's labels are; a finding is present above the threshold that gives its
prevalence in the split, and the further above, the more severe.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from ... import exact
from ...draws import Draw
from ...errors import InputError
from ..findings import FINDINGS
from .anatomy import Anatomy, draw_anatomy

# Per cent of films in the official lists (train_val 86,524, test 25,596), in the order of FINDINGS; the last is AP.
_TRAIN = (9.57, 1.97, 10.01, 15.93, 4.66, 5.44, 1.01, 3.05, 3.30, 1.59, 1.64, 1.45, 2.59, 0.16, 35.0)
_TEST = (12.81, 4.18, 18.20, 23.88, 6.83, 6.34, 2.17, 10.41, 7.09, 3.61, 4.27, 1.70, 4.47, 0.34, 56.6)
RAREST = 0.012
"""No finding is rarer than this, so that 4,000 films have some of each in both splits: NIH's pneumonia (1.0 % of
train_val) and hernia (0.2 %) are raised to it."""

# Tetrachoric correlations of the labels (per cent, mean of both splits), each row with those above it; the last is AP.
_CORRELATION = (
    (),
    (5,),  # Cardiomegaly
    (36, 38),  # Effusion
    (20, 2, 23),  # Infiltration
    (6, -7, 20, 4),  # Mass
    (-3, -8, 6, 11, 29),  # Nodule
    (15, 0, 12, 27, -2, -3),  # Pneumonia
    (9, -18, 13, -3, 11, 2, -13),  # Pneumothorax
    (30, 4, 28, 13, 25, 13, 14, 0),  # Consolidation
    (-1, 13, 22, 31, 0, 0, 52, -20, 11),  # Edema
    (14, -5, 5, -1, 10, -5, -6, 47, 0, -9),  # Emphysema
    (6, 3, -1, 4, 6, 12, -9, 0, 2, -18, -2),  # Fibrosis
    (9, 5, 23, 6, 23, 19, 2, 12, 13, -2, 13, 26),  # Pleural_Thickening
    (12, 4, -4, -4, 14, -4, 0, -8, -16, -9, -1, 12, 2),  # Hernia
    (14, 0, 13, 19, -3, -9, 12, -10, 29, 51, -1, -29, -16, -24),  # AP
)
# Tetrachoric correlation of a label with the same label on the patient's next film: the patient's share. Hernia's is
# lower than NIH's (0.91), or its few cases would be those of two or three patients.
_PERSISTENCE = (0.53, 0.68, 0.64, 0.40, 0.72, 0.60, 0.45, 0.83, 0.55, 0.65, 0.79, 0.59, 0.55, 0.60, 0.72)

# Films a patient: shares of patients with at most so many films. Half of the patients have one, a few have dozens;
# NIH's longest series (184) are cut at 40, and every ninth patient is in the test list instead of every eleventh, so
# that the list holds NIH's share of the films.
_FILMS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 25, 40)
_TRAIN_PATIENTS = (0.576, 0.714, 0.785, 0.829, 0.860, 0.886, 0.906, 0.922, 0.934, 0.944, 0.952, 0.990, 1.0)
_TEST_PATIENTS = (0.491, 0.582, 0.619, 0.650, 0.678, 0.700, 0.718, 0.736, 0.752, 0.765, 0.775, 0.898, 1.0)
_TEST_EVERY = 9

_FAINT = 0.05  # of the positives are drawn all but invisible: labels that the film does not bear out
_GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)
_ID = re.compile(r"P(\d{7})_(\d{3})")
FIRST_OF_BOXES = 5_000_000
"""Patient numbers from here on belong to other sets."""

Values = NDArray[np.float64]


_salt = ""


def use_salt(salt: str) -> None:
    """From now on this process draws other people and films than everyone's: those of a salt (`held_back`). Call it before
    anything is drawn, in a process that draws nothing else."""
    global _salt  # of a process that has this one purpose
    _salt = salt


def salt_in_use() -> str:
    """The salt of this process; empty where it draws everyone's films."""
    return _salt


def seed_of(*parts: object) -> int:
    """A generator's seed from names."""
    names = (_salt, *parts) if _salt else parts
    return int.from_bytes(hashlib.sha256("/".join(map(str, names)).encode()).digest()[:16], "big")


@dataclass(frozen=True)
class Patient:
    """One person of the set and what does not change from film to film."""

    number: int
    split: str
    films: int
    woman: bool
    age: int  # at the first film
    latent: Values

    @property
    def id(self) -> str:
        """`P0000001`: the number of a phantom patient is never that of a real one."""
        return patient_id(self.number)

    def anatomy(self) -> Anatomy:
        """The person, before pose and breath of a film."""
        return person_of(self.number, self.woman, self.age)


@dataclass(frozen=True)
class FilmCase:
    """One film as its row of `cases` describes it; `findings` with their severity in [0, 1]."""

    id: str
    patient: Patient
    followup: int
    view: str
    age: int
    findings: tuple[tuple[str, float], ...]


def patient_id(number: int) -> str:
    """The name of a phantom patient."""
    return f"P{number:07d}"


@lru_cache(maxsize=256)
def person_of(number: int, woman: bool, age: int) -> Anatomy:
    """The anatomy of a patient."""
    return draw_anatomy(Draw(seed_of(patient_id(number), "person")), woman=woman, age=float(age))


@cache
def _mixing() -> Values:
    """Lower triangular root of the correlation matrix (Cholesky), each sum in one order."""
    size = len(_CORRELATION)
    root = [[0.0] * size for _ in range(size)]
    for row, pairs in enumerate(_CORRELATION):
        for column, correlation in enumerate((*(pair / 100.0 for pair in pairs), 1.0)):
            rest = correlation
            for k in range(column):
                rest -= root[row][k] * root[column][k]
            root[row][column] = math.sqrt(rest) if column == row else rest / root[column][column]
    return np.array(root)


def _correlated(rng: Draw) -> Values:
    """One standard normal value a finding, and one for the view, correlated as the labels are."""
    own = np.array([rng.normal() for _ in _CORRELATION])
    return exact.total(_mixing() * own, axis=1)


@cache
def _prevalence(split: str) -> Values:
    return np.maximum(np.array(_TRAIN if split == "train" else _TEST) / 100.0, RAREST)


def _film_count(number: int, split: str) -> int:
    """Spread evenly over the patients of a split, so that small sets have the mean and the tail as well."""
    if split == "test":
        u, table = (number // _TEST_EVERY * _GOLDEN + 0.37) % 1.0, _TEST_PATIENTS
    else:
        u, table = ((number - number // _TEST_EVERY) * _GOLDEN + 0.11) % 1.0, _TRAIN_PATIENTS
    return math.ceil(float(exact.interp(np.array(u), (0.0, *table), (0.0, *_FILMS)))) if u > table[0] else 1


@lru_cache(maxsize=4096)
def patient(number: int) -> Patient:
    """Patient `number`, from 1 on."""
    split = "test" if number % _TEST_EVERY == 5 else "train"
    rng = Draw(seed_of(patient_id(number)))
    latent = _correlated(rng)
    return Patient(
        number=number,
        split=split,
        films=_film_count(number, split),
        woman=bool(rng.random() < 0.435),
        age=round(min(max(rng.normal(47.0, 16.0), 18.0), 92.0)),
        latent=latent,
    )


def film_ids(count: int) -> list[str]:
    """The ids of the first `count` films: all films of patient 1, then of patient 2, and so on."""
    ids: list[str] = []
    number = 1
    while len(ids) < count:
        one = patient(number)
        ids += [f"{one.id}_{film:03d}" for film in range(one.films)]
        number += 1
    return ids[:count]


def film_case(case_id: str) -> FilmCase:
    """What is on a film. InputError for an id that the set cannot have."""
    match = _ID.fullmatch(case_id)
    number = int(match[1]) if match else 0
    if match is None or not 1 <= number < FIRST_OF_BOXES or int(match[2]) >= patient(number).films:
        raise InputError(f"expected a film of the NIH-like phantom (P0000001_000, ...), found {case_id!r}")
    one, followup = patient(number), int(match[2])
    rng = Draw(seed_of(case_id, "findings"))
    share = np.array(_PERSISTENCE)
    latent = np.sqrt(share) * one.latent + np.sqrt(1.0 - share) * _correlated(rng)
    # Rank among the films with the finding: even in [0, 1], 0 = just visible.
    above = exact.normal_share(-latent) / _prevalence(one.split)
    faint = [rng.random() < _FAINT for _ in FINDINGS]
    findings = tuple(
        (name, float(1.0 - above[i]) * (0.1 if faint[i] else 1.0)) for i, name in enumerate(FINDINGS) if above[i] < 1.0
    )
    return FilmCase(
        id=case_id,
        patient=one,
        followup=followup,
        view="AP" if above[-1] < 1.0 else "PA",
        age=min(one.age + followup // 4, 95),
        findings=findings,
    )
