"""Who trains and who tests in a public set: the official split where there is one, or a draw by patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ....errors import InputError
from ... import splits
from ...parts import read_parts
from .listing import PublicOptions


def parts_of(
    which: str, official: Sequence[str | None], patients: Sequence[str], options: PublicOptions
) -> tuple[dict[str, list[object]], list[str]]:
    """The columns `split` and `fold`, where there are any, and what is to be said.

    official: the set's word for each film, None where it has none. InputError for a draw that cannot be made.
    """
    columns: dict[str, list[object]] = {}
    remarks: list[str] = []
    share, folds = _drawn(which, "split", options.split), _drawn(which, "fold", options.fold)
    has_official = any(word is not None for word in official)
    if share is not None:
        columns["split"] = list(splits.patient_split(patients, share, options.seed))
        if has_official:
            remarks.append(f"the official split is replaced by one drawn by patient (--split {options.split})")
    elif has_official:
        columns["split"], said = _official(official, options.split_values)
        remarks += said
    elif options.split_values:
        raise InputError(f"{which}: --split-values is for an official split, and this set has none")
    if folds is not None:
        columns["fold"] = list(splits.patient_folds(patients, int(folds), options.seed))
    remarks += _leaks(columns.get("split", []), patients)
    if not columns:
        remarks.append("no official split: --split patients:0.8 or --fold patients:3 draws one by patient")
    return columns, remarks


def _official(words: Sequence[str | None], meant: Mapping[str, str]) -> tuple[list[object], list[str]]:
    written, blank = [word or "" for word in words], [word is None for word in words]
    plain, _ = read_parts(written, blank)
    asked: dict[str, str] = {}
    for word, part in meant.items():  # a word of the set, or the part that it is read as
        same = [one for one, read in zip(written, plain, strict=True) if read == word.lower()]
        asked |= dict.fromkeys([word] if word in written or not same else same, part)
    parts, remarks = read_parts(written, blank, asked)
    if "test" not in parts and "val" in parts:
        remarks.append("no film tests; --split-values val=test tests on those that validate")
    return list(parts), remarks


def _leaks(parts: Sequence[object], patients: Sequence[str]) -> list[str]:
    """What to say of people in train and in test, as some official splits have."""
    pairs = list(zip(patients, parts, strict=True)) if parts else []
    shared = {one for one, part in pairs if part == "train"} & {one for one, part in pairs if part == "test"}
    if not shared:
        return []
    return [
        f"{len(shared)} patients are in train and in test by the official split (the first: {min(shared)}), which tasks "
        "refuse: --split patients:0.8 draws one by patient"
    ]


def _drawn(which: str, option: str, text: str | None) -> float | None:
    """The number of "patients:0.5"; None where nothing is drawn."""
    if text is None:
        return None
    unit, _, number = text.partition(":")
    try:
        value = float(number)
    except ValueError:
        value = 0.0
    if unit != "patients" or value <= 0 or (option == "fold" and value != int(value)):
        example = "patients:0.5" if option == "split" else "patients:3"
        raise InputError(f"{which}: --{option} must look like {example}, found '{text}'")
    return value
