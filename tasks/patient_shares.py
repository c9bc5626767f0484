"""Sizes that are shares of the training patients (the SDFN paper divides by patient): which films a share trains on, and
which validate it. Both depend on the patients' names alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

import numpy as np

from ..benchmark.data.dataset import Dataset
from ..benchmark.data.sizes import FULL, halved
from ..benchmark.data.splits import drawn
from ..benchmark.errors import InputError

VALIDATES = 10  # one training patient in so many
ORDER = "nih_classification/share"  # the draw of the patients, of every seed
_KNOWN: WeakKeyDictionary[Dataset, dict[tuple[str, int], tuple[np.ndarray, np.ndarray]]] = WeakKeyDictionary()


def size_name(share: float) -> str:
    """The size of a share of the training patients: `10%`, `0.5%`."""
    if not 0 < share < 1:
        raise InputError(f"fractions: shares of the training patients are between 0 and 1, found {share}")
    return f"{share * 100:g}%"


def share_of(size: str) -> float:
    """The share (above 0, at most 1) that a size's name says; 1 of `full`. InputError for another name."""
    if size == FULL:
        return 1.0
    try:
        share = float(size.removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not (size.endswith("%") and 0 < share < 1):
        raise InputError(f"no size '{size}'; expected full or a share of the training patients like 10%")
    return share


def planned_sizes(fractions: Sequence[float], carries: Callable[[str], bool]) -> list[str]:
    """All patients, and of the shares, largest first, those that carry the protocol."""
    sizes = [FULL, *(size_name(share) for share in sorted(set(fractions), reverse=True))]
    return [size for size in sizes if size == FULL or carries(size)]


def curve_of_shares(
    films: int, least: int, fractions: Sequence[float], carries: Callable[[str], bool]
) -> tuple[str, ...]:
    """The sizes of a learning curve: all of so many films, half of their patients and so on down to `least` films, and the
    shares that are sizes of the protocol; those that carry it, largest first."""
    halves = [FULL, *(size_name(0.5**power) for power in range(1, len(halved(films, least))))]
    sizes = dict.fromkeys([*halves, *(size_name(share) for share in fractions)])
    return tuple(sorted((size for size in sizes if size == FULL or carries(size)), key=share_of, reverse=True))


def rows_of(data: Dataset, size: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers (for training, for validation) of a size, in the order of ids.

    Patients in the order of a sha256 of the seed and their names: a share takes the first of them, and every tenth
    validates. So a larger share of the same seed trains on all that a smaller one trains on, and validates with what that
    validates with. InputError for a size with another name. A plan asks for the same rows again and again:
    they are found once.
    """
    known = _KNOWN.setdefault(data, {})
    if (size, seed) not in known:
        known[size, seed] = _rows_of(data, size, seed)
    return known[size, seed]


def _rows_of(data: Dataset, size: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    ids = np.array(data.ids)
    rows = np.flatnonzero(data.cases["split"].astype(str) == "train")
    rows = rows[np.argsort(ids[rows], kind="stable")]
    patients = data.cases["patient"].astype(str).to_numpy()[rows]
    names = drawn(patients, f"{ORDER}/{seed}")
    names = names[: max(1, round(share_of(size) * len(names)))]
    kept, validates = _among(patients, names), _among(patients, names[::VALIDATES])
    return rows[kept & ~validates], rows[kept & validates]


def _among(patients: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Whether each patient, str (N,), is one of some names: `np.isin` compares every text with every other."""
    chosen = set(names)
    return np.fromiter((patient in chosen for patient in patients), dtype=bool, count=len(patients))
