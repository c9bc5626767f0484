"""Splits as pinned rules: which case trains, which one tests, in which fold.

`odd_even_split` is the official division of SCR (van Ginneken et al. 2006): odd numbers in one fold, even
numbers in the other; the multi-stage paper trains on the 124 odd films and tests on the 123 even ones.
`three_folds` is ours, with the 83/82/82 films of the three-fold protocol. Random splits are by patient and
depend on names and a seed alone, on no library's generator. The lists of NIH ChestX-ray14 (Wang et al. 2017)
are files of the download, known here by their counts and digests.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import digest
from ..errors import InputError
from .parts import PARTS, films_in_words

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from .dataset import Dataset

WITH_NODULE, WITHOUT_NODULE = 154, 93
JSRT_IDS = tuple(
    [f"JPCLN{number:03d}" for number in range(1, WITH_NODULE + 1)]
    + [f"JPCNN{number:03d}" for number in range(1, WITHOUT_NODULE + 1)]
)
"""The 247 films of JSRT: JPCLN with a nodule, JPCNN without."""

PHANTOM_IDS = tuple(name.replace("JPC", "PH", 1) for name in JSRT_IDS)
"""The phantom's ids: the same numbers with another prefix."""

_JSRT_LIKE = re.compile(r"(JPC|PH)([LN]N\d{3})")
_NAMED = 5  # an error names this many ids, then says how many more


def is_jsrt_like(ids: Sequence[str]) -> bool:
    """Whether every id has the form of JSRT's (or the phantom's), so that its official splits apply."""
    return len(ids) > 0 and all(_JSRT_LIKE.fullmatch(name) for name in ids)


def is_jsrt(ids: Sequence[str]) -> bool:
    """Whether ids are those of JSRT (or the phantom) in whole or nearly so, not a handful of its films taken for a trial."""
    return is_jsrt_like(ids) and len(ids) > len(JSRT_IDS) // 2


def odd_even_split(ids: Sequence[str]) -> list[str]:
    """SCR's official folds, one direction: "train" for odd numbers, "test" for even ones. The last digit decides."""
    parts = []
    for name in ids:
        if not name or not name[-1].isdecimal():
            raise InputError(f"odd_even split: id '{name}' does not end in a number")
        parts.append("train" if int(name[-1]) % 2 else "test")
    return parts


def three_folds(ids: Sequence[str]) -> list[int]:
    """Fold 0, 1 or 2 of every id (83/82/82 of 247): ids in the order of sha256("three_folds/<id>"), cut in three runs.

    JSRT's and the phantom's prefixes are left out of the hash, so that JPCLN001 and PHLN001 are in the same fold.
    """
    return patient_folds([_without_prefix(name) for name in ids], 3, seed="three_folds")


def drawn(names: Iterable[str], seed: int | str) -> list[str]:
    """The different names in the order of the sha256 of "<seed>/<name>": a draw that depends on no generator."""
    return sorted(set(map(str, names)), key=lambda name: (hashlib.sha256(f"{seed}/{name}".encode()).hexdigest(), name))


def patient_split(patients: Sequence[str], train_fraction: float, seed: int | str) -> list[str]:
    """ "train" or "test" for each case, no patient in both; `train_fraction` (0 to 1) of the patients train."""
    if not 0 < train_fraction < 1:
        raise InputError(f"split: the share of patients that train must be between 0 and 1, found {train_fraction}")
    order = drawn(patients, seed)
    count = round(len(order) * train_fraction)
    if not 0 < count < len(order):
        raise InputError(f"split: {len(order)} patients at {train_fraction} leave train or test empty")
    train = set(order[:count])
    return ["train" if patient in train else "test" for patient in patients]


def patient_folds(patients: Sequence[str], folds: int, seed: int | str) -> list[int]:
    """The fold of each case, no patient in two; sizes in patients differ by at most one, larger folds first."""
    order = drawn(patients, seed)
    if not 2 <= folds <= len(order):
        raise InputError(f"folds: expected 2 to {len(order)} (the number of patients), found {folds}")
    small, larger = divmod(len(order), folds)
    sizes = [small + (fold < larger) for fold in range(folds)]
    fold_of = dict(zip(order, [fold for fold, size in enumerate(sizes) for _ in range(size)], strict=True))
    return [fold_of[patient] for patient in patients]


def split_digest(ids: Sequence[str], parts: Sequence[object]) -> str:
    """sha256 over the sorted ids of every part (for example train and test)."""
    members: dict[str, list[str]] = {}
    for name, part in zip(ids, parts, strict=True):
        members.setdefault(str(part), []).append(name)
    return digest.of_json({part: sorted(names) for part, names in members.items()})


@dataclass(frozen=True)
class PinnedSplit:
    """An official split of the 247 ids of JSRT: its name, the rule that makes it (ids to parts) and its `split_digest`."""

    name: str
    rule: Callable[[Sequence[str]], Sequence[object]]
    sha256: str

    def check(self, ids: Sequence[str], parts: Sequence[object]) -> str:
        """Hold a split of JSRT (or of the phantom) against the rule and the pinned sha256, which is returned.

        `parts` are the values of the split's column, in the order of `ids`. InputError names the ids that differ.
        """
        official = PHANTOM_IDS if any(one.startswith("PH") for one in ids) else JSRT_IDS
        expected = _members(official, self.rule(official))
        found = _members(ids, parts)
        for part in sorted(expected.keys() | found.keys(), key=_part_order):
            wanted, there = expected.get(part, set()), found.get(part, set())
            if wanted != there:
                what = f"fold {part}" if part.isdecimal() else f"the {part} split"
                raise InputError(
                    f"{self.name}: {what} has {len(there)} cases, expected {len(wanted)}{difference(wanted, there)}"
                )
        if split_digest(["JPC" + _without_prefix(one) for one in ids], parts) != self.sha256:
            raise InputError(
                f"{self.name}: the split rule of this install does not give the pinned split; reinstall cxrbench"
            )
        return self.sha256

    def tests(self, ids: Sequence[str]) -> bool:
        """Whether ids are those of a part that tests, in any order: the test split, or one of the folds."""
        official = PHANTOM_IDS if any(one.startswith("PH") for one in ids) else JSRT_IDS
        members = _members(official, self.rule(official))
        return set(ids) in [names for part, names in members.items() if part != "train"]


SCR_OFFICIAL = PinnedSplit(
    "scr_official", odd_even_split, "07db9ac57aaef5d675e5b5183ad984d38f4cea4a54453048471bd80b4f074700"
)
SCR_3FOLD = PinnedSplit("scr_3fold", three_folds, "44f0c315394e2122263ff857f8365439294b90eb11fb2f4ada648c3e07e4a206")
SCR_COLUMNS = {"split": SCR_OFFICIAL, "fold": SCR_3FOLD}
"""The columns of the cases of JSRT and its phantom that hold an official split."""


def scr_columns(ids: Sequence[str]) -> dict[str, list[object]]:
    """The columns of the cases of JSRT or its phantom: id, patient (one film each), `split` (official) and `fold`.

    The 247 official ids are held against the pinned splits.
    """
    columns = {column: list(split.rule(ids)) for column, split in SCR_COLUMNS.items()}
    if set(ids) in (set(JSRT_IDS), set(PHANTOM_IDS)):
        for column, split in SCR_COLUMNS.items():
            split.check(ids, columns[column])
    return {"id": list(ids), "patient": list(ids), **columns}


@dataclass(frozen=True)
class OfficialLists:
    """What a set with a published training and test list must hold: counts, and `ids_digest` of all films and of either
    list; boxes and archives: how many boxes the box list has, and how many archives hold the films."""

    films: int
    train: int
    test: int
    films_digest: str
    train_digest: str
    test_digest: str
    boxes: int
    archives: int


NIH_LISTS = OfficialLists(
    films=112_120,
    train=86_524,
    test=25_596,
    films_digest="eb7a64212ef5092d8abe8d14bee9d01725fb800d3ea0af08c0b9c6810b0c019c",
    train_digest="259764ec94c2ac814502f4efcc42fe224bda5e7520d804d7969a4b3166340e7b",
    test_digest="fca4cd4573c29743082e7921f2a314fa1edf6803241ffd00b07dedf10848e983",
    boxes=984,
    archives=12,
)
"""NIH ChestX-ray14 as its owner publishes it: train_val_list.txt trains, test_list.txt tests."""

RANDOM_NIH_LISTS = (78_468, 11_219, 22_433)
"""Train, validation and test films of the random 70/10/20 split copied with re-implementations of CheXNet; together all
112,120."""
_RANDOM_COUNTED = (11_218, 22_432, 78_468 + 11_218)  # as `wc -l` counts them: the files end without a new line


def ids_digest(ids: Sequence[str]) -> str:
    """sha256 over the sorted ids of one list."""
    return digest.of_json(sorted(ids))


def nih_patient(name: str) -> str:
    """The patient of a film of NIH ChestX-ray14: 00000001 of 00000001_000."""
    return name.partition("_")[0]


def is_official_nih(ids: Sequence[str], parts: Sequence[object], official: OfficialLists = NIH_LISTS) -> bool:
    """Whether films and their parts ("train", "test") are all those of the official lists."""
    members = _members(ids, parts)
    return (
        members.keys() == {"train", "test"}
        and ids_digest(list(members["train"])) == official.train_digest
        and ids_digest(list(members["test"])) == official.test_digest
    )


def check_not_random(where: str, count: int) -> None:
    """Refuse a list of NIH films that has the count of the random split, or of its train and validation films
    together. `where` names the list in the error.
    """
    train, validation, test = RANDOM_NIH_LISTS
    if count in (train, validation, test, train + validation, *_RANDOM_COUNTED):
        raise InputError(
            f"nih: {where} has {count:,} films: this is the random split copied with re-implementations of CheXNet "
            f"({train:,} / {validation:,} / {test:,}), not the official one; "
            "use train_val_list.txt and test_list.txt of the NIH download"
        )


def check_nih_lists(
    train: Sequence[str],
    test: Sequence[str],
    official: OfficialLists = NIH_LISTS,
    names: tuple[str, str] = ("the train split", "the test split"),
) -> str:
    """Hold the two lists of NIH ChestX-ray14 against their counts and pinned digests; returns their `split_digest`.

    names: what errors call the lists. InputError for the widely copied random split, exchanged lists, another
    count, a film or patient in both lists, or other ids.
    """
    lists = dict(zip(names, (train, test), strict=True))
    for where, ids in lists.items():
        check_not_random(where, len(ids))
    if (ids_digest(train), ids_digest(test)) == (official.test_digest, official.train_digest):
        raise InputError(f"nih: {names[0]} and {names[1]} are exchanged: each holds the films of the other")
    for (where, ids), expected in zip(lists.items(), (official.train, official.test), strict=True):
        if len(ids) != expected:
            raise InputError(f"nih: {where} has {len(ids):,} films, expected {expected:,}: not the official list")
    for what, one in (("film", str), ("patient", nih_patient)):
        shared = sorted({one(name) for name in train} & {one(name) for name in test})
        if shared:
            raise InputError(
                f"nih: {what} {shared[0]} is in both {names[0]} and {names[1]} ({len(shared):,} such): "
                "not the official lists"
            )
    for (where, ids), pinned in zip(lists.items(), (official.train_digest, official.test_digest), strict=True):
        found = ids_digest(ids)
        if found != pinned:
            raise InputError(
                f"nih: {where} has the official count but other films "
                f"(sha256 {found[:12]}, expected {pinned[:12]}): not the official list"
            )
    return split_digest([*train, *test], ["train"] * len(train) + ["test"] * len(test))


def difference(expected: set[str], found: set[str]) -> str:
    """The ids that differ, as the end of an error: "; missing: a, b; unexpected: c"."""
    text = ""
    for word, names in (("missing", sorted(expected - found)), ("unexpected", sorted(found - expected))):
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            text += f"; {word}: {', '.join(names[:_NAMED])}{more}"
    return text


def hold_out_patients(films: Dataset, share: float, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers (for training, held out): whole patients, so that no copy of a held-out film is trained on.

    At least one patient and `share` of the films are held out; InputError when there is only one patient.
    """
    import numpy as np

    patients = films.cases["patient"].astype(str).to_numpy()
    names, films_of = np.unique(patients, return_counts=True)
    if len(names) < 2:
        raise InputError(
            f"dataset {films.info.name}: at least 2 patients are needed to hold one out, found {len(names)}"
        )
    count = dict(zip(names, films_of, strict=True))
    held: set[str] = set()
    found = 0
    for name in np.random.default_rng(digest.derive_seed("held out", seed)).permutation(names)[:-1]:
        held.add(name)
        found += count[name]
        if found >= share * len(films):
            break
    out = np.array([patient in held for patient in patients], dtype=bool)
    return np.flatnonzero(~out), np.flatnonzero(out)


def train_and_test(task: str, data: Dataset) -> pd.Series:
    """The column `split` of a dataset, text (N,), with films to train and to test on and no patient in both.

    InputError names the task, and what is missing, of no known part, or shared.
    """
    name = data.info.name
    if "split" not in data.cases:
        columns = ", ".join(map(str, data.cases.columns))
        raise InputError(f"{task}: dataset {name} has no column 'split' with train and test; found {columns}")
    splits = data.cases["split"].astype(str)
    for wanted in ("train", "test"):
        if not (splits == wanted).any():
            raise InputError(f"{task}: no case of dataset {name} has split '{wanted}'")
    strange = splits[~splits.isin(PARTS)]
    if len(strange):
        words = ", ".join(f"'{word}' ({films_in_words(count)})" for word, count in sorted(Counter(strange).items())[:5])
        raise InputError(
            f"{task}: dataset {name} has split {words}, which is none of {', '.join(PARTS)}: these films would be left "
            "out in silence; import it again and say what they are (--split-values holdout=test)"
        )
    patients = data.cases["patient"].astype(str)
    shared = sorted(set(patients[splits == "train"]) & set(patients[splits == "test"]))
    if shared:
        listed = ", ".join(shared[:5]) + (" ..." if len(shared) > 5 else "")
        raise InputError(f"{task}: {len(shared)} patients are in train and in test: {listed}")
    return splits


def _members(ids: Sequence[str], parts: Sequence[object]) -> dict[str, set[str]]:
    members: dict[str, set[str]] = {}
    for name, part in zip(ids, parts, strict=True):
        members.setdefault(str(part), set()).add(name)
    return members


def _part_order(part: str) -> tuple[bool, str]:
    """test before train: a test set that differs is the worse news."""
    return (part == "train", part)


def _without_prefix(name: str) -> str:
    match = _JSRT_LIKE.fullmatch(name)
    return match.group(2) if match else name
