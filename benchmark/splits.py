"""Splits as pinned rules: which case trains, which one tests, in which fold.

`odd_even_split` is the official division of SCR (van Ginneken et al. 2006): odd numbers in one fold, even
numbers in the other; the multi-stage paper trains on the 124 odd films and tests on the 123 even ones.
`three_folds` is ours, with the 83/82/82 films of the three-fold protocol. Random splits are by patient and
depend on names and a seed alone, on no library's generator.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence

from . import digest
from .errors import InputError, unknown

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


def odd_even_split(ids: Sequence[str]) -> list[str]:
    """SCR's official folds, one direction: "train" for odd numbers, "test" for even ones. The last digit
    decides.
    """
    parts = []
    for name in ids:
        if not name or not name[-1].isdecimal():
            raise InputError(f"odd_even split: id '{name}' does not end in a number")
        parts.append("train" if int(name[-1]) % 2 else "test")
    return parts


def three_folds(ids: Sequence[str]) -> list[int]:
    """Fold 0, 1 or 2 of every id (83/82/82 of 247): ids in the order of sha256("three_folds/<id>"), cut in
    three runs.

    JSRT's and the phantom's prefixes are left out of the hash, so that JPCLN001 and PHLN001 are in the same
    fold.
    """
    return patient_folds([_without_prefix(name) for name in ids], 3, seed="three_folds")


def scr_columns(ids: Sequence[str]) -> dict[str, list[object]]:
    """The columns of the cases of JSRT or its phantom: id, patient (one film each), `split` (official) and
    `fold`.

    The 247 official ids are held against the pinned splits.
    """
    split, fold = odd_even_split(ids), three_folds(ids)
    if set(ids) in (set(JSRT_IDS), set(PHANTOM_IDS)):
        check_split("scr_official", ids, split)
        check_split("scr_3fold", ids, fold)
    return {"id": list(ids), "patient": list(ids), "split": list(split), "fold": list(fold)}


def patient_split(patients: Sequence[str], train_fraction: float, seed: int | str) -> list[str]:
    """ "train" or "test" for each case, no patient in both; `train_fraction` (0 to 1) of the patients
    train.
    """
    if not 0 < train_fraction < 1:
        raise InputError(f"split: the share of patients that train must be between 0 and 1, found {train_fraction}")
    order = _shuffled(patients, seed)
    count = round(len(order) * train_fraction)
    if not 0 < count < len(order):
        raise InputError(f"split: {len(order)} patients at {train_fraction} leave train or test empty")
    train = set(order[:count])
    return ["train" if patient in train else "test" for patient in patients]


def patient_folds(patients: Sequence[str], folds: int, seed: int | str) -> list[int]:
    """The fold of each case, no patient in two; sizes in patients differ by at most one, larger folds
    first.
    """
    order = _shuffled(patients, seed)
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


PINNED: dict[str, tuple[Callable[[Sequence[str]], Sequence[object]], str]] = {
    "scr_official": (odd_even_split, "07db9ac57aaef5d675e5b5183ad984d38f4cea4a54453048471bd80b4f074700"),
    "scr_3fold": (three_folds, "44f0c315394e2122263ff857f8365439294b90eb11fb2f4ada648c3e07e4a206"),
}
"""Rule and `split_digest` of each official split of the 247 ids of JSRT."""


def check_split(name: str, ids: Sequence[str], parts: Sequence[object]) -> str:
    """Hold a split of JSRT (or of the phantom) against its rule and pinned sha256, which is returned.

    `parts` are the values of the split's column, in the order of `ids`. InputError names the ids that differ.
    """
    if name not in PINNED:
        raise unknown("split", name, PINNED)
    rule, pinned = PINNED[name]
    official = PHANTOM_IDS if any(one.startswith("PH") for one in ids) else JSRT_IDS
    expected = _members(official, rule(official))
    found = _members(ids, parts)
    for part in sorted(expected.keys() | found.keys(), key=_part_order):
        wanted, there = expected.get(part, set()), found.get(part, set())
        if wanted != there:
            what = f"fold {part}" if part.isdecimal() else f"the {part} split"
            raise InputError(
                f"{name}: {what} has {len(there)} cases, expected {len(wanted)}{difference(wanted, there)}"
            )
    if split_digest(["JPC" + _without_prefix(one) for one in ids], parts) != pinned:
        raise InputError(f"{name}: the split rule of this install does not give the pinned split; reinstall cxrbench")
    return pinned


def difference(expected: set[str], found: set[str]) -> str:
    """The ids that differ, as the end of an error: "; missing: a, b; unexpected: c"."""
    text = ""
    for word, names in (("missing", sorted(expected - found)), ("unexpected", sorted(found - expected))):
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            text += f"; {word}: {', '.join(names[:_NAMED])}{more}"
    return text


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


def _shuffled(names: Sequence[str], seed: int | str) -> list[str]:
    """The different names, ordered by the sha256 of seed and name."""
    return sorted(set(names), key=lambda name: (hashlib.sha256(f"{seed}/{name}".encode()).hexdigest(), name))
