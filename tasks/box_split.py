"""Which annotated boxes train, which test and which choose the checkpoint (Xing et al. 2019, section 3).

The paper divides 820 boxes of six findings 70/30 for each finding: 7 n // 10 of n train (126/102/107/86/84/68 = 573), the
others test (54/44/46/37/36/30 = 247). It divides annotations, so a film, or a patient, can be on both sides: `paper`. Here
`patient` has the same counts and no patient on both sides. Both are rules on names and counts, with no library's
generator, and pinned for NIH's box list and for the phantom with its structure; any other list is divided alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
import pandas as pd

from ..benchmark import digest
from ..benchmark.data.dataset import Dataset
from ..benchmark.data.film_rows import taken
from ..benchmark.data.findings import LOCALISED
from ..benchmark.data.splits import drawn
from ..benchmark.errors import InputError

CORNERS = ["x", "y", "w", "h"]
BOX_COLUMNS = ["id", "finding", *CORNERS]
ATTEMPTS = 200
"""Draws of the greedy rule before the one that misses the fewest boxes is taken (the official list needs one)."""


class Split(StrEnum):
    """What is divided: patients, or (as in the paper) annotations."""

    PATIENT = "patient"
    PAPER = "paper"


PINNED: Mapping[str, Mapping[Split, str]] = {
    "b23180be7ce15b55befef483847a9aef752642b7fad68b879c5005d3b4510aab": {  # BBox_List_2017.csv of NIH
        Split.PATIENT: "d876ca19628c5530f9b247380a8c04606979e49c5a0b5a94970ff30ee95ab34c",
        Split.PAPER: "bc8202481aca6c4e679b4d6dc76cea7e24485a7e5425b1f0ceebfe9d9abac608",
    },
    "c8848e4a5299b715fae4d8caf83f0461d588927744bf53431a25e4a77379be57": {  # phantom_boxes, version 1
        Split.PATIENT: "a28321d1d87cbcc0286e7bb3975cc0a2f7d8b8f0276bd994ed7e26b8859eee00",
        Split.PAPER: "3c65b0e0c0f638144b29606a54b80f4c247134b6ba9178141149136339224406",
    },
    "1cb045f811c7bae003442b54cd8e231d37789692a9e11f96957b0c5d4a8768a8": {  # phantom_boxes, version 2
        Split.PATIENT: "2ed0a7d365ba7c2a37f7c179ac24c8be2c27b7f3aba361d029a7901f2aff0ebd",
        Split.PAPER: "d0cb1522063bf2ce2741b3bf4e0da71694b233529ffe59a4f6c646d846d4fc6b",
    },
}
"""By the `keys_digest` of all boxes of the six findings in a list: that of the test side of each split."""


@dataclass(frozen=True)
class BoxSplit:
    """A divided list. train, held, test: rows of the table (`annotations_of`): boxes that train, training boxes held out
    to choose the checkpoint, and those that test. structures: the findings that both train and test, in table order."""

    train: np.ndarray
    held: np.ndarray
    test: np.ndarray
    structures: tuple[str, ...]


def annotations_of(data: Dataset) -> pd.DataFrame:
    """The boxes of the six findings in the order of film and finding: id, patient, finding, x, y, w, h, and `key`,
    its name (`keys_of`)."""
    if data.boxes is None:
        raise InputError(f"dataset {data.info.name} has no boxes")
    boxes = data.boxes[data.boxes["finding"].isin(LOCALISED)]
    patients = data.cases.set_index(data.cases["id"].astype(str))["patient"].astype(str)
    table = pd.DataFrame({"id": boxes["id"].astype(str), "finding": boxes["finding"].astype(str)})
    table[CORNERS] = boxes[CORNERS].astype(np.float64)
    table = table.sort_values(["id", "finding"], kind="stable", ignore_index=True)
    table.insert(1, "patient", patients.loc[table["id"]].to_numpy())
    return table.assign(key=keys_of(table))


def keys_of(boxes: pd.DataFrame) -> pd.Series:
    """The names of boxes by their columns id and finding: "<film>/<finding>", of a second one "<film>/<finding>/2"."""
    repeat = boxes.groupby(["id", "finding"]).cumcount()
    return boxes["id"] + "/" + boxes["finding"] + np.where(repeat == 0, "", "/" + (repeat + 1).astype(str))


def split_boxes(table: pd.DataFrame, split: Split, held_share: float = 0.0) -> BoxSplit:
    """Divide the boxes of `annotations_of`; `held_share` (0 to 0.5) of the training boxes of each finding, whole patients,
    is held out.

    A finding with a single box, or whose boxes all fall on one side, is left out: `structures` are those on both.
    InputError where none is left, and where a pinned list does not give its pinned split.
    """
    if not 0 <= held_share <= 0.5:
        raise InputError(f"held-out share of the training boxes: from 0 to 0.5, found {held_share}")
    if split is Split.PAPER:
        tests = _by_annotation(table)
    else:
        tests = _by_patient(table, {finding: n - trained(n) for finding, n in counts(table).items()}, "test")
    _check_pinned(table, tests, split)
    structures = tuple(
        name for name in LOCALISED if (mine := tests[(table["finding"] == name).to_numpy()]).any() and not mine.all()
    )
    if not structures:
        listed = ", ".join(f"{name} {n}" for name, n in counts(table).items()) or "none"
        raise InputError(
            f"no finding has boxes for training and for test: at least one of {', '.join(LOCALISED)} must have two "
            f"boxes, for split 'patient' of two patients; found {listed}"
        )
    kept = table["finding"].isin(structures).to_numpy()
    train, test = np.flatnonzero(kept & ~tests), np.flatnonzero(kept & tests)
    rest = table.iloc[train]
    quotas = {finding: round(held_share * n) for finding, n in counts(rest).items()}  # never all of them
    held = _by_patient(rest, quotas, "held out") if any(quotas.values()) else np.zeros(len(train), dtype=bool)
    return BoxSplit(train[~held], train[held], test, structures)


def trained_rows(table: pd.DataFrame, split: BoxSplit, share: float, seed: int) -> np.ndarray:
    """The boxes that train of a share (above 0, at most 1) of the training patients: the first in an order drawn for every
    seed. What is held out to choose the checkpoint is the same for every share."""
    if share == 1:
        return split.train
    names = table["patient"].iloc[split.train]
    order = drawn(names, f"nih_localisation/size/{seed}")
    kept = order[: max(1, round(share * len(order)))]
    return split.train[names.isin(kept).to_numpy()]


def trained(count: int) -> int:
    """How many of `count` boxes train: floor of 70 %, in integers (0.7 * 180 is less than 126 in floating point)."""
    return 7 * count // 10


def counts(table: pd.DataFrame) -> dict[str, int]:
    """Boxes of each finding that has any, in table order."""
    found = table["finding"].value_counts()
    return {name: int(found[name]) for name in LOCALISED if name in found}


def keys_digest(keys: Sequence[str]) -> str:
    """sha256 over the sorted keys of boxes."""
    return digest.of_json(sorted(keys))


def films_of(
    data: Dataset, boxes: pd.DataFrame, name: str, more: Sequence[int] | np.ndarray = (), *, per_box: bool
) -> Dataset:
    """The films of boxes (rows of `annotations_of`) with these boxes, then the films of the rows `more`.

    per_box: a film for each box, with the box's name as its id and the film's as its source, so that a film whose boxes
    are divided can be on both sides; else a film has all its boxes of these. The boxes have the column `scored`, true.
    """
    row_of = {case: row for row, case in enumerate(data.ids)}
    names = list(boxes["key"]) if per_box else sorted(set(boxes["id"]))
    films = list(boxes["id"]) if per_box else names
    rows = np.array([*(row_of[case] for case in films), *more], dtype=np.int64)
    cases = data.cases.iloc[rows].reset_index(drop=True)
    if per_box:
        cases["source_ids"] = [[str(case)] for case in cases["id"]]
        cases["id"] = [*names, *cases["id"].iloc[len(names) :]]
    own = boxes.assign(id=boxes["key" if per_box else "id"], scored=True)
    return Dataset(
        info=data.info.changed(name=name),
        images=taken(data.images, rows),
        masks=None if data.masks is None else taken(data.masks, rows),
        cases=cases,
        boxes=own[[*BOX_COLUMNS, "scored"]].reset_index(drop=True),
    )


def healthy_rows(data: Dataset, apart: set[str], most: int, share: float = 1.0) -> np.ndarray:
    """Rows of training films without a finding or box, of no patient of `apart`: by the sha256 of their ids the first
    `most`, and of these the first `share`. None where the dataset has no column `split` or no labels."""
    if "split" not in data.cases or not data.info.findings:
        return np.zeros(0, dtype=np.int64)
    with_box: list[str] = [] if data.boxes is None else data.boxes["id"].astype(str).tolist()
    ids, patients = data.cases["id"].astype(str), data.cases["patient"].astype(str)
    chosen = (data.cases["split"].astype(str) == "train").to_numpy() & ~data.labels().any(axis=1)
    chosen &= ~ids.isin(with_box).to_numpy() & ~patients.isin(apart).to_numpy()
    rows = np.flatnonzero(chosen)
    order = sorted(rows, key=lambda row: _hash("healthy", ids.iloc[row]))
    chosen_rows = order[:most]
    return np.sort(np.array(chosen_rows[: round(share * len(chosen_rows))], dtype=np.int64))


def _by_annotation(table: pd.DataFrame) -> np.ndarray:
    """Whether each box tests: of each finding the first 7 n // 10 in the order of a sha256 train."""
    tests = np.ones(len(table), dtype=bool)
    for finding, n in counts(table).items():
        rows = np.flatnonzero(table["finding"] == finding)
        order = sorted(rows, key=lambda row: _hash("paper", table["key"].iloc[row]))
        tests[order[: trained(n)]] = False
    return tests


def _by_patient(table: pd.DataFrame, quotas: Mapping[str, int], what: str) -> np.ndarray:
    """Whether each box is of the side with the quotas, with all boxes of a patient on one side."""
    people = tuple(zip(table["patient"], table["finding"], strict=True))
    chosen = _chosen_patients(people, tuple(quotas.items()), what)
    return table["patient"].isin(chosen).to_numpy()


@lru_cache(maxsize=16)
def _chosen_patients(
    people: tuple[tuple[str, str], ...], quotas: tuple[tuple[str, int], ...], what: str
) -> frozenset[str]:
    """The patients of the side whose boxes are those of `quotas`; where no draw meets them all, of the draw that misses
    the fewest. `people`: (patient, finding) of every box."""
    places = {finding: place for place, (finding, _) in enumerate(quotas)}
    groups: dict[str, np.ndarray] = {}
    for patient, finding in people:
        groups.setdefault(patient, np.zeros(len(places), dtype=np.int64))[places[finding]] += 1
    wanted = np.array([quota for _, quota in quotas])
    best, fewest = frozenset[str](), int(wanted.sum()) + 1
    for attempt in range(ATTEMPTS):
        chosen, missed = _draw(groups, wanted, f"{what}/{attempt}")
        if missed < fewest:
            best, fewest = chosen, missed
        if not missed:
            break
    return best


def _draw(groups: Mapping[str, np.ndarray], wanted: np.ndarray, seed: str) -> tuple[frozenset[str], int]:
    """One greedy draw: (chosen patients, boxes short of the quotas).

    Patients with most boxes come first, so that those with one can fill what is missing. Each is taken with the chance
    that keeps its findings on their quotas; never beyond a quota, and always where the rest would not suffice.
    """
    lack, left = wanted.copy(), np.sum(list(groups.values()), axis=0)
    chosen = set()
    for patient in sorted(groups, key=lambda name: (-int(groups[name].sum()), _hash(seed, name))):
        own = groups[patient]
        shown = own > 0
        chance = float((lack[shown] / left[shown] * own[shown]).sum() / own.sum())
        left = left - own
        fits = bool((own <= lack).all())
        if fits and (bool((left < lack).any()) or _coin(seed, patient) < chance):
            chosen.add(patient)
            lack = lack - own
    return frozenset(chosen), int(lack.sum())


def _check_pinned(table: pd.DataFrame, tests: np.ndarray, split: Split) -> None:
    pinned = PINNED.get(keys_digest(list(table["key"])))
    if pinned is not None and keys_digest(list(table["key"][tests])) != pinned[split]:
        raise InputError(f"split '{split}' of this box list is not the pinned one: reinstall cxrbench")


def _hash(*names: str) -> str:
    return hashlib.sha256("/".join(("nih_localisation", *names)).encode()).hexdigest()


def _coin(seed: str, patient: str) -> float:
    """A number from 0 to 1 that depends on the names alone."""
    return int(_hash("coin", seed, patient)[:13], 16) / 16**13
